"""`phloem release`: what a trainer may read."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.pipeline.cli.console import listing, put
from phloem.pipeline.cli.options import AsJson, Root, find_root

app = typer.Typer(name="release", help="What a trainer may read.", no_args_is_help=True)

COLUMNS = ("name", "date", "recipe", "policy", "sources")


@app.command("list")
def list_(root: Root = ROOT, as_json: AsJson = False) -> None:
    """List the releases that the root holds."""
    from phloem.catalog.released import list_releases

    rows = [
        {
            "name": release.name,
            "date": release.date,
            "recipe": release.recipe,
            "policy": release.policy,
            "sources": len(release.sources),
        }
        for release in list_releases(find_root(root))
    ]
    listing(rows, COLUMNS, as_json=as_json)


@app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(help="A release's name, as in `phloem release list`.")],
    root: Root = ROOT,
    exported: Annotated[
        str | None,
        typer.Option(
            "--export",
            metavar="FOLDER",
            help="Look at this export of the release instead: the hash of each file, and each"
            " document and its end against the release's tokens.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask every witness of a release whether it is what was released; exit code 1 if it is not.

    They are the digits in a name that it was not given, records/, the manifests of its four stages,
    the hash of every file and the rows in it, SHA256SUMS, ATTRIBUTION.md, and the record of its run
    unless that was given up. What lies beside its files, and links, are told too.
    """
    from phloem.catalog.handoff.export import verify_export
    from phloem.catalog.verify import verify_release
    from phloem.pipeline.workspace import find_workspace

    store = find_root(root)
    if exported is None:
        findings = verify_release(store, name, find_workspace().policies)
        whole = f"{name}: whole, every byte as released"
    else:
        findings = verify_export(store, name, exported)
        whole = f"{exported}: whole, every token as released"
    rows = [dataclasses.asdict(each) for each in findings]
    if as_json or rows:
        listing(rows, list(rows[0]) if rows else [], as_json=as_json)
    if not as_json:
        put(f"{exported or name}: {len(rows)} faults" if rows else whole)
    if rows:
        raise typer.Exit(1)
