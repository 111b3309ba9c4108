"""What ROOTS counted of a page of the web crawl: words, and characters that are special."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import measuring as k
from phloem.filters.kernels.classes import CODE_POINTS
from phloem.filters.kernels.utf8 import Flags, Integers, nullable, strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio

CHARACTERS = "roots_special_characters.txt"

ROOTS_WORD_COUNT = Column(
    "roots_word_count",
    pa.int64(),
    "Pieces between blanks, tabs and line feeds with a character that is not special.",
)
ROOTS_SPECIAL_FRAC = Column(
    "roots_special_frac",
    pa.float64(),
    "Fraction of the characters that ROOTS calls special, white space among them, 0-1.",
)


@functools.cache
def special_characters() -> Flags:
    """Whether ROOTS calls a code point special: punctuation, digits, white space, signs, emoji."""
    text = Path(__file__).with_name(CHARACTERS).read_text(encoding="utf-8")
    runs = [line for line in text.splitlines() if not line.startswith("#")]
    found = np.zeros(CODE_POINTS, np.bool_)
    for run in " ".join(runs).split():
        first, _, last = run.partition("-")
        found[int(first, 16) : int(last or first, 16) + 1] = True
    return found


def _columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    return [
        nullable(one[k.WORDS], valid, ROOTS_WORD_COUNT.type),
        nullable(ratio(one[k.SPECIAL], one[k.ALL]), valid, ROOTS_SPECIAL_FRAC.type),
    ]


def _roots_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    table, rows = special_characters(), []
    for text in batch[TEXT.name].to_pylist():
        flags = [bool(table[ord(char)]) for char in text or ""]
        pieces = re.split("[ \t\n]", text or "")
        words = sum(not all(table[ord(char)] for char in piece) for piece in pieces)
        rows.append((len(flags), sum(flags), words))
    valid = np.array(batch[TEXT.name].is_valid().to_pylist(), np.bool_)
    return _columns(np.array(rows, np.int64).reshape(-1, k.SPECIAL_COUNTS), valid)


@op(
    reads=[TEXT],
    writes=[ROOTS_WORD_COUNT, ROOTS_SPECIAL_FRAC],
    data=[CHARACTERS],
    examples=[
        ("Well -- 3 of them!", (3, 0.4444)),
        ("बारिश हुई। 🌧", (2, 0.3333)),
        ("下雨了。", (1, 0.25)),
        ("", (0, 0.0)),
        (None, (None, None)),
    ],
    reference=_roots_reference,
)
def roots(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count words and special characters as ROOTS counted them in its web crawl.

    Special are 1,599 code points (`roots_special_characters.txt`): ASCII punctuation, digits and
    white space, signs that the authors listed, some letters of other scripts among them, and every
    emoji of one code point. A word stands between blanks, tabs and line feeds and holds one that is
    not special. ROOTS first took words out that held `http` or were long, and cut Chinese by a
    model: neither is done here. ROOTS (Laurençon et al. 2022, arXiv 2303.03915, appendix B), and
    its code, bigscience-workshop/data-preparation, 01b_oscar_cleaning_and_filtering.
    """
    texts = strings(batch[TEXT.name])
    counts = np.zeros((texts.rows, k.SPECIAL_COUNTS), np.int64)
    k.special(texts, special_characters(), counts)
    return _columns(counts, texts.valid)
