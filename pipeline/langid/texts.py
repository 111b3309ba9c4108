"""Text by language and source, out of cards of the registry, and the pieces that it is cut in."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from phloem.catalog.columns import DECLARED_LANGUAGE, ID, TEXT
from phloem.catalog.store import Store
from phloem.catalog.tags import UNKNOWN
from phloem.pipeline.cleaned import cleaned
from phloem.pipeline.reading import Reading
from phloem.pipeline.registry.fetch import readings
from phloem.pipeline.registry.registry import Registry, card_of
from phloem.pipeline.stages.measure import declared, declared_for
from phloem.pipeline.workspace import Workspace


@dataclass(frozen=True)
class Text:
    """A text, or a piece of one.

    Attributes:
        language: BCP-47 tag that the source declares for it.
        source: Id of the card.
        document: Id of the document.
        text: Cleaned.
    """

    language: str
    source: str
    document: str
    text: str


def texts(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    sources: Sequence[str],
    told: Callable[[str], None],
) -> Iterator[Text]:
    """The documents of some sources in one language each, cleaned; in the order of the sources.

    A document with several declared languages, or none, is left out: nobody vouches for it.

    Args:
        store: The root: files and what is ingested come into it.
        registry: Whose cards and pins are read.
        workspace: Whose ops a card may name.
        sources: Ids of cards.
        told: Called with a line for a person when something is fetched.

    Raises:
        AskedError: there is no such card.
        FetchError: the files of one cannot be had.
    """
    cards = [card_of(registry, source) for source in sources]
    found, _ = readings(
        store, cards, registry.pins, own=registry.own, skip_unavailable=False, told=told
    )
    for reading in found:
        yield from _texts_of(store, workspace, reading)


def _texts_of(store: Store, workspace: Workspace, reading: Reading) -> Iterator[Text]:
    """The documents of a source that say one language."""
    of_card = declared(reading.card)
    for batch in cleaned(store, workspace, reading):
        names, values = batch[ID.name].to_pylist(), batch[TEXT.name].to_pylist()
        tags = [declared_for(tag, of_card) for tag in batch[DECLARED_LANGUAGE.name].to_pylist()]
        for own, document, text in zip(tags, names, values, strict=True):
            if text and len(own) == 1 and own[0] != UNKNOWN:
                yield Text(own[0], reading.card.id, document, text)


def pieces(texts: Iterable[Text], least: int, most: int, seed: int = 0) -> Iterator[Text]:
    """Each text cut into pieces of a random number of characters, at blanks where there are any.

    A line end counts as a blank. What is left at the end of a text, if shorter than the least, is
    left out. A document gives the same pieces whatever stands before it.

    Args:
        texts: To be cut.
        least: Characters of the shortest, before it is cut back to a blank: by half at most, else
            a word is cut.
        most: Of the longest.
        seed: Of the lengths.
    """
    for each in texts:
        random = np.random.default_rng([seed, *_numbers(each.document)])
        line = " ".join(each.text.split())
        start = 0
        while len(line) - start >= least:
            end = start + int(random.integers(least, most + 1))
            if end < len(line):
                end = max(line.rfind(" ", start + least // 2, end + 1), 0) or end
            yield replace(each, text=line[start:end].strip())
            start = end + (line[end : end + 1] == " ")


def _numbers(name: str) -> list[int]:
    """A name as numbers that a generator can be seeded with."""
    return list(np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32).tolist())


def capped(pieces: Iterable[Text], of_source: int, of_language: int, seed: int = 0) -> list[Text]:
    """Some of each language's pieces, spread over its sources as evenly as these allow.

    Pieces that a language has twice count once. They are drawn by the hash of their text, so that
    nobody picks them, and come back by language, source and that hash.

    Args:
        pieces: Of any languages and sources.
        of_source: UTF-8 bytes that one source gives a language at most.
        of_language: That a language has at most.
        seed: Of the hashes.
    """
    held: dict[str, dict[str, dict[str, Text]]] = defaultdict(lambda: defaultdict(dict))
    for piece in pieces:
        digest = hashlib.sha256(f"{seed}\0{piece.text}".encode("utf-8", "replace")).hexdigest()
        held[piece.language][piece.source].setdefault(digest, piece)
    chosen: list[Text] = []
    for language in sorted(held):
        met: set[str] = set()
        shares = shared_out(
            {source: byte_size(own.values()) for source, own in held[language].items()},
            of_source,
            of_language,
        )
        for source in sorted(held[language]):
            left = shares[source]
            for digest, piece in sorted(held[language][source].items()):
                left -= len(piece.text.encode("utf-8", "replace"))
                if left < 0:
                    break
                if digest not in met:
                    met.add(digest)
                    chosen.append(piece)
    return chosen


def byte_size(texts: Iterable[Text]) -> int:
    """UTF-8 bytes of some texts."""
    return sum(len(each.text.encode("utf-8", "replace")) for each in texts)


def shared_out(held: Mapping[str, int], of_source: int, of_language: int) -> dict[str, int]:
    """Bytes that each source gives: all it has up to the most, the least first, the rest evenly."""
    shares, left = {}, of_language
    for place, source in enumerate(sorted(held, key=lambda name: (held[name], name))):
        shares[source] = min(held[source], of_source, left // (len(held) - place))
        left -= shares[source]
    return shares
