"""What dolma's tagger `gopher_v1` counts for Gopher's quality rules, as it counts it."""

from __future__ import annotations

from statistics import median

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.datatrove import STOP_WORDS, packed_stop_words
from phloem.filters.kernels import splitting as k
from phloem.filters.kernels.classes import LETTER, classes
from phloem.filters.kernels.tokens import english_rules
from phloem.filters.kernels.utf8 import Flags, Integers, nullable, strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio

_FRAC = pa.float64()
WORD_COUNT = Column("dolma_word_count", pa.int64(), "What stands between spaces.")
MEDIAN_WORD_CHARS = Column(
    "dolma_median_word_chars", _FRAC, "Median of all characters of such a word; 0 without one."
)
SYMBOL_WORD_RATIO = Column(
    "dolma_symbol_word_ratio", _FRAC, "Fraction of such words that hold '#' or '…', 0-1."
)
ALPHA_WORD_FRAC = Column(
    "dolma_alpha_word_frac", _FRAC, "Fraction of such words that hold a letter, 0-1."
)
STOP_WORD_COUNT = Column(
    "dolma_stop_word_count",
    pa.int64(),
    "Occurrences of Gopher's 8 stop words, in lower case, as whole words.",
)
BULLET_LINE_FRAC = Column(
    "dolma_bullet_line_frac",
    _FRAC,
    "Fraction of lines, blank ones too, whose first character is '*' or '-', 0-1.",
)
ELLIPSIS_LINE_FRAC = Column(
    "dolma_ellipsis_line_frac",
    _FRAC,
    "Fraction of lines, blank ones too, whose last character is '…', 0-1.",
)


def _columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    words, lines = one[k.WORDS], one[k.LINES]
    values: list[tuple[npt.NDArray[np.generic], Column]] = [
        (words, WORD_COUNT),
        (one[k.MEDIAN_SUM] / 2, MEDIAN_WORD_CHARS),
        (ratio(one[k.SYMBOL_WORDS], words), SYMBOL_WORD_RATIO),
        (ratio(one[k.ALPHA_WORDS], words), ALPHA_WORD_FRAC),
        (one[k.STOP_WORDS], STOP_WORD_COUNT),
        (ratio(one[k.BULLET_LINES], lines), BULLET_LINE_FRAC),
        (ratio(one[k.ELLIPSIS_LINES], lines), ELLIPSIS_LINE_FRAC),
    ]
    return [nullable(value, valid, column.type) for value, column in values]


def _dolma_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python, as dolma has it."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        if text:
            counts[row] = _count_one(text)
    return _columns(counts, np.array([text is not None for text in texts], np.bool_))


def _count_one(text: str) -> list[int]:
    counts = [0] * k.COUNTS
    words, lines = text.split(), text.split("\n")
    counts[k.WORDS] = len(words)
    lengths = [min(len(word), k.LONGEST) for word in words]
    counts[k.MEDIAN_SUM] = int(2 * median(lengths)) if lengths else 0
    counts[k.SYMBOL_WORDS] = sum("#" in word or "…" in word for word in words)
    counts[k.ALPHA_WORDS] = sum(
        any(classes()[ord(char)] & LETTER for char in word) for word in words
    )
    counts[k.STOP_WORDS] = sum(word in STOP_WORDS for word in words)
    counts[k.LINES] = len(lines)
    counts[k.BULLET_LINES] = sum(line.startswith(("*", "-")) for line in lines)
    counts[k.ELLIPSIS_LINES] = sum(line.endswith("…") for line in lines)
    return counts


@op(
    reads=[TEXT],
    writes=[
        WORD_COUNT,
        MEDIAN_WORD_CHARS,
        SYMBOL_WORD_RATIO,
        ALPHA_WORD_FRAC,
        STOP_WORD_COUNT,
        BULLET_LINE_FRAC,
        ELLIPSIS_LINE_FRAC,
    ],
    version=2,
    data=["kernels/categories.txt", "kernels/token_classes.txt"],
    examples=[
        ("- to be, #or not to be…\n", (7, 3.0, 0.2857, 0.8571, 2, 0.5, 0.5)),
        ("", (0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)),
        (None, (None,) * 7),
    ],
    reference=_dolma_reference,
)
def dolma_quality(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count what dolma's tagger `gopher_v1` tells for Gopher's quality rules.

    Of the toolkit of Dolma (Soldaini et al. 2024, arXiv 2402.00159; allenai/dolma,
    python/dolma/taggers/gopher.py): words are what stands between spaces, punctuation and all;
    signs count once a word; stop words count as often as they stand; a bullet is '*' or '-' and an
    ellipsis '…' alone. Its configurations ask for a median of 3 to 10 characters and at least two
    stop words.
    """
    texts = strings(batch[TEXT.name])
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.count_split(texts, classes(), english_rules(), packed_stop_words(), counts)
    return _columns(counts, texts.valid)
