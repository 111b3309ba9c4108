"""`phloem catalog`: what a root holds, as tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.catalog.errors import PhloemError
from phloem.pipeline.cli.console import listing
from phloem.pipeline.cli.options import AsJson, Root, RunId, find_root

if TYPE_CHECKING:
    from phloem.catalog.manifest import Dataset
    from phloem.catalog.store import Store

app = typer.Typer(name="catalog", help="What was made, from what, and why.", no_args_is_help=True)


@app.command("datasets")
def datasets(root: Root = ROOT, as_json: AsJson = False) -> None:
    """List the datasets that the root holds: one a stage and recipe, made of shared shards."""
    store = find_root(root)
    rows = [
        {
            "stage": dataset.stage,
            "key": dataset.key,
            "digest": dataset.digest[:12],
            "shards": len(dataset.shards),
            "MB": round(sum(shard.bytes for shard in dataset.shards) / 1e6, 2),
            "recipe": dataset.spec.get("recipe"),
        }
        for dataset in (_dataset(store, name) for name in store.list("datasets"))
    ]
    listing(rows, ["stage", "key", "digest", "shards", "MB", "recipe"], as_json=as_json)


def _dataset(store: Store, name: str) -> Dataset:
    from phloem.catalog.manifest import Dataset

    try:
        return Dataset.load(store, name)
    except ValueError as error:
        msg = f"{name} cannot be read ({error}); delete it and run its recipe again"
        raise PhloemError(msg) from None


@app.command("query")
def query(
    sql: Annotated[str, typer.Argument(help="A query in DuckDB's SQL.")],
    root: Root = ROOT,
    run_id: RunId = None,
    as_json: AsJson = False,
) -> None:
    """Query the catalog with SQL.

    Views: sources, runs, datasets, shards, decisions, quarantine, duplicates,
    measures, releases. Those of documents show one run. No view holds text.

    [bold]phloem catalog query "describe decisions"[/bold]
    [bold]phloem catalog query "select reason, count(*) from decisions group by all"[/bold]
    """
    from phloem.catalog.views import connect, select

    names, found = select(connect(find_root(root), run_id), sql)
    columns: list[str] = []
    for name in names:  # two may have one name: JSON would lose the first
        columns.append(name if name not in columns else f"{name}_{len(columns) + 1}")
    rows = [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in zip(columns, row, strict=True)  # JSON knows no NaN
        }
        for row in found
    ]
    listing(rows, columns, as_json=as_json)
