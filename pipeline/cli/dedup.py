"""`phloem dedup`: an index of what a run kept, and texts looked up in it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.catalog.errors import UseError
from phloem.pipeline.cli.console import listing, put
from phloem.pipeline.cli.options import AsJson, Root, find_root

app = typer.Typer(
    name="dedup", help="Near duplicates: what was kept, by signatures.", no_args_is_help=True
)

COLUMNS = ("text", "id", "source", "language", "similarity")


@app.command("index")
def index(
    run: Annotated[str, typer.Argument(help="A run's id, or a release or recipe by name.")],
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="The file to write.")],
    root: Root = ROOT,
) -> None:
    """Write the signatures of all documents that a run kept, as datasketch has them.

    An Arrow file with id, source, language and `lean`, a serialized LeanMinHash.

    [bold]phloem dedup index quickstart --out kept.arrow[/bold]
    """
    from phloem.pipeline.dedup.index import write_index
    from phloem.pipeline.dedup.signed import minhash_of, run_of, signed

    store = find_root(root)
    record = run_of(store, run)
    count = write_index(out, signed(store, record), minhash_of(store, record))
    put(f"{out}: {count:,} documents of run {record['run_id']}")


@app.command("query")
def query(
    index: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Of `dedup index`.")],
    texts: Annotated[
        list[str], typer.Argument(help="Files of text, each one document; - for standard input.")
    ],
    jaccard: Annotated[
        float, typer.Option("--jaccard", min=0.1, max=1, help="The least similarity that is told.")
    ] = 0.7,
    as_json: AsJson = False,
) -> None:
    """Tell which documents each text is like, as the signatures estimate it.

    [bold]phloem dedup query kept.arrow letter.txt[/bold]
    """
    from phloem.pipeline.dedup.index import Index

    read = [_text(name) for name in texts]
    found = Index(index, jaccard).near(read)
    rows = [
        {"text": name, **dataclasses.asdict(match)}
        for name, matches in zip(texts, found, strict=True)
        for match in matches
    ]
    listing(rows, COLUMNS, as_json=as_json)


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        return Path(name).read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError):
        raise UseError(f"{name} is no file of text") from None
