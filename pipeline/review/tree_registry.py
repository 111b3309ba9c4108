"""The registry of a commit, read from bytes that anybody may have written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from phloem.catalog.licenses import MAX_EXPRESSION
from phloem.catalog.policy import LOCAL
from phloem.filters.op import ops
from phloem.pipeline.registry.registry import Registry
from phloem.pipeline.review.commits import APPROVALS, ENTRIES, LOCK, Blob, Tree, card_id
from phloem.sources.cards.approvals import SIGNERS, signature_faults
from phloem.sources.cards.dossier import CardFile, Dossier, card_of_plain
from phloem.sources.cards.lint import Finding, findings
from phloem.sources.cards.lock import Entry, parsed
from phloem.sources.cards.plain_yaml import read_plain
from phloem.sources.cards.source import Approval, Source, describe, license_refs
from phloem.sources.connector import SourceError, connectors, find_connector

BRACKETS = 100  # of a licence expression: its parser calls itself for each


@dataclass(frozen=True)
class TreeRegistry:
    """The registry as a commit holds it.

    Attributes:
        registry: Cards whose shape is right, pins, approvals that can be read.
        files: Every card file, right or wrong, by its path in the repository.
        findings: What the rules find, and what could not be read, with such paths.
        broken: The error that a rule ended with at a card, by source id; it is no card then.
        locked: Lock entries that a machine may have written, by source id; None: the lock file
            cannot be read.
        unsafe: Why another is none, and not to be fetched, by source id.
    """

    registry: Registry
    files: Mapping[str, CardFile]
    findings: tuple[Finding, ...]
    broken: Mapping[str, str]
    locked: Mapping[str, Entry] | None
    unsafe: Mapping[str, str]


def read_tree(tree: Tree, signers: bytes, folder: Path) -> TreeRegistry:
    """What a commit's registry holds, held to every rule.

    Args:
        tree: The commit.
        signers: The keys that approvals are verified with: of the commit that is trusted.
        folder: Empty; the files are written into it under names of ours.
    """
    folder.mkdir()
    keys = folder / SIGNERS
    keys.write_bytes(signers)
    files = {
        path: _card(path, blob, folder)
        for path, blob in tree.files.items()
        if path.startswith(ENTRIES)
    }
    # What is refused is a card all the same: it is there, and nobody can tell what it says.
    files |= {
        path: CardFile(folder / path.rpartition("/")[2], None, None, ())
        for path in tree.refused
        if path.startswith(ENTRIES) and card_id(path)
    }
    approved, wrong = _approvals(tree)
    entries, unsafe, lock_faults = _entries(tree, folder)
    pins = {source: entry.pin for source, entry in (entries or {}).items()}
    dossier = Dossier(
        files=list(files.values()),
        ops=list(ops()),
        connectors={name: find_connector(name) for name in connectors()},
        pins=pins,
        approvals=approved,
        license_refs=license_refs(),
        today=datetime.now(UTC).date(),
        unverified=signature_faults(approved, dict.fromkeys(approved, keys)),
        texts={source: each.text for source, each in (entries or {}).items() if each.text},
    )
    told, broken = _told(dossier)
    files = {path: _without(file, broken) for path, file in files.items()}
    cards = {file.card.id: file.card for file in files.values() if file.card}
    refs = {name: tuple(entry["obligations"]) for name, entry in license_refs().items()}
    registry = Registry(cards, pins, approved, dict.fromkeys(approved, keys), refs)
    fix = "a registry holds plain files: a card is entries/ID.yaml, an approval approvals/ID.yaml"
    refused = [
        Finding("S001", "error", path, "file", reason, fix)
        for path, reason in sorted(tree.refused.items())
    ]
    places = {str(file.path): path for path, file in files.items()}
    # The repository names a file in its own way; rules name other cards by where they were read.
    ours = re.compile(rf"{re.escape(str(folder))}/(?:[0-9a-f]+/)?")
    found = [
        replace(
            each,
            file=places.get(each.file, f"sources/{each.file}"),
            message=ours.sub(lambda _: ENTRIES, each.message),
        )
        for each in told
    ]
    return TreeRegistry(
        registry,
        files,
        (*refused, *wrong, *lock_faults, *found),
        broken,
        entries,
        unsafe,
    )


def _told(dossier: Dossier) -> tuple[list[Finding], dict[str, str]]:
    """What the rules find, and at which cards one of them ended: those are held to none then."""
    try:
        return findings(dossier), {}
    except Exception:  # noqa: BLE001 - what breaks a rule is a card's doing, and told as such
        ended = {file.path: _ended(dossier, file) for file in dossier.files if file.card}
    broken = {path.stem: why for path, why in ended.items() if why}
    rest = replace(dossier, files=[_without(file, broken) for file in dossier.files])
    fix = "write plain values as the other cards do"
    told = [
        Finding("S001", "error", str(path), "card", f"a rule ended with {why}", fix)
        for path, why in ended.items()
        if why
    ]
    return [*told, *findings(rest)], broken


def _ended(dossier: Dossier, file: CardFile) -> str:
    """The kind of error that a rule ends with at a card alone; empty if none does."""
    try:
        findings(replace(dossier, files=[file]))
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error).__name__
    return ""


def _without(file: CardFile, broken: Mapping[str, str]) -> CardFile:
    return replace(file, card=None) if file.path.stem in broken else file


def _card(path: str, blob: Blob, folder: Path) -> CardFile:
    """A card file; one that could overwhelm its readers is told and not read."""
    place = folder / blob.id / path.rpartition("/")[2]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(blob.data)
    if place.stem == LOCAL:
        told = f"the id {LOCAL} is kept for a user's own files, which no licence is asked of"
        return CardFile(place, None, None, (("card", told),))
    file = card_of_plain(place, *read_plain(blob.data))
    if file.card is None:
        return file
    if file.card.id != place.stem:  # a rule tells it; it must not stand for the card it names
        return replace(file, card=None)
    reason = _expression_fault(file.card)
    return replace(file, card=None, faults=(("license", reason),)) if reason else file


def _expression_fault(card: Source) -> str | None:
    for text in (card.license.spdx, card.license.collection or ""):
        if len(text) > MAX_EXPRESSION or text.count("(") > BRACKETS:
            return f"an expression of {len(text)} characters or {text.count('(')} brackets"
    return None


def _approvals(tree: Tree) -> tuple[dict[str, Approval], list[Finding]]:
    """Approvals by source id, and what is wrong with the others."""
    found: dict[str, Approval] = {}
    wrong: list[Finding] = []
    for path, blob in tree.files.items():
        if not path.startswith(APPROVALS):
            continue
        source = path.removeprefix(APPROVALS).removesuffix(".yaml")
        value, faults = read_plain(blob.data)
        try:
            approval = None if faults else Approval.model_validate(value)
            if approval and approval.source != source:
                faults = [f"source: found {approval.source!r}, expected {source!r}"]
            elif approval:
                found[source] = approval
        except ValidationError as error:
            faults = list(describe(Approval, error))
        fix = "`phloem sources approve ID --key KEY` writes it"
        wrong += [Finding("S030", "error", path, "approval", str(text), fix) for text in faults]
    return found, wrong


def _entries(
    tree: Tree, folder: Path
) -> tuple[dict[str, Entry] | None, dict[str, str], list[Finding]]:
    """Lock entries by source id, why some are not to be fetched, what is wrong with the file."""
    if LOCK not in tree.files:
        return (None if LOCK in tree.refused else {}), {}, []
    place = folder / "sources.lock"
    place.write_bytes(tree.files[LOCK].data)
    fix = "`phloem sources lock ID` writes it"
    try:
        entries, unsafe = parsed(place)
    except SourceError as error:
        said = str(error).removeprefix(f"{place} ")
        return None, {}, [Finding("S001", "error", LOCK, "file", said, fix)]
    wrong = [Finding("S001", "error", LOCK, source, fault, fix) for source, fault in unsafe.items()]
    return entries, unsafe, wrong
