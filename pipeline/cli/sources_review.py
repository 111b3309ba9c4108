"""`phloem sources sample` and `review`: a look at sources before anybody agrees to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.catalog.errors import UseError
from phloem.pipeline.cli.console import listing, note, print_json, put, write
from phloem.pipeline.cli.options import AsJson, FetchBytes, FetchSeconds, Root, allowance, open_root

if TYPE_CHECKING:
    from phloem.reports.source_sample import SourceSample

app = typer.Typer()

FAILED = "failed"
MUST_BE_LOOKED_AT = 3  # the exit code


@app.command("sample")
def sample(
    source: Annotated[list[str] | None, typer.Argument(help="Ids of cards, active or not.")] = None,
    all_available: Annotated[
        bool,
        typer.Option(
            "--all-available",
            help="All active cards that this machine can have without the open network: a row"
            " each.",
        ),
    ] = False,
    documents: Annotated[
        int, typer.Option("--documents", min=1, help="About how many of each source.")
    ] = 200,
    fetch_bytes: FetchBytes = None,
    fetch_seconds: FetchSeconds = None,
    root: Root = ROOT,
    out: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="Write an HTML page with all of it too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at a few documents of a source: languages, lengths, personal data, what is kept.

    They are drawn by a hash of their ids from all of its parts and measured as
    a run would; what the newest run holds already is told. A source whose
    languages are not as declared is marked. Exit code 1 if a source gave none.

    [bold]phloem sources sample nltk-howto[/bold]
    [bold]phloem sources sample --all-available --out samples.html[/bold]
    """
    from phloem.pipeline.registry.registry import card_of, load_registry
    from phloem.pipeline.review.samples import available, samples
    from phloem.pipeline.workspace import find_workspace
    from phloem.reports import source_sample

    if bool(source) == all_available:
        raise UseError("name cards, or say --all-available; one of the two")
    store, workspace = open_root(root), find_workspace()
    registry = load_registry(workspace)
    cards = (
        available(registry) if all_available else [card_of(registry, id_) for id_ in source or ()]
    )
    found: list[SourceSample] = []
    failed: dict[str, str] = {}
    may = allowance(fetch_bytes, fetch_seconds)
    for card, made in samples(
        store, registry, workspace, cards, documents=documents, allowance=may, told=note
    ):
        if isinstance(made, str):
            failed[card.id] = made
        else:
            found.append(made)
        if all_available:
            shown = made if isinstance(made, str) else _short(made)
            note(f"{len(found) + len(failed)} of {len(cards)} {card.id}: {shown}")
    if out:
        out.write_text(source_sample.page(found, failed), encoding="utf-8")
    _put(found, failed, as_rows=all_available, as_json=as_json)
    if out:
        note(f"page     {out}")
    if failed:
        raise typer.Exit(1)


def _short(found: SourceSample) -> str:
    mismatch = f"; mismatch: {'; '.join(found.mismatches)}" if found.mismatches else ""
    return f"{found.kept} of {found.documents} documents kept{mismatch}"


def _put(
    found: Sequence[SourceSample], failed: Mapping[str, str], *, as_rows: bool, as_json: bool
) -> None:
    """Print samples: as JSON, as a row each, or as the Markdown of a review."""
    from phloem.reports import source_sample

    if as_json:
        made = [{**asdict(each), "kept": each.kept, "shares": each.shares} for each in found]
        print_json({"samples": made, FAILED: failed})
        return
    if not as_rows:
        for each in found:
            put(source_sample.markdown(each, heading="#"))
            put("")
        for source, reason in failed.items():
            note(f"{source}: {reason}")
        return
    rows = [source_sample.row(each) for each in found]
    rows += [{"id": source, FAILED: reason} for source, reason in failed.items()]
    columns = [*source_sample.COLUMNS, *([FAILED] if failed else [])]
    listing(sorted(rows, key=lambda row: str(row["id"])), columns, as_json=False)
    wrong = sum(bool(each.mismatches) for each in found)
    put(f"{len(found)} sources sampled, {wrong} with a mismatch, {len(failed)} failed")
    if counted := [each.source for each in found if each.counted]:
        put(f"what is frequent was {source_sample.COUNTED_HERE}: {', '.join(sorted(counted))}")


@app.command("review")
def review(
    base_head: Annotated[
        str,
        typer.Argument(
            metavar="BASE..HEAD",
            help="Two commits of the repository that this folder is in, a base and a head; with"
            " three dots, what happened since they parted.",
        ),
    ],
    samples: Annotated[
        int, typer.Option("--samples", min=0, help="Cards that are fetched and sampled at most.")
    ] = 5,  # more are a change for people to look into
    is_whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Print all of it, of whatever length; a comment is cut.",
        ),
    ] = False,
    root: Root = ROOT,
) -> None:
    """Review what a branch does to the registry, as Markdown for its pull request.

    Of the branch it reads cards, approvals and the lock file as git holds them,
    and fetches through the clients of package indexes alone. Exit code 1 if the
    verdict names an error; 3 if it names none, but a maintainer must look: what
    decides or signs is changed too, and the review could not see that it is right.

    [bold]phloem sources review main...HEAD[/bold]
    [bold]phloem sources review --whole main...HEAD[/bold]
    """
    from phloem.pipeline.review import review as reviewing
    from phloem.reports.review import comment, whole

    made = reviewing.review(Path.cwd(), base_head, open_root(root), samples=samples, told=note)
    write(whole(made) if is_whole else comment(made))
    if made.errors:
        raise typer.Exit(1)
    if made.must_be_looked_at:
        raise typer.Exit(MUST_BE_LOOKED_AT)
