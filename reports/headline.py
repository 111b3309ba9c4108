"""The run in one look: what went in, what came out, and whether the sums balance."""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import DROPPED, KEPT, QUARANTINED
from phloem.catalog.policy import LOCAL
from phloem.catalog.store import Store
from phloem.reports.run import Run, shards_of


@dataclass(frozen=True)
class SourceSums:
    """One source's sums.

    Attributes:
        source: Card id.
        read: Counted while reading; None if the run stopped before it could be said.
        kept: Ledger rows kept.
        dropped: Ledger rows dropped.
        quarantined: Ledger rows quarantined, and records that gave no document.
        text_bytes: Cleaned text of the kept documents.
    """

    source: str
    read: int | None
    kept: int
    dropped: int
    quarantined: int
    text_bytes: int

    @property
    def counted(self) -> int:
        """What the ledger and the quarantine account for."""
        return self.kept + self.dropped + self.quarantined

    @property
    def holds(self) -> bool:
        """Whether in = kept + dropped + quarantined."""
        return self.read == self.counted


@dataclass(frozen=True)
class Headline:
    """The run in numbers.

    Attributes:
        sums: By source, sorted by id.
        tokens: Tokens written; None if the run did not tokenize.
        release: The release's name, or None.
        why_no_release: In words; empty if there is one.
    """

    sums: tuple[SourceSums, ...]
    tokens: int | None
    release: str | None
    why_no_release: str

    @property
    def read(self) -> int:
        """Documents read; what the ledger accounts for where reading was not counted."""
        return sum(own.counted if own.read is None else own.read for own in self.sums)

    @property
    def kept(self) -> int:
        """Documents kept."""
        return sum(own.kept for own in self.sums)

    @property
    def dropped(self) -> int:
        """Documents dropped."""
        return sum(own.dropped for own in self.sums)

    @property
    def quarantined(self) -> int:
        """Documents and records quarantined."""
        return sum(own.quarantined for own in self.sums)

    @property
    def text_bytes(self) -> int:
        """Cleaned text of all kept documents."""
        return sum(own.text_bytes for own in self.sums)

    @property
    def unbalanced(self) -> tuple[SourceSums, ...]:
        """The sources whose sums do not hold."""
        return tuple(own for own in self.sums if not own.holds)


def headline(connection: DuckDBPyConnection, store: Store, run: Run) -> Headline:
    """The run in numbers, from the ledger, the quarantine and the record."""
    tokenized = shards_of(store, run, "tokenize")
    done = bool(run.datasets.get("tokenize"))
    return Headline(
        sums=source_sums(connection, run),
        tokens=sum(shard.facts["tokens"] for shard in tokenized) if done else None,
        release=run.release,
        why_no_release=_why_no_release(run),
    )


def source_sums(connection: DuckDBPyConnection, run: Run) -> tuple[SourceSums, ...]:
    """Sums of every source that the run read, or that the ledger names."""
    rows = connection.execute(
        """
        select source,
            count(*) filter (verdict = $kept),
            count(*) filter (verdict = $dropped),
            count(*) filter (verdict = $quarantined),
            coalesce(sum(text_bytes) filter (verdict = $kept), 0)
        from decisions group by source
        """,
        {"kept": KEPT, "dropped": DROPPED, "quarantined": QUARANTINED},
    ).fetchall()
    ledger = {row[0]: row[1:] for row in rows}
    lost = unreadable(connection)
    found = []
    for source in sorted({*ledger, *lost, *run.balance}):
        kept, dropped, quarantined, text_bytes = ledger.get(source, (0, 0, 0, 0))
        read = run.balance[source].read if source in run.balance else None
        records = quarantined + lost.get(source, 0)
        found.append(SourceSums(source, read, kept, dropped, records, int(text_bytes)))
    return tuple(found)


def unreadable(connection: DuckDBPyConnection) -> dict[str, int]:
    """Source -> records that gave no document: they have no row in the ledger."""
    rows = connection.execute(
        "select source, sum(records) from quarantine where id is null group by source"
    ).fetchall()
    return {source: int(records) for source, records in rows}


def _why_no_release(run: Run) -> str:
    if run.release:
        return ""
    if run.error:
        return f"The run {run.status}: {run.error}"
    if run.status != "done":
        return f"The run was {run.status} before it came to a release."
    if LOCAL in run.spec.get("sources", ()):
        return "The text came from files that no source card describes."
    if not run.datasets.get("tokenize"):
        return "The run made no tokens."
    return "The record does not say why: none was asked for, or the policy did not let it pass."
