"""Repetition: how much of a text is lines, paragraphs and n-grams that were there before."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import repeating as k
from phloem.filters.kernels.classes import SPACE, classes
from phloem.filters.kernels.utf8 import Flags, Integers, leads, nullable, strings
from phloem.filters.minhash import words_of
from phloem.filters.op import op
from phloem.filters.statistics import ratio


def _fraction(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), doc)


DUP_LINE_FRAC = _fraction("dup_line_frac", "Fraction of lines that stood before, 0-1.")
DUP_LINE_CHAR_FRAC = _fraction(
    "dup_line_char_frac", "Fraction of characters in lines that stood before, 0-1."
)
DUP_PARAGRAPH_FRAC = _fraction(
    "dup_paragraph_frac", "Fraction of paragraphs that stood before, 0-1."
)
DUP_PARAGRAPH_CHAR_FRAC = _fraction(
    "dup_paragraph_char_frac", "Fraction of characters in paragraphs that stood before, 0-1."
)
TOP_NGRAMS = tuple(
    _fraction(
        f"top_{size}gram_char_frac",
        f"Fraction of word characters in the most frequent {size}-gram, 0-1; 0 if none recurs.",
    )
    for size in k.TOP_SIZES
)
DUP_NGRAMS = tuple(
    _fraction(
        f"dup_{size}gram_char_frac",
        f"Fraction of word characters in {size}-grams that stood before, 0-1.",
    )
    for size in k.REPEATED_SIZES
)


@functools.cache
def _firsts() -> npt.NDArray[np.uint8]:
    """Whether a space may begin with a byte."""
    return np.where(leads(classes() & SPACE > 0), k.SPACES, k.PLAIN).astype(np.uint8)


def _columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    pairs = [
        (one[k.DUP_LINES], one[k.LINES]),
        (one[k.DUP_LINE_CHARS], one[k.CHARS]),
        (one[k.DUP_PARAGRAPHS], one[k.PARAGRAPHS]),
        (one[k.DUP_PARAGRAPH_CHARS], one[k.CHARS]),
    ]
    grams = one[k.TOP : k.COUNTS]
    pairs += [(np.minimum(each, one[k.WORD_CHARS]), one[k.WORD_CHARS]) for each in grams]
    return [nullable(ratio(part, whole), valid, pa.float64()) for part, whole in pairs]


def _segments(text: str, pattern: str) -> tuple[int, int, int]:
    """How many segments there are, how many stood before, and the characters of these."""
    plain = "".join(" " if char != "\n" and classes()[ord(char)] & SPACE else char for char in text)
    starts_and_ends = [match.span() for match in re.finditer(pattern, plain)]
    bounds = [0, *(place for span in starts_and_ends for place in span), len(text)]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    seen: set[str] = set()
    total = repeated = chars = 0
    for start, end in spans:
        blank = len(plain[start:end]) - len(plain[start:end].lstrip(" \n"))
        segment = text[start + blank : start + len(plain[start:end].rstrip(" \n"))]
        if start + blank >= end:
            continue
        total += 1
        if segment in seen:
            repeated += 1
            chars += len(segment)
        seen.add(segment)
    return total, repeated, chars


def _top(words: Sequence[str], size: int) -> int:
    """Characters of all occurrences of the most frequent n-gram; the longest of equals."""
    grams = Counter(tuple(words[start : start + size]) for start in range(len(words) - size + 1))
    most = max(grams.values(), default=0)
    if most < 2:  # noqa: PLR2004 - once is no repetition
        return 0
    return max(most * sum(map(len, gram)) for gram, times in grams.items() if times == most)


def _repeated(words: Sequence[str], size: int) -> int:
    """Characters in n-grams that stood before, jumping behind each."""
    seen: set[tuple[str, ...]] = set()
    start = chars = 0
    while start + size <= len(words):
        gram = tuple(words[start : start + size])
        if gram in seen:
            chars += sum(map(len, gram))
            start += size
        else:
            seen.add(gram)
            start += 1
    return chars


def _repetition_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        if text is None:
            continue
        counts[row, k.CHARS] = len(text)
        counts[row, k.LINES : k.LINES + 3] = _segments(text, r"\n")
        counts[row, k.PARAGRAPHS : k.PARAGRAPHS + 3] = _segments(text, r"\n *\n[ \n]*")
        words = words_of(text)
        counts[row, k.WORD_CHARS] = sum(map(len, words))
        counts[row, k.TOP : k.REPEATED] = [_top(words, size) for size in k.TOP_SIZES]
        counts[row, k.REPEATED :] = [_repeated(words, size) for size in k.REPEATED_SIZES]
    return _columns(counts, np.array([text is not None for text in texts], np.bool_))


@op(
    reads=[TEXT],
    writes=[
        DUP_LINE_FRAC,
        DUP_LINE_CHAR_FRAC,
        DUP_PARAGRAPH_FRAC,
        DUP_PARAGRAPH_CHAR_FRAC,
        *TOP_NGRAMS,
        *DUP_NGRAMS,
    ],
    version=2,
    data=["kernels/categories.txt"],
    examples=[
        ("a b\na b\n\na b", (0.6667, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0, *[0.0] * 6)),
        ("", (0.0,) * 13),
        (None, (None,) * 13),
    ],
    reference=_repetition_reference,
)
def repetition(batch: pa.RecordBatch) -> list[pa.Array]:
    """Measure repeated lines, paragraphs and n-grams, for Gopher's repetition rules.

    Gopher (Rae et al. 2021, arXiv 2112.11446, A1.1 and table A1), read as datatrove reads it:
    second and later occurrences count, and after a repeated n-gram the search goes on behind it.
    Two points differ and keep every fraction in 0-1: n-grams are measured in word characters over
    all word characters, and a top n-gram counts only if it occurs twice. Lines and paragraphs
    (split at a blank line) lose the spaces at their ends first. Words are those of `minhash`
    without folding: a script without spaces is measured in n-grams of characters.
    """
    texts = strings(batch[TEXT.name])
    longest = int(np.diff(texts.offsets).max(initial=0))
    places = 1 << (2 * longest + 2).bit_length()
    words = longest // 2 + 2
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.repeats(
        texts,
        classes(),
        _firsts(),
        np.zeros(2 * places, np.uint64),
        np.empty(places, np.uint8),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty((3, words + 1), np.int64),
        counts,
    )
    return _columns(counts, texts.valid)
