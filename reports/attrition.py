"""What each rule took: in the order of the run, by source and by language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import DUPLICATE, FAULT, KEPT, LICENCE
from phloem.reports.headline import source_sums
from phloem.reports.run import Run

Json = Any

UNREADABLE = "unreadable"  # records that gave no document; they have no row in the ledger


@dataclass(frozen=True)
class Step:
    """One step of the funnel.

    Attributes:
        name: The rule, or ``unreadable``, ``fault``, ``licence``, ``duplicate``.
        asks: What the rule asks of a document, in words.
        removed: Documents for which it was the first to fail.
        left: Documents left after it.
        fails: All documents that fail the rule, whatever failed first; None where not judged.
        alone: Those that fail this rule and no other: what would come back without it.
    """

    name: str
    asks: str
    removed: int
    left: int
    fails: int | None = None
    alone: int | None = None

    @property
    def anyway(self) -> int | None:
        """Documents that something before it removed, and that would fail it anyway."""
        return None if self.fails is None else self.fails - self.removed


@dataclass(frozen=True)
class Breakdown:
    """What became of one group's documents.

    Attributes:
        name: Source or language.
        read: All its documents.
        kept: Those kept.
        kept_bytes: Their cleaned text.
        removed: Documents removed by each step, in the order of `Attrition.columns`.
    """

    name: str
    read: int
    kept: int
    kept_bytes: int
    removed: tuple[int, ...]


@dataclass(frozen=True)
class Attrition:
    """The whole funnel.

    Attributes:
        read: Documents and records read.
        steps: In order.
        columns: Names of the steps that removed anything: columns of the breakdowns.
        by_source: Largest first.
        by_language: Largest first.
    """

    read: int
    steps: tuple[Step, ...]
    columns: tuple[str, ...]
    by_source: tuple[Breakdown, ...]
    by_language: tuple[Breakdown, ...]


def attrition(connection: DuckDBPyConnection, run: Run) -> Attrition:
    """The funnel, from the ledger's reasons and its bitmap of failed rules."""
    sums = source_sums(connection, run)
    read = sum(own.counted for own in sums)
    steps = _steps(connection, run, read)
    columns = tuple(step.name for step in steps if step.removed)
    lost = {
        own: {UNREADABLE: int(records)}
        for own, records in connection.execute(
            "select source, sum(records) from quarantine group by source"
        ).fetchall()
    }
    return Attrition(
        read=read,
        steps=steps,
        columns=columns,
        by_source=_breakdown(connection, "source", columns, lost),
        by_language=_breakdown(connection, "language", columns, {}),
    )


def _steps(connection: DuckDBPyConnection, run: Run, read: int) -> tuple[Step, ...]:
    removed = dict(
        connection.execute(
            "select reason, count(*) from decisions where reason is not null group by reason"
        ).fetchall()
    )
    names = [rule["name"] for rule in run.rules]
    # Rules that a card adds for its own source are judged after the recipe's.
    further = sorted(set(removed) - {*names, FAULT, LICENCE, DUPLICATE})
    unreadable = connection.execute("select coalesce(sum(records), 0) from quarantine").fetchone()
    order: list[tuple[str, str, int | None]] = [
        (FAULT, "every op can work on it", None),
        (LICENCE, "the policy allows its licence", None),
        *((rule["name"], asks(rule), bit) for bit, rule in enumerate(run.rules)),
        *((name, "a rule of the source's own card", None) for name in further),
        (DUPLICATE, "no better document that is kept says nearly the same", None),
    ]
    left = read - int(unreadable[0] if unreadable else 0)
    steps = [Step(UNREADABLE, "it can be read as a document", read - left, left)]
    for name, asked, bit in order:
        took = removed.get(name, 0)
        left -= took
        fails, alone = (None, None) if bit is None else _fails(connection, bit)
        steps.append(Step(name, asked, took, left, fails, alone))
    return tuple(steps)


def _fails(connection: DuckDBPyConnection, bit: int) -> tuple[int, int]:
    """(documents that fail rule `bit`, those that fail no other)."""
    row = connection.execute(
        """
        select count(*) filter (failed_rules & $mask != 0), count(*) filter (failed_rules = $mask)
        from (select failed_rules::ubigint as failed_rules, $mask::ubigint from decisions)
        """.replace("$mask", f"{1 << bit}::ubigint")
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def asks(rule: Json) -> str:
    """What a rule asks of a document, in words."""
    parts = []
    if rule.get("min") is not None:
        parts.append(f"at least {_bound(rule['min'])}")
    if rule.get("max") is not None:
        parts.append(f"at most {_bound(rule['max'])}")
    if rule.get("among"):
        parts.append("one of " + ", ".join(str(value) for value in rule["among"]))
    if rule.get("equals") is not None:
        parts.append(f"equal to {_bound(rule['equals'])}")
    return f"{rule.get('column', '')} {' and '.join(parts)}".strip()


def _bound(bound: Json) -> str:
    if not isinstance(bound, dict):
        return f"{bound:g}" if isinstance(bound, int | float) else str(bound)
    own = [f"{tag} {value:g}" for tag, value in sorted(bound.items()) if tag != "default"]
    if "default" not in bound:
        return ", ".join(own)
    return f"{bound['default']:g} ({', '.join(own)})" if own else f"{bound['default']:g}"


def _breakdown(
    connection: DuckDBPyConnection,
    column: str,
    columns: Sequence[str],
    lost: dict[str, dict[str, int]],
) -> tuple[Breakdown, ...]:
    """What became of the documents of each value of `column`, which is a name of ours."""
    rows = connection.execute(
        f"""
        select coalesce({column}, 'und'), reason, count(*),
            coalesce(sum(text_bytes) filter (verdict = '{KEPT}'), 0)
        from decisions group by all
        """  # noqa: S608 - both are constants of this package
    ).fetchall()
    removed: dict[str, dict[str, int]] = {name: dict(own) for name, own in lost.items()}
    kept: dict[str, tuple[int, int]] = {}
    for name, reason, documents, size in rows:
        own = removed.setdefault(name, {})
        if reason is None:
            kept[name] = (documents, int(size))
        else:
            own[reason] = documents
    found = [
        Breakdown(
            name=name,
            read=kept.get(name, (0, 0))[0] + sum(own.values()),
            kept=kept.get(name, (0, 0))[0],
            kept_bytes=kept.get(name, (0, 0))[1],
            removed=tuple(own.get(step, 0) for step in columns),
        )
        for name, own in removed.items()
    ]
    return tuple(sorted(found, key=lambda own: (-own.read, own.name)))
