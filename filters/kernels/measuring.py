"""One pass over a text that measures its lines and counts its letters and numbers."""

# ruff: noqa: PLR2004 - a kernel compares bytes with the numbers they are.

from __future__ import annotations

from phloem.filters.kernels import kernel
from phloem.filters.kernels.classes import DIGIT, LETTER, NUMBER
from phloem.filters.kernels.utf8 import Bytes, Flags, Integers, Strings, code_point, width

# Columns of the counts.
CHARS, LETTERS, NUMBERS, LINES, LINE_CHARS, LONGEST = 0, 1, 2, 3, 4, 5
COUNTS = 6


@kernel
def measure(texts: Strings, flags: Bytes, out: Integers) -> None:
    """Fill one row of counts for each valid text.

    A line is what stands between line feeds, blank or not; behind the last line feed there is none
    if nothing stands there.

    Args:
        texts: In UTF-8.
        flags: The class of each code point.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        at, end = offsets[row], offsets[row + 1]
        chars = letters = numbers = lines = longest = line = ends = 0
        while at < end:
            byte = data[at]
            size = width(byte)
            if at + size > end:
                size = 1
            own = flags[byte] if size == 1 else flags[code_point(data, at, size)]
            chars += 1
            line += 1
            if own & LETTER:
                letters += 1
            elif own & (DIGIT | NUMBER):
                numbers += 1
            if byte == 0x0A:
                lines += 1
                ends += 1
                longest = max(longest, line - 1)
                line = 0
            at += size
        if line:
            lines += 1
            longest = max(longest, line)
        out[row, CHARS] = chars
        out[row, LETTERS] = letters
        out[row, NUMBERS] = numbers
        out[row, LINES] = lines
        out[row, LINE_CHARS] = chars - ends
        out[row, LONGEST] = longest


# Columns of the counts of special characters.
ALL, SPECIAL, WORDS = 0, 1, 2
SPECIAL_COUNTS = 3


@kernel
def special(texts: Strings, is_special: Flags, out: Integers) -> None:
    """Fill one row of counts for each valid text: its characters, the special ones, its words.

    A word stands between blanks, tabs and line feeds and holds a character that is not special.

    Args:
        texts: In UTF-8.
        is_special: One flag for each code point; the three that part words have it.
        out: Zeros, one row a text, SPECIAL_COUNTS columns.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        at, end = offsets[row], offsets[row + 1]
        chars = specials = words = 0
        inside = False
        while at < end:
            byte = data[at]
            size = width(byte)
            if at + size > end:
                size = 1
            code = code_point(data, at, size)
            chars += 1
            if is_special[code]:
                specials += 1
                if byte in (0x20, 0x09, 0x0A):
                    inside = False
            elif not inside:
                inside = True
                words += 1
            at += size
        out[row, ALL] = chars
        out[row, SPECIAL] = specials
        out[row, WORDS] = words
