"""Where the lines of texts are, and what stands in them without the blanks around it."""

# ruff: noqa: C901, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import Bytes, Flags, Integers, Scalar, Strings, code_point, width

NEWLINE, RETURN = 0x0A, 0x0D
LEAD_NEL, LEAD_SEPARATOR = 0xC2, 0xE2  # first bytes of U+0085, and of U+2028 and U+2029


@inlined
def _end_size(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """Bytes of the line end at a place (Unicode 14.0, section 5.8, table 5-1); 0 if none is."""
    first = data[at]
    if first > RETURN and first not in (LEAD_NEL, LEAD_SEPARATOR):
        return 0  # nearly all bytes
    if first == RETURN:
        return 2 if at + 1 < end and data[at + 1] == NEWLINE else 1
    if first < RETURN:
        return 1 if first >= NEWLINE else 0
    if first == LEAD_NEL:
        return 2 if at + 1 < end and data[at + 1] == 0x85 else 0
    if at + 2 < end and data[at + 1] == 0x80 and 0xA8 <= data[at + 2] <= 0xA9:
        return 3
    return 0


@kernel
def most_ends(data: Bytes, start: Scalar, end: Scalar) -> Scalar:
    """At least as many line ends as there are between two places: that of Windows counts as two."""
    found = 0
    for at in range(start, end):
        byte = data[at]
        if byte <= RETURN:
            found += byte >= NEWLINE
        elif byte == 0x85:
            found += data[at - 1] == LEAD_NEL
        elif 0xA8 <= byte <= 0xA9:
            found += data[at - 1] == 0x80
    return found


@kernel
def find_lines(
    texts: Strings,
    blanks: Flags,
    min_chars: int,
    rows: Integers,
    starts: Integers,
    ends: Integers,
    bodies: Integers,
    bodies_ends: Integers,
) -> Scalar:
    """Find the lines with so many characters between the blanks around them; returns how many.

    Args:
        texts: In UTF-8.
        blanks: Which code points are blanks.
        min_chars: The least number of code points.
        rows: The text of each line found. Here and below there is room for all lines.
        starts: Where each line found begins.
        ends: Where it ends, its line end with it.
        bodies: Where that begins which stands between the blanks.
        bodies_ends: Where that ends.
    """
    data, offsets, valid = texts
    found = 0
    for row in range(len(valid)):
        if not valid[row]:
            continue
        at, end = offsets[row], offsets[row + 1]
        start = body = body_end = at
        seen = chars = 0  # code points since the first that is no blank; those up to the last
        while True:
            over = _end_size(data, at, end) if at < end else 0
            if at >= end or over:
                if chars >= min_chars:
                    rows[found] = row
                    starts[found] = start
                    ends[found] = at + over
                    bodies[found] = body
                    bodies_ends[found] = body_end
                    found += 1
                if at >= end:
                    break
                at += over
                start = body = body_end = at
                seen = chars = 0
                continue
            code = np.int64(data[at])
            size = 1
            if code >= 0x80:
                size = width(data[at])
                if at + size > end:
                    size = 1
                code = code_point(data, at, size)
            at += size
            if blanks[code]:
                seen += seen > 0
            else:
                if seen == 0:
                    body = at - size
                seen += 1
                chars = seen
                body_end = at
    return found
