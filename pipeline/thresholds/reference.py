"""Sound prose by language, cut into pieces, in two halves that share no document."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

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
"""Cards whose texts are declarations, scripture, literature, verse and manuals, in 120 languages:
the bounds of the recipe `quickstart` were chosen on these."""

HELD_OUT = ("fortunes-es", "freeciv-texts", "gimp-help", "libreoffice-help", "wesnoth-campaigns")
"""Cards of quotations, tales and manuals that nothing was chosen on."""

CHARS = 300_000  # of a source in a language, at most

LENGTHS = (50, 100, 300)
"""Words of the pieces: of Gopher's least document (arXiv 2112.11446, A1.1), twice and six times."""

BLOCK = 300  # words that are held out together where a source is one document

MANY = 10  # documents from which on a source is held out by document

DERIVE, SCORE = 0, 1

_RUN = re.compile(r"[^\s\u1361]+[\s\u1361]*")  # Ethiopic parts words by U+1361 alone


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


def cut(text: str, words: int) -> Iterator[str]:
    """A text in pieces of so many words, at blanks, with its line ends; the rest is left out.

    Words are those of `statistics`, but for marks beside them. A run of a script without spaces is
    one run: a piece of it is longer than asked, by a clause.
    """
    flags = classes()[np.frombuffer(text.encode("utf-32-le", "replace"), "<u4")]
    unspaced = _sums((flags & UNSPACED > 0) & (flags & LETTER > 0))
    of_words = _sums(flags & WORD > 0)
    start = held = 0
    for run in _RUN.finditer(text):
        begin, end = run.span()
        letters = int(unspaced[end] - unspaced[begin])
        held += letters or int(of_words[end] > of_words[begin])
        if held >= words:
            yield text[start:end].strip()
            start, held = end, 0


def _sums(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many are set before each place."""
    return np.concatenate([[0], np.cumsum(flags)])


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
    held: Counter[tuple[str, str]] = Counter()
    for text in texts(store, registry, workspace, sources, told):
        if text.language != NO_LANGUAGE and held[text.language, text.source] < CHARS:
            own = text.text[: CHARS - held[text.language, text.source]]
            held[text.language, text.source] += len(own)
            yield replace(text, text=own)
