"""What recurs in a text, whatever its words: the longest substring, and ROOTS' two ratios."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import recurring as k
from phloem.filters.kernels.classes import LETTER, MARK, classes, lower
from phloem.filters.kernels.repeating import Hashes
from phloem.filters.kernels.utf8 import nullable, strings
from phloem.filters.op import op
from phloem.filters.published_repetition import tables
from phloem.filters.statistics import ratio

LONGEST_REPEAT_CHAR_FRAC = Column(
    "longest_repeat_char_frac",
    pa.float64(),
    "Characters of the longest substring that occurs twice, per character, 0-1.",
)
ROOTS_CHAR_REPETITION_FRAC = Column(
    "roots_char_repetition_frac",
    pa.float64(),
    "Occurrences of the most frequent runs of characters, per run, 0-1.",
)
ROOTS_WORD_REPETITION_FRAC = Column(
    "roots_word_repetition_frac",
    pa.float64(),
    "Occurrences of runs of words that occur twice or more, per run, 0-1.",
)
CHARS, WORDS = 10, 5  # of a run; see `roots_repetition`


def _powers(count: int) -> Hashes:
    found = np.empty(count, np.uint64)
    k.powers_of(found)
    return found


def _longest_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python: of suffixes in order, the longest beginning that two share."""
    found = [None if text is None else _longest(text) for text in batch[TEXT.name].to_pylist()]
    return [pa.array(found, pa.float64())]


def _longest(text: str) -> float:
    suffixes = sorted(text[start:] for start in range(len(text)))
    longest = max(map(_shared, suffixes, suffixes[1:]), default=0)
    return float(ratio(np.array([longest]), np.array([len(text)]))[0])


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    sizes = range(min(len(one), len(other)))
    return bisect_left(sizes, True, key=lambda size: one[: size + 1] != other[: size + 1])


@op(
    reads=[TEXT],
    writes=[LONGEST_REPEAT_CHAR_FRAC],
    examples=[("to be or not to be", 0.2778), ("aaaa", 0.75), ("ab", 0.0), ("", 0.0), (None, None)],
    reference=_longest_reference,
)
def longest_repeat(batch: pa.RecordBatch) -> list[pa.Array]:
    """Measure the longest substring that occurs twice, even if both occurrences overlap.

    What a suffix array finds (Lee et al. 2022, arXiv 2107.06499, section 4.1, of a whole corpus),
    here of one text; it costs more than all of `repetition`, so that it is an op of its own.
    """
    texts = strings(batch[TEXT.name])
    longest, table, sieve = tables(texts)
    counts = np.zeros((texts.rows, 2), np.int64)
    k.longest_repeats(
        texts,
        _powers(longest),
        table,
        sieve,
        np.empty((2, longest), np.uint64),
        np.empty((5, longest), np.int64),
        counts,
    )
    value = ratio(counts[:, k.LONGEST], counts[:, k.CHARS])
    return [nullable(value, texts.valid, pa.float64())]


def _char_ratio(text: str, size: int) -> tuple[int, int]:
    """Occurrences of the most frequent runs of characters, and of all."""
    runs = Counter(text[start : start + size] for start in range(len(text) - size + 1))
    recurring = sum(times > 1 for times in runs.values())
    most = min(math.isqrt(len(runs)), recurring)
    return sum(times for _, times in runs.most_common(most)), runs.total()


def _word_ratio(words: Sequence[str], size: int) -> tuple[int, int]:
    """Occurrences of runs of words that recur, and of all."""
    runs = Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
    return sum(times for times in runs.values() if times > 1), runs.total()


def _roots_words(text: str) -> list[str]:
    words = []
    for part in re.split("[ \n\t]", text):
        stays = [bool(classes()[ord(char)] & (LETTER | MARK)) for char in part]
        if any(stays):
            body = part[stays.index(True) : len(part) - stays[::-1].index(True)]
            words.append("".join(chr(lower()[ord(char)]) for char in body))
    return words


def _roots_reference(
    batch: pa.RecordBatch, *, chars: int = CHARS, words: int = WORDS
) -> list[pa.Array]:
    """The same in plain Python."""
    rows: list[list[float | None]] = []
    for text in batch[TEXT.name].to_pylist():
        if text is None:
            rows.append([None, None])
            continue
        pairs = [_char_ratio(text, chars), _word_ratio(_roots_words(text), words)]
        rows.append([float(ratio(*map(np.atleast_1d, pair))[0]) for pair in pairs])
    return [pa.array([row[column] for row in rows], pa.float64()) for column in range(2)]


@op(
    reads=[TEXT],
    writes=[ROOTS_CHAR_REPETITION_FRAC, ROOTS_WORD_REPETITION_FRAC],
    data=["kernels/categories.txt"],
    examples=[
        ("to be or not, to be or not, to be.", (0.24, 0.6667)),
        ("", (0.0, 0.0)),
        (None, (None, None)),
    ],
    reference=_roots_reference,
)
def roots_repetition(
    batch: pa.RecordBatch, *, chars: int = CHARS, words: int = WORDS
) -> list[pa.Array]:
    """Measure repeated runs of characters and of words as ROOTS was filtered by them.

    Laurençon et al. 2022 (arXiv 2303.03915, section 3.2), as the code of BigScience's
    `01b_oscar_cleaning_and_filtering` counts: of D different runs of 10 characters (3 in Chinese)
    the square root of D most frequent, as far as they occur twice; of runs of 5 words (7 in Urdu)
    all that occur twice. Words stand between blanks, tabs and line feeds, in lower case; one sign
    differs: from their ends goes what is no letter or mark, where ROOTS has a list.
    """
    texts = strings(batch[TEXT.name])
    longest, table, sieve = tables(texts)
    counts = np.zeros((texts.rows, 4), np.int64)
    k.roots_repeats(
        texts,
        classes(),
        lower(),
        chars,
        words,
        _powers(chars + 1)[chars],
        table,
        sieve,
        np.empty((2, longest), np.uint64),
        np.empty((3, longest), np.int64),
        counts,
    )
    values = (
        ratio(counts[:, k.TOP_CHAR_GRAMS], counts[:, k.CHAR_GRAMS]),
        ratio(counts[:, k.DUP_WORD_GRAMS], counts[:, k.WORD_GRAMS]),
    )
    return [nullable(value, texts.valid, pa.float64()) for value in values]
