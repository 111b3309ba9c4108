"""One pass over a text's words that counts how often each occurs and how long they are."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR0917 - a kernel is one flat loop
# over arrays that are handed to it one by one.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import DIGIT, LETTER, SPACE, UNSPACED, UPPER, WORD
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts: the two middle lengths are added; what the entropy is made of.
WORDS, DISTINCT, CAPITALS, MEDIAN_SUM, LOG_SUM = 0, 1, 2, 3, 4
COUNTS = 5

LONGEST = 1023  # characters; a longer word counts as one of so many
CAPITAL_LETTERS = 2  # a word of one capital is no word in capitals: I, A

ASCII = 0x80


@inlined
def times_log(count: Scalar, logs: Integers) -> Scalar:
    """A count times its logarithm; above the table's end the logarithm of its highest bits."""
    high, shift = count, 0
    while high >= len(logs):
        high >>= 1
        shift += 1
    return count * (logs[high] + shift * logs[2])


@inlined
def _add(slots: np.ndarray, times: Integers, last: Scalar, word: np.uint64) -> Scalar:
    """Count a word in an open-addressed table; how often it has stood now."""
    key = word if word != np.uint64(0) else np.uint64(1)
    place = np.int64(key & np.uint64(last))
    while slots[place] != np.uint64(0) and slots[place] != key:
        place = (place + 1) & last
    if slots[place] == np.uint64(0):
        slots[place] = key
        times[place] = 0
    times[place] += 1
    return times[place]


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
def count_words(
    texts: Strings,
    classes: Bytes,
    lower: np.ndarray,
    logs: Integers,
    words: np.ndarray,
    slots: np.ndarray,
    times: Integers,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        lower: Lower case of each code point.
        logs: The binary logarithm of each number from 1 on, in a fixed point.
        words: Room for the hash of each word of the longest text.
        slots: Room for an open-addressed table of them: a power of two, at least twice as many.
        times: As long as `slots`.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    lengths = np.zeros(LONGEST + 1, np.int64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        at, end = offsets[row], offsets[row + 1]
        found = capitals = 0
        unspaced = False
        chars = letters = uppers = 0
        word = BASIS
        lengths[:] = 0
        while at <= end:
            flags: Scalar = np.uint8(SPACE)
            code: Scalar = np.int64(0)
            if at < end:
                code = np.int64(data[at])
                size: Scalar = 1
                if code >= ASCII:
                    size = width(data[at])
                    if at + size > end:
                        size = 1
                    code = code_point(data, at, size)
                flags = classes[code]
                at += size
            else:
                at += 1  # behind the text stands a space, as it were
            starts = flags & UNSPACED or (unspaced and flags & (LETTER | DIGIT))
            if flags & SPACE or starts:
                if chars > 0:
                    words[found] = mix(word)
                    lengths[min(chars, LONGEST)] += 1
                    found += 1
                    capitals += uppers >= CAPITAL_LETTERS and uppers == letters
                chars = letters = uppers = 0
                word = BASIS
                unspaced = False
            if flags & WORD:
                if flags & LETTER:
                    unspaced = bool(flags & UNSPACED)
                    letters += 1
                    uppers += bool(flags & UPPER)
                elif flags & DIGIT:
                    unspaced = False
                chars += 1
                word = fold(word, lower[code])
                if code < ASCII:
                    while at < end and data[at] < ASCII and classes[data[at]] & WORD:
                        own = classes[data[at]]
                        letters += own & LETTER > 0
                        uppers += own & UPPER > 0
                        word = fold(word, lower[data[at]])
                        chars += 1
                        at += 1
        size = 1
        while size < 2 * found:
            size *= 2
        slots[:size] = 0
        distinct = total = 0
        for number in range(found):
            times_now = _add(slots, times, size - 1, words[number])
            distinct += times_now == 1
            total += times_log(times_now, logs) - times_log(max(times_now - 1, 1), logs)
        counts = out[row]
        counts[WORDS] = found
        counts[DISTINCT] = distinct
        counts[CAPITALS] = capitals
        counts[LOG_SUM] = total
        if found > 0:
            counts[MEDIAN_SUM] = _middle(lengths, (found - 1) // 2) + _middle(lengths, found // 2)
