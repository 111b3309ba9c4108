"""What could not be worked on: unreadable records, and documents that an op could not handle."""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import QUARANTINED


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble in one source.

    Attributes:
        source: Card id.
        reason: Short, without text of a document.
        met: ``reading`` or ``measuring``.
        records: How many records it stands for.
        where: Split and byte offset, or id, of the first.
    """

    source: str
    reason: str
    met: str
    records: int
    where: str


@dataclass(frozen=True)
class Quarantine:
    """All trouble of a run: most records first."""

    troubles: tuple[Trouble, ...]


def quarantine(connection: DuckDBPyConnection) -> Quarantine:
    """Trouble by source and reason, from the quarantine and the ledger's faults."""
    reading = connection.execute(
        """
        select source, reason, sum(records), min(struct_pack(s := split, o := "offset"))
        from quarantine group by source, reason
        """
    ).fetchall()
    measuring = connection.execute(
        """
        select source, coalesce(detail, reason), count(*), min(id)
        from decisions where verdict = ? group by all
        """,
        [QUARANTINED],
    ).fetchall()
    found = [
        Trouble(source, reason or "", "reading", int(records), _place(first["s"], first["o"]))
        for source, reason, records, first in reading
    ]
    found += [
        Trouble(source, reason or "", "measuring", records, f"document {first}")
        for source, reason, records, first in measuring
    ]
    return Quarantine(
        tuple(sorted(found, key=lambda own: (-own.records, own.source, own.reason)))
    )


def _place(split: str | None, offset: int | None) -> str:
    told = f"split {split}" if split else ""
    if offset is not None and offset >= 0:
        told += f"{', ' if told else ''}byte {offset:,}"
    return told
