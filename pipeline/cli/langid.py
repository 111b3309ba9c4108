"""`phloem langid`: train a model of languages, and score how right their identification is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import listing, note, put
from phloem.pipeline.cli.options import AsJson, Root, open_root

app = typer.Typer(
    name="langid",
    help="Language identification: models of our own, and how right it is.",
    no_args_is_help=True,
)


@app.command("train")
def train_(
    out: Annotated[Path, typer.Option("--out", help="File of the model; its card lies beside it.")],
    root: Root = ROOT,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="A list of sources to train on and to score by."),
    ] = None,
) -> None:
    """Train a fastText model on what sources hold, the same bytes each time, and write its card.

    [bold]phloem langid train --out phloem-lid.ftz[/bold]
    """
    from phloem.pipeline.langid.card import card, confusions
    from phloem.pipeline.langid.corpus import TEXTS, corpus_of, labelled
    from phloem.pipeline.langid.train import Settings, train
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.workspace import find_workspace

    workspace = find_workspace()
    corpus = corpus_of(load_registry(workspace), texts or TEXTS)
    store, settings = open_root(root), Settings()
    read = labelled(store, corpus, workspace, note, scored=False)
    trained = train(read, out, settings, note)
    taken_for = confusions(out, labelled(store, corpus, workspace, note, scored=True))
    command = f"phloem langid train --out {out.name}" + (f" --texts {texts.name}" if texts else "")
    told = card(out.name, trained, settings, corpus, taken_for, command)
    out.with_suffix(".md").write_text(told, encoding="utf-8", newline="")
    put(f"{out}  {len(trained.held)} languages  sha256 {trained.sha256}")


@app.command("score")
def score(
    root: Root = ROOT,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            exists=True,
            dir_okay=False,
            help="Score by these labelled texts alone, such as CommonLID's: JSON lines with"
            " language and text.",
        ),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            "--peers",
            metavar="PYTHON",
            help="Interpreter of an environment with pycld2 and lingua-language-detector, measured"
            " on the same text too.",
        ),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(
            "--before",
            exists=True,
            file_okay=False,
            help="Checkout of an earlier state of the project, measured on the same text too.",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            min=2,
            help="Models to train, each without some articles of the Declaration of Human Rights,"
            " which tell the languages that have nothing else; minutes each.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            dir_okay=False,
            help="Write all of it as JSON: docs/language-id.json holds that of the page's tables.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the op `language` without a declaration on text that no model was trained on.

    In three tiers: clean prose; short, noisy and mixed text; languages that are
    taken for one another. Beside it lid.176 by fastText's own library.

    [bold]phloem langid score[/bold]
    [bold]phloem langid score --texts commonlid.jsonl[/bold]
    """
    from phloem.pipeline.langid import score as scoring
    from phloem.pipeline.langid.peers import model_paths
    from phloem.pipeline.workspace import find_workspace

    store = open_root(root)
    paths = model_paths(store)
    if texts:
        rows = list(scoring.score_user(scoring.of_user(texts), paths))
        listing(rows, scoring.COLUMNS, as_json=as_json)
        return
    workspace = find_workspace()
    held = scoring.held_out(store, workspace, note)
    earlier = str(before.resolve()) if before else None
    value = scoring.score_all(held, paths, python=peers, before=earlier, told=note)
    if folds:
        value["one source"] = scoring.score_one_source(store, workspace, folds, note)
    listing([*value["tiers"], *value["peers"]], scoring.COLUMNS, as_json=as_json)
    if out:
        written = json.dumps(value, ensure_ascii=False, indent=1)
        out.write_text(written + "\n", encoding="utf-8")


@app.command("near")
def near_(
    out: Annotated[
        Path, typer.Option("--out", help="File to write, such as filters/near_languages.yaml.")
    ],
    root: Root = ROOT,
) -> None:
    """Measure how sure the models must be of a near language to contradict a card.

    [bold]phloem langid near --out filters/near_languages.yaml[/bold]
    """
    from phloem.pipeline.langid import score as scoring
    from phloem.pipeline.langid.near import near_bounds, written
    from phloem.pipeline.langid.peers import model_paths, own_answers
    from phloem.pipeline.workspace import find_workspace

    store = open_root(root)
    held = scoring.held_out(store, find_workspace(), note)
    pieces = scoring.tiers_of(held)[0][0].pieces
    answers = own_answers([piece.text for piece in pieces], [[]] * len(pieces), model_paths(store))
    bounds = near_bounds(pieces, answers)
    out.write_text(written(bounds), encoding="utf-8", newline="")
    put(f"{out}  {sum(map(len, bounds.values()))} pairs, out of {len(pieces)} pieces")
