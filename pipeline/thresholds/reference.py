"""Sound prose by language, cut into pieces: one half to derive bounds from, the other to score by."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from phloem.catalog.store import Store
from phloem.catalog.tags import NO_LANGUAGE, canonical
from phloem.filters.kernels.classes import LETTER, UNSPACED, WORD, classes
from phloem.pipeline.langid.texts import Text, texts
from phloem.pipeline.registry.registry import Registry
from phloem.pipeline.workspace import Workspace

SOURCES = (
    "udhr",
    "prose",
    "verse-of-the-day",
    "tang-and-song-poems",
    "gnome-help",
    "emacs-tutorial",
    "debian-installation-guide",
    "debian-reference",
    "debian-handbook",
    "debian-edu-manual",
    "freedombox-manual",
)
"""Cards whose texts are declarations, scripture, literature, verse and manuals, in 120 languages."""

LENGTHS = (50, 100, 300)
"""Words of the pieces: Gopher's least document (arXiv 2112.11446, A1.1), and twice and six times it."""

BLOCK = 300  # words that are held out together where a source is one document

MANY = 10  # documents from which on a source is held out by document

DERIVE, SCORE = 0, 1

_RUN = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class Piece:
    """A piece of a sound text.

    Attributes:
        language: BCP-47 tag, canonical.
        source: Id of the card.
        words: How many it was cut to: of `LENGTHS`.
        half: DERIVE or SCORE.
        text: Its lines as they were.
    """

    language: str
    source: str
    words: int
    half: int
    text: str


def word_count_of(run: str) -> int:
    """Words in a run of no spaces as `statistics` counts them, but for marks beside words."""
    flags = [int(classes()[ord(char)]) for char in run]
    unspaced = sum(each & UNSPACED > 0 and each & LETTER > 0 for each in flags)
    return unspaced or int(any(each & WORD for each in flags))


def cut(text: str, words: int) -> Iterator[str]:
    """A text in pieces of so many words, at blanks, with its line ends; the rest is left out.

    A run of a script without spaces is one run: a piece of it is longer than asked, by a clause.
    """
    start = held = 0
    for run in _RUN.finditer(text):
        held += word_count_of(run.group())
        if held >= words:
            yield text[start : run.end()].strip()
            start, held = run.end(), 0


def pieces(sound: Iterable[Text], most: int) -> list[Piece]:
    """Pieces of every length, held out by document, or by blocks where a source has few documents.

    Args:
        sound: Texts of any languages and sources.
        most: Pieces that a source gives a language at most, of each length and half: the first by
            the hash of their text, so that nobody picks them.
    """
    documents = list(sound)
    many = Counter((each.language, each.source) for each in documents)
    found: dict[tuple[str, str, int, int], dict[str, Piece]] = defaultdict(dict)
    for each in documents:
        tag = canonical(each.language)
        blocks = [each.text] if many[each.language, each.source] >= MANY else cut(each.text, BLOCK)
        for number, block in enumerate(blocks):
            half = int(_hash(f"{each.document} {number}")[0], 16) % 2
            for words in LENGTHS:
                own = found[tag, each.source, words, half]
                for text in cut(block, words):
                    own[_hash(text)] = Piece(tag, each.source, words, half, text)
    return [piece for _, own in sorted(found.items()) for _, piece in sorted(own.items())[:most]]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def sound_texts(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    told: Callable[[str], None],
    sources: Sequence[str] = SOURCES,
) -> Iterator[Text]:
    """The documents of the sources in one human language each, cleaned.

    Raises FetchError where files of one cannot be had.
    """
    for text in texts(store, registry, workspace, sources, told):
        if text.language != NO_LANGUAGE:
            yield text
