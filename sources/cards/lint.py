"""What a card must hold to, beyond its shape: numbered rules, each with its reason and its mend."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from phloem.sources.cards import checks, facts, places, terms
from phloem.sources.cards.approvals import signature_faults, signers_of
from phloem.sources.cards.dossier import Dossier, read_cards
from phloem.sources.cards.lock import locked
from phloem.sources.cards.rules import Kind, Rule
from phloem.sources.cards.source import approvals, license_refs, own_ids
from phloem.sources.connector import find_connector


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one card."""

    rule: str
    kind: Kind
    file: str
    field: str
    message: str
    fix: str


def lint(
    folders: Sequence[str | Path] = (),
    *,
    op_names: Collection[str],
    connector_names: Collection[str],
    today: date | None = None,
) -> list[Finding]:
    """Everything wrong with the cards of `entries/` and of these folders, by file and rule.

    Args:
        folders: Further card folders.
        op_names: The ops that there are.
        connector_names: The connectors that there are.
        today: For the age of licence checks; the day in UTC if not given.

    Raises SourceError if a lock file or an approval cannot be read.
    """
    approved = approvals(folders)
    entries = locked(folders)
    return findings(
        Dossier(
            files=read_cards(folders),
            ops=op_names,
            connectors={name: find_connector(name) for name in connector_names},
            pins={source: entry.pin for source, entry in entries.items()},
            approvals=approved,
            license_refs=license_refs(),
            today=today or datetime.now(UTC).date(),
            unverified=signature_faults(approved, signers_of(folders)),
            own=own_ids(folders),
            texts={source: each.text for source, each in entries.items() if each.text},
        )
    )


def findings(dossier: Dossier) -> list[Finding]:
    """Every finding of every rule, by file and then by rule."""
    found = [
        Finding(rule.number, rule.kind, file, field, message, rule.fix)
        for rule in RULES
        for file, field, message in rule.check(dossier)
    ]
    return sorted(found, key=lambda f: (f.file, f.rule, f.field, f.message))


def catalogue() -> list[tuple[str, str, str, str, str]]:
    """(number, kind, what, why, fix) of each rule, for the docs."""
    return [(rule.number, rule.kind, rule.what, rule.why, rule.fix) for rule in RULES]


RULES = sorted(
    (
        each
        for room in (checks, facts, places, terms)
        for each in vars(room).values()
        if isinstance(each, Rule)
    ),
    key=lambda rule: rule.number,
)
