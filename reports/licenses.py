"""Licences: how much text there is under each, and what each asks of whoever uses it."""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import KEPT, REFUSED_LICENSE
from phloem.catalog.licenses import obligations, ordered
from phloem.reports.run import Run
from phloem.reports.tokens import COUNTS


@dataclass(frozen=True)
class License:
    """One licence expression.

    Attributes:
        expression: SPDX.
        obligations: What it asks, least first; ``unknown`` is among them if nobody has said.
        sources: Card ids of the kept documents under it.
        documents: Kept.
        dropped: Dropped because the policy does not allow it.
        text_bytes: Cleaned text of the kept.
        tokens: Of the kept; None if the run did not tokenize.
    """

    expression: str
    obligations: tuple[str, ...]
    sources: tuple[str, ...]
    documents: int
    dropped: int
    text_bytes: int
    tokens: int | None


def licenses(connection: DuckDBPyConnection, run: Run) -> tuple[License, ...]:
    """The licence mix, most kept text first. `load_token_counts` comes first."""
    rows = connection.execute(
        f"""
        select coalesce(license, '') as expression,
            coalesce(list(distinct source order by source) filter (verdict = '{KEPT}'), []),
            count(*) filter (verdict = '{KEPT}'), count(*) filter (reason = '{REFUSED_LICENSE}'),
            coalesce(sum(text_bytes) filter (verdict = '{KEPT}'), 0), sum(tokens)
        from decisions left join (
            select id, sum(tokens) as tokens from {COUNTS} group by id
        ) using (id)
        group by expression
        """  # noqa: S608 - constants of this package
    ).fetchall()
    made = bool(run.datasets.get("tokenize"))
    found = [
        License(
            expression=row[0],
            obligations=ordered(obligations(row[0], run.license_refs)),
            sources=tuple(row[1]),
            documents=row[2],
            dropped=row[3],
            text_bytes=int(row[4]),
            tokens=int(row[5] or 0) if made else None,
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda own: (-own.text_bytes, own.expression)))
