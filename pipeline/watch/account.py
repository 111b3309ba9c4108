"""What a run read and what it could not read: the last lines that it prints."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from phloem.catalog.columns import ID
from phloem.catalog.ledger import (
    DETAIL,
    DROPPED,
    FILE,
    KEPT,
    QUARANTINED,
    REASON,
    RECORDS,
    VERDICT,
)
from phloem.catalog.manifest import Shard, read_parquet
from phloem.catalog.runs import shards_of
from phloem.catalog.store import Store

Json = Any

_BYTE = re.compile(r" \(byte \d+\)$")
TOLD_REASONS = 5  # of a run; the view `quarantine` has all
TOLD_FILES = 3  # of a reason


@dataclass(frozen=True)
class Trouble:
    """Why records are in quarantine.

    Attributes:
        reason: Short, without text of a document.
        records: How many records it stands for.
        places: Where they were met, sorted: files, or ids of documents that an op could not handle.
    """

    reason: str
    records: int
    places: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """What was read, and what became of it.

    Attributes:
        read: Records.
        kept: Documents; None before anything was decided.
        dropped: Documents, likewise.
        quarantined: Records that gave no document, and documents that an op could not handle.
        rests: How many of these stand for a rest of unknown length that nobody could read.
        troubles: Most records first.
        silent: Sources of which not one record was read.
    """

    read: int
    kept: int | None
    dropped: int | None
    quarantined: int
    rests: int
    troubles: tuple[Trouble, ...]
    silent: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether not one document was read."""
        return self.read == self.quarantined


def account(store: Store, ingested: Sequence[Shard], decided: Sequence[Shard] | None) -> Account:
    """Add up what shards of `ingest`, and of `decide` if it came to that, say of themselves."""
    read: Counter[str] = Counter()
    for shard in ingested:
        read[shard.facts["source"]] += shard.facts["read"]
    records: Counter[str] = Counter()
    places: defaultdict[str, set[str]] = defaultdict(set)
    for told, count, place in _quarantined(store, ingested, decided or ()):
        reason = _BYTE.sub("", told)  # it is another in every document
        records[reason] += count
        if place:
            places[reason].add(place)
    return Account(
        read=sum(read.values()),
        kept=None if decided is None else _sum(decided, KEPT),
        dropped=None if decided is None else _sum(decided, DROPPED),
        quarantined=sum(records.values()),
        rests=_sum(ingested, "rests"),
        troubles=tuple(
            Trouble(reason, count, tuple(sorted(places[reason])))
            for reason, count in sorted(records.items(), key=lambda each: (-each[1], each[0]))
        ),
        silent=tuple(sorted(source for source, count in read.items() if not count)),
    )


def account_of(store: Store, record: Mapping[str, Json]) -> Account:
    """What the manifests of a run say that came to its decisions."""
    ingested, decided = (shards_of(store, record, stage) for stage in ("ingest", "decide"))
    return account(store, ingested, decided)


def _sum(shards: Sequence[Shard], fact: str) -> int:
    return sum(shard.facts[fact] for shard in shards)


def _quarantined(
    store: Store, ingested: Sequence[Shard], decided: Sequence[Shard]
) -> Iterator[tuple[str, int, str | None]]:
    """(reason, records, file or id) of all that is in quarantine."""
    for shard in ingested:
        if shard.facts["quarantined"]:
            names = [REASON.name, RECORDS.name, FILE.name]
            table = read_parquet(store, shard.path("quarantine.parquet"), names)
            found = table.group_by([REASON.name, FILE.name]).aggregate([(RECORDS.name, "sum")])
            for row in found.to_pylist():
                yield row[REASON.name], row[f"{RECORDS.name}_sum"], row[FILE.name]
    for shard in decided:
        if shard.facts[QUARANTINED]:
            names = [ID.name, VERDICT.name, DETAIL.name]
            table = read_parquet(store, shard.path("ledger.parquet"), names)
            for row in table.filter(pc.equal(table[VERDICT.name], QUARANTINED)).to_pylist():
                yield row[DETAIL.name] or "no reason", 1, f"document {row[ID.name]}"


def account_lines(found: Account, query: str) -> Iterator[str]:
    """An account in lines for a person: the sums, then the first reasons with their files.

    Args:
        found: What to tell.
        query: The command that tells the rest.
    """
    if found.kept is None:
        documents = f"{found.read - found.quarantined:,} documents"
    else:
        documents = f"{found.kept:,} kept, {found.dropped:,} dropped"
    yield f"{found.read:,}: {documents}, {found.quarantined:,} quarantined"
    if found.rests:
        yield f"{found.rests:,} of these stand for a rest that could not be read, of unknown length"
    for trouble in found.troubles[:TOLD_REASONS]:
        yield f"{trouble.records:,} x {trouble.reason}: {_first(trouble.places, TOLD_FILES)}"
    if len(found.troubles) > TOLD_REASONS:
        yield f"and {len(found.troubles) - TOLD_REASONS} reasons more: {query}"
    if found.silent and not found.empty:
        yield f"nothing at all was read of {_first(found.silent, TOLD_REASONS)}"


def _first(names: Sequence[str], count: int) -> str:
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    shown = (name.replace("\n", "\\n") for name in names[:count])  # a file's name may hold one
    return ", ".join(shown) + more
