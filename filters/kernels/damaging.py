"""One pass over a text that counts signs of a wrong decoding."""

# ruff: noqa: C901, PLR0912, PLR2004 - a kernel is one flat loop, and compares bytes with the
# numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import (
    BLOCK,
    Bytes,
    Flags,
    Integers,
    Scalar,
    Strings,
    ascii_end,
    code_point,
    width,
)

# Columns of the counts.
REPLACED, MOJIBAKE, ZAWGYI = 0, 1, 2
KINDS = 3

# Bits of the table of parts: what begins a pair and what ends it, in Windows-1252 and 1251; what
# stands before a sign of Burmese; a consonant of it.
LEAD2, LEAD3, SIGN, TRAIL, CAPITAL, CYRILLIC, BASE, CONSONANT = 1, 2, 4, 8, 16, 32, 64, 128

BEGINS = LEAD2 | LEAD3 | CAPITAL

VOWEL_E, VIRAMA, MEDIAL_YA = 0x1031, 0x1039, 0x103B
EURO, REPLACEMENT = 0x20AC, 0xFFFD
ALONE = (VOWEL_E, VIRAMA, MEDIAL_YA, REPLACEMENT)
"""Code points that are looked at without a bit of theirs."""


@inlined
def _next(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """The code point at a place, and its size; 0 at the end."""
    if at >= end:
        return np.int64(0), 0
    size = width(data[at])
    if at + size > end:
        size = 1
    return code_point(data, at, size), size


@kernel
def damage(texts: Strings, parts: Bytes, firsts: Flags, out: Integers) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        parts: The bits of each code point.
        firsts: The bytes that one of a wrong decoding may begin with.
        out: Zeros, one row a text, KINDS columns.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        at, end = offsets[row], offsets[row + 1]
        begin = at
        replaced = mojibake = zawgyi = 0
        while at < end:
            at = ascii_end(data, at, end)
            stop = min(at + BLOCK, end)
            while at < stop:
                byte = data[at]
                if not firsts[byte]:
                    at += 1
                    continue
                size = width(byte)
                if at + size > end:
                    size = 1
                code = code_point(data, at, size)
                own = parts[code]
                place = at + size
                if code == REPLACEMENT:
                    replaced += 1
                elif code == VIRAMA:
                    after, _ = _next(data, place, end)
                    zawgyi += not parts[after] & CONSONANT
                elif code in (VOWEL_E, MEDIAL_YA):
                    held = at - begin >= 3 and data[at - 3] >= 0xE0
                    zawgyi += not (held and parts[code_point(data, at - 3, 3)] & BASE)
                elif place < end and own & BEGINS and data[place] >= 0x80:
                    after, wide = _next(data, place, end)
                    if own & LEAD2:
                        mojibake += parts[after] & SIGN > 0
                    elif own & CAPITAL:
                        mojibake += parts[after] & CYRILLIC > 0
                    elif after == EURO:
                        mojibake += 1
                    elif parts[after] & SIGN:
                        third, _ = _next(data, place + wide, end)
                        mojibake += parts[third] & TRAIL > 0
                at = place
        out[row, REPLACED] = replaced
        out[row, MOJIBAKE] = mojibake
        out[row, ZAWGYI] = zawgyi
