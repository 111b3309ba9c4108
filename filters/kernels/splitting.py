"""What dolma's tagger counts, in one pass: words between spaces, lines between line feeds."""

# ruff: noqa: C901, PLR0912, PLR0915 - a kernel is one flat loop.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import LETTER
from phloem.filters.kernels.tokens import SPACE, Rules
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts: the two middle lengths are added.
WORDS, MEDIAN_SUM, SYMBOL_WORDS, ALPHA_WORDS, STOP_WORDS = 0, 1, 2, 3, 4
LINES, BULLET_LINES, ELLIPSIS_LINES = 5, 6, 7
COUNTS = 8

LONGEST = 1023  # characters; a longer word counts as one of so many
LONGEST_STOP_WORD = 4  # bytes

ASCII = 0x80
NEWLINE, HASH, ASTERISK, DASH, ELLIPSIS = 0x0A, 0x23, 0x2A, 0x2D, 0x2026


@inlined
def _middle(lengths: Integers, rank: Scalar) -> Scalar:
    """The length of the word of a rank, from 0, among the words by length."""
    seen = 0
    for length in range(len(lengths)):
        seen += lengths[length]
        if seen > rank:
            return length
    return 0


@kernel
def count_split(
    texts: Strings, classes: Bytes, rules: Rules, stop_words: Integers, out: Integers
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        rules: That say what is a space to Python.
        stop_words: Of at most four letters of ASCII: a byte of 1 and its bytes.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    lengths = np.zeros(LONGEST + 1, np.int64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        at, end = offsets[row], offsets[row + 1]
        if at == end:
            continue
        lengths[:] = 0
        chars: Scalar = 0
        wide: Scalar = 0  # bytes of the word
        packed: Scalar = np.int64(1)  # so that a NUL at the beginning counts
        alpha = symbol = False
        last: Scalar = np.int64(0)
        while at <= end:
            size: Scalar = 1
            code: Scalar = np.int64(NEWLINE)  # behind the text stands one, as it were
            if at < end:
                code = np.int64(data[at])
                if code >= ASCII:
                    size = width(data[at])
                    if at + size > end:
                        size = 1
                    code = code_point(data, at, size)
            if rules.classes[code] & SPACE:
                if chars > 0:
                    counts[WORDS] += 1
                    lengths[min(chars, LONGEST)] += 1
                    counts[SYMBOL_WORDS] += symbol
                    counts[ALPHA_WORDS] += alpha
                    if wide <= LONGEST_STOP_WORD:
                        for number in range(len(stop_words)):
                            counts[STOP_WORDS] += stop_words[number] == packed
                chars = 0
                wide = 0
                packed = np.int64(1)
                alpha = symbol = False
            else:
                chars += 1
                wide += size
                packed = packed << 8 | data[at]
                alpha |= bool(classes[code] & LETTER)
                symbol |= bool(code in (HASH, ELLIPSIS))
            if at == offsets[row] or last == NEWLINE:
                counts[BULLET_LINES] += at < end and code in (ASTERISK, DASH)
            if code == NEWLINE:
                counts[LINES] += 1
                counts[ELLIPSIS_LINES] += last == ELLIPSIS
            last = code
            at += size
        if counts[WORDS] > 0:
            rank = counts[WORDS] - 1
            counts[MEDIAN_SUM] = _middle(lengths, rank // 2) + _middle(lengths, (rank + 1) // 2)
