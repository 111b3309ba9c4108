"""One pass over a text that measures how much of it repeats."""

# ruff: noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import SPACE
from phloem.filters.kernels.hashing import BASIS, PRIME, fold, mix
from phloem.filters.kernels.shingling import MULTIPLIER, words
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]

# Columns of the counts.
CHARS, LINES, DUP_LINES, DUP_LINE_CHARS = 0, 1, 2, 3
PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS = 4, 5, 6
WORD_CHARS, TOP, REPEATED = 7, 8, 11  # three top n-grams (2-4), then six repeated (5-10)
COUNTS = 17
TOP_SIZES = (2, 3, 4)
REPEATED_SIZES = (5, 6, 7, 8, 9, 10)

# Kinds of bytes: one that begins no space, the blank, one that may begin another space.
PLAIN, BLANK, OTHER = 0, 1, 2

NEWLINE = 0x0A
OF_PARAGRAPHS = PRIME  # that no paragraph has the hash of a line: one table holds both


@inlined
def _mask(count: Scalar) -> Scalar:
    """The last place of a table for so many keys: a power of two, at most half full."""
    places = np.int64(4)
    while places < 2 * count:
        places *= 2
    return places - 1


@inlined
def _place(keys: Hashes, stamps: Numbers, stamp: Scalar, last: Scalar, key: np.uint64) -> Scalar:
    """Where a key lies in the open-addressed table, or the free place for it."""
    place = np.int64(key & np.uint64(last))
    while stamps[place] == stamp and keys[place] != key:
        place = (place + 1) & last
    return place


@inlined
def _known(keys: Hashes, stamps: Numbers, stamp: Scalar, last: Scalar, key: np.uint64) -> bool:
    """Whether the table held a key before; it does now."""
    place = _place(keys, stamps, stamp, last, key)
    known = stamps[place] == stamp
    stamps[place] = stamp
    keys[place] = key
    return bool(known)


@inlined
def _chars(data: Bytes, start: Scalar, end: Scalar) -> Scalar:
    """Code points: bytes that do not continue one."""
    text = data[start:end]
    found = 0
    for place in range(len(text)):
        found += text[place] & 0xC0 != 0x80
    return found


@inlined
def _segments(
    data: Bytes,
    start: Scalar,
    end: Scalar,
    classes: Bytes,
    firsts: Bytes,
    keys: Hashes,
    stamps: Numbers,
    stamp: Scalar,
    last: Scalar,
    counts: Integers,
) -> None:
    """Count lines and paragraphs, and the second and later occurrences of each.

    A line is what stands between line feeds, a paragraph what stands between two or more with only
    spaces between them, both without the spaces at their ends; blank ones do not count. Bytes are
    hashed: into a line's hash, and the hashes of lines and of what parts them into a paragraph's.
    """
    at = stop = start  # `stop` is behind the last character that is no space
    in_line = in_paragraph = False
    line_start = paragraph_start = start
    line = paragraph = BASIS
    while True:
        feeds, gap = 0, BASIS
        while at < end and firsts[data[at]] != PLAIN:
            size = width(data[at])
            if at + size > end:
                size = 1
            code = code_point(data, at, size)
            if not classes[code] & SPACE:
                break
            feeds += code == NEWLINE
            gap = fold(gap, code)
            at += size
        if in_line and (feeds > 0 or at >= end):
            key = mix(line)
            counts[LINES] += 1
            if _known(keys, stamps, stamp, last, key):
                counts[DUP_LINES] += 1
                counts[DUP_LINE_CHARS] += _chars(data, line_start, stop)
            in_line = False
            paragraph = (paragraph ^ key) * MULTIPLIER
        if in_paragraph and (feeds > 1 or at >= end):
            counts[PARAGRAPHS] += 1
            if _known(keys, stamps, stamp, last, mix(paragraph)):
                counts[DUP_PARAGRAPHS] += 1
                counts[DUP_PARAGRAPH_CHARS] += _chars(data, paragraph_start, stop)
            in_paragraph = False
        if at >= end:
            break
        if in_line:
            line = (line ^ gap) * MULTIPLIER
        else:
            in_line, line_start, line = True, at, BASIS
            if in_paragraph:
                paragraph = (paragraph ^ gap) * MULTIPLIER
            else:
                in_paragraph, paragraph_start, paragraph = True, at, OF_PARAGRAPHS
        own = firsts[data[at]]
        if own == PLAIN:  # most of a line: words with one space between them
            while at + 1 < end:
                ahead = firsts[data[at + 1]]
                if own + ahead >= OTHER:
                    break
                line = fold(line, data[at])
                at += 1
                own = ahead
            if own == PLAIN:
                line = fold(line, data[at])
                at += 1
        else:  # a character that begins as a space does
            line = fold(line, code)
            at += size
        stop = at


@inlined
def _grams(
    hashes: Hashes,
    sums: Integers,
    count: Scalar,
    keys: Hashes,
    stamps: Numbers,
    times: Integers,
    stamp: Scalar,
    grams: Hashes,
    starts: Integers,
    places: Integers,
    counts: Integers,
) -> Scalar:
    """Measure top and repeated n-grams of each size; returns the last stamp that was used.

    Only what recurs is measured, and an n-gram that recurs is made of two shorter ones that do: of
    each size, those alone are looked at that begin where such stand one behind the other.
    """
    left = count - 1
    for start in range(left):
        starts[start] = start
        grams[start] = hashes[start] * MULTIPLIER
    for size in range(TOP_SIZES[0], REPEATED_SIZES[-1] + 1):
        if size > TOP_SIZES[0]:
            kept = 0
            for number in range(left - 1):
                if starts[number + 1] == starts[number] + 1:
                    starts[kept] = starts[number]
                    kept += 1
            left = kept
        if left <= 0:
            break
        stamp += np.uint32(1)
        last = _mask(left)
        most: Scalar = np.int64(1)
        found = np.int64(0)
        for number in range(left):
            start = starts[number]
            grams[start] = (grams[start] + hashes[start + size - 1]) * MULTIPLIER
            key = mix(grams[start])
            place = _place(keys, stamps, stamp, last, key)
            if stamps[place] != stamp:
                stamps[place] = stamp
                keys[place] = key
                times[place] = 0
            times[place] += 1
            places[number] = place
            often = times[place]
            if size < REPEATED_SIZES[0] and often > 1 and often >= most:
                chars = (sums[start + size] - sums[start]) * often
                if often > most or chars > found:
                    most = often
                    found = chars
        kept = free = 0
        for number in range(left):
            start, often = starts[number], times[places[number]]
            if often == 1:
                continue
            starts[kept] = start
            kept += 1
            if size >= REPEATED_SIZES[0] and start >= free:
                if often < 0:  # it stood before: the search goes on behind it
                    found += sums[start + size] - sums[start]
                    free = start + size
                else:
                    times[places[number]] = -often
        left = kept
        counts[TOP + size - TOP_SIZES[0]] = found
    return stamp


@kernel
def repeats(
    texts: Strings,
    classes: Bytes,
    firsts: Bytes,
    lower: Numbers,
    keys: Hashes,
    stamps: Numbers,
    times: Integers,
    hashes: Hashes,
    grams: Hashes,
    room: Integers,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        firsts: PLAIN, BLANK or OTHER of each byte.
        lower: Lower case of each code point.
        keys: A table of a power of two places, at least twice the bytes of the longest text.
        stamps: Zeros, as long: which use of the table a place belongs to.
        times: As long: how often a key was seen.
        hashes: As long as the longest text, and one more: word hashes.
        grams: As long: the hashes of the n-grams that begin at a word.
        room: Four rows, as long: word lengths, characters before a word, and what recurs.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    chars, sums, starts, places = room[0], room[1], room[2], room[3]
    stamp = np.uint32(0)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        start, end = offsets[row], offsets[row + 1]
        feeds = 0
        for at in range(start, end):
            feeds += data[at] == NEWLINE
        if stamp > np.uint32(0xFFFFFF00):
            stamps[:] = 0
            stamp = np.uint32(0)
        stamp += np.uint32(1)
        counts[CHARS] = _chars(data, start, end)
        last = _mask(min(2 * feeds + 2, end - start + 1))  # no more lines and paragraphs
        _segments(data, start, end, classes, firsts, keys, stamps, stamp, last, counts)
        count = words(data, start, end, classes, lower, True, False, hashes, chars)
        sums[0] = 0
        for number in range(count):
            hashes[number] = mix(hashes[number])
            sums[number + 1] = sums[number] + chars[number]
        counts[WORD_CHARS] = sums[count]
        stamp = _grams(
            hashes, sums, count, keys, stamps, times, stamp, grams, starts, places, counts
        )
