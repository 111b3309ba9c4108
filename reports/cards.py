"""The sources of a run, as their cards, the lock file and the approvals said at the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from phloem.catalog.plain import Json
from phloem.catalog.policy import approval_fault
from phloem.reports.run import Run

WEB = ("https://", "http://")  # the only addresses that become links


@dataclass(frozen=True)
class Card:
    """One source as the run found it.

    Attributes:
        id: Card id.
        name: Its name.
        summary: In a sentence.
        kind: What it is, such as ``documentation``.
        languages: BCP-47 tags that the card declares.
        license: SPDX expression.
        attribution: Whom to name.
        homepage: Address, if it is one of the web; else empty.
        custodian: Who keeps it.
        status: Of the card.
        evidence: What the licence rests on.
        card: Hash of the card.
        version: That was read.
        files: How many files.
        bytes: Their size.
        approved_by: Who approved the card; empty if nobody did.
    """

    id: str
    name: str
    summary: str
    kind: str
    languages: tuple[str, ...]
    license: str
    attribution: str
    homepage: str
    custodian: str
    status: str
    evidence: tuple[str, ...]
    card: str
    version: str
    files: int
    bytes: int
    approved_by: str


def cards(run: Run) -> tuple[Card, ...]:
    """The sources that were read, by id, from the run record."""
    return tuple(_card(name, own) for name, own in sorted(run.sources.items()))


def _card(name: str, own: Mapping[str, Json]) -> Card:
    files = own.get("files") or ()
    homepage = words(own.get("homepage"))
    return Card(
        id=name,
        name=words(own.get("name")) or name,
        summary=words(own.get("summary")),
        kind=words(own.get("kind")),
        languages=tuple(own.get("languages") or ()),
        license=words(own.get("license")),
        attribution=words(own.get("attribution")),
        homepage=homepage if homepage.startswith(WEB) else "",
        custodian=words(own.get("custodian")),
        status=words(own.get("status")),
        evidence=_each(own.get("evidence")),
        card=words(own.get("card")),
        version=words(own.get("version")),
        files=len(files),
        bytes=sum(file.get("bytes") or 0 for file in files),
        approved_by=words(own["approval"]["by"]) if approval_fault(own) is None else "",
    )


def _each(value: Json) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(text for text in (words(own) for own in values) if text)


def words(value: Json) -> str:
    """A fact of a card as one line: a mapping as ``key: value``, a list joined by commas."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        told = ((key, words(own)) for key, own in value.items())
        return "; ".join(f"{key}: {own}" for key, own in told if own)
    if isinstance(value, list | tuple):
        return ", ".join(words(own) for own in value)
    return str(value)
