"""`phloem report`: a run's report, or the page of the registry."""

from __future__ import annotations

from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import put
from phloem.pipeline.cli.options import Root, RunId, find_root, open_root, place

app = typer.Typer()


@app.command()
def report(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[run|registry]",
            help="A run's report, or what the registry holds: all cards, to search and to read.",
        ),
    ] = "run",
    root: Root = ROOT,
    run_id: RunId = None,
) -> None:
    """Write a run's report again, or a page of the registry, and say where it lies.

    Each is one HTML page that needs no network: open it in a browser, or send it to somebody.

    [bold]phloem report[/bold]
    [bold]phloem report registry[/bold]
    """
    if what not in ("run", "registry"):
        raise typer.BadParameter(f"{what!r} is no report; there are run and registry")
    if what == "run":
        from phloem.catalog.runs import newest_run
        from phloem.reports.run_report import write_report

        store = find_root(root)
        name = write_report(store, run_id or newest_run(store))
    else:
        from phloem.pipeline.registry.page import write_registry
        from phloem.pipeline.registry.registry import load_registry
        from phloem.pipeline.workspace import find_workspace
        from phloem.sources.cards.lock import locked

        workspace = find_workspace()
        seen = locked(workspace.sources)
        name = write_registry(open_root(root), load_registry(workspace), seen)
    put(place(root, name))
