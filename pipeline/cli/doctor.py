"""`phloem doctor`: what works on this machine."""

from __future__ import annotations

import dataclasses

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import listing, print_json
from phloem.pipeline.cli.options import AsJson, Root

app = typer.Typer()

COLUMNS = ("works", "what", "found", "mend")


@app.command()
def doctor(root: Root = ROOT, as_json: AsJson = False) -> None:
    """Say what works on this machine and what would not, and how to mend it.

    Exit code 1 only if no run at all would work.
    """
    from phloem.pipeline.watch.machine import examine

    found = examine(root)
    rows = [dataclasses.asdict(each) for each in found]
    if as_json:
        print_json(rows)
    else:
        told = {True: "ok", False: "would not work"}
        listing([{**row, "works": told[row["works"]]} for row in rows], COLUMNS, as_json=False)
    if not all(each.works for each in found if each.needed):
        raise typer.Exit(1)
