"""A text's vocabulary: how long its words are in the middle, and how often they recur."""

from __future__ import annotations

import functools
import statistics as numbers
from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import wording as k
from phloem.filters.kernels.classes import LETTER, UPPER, WORD, classes, lower
from phloem.filters.kernels.utf8 import Flags, Integers, nullable, strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio, tokens_of

MEDIAN_WORD_CHARS = Column(
    "median_word_chars",
    pa.float64(),
    "Median of letters, marks and digits of a word; 0 without words.",
)
UNIQUE_WORD_FRAC = Column(
    "unique_word_frac", pa.float64(), "Different words, in lower case, per word, 0-1."
)
WORD_ENTROPY = Column(
    "word_entropy",
    pa.float64(),
    "Entropy of the distribution of words, in lower case, in nats; 0 without words.",
)
CAPITAL_WORD_FRAC = Column(
    "capital_word_frac",
    pa.float64(),
    "Fraction of words of two and more letters in capitals alone, 0-1.",
)

_POINT = 26  # bits behind the point: 2^31 words times a logarithm of 31 stay below 2^63
_LOGS = 1 << 16  # counts whose logarithm is kept
_LN_2 = 0.6931471805599453


@functools.cache
def logarithms() -> npt.NDArray[np.int64]:
    """The binary logarithm of each number below 65,536, times 2^26, in integers alone.

    So it is the same on every machine, where `log` differs in the last bits. Bit by bit: the
    square of a number in 1-2 is at least 2 where the next bit of its logarithm is set (Knuth, The
    Art of Computer Programming, 1.2.2, exercise 25).
    """
    numbers_to = np.arange(_LOGS, dtype=np.uint64)
    numbers_to[0] = 1
    whole = np.zeros(_LOGS, np.int64)
    for power in range(1, 16):
        whole[1 << power :] = power
    mantissa = numbers_to << (np.uint64(31) - whole.astype(np.uint64))
    found = whole
    for _ in range(_POINT):
        mantissa = mantissa * mantissa >> np.uint64(31)
        bit = mantissa >> np.uint64(32)
        mantissa >>= bit
        found = found * 2 + bit.astype(np.int64)
    found.flags.writeable = False
    return found


def _entropy(counts: Integers) -> npt.NDArray[np.float64]:
    """The entropy ln N - sum(n ln n) / N of counts n of N words, to four decimals, half up.

    Nothing but products, quotients and differences of doubles, which IEEE 754 says to the bit.
    """
    words, total = counts[k.WORDS], counts[k.LOG_SUM]
    all_logs = np.array([_times_log(int(count)) for count in words], np.float64)
    bits = (all_logs - total) / (np.maximum(words, 1) * float(1 << _POINT))
    rounded: npt.NDArray[np.float64] = np.floor(np.maximum(bits, 0) * _LN_2 * 10000 + 0.5)
    return rounded / 10000


def _times_log(count: int) -> int:
    """A count times its binary logarithm, times 2^26, as the kernel takes it."""
    shift = max(count.bit_length() - 16, 0)
    return count * (int(logarithms()[count >> shift]) + (shift << _POINT))


def _columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    words = one[k.WORDS]
    values = [
        one[k.MEDIAN_SUM] / 2,
        ratio(one[k.DISTINCT], words),
        _entropy(one),
        ratio(one[k.CAPITALS], words),
    ]
    return [nullable(each, valid, pa.float64()) for each in values]


def _vocabulary_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        counts[row] = _count_one(text or "")
    return _columns(counts, np.array([text is not None for text in texts], np.bool_))


def _has(char: str, flags: int) -> bool:
    return bool(classes()[ord(char)] & flags)


def _count_one(text: str) -> list[int]:
    words = ["".join(char for char in token if _has(char, WORD)) for token in tokens_of(text)]
    words = [word for word in words if word]
    counts = [0] * k.COUNTS
    if not words:
        return counts
    times = Counter("".join(chr(lower()[ord(char)]) for char in word) for word in words)
    letters = [[char for char in word if _has(char, LETTER)] for word in words]
    counts[k.WORDS] = len(words)
    counts[k.DISTINCT] = len(times)
    counts[k.CAPITALS] = sum(
        len(each) >= k.CAPITAL_LETTERS and all(_has(char, UPPER) for char in each)
        for each in letters
    )
    counts[k.MEDIAN_SUM] = int(2 * numbers.median(min(len(word), k.LONGEST) for word in words))
    counts[k.LOG_SUM] = sum(map(_times_log, times.values()))
    return counts


@op(
    reads=[TEXT],
    writes=[MEDIAN_WORD_CHARS, UNIQUE_WORD_FRAC, WORD_ENTROPY, CAPITAL_WORD_FRAC],
    data=["kernels/categories.txt"],
    examples=[
        ("To be or not to be, NATO", (2.0, 0.7143, 1.5498, 0.1429)),
        ("漢字漢", (1.0, 0.6667, 0.6365, 0.0)),
        ("… — #", (0.0, 0.0, 0.0, 0.0)),
        ("", (0.0, 0.0, 0.0, 0.0)),
        (None, (None,) * 4),
    ],
    reference=_vocabulary_reference,
)
def vocabulary(batch: pa.RecordBatch) -> list[pa.Array]:
    """Measure the words: median length, how many differ, their entropy, those in capitals.

    Words are those of `statistics`, so that a letter is one where words are not spaced. The
    measures are those of RedPajama-V2 (Weber et al. 2024, arXiv 2411.12372, table of quality
    signals: unique words, unigram entropy in nats, words in capitals, of which one of a single
    letter is not taken for one here) and Dolma (Soldaini et al. 2024, arXiv 2402.00159: median
    word length). Counts above 65,535 enter the entropy by their highest 16 bits.
    """
    texts = strings(batch[TEXT.name])
    longest = int(np.diff(texts.offsets).max(initial=0)) + 1
    places = 1 << (2 * longest).bit_length()
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.count_words(
        texts,
        classes(),
        lower(),
        logarithms(),
        np.empty(longest, np.uint64),
        np.empty(places, np.uint64),
        np.empty(places, np.int64),
        counts,
    )
    return _columns(counts, texts.valid)
