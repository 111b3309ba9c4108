"""`phloem status` and `phloem gc`: what a root's runs do, and what of it nothing names any more."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import listing, note, print_json, put
from phloem.pipeline.cli.options import AsJson, Root, find_root

app = typer.Typer()

STAGES = ("stage", "tasks", "cached", "finished", "documents", "MB", "MB/s", "seconds", "left")
WASTE = ("kind", "where", "count", "files", "MB", "reason")


@app.command()
def status(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Id of a run; by default the newest."),
    ] = None,
    root: Root = ROOT,
    as_json: AsJson = False,
) -> None:
    """Say what a run does now, from another terminal or machine that sees its root.

    [bold]phloem status[/bold]
    """
    from phloem.pipeline.watch import status as watched

    found = watched.status(find_root(root), run_id)
    stages = [(each, watched.rate(each), watched.seconds_left(each)) for each in found.stages]
    if as_json:
        timed = [
            {**each, "mb_per_second": rate, "seconds_left": left} for each, rate, left in stages
        ]
        print_json({**dataclasses.asdict(found), "stages": timed})
        return
    for line in watched.lines(found):
        put(line)
    rows = [
        {
            **each,
            "MB": round(each["bytes"] / 1e6, 1),
            "MB/s": round(rate, 1),
            "left": None if left is None else f"{left:.0f} s",
        }
        for each, rate, left in stages
    ]
    if rows:
        listing(rows, STAGES, as_json=False)


@app.command()
def gc(
    root: Root = ROOT,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what is found; without it, it is only shown.")
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than",
            min=0,
            metavar="DAYS",
            help="Leave alone what was written within so many days.",
        ),
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show or delete what no run, manifest or release names any more.

    To give up a run, delete its record runs/ID.json first: what other runs and releases share
    with it stays.

    [bold]phloem gc[/bold]
    [bold]phloem gc --yes[/bold]
    """
    from phloem.catalog.gc import DAY_SECONDS, by_kind, delete, layout, named, waste
    from phloem.filters.op import ops
    from phloem.pipeline.stages import FORMER, KINDS
    from phloem.pipeline.workspace import find_workspace

    now, age = time.time(), older_than * DAY_SECONDS
    store = find_root(root)
    models = {file.sha256 for op in ops(find_workspace().ops).values() for file in op.files}
    where = layout((*KINDS, *FORMER))
    kept = named(store, where, models, older_than=age, now=now)
    found = waste(store, where, kept, older_than=age, now=now)
    if yes:
        delete(store, found, kept)
    rows = by_kind(found)
    size = sum(each.bytes for each in found)
    if as_json:
        each = [dataclasses.asdict(waste) for waste in found]
        print_json(
            {"deleted": yes, "bytes": size, "kinds": rows, "found": each, "running": kept.running}
        )
        return
    if rows:
        listing(rows, WASTE, as_json=False)
    did = "deleted" if yes else "would be deleted: --yes does so"
    put(f"{len(found):,} things nothing names, {size / 1e6:.1f} MB, {did}")
    if kept.running and not yes:
        note(f"not now, though: run {', '.join(kept.running)} is going on")
