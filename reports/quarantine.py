"""What could not be worked on: unreadable records, and documents that an op could not handle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.plain import Json


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble in one source.

    Attributes:
        source: Card id.
        reason: Short, without text of a document.
        met: ``reading`` or ``measuring``.
        records: How many records it stands for.
        where: File, or split, and byte offset, or id, of the first.
    """

    source: str
    reason: str
    met: str
    records: int
    where: str


def quarantine(connection: DuckDBPyConnection) -> tuple[Trouble, ...]:
    """Trouble by source and reason, most records first."""
    rows = connection.execute(
        """
        select source, regexp_replace(reason, ' [(]byte [0-9]+[)]$', '') as reason,
            if(id is null, 'reading', 'measuring') as met, sum(records),
            min(struct_pack(split := split, file := file, at := "offset", id := id))
        from quarantine group by all
        """
    ).fetchall()
    found = [
        Trouble(source, reason or "", met, int(records), _at(first))
        for source, reason, met, records, first in rows
    ]
    return tuple(sorted(found, key=lambda own: (-own.records, own.source, own.reason)))


def _at(first: Mapping[str, Json]) -> str:
    if first["id"]:
        return f"document {first['id']}"
    place = first["file"] or (f"split {first['split']}" if first["split"] else "")
    told = [place] if place else []
    if first["at"] is not None and first["at"] >= 0:
        told.append(f"byte {first['at']:,}")
    return ", ".join(told)
