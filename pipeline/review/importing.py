"""Candidates that somebody listed, made into proposed cards: those that clash with none there is.

A candidate is a line of JSON: `id`, `name`, `kind`, `languages`, `homepage`, `access` with its
`type` and what that needs, and what is known of `summary`, `license`, `custodian`, `evidence`.
Nothing of it is run or asked for: what comes of it is read by no run until a curator has read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import ValidationError

from phloem.catalog.errors import UseError
from phloem.catalog.licenses import UNKNOWN_LICENSE
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.pipeline.review.propose import OWN_LINE, card_text
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards.approvals import approvals_folder
from phloem.sources.cards.checks import license_faults
from phloem.sources.cards.reads import address, reads
from phloem.sources.cards.source import Kind, Source, check_card, describe, license_refs
from phloem.sources.connector import SourceError, find_connector

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "lexicon": "dictionary",
        "poetry": "literature",
        "qa": "questions",
        "speech_transcripts": "speech",
        "ui_strings": "interface",
        "web_crawl": "web",
        "wiki": "encyclopedia",
        "wordlist": "dictionary",
    }
)
"""What lists of data sets call a kind of ours."""

INDEXES = ("crates", "deb", "gomod", "maven", "npm", "pypi")


@dataclass(frozen=True)
class Imported:
    """What became of a list.

    Attributes:
        written: Files of the new cards.
        clashes: A line for each candidate that a card has already.
        faults: A line for each that makes no card.
    """

    written: tuple[Path, ...]
    clashes: tuple[str, ...]
    faults: tuple[str, ...]


def import_candidates(path: Path, workspace: Workspace, cards: Mapping[str, Source]) -> Imported:
    """Write a proposed card for each candidate of a file that clashes with none.

    Two are the same where they share an id, a package, a dataset, a repository, a wiki, an address
    or a homepage, or one lies in a domain that is the other's as a whole. Of two in one file the
    first counts.

    Args:
        path: JSON Lines.
        workspace: Into whose first folder of cards they go, else into the project's.
        cards: That there are.

    Raises UseError for a file that cannot be read.
    """
    folder = workspace.sources[0] if workspace.sources else approvals_folder().parent / "entries"
    held = {name: card.id for card in cards.values() for name in _names(card) | _own(card)}
    written: list[Path] = []
    clashes, faults = [], []
    for number, row in _rows(path):
        card, wrong = _card(folder, row)
        if card is None:
            name = row.get("id") if isinstance(row, dict) else None
            faults.append(f"line {number}{f' ({name})' if name else ''}: {'; '.join(wrong)}")
            continue
        told = _names(card) | _domain(card)
        shared = next((name for name in told if name in held), None)
        if shared:
            clashes.append(f"line {number} ({card.id}): {told[shared]} is of {held[shared]}")
            continue
        held |= dict.fromkeys(_names(card) | _own(card), card.id)
        written.append(folder / f"{card.id}.yaml")
        said = card.model_dump(mode="json", exclude_defaults=True)
        head = "" if workspace.sources else OWN_LINE
        written[-1].write_text(head + card_text(said), encoding="utf-8")
    return Imported(tuple(written), tuple(clashes), tuple(faults))


def _rows(path: Path) -> Iterator[tuple[int, Json]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UseError(f"{path} cannot be read as UTF-8: {type(error).__name__}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _card(folder: Path, row: Json) -> tuple[Source | None, list[str]]:
    """The card of a candidate, or all that is wrong with it."""
    if not isinstance(row, dict):
        return None, ["no JSON object"]
    languages = row.get("languages")
    first = str(languages[0]) if isinstance(languages, list) and languages else "und"
    access, wrong = _access(row.get("access"), first)
    kind = KINDS.get(str(row.get("kind")), row.get("kind"))
    if kind not in get_args(Kind):
        wrong.append(f"kind: {kind!r} is none; {nearest(str(kind), get_args(Kind))}")
    spdx = row.get("license") or UNKNOWN_LICENSE
    unread = license_faults(str(spdx), license_refs())
    known = row.get("evidence")
    value = {
        **{field: row.get(field) for field in ("id", "name", "homepage", "languages")},
        "kind": kind,
        "summary": row.get("summary") or f"{row.get('name')}, as a list of candidates has it.",
        "license": {"spdx": UNKNOWN_LICENSE if unread else spdx},
        "access": access,
        "custodian": row.get("custodian") or "unknown",
        "personal_data": {"level": "personal", "note": "Nobody looked: assume the worst."},
        "status": "proposed",
        "reason": "Nobody has read its texts or terms."
        + (f" It was said to be under {spdx}." if unread else "")
        + (f" It was found in: {known}" if known else ""),
    }
    path = folder / f"{row.get('id')}.yaml"
    card, faults = check_card(path, value)
    wrong += [
        fault.removeprefix(f"{path}: ")
        for fault in faults
        if not fault.startswith((f"{path}: kind", f"{path}: access"))
    ]
    return (None if wrong else card), wrong


def _access(given: Json, language: str) -> tuple[dict[str, Json], list[str]]:
    """How a card has the bytes that a candidate names, and what is wrong with that."""
    said = given if isinstance(given, dict) else {}
    name, params = _connector(said, language)
    try:
        connector = find_connector(name)
        connector.Params.model_validate(params)
    except SourceError as error:
        return {"connector": name, "params": params}, [f"access.type: {error}"]
    except ValidationError as error:
        told = [f"access: {text}" for text in describe(connector.Params, error)]
        return {"connector": name, "params": params}, told
    return {"connector": name, "params": params}, []


def _connector(said: Mapping[str, Any], language: str) -> tuple[str, dict[str, Json]]:
    kind = str(said.get("type"))
    params: dict[str, Json] = {}
    if "params" in said:
        params = said["params"] if isinstance(said["params"], dict) else {}
    elif kind in INDEXES:
        version = {"version": said["version"]} if kind == "maven" and "version" in said else None
        params = {"packages": {str(said.get("package")): version}}
    elif kind == "huggingface":
        params = {"dataset": said.get("id")}
    elif kind == "git":
        params = {"repositories": {str(said.get("url")): None}}
    elif kind == "http":
        params = {"urls": [said.get("url")]}
    elif kind == "warc":
        params = {"crawls": said.get("crawls"), "domains": [_host(str(said.get("url_prefix")))]}
    elif kind == "wikimedia_dump":
        return "wikimedia", {"wikis": {str(said.get("dump")): language}}
    return kind, params


def _names(card: Source) -> dict[str, str]:
    """What no other card may be of, but for its domain: as all spell it, and as it is told."""
    read = {f"{each.kind} {each.name}": f"the {each.kind} {each.said}" for each in reads(card)}
    homepage = card.homepage.partition("://")[2]
    return {
        f"id {card.id}": f"the id {card.id}",
        **read,
        f"page {address(card.homepage)}": f"the homepage {homepage}",
    }


def _own(card: Source) -> dict[str, str]:
    """Its domain, if all of that is the source's: hosts of many have a path for each."""
    path = urlsplit(card.homepage).path
    return _domain(card) if path in {"", "/"} else {}


def _domain(card: Source) -> dict[str, str]:
    host = _host(card.homepage)
    return {f"domain {host}": f"the domain {host}"}


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
