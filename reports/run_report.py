"""One self-contained HTML page for a run: it loads nothing, runs nothing, and can be mailed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from duckdb import DuckDBPyConnection

from phloem.catalog.manifest import Ref
from phloem.catalog.packs import brought, tables
from phloem.catalog.plain import Json
from phloem.catalog.runs import load_run
from phloem.catalog.store import Store
from phloem.catalog.views import connect_decisions, decided_files
from phloem.reports.excerpts import texts_of
from phloem.reports.page import environment, inline
from phloem.reports.run import Run, run_of, shards_of
from phloem.reports.sections import sections
from phloem.reports.tokens import load_token_counts


def write_report(store: Store, run_id: str) -> str:
    """Make a run's page and write it; returns its name under the root.

    Raises phloem.catalog.runs.ViewError if the root holds no such run.
    """
    record = load_run(store, run_id)
    run = run_of(record, store.root)
    with (
        brought(store, files_of(store, record, run)) as near,
        closing(connect_decisions(near, run_id)) as connection,
    ):
        page = render(run, collect(connection, near, run))
    name = f"reports/{run_id}/index.html"
    store.write_bytes(name, page.encode())
    return name


def files_of(store: Store, record: Mapping[str, Json], run: Run) -> list[list[Ref]]:
    """The tables that a report reads of every text file, those of a kind together."""
    spans = {file.path.rpartition("/")[2] for file in texts_of(store, run).spans.values()}
    asked = [("clean", "hashes.parquet"), ("tokenize", "index.parquet")]
    asked += [("measure", name) for name in sorted(spans)]
    own = [tables(shards_of(store, run, stage), name) for stage, name in asked]
    return [*decided_files(store, record), *own]


def collect(connection: DuckDBPyConnection, store: Store, run: Run) -> dict[str, Any]:
    """The data of every section, by the section's name.

    Args:
        connection: Of `phloem.catalog.views.connect_decisions` for the run.
        store: The root.
        run: The run's record.
    """
    load_token_counts(connection, store, run)
    return {each.name: each.data(connection, store, run) for each in sections()}


def render(run: Run, data: Mapping[str, Any]) -> str:
    """The page as HTML text, from the data of its sections."""
    templates = environment()
    style, style_hash = inline(templates, "style.css")
    return templates.get_template("page.html").render(
        run=run, data=data, sections=sections(), style=style, style_hash=style_hash
    )
