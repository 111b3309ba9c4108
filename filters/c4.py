"""C4's cleaning of English web pages, line by line, and what it tells of each page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import LANGUAGE, TEXT, Column
from phloem.catalog.tags import UNKNOWN, lookup
from phloem.filters.kernels.utf8 import nullable
from phloem.filters.op import op
from phloem.filters.statistics import ratio

C4_LINE_FRAC = Column(
    "c4_line_frac", pa.float64(), "Fraction of the lines that C4's rules keep, 0-1."
)
C4_CHAR_FRAC = Column(
    "c4_char_frac", pa.float64(), "Fraction of the characters that C4's rules keep, 0-1."
)
C4_SENTENCE_COUNT = Column(
    "c4_sentence_count", pa.int64(), "Sentences of the lines that C4's rules keep."
)
C4_LOREM_IPSUM_COUNT = Column(
    "c4_lorem_ipsum_count", pa.int64(), "Lines with 'lorem ipsum' for which C4 drops the page."
)
C4_BRACE_COUNT = Column("c4_brace_count", pa.int64(), "Lines with '{' for which C4 drops the page.")

# All of these are those of the published code: tensorflow/datasets, text/c4_utils.py.
LANGUAGES = ("en",)
END_MARKS = (".", "?", "!", '"')
ELLIPSIS = "..."
MAX_WORD_CHARS = 1000
LOREM_IPSUM = "lorem ipsum"
SCRIPT = "javascript"
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")

# A sentence ends in the midst of a line where a capital, digit or quote follows its mark, unless
# what the mark ends is a single letter or one of these (the published code asks NLTK's punkt).
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st jr sr vs no vol fig e.g i.e inc ltd co corp gen col rev hon".split()
)
_LONGEST_ABBREVIATION = 5
_INNER_END = re.compile(r"[.?!]+[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")


@dataclass
class _Page:
    """What is kept of a page, and what C4 counts in it."""

    kept: list[str] = field(default_factory=list)
    lines: int = 0
    chars: int = 0
    sentences: int = 0
    lorem: int = 0
    braces: int = 0


def _sentences(line: str) -> int:
    return 1 + sum(not _abbreviates(line, match.start()) for match in _INNER_END.finditer(line))


def _abbreviates(line: str, end: int) -> bool:
    """Whether what stands before a mark is a letter alone or a known abbreviation."""
    before = line[max(0, end - _LONGEST_ABBREVIATION - 2) : end].split()
    word = before[-1].lower().lstrip("\"'([") if before else ""
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha())


def _cleaned(text: str, *, min_words: int, terminal: bool) -> _Page:
    page = _Page()
    for raw in text.splitlines():
        line = raw.strip()
        page.lines += bool(line)
        page.chars += len(line)
        if len(line) > MAX_WORD_CHARS and max(map(len, line.split())) > MAX_WORD_CHARS:
            continue
        if "[" in line:
            line = _CITATION.sub("", line)
        if terminal and (not line.endswith(END_MARKS) or line.endswith(ELLIPSIS)):
            continue
        if len(line.split()) < min_words:
            continue
        lowered = line.lower()
        is_lorem, is_script = LOREM_IPSUM in lowered, SCRIPT in lowered
        page.lorem += is_lorem
        if is_script:
            continue
        page.braces += "{" in line
        if any(phrase in lowered for phrase in POLICY_PHRASES):
            continue
        page.sentences += _sentences(line)
        page.kept.append(line)
    return page


def _is_judged(text: str | None, tag: str | None) -> bool:
    return text is not None and bool(set(lookup(tag or UNKNOWN)) & set(LANGUAGES))


@op(
    reads=[TEXT, LANGUAGE],
    writes=[
        TEXT,
        C4_LINE_FRAC,
        C4_CHAR_FRAC,
        C4_SENTENCE_COUNT,
        C4_LOREM_IPSUM_COUNT,
        C4_BRACE_COUNT,
    ],
    examples=[
        (
            ("Home | News\nThe harbour was closed[2] for a week. Why?\nRead more...", "en"),
            ("The harbour was closed for a week. Why?", 0.3333, 0.6, 2, 0, 0),
        ),
        (
            ("We use cookies to make this site better.\nWe met Mr. Hall and his wife.", "en-GB"),
            ("We met Mr. Hall and his wife.", 0.5, 0.4203, 1, 0, 0),
        ),
        (
            ("if (a) { b(c, d, e); } else f!", "en"),
            ("if (a) { b(c, d, e); } else f!", 1, 1, 1, 0, 1),
        ),
        (("下雨了\nMenu", "zh"), ("下雨了\nMenu", None, None, None, None, None)),
        ((None, "en"), (None, None, None, None, None, None)),
    ],
)
def c4_lines(batch: pa.RecordBatch, *, min_words: int = 5, terminal: bool = True) -> list[pa.Array]:
    """Keep the lines of an English page that C4 keeps, and tell how much that is.

    A line is kept, without blanks at its ends and without marks of citations (`[1]`, `[edit]`,
    `[citation needed]`), if it ends in one of `. ? ! "` and not in `...`, has at least `min_words`
    words parted by white space and none of more than 1000 characters, and holds neither
    "javascript" nor one of six phrases of privacy notices, in any case. Blank lines go. A text
    whose language is not English is left as it is, and what is told of it is null: the marks and
    the phrases are English. For pages of the web alone; of verse, tables and lists little is left.

    C4 drops a page with fewer than three sentences in these lines, and one with "lorem ipsum" or
    `{` in a line that comes so far: the rule set `c4`. Sentences are counted by marks with a
    capital, a digit or a quote behind them, where the published code asks NLTK's punkt.

    C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2), with the numbers and the order of its
    published code: five words a line and three sentences. With `terminal: false` and
    `min_words: 3` it is what FineWeb (Penedo et al. 2024, arXiv 2406.17557) took of it.
    """
    texts, tags = (batch[column.name].to_pylist() for column in (TEXT, LANGUAGE))
    pages = [
        _cleaned(text, min_words=min_words, terminal=terminal) if _is_judged(text, tag) else None
        for text, tag in zip(texts, tags, strict=True)
    ]
    done = [
        text if page is None else "\n".join(page.kept).strip()
        for text, page in zip(texts, pages, strict=True)
    ]
    known = np.array([page is not None for page in pages], np.bool_)
    told = [page or _Page() for page in pages]
    kept = np.array([len(page.kept) for page in told], np.int64)
    kept_chars = np.array([sum(map(len, page.kept)) for page in told], np.int64)
    lines = np.array([page.lines for page in told], np.int64)
    chars = np.array([page.chars for page in told], np.int64)
    counts = np.array([(page.sentences, page.lorem, page.braces) for page in told], np.int64)
    return [
        pa.array(done, TEXT.type),
        nullable(ratio(kept, lines), known, C4_LINE_FRAC.type),
        nullable(ratio(kept_chars, chars), known, C4_CHAR_FRAC.type),
        *(nullable(count, known, pa.int64()) for count in counts.reshape(-1, 3).T),
    ]
