"""`phloem sources`: the cards, new ones, what is locked of them, and who approves them."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.errors import UseError
from phloem.pipeline.cli import sources_list, sources_pins, sources_review
from phloem.pipeline.cli.console import listing, print_json, put
from phloem.pipeline.cli.options import AsJson, iso_date

app = typer.Typer(
    name="sources",
    help="Where text comes from: one card a source, and what is locked of it.",
    no_args_is_help=True,
)


@app.command("show")
def show(
    source: Annotated[str, typer.Argument(help="A card's id.")], as_json: AsJson = False
) -> None:
    """Show one card, what the lock file says of it, and its approval."""
    from phloem.pipeline.registry.registry import card_of, load_registry, source_facts
    from phloem.pipeline.workspace import find_workspace

    registry = load_registry(find_workspace())
    card, pin = card_of(registry, source), registry.pins.get(source)
    value = {
        **card.model_dump(mode="json"),
        "locked": pin.to_json() if pin else None,
        "approval": source_facts(card, registry)["approval"],
    }
    if as_json:
        print_json(value)
        return
    for name, field in value.items():
        shown = json.dumps(field, ensure_ascii=False) if isinstance(field, (dict, list)) else field
        put(f"{name:16}{'' if shown is None else shown}")


@app.command("lint")
def lint(as_json: AsJson = False) -> None:
    """Check every card against every rule; all faults of all cards at once.

    Errors must be mended, and give exit code 1; hints need not.
    """
    from phloem.pipeline.registry.registry import lint_all
    from phloem.pipeline.workspace import find_workspace

    rows = [dataclasses.asdict(finding) for finding in lint_all(find_workspace())]
    if as_json or rows:
        listing(rows, list(rows[0]) if rows else [], as_json=as_json)
    errors = sum(row["kind"] == "error" for row in rows)
    if not as_json:
        put(f"{errors} errors, {len(rows) - errors} hints")
    if errors:
        raise typer.Exit(1)


@app.command("new")
def new(
    id_: Annotated[
        str, typer.Option("--id", help="Kebab-case, names the work; the card's file name.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="As its makers call it.")] = "",
    summary: Annotated[
        str,
        typer.Option(
            "--summary",
            help="What the texts are, who made them, which part is taken, why it was chosen.",
        ),
    ] = "",
    homepage: Annotated[str, typer.Option("--homepage", help="Where a reader finds it.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="What its texts are, such as news; see sources/README.md.")
    ] = "",
    languages: Annotated[
        str,
        typer.Option("--languages", help="BCP-47 tags with commas between; zxx for code."),
    ] = "",
    license_: Annotated[
        str,
        typer.Option("--license", help="SPDX expression; LicenseRef-unknown if nobody has looked."),
    ] = "",
    connector: Annotated[
        str, typer.Option("--connector", help="What reads it, such as pypi.")
    ] = "",
    params: Annotated[
        str,
        typer.Option("--params", help="The connector's parameters as YAML: {packages: [nltk]}."),
    ] = "",
    custodian: Annotated[
        str, typer.Option("--custodian", help="Who makes it and answers for it.")
    ] = "",
    personal_data: Annotated[
        str, typer.Option("--personal-data", help="none, incidental or personal.")
    ] = "",
    personal_note: Annotated[
        str, typer.Option("--personal-note", help="Whose data it is, and where, if personal.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="What is missing before it can be read.")
    ] = "",
) -> None:
    """Propose a source: write its card of twelve fields, and lint it at once.

    What is not given is asked for on a terminal. The card goes into the first
    card folder of your phloem.toml, else into sources/entries.

    [bold]phloem sources new[/bold]
    """
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.review.propose import write_card
    from phloem.pipeline.workspace import find_workspace

    given = {
        "id": id_,
        "name": name,
        "summary": summary,
        "homepage": homepage,
        "kind": kind,
        "languages": languages,
        "license": license_,
        "connector": connector,
        "params": params,
        "custodian": custodian,
        "personal_data": personal_data,
        "personal_note": personal_note,
        "reason": reason,
    }
    workspace = find_workspace()
    known = load_registry(workspace).cards
    path, found = write_card(_asked(given), workspace, known)
    put(f"{path}: proposed; write the rest of it, and propose it as CONTRIBUTING.md says")
    for finding in found:
        put(f"{finding.rule} {finding.kind} {finding.field}: {finding.message}; {finding.fix}")
    if any(finding.kind == "error" for finding in found):
        raise typer.Exit(1)


def _asked(given: Mapping[str, str]) -> dict[str, str]:
    """All answers: as given, and the others typed by a person if one is there.

    Raises UseError naming all that are missing where nobody can be asked.
    """
    from phloem.pipeline.review.propose import QUESTIONS

    needed = [
        name
        for name in QUESTIONS
        if name != "personal_note" or given["personal_data"] == "personal"
    ]
    missing = [name for name in needed if not given[name]]
    if missing and not _is_terminal():
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise UseError(f"missing: {options}; on a terminal they are asked for")
    answers = dict(given)
    for name, question in QUESTIONS.items():
        if name == "personal_note" and answers["personal_data"] != "personal":
            continue
        if not answers[name]:
            answers[name] = typer.prompt(question).strip()
    return answers


def _is_terminal() -> bool:
    return sys.stdin.isatty()


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Candidates as JSON Lines.")
    ],
) -> None:
    """Propose many sources at once: a card for each line of a list that clashes with none.

    A line has id, name, kind, languages, homepage, and access: type (a package
    index, huggingface, git, http, warc, wikimedia_dump, or any connector with its
    params) and what that needs; license, custodian and summary as far as known.
    Left out, with a line each, is what a card has already: its id, package,
    dataset, repository, wiki, address, homepage or domain. What makes no card is told with
    all that is wrong with it; then the exit code is 1.

    [bold]phloem sources import candidates.jsonl[/bold]
    """
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.review.importing import import_candidates
    from phloem.pipeline.workspace import find_workspace

    workspace = find_workspace()
    found = import_candidates(file, workspace, load_registry(workspace).cards)
    for path in found.written:
        put(f"{path}: proposed")
    for clash in found.clashes:
        put(f"left out: {clash}")
    for fault in found.faults:
        put(f"no card: {fault}")
    put(
        f"{len(found.written)} proposed, {len(found.clashes)} left out,"
        f" {len(found.faults)} that make no card"
    )
    if found.faults:
        raise typer.Exit(1)


@app.command("approve")
def approve(
    source: Annotated[str, typer.Argument(help="A card's id.")],
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            exists=True,
            dir_okay=False,
            help="Your SSH key; a public one if an agent holds the private one.",
        ),
    ],
    role: Annotated[
        str, typer.Option("--role", help="In which you answer for it, such as data steward.")
    ],
    basis: Annotated[str, typer.Option("--basis", help="What the decision rests on.")],
    date: Annotated[
        str,
        typer.Option("--date", callback=iso_date, help="Of the decision; by default today."),
    ] = "",
) -> None:
    """Sign a card as it stands, so that policies that ask for approval read it.

    The key must be in allowed_signers beside the approvals: in the card folder
    of your phloem.toml, else in sources/approvals. A changed card needs a new one;
    what is locked of it is signed as well, and under a policy with approved_pin,
    such as production, another version needs a new one too.

    [bold]phloem sources approve udhr --key ~/.ssh/id --role steward --basis 'Read it all.'[/bold]
    """
    from phloem.pipeline.registry import approve as approving
    from phloem.pipeline.workspace import find_workspace

    path, signed, before = approving.approve(
        find_workspace(), source, key, role=role, basis=basis, day=date
    )
    put(f"{path}: {source} approved by {signed.signed_by}, {role}, card {signed.card[:12]}")
    if not signed.pin:
        put("it is not locked: a policy with approved_pin will ask for a new approval once it is")
    if before:
        put(f"it stands in place of one by {before.signed_by or 'nobody'} of {before.date}")


@app.command("stats")
def stats(as_json: AsJson = False) -> None:
    """Tell how much text there is in BLOOM's languages, then how many cards of each sort.

    Text is what machines measured when they locked a source, in MB that the rules keep; prose
    and interface texts of package indexes stand apart. Of cards, the columns are the parts of
    the headline: active and read where only package indexes are reached, active and read with
    a network, proposed, and closed: paused, withdrawn or unreadable.
    """
    from phloem.catalog.bloom import NATURAL
    from phloem.pipeline.registry import stats as counting
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.workspace import find_workspace
    from phloem.reports.registry import PARTS
    from phloem.sources.cards.lock import locked

    workspace = find_workspace()
    value = counting.stats(load_registry(workspace), locked(workspace.sources))
    if as_json:
        print_json(value)
        return
    put(value["text_headline"])
    put("")
    listing(counting.text_rows(value), list(counting.TEXT_COLUMNS), as_json=False)
    put("")
    put(value["headline"])
    put(counting.breadth(value))
    put("")
    rows = [{"status": status, "cards": count} for status, count in value["status"].items()]
    listing(rows, ["status", "cards"], as_json=False)
    for name in ("kind", "connector", "license", "language", "bloom", "programming"):
        rows = [
            {name: f"{key} {NATURAL[key]}" if name == "bloom" else key, **counts}
            for key, counts in value[name].items()
        ]
        put("")
        listing(rows, [name, *PARTS], as_json=False)


app.add_typer(sources_list.app)
app.add_typer(sources_pins.app)
app.add_typer(sources_review.app)
