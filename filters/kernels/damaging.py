"""One pass over a text that counts signs of a wrong decoding."""

# ruff: noqa: C901, PLR0912, PLR2004 - a kernel is one flat loop, and compares bytes with the
# numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts.
REPLACED, MOJIBAKE, ZAWGYI = 0, 1, 2
KINDS = 3

# Bits of the table of parts: what begins a pair and what ends it, in Windows-1252 and 1251; what
# stands before a sign of Burmese; a consonant of it.
LEAD2, LEAD3, SIGN, TRAIL, CAPITAL, CYRILLIC, BASE, CONSONANT = 1, 2, 4, 8, 16, 32, 64, 128

VOWEL_E, VIRAMA, MEDIAL_YA = 0x1031, 0x1039, 0x103B
EURO = 0x20AC


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
def damage(texts: Strings, parts: Bytes, out: Integers) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        parts: The bits of each code point.
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
            byte = data[at]
            if byte == 0xC3 and at + 2 < end and data[at + 2] >= 0x80:  # U+00C0 to U+00FF
                own = parts[code_point(data, at, 2)]
                if own & (LEAD2 | LEAD3):
                    code, size = _next(data, at + 2, end)
                    if own & LEAD2:
                        mojibake += parts[code] & SIGN > 0
                    elif code == EURO:
                        mojibake += 1
                    elif parts[code] & SIGN:
                        after, _ = _next(data, at + 2 + size, end)
                        mojibake += parts[after] & TRAIL > 0
                at += 2
            elif byte == 0xD0 and at + 2 < end and data[at + 2] in (0xC2, 0xE2):
                if parts[code_point(data, at, 2)] & CAPITAL:
                    code, _ = _next(data, at + 2, end)
                    mojibake += parts[code] & CYRILLIC > 0
                at += 2
            elif byte == 0xE1 and at + 2 < end and data[at + 1] == 0x80:  # U+1000 to U+103F
                code = code_point(data, at, 3)
                if code == VIRAMA:
                    after, _ = _next(data, at + 3, end)
                    zawgyi += not parts[after] & CONSONANT
                elif code in (VOWEL_E, MEDIAL_YA):
                    held = at - begin >= 3 and data[at - 3] >= 0xE0
                    zawgyi += not (held and parts[code_point(data, at - 3, 3)] & BASE)
                at += 3
            elif byte == 0xEF and at + 2 < end:
                replaced += data[at + 1] == 0xBF and data[at + 2] == 0xBD
                at += 3
            else:
                at += 1
        out[row, REPLACED] = replaced
        out[row, MOJIBAKE] = mojibake
        out[row, ZAWGYI] = zawgyi
