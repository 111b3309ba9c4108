"""Passages from several places of a text, in lower case, without code and markup."""

# ruff: noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import (
    Bytes,
    Integers,
    Scalar,
    Strings,
    code_point,
    width,
)

NEWLINE, BLANK = 0x0A, 0x20

# Kinds of code points for `passages`: signs, letters with their marks, digits, what parts words,
# and what is not seen.
SIGN, LETTER, FIGURE, GAP, NOTHING = 0, 1, 2, 3, 4

# Kinds of ASCII signs within a word: one that stands between two words of prose too, one that is
# part of a word, one that makes it code, markup or an address, and one that does so unless a
# sentence begins behind it ("the end.The next").
PARTS, WITHIN, CODE, ENDS = 0, 1, 2, 3

ALIGNED = 2  # a passage begins at a line's or word's begin in the first half of its room
LONG = 40  # ASCII characters without a blank that are no word: base64, hashes
BEYOND = 32  # characters that a passage may be longer, to end with a word


class Kinds(NamedTuple):
    """What each code point is.

    Attributes:
        kinds: SIGN, LETTER, FIGURE, GAP or NOTHING of each code point.
        signs: PARTS, WITHIN, CODE or ENDS of each ASCII character.
        lower: The lower case of each code point.
        scripts: The number of each code point's script; 0: of none.
    """

    kinds: Bytes
    signs: Bytes
    lower: npt.NDArray[np.uint32]
    scripts: Bytes


class Read(NamedTuple):
    """What is written of each text: a row for each, sizes in bytes.

    Attributes:
        words: Of what the passages hold.
        code: Of words and lines that are code, markup or addresses, and were left out.
        figures: Of numbers, and of signs in lines without code, left out too.
        signs: Of those signs alone.
        blobs: Of what is too long for a word.
        script: The number of the script of most letters; 0: there are none.
    """

    words: Integers
    code: Integers
    figures: Integers
    signs: Integers
    blobs: Integers
    script: Integers


@inlined
def _begin(data: Bytes, kinds: Bytes, at: Scalar, room: Scalar, end: Scalar) -> Scalar:
    """Where a passage begins: behind a line end near here, else behind a gap, else as it is."""
    until = min(at + room // ALIGNED, end)
    gap = np.int64(-1)
    place = at
    while place < until:
        byte = data[place]
        if byte == NEWLINE:
            return place + 1
        if gap < 0 and byte < 0x80 and kinds[byte] == GAP:
            gap = place + 1
        place += 1
    if gap >= 0:
        return gap
    while at < end and (data[at] & 0xC0) == 0x80:
        at += 1
    return at


@inlined
def _size(code: Scalar) -> Scalar:
    """Bytes of a code point."""
    if code < 0x80:
        return 1
    if code < 0x800:
        return 2
    return 3 if code < 0x10000 else 4


@inlined
def _put(out: Bytes, to: Scalar, code: Scalar) -> Scalar:
    """Write a code point; returns where it ends."""
    if code < 0x80:
        out[to] = code
        return to + 1
    if code < 0x800:
        out[to] = 0xC0 | (code >> 6)
        out[to + 1] = 0x80 | (code & 0x3F)
        return to + 2
    if code < 0x10000:
        out[to] = 0xE0 | (code >> 12)
        out[to + 1] = 0x80 | ((code >> 6) & 0x3F)
        out[to + 2] = 0x80 | (code & 0x3F)
        return to + 3
    out[to] = 0xF0 | (code >> 18)
    out[to + 1] = 0x80 | ((code >> 12) & 0x3F)
    out[to + 2] = 0x80 | ((code >> 6) & 0x3F)
    out[to + 3] = 0x80 | (code & 0x3F)
    return to + 4


@inlined
def _word(
    data: Bytes,
    at: Scalar,
    until: Scalar,
    end: Scalar,
    kinds: Kinds,
    out: Bytes,
    to: Scalar,
    counts: Integers,
) -> Scalar:
    """Write a word in lower case, and count its letters by script; returns where it ends."""
    gone = True  # whether a gap stands before
    while at < until:
        code = np.int64(data[at])
        wide = np.int64(1)
        if code >= 0x80:
            wide = min(np.int64(width(data[at])), end - at)
            code = code_point(data, at, wide)
        kind = kinds.kinds[code]
        if kind == LETTER:
            counts[kinds.scripts[code]] += 1
        if kind == FIGURE or (code < 0x80 and kind == SIGN and kinds.signs[code] != WITHIN):
            if not gone:
                out[to] = BLANK
                to += 1
            gone = True
        elif kind != NOTHING:
            gone = False
            if code < 0x80:
                out[to] = kinds.lower[code]
                to += 1
            else:
                small = np.int64(kinds.lower[code])
                if _size(small) <= wide:
                    to = _put(out, to, small)
                else:  # there is room for as much as was read
                    for place in range(at, at + wide):
                        out[to] = data[place]
                        to += 1
        at += wide
    return to


@inlined
def _most(counts: Integers) -> Scalar:
    """The script of most letters; 0: there is none."""
    script: Scalar = 0
    most: Scalar = 0
    for number in range(1, len(counts)):
        if counts[number] > most:
            script, most = number, counts[number]
    return script


@kernel
def passages(
    texts: Strings,
    kinds: Kinds,
    places: int,
    chars: int,
    out: Bytes,
    bounds: Integers,
    first: Integers,
    read: Read,
    scripts: Integers,
) -> Scalar:
    """Write the passages of every text, each as one line of words in lower case.

    Args:
        texts: In UTF-8.
        kinds: Of code points.
        places: How many passages of a text, at most.
        chars: How many characters of a passage, at most.
        out: Room for as many bytes as there are, and one for each passage.
        bounds: Room for one more than there are passages: where each begins in `out`, and the end.
        first: One more than there are texts: each one's first passage, and how many there are.
        read: A row for each text.
        scripts: Room for as many as there are passages: the number of each one's script.

    Returns: how many passages there are.
    """
    data, offsets, valid = texts
    counts = np.zeros(256, np.int64)  # of letters by script, of a passage
    every = np.zeros(256, np.int64)  # of a text
    to = np.int64(0)
    number = np.int64(0)
    for row in range(len(valid)):
        first[row] = number
        begin, end = offsets[row], offsets[row + 1]
        size = end - begin
        if not valid[row] or size == 0:
            continue
        several = min(places, (size + chars - 1) // chars)
        room = size // several
        every[:] = 0
        words = code_bytes = figure_bytes = sign_bytes = blob_bytes = np.int64(0)
        at = begin
        for passage in range(several):
            until = end
            if passage + 1 < several:
                until = _begin(
                    data, kinds.kinds, begin + size * (passage + 1) // several, room, end
                )
            start = to
            line_to = to
            line_words = line_code = line_signs = np.int64(0)
            counts[:] = 0
            seen = 0
            while at < until and seen < chars:
                # A word, as far as the next gap.
                word = at
                is_ascii: Scalar = True
                core = core_end = np.int64(-1)
                has_letter: Scalar = False
                has_figure: Scalar = False
                is_code: Scalar = False
                # Whether a sign that makes it code, or one that may, stands where the word goes on.
                pending: Scalar = False
                doubtful: Scalar = False
                while at < until:
                    code = np.int64(data[at])
                    wide = np.int64(1)
                    if code >= 0x80:
                        wide = min(np.int64(width(data[at])), end - at)
                        code = code_point(data, at, wide)
                    kind = kinds.kinds[code]
                    if kind == GAP or seen >= chars + BEYOND:
                        break
                    pending = pending or (doubtful and not 0x41 <= code <= 0x5A)
                    doubtful = False
                    if kind in (LETTER, FIGURE):
                        if core < 0:
                            core = at
                        core_end = at + wide
                        is_code = is_code or pending
                        has_letter = has_letter or kind == LETTER
                        has_figure = has_figure or kind == FIGURE
                    elif code < 0x80 and kind == SIGN and core >= 0:
                        sign = kinds.signs[code]
                        pending = pending or sign == CODE
                        doubtful = sign == ENDS
                    is_ascii = is_ascii and code < 0x80
                    seen += 1
                    at += wide
                stop = at
                if core < 0:
                    if is_ascii:
                        line_signs += stop - word
                    else:
                        figure_bytes += stop - word
                elif is_ascii and stop - word >= LONG:
                    blob_bytes += stop - word
                elif not has_letter or (is_ascii and has_figure and not is_code):
                    figure_bytes += stop - word
                elif is_ascii and is_code:
                    line_code += stop - word
                else:
                    if to > start:
                        out[to] = BLANK
                        to += 1
                    to = _word(data, core, core_end, end, kinds, out, to, counts)
                    line_words += core_end - core
                # The gap behind it.
                ended = at >= until
                while at < until:
                    wide = min(np.int64(width(data[at])), end - at)
                    code = code_point(data, at, wide)
                    if kinds.kinds[code] != GAP:
                        break
                    ended = ended or code == NEWLINE
                    seen += 1
                    at += wide
                if ended or at >= until or seen >= chars:
                    # Signs are code beside what is code, else no more than figures.
                    if line_code:
                        code_bytes += line_code + line_signs
                    else:
                        figure_bytes += line_signs
                        sign_bytes += line_signs
                    if line_code + line_signs > line_words:
                        code_bytes += line_words
                        to = line_to
                    else:
                        words += line_words
                    line_to = to
                    line_words = line_code = line_signs = np.int64(0)
            at = until
            if to > start:
                bounds[number] = start
                scripts[number] = _most(counts)
                every += counts
                number += 1
        read.words[row] = words
        read.code[row] = code_bytes
        read.figures[row] = figure_bytes
        read.signs[row] = sign_bytes
        read.blobs[row] = blob_bytes
        read.script[row] = _most(every)
    first[len(valid)] = number
    bounds[number] = to
    return number
