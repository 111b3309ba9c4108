"""All that the lint rules look at: card files right or wrong, locks, approvals, names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from phloem.sources.cards.source import Approval, Source, card_files, describe, read_yaml
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
    """

    files: Sequence[CardFile]
    ops: Collection[str]
    connectors: Mapping[str, Connector]
    pins: Mapping[str, Pin]
    approvals: Mapping[str, Approval]
    license_refs: Collection[str]
    today: date
    unverified: Mapping[str, str] = field(default_factory=dict)

    def cards(self) -> Iterator[tuple[str, Source]]:
        """(file, card) of each card whose shape is right."""
        return ((str(file.path), file.card) for file in self.files if file.card)


def read_cards(folders: Sequence[str | Path] = ()) -> list[CardFile]:
    """Every card file of `entries/` and of these folders, right or wrong."""
    return [read_card(path) for path in card_files(folders)]


def read_card(path: Path) -> CardFile:
    """A card file, with every fault of its shape."""
    value, wrong = read_yaml(path)
    if wrong:
        return CardFile(path, None, None, (("card", wrong[0].partition(": ")[2] or wrong[0]),))
    try:
        return CardFile(path, value, Source.model_validate(value), ())
    except ValidationError as error:
        faults = [text.partition(": ")[::2] for text in describe(Source, error)]
        return CardFile(path, value, None, tuple((where, text) for where, text in faults))
