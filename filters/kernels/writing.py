"""One pass over a text that counts its letters by script."""

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import kernel
from phloem.filters.kernels.classes import LETTER
from phloem.filters.kernels.utf8 import (
    BLOCK,
    Bytes,
    Integers,
    Scalar,
    Strings,
    ascii_end,
    code_point,
    width,
)

ASCII = 0x80
LOWER_BIT, LOWER_A, LETTERS = 0x20, 0x61, 26


@kernel
def count_scripts(
    texts: Strings, classes: Bytes, scripts: Bytes, latin: np.int64, out: Integers
) -> None:
    """Fill one row of counts for each valid text: letters of each script.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        scripts: The number of each code point's script.
        latin: The number of the script of ASCII's letters.
        out: Zeros, one row a text, one column a script.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            stop = ascii_end(data, at, end)
            found: Scalar = 0
            for place in range(at, stop):
                found += np.uint8((data[place] | LOWER_BIT) - LOWER_A) < LETTERS
            counts[latin] += found
            at = stop
            stop = min(at + BLOCK, end)
            while at < stop:
                size: Scalar = width(data[at])
                if at + size > end:
                    size = 1
                code = code_point(data, at, size)
                if classes[code] & LETTER:
                    counts[scripts[code]] += 1
                at += size
