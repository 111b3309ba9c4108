"""The registry as a run sees it: cards, locks and approvals of the project and of a workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.catalog.policy import LOCAL
from phloem.catalog.tags import TagError, canonical
from phloem.catalog.withheld import masked, strings_in
from phloem.filters.op import ops
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards.approvals import date_fault, signature_fault, signers_of
from phloem.sources.cards.lint import Finding, lint
from phloem.sources.cards.lock import pins
from phloem.sources.cards.source import (
    Approval,
    Source,
    approvals,
    card_hash,
    describe,
    license_refs,
    local_card,
    own_ids,
    sources,
)
from phloem.sources.connector import (
    Connector,
    Pin,
    Reach,
    SourceError,
    Strict,
    WrongError,
    connectors,
    find_connector,
    pin_hash,
    require_open,
)
from phloem.sources.formats.formats import KNOWN


class AskedError(SourceError, UseError):
    """A source or a file that somebody asked for is not there: the message says what is."""


@dataclass(frozen=True)
class Registry:
    """The sources that there are, and what people and machines said of them.

    Attributes:
        cards: By id.
        pins: What the lock files say each holds.
        approvals: By id.
        signers: The file of keys that each approval is verified with, by id.
        license_refs: Obligations of each LicenseRef.
        own: Ids of the cards that are a user's own: of a workspace, or made of their words. All
            others are the registry's, where strangers propose what is read.
    """

    cards: Mapping[str, Source]
    pins: Mapping[str, Pin]
    approvals: Mapping[str, Approval]
    signers: Mapping[str, Path]
    license_refs: Mapping[str, Sequence[str]]
    own: Collection[str] = ()


def load_registry(workspace: Workspace) -> Registry:
    """Every card, pin, approval and known LicenseRef. Raises SourceError listing every fault."""
    refs = {name: tuple(entry["obligations"]) for name, entry in license_refs().items()}
    return Registry(
        cards=sources(workspace.sources),
        pins=pins(workspace.sources),
        approvals=approvals(workspace.sources),
        signers=signers_of(workspace.sources),
        license_refs=refs,
        own=own_ids(workspace.sources),
    )


def local_registry(
    registry: Registry,
    path: str | Sequence[str],
    text_column: str,
    language: str,
    file_format: str | None = None,
) -> Registry:
    """The registry with the ephemeral card of a user's own files, locked as they are now.

    Raises AskedError if there are no such files, their URL holds a secret, there is no such format,
    or the language is no BCP-47 tag.
    """
    for each in [path] if isinstance(path, str) else path:
        if not each:
            raise AskedError("--input is empty; give a path, glob or URL")
        if masked(each) != each:
            msg = (
                f"--input {masked(each)} holds a password or a token, which the run's record would"
                " keep; leave it out and give it by the environment, or fetch the file first"
            )
            raise AskedError(msg)
    try:
        language = canonical(language)
    except TagError as error:
        raise AskedError(f"--language: {error}; und: nobody knows") from None
    if file_format is not None and file_format not in KNOWN:
        raise AskedError(f"--format: {file_format!r} is none; {nearest(file_format, KNOWN)}")
    card = local_card(path, text_column=text_column, languages=(language,), file_format=file_format)
    connector = find_connector(card.access.connector)
    try:
        params = params_of(connector, card)
        require_open(connector, params, is_own=True)
        pin = connector.resolve(params)
    except SourceError as error:
        raise AskedError(f"--input: {error}") from None
    return replace(
        registry,
        cards={**registry.cards, LOCAL: card},
        pins={**registry.pins, LOCAL: pin},
        own={*registry.own, LOCAL},
    )


def card_of(registry: Registry, source: str) -> Source:
    """A card by id. Raises AskedError with the nearest one."""
    if source not in registry.cards:
        msg = f"no source named {source!r}; {nearest(source, registry.cards)}"
        raise AskedError(msg)
    return registry.cards[source]


def params_of(connector: Connector, card: Source) -> Strict:
    """What a card gives its connector. Raises WrongError listing every fault."""
    if any(masked(text) != text for text in strings_in(card.access.params)):
        msg = "access.params hold a password or a token, which records would keep; leave it out"
        raise WrongError(msg)
    try:
        return connector.Params.model_validate(dict(card.access.params))
    except ValidationError as error:
        faults = "; ".join(describe(connector.Params, error))
        msg = f"the card's access.params do not suit {card.access.connector}: {faults}"
        raise WrongError(msg) from None


def reach_of(card: Source) -> Reach | None:
    """What a machine needs to have a card's bytes; None if its connector cannot read it at all."""
    try:
        connector = find_connector(card.access.connector)
        return connector.reach(params_of(connector, card))
    except SourceError:
        return None


def source_facts(card: Source, registry: Registry) -> dict[str, Json]:
    """What the run record and the policy know of a source."""
    pin = registry.pins.get(card.id)
    return {
        "name": card.name,
        "summary": card.summary,
        "kind": card.kind,
        "languages": list(card.languages),
        "license": card.license.whole,
        "restrictions": card.license.restrictions.model_dump(),
        "attribution": card.license.attribution,
        "homepage": card.homepage,
        "custodian": card.custodian,
        "status": card.status,
        "evidence": card.evidence,
        "card": card_hash(card),
        "pin": pin_hash(pin) if pin else None,
        "version": pin.version if pin else None,
        "files": [asdict(file) for file in pin.files] if pin else [],
        "approval": _approval_facts(registry, card.id),
    }


def _approval_facts(registry: Registry, source: str) -> dict[str, Json] | None:
    """An approval as it was written, whether its signature was verified, and whose it is."""
    approval = registry.approvals.get(source)
    if approval is None:
        return None
    fault = signature_fault(approval, registry.signers[source]) or date_fault(
        approval, registry.cards.get(source)
    )
    verified = fault is None
    return {
        **approval.model_dump(mode="json"),
        "verified": verified,
        "by": approval.signed_by if verified else None,
        "fault": fault,
    }


def lint_all(workspace: Workspace) -> list[Finding]:
    """All faults and hints of all cards."""
    return lint(workspace.sources, op_names=list(ops(workspace.ops)), connector_names=connectors())
