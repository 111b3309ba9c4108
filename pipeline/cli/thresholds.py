"""`phloem thresholds`: what a recipe's rules drop of sound prose and of rubbish, and new bounds."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
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


@app.command("derive")
def derive(
    column: Annotated[list[str], typer.Option("--column", help="Of a measure; again for more.")],
    date: Annotated[
        datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="Written into the files.")
    ],
    recipe: Annotated[str, typer.Argument(help="Name or path of a recipe, for its ops.")] = (
        "quickstart"
    ),
    root: Root = ROOT,
    quantile: Annotated[
        float | None,
        typer.Option("--quantile", min=0.5, max=1, help="Share of sound texts within a bound."),
    ] = None,
    deviations: Annotated[
        float | None,
        typer.Option("--deviations", min=0.1, help="Standard deviations from the median instead."),
    ] = None,
    words: Annotated[int, typer.Option("--words", help="Of the texts: 50, 100 or 300.")] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Write a YAML file for each tag.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Derive bounds of measures from sound texts, for each language that has 200 of them.

    A language with fewer has the bounds of its script (`und-Cyrl`). Half of the texts are not
    derived from: how many of them lie outside is told beside each bound.

    [bold]phloem thresholds derive --column digit_frac --quantile 0.99 --date 2026-12-01[/bold]
    """
    from phloem.pipeline.recipe import load_recipe
    from phloem.pipeline.registry.models import models
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.thresholds import derive as deriving
    from phloem.pipeline.thresholds.reference import LENGTHS, SOURCES, pieces, sound_texts
    from phloem.pipeline.workspace import find_workspace

    if (quantile is None) == (deviations is None):
        raise typer.BadParameter("give either --quantile or --deviations")
    if words not in LENGTHS:
        raise typer.BadParameter(f"--words {words}: texts have {', '.join(map(str, LENGTHS))}")
    workspace, store = find_workspace(), open_root(root)
    registry = load_registry(workspace)
    ops = load_recipe(recipe, workspace, sorted(registry.cards)).bound_ops(workspace)
    writers = deriving.check_columns(column, ops)
    paths = {name: ref.on_this_machine(store) for name, ref in models(store, ops, note).items()}
    sound = sound_texts(store, registry, workspace, note)
    cut = [each for each in pieces(sound, deriving.LEAST) if each.words == words]
    method = deriving.Method(quantile, deviations)
    values = deriving.measured(cut, column, ops, paths)
    found = list(deriving.derive(cut, values, method))
    rows = [dataclasses.asdict(each) for each in found]
    names = [field.name for field in dataclasses.fields(deriving.Derived)]
    listing(rows, names, as_json=as_json)
    if out is not None:
        files = deriving.write_bounds(out, found, writers, SOURCES, method, date.date())
        note(f"{out}: {len(files)} files")


@app.command("lint")
def lint(
    recipe: Annotated[
        list[str] | None, typer.Argument(help="Names or paths; by default all recipes.")
    ] = None,
    root: Root = ROOT,
    as_json: AsJson = False,
) -> None:
    """Fail where rules drop more than 5 % of the texts that speakers of a language approved.

    They stand in filters/languages/TAG.reviews.jsonl, and come by pull request.

    [bold]phloem thresholds lint quickstart[/bold]
    """
    from phloem.filters.language_files import FOLDER
    from phloem.pipeline.recipe import load_recipe, recipe_files
    from phloem.pipeline.registry.models import models
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.thresholds.veto import load_reviews, vetoes
    from phloem.pipeline.workspace import find_workspace

    reviews = load_reviews(FOLDER)
    rows = []
    if reviews:
        workspace, store = find_workspace(), open_root(root)
        known = sorted(load_registry(workspace).cards)
        for name in recipe or sorted(recipe_files(workspace)):
            found = load_recipe(name, workspace, known)
            ops = found.bound_ops(workspace)
            held = models(store, ops, note)
            paths = {each: ref.on_this_machine(store) for each, ref in held.items()}
            rows += [
                {"recipe": found.name, **dataclasses.asdict(each)}
                for each in vetoes(reviews, ops, found.keep, paths)
            ]
    if rows or as_json:
        listing(rows, ["recipe", "language", "approved", "dropped", "rules"], as_json=as_json)
    texts = sum(map(len, reviews.values()))
    note(f"{texts} reviewed texts in {len(reviews)} languages: {len(rows)} vetoes")
    if rows:
        raise typer.Exit(1)
