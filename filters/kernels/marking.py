"""One pass over a text that counts the phrases, brackets and addresses of web pages."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR0917, PLR2004, SIM110 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import SPACE, UNSPACED, WORD
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts.
CHARS, BRACES, BRACKETS, ADDRESS_CHARS = 0, 1, 2, 3
PLACEHOLDERS, SCRIPT_LINES, POLICY_LINES = 4, 5, 6
COUNTS = 7

# What a byte may be the sign of.
PLAIN, PHRASE, BRACE, BRACKET, COLON, WWW, NEWLINE, BLANK, WIDE = 0, 1, 2, 3, 4, 5, 6, 7, 8

ASCII, LOWER_BIT = 0x80, 0x20
UPPER_A, UPPER_Z = 0x41, 0x5A
DOT, SLASH = 0x2E, 0x2F
LOWER_F, LOWER_H, LOWER_P, LOWER_S, LOWER_T, LOWER_W = 0x66, 0x68, 0x70, 0x73, 0x74, 0x77


class Phrases(NamedTuple):
    """Phrases as kernels take them.

    Attributes:
        letters: A phrase in lower case a row.
        sizes: Of each phrase.
        anchors: The place in each phrase of the byte that it is looked for by.
        kinds: The column of the counts that each phrase counts in.
    """

    letters: npt.NDArray[np.uint8]
    sizes: Integers
    anchors: Integers
    kinds: Integers


@inlined
def lower_byte(byte: Scalar) -> Scalar:
    """The lower case of a letter of ASCII; any other byte as it is."""
    return byte | LOWER_BIT if UPPER_A <= byte <= UPPER_Z else byte


@inlined
def stands(data: Bytes, begin: Scalar, end: Scalar, phrase: Bytes, size: Scalar) -> bool:
    """Whether a phrase in lower case stands at a place, in any case."""
    if begin + size > end:
        return False
    for number in range(size):
        if lower_byte(data[begin + number]) != phrase[number]:
            return False
    return True


@inlined
def _scheme_begin(data: Bytes, begin: Scalar, colon: Scalar, end: Scalar) -> Scalar:
    """Where `http://`, `https://` or `ftp://` begins, whose colon stands here; -1 if none does."""
    if colon + 2 >= end or data[colon + 1] != SLASH or data[colon + 2] != SLASH:
        return -1
    at = colon - 1
    if at >= begin and lower_byte(data[at]) == LOWER_S:
        at -= 1
    if at - 2 < begin or lower_byte(data[at]) != LOWER_P:
        return -1
    if lower_byte(data[at - 1]) != LOWER_T:
        return -1
    if lower_byte(data[at - 2]) == LOWER_F:
        return at - 2 if at == colon - 1 else -1
    if (
        at - 3 >= begin
        and lower_byte(data[at - 2]) == LOWER_T
        and lower_byte(data[at - 3]) == LOWER_H
    ):
        return at - 3
    return -1


@inlined
def _address(data: Bytes, at: Scalar, end: Scalar, classes: Bytes, delimits: Bytes) -> Scalar:
    """Where an address ends that goes on at a place."""
    while at < end:
        byte = data[at]
        if byte < ASCII:
            if delimits[byte]:
                break
            at += 1
            continue
        size = width(byte)
        if at + size > end:
            size = 1
        flags = classes[code_point(data, at, size)]
        if flags & UNSPACED or not flags & WORD:
            break
        at += size
    return at


@inlined
def _characters(data: Bytes, begin: Scalar, end: Scalar) -> Scalar:
    """The code points between two places."""
    found = 0
    for at in range(begin, end):
        found += data[at] < ASCII or data[at] >= 0xC0
    return found


@kernel
def count_marks(
    texts: Strings,
    classes: Bytes,
    signs: Bytes,
    delimits: Bytes,
    joins: Bytes,
    phrases: Phrases,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        signs: What each of the 256 bytes may be the sign of.
        delimits: Whether each byte of ASCII ends an address.
        joins: Whether each byte is a letter or digit of ASCII, behind which none begins with `www`.
        phrases: What is looked for.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    letters, sizes, anchors, kinds = phrases
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        begin, end = offsets[row], offsets[row + 1]
        at = begin
        free = begin  # where the last address ended
        spaces = chars = 0
        scripted = policy = False
        while at < end:
            byte = data[at]
            sign = signs[byte]
            chars += byte < ASCII or byte >= 0xC0
            if sign == PLAIN:
                at += 1
                continue
            if sign == PHRASE:
                wanted = lower_byte(byte)
                for number in range(len(sizes)):
                    first = at - anchors[number]
                    phrase = letters[number]
                    if phrase[anchors[number]] != wanted or first < begin:
                        continue
                    if stands(data, first, end, phrase, sizes[number]):
                        scripted |= kinds[number] == SCRIPT_LINES
                        policy |= kinds[number] == POLICY_LINES
                        counts[PLACEHOLDERS] += kinds[number] == PLACEHOLDERS
            elif sign == BRACE:
                counts[BRACES] += 1
                counts[BRACKETS] += 1
            elif sign == BRACKET:
                counts[BRACKETS] += 1
            elif sign == WIDE:
                size = width(byte)
                if at + size > end:
                    size = 1
                spaces += bool(classes[code_point(data, at, size)] & SPACE)
            elif sign in (COLON, WWW):
                first = np.int64(-1)
                after = at + 3
                if sign == COLON:
                    first = _scheme_begin(data, begin, at, end)
                elif (
                    at + 3 < end
                    and lower_byte(data[at + 1]) == LOWER_W
                    and lower_byte(data[at + 2]) == LOWER_W
                    and data[at + 3] == DOT
                    and (at == begin or not joins[data[at - 1]])
                ):
                    first, after = at, at + 4
                if first >= free:
                    stop = _address(data, after, end, classes, delimits)
                    if stop > after:
                        counts[ADDRESS_CHARS] += _characters(data, first, stop)
                        free = stop
            else:  # BLANK, NEWLINE: a space of ASCII
                spaces += 1
                if sign == NEWLINE:
                    counts[SCRIPT_LINES] += scripted
                    counts[POLICY_LINES] += policy
                    scripted = policy = False
            at += 1
        counts[SCRIPT_LINES] += scripted
        counts[POLICY_LINES] += policy
        counts[CHARS] = chars - spaces
