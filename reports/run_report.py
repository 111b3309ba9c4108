"""One self-contained HTML page for a run: it loads nothing, runs nothing, and can be mailed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duckdb import DuckDBPyConnection

from phloem.catalog.runs import load_run
from phloem.catalog.store import Store
from phloem.catalog.views import connect
from phloem.reports.page import environment, inline
from phloem.reports.run import Run, run_of
from phloem.reports.sections import sections
from phloem.reports.tokens import load_token_counts


def write_report(store: Store, run_id: str) -> str:
    """Make a run's page and write it; returns its name under the root.

    Raises phloem.catalog.runs.ViewError if the root holds no such run.
    """
    run = run_of(load_run(store, run_id), store.root)
    connection = connect(store, run_id)
    try:
        page = render(run, collect(connection, store, run))
    finally:
        connection.close()
    name = f"reports/{run_id}/index.html"
    store.write_bytes(name, page.encode())
    return name


def collect(connection: DuckDBPyConnection, store: Store, run: Run) -> dict[str, Any]:
    """The data of every section, by the section's name.

    Args:
        connection: Of `phloem.catalog.views.connect` for the run.
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
