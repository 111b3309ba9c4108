"""Flagged words: how many words of lists that a recipe gives a text holds."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import LANGUAGE, TEXT, Column
from phloem.catalog.plain import Json
from phloem.catalog.tags import UNKNOWN, canonical, lookup
from phloem.filters.given import LISTS, check_lists
from phloem.filters.minhash import words_of
from phloem.filters.op import OpError, op
from phloem.filters.statistics import ratio

FLAGGED_WORD_COUNT = Column(
    "flagged_word_count",
    pa.int64(),
    "Words and phrases of the list of the document's language; null where none is given.",
)
FLAGGED_WORD_FRAC = Column(
    "flagged_word_frac",
    pa.float64(),
    "Fraction of the words that are flagged, 0-1; null where no list is given.",
)

Phrases = Mapping[int, frozenset[tuple[str, ...]]]  # by their number of words


def _words(text: str) -> tuple[str, ...]:
    return tuple(words_of(text.lower()))


@functools.lru_cache(maxsize=256)
def _phrases(path: str) -> Phrases:
    """The words and phrases of a list, a line each."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise OpError("it is not UTF-8; give text with a word a line") from None
    found: dict[int, set[tuple[str, ...]]] = {}
    for phrase in map(_words, lines):
        if phrase:
            found.setdefault(len(phrase), set()).add(phrase)
    if not found:
        raise OpError("it holds no word; give text with a word a line")
    return {size: frozenset(phrases) for size, phrases in sorted(found.items())}


def _ready(params: Mapping[str, Json], files: Mapping[str, str]) -> None:
    """Raise GivenError naming every list without words, and of a language that is none."""

    def check(each: Mapping[str, str]) -> None:
        canonical(each["language"])
        _phrases(files[each["sha256"]])

    check_lists("flagged_words", params[LISTS], check)


def _flagged(text: str, listed: Sequence[Phrases]) -> tuple[int, int, int]:
    """(phrases found, words in them, words)."""
    words = _words(text)
    hit = np.zeros(len(words), np.bool_)
    count = 0
    for phrases in listed:
        for size, own in phrases.items():
            for start in range(len(words) - size + 1):
                if words[start : start + size] in own:
                    count += 1
                    hit[start : start + size] = True
    return count, int(hit.sum()), len(words)


@op(
    reads=[TEXT, LANGUAGE],
    writes=[FLAGGED_WORD_COUNT, FLAGGED_WORD_FRAC],
    version=2,
    data=["kernels/categories.txt"],
    list_keys=["language"],
    ready=_ready,
    examples=[(("Whatever it says.", "en"), (None, None)), ((None, "en"), (None, None))],
)
def flagged_words(
    batch: pa.RecordBatch,
    *,
    lists: Sequence[Mapping[str, Json]] = (),
    files: Mapping[str, str] = MappingProxyType({}),
) -> list[pa.Array]:
    """Count the words and phrases of a language's lists that a text holds.

    A recipe gives each list as `{language: …, path or url: …, sha256: …, license: …}`: text in
    UTF-8 with a word or phrase a line. Compared are words in small letters, as shingles have them:
    letters, marks and digits, and each letter of a script without spaces alone, so that there a
    phrase is found within others. A list for `pt` holds for `pt-BR` too. Where none is given for a
    document's language both are null.

    The fraction is that of ROOTS (Laurençon et al. 2022, arXiv 2303.03915; the bounds are in the
    rule set roots-flagged-words), the count that of C4's list of bad words (Raffel et al. 2020,
    arXiv 1910.10683, section 2.2: c4-bad-words). No list is given here: whom a list silences is
    for those to judge who use it (Dodge et al. 2021, arXiv 2104.08758).
    """
    by_tag: dict[str, list[Phrases]] = {}
    for each in lists:
        by_tag.setdefault(canonical(each["language"]), []).append(_phrases(files[each["sha256"]]))
    texts, tags = (batch[column.name].to_pylist() for column in (TEXT, LANGUAGE))
    found = []
    for text, tag in zip(texts, tags, strict=True):
        own = next((each for each in lookup(tag or UNKNOWN) if each in by_tag), None)
        is_judged = text is not None and own is not None
        found.append(_flagged(text, by_tag[own]) if is_judged and own else None)
    known = np.array([each is not None for each in found], np.bool_)
    counts = np.array([each or (0, 0, 0) for each in found], np.int64).reshape(-1, 3).T
    return [
        pa.array(counts[0], FLAGGED_WORD_COUNT.type, mask=~known),
        pa.array(ratio(counts[1], counts[2]), FLAGGED_WORD_FRAC.type, mask=~known),
    ]
