"""`phloem thresholds`: what a recipe's rules drop of sound prose and of rubbish."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import listing, note
from phloem.pipeline.cli.options import AsJson, Root, open_root

app = typer.Typer(
    name="thresholds",
    help="Thresholds: how fair a recipe's rules are to each language.",
    no_args_is_help=True,
)


@app.command("score")
def score(
    recipe: Annotated[str, typer.Argument(help="Name or path of a recipe.")] = "quickstart",
    root: Root = ROOT,
    seed: Annotated[int, typer.Option("--seed", help="Of the rubbish.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="Write all as JSON, for docs/fairness.json."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count what the rules drop of sound prose, by language, and of rubbish, by kind.

    Sound prose is cut into pieces of 50, 100 and 300 words: of sources that bounds were
    chosen on, and of others; rubbish of fourteen kinds is made of pieces of both.

    [bold]phloem thresholds score quickstart[/bold]
    """
    from phloem.pipeline.recipe import load_recipe
    from phloem.pipeline.registry.models import models
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.thresholds.measured import measured
    from phloem.pipeline.workspace import find_workspace

    workspace, store = find_workspace(), open_root(root)
    registry = load_registry(workspace)
    found = load_recipe(recipe, workspace, sorted(registry.cards))
    ops = found.bound_ops(workspace)
    paths = {name: ref.on_this_machine(store) for name, ref in models(store, ops, note).items()}
    value = measured(store, registry, workspace, (ops, found.keep, paths), seed, note)
    rows = [{"of": name, **dataclasses.asdict(each)} for name, own in value.items() for each in own]
    if out:
        written = {"recipe": found.name, "seed": seed, "rows": rows}
        text = json.dumps(written, ensure_ascii=False, indent=1)
        out.write_text(text + "\n", encoding="utf-8", newline="")
    listing(rows, ["of", "group", "words", "texts", "dropped", "rules"], as_json=as_json)
