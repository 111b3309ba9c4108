"""`phloem explain`: one document's whole story."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import print_json, write
from phloem.pipeline.cli.options import AsJson, Root, RunId, find_root

app = typer.Typer()


@app.command()
def explain(
    document: Annotated[
        str,
        typer.Argument(help="A document's id, or as many of its first digits as tell it apart."),
    ],
    root: Root = ROOT,
    run_id: RunId = None,
    excerpt: Annotated[
        bool,
        typer.Option(
            "--excerpt",
            help="Show the beginning of its text, and of a duplicate where it and the kept one"
            " differ, personal data masked.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell one document's whole story, from its source card to its tokens.

    Ids are in the view decisions: here of documents that were dropped, and why.

    [bold]phloem catalog query "select id, reason from decisions where verdict = 'dropped'"[/bold]
    """
    from phloem.catalog import story
    from phloem.catalog.runs import load_run
    from phloem.catalog.views import connect
    from phloem.reports.duplicates import pair_of
    from phloem.reports.explain import render_story
    from phloem.reports.run import run_of

    store = find_root(root)
    found = story.explain(store, document, run_id)
    if as_json:
        shown = found if excerpt else dataclasses.replace(found, excerpt="")
        print_json(dataclasses.asdict(shown))
        return
    pair = None
    if excerpt and found.duplicate_of is not None:
        run = run_of(load_run(store, found.run_id), store.root)
        pair = pair_of(connect(store, found.run_id), store, run, found.id)
    write(render_story(found, excerpt=excerpt, pair=pair).rstrip() + "\n")
