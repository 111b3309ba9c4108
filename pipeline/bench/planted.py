"""Near duplicates that are planted among documents, and how alike any two of these are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.plain import Json
from phloem.filters.kernels.classes import MARK, UNSPACED, WORD, classes
from phloem.filters.minhash import shingles

LEAST, MOST = 0.01, 0.05  # of the words are edited
SUBSTITUTED, DELETED = 0.6, 0.8  # of the edits, and what is left is inserted
WORDS = 60  # that a text has at least: one edit changes five shingles of them
POOL = 60_000  # words of a language that edits are drawn from
FREQUENT = 0.08  # of the documents that get a copy


@dataclass(frozen=True)
class Pair:
    """A document and its edited copy.

    Attributes:
        document: Id of the one that is copied.
        copy: Id of the copy.
        language: BCP-47 tag of both.
    """

    document: str
    copy: str
    language: str


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each word begins and ends; a letter of a script without spaces is one, with its marks.

    As `minhash` reads them, here to edit one and leave what stands between them.
    """
    flags = classes()[np.frombuffer(text.encode("utf-32-le", "replace"), "<u4")]
    found: list[tuple[int, int]] = []
    start, unspaced = -1, False
    for at, flag in enumerate(flags.tolist()):
        begins = bool(flag & UNSPACED) or (unspaced and not flag & MARK)
        if start >= 0 and (begins or not flag & WORD):
            found.append((start, at))
            start = -1
        if flag & WORD:
            start = at if start < 0 else start
            unspaced = bool(flag & UNSPACED) or (unspaced and bool(flag & MARK))
    return [*found, (start, len(text))] if start >= 0 else found


def edited(text: str, pool: Sequence[str], random: Random, rate: float) -> str:
    """A text of which so many words are put for others, left out, or followed by another.

    Args:
        text: With one word at least.
        pool: Words that edits are drawn from.
        random: What they are drawn by.
        rate: Of the words that are edited; one at least.
    """
    spans = word_spans(text)
    count = max(1, round(len(spans) * rate))
    parts, done = [], 0
    for place in sorted(random.sample(range(len(spans)), count)):
        start, end = spans[place]
        kind, word = random.random(), random.choice(pool)
        parts.append(text[done:start])
        if kind >= DELETED:
            parts += [text[start:end], " ", word]
        elif kind < SUBSTITUTED:
            parts.append(word)
        done = end
    return "".join([*parts, text[done:]])


def plant(
    documents: Sequence[Json], seed: int, least: Mapping[str, int]
) -> tuple[list[Json], list[Pair]]:
    """The documents and edited copies of some of them, and which those are.

    Args:
        documents: With id, text and lang.
        seed: Of all that is drawn.
        least: Pairs that a language has at least, where it has a document of `WORDS` words; of one
            document several copies are made, if need be.
    """
    random = Random(seed)  # noqa: S311 - no secret
    by_language: dict[str, list[Json]] = defaultdict(list)
    pool: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        spans = word_spans(document["text"])
        own = pool[document["lang"]]
        if len(own) < POOL:
            own += [document["text"][start:end] for start, end in spans[::7]]
        if len(spans) >= WORDS:
            by_language[document["lang"]].append(document)
    made, pairs = [], []
    for language, known in sorted(by_language.items()):
        count = max(round(FREQUENT * len(known)), least.get(language, 0))
        random.shuffle(known)
        for number in range(count):
            document = known[number % len(known)]
            name = f"{document['id']}#{seed}-{number // len(known)}"
            rate = random.uniform(LEAST, MOST)
            text = edited(document["text"], pool[language], random, rate)
            made.append({"id": name, "text": text, "lang": language})
            pairs.append(Pair(document["id"], name, language))
    together = [*documents, *made]
    random.shuffle(together)
    return together, pairs


class Likeness:
    """How alike documents are: the exact Jaccard similarity of their shingles, with all others."""

    def __init__(self, texts: Sequence[str], *, ngram: int = 5) -> None:
        """Index the shingles of all texts."""
        parts = [
            shingles(pa.array(texts[start : start + 1000]), ngram=ngram)
            for start in range(0, len(texts), 1000)
        ]
        sizes = [np.diff(offsets) for offsets, _ in parts]
        self._sizes = np.concatenate([np.zeros(0, np.int64), *sizes])
        self._ends = np.cumsum(self._sizes)
        held = np.concatenate([np.zeros(0, np.uint64), *(values for _, values in parts)])
        values, self._of = np.unique(held, return_inverse=True)
        order = np.argsort(self._of, kind="stable")
        self._rows = np.repeat(np.arange(len(texts)), self._sizes)[order]
        self._starts = np.searchsorted(self._of[order], np.arange(len(values) + 1))

    def of(self, row: int) -> npt.NDArray[np.float64]:
        """With each text, 0-1; with itself 0."""
        own = self._of[self._ends[row] - self._sizes[row] : self._ends[row]]
        spans = [self._rows[self._starts[each] : self._starts[each + 1]] for each in own]
        shared = np.bincount(
            np.concatenate([np.zeros(0, np.int64), *spans]), minlength=len(self._sizes)
        )
        union = self._sizes + self._sizes[row] - shared
        found: npt.NDArray[np.float64] = shared / np.maximum(union, 1)
        found[row] = 0
        return found


def expected(jaccard: npt.NDArray[np.float64], bands: int, rows: int) -> npt.NDArray[np.float64]:
    """The probability that two texts share a band (Leskovec et al. 2014, section 3.4.2)."""
    chance: npt.NDArray[np.float64] = 1 - (1 - jaccard**rows) ** bands
    return chance


def by_language(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[int]]]:
    """(language, places of its pairs), the most frequent language first."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        places[pair.language].append(place)
    for language, _ in Counter(pair.language for pair in pairs).most_common():
        yield language, places[language]
