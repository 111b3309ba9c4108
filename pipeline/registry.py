"""The registry as a run sees it: cards, locks and approvals of the project and of a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

from phloem.filters.op import ops
from phloem.pipeline.workspace import Workspace
from phloem.sources.connector import Pin, SourceError, connectors, find_connector
from phloem.sources.lint import Finding, lint
from phloem.sources.lock import pins, write_pin
from phloem.sources.source import (
    LOCAL,
    Approval,
    Source,
    approvals,
    card_hash,
    license_refs,
    local_card,
    sources,
)

Json = Any


@dataclass(frozen=True)
class Registry:
    """The sources that there are, and what people and machines said of them.

    Attributes:
        cards: By id.
        pins: What the lock files say each holds.
        approvals: By id.
        license_refs: Obligations of each LicenseRef.
    """

    cards: Mapping[str, Source]
    pins: Mapping[str, Pin]
    approvals: Mapping[str, Approval]
    license_refs: Mapping[str, Sequence[str]]


def load_registry(workspace: Workspace) -> Registry:
    """Every card, pin, approval and known LicenseRef. Raises SourceError listing every fault."""
    refs = {name: tuple(entry["obligations"]) for name, entry in license_refs().items()}
    return Registry(sources(workspace.sources), pins(workspace.sources), approvals(), refs)


def local_registry(registry: Registry, path: str, text_column: str, language: str) -> Registry:
    """The registry with the ephemeral card of a user's own files, locked as they are now."""
    card = local_card(path, text_column=text_column, languages=(language,))
    connector = find_connector(card.access.connector)
    params = connector.Params.model_validate(dict(card.access.params))
    pin = connector.resolve(params)
    return replace(
        registry,
        cards={**registry.cards, LOCAL: card},
        pins={**registry.pins, LOCAL: pin},
    )


def card_of(registry: Registry, source: str) -> Source:
    """A card by id. Raises SourceError with the nearest one."""
    if source not in registry.cards:
        near = get_close_matches(source, registry.cards, n=1)
        hint = f"did you mean {near[0]}?" if near else "see `phloem sources list`"
        msg = f"no source named {source!r}; {hint}"
        raise SourceError(msg)
    return registry.cards[source]


def source_facts(card: Source, registry: Registry) -> dict[str, Json]:
    """What the run record and the policy know of a source."""
    pin = registry.pins.get(card.id)
    approval = registry.approvals.get(card.id)
    return {
        "name": card.name,
        "summary": card.summary,
        "kind": card.kind,
        "languages": list(card.languages),
        "license": card.license.spdx,
        "attribution": card.license.attribution,
        "homepage": card.homepage,
        "custodian": card.custodian,
        "status": card.status,
        "evidence": card.evidence,
        "card": card_hash(card),
        "version": pin.version if pin else None,
        "files": [asdict(file) for file in pin.files] if pin else [],
        "approval": approval.model_dump(mode="json") if approval else None,
    }


def lint_all(workspace: Workspace) -> list[Finding]:
    """All faults and hints of all cards."""
    return lint(workspace.sources, op_names=list(ops(workspace.ops)), connector_names=connectors())


def lock(workspace: Workspace, asked: Sequence[str]) -> Iterator[str]:
    """Lock sources as their providers serve them now; yields a line for each.

    Raises SourceError at the end, listing all that could not be locked.
    """
    registry = load_registry(workspace)
    active = [card.id for card in registry.cards.values() if card.status == "active"]
    faults = []
    for card in [card_of(registry, source) for source in asked or active]:
        connector = find_connector(card.access.connector)
        params = connector.Params.model_validate(dict(card.access.params))
        reason = connector.unavailable(params)
        if reason:
            faults.append(f"{card.id}: {reason}")
            continue
        try:
            pin = connector.resolve(params)
        except SourceError as error:
            faults.append(f"{card.id}: {error}")
            continue
        before = registry.pins.get(card.id)
        write_pin(card.id, pin, workspace.sources)
        same = before is not None and before.files == pin.files
        yield f"{card.id}: {pin.version} {'as before' if same else 'locked'}"
    if faults:
        raise SourceError(f"{len(faults)} sources could not be locked: " + "; ".join(faults))
