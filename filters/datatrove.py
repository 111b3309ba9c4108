"""What datatrove's quality filters count, as they count it: Gopher's, FineWeb's and C4's rules.

The measures of `statistics` follow the papers and hold in every script. These follow the code
that made FineWeb: release 0.10.1 of datatrove (Apache-2.0), its tokens for English, whatever the
language.
"""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.boilerplate import JAVASCRIPT, LOREM_IPSUM, POLICY_PHRASES, lower_ascii, phrases
from phloem.filters.kernels import published as k
from phloem.filters.kernels import tokens as t
from phloem.filters.kernels.classes import LETTER, classes
from phloem.filters.kernels.utf8 import Flags, Integers, nullable, strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio
from phloem.filters.tokens import english_tokens

_FRAC = pa.float64()
WORD_COUNT = Column(
    "datatrove_word_count", pa.int64(), "Tokens that are not signs of punctuation alone."
)
MEAN_WORD_CHARS = Column(
    "datatrove_mean_word_chars", _FRAC, "Characters per such token; 0 without one."
)
HASH_WORD_RATIO = Column("datatrove_hash_word_ratio", _FRAC, "Signs '#' per token.")
ELLIPSIS_WORD_RATIO = Column(
    "datatrove_ellipsis_word_ratio", _FRAC, "Signs '…' and '...' per token."
)
BULLET_LINE_FRAC = Column(
    "datatrove_bullet_line_frac",
    _FRAC,
    "Fraction of lines, blank ones too, that begin with '•' or '-', 0-1.",
)
ELLIPSIS_LINE_FRAC = Column(
    "datatrove_ellipsis_line_frac",
    _FRAC,
    "Fraction of lines, blank ones too, that end with '…' or '...', 0-1.",
)
ALPHA_WORD_FRAC = Column(
    "datatrove_alpha_word_frac", _FRAC, "Fraction of all tokens that hold a letter, 0-1."
)
STOP_WORD_COUNT = Column(
    "datatrove_stop_word_count",
    pa.int64(),
    "Different of Gopher's 8 stop words, in lower case.",
)
TERMINAL_LINE_FRAC = Column(
    "datatrove_terminal_line_frac",
    _FRAC,
    "Fraction of lines whose last character ends a sentence, 0-1.",
)
SHORT_LINE_FRAC = Column(
    "datatrove_short_line_frac",
    _FRAC,
    "Fraction of lines of at most 30 characters, spaces at both ends too, 0-1.",
)
DUP_LINE_CHAR_FRAC = Column(
    "datatrove_dup_line_char_frac",
    _FRAC,
    "Characters of lines that stood before, per character that is no line feed, 0-1.",
)
NEWLINE_WORD_RATIO = Column("datatrove_newline_word_ratio", _FRAC, "Line feeds per token.")

C4_SENTENCE_COUNT = Column(
    "datatrove_c4_sentence_count", pa.int64(), "Sentences of the lines that C4's rules keep."
)
C4_LINE_FRAC = Column(
    "datatrove_c4_line_frac", _FRAC, "Fraction of lines that C4's rules keep, 0-1."
)
C4_LOREM_IPSUM_COUNT = Column(
    "datatrove_c4_lorem_ipsum_count",
    pa.int64(),
    "Whole lines with 'lorem ipsum', for which the page is dropped.",
)
C4_BRACE_COUNT = Column(
    "datatrove_c4_brace_count",
    pa.int64(),
    "Whole lines with '{' and no 'javascript', for which the page is dropped.",
)

# Rae et al. 2021 (Gopher, arXiv 2112.11446, A1.1).
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
CITATIONS = ("[edit]", "[citation needed]")
_CITATION = re.compile(r"\[[0-9]*]|\[edit]|\[citation needed]")


@functools.cache
def packed_stop_words() -> Integers:
    """Each stop word as the number that its bytes are, behind a 1, the first highest."""
    return np.array([int.from_bytes(b"\1" + word.encode()) for word in STOP_WORDS], np.int64)


@functools.cache
def _citations() -> tuple[npt.NDArray[np.uint8], Integers]:
    table = np.zeros((len(CITATIONS), max(map(len, CITATIONS))), np.uint8)
    for row, mark in enumerate(CITATIONS):
        table[row, : len(mark)] = list(mark.encode())
    return table, np.array([len(mark) for mark in CITATIONS], np.int64)


def _quality_columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    tokens, breaks, lines = one[k.TOKENS], one[k.BREAKS], one[k.LINES]
    values: list[tuple[npt.NDArray[np.generic], Column]] = [
        (one[k.WORDS], WORD_COUNT),
        (ratio(one[k.WORD_CHARS], one[k.WORDS]), MEAN_WORD_CHARS),
        (ratio(one[k.HASHES], tokens), HASH_WORD_RATIO),
        (ratio(one[k.ELLIPSES], tokens), ELLIPSIS_WORD_RATIO),
        (ratio(one[k.BULLET_LINES], breaks), BULLET_LINE_FRAC),
        (ratio(one[k.ELLIPSIS_LINES], breaks), ELLIPSIS_LINE_FRAC),
        (ratio(one[k.ALPHA_TOKENS], tokens), ALPHA_WORD_FRAC),
        (one[k.STOP_WORDS], STOP_WORD_COUNT),
        (ratio(one[k.TERMINAL_LINES], lines), TERMINAL_LINE_FRAC),
        (ratio(one[k.SHORT_LINES], lines), SHORT_LINE_FRAC),
        (ratio(one[k.DUP_LINE_CHARS], one[k.CHARS] - one[k.NEWLINES]), DUP_LINE_CHAR_FRAC),
        (ratio(one[k.NEWLINES], tokens), NEWLINE_WORD_RATIO),
    ]
    return [nullable(value, valid, column.type) for value, column in values]


def _quality_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python, as datatrove has it."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        counts[row] = _count_quality(text or "")
    return _quality_columns(counts, np.array([text is not None for text in texts], np.bool_))


def _is(char: str, bits: int) -> bool:
    return bool(t.token_classes()[ord(char)] & bits)


def _count_quality(text: str) -> list[int]:
    counts = [0] * k.COUNTS
    tokens = english_tokens(text)
    words = [token for token in tokens if not all(_is(char, t.SIGN) for char in token)]
    counts[k.CHARS] = len(text)
    counts[k.TOKENS] = len(tokens)
    counts[k.WORDS] = len(words)
    counts[k.WORD_CHARS] = sum(map(len, words))
    counts[k.ALPHA_TOKENS] = sum(
        any(classes()[ord(char)] & LETTER for char in token) for token in tokens
    )
    counts[k.STOP_WORDS] = len(set(tokens) & set(STOP_WORDS))
    counts[k.HASHES] = text.count("#")
    counts[k.ELLIPSES] = text.count("...") + text.count("…")
    broken = text.splitlines()
    counts[k.BREAKS] = len(broken)
    counts[k.BULLET_LINES] = sum(line.lstrip().startswith(("•", "-")) for line in broken)
    counts[k.ELLIPSIS_LINES] = sum(line.rstrip().endswith(("...", "…")) for line in broken)
    lines = [line for line in text.split("\n") if line.strip()]
    counts[k.LINES] = len(lines)
    counts[k.TERMINAL_LINES] = sum(_is(line[-1], t.TERMINAL) for line in lines)
    counts[k.SHORT_LINES] = sum(len(line) <= k.SHORT_LINE for line in lines)
    counts[k.DUP_LINE_CHARS] = sum(map(len, lines)) - sum(map(len, set(lines)))
    counts[k.NEWLINES] = text.count("\n")
    return counts


@op(
    reads=[TEXT],
    writes=[
        WORD_COUNT,
        MEAN_WORD_CHARS,
        HASH_WORD_RATIO,
        ELLIPSIS_WORD_RATIO,
        BULLET_LINE_FRAC,
        ELLIPSIS_LINE_FRAC,
        ALPHA_WORD_FRAC,
        STOP_WORD_COUNT,
        TERMINAL_LINE_FRAC,
        SHORT_LINE_FRAC,
        DUP_LINE_CHAR_FRAC,
        NEWLINE_WORD_RATIO,
    ],
    version=2,
    data=["kernels/categories.txt", "kernels/token_classes.txt", "kernels/english_tokens.txt"],
    examples=[
        (
            "- Don't go to the end...\n\n(# that's it)",
            (
                *(9, 2.5556, 0.0714, 0.0714, 0.3333, 0.3333, 0.6429, 3),
                *(0.5, 1.0, 0.0, 0.1429),
            ),
        ),
        ("", (0, *[0.0] * 6, 0, *[0.0] * 4)),
        (None, (None,) * 12),
    ],
    reference=_quality_reference,
)
def datatrove_quality(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count what datatrove 0.10.1's GopherQualityFilter and FineWebQualityFilter compare.

    Tokens are those of spaCy's English without a model, punctuation among them, in every language.
    The rules and bounds are Gopher's (Rae et al. 2021, arXiv 2112.11446, A1.1) and FineWeb's
    (Penedo et al. 2024, arXiv 2406.17557, 3.6).
    """
    texts = strings(batch[TEXT.name])
    longest = int(np.diff(texts.offsets).max(initial=0)) + 2
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.count_quality(
        texts,
        classes(),
        t.english_rules(),
        packed_stop_words(),
        np.empty((4, longest), np.int64),
        np.empty(longest, np.uint8),
        np.empty(1 << (2 * longest + 2).bit_length(), np.uint64),
        counts,
    )
    return _quality_columns(counts, texts.valid)


def _c4_columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    values: list[tuple[npt.NDArray[np.generic], Column]] = [
        (one[k.SENTENCES], C4_SENTENCE_COUNT),
        (ratio(one[k.KEPT_LINES], one[k.ALL_LINES]), C4_LINE_FRAC),
        (one[k.PLACEHOLDER_LINES], C4_LOREM_IPSUM_COUNT),
        (one[k.BRACE_LINES], C4_BRACE_COUNT),
    ]
    return [nullable(value, valid, column.type) for value, column in values]


def _c4_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python, as datatrove has it, but for letters that are no ASCII."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.C4_COUNTS), np.int64)
    for row, text in enumerate(texts):
        counts[row] = _count_c4(text or "")
    return _c4_columns(counts, np.array([text is not None for text in texts], np.bool_))


def _count_c4(text: str) -> list[int]:
    counts = [0] * k.C4_COUNTS
    for whole in text.splitlines():
        counts[k.ALL_LINES] += 1
        words = whole.split()
        line = _CITATION.sub("", whole.strip())
        if any(len(word) > k.LONG_WORD for word in words):
            continue
        if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("..."):
            continue
        if len(words) < k.LINE_WORDS:
            continue
        lowered = lower_ascii(line)
        counts[k.PLACEHOLDER_LINES] += LOREM_IPSUM in lowered
        if JAVASCRIPT in lowered:
            continue
        counts[k.BRACE_LINES] += "{" in line
        if any(phrase in lowered for phrase in POLICY_PHRASES):
            continue
        counts[k.SENTENCES] += _sentences(english_tokens(line))
        counts[k.KEPT_LINES] += 1
    return counts


def _sentences(tokens: list[str]) -> int:
    """Sentences as spaCy's `sentencizer` parts them: behind an end and its punctuation."""
    sentences, stopped = 1, False
    for token in tokens:
        stop = len(token) == 1 and _is(token, t.STOP)
        punctuation = all(unicodedata.category(char).startswith("P") for char in token)
        if stopped and not punctuation and not stop:
            sentences += 1
            stopped = False
        elif stop:
            stopped = True
    return sentences


@op(
    reads=[TEXT],
    writes=[C4_SENTENCE_COUNT, C4_LINE_FRAC, C4_LOREM_IPSUM_COUNT, C4_BRACE_COUNT],
    data=["kernels/categories.txt", "kernels/token_classes.txt", "kernels/english_tokens.txt"],
    examples=[
        ("Home\nIt is so. Is it not?\nThe end is near.[1]\nUse of cookies is it.", (3, 0.5, 0, 0)),
        ("Lorem ipsum dolor sit.\nA set {a, b} it is.", (2, 1.0, 1, 1)),
        ("", (0, 0.0, 0, 0)),
        (None, (None,) * 4),
    ],
    reference=_c4_reference,
)
def datatrove_c4(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count what datatrove 0.10.1's C4QualityFilter compares, of the lines that it keeps.

    The rules are C4's (Raffel et al. 2020, arXiv 1910.10683, 2.2) and of its published code: a line
    ends with one of . ? ! " ' and not with three full stops, has three words, none of over 1,000
    characters, no 'javascript' and no phrase about policies; a page is dropped with fewer than five
    sentences, with a brace or with 'lorem ipsum'. Phrases are found in any case of ASCII.
    """
    texts = strings(batch[TEXT.name])
    longest = int(np.diff(texts.offsets).max(initial=0)) + 2
    counts = np.zeros((texts.rows, k.C4_COUNTS), np.int64)
    k.count_c4(
        texts,
        t.english_rules(),
        *_citations(),
        phrases(),
        np.empty((4, longest), np.int64),
        np.empty(longest, np.uint8),
        np.empty(longest, np.uint8),
        counts,
    )
    return _c4_columns(counts, texts.valid)
