"""`phloem export`: what a release holds, in the format of some trainer."""

from __future__ import annotations

from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.catalog.handoff.formats import FORMATS
from phloem.pipeline.cli.console import put
from phloem.pipeline.cli.options import Root, find_root

app = typer.Typer()


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(metavar="RELEASE", help="A release's name, as in `phloem release list`."),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="What to write them as; catalog/README.md says what each is.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="FOLDER", help="Folder or object-store URL that holds nothing yet."
        ),
    ],
    what: Annotated[
        str, typer.Option("--what", metavar="tokens", help="What of the release.")
    ] = "tokens",
    root: Root = ROOT,
) -> None:
    """Write the tokens of a release as a trainer reads them, with an export.json that says of what.

    The same release gives the same bytes each time. Whether a folder still holds what the release
    does, `phloem release verify` says.

    [bold]phloem export RELEASE --format megatron --out for-megatron[/bold]
    [bold]phloem release verify RELEASE --export for-megatron[/bold]
    """
    from phloem.catalog.handoff.export import export_tokens

    if what != "tokens":
        raise typer.BadParameter(f"{what!r} cannot be exported; tokens can")
    made = export_tokens(find_root(root), name, form, out)
    counted = f"{made.documents:,} documents and {made.tokens:,} tokens"
    put(f"{out}: {len(made.files)} files of {made.format}, {counted} of {name}")
