"""What the commands that look do: ops, sources, the catalog and releases, as tables or JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import typer

from phloem.catalog.errors import UseError
from phloem.catalog.manifest import Dataset
from phloem.catalog.nearest import nearest
from phloem.catalog.release import list_releases as releases
from phloem.catalog.release import verify_release as verify
from phloem.catalog.store import Store
from phloem.catalog.views import connect, select
from phloem.filters.op import Op
from phloem.filters.op import ops as known_ops
from phloem.pipeline.cli.console import find_root, listing, note, open_root, print_json, put, told
from phloem.pipeline.registry.models import models
from phloem.pipeline.registry.registry import card_of, lint_all, load_registry, source_facts
from phloem.pipeline.review.locking import lock
from phloem.pipeline.stage import StageError
from phloem.pipeline.workspace import find_workspace

Json = Any

SHOWN = 5  # languages of a card in a table


def list_ops(*, as_json: bool) -> None:
    """Print the ops."""
    with told():
        workspace = find_workspace()
        rows = [
            {
                "op": op.name,
                "kind": op.kind,
                "version": op.version,
                "reads": [column.name for column in op.reads],
                "writes": [column.name for column in op.writes],
                "parameters": op.defaults,
                "does": (op.function.__doc__ or "").strip().split("\n")[0],
            }
            for op in known_ops(workspace.ops).values()
        ]
    listing(rows, ["op", "kind", "version", "reads", "writes", "does"], as_json=as_json)


def check_ops(names: Sequence[str], *, root: str) -> None:
    """Hold ops to their contract; exit 1 if one breaks it."""
    from phloem.filters.contract import breaches

    with told():
        known = known_ops(find_workspace().ops)
        chosen = _chosen(names, known)
        store = open_root(root)
        found = models(store, chosen, note)
        paths = {name: ref.on_this_machine(store) for name, ref in found.items()}
        broken = False
        for op in chosen:
            faults = breaches(op, paths)
            broken = broken or bool(faults)
            put(f"{'FAIL' if faults else 'ok  '} {op.name}")
            for fault in faults:
                put(f"     {fault}")
    if broken:
        raise typer.Exit(1)


def _chosen(names: Sequence[str], known: Mapping[str, Op]) -> list[Op]:
    """The ops of these names, or all. Raises UseError naming all that are not known."""
    faults = [
        f"no op named {name!r}; {nearest(name, known)}" for name in names if name not in known
    ]
    if faults:
        raise UseError("; ".join(faults))
    return [known[name] for name in names or known]


def list_sources(*, as_json: bool) -> None:
    """Print the cards."""
    with told():
        registry = load_registry(find_workspace())
    rows = [
        {
            "id": card.id,
            "status": card.status,
            "kind": card.kind,
            "languages": list(card.languages) if as_json else _first(card.languages),
            "license": card.license.spdx,
            "connector": card.access.connector,
            "version": registry.pins[card.id].version if card.id in registry.pins else None,
            "name": card.name,
        }
        for card in registry.cards.values()
    ]
    columns = ["id", "status", "kind", "languages", "license", "connector", "version", "name"]
    listing(rows, columns, as_json=as_json)


def _first(values: Sequence[str]) -> list[str]:
    more = [f"and {len(values) - SHOWN} more"] if len(values) > SHOWN else []
    return [*values[:SHOWN], *more]


def show_source(source: str, *, as_json: bool) -> None:
    """Print one card."""
    with told():
        registry = load_registry(find_workspace())
        card = card_of(registry, source)
        pin = registry.pins.get(source)
        approval = source_facts(card, registry)["approval"]
    value = {
        **card.model_dump(mode="json"),
        "locked": pin.to_json() if pin else None,
        "approval": approval,
    }
    if as_json:
        print_json(value)
        return
    for name, field in value.items():
        shown = json.dumps(field, ensure_ascii=False) if isinstance(field, (dict, list)) else field
        put(f"{name:16}{'' if shown is None else shown}")


def lint_sources(*, as_json: bool) -> None:
    """Print what is wrong with the cards; exit 1 if anything must be fixed."""
    with told():
        findings = lint_all(find_workspace())
    rows = [dataclasses.asdict(finding) for finding in findings]
    if as_json or rows:
        listing(rows, list(rows[0]) if rows else [], as_json=as_json)
    errors = sum(row["kind"] == "error" for row in rows)
    if not as_json:
        put(f"{errors} errors, {len(rows) - errors} hints")
    if errors:
        raise typer.Exit(1)


def lock_sources(sources: Sequence[str], *, root: str) -> None:
    """Lock sources and say what changed."""
    with told():
        for line in lock(find_workspace(), sources, open_root(root)):
            put(line)


def list_datasets(*, root: str, as_json: bool) -> None:
    """Print the datasets."""
    with told():
        store = find_root(root)
        found = [_dataset(store, name) for name in store.list("datasets")]
    rows = [
        {
            "stage": dataset.stage,
            "key": dataset.key,
            "digest": dataset.digest[:12],
            "shards": len(dataset.shards),
            "MB": round(sum(shard.bytes for shard in dataset.shards) / 1e6, 2),
            "recipe": dataset.spec.get("recipe"),
        }
        for dataset in found
    ]
    listing(rows, ["stage", "key", "digest", "shards", "MB", "recipe"], as_json=as_json)


def _dataset(store: Store, name: str) -> Dataset:
    try:
        return Dataset.load(store, name)
    except ValueError as error:
        msg = f"{name} cannot be read ({error}); delete it and run its recipe again"
        raise StageError(msg) from None


def query_catalog(sql: str, *, root: str, run_id: str | None, as_json: bool) -> None:
    """Print the rows of a query."""
    with told():
        columns, rows = _rows(connect(find_root(root), run_id), sql)
    listing(rows, columns, as_json=as_json)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[Json]]:
    """Names of the columns of a query, made unique, and its rows; JSON knows no NaN: null."""
    names, fetched = select(connection, sql)
    columns: list[str] = []
    for name in names:
        columns.append(name if name not in columns else f"{name}_{len(columns) + 1}")
    rows = [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in zip(columns, row, strict=True)
        }
        for row in fetched
    ]
    return columns, rows


def list_releases(*, root: str, as_json: bool) -> None:
    """Print the releases."""
    with told():
        found = releases(find_root(root))
    rows = [
        {
            "name": release.name,
            "date": release.date,
            "recipe": release.recipe,
            "policy": release.policy,
            "sources": len(release.sources),
        }
        for release in found
    ]
    listing(rows, ["name", "date", "recipe", "policy", "sources"], as_json=as_json)


def verify_release(name: str, *, root: str, as_json: bool) -> None:
    """Print what of a release does not hold; exit 1 if anything."""
    with told():
        findings = verify(find_root(root), name)
    rows = [dataclasses.asdict(finding) for finding in findings]
    if as_json or rows:
        listing(rows, list(rows[0]) if rows else [], as_json=as_json)
    if not as_json:
        put(f"{name}: {len(rows)} faults" if rows else f"{name}: whole, every byte as released")
    if rows:
        raise typer.Exit(1)
