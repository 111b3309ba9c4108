"""`phloem sources lock` and `check-links`: what providers hold, and whether it is still there."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.catalog.errors import UseError
from phloem.pipeline.cli.console import listing, note, put
from phloem.pipeline.cli.options import AsJson, FetchBytes, FetchSeconds, Root, allowance, open_root

if TYPE_CHECKING:
    from phloem.sources.spending import Allowance

app = typer.Typer()

SHOWN = 40  # characters of a version, which may be a list of all packages, in a table
NOT_ASKED = 3  # the exit code where nothing is wrong, as far as anybody could say


@app.command("check-links")
def check_links(
    source: Annotated[
        list[str] | None, typer.Argument(help="Ids of cards; all active ones by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether the links of cards still answer; exit code 1 if one leads nowhere.

    Homepages, terms and what connectors read, one request a host at a time,
    no address inside your network. It needs the open network: of a host that
    has no name here or does not answer nothing is said, and the exit code is 3.
    """
    from phloem.pipeline.registry.registry import card_of, load_registry
    from phloem.pipeline.workspace import find_workspace
    from phloem.sources.cards.links import broken, links

    registry = load_registry(find_workspace())
    cards = [card_of(registry, id_) for id_ in source or ()] or [
        card for card in registry.cards.values() if card.status == "active"
    ]
    found = links(cards)
    note(f"asking for {len(found)} links of {len(cards)} cards, a host at a time")
    wrong = broken(found, lambda done: _progress(done, len(found)))
    rows = [dataclasses.asdict(each) for each in wrong]
    if as_json or rows:
        listing(rows, ["kind", "url", "places", "reason"], as_json=as_json)
    counts = Counter(each.kind for each in wrong)
    gone, unasked = counts["gone"], counts["not asked"]
    if not as_json:
        refused = f"{counts['refused']} refused to machines"
        put(f"{len(found)} links: {gone} gone, {refused}, {unasked} could not be asked for")
    if gone or unasked:
        raise typer.Exit(1 if gone else NOT_ASKED)


def _progress(done: int, total: int) -> None:
    if done % 100 == 0 and done < total:
        note(f"{done} of {total}")


@app.command("lock")
def lock(
    source: Annotated[
        list[str] | None, typer.Argument(help="Ids of cards; all active ones by default.")
    ] = None,
    is_check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Lock nothing: ask whether what is locked still stands; no text is fetched.",
        ),
    ] = False,
    root: Root = ROOT,
    fetch_bytes: FetchBytes = None,
    fetch_seconds: FetchSeconds = None,
    as_json: AsJson = False,
) -> None:
    """Ask the providers what the sources hold now, and write it to sources.lock.

    A run reads what is locked and nothing else. Lock a card after you wrote it,
    or when its provider no longer serves what is locked. What is brought to be
    hashed stays in the root, where a sample or a run finds it; `phloem gc` removes
    what none of them named within a day. Of what package indexes serve, all is
    read, and how much text of each language it holds is written too; of a large
    source the beginning is, and the entry says so.

    With --check a row says of each pin: ok; newer, where the card would take
    another version; changed, where other bytes have its names; vanished; or
    not asked, where no network or client could tell. Exit code 1 if one changed
    or vanished; 3 if none did, but one could not be asked for.

    [bold]phloem sources lock nltk-howto[/bold]
    [bold]phloem sources lock --check[/bold]
    """
    from phloem.pipeline.review import locking
    from phloem.pipeline.workspace import find_workspace

    may = allowance(fetch_bytes, fetch_seconds)
    if is_check:
        _check(source or [], may, as_json=as_json)
        return
    if as_json:
        raise UseError("--json is for --check: what is locked stands in sources.lock")
    for line in locking.lock(find_workspace(), source or [], open_root(root), may):
        put(line)


def _check(asked: Sequence[str], may: Allowance, *, as_json: bool) -> None:
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.review.standing import WORST, check
    from phloem.pipeline.workspace import find_workspace

    found = check(load_registry(find_workspace()), asked, may, _progress)
    rows = [
        {
            "id": each.id,
            "version": each.version if as_json else textwrap.shorten(each.version, SHOWN),
            **dataclasses.asdict(each.standing),
        }
        for each in found
    ]
    listing(rows, ["id", "state", "by", "version", "reason"], as_json=as_json)
    counts = Counter(each.standing.state for each in found)
    if not as_json:
        told = ", ".join(f"{counts[state]} {state}" for state in reversed(WORST))
        put(f"{len(found)} pins on {datetime.now(UTC).date()}: {told}")
    if counts["vanished"] or counts["changed"]:
        raise typer.Exit(1)
    if counts["not asked"]:
        raise typer.Exit(NOT_ASKED)
