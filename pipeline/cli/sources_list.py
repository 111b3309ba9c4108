"""`phloem sources list`, `approvals` and `adds`: what there is, who answers for it, its worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from phloem.pipeline.cli.console import listing, put
from phloem.pipeline.cli.options import AsJson

app = typer.Typer()

COLUMNS = ("id", "status", "kind", "languages", "license", "connector", "version", "name")
SHOWN = 5  # languages of a card in a table


@app.command("list")
def list_(
    license_: Annotated[
        list[str] | None,
        typer.Option("--license", help="SPDX expression, or an identifier in one."),
    ] = None,
    obligation: Annotated[
        list[str] | None,
        typer.Option(
            "--obligation",
            help="What the licence asks, such as attribution or share_alike; none: nothing.",
        ),
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="BCP-47 tag; pt finds pt-BR too.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", help="proposed, active, paused or withdrawn."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the source cards: the project's, and those of your phloem.toml.

    Each option may be given several times: a card has one of its values. Of
    several options a card meets all.

    [bold]phloem sources list --language sw --language ha --status active[/bold]
    [bold]phloem sources list --obligation noncommercial --obligation no_derivatives[/bold]
    """
    from phloem.pipeline.registry.chosen import Asked, chosen
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.workspace import find_workspace

    registry = load_registry(find_workspace())
    asked = Asked(license_ or (), obligation or (), language or (), status or ())
    rows = [
        {
            "id": card.id,
            "status": card.status,
            "kind": card.kind,
            "languages": list(card.languages) if as_json else _first(card.languages),
            "license": card.license.spdx,
            "connector": card.access.connector,
            "version": registry.pins[card.id].version if card.id in registry.pins else None,
            "name": card.name,
        }
        for card in chosen(registry, asked)
    ]
    listing(rows, COLUMNS, as_json=as_json)
    if not as_json and asked != Asked((), (), (), ()):
        put(f"{len(rows)} of {len(registry.cards)} cards")


def _first(values: Sequence[str]) -> list[str]:
    more = [f"and {len(values) - SHOWN} more"] if len(values) > SHOWN else []
    return [*values[:SHOWN], *more]


@app.command("approvals")
def approvals(as_json: AsJson = False) -> None:
    """List the approvals: of which card, whether each counts, by whom, in which role, and when.

    approved: it counts for the card as it stands. stale: the card has changed
    since, or is gone. unsigned: nobody signed it. expired: the key was not valid
    on its day. refused: it does not count for another reason. Its pin is bound if
    what is locked is what was signed, changed if another version is locked by
    now, and free if the approval is of no lock entry.
    """
    from phloem.pipeline.registry.approved import STATES, approved
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.workspace import find_workspace

    registry = load_registry(find_workspace())
    rows = approved(registry)
    listing(rows, ["card", "state", "by", "role", "date", "pin", "why"], as_json=as_json)
    if not as_json:
        counts = Counter(row["state"] for row in rows)
        told = ", ".join(f"{counts[state]} {state}" for state in STATES)
        put(f"{len(rows)} approvals of {len(registry.cards)} cards: {told}")


@app.command("adds")
def adds(
    source: Annotated[list[str], typer.Argument(help="Ids of cards, active or not.")],
    as_json: AsJson = False,
) -> None:
    """Say what sources add, by language: estimated tokens, beside what all others hold.

    Counted is what the rules keep, as `phloem sources lock` measured it; of a
    source that it could not measure the table says so. Tokens are estimated at
    4.7 bytes each, as in BLOOM's corpus: a run's tokenizer counts them.

    [bold]phloem sources adds udhr[/bold]
    """
    from phloem.pipeline.registry.adds import adds as added
    from phloem.pipeline.registry.registry import card_of, load_registry
    from phloem.pipeline.workspace import find_workspace
    from phloem.sources.cards.lock import locked

    workspace = find_workspace()
    registry, entries = load_registry(workspace), locked(workspace.sources)
    rows = []
    for id_ in (card_of(registry, each).id for each in source):
        found = added(id_, registry.cards, entries)
        unmeasured = [{"language": "not measured", "tokens": None, "bytes": None, "others": None}]
        rows += [{"id": id_, **row} for row in (unmeasured if found is None else found)]
    listing(rows, ["id", "language", "tokens", "bytes", "others"], as_json=as_json)
