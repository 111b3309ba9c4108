"""`phloem quality`: train a classifier of quality for the op `quality`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import note, put
from phloem.pipeline.cli.options import Root, open_root

app = typer.Typer(
    name="quality", help="Quality: classifiers for the op of that name.", no_args_is_help=True
)

_WHAT = "Id of a card, or path, glob or URL of own files; may be given again."


@app.command("train")
def train_(
    good: Annotated[list[str], typer.Option("--good", help=f"What good text is. {_WHAT}")],
    bad: Annotated[list[str], typer.Option("--bad", help=f"What bad text is. {_WHAT}")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="File of the model, quantized if named .ftz; beside it its card."
        ),
    ],
    root: Root = ROOT,
    text_column: Annotated[
        str, typer.Option("--text-column", help="Column of own files that holds the text.")
    ] = "text",
) -> None:
    """Train a fastText classifier of good and bad documents, and say how right it is.

    A tenth of the documents trains nothing and scores. The model then measures in any recipe:
    the lines for it are printed.

    [bold]phloem quality train --good prose --bad 'web/*.jsonl' --out quality.ftz[/bold]
    """
    from phloem.pipeline.quality.card import card
    from phloem.pipeline.quality.examples import examples
    from phloem.pipeline.quality.train import Settings, train
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.workspace import find_workspace

    workspace, settings = find_workspace(), Settings()
    registry, store = load_registry(workspace), open_root(root)
    of_good = examples(store, registry, workspace, good, text_column, note)
    of_bad = examples(store, registry, workspace, bad, text_column, note)
    trained = train(of_good, of_bad, out, settings, note)
    words = [f"--good {shlex.quote(each)}" for each in good]
    words += [f"--bad {shlex.quote(each)}" for each in bad]
    command = " ".join(["phloem quality train", *words, "--out", shlex.quote(out.name)])
    told = card(out.name, trained, settings, registry, command)
    out.with_suffix(".md").write_text(told, encoding="utf-8", newline="")
    put(f"{out}  sha256 {trained.sha256}")
    if trained.score:
        put(f"held out: area under the ROC curve {trained.score.auc:.4f}")
    put("in a recipe:")
    put(f"  ops:  - quality: {{model: {{path: {out}, sha256: {trained.sha256}}}, label: good}}")
    put("  keep: - {name: quality, column: quality_margin, min: 0}")
