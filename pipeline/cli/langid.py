"""`phloem langid`: train a model of languages, and score models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import note, put
from phloem.pipeline.cli.options import Root, open_root

app = typer.Typer(
    name="langid", help="Language identification: models of our own.", no_args_is_help=True
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
