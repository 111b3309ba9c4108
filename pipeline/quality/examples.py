"""Documents that a classifier learns from: of cards, and of a user's own files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import xxhash

from phloem.catalog.columns import TEXT
from phloem.catalog.policy import LOCAL
from phloem.catalog.store import Store
from phloem.pipeline.cleaned import cleaned
from phloem.pipeline.registry.fetch import readings
from phloem.pipeline.registry.registry import Registry, card_of, local_registry
from phloem.pipeline.workspace import Workspace

ONE_IN = 10
"""Of so many documents, by their hash, one is held out and scores what the others train."""


@dataclass(frozen=True)
class Example:
    """A document.

    Attributes:
        source: Id of its card; the path for a user's own files.
        text: Cleaned.
        number: The hash of its text, 64 bits: equal texts have equal ones.
    """

    source: str
    text: str
    number: int

    @property
    def is_held_out(self) -> bool:
        """Whether it scores and does not train."""
        return self.number % ONE_IN == 0


def examples(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    named: Sequence[str],
    text_column: str,
    told: Callable[[str], None],
) -> Iterator[Example]:
    """The documents of some sources, in their order, each text once.

    Args:
        store: The root: files and what is ingested come into it.
        registry: Whose cards are meant.
        workspace: Whose ops a card may name.
        named: Ids of cards; what is none is a path, glob or URL of files of one's own.
        text_column: The column of these that holds the text.
        told: Called with a line for a person when something is fetched.

    Raises:
        AskedError: there are no such files.
        FetchError: the files of a source cannot be had.
    """
    met: set[int] = set()
    for name in named:
        is_card = name in registry.cards
        known = registry if is_card else local_registry(registry, name, text_column, "und")
        card = card_of(known, name if is_card else LOCAL)
        found, _ = readings(
            store, [card], known.pins, own=known.own, skip_unavailable=False, told=told
        )
        for reading in found:
            for batch in cleaned(store, workspace, reading):
                for text in batch[TEXT.name].to_pylist():
                    number = xxhash.xxh3_64_intdigest((text or "").encode())
                    if text and text.strip() and number not in met:
                        met.add(number)
                        yield Example(name, text, number)
