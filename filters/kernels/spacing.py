"""The rewrite of blanks and line ends, and what decides whether a text keeps its own."""

# ruff: noqa: C901, PLR0911, PLR0912, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import (
    Bytes,
    Flags,
    Integers,
    Scalar,
    Strings,
    code_point,
    width,
)

# Kinds of code points for `clean`.
KEEP, BLANK, TAB, BREAK, DROP = 0, 1, 2, 3, 4

# Kinds of bytes for `clean`: one that begins only what is kept; the blank and the line feed, kept
# where one alone parts two of the first kind; all else. A byte may be copied where it and the next
# come to less than OTHER.
PLAIN, PARTING, OTHER = 0, 1, 2

NEWLINE, RETURN, TABULATOR, BLANKSPACE = 0x0A, 0x0D, 0x09, 0x20
QUOTE, APOSTROPHE, OPENING, CLOSING, COMMA, COLON, EQUALS = map(ord, "\"'(),:=")
AT, DASH = ord("@"), ord("-")


@inlined
def _copied(data: Bytes, at: Scalar, end: Scalar, firsts: Bytes, out: Bytes, to: Scalar) -> Scalar:
    """Copy the words that follow, as far as one blank or line feed parts them; returns how much.

    Most of a text is copied here.
    """
    text = data[at:end]  # from 0 on, numba need not ask whether a place is negative
    size = 0
    if len(text) > 0:
        own = firsts[text[0]]
        size = len(text)
        for place in range(1, len(text)):
            ahead = firsts[text[place]]
            if own + ahead >= OTHER:  # a gap and no word behind it, or what must be looked at
                size = place
                break
            own = ahead
        if own != PLAIN:
            size -= 1
    into = out[to : to + size]
    for place in range(size):
        into[place] = text[place]
    return size


@inlined
def _is_word(byte: Scalar) -> Scalar:
    """Whether a byte is an ASCII letter, digit or underscore."""
    upper = byte & 0xDF
    return 0x41 <= upper <= 0x5A or 0x30 <= byte <= 0x39 or byte == 0x5F


@inlined
def _is_sign(data: Bytes, place: Scalar, at: Scalar, end: Scalar) -> Scalar:
    """Whether a sign of source code begins here: those that `unicode.py` lists."""
    left = end - place
    byte = data[place]
    if byte in (QUOTE, APOSTROPHE):
        return left > 2 and data[place + 1] == byte and data[place + 2] == byte
    if byte == OPENING:
        called = place > at and _is_word(data[place - 1])
        return called and left > 1 and data[place + 1] in (QUOTE, APOSTROPHE)
    if byte == AT:
        hunk = left > 4 and data[place + 1] == AT and data[place + 2] == BLANKSPACE
        return hunk and data[place + 3] == DASH and 0x30 <= data[place + 4] <= 0x39
    if byte == COMMA:
        return left > 2 and data[place + 1] == QUOTE and _is_word(data[place + 2])
    if byte == EQUALS:
        skip = 2 if left > 1 and data[place + 1] == BLANKSPACE else 1
        return left > skip and data[place + skip] in (QUOTE, APOSTROPHE, OPENING, 0x5B, 0x7B)
    if byte == CLOSING and left > 2 and data[place + 1] == COLON:
        after = place + 2
        ended = data[after] in (NEWLINE, RETURN)
        if data[after] == RETURN and left > 3 and data[after + 1] == NEWLINE:
            after += 1
        return ended and after + 1 < end and data[after + 1] in (BLANKSPACE, TABULATOR)
    return False


@inlined
def _keeps_form(data: Bytes, at: Scalar, end: Scalar, signs: Flags) -> Scalar:
    """Whether a text is source code by a sign of it, or a table with a tab in half its lines."""
    first = at  # of the line: once it is `known`, its first byte that is no blank
    known = False
    lines = 0
    rows = 0
    counted = False  # whether the line is a row
    for place in range(at, end):
        byte = data[place]
        if not signs[byte]:
            continue
        if byte not in (NEWLINE, RETURN, TABULATOR):
            if _is_sign(data, place, at, end):
                return True
            continue
        if not known:
            while first < place and data[first] <= BLANKSPACE:
                first += 1
            known = first < place
        if byte == TABULATOR:
            rows += known and not counted
            counted = counted or known
        else:
            lines += known
            first = place + 1
            known = counted = False
    while first < end and data[first] <= BLANKSPACE:
        first += 1
    lines += first < end
    return rows > 1 and 2 * rows >= lines


@inlined
def _unified(data: Bytes, at: Scalar, end: Scalar, out: Bytes, to: Scalar) -> Scalar:
    """Write a text with line feeds for its returns, and none at its ends."""
    begin = to
    while at < end and data[at] in (NEWLINE, RETURN):
        at += 1
    while at < end:
        byte: Scalar = data[at]
        if byte == RETURN:
            byte = NEWLINE
            if at + 1 < end and data[at + 1] == NEWLINE:
                at += 1
        out[to] = byte
        to += 1
        at += 1
    while to > begin and out[to - 1] == NEWLINE:
        to -= 1
    return to


@inlined
def _laid_out(
    out: Bytes, begin: Scalar, to: Scalar, data: Bytes, at: Scalar, end: Scalar, kinds: Bytes
) -> Scalar:
    """Whether blanks place what stands in a line, and where the line ends.

    Args:
        out: What is written of the line, behind the last line feed.
        begin: Where the text begins in it.
        to: Where it ends.
        data: The rest of the line.
        at: Where it begins, with a blank.
        end: Where the text ends.
        kinds: Of each code point.
    """
    start = to
    while start > begin and out[start - 1] != NEWLINE:
        start -= 1
    laid = to - start > 1 and (
        out[start] == TABULATOR or (out[start] == BLANKSPACE and out[start + 1] <= BLANKSPACE)
    )
    spaces = 0
    last: Scalar = 0  # the code point before, 0 for a blank
    while start < to:
        code = np.int64(out[start])
        if code == TABULATOR:
            laid = True
        elif code == BLANKSPACE:
            spaces += 1
            last = 0
        else:
            laid = laid or spaces > 2 or (last in (COMMA, 0x3B, 0x7C) and _is_letter(code))
            spaces = 0
            last = code
        start += 1
    tabs = foreign = False
    spaces = 0
    last = 0
    while at < end:
        size = width(data[at])
        if at + size > end:
            size = 1
        code = code_point(data, at, size)
        kind = kinds[code]
        if kind == BREAK:
            break
        if kind in (BLANK, TAB):
            tabs = tabs or kind == TAB
            foreign = foreign or code > 0x20
            spaces += 1
            last = 0
        elif kind == KEEP:
            laid = laid or tabs or (spaces > 2 and not foreign)
            laid = laid or (last in (COMMA, 0x3B, 0x7C) and _is_letter(code))
            tabs = foreign = False
            spaces = 0
            last = code
        at += size
    return laid, at


@inlined
def _is_letter(code: Scalar) -> Scalar:
    """Whether a code point is an ASCII letter."""
    return 0x41 <= (code & ~0x20) <= 0x5A


@inlined
def _ends_sentence(out: Bytes, begin: Scalar, to: Scalar) -> Scalar:
    """Whether a sentence, or a part of one, ends here: with a mark, or a mark and a closing one."""
    if to > begin and out[to - 1] in (0x21, 0x2E, 0x3F):
        return True
    closed = to - 1 > begin and out[to - 1] in (QUOTE, APOSTROPHE, CLOSING)
    return closed and out[to - 2] in (0x21, 0x2E, 0x3F)


@inlined
def _clean_one(
    data: Bytes, at: Scalar, end: Scalar, kinds: Bytes, firsts: Bytes, out: Bytes, to: Scalar
) -> Scalar:
    """Write the clean form of one text of prose from `to` on.

    Returns where it ends, and whether anything changed but line ends and what stands at both ends.
    """
    begin = to
    feeds = 0  # line ends not yet written
    blanks = 0  # where the pending blanks begin and end in the input
    blanks_end = 0
    fresh = True  # whether nothing but blanks stands on this line yet
    changed = False
    laid = False  # whether blanks place what stands in a line, and where the line that was asked
    laid_end = np.int64(-1)  # about ends
    while at < end:
        size = width(data[at])
        if at + size > end:
            size = 1
        code = code_point(data, at, size)
        kind = kinds[code]
        if kind == DROP:
            changed = True
        elif kind == BREAK:
            changed = changed or blanks_end > 0 or code not in (NEWLINE, RETURN)
            if code == RETURN and at + 1 < end and data[at + 1] == NEWLINE:
                at += 1
            feeds += 1
            fresh = True
            blanks = blanks_end = 0
        elif kind in (BLANK, TAB):
            if blanks_end == 0:
                blanks = at
            blanks_end = at + size
        else:
            if to > begin:
                changed = changed or feeds > 2
                for _ in range(min(feeds, 2)):
                    out[to] = NEWLINE
                    to += 1
            if blanks_end == blanks + 1 and data[blanks] == BLANKSPACE:
                out[to] = BLANKSPACE
                to += 1
            elif blanks_end:
                spaces = 0
                tabs = foreign = False
                place = blanks
                while place < blanks_end:
                    wide = width(data[place])
                    other = code_point(data, place, wide)
                    if kinds[other] != DROP:
                        spaces += 1
                        tabs = tabs or kinds[other] == TAB
                        foreign = foreign or other > 0x20
                    place += wide
                changed = changed or foreign
                one = False
                if not (fresh or tabs) and spaces > 1:
                    gap = spaces == 2 and not 0x30 <= code <= 0x39
                    if foreign or (gap and _ends_sentence(out, begin, to)):
                        if blanks >= laid_end:
                            laid, laid_end = _laid_out(out, begin, to, data, blanks, end, kinds)
                        one = not laid
                if one:
                    out[to] = BLANKSPACE
                    to += 1
                    changed = True
                else:
                    place = blanks
                    while place < blanks_end:
                        wide = width(data[place])
                        what = kinds[code_point(data, place, wide)]
                        if what != DROP:
                            out[to] = TABULATOR if what == TAB else BLANKSPACE
                            to += 1
                        place += wide
            feeds = blanks = blanks_end = 0
            fresh = False
            for number in range(size):
                out[to] = data[at + number]
                to += 1
            at += size
            same = _copied(data, at, end, firsts, out, to)
            at += same
            to += same
            continue
        at += size
    return to, changed or blanks_end > 0


@kernel
def clean(
    texts: Strings, kinds: Bytes, firsts: Bytes, signs: Flags, out: Bytes, bounds: Integers
) -> None:
    """Write the clean form of every text.

    Args:
        texts: In UTF-8.
        kinds: KEEP, BLANK, TAB, BREAK or DROP of each code point.
        firsts: PLAIN, PARTING or OTHER of each byte.
        signs: The bytes that a sign of source code begins with, tabs and line ends.
        out: Room for as many bytes as there are.
        bounds: One more than there are texts: where each begins in `out`, and the end.
    """
    data, offsets, valid = texts
    to = np.int64(0)
    for row in range(len(valid)):
        bounds[row] = to
        if valid[row]:
            at, end = offsets[row], offsets[row + 1]
            until, changed = _clean_one(data, at, end, kinds, firsts, out, to)
            if changed and _keeps_form(data, at, end, signs):
                until = _unified(data, at, end, out, to)
            to = until
    bounds[len(valid)] = to
