"""One pass over the bytes that finds what may be an e-mail address, IP address or phone number."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings

# Kinds of candidates.
EMAIL, IPV4, IPV6, NUMBER = 0, 1, 2, 3

# Classes of bytes.
HEX_COLON, DIGIT, OPENER, WORD, LOCAL, DOMAIN, SEPARATOR = 1, 2, 4, 8, 16, 32, 64
CUE = 128  # no candidate is without one; all other bytes are passed over

AT, COLON, DOT, HYPHEN, PLUS, OPEN = 0x40, 0x3A, 0x2E, 0x2D, 0x2B, 0x28

LOCAL_BYTES = b"._%+'-"
SEPARATOR_BYTES = b" -./()"
MAX_SEPARATORS = 3  # between two digits, as in ") - "
MIN_DIGITS, MAX_DIGITS = 7, 17  # E.164 allows 15; two more for a trunk prefix as in +44 (0)…
MIN_IPV6 = 8  # bytes; a global address begins with four digits of 2000::/3


def byte_classes() -> Bytes:
    """The classes of every byte."""
    table = np.zeros(256, np.uint8)
    letters = bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B))
    digits = bytes(range(0x30, 0x3A))
    for chars, bit in (
        (digits + b"abcdefABCDEF:", HEX_COLON),
        (digits, DIGIT),
        (b"+(", OPENER),
        (letters + digits + b"_", WORD),
        (letters + digits + LOCAL_BYTES, LOCAL),
        (letters + digits + b".-", DOMAIN),
        (SEPARATOR_BYTES, SEPARATOR),
        (digits + b"+(:@", CUE),
    ):
        table[list(chars)] |= bit
    return table


@inlined
def _quad_end(data: Bytes, at: Scalar, end: Scalar, table: Bytes) -> Scalar:
    """Where a dotted quad of decimal numbers that begins here ends; -1 if there is none."""
    for part in range(4):
        digits = 0
        while at < end and digits < 4 and table[data[at]] & DIGIT:
            digits += 1
            at += 1
        if digits == 0 or digits > 3:
            return -1
        if part < 3:
            if at >= end or data[at] != DOT:
                return -1
            at += 1
    if at < end and table[data[at]] & WORD:
        return -1
    if at + 1 < end and (data[at] == DOT or data[at] == HYPHEN) and table[data[at + 1]] & DIGIT:
        return -1
    return at


@inlined
def _separator(data: Bytes, at: Scalar, end: Scalar, table: Bytes) -> Scalar:
    """Bytes of the separator here: an ASCII one, U+00A0, or U+2010 to U+2013; else 0."""
    if table[data[at]] & SEPARATOR:
        return 1
    if data[at] == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
        return 2
    if data[at] == 0xE2 and at + 2 < end and data[at + 1] == 0x80 and 0x90 <= data[at + 2] <= 0x93:
        return 3
    return 0


@inlined
def _number(data: Bytes, at: Scalar, end: Scalar, table: Bytes, out: Integers) -> None:
    """The end of the number that begins here, its digits, and whether separators part them.

    Without a digit, the end is that of the openers: no number begins among them.
    """
    digits = parted = 0
    while at < end and table[data[at]] & OPENER:
        at += 1
    last = at
    while at < end:
        if table[data[at]] & DIGIT:
            digits += 1
            at += 1
            last = at
            continue
        separators = 0
        ahead = at
        while ahead < end and separators < MAX_SEPARATORS:
            size = _separator(data, ahead, end, table)
            if size == 0:
                break
            separators += 1
            ahead += size
        if digits == 0 or separators == 0 or ahead >= end or not table[data[ahead]] & DIGIT:
            break
        parted = 1
        at = ahead
    out[0], out[1], out[2] = last, digits, parted


@inlined
def _write(
    found: Integers, count: Scalar, row: Scalar, start: Scalar, end: Scalar, kind: Scalar
) -> None:
    """Write a candidate behind so many others, if there is room."""
    if count < len(found):
        found[count, 0] = row
        found[count, 1] = start
        found[count, 2] = end
        found[count, 3] = kind


@kernel
def scan(texts: Strings, table: Bytes, found: Integers) -> Scalar:
    """Write candidates as rows of (text, start, end, kind); returns how many there are.

    More than `found` holds are counted and not written: call again with more room.

    Args:
        texts: In UTF-8.
        table: Of `byte_classes`.
        found: Room; starts and ends are bytes from the text's beginning.
    """
    data, offsets, valid = texts
    count = 0
    number = np.zeros(3, np.int64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, end = offsets[row], offsets[row + 1]
        email_end = number_end = hex_end = start
        at = start
        while at < end:
            flags = table[data[at]]
            if not flags & CUE:
                at += 1
                continue
            kind = -1
            first = at
            last = at + 1
            if data[at] == COLON:
                if at >= hex_end:
                    while first > hex_end and table[data[first - 1]] & HEX_COLON:
                        first -= 1
                    colons = 1
                    while last < end and table[data[last]] & HEX_COLON:
                        colons += data[last] == COLON
                        last += 1
                    hex_end = last
                    if colons >= 2 and last - first >= MIN_IPV6:
                        kind = IPV6
            elif data[at] == AT:
                while first > email_end and table[data[first - 1]] & LOCAL:
                    first -= 1
                while last < end and table[data[last]] & DOMAIN:
                    last += 1
                if first < at and last > at + 3:
                    kind = EMAIL
                    email_end = last
            elif at >= number_end and (at == start or not table[data[at - 1]] & WORD):
                quad = np.int64(-1)
                if flags & DIGIT and (at == start or data[at - 1] != DOT):
                    quad = _quad_end(data, at, end, table)
                if quad >= 0:
                    kind = IPV4
                    last = number_end = quad
                else:
                    _number(data, at, end, table, number)
                    last = number_end = number[0]
                    wordy = last < end and table[data[last]] & WORD
                    plus = data[at] == PLUS or (
                        data[at] == OPEN and at + 1 < end and data[at + 1] == PLUS
                    )
                    likely = plus or number[2] or data[at] == 0x30
                    if MIN_DIGITS <= number[1] <= MAX_DIGITS and not wordy and likely:
                        kind = NUMBER
            if kind >= 0:
                _write(found, count, row, first - start, last - start, kind)
                count += 1
            at += 1
    return count
