"""What each rule took: in the order of the run, by source and by language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import DUPLICATE, FAULT, KEPT, REFUSED_LICENSE
from phloem.catalog.plain import Json
from phloem.reports.headline import source_sums, unreadable
from phloem.reports.run import Run

_NO_RULES = {FAULT, REFUSED_LICENSE, DUPLICATE}
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
        removed: Documents removed by each step, in the order of the breakdown's columns.
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
        source_columns: Names of the steps that removed anything.
        language_columns: Those of them that met a document, so that it has a language.
        by_source: Largest first.
        by_language: Largest first.
    """

    read: int
    steps: tuple[Step, ...]
    source_columns: tuple[str, ...]
    language_columns: tuple[str, ...]
    by_source: tuple[Breakdown, ...]
    by_language: tuple[Breakdown, ...]


def attrition(connection: DuckDBPyConnection, run: Run) -> Attrition:
    """The funnel, from the ledger's reasons and its bitmap of failed rules."""
    sums = source_sums(connection, run)
    read = sum(own.counted for own in sums)
    lost = unreadable(connection)
    steps = _steps(connection, run, read, sum(lost.values()))
    columns = tuple(step.name for step in steps if step.removed)
    met = tuple(name for name in columns if name != UNREADABLE)
    gone = {source: {UNREADABLE: records} for source, records in lost.items()}
    return Attrition(
        read=read,
        steps=steps,
        source_columns=columns,
        language_columns=met,
        by_source=_breakdown(connection, "source", columns, gone),
        by_language=_breakdown(connection, "language", met, {}),
    )


def _steps(connection: DuckDBPyConnection, run: Run, read: int, unread: int) -> tuple[Step, ...]:
    removed = dict(
        connection.execute(
            "select reason, count(*) from decisions where reason is not null group by reason"
        ).fetchall()
    )
    failed = _failed(connection, run)
    own = sorted({*failed, *removed} - {rule["name"] for rule in run.rules} - _NO_RULES)
    order = [
        (FAULT, "every op can work on it"),
        (REFUSED_LICENSE, "the policy allows its licence"),
        *((rule["name"], asks(rule)) for rule in run.rules),
        *((name, _asks_of_cards(run, name)) for name in own),
        (DUPLICATE, "no better document that is kept says nearly the same"),
    ]
    left = read - unread
    steps = [Step(UNREADABLE, "it can be read as a document", unread, left)]
    judged = {rule["name"] for rule in run.rules} | {*own}
    for name, asked in order:
        took = removed.get(name, 0)
        left -= took
        fails, alone = failed.get(name, (0, 0)) if name in judged else (None, None)
        steps.append(Step(name, asked, took, left, fails, alone))
    return tuple(steps)


def _failed(connection: DuckDBPyConnection, run: Run) -> dict[str, tuple[int, int]]:
    """Rule -> (documents that fail it, those that fail no other).

    There are few bitmaps however many documents there are: one pass counts them.
    """
    rows = connection.execute(
        "select source, failed_rules, count(*) from decisions where failed_rules != 0 group by all"
    ).fetchall()
    fails: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for source, bitmap, documents in rows:
        rules = run.source_rules.get(source, run.rules)
        names = [rule["name"] for bit, rule in enumerate(rules) if bitmap >> bit & 1]
        fails.update(dict.fromkeys(names, documents))
        if bitmap.bit_count() == 1:
            alone.update(dict.fromkeys(names, documents))
    return {name: (documents, alone[name]) for name, documents in fails.items()}


def _asks_of_cards(run: Run, name: str) -> str:
    """What the rules of this name on sources' own cards ask, if they ask the same."""
    asked = {
        asks(rule) for rules in run.source_rules.values() for rule in rules if rule["name"] == name
    }
    told = asked.pop() if len(asked) == 1 else "asks of each source what its card says"
    return f"{told} (of the source's own card)"


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
    told = f"{rule.get('column', '')} {' and '.join(parts)}".strip()
    for word, given in (("where", rule.get("only")), ("unless", rule.get("unless"))):
        for column, values in (given or {}).items():
            told += f" {word} {column} is {' or '.join(values)}"
    return told


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
