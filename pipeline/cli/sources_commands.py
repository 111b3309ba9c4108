"""What the commands that tend the registry do: approve, new, stats and check-links."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import typer
import yaml
from pydantic import ValidationError

from phloem.catalog.bloom import NATURAL, PROGRAMMING, in_language
from phloem.catalog.errors import UseError
from phloem.pipeline.cli.console import listing, note, print_json, put, told
from phloem.pipeline.registry.page import part_of
from phloem.pipeline.registry.registry import Registry, card_of, lint_all, load_registry
from phloem.pipeline.review.propose import OWN_LINE, card_of_answers
from phloem.pipeline.workspace import Workspace, find_workspace
from phloem.reports.registry import PARTS, Entry, headline, parts
from phloem.sources.cards.approvals import approvals_folder, sign, write_approval
from phloem.sources.cards.links import broken, links
from phloem.sources.cards.source import (
    Approval,
    Kind,
    Source,
    card_files,
    card_hash,
    check_card,
    describe,
)
from phloem.sources.connector import connectors

Json = Any


# Approvals ----------------------------------------------------------------------------------------
def approve_source(source: str, *, key: Path, role: str, basis: str, day: str) -> None:
    """Sign a card as it stands, and write the approval beside it."""
    with told():
        workspace = find_workspace()
        registry = load_registry(workspace)
        card = card_of(registry, source)
        folder = _approvals_of(source, registry, workspace)
        approval = _approval(card, role, basis, day)
        signed = sign(approval, key, folder / "allowed_signers")
        before = registry.approvals.get(source)
        path = write_approval(signed, folder)
    put(f"{path}: {source} approved by {signed.signed_by}, {role}, card {signed.card[:12]}")
    if before:
        put(f"it stands in place of one by {before.signed_by or 'nobody'} of {before.date}")


def _approval(card: Source, role: str, basis: str, day: str) -> Approval:
    """What is to be signed. Raises UseError listing every fault."""
    given = {
        "source": card.id,
        "card": card_hash(card),
        "role": role,
        "date": day or datetime.now(UTC).date().isoformat(),
        "basis": basis,
    }
    try:
        return Approval.model_validate(given)
    except ValidationError as error:
        raise UseError("; ".join(f"--{text}" for text in describe(Approval, error))) from None


def _approvals_of(source: str, registry: Registry, workspace: Workspace) -> Path:
    """Where a source's approval lies or is to lie: a team keeps its own in its workspace."""
    if source in registry.signers:
        return registry.signers[source].parent
    folder = next(p.parent for p in card_files(workspace.sources) if p.stem == source)
    if folder in workspace.sources:
        return folder / "approvals"
    return workspace.sources[0] / "approvals" if workspace.sources else approvals_folder()


# Counts -------------------------------------------------------------------------------------------
def show_stats(*, as_json: bool) -> None:
    """Print what the registry holds, by everything that a card can be counted by."""
    with told():
        cards = list(load_registry(find_workspace()).cards.values())
        value = stats(cards)
    if as_json:
        print_json(value)
        return
    put(value["headline"])
    put(breadth(value))
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


def breadth(value: Mapping[str, Json]) -> str:
    """How many of BLOOM's languages have two active cards or more."""
    enough = {
        name: sum(counts["index"] + counts["network"] > 1 for counts in value[name].values())
        for name in ("bloom", "programming")
    }
    return (
        f"two active cards or more: {enough['bloom']} of BLOOM's {len(NATURAL)} natural languages,"
        f" {enough['programming']} of its {len(PROGRAMMING)} programming languages"
    )


def stats(cards: Sequence[Source]) -> dict[str, Json]:
    """Cards by part of the headline, and of each part by status, kind, licence and the like.

    A card counts once for each of its languages, and for a language of BLOOM by any of its tags.
    """
    entries = [Entry(card=card.model_dump(mode="json"), part=part_of(card)) for card in cards]
    held = {entry.card["id"]: entry.part for entry in entries}

    def by(keys: Callable[[Source], Iterable[str]], order: Sequence[str] = ()) -> dict[str, Json]:
        counts: dict[str, Counter[str]] = {key: Counter() for key in order}
        for card in cards:
            for key in dict.fromkeys(keys(card)):
                counts.setdefault(key, Counter())[held[card.id]] += 1
        shown = order or sorted(counts, key=lambda key: (-counts[key].total(), key))
        return {key: {part: counts[key][part] for part in PARTS} for key in shown}

    return {
        "headline": headline(entries),
        "parts": parts(entries),
        "status": dict(sorted(Counter(card.status for card in cards).items())),
        "kind": by(lambda card: [card.kind]),
        "connector": by(lambda card: [card.access.connector]),
        "license": by(lambda card: [card.license.spdx]),
        "language": by(lambda card: card.languages),
        "bloom": by(_bloom, list(NATURAL)),
        "programming": by(_programming, PROGRAMMING),
    }


def _bloom(card: Source) -> list[str]:
    return [tag for tag in NATURAL if in_language(tag, card.languages)]


def _programming(card: Source) -> list[str]:
    named = {domain.casefold() for domain in card.domains} if card.kind == "code" else set()
    return [name for name in PROGRAMMING if name in named]


# Links --------------------------------------------------------------------------------------------
def check_links(asked: Sequence[str], *, as_json: bool) -> None:
    """Print the links of active cards that do not answer; exit 1 if one leads nowhere."""
    with told():
        registry = load_registry(find_workspace())
        cards = [card_of(registry, source) for source in asked] or [
            card for card in registry.cards.values() if card.status == "active"
        ]
        found = links(cards)
        note(f"asking for {len(found)} links of {len(cards)} cards, a host at a time")
        wrong = broken(found, lambda done: _progress(done, len(found)))
    rows = [asdict(each) for each in wrong]
    if as_json or rows:
        listing(rows, ["kind", "url", "places", "reason"], as_json=as_json)
    gone = sum(each.kind == "gone" for each in wrong)
    if not as_json:
        put(f"{len(found)} links: {gone} gone, {len(wrong) - gone} refused to machines")
    if gone:
        raise typer.Exit(1)


def _progress(done: int, total: int) -> None:
    if done % 100 == 0 and done < total:
        note(f"{done} of {total}")


# New cards ----------------------------------------------------------------------------------------
FIELDS: Mapping[str, str] = {
    "id": "Id, such as folk-tales-sw: it names the work, and is never used again",
    "name": "Name, as its makers call it",
    "summary": "Summary: what the texts are, who made them, which part is taken, why it was chosen",
    "homepage": "Homepage, where a reader finds it",
    "kind": f"Kind: {', '.join(get_args(Kind))}",
    "languages": "Languages, BCP-47 tags with commas between; zxx for code",
    "license": "Licence, an SPDX expression; LicenseRef-unknown if nobody has looked",
    "connector": f"Connector: {', '.join(connectors())}",
    "params": "The connector's parameters as YAML, such as {packages: [nltk]}",
    "custodian": "Custodian: who makes it and answers for it",
    "personal_data": "Personal data: none, incidental or personal",
    "personal_note": "Whose data it is, and where",
    "reason": "What is missing before it can be read",
}
"""What is asked of whoever proposes a card; the status is `proposed`."""


def new_source(given: Mapping[str, str]) -> None:
    """Write a proposed card and lint it; exit 1 if a rule finds an error in it."""
    with told():
        workspace = find_workspace()
        known = load_registry(workspace).cards
        answers = _asked(given)
        if answers["id"] in known:
            msg = (
                f"there is a card {answers['id']!r} already; choose another id, or change that one"
            )
            raise UseError(msg)
        folder = (
            workspace.sources[0] if workspace.sources else approvals_folder().parent / "entries"
        )
        path = folder / f"{answers['id']}.yaml"
        value = card_of_answers(answers)
        _, faults = check_card(path, value)
        if faults:
            raise UseError("; ".join(fault.removeprefix(f"{path}: ") for fault in faults))
        head = "" if workspace.sources else OWN_LINE
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
        path.write_text(head + text, encoding="utf-8")
        found = [finding for finding in lint_all(workspace) if finding.file == str(path)]
    put(f"{path}: proposed; write the rest of it, and propose it as CONTRIBUTING.md says")
    for finding in found:
        put(f"{finding.rule} {finding.kind} {finding.field}: {finding.message}; {finding.fix}")
    if any(finding.kind == "error" for finding in found):
        raise typer.Exit(1)


def _asked(given: Mapping[str, str]) -> dict[str, str]:
    """All answers: as given, and the others typed by a person if one is there.

    Raises UseError naming all that are missing where nobody can be asked.
    """
    needed = [
        name for name in FIELDS if name != "personal_note" or given["personal_data"] == "personal"
    ]
    missing = [name for name in needed if not given[name]]
    if missing and not _is_terminal():
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise UseError(f"missing: {options}; on a terminal they are asked for")
    answers = dict(given)
    for name in FIELDS:
        if name == "personal_note" and answers["personal_data"] != "personal":
            continue
        if not answers[name]:
            answers[name] = typer.prompt(FIELDS[name]).strip()
    return answers


def _is_terminal() -> bool:
    return sys.stdin.isatty()
