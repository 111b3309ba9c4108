"""All that the lint rules look at: card files right or wrong, locks, approvals, names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from phloem.sources.cards.lock import Text
from phloem.sources.cards.plain_yaml import read_yaml
from phloem.sources.cards.source import Approval, Source, describe, read_files
from phloem.sources.connector import Connector, Json, Pin


@dataclass(frozen=True)
class CardFile:
    """A card file as it was read.

    Attributes:
        path: Where it lies.
        value: Its plain data; None if it is not YAML.
        card: The card; None if its shape is wrong.
        faults: What is wrong with its shape, as (field, message).
    """

    path: Path
    value: Json
    card: Source | None
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dossier:
    """All that the rules look at.

    Attributes:
        files: Every card file.
        ops: Names of the ops that there are.
        connectors: Each connector, by its name.
        pins: What the lock files hold.
        approvals: By source id.
        license_refs: The LicenseRef-* that `licenses.yaml` knows.
        today: For the age of licence checks.
        unverified: Why an approval does not count, by source id.
        texts: How much text each source was seen to hold, by source id.
        own: Ids of the cards that are a user's own, and none of the registry.
    """

    files: Sequence[CardFile]
    ops: Collection[str]
    connectors: Mapping[str, Connector]
    pins: Mapping[str, Pin]
    approvals: Mapping[str, Approval]
    license_refs: Collection[str]
    today: date
    unverified: Mapping[str, str] = field(default_factory=dict)
    own: Collection[str] = ()
    texts: Mapping[str, Text] = field(default_factory=dict)

    def cards(self) -> Iterator[tuple[str, Source]]:
        """(file, card) of each card whose shape is right."""
        return ((str(file.path), file.card) for file in self.files if file.card)


def read_cards(folders: Sequence[str | Path] = ()) -> list[CardFile]:
    """Every card file of `entries/` and of these folders, right or wrong."""
    return [card_of_plain(path, *read) for path, read in read_files(folders)]


def read_card(path: Path) -> CardFile:
    """A card file, with every fault of what it is written in and of its shape."""
    return card_of_plain(path, *read_yaml(path))


def card_of_plain(path: Path, value: Json, wrong: Sequence[str]) -> CardFile:
    """The same of what was read: its plain data, and what is wrong with that."""
    faults = [("card", fault) for fault in wrong]
    card = None
    if value is not None or not wrong:
        try:
            card = Source.model_validate(value)
        except ValidationError as error:
            said = [text.partition(": ")[::2] for text in describe(Source, error)]
            faults += [(where, text) for where, text in said]
    return CardFile(path, value, None if faults else card, tuple(faults))
