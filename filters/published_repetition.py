"""Repetition as published programs count it: datatrove's and dolma's reading of Gopher's rules.

The measures of `repetition` lie in 0-1 and hold in every script. These follow the code that made
FineWeb (datatrove 0.10.1, Apache-2.0) and the Dolma corpus (dolma 1.2.1, Apache-2.0), in names of
their own, so that a rule says whose count it bounds.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import published_grams as k
from phloem.filters.kernels.classes import classes
from phloem.filters.kernels.tokens import english_rules
from phloem.filters.kernels.utf8 import Flags, Integers, Strings, nullable, strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio
from phloem.filters.tokens import english_tokens

Count = Callable[[str], Sequence[int]]


def _fractions(tool: str, docs: dict[str, str]) -> list[Column]:
    return [Column(f"{tool}_gopher_{name}_frac", pa.float64(), doc) for name, doc in docs.items()]


DATATROVE = _fractions(
    "datatrove",
    {
        "dup_paragraph": "Fraction of paragraphs (two line feeds part them) that stood before.",
        "dup_paragraph_char": "Characters of paragraphs that stood before, per character, 0-1.",
        "dup_line": "Fraction of lines that stood before, 0-1.",
        "dup_line_char": "Characters of lines that stood before, per character, 0-1.",
        **{
            f"top_{size}gram_char": f"Characters of the most frequent {size}-gram of tokens, spaces"
            " between them too, times its occurrences, per character; above 1 where they overlap."
            for size in k.TOP_SIZES
        },
        **{
            f"dup_{size}gram_char": f"Characters of {size}-grams of tokens that stood before, per"
            " character, spaces too, 0-1."
            for size in k.REPEATED_SIZES
        },
    },
)
DOLMA = _fractions(
    "dolma",
    {
        "dup_line": "Fraction of lines that stand more than once, 0-1.",
        "dup_line_char": "Characters of lines that stand more than once, per character between"
        " spaces; may pass 1.",
        **{
            f"top_{size}gram_char": f"Characters of the most frequent {size}-gram times its"
            " occurrences, per character between spaces; above 1 where they overlap."
            for size in k.TOP_SIZES
        },
        **{
            f"dup_{size}gram_char": f"Characters of {size}-grams that occur more than once, per"
            f" character of all {size}-grams, 0-1."
            for size in k.REPEATED_SIZES
        },
    },
)
_DATATROVE_PARTS = (
    (k.DUP_PARAGRAPHS, k.PARAGRAPHS),
    (k.DUP_PARAGRAPH_CHARS, k.CHARS),
    (k.DUP_LINES, k.LINES),
    (k.DUP_LINE_CHARS, k.CHARS),
    *((place, k.CHARS) for place in range(k.TOP, k.IN_GRAMS)),
)
_DOLMA_PARTS = (
    (k.DUP_LINES, k.LINES),
    (k.DUP_LINE_CHARS, k.WORD_CHARS),
    *((place, k.WORD_CHARS) for place in range(k.TOP, k.REPEATED)),
    *((place, place - k.REPEATED + k.IN_GRAMS) for place in range(k.REPEATED, k.IN_GRAMS)),
)


def _columns(counts: Integers, parts: Sequence[tuple[int, int]], valid: Flags) -> list[pa.Array]:
    return [
        nullable(ratio(counts[:, part], counts[:, whole]), valid, pa.float64())
        for part, whole in parts
    ]


def _counted(
    batch: pa.RecordBatch, count: Count, parts: Sequence[tuple[int, int]]
) -> list[pa.Array]:
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        if text:
            counts[row] = count(text)
    return _columns(counts, parts, np.array([text is not None for text in texts], np.bool_))


def _stood_before(parts: Sequence[str]) -> tuple[int, int, int]:
    """How many there are, how many of them stood before, and the characters of these."""
    seen: set[str] = set()
    again = [part for part in parts if part in seen or seen.add(part)]  # type: ignore[func-returns-value]
    return len(parts), len(again), sum(map(len, again))


def _grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def _count_datatrove(text: str) -> list[int]:
    counts = [0] * k.COUNTS
    counts[k.CHARS] = len(text)
    counts[k.PARAGRAPHS : k.LINES] = _stood_before(re.split(r"\n{2,}", text.strip()))
    counts[k.LINES : k.TOP] = _stood_before(re.split(r"\n+", text))
    words = english_tokens(text)
    for place, size in enumerate(k.TOP_SIZES, k.TOP):
        for gram, times in Counter(_grams(words, size)).most_common(1):
            counts[place] = len(" ".join(gram)) * times
    for place, size in enumerate(k.REPEATED_SIZES, k.REPEATED):
        seen: set[str] = set()
        free = 0
        for start, gram in enumerate(_grams(words, size)):
            joined = "".join(gram)
            if start >= free and joined in seen:
                counts[place] += len(joined)
                free = start + size
            elif start >= free:
                seen.add(joined)
    return counts


def _count_dolma(text: str) -> list[int]:
    counts = [0] * k.COUNTS
    words = text.split()
    counts[k.WORD_CHARS] = sum(map(len, words))
    lines = Counter(text.split("\n"))
    more = {line: times for line, times in lines.items() if times > 1}
    counts[k.LINES] = lines.total()
    counts[k.DUP_LINES] = sum(more.values())
    counts[k.DUP_LINE_CHARS] = sum(len(line) * times for line, times in more.items())
    for place, size in enumerate(k.TOP_SIZES, k.TOP):
        for gram, times in Counter(_grams(words, size)).most_common(1):
            counts[place] = len("".join(gram)) * times
    for place, size in enumerate(k.REPEATED_SIZES, k.REPEATED):
        for gram, times in Counter(_grams(words, size)).items():
            chars = len("".join(gram)) * times
            counts[place] += chars * (times > 1)
            counts[place - k.REPEATED + k.IN_GRAMS] += chars
    return counts


def _datatrove_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    return _counted(batch, _count_datatrove, _DATATROVE_PARTS)


def _dolma_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    return _counted(batch, _count_dolma, _DOLMA_PARTS)


def tables(texts: Strings) -> tuple[int, npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Room for the longest text: its bytes and some more, the table, and the sieve."""
    longest = int(np.diff(texts.offsets).max(initial=0)) + 3
    places = 1 << (2 * longest).bit_length()
    return longest, np.zeros(2 * places, np.uint64), np.empty(2 * places, np.uint8)


@functools.cache
def _byte_values() -> npt.NDArray[np.uint64]:
    return k.byte_values()


@op(
    reads=[TEXT],
    writes=DATATROVE,
    data=["kernels/categories.txt", "kernels/token_classes.txt", "kernels/english_tokens.txt"],
    examples=[
        (
            "to be\n\nto be\n\nto",
            (0.3333, 0.3125, 0.3333, 0.3125, 0.625, 1.0, 0.6875, *[0.0] * 6),
        ),
        ("", (0.0,) * 13),
        (None, (None,) * 13),
    ],
    reference=_datatrove_reference,
)
def datatrove_repetition(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count what datatrove 0.10.1's GopherRepetitionFilter compares.

    The rules are Gopher's (Rae et al. 2021, arXiv 2112.11446, table A1). Tokens are those of
    spaCy's English without a model, punctuation among them, in every language; the most frequent
    n-gram counts even if it occurs once; n-grams that stood before are those of the same characters
    without the spaces, and the search goes on behind each. Lines and paragraphs keep their spaces.
    """
    texts = strings(batch[TEXT.name])
    longest, table, sieve = tables(texts)
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.datatrove_repeats(
        texts,
        classes(),
        english_rules(),
        _byte_values(),
        k.powers_of(longest),
        table,
        sieve,
        np.empty((3, longest), np.uint64),
        np.empty((6, longest), np.int64),
        np.empty(longest, np.uint8),
        counts,
    )
    return _columns(counts, _DATATROVE_PARTS, texts.valid)


@op(
    reads=[TEXT],
    writes=DOLMA,
    data=["kernels/categories.txt"],
    examples=[
        ("to be, to be\nto be", (0.0, 0.0, 0.6154, 0.5385, 0.6923, *[0.0] * 6)),
        ("", (0.0,) * 11),
        (None, (None,) * 11),
    ],
    reference=_dolma_reference,
)
def dolma_repetition(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count what dolma's tagger `gopher_v1` counts of repetition.

    The rules are Gopher's (Rae et al. 2021, arXiv 2112.11446, table A1). Words are what stands
    between spaces; every occurrence of a line or n-gram that occurs twice counts, the first too.
    """
    texts = strings(batch[TEXT.name])
    longest, table, sieve = tables(texts)
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.dolma_repeats(
        texts,
        classes(),
        table,
        sieve,
        np.empty((2, longest), np.uint64),
        np.empty((3, longest), np.int64),
        counts,
    )
    return _columns(counts, _DOLMA_PARTS, texts.valid)
