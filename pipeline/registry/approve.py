"""Approving a card: signed as it stands, and kept where its registry keeps approvals."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from phloem.catalog.errors import UseError
from phloem.pipeline.registry.registry import Registry, card_of, load_registry
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards.approvals import (
    SIGNERS,
    approvals_folder,
    date_fault,
    sign,
    write_approval,
)
from phloem.sources.cards.source import Approval, Source, card_files, card_hash, describe
from phloem.sources.connector import Pin, pin_hash


def approve(
    workspace: Workspace, source: str, key: Path, *, role: str, basis: str, day: str
) -> tuple[Path, Approval, Approval | None]:
    """Sign a card as it stands, at what is locked of it, and write the approval beside it.

    Args:
        workspace: Whose cards there are too.
        source: The card's id.
        key: What signs, as for `sign`.
        role: In which somebody answers for it.
        basis: What the decision rests on.
        day: Of the decision, ISO 8601; today if empty.

    Returns:
        Where the approval lies, what it says, and in whose place it stands, if any was there.

    Raises:
        AskedError: there is no such card.
        UseError: something that is to be signed cannot be said so.
        SigningError: the key may not sign it.
    """
    registry = load_registry(workspace)
    card = card_of(registry, source)
    folder = _folder(source, registry, workspace)
    said = _said(card, registry.pins.get(source), role, basis, day)
    signed = sign(said, key, folder / SIGNERS)
    return write_approval(signed, folder), signed, registry.approvals.get(source)


def _said(card: Source, pin: Pin | None, role: str, basis: str, day: str) -> Approval:
    """What is to be signed. Raises UseError listing every fault."""
    given = {
        "source": card.id,
        "card": card_hash(card),
        "pin": pin_hash(pin) if pin else None,
        "role": role,
        "date": day or datetime.now(UTC).date().isoformat(),
        "basis": basis,
    }
    try:
        approval = Approval.model_validate(given)
    except ValidationError as error:
        raise UseError("; ".join(f"--{text}" for text in describe(Approval, error))) from None
    fault = date_fault(approval, card)
    if fault:
        raise UseError(f"the approval would not count: {fault}")
    return approval


def _folder(source: str, registry: Registry, workspace: Workspace) -> Path:
    """Where a source's approval lies or is to lie: a team keeps its own in its workspace."""
    if source in registry.signers:
        return registry.signers[source].parent
    folder = next(p.parent for p in card_files(workspace.sources) if p.stem == source)
    if folder in workspace.sources:
        return folder / "approvals"
    return workspace.sources[0] / "approvals" if workspace.sources else approvals_folder()
