"""The approvals that there are, and whether each of them counts for its card as it stands."""

from __future__ import annotations

from typing import Literal

from phloem.catalog.plain import Json
from phloem.pipeline.registry.registry import Registry
from phloem.sources.cards.approvals import date_fault, signature_faults
from phloem.sources.cards.source import Approval, Source, card_hash
from phloem.sources.connector import Pin, pin_hash

State = Literal["approved", "stale", "unsigned", "expired", "refused"]
STATES: tuple[State, ...] = ("approved", "stale", "unsigned", "expired", "refused")


def approved(registry: Registry) -> list[dict[str, Json]]:
    """A row for each approval: card, state, by whom, role, date, what of the pin, and why.

    ``approved``: it counts for the card as it stands. ``stale``: the card has changed since, or is
    gone. ``unsigned``: nobody signed it. ``expired``: its key was not valid on its day.
    ``refused``: its signature or day does not count for another reason, which `why` tells.
    `pin` says whether it binds what is locked: ``bound``, ``changed`` since, or ``free``: any.
    """
    faults = signature_faults(registry.approvals, registry.signers)
    return [
        _row(approval, registry.cards.get(source), registry.pins.get(source), faults.get(source))
        for source, approval in registry.approvals.items()
    ]


def _row(
    approval: Approval, card: Source | None, pin: Pin | None, fault: str | None
) -> dict[str, Json]:
    state, why = _state(approval, card, fault)
    return {
        "card": approval.source,
        "state": state,
        "by": approval.signed_by,
        "role": approval.role,
        "date": approval.date.isoformat(),
        "pin": _binds(approval, pin),
        "why": why,
    }


def _state(approval: Approval, card: Source | None, fault: str | None) -> tuple[State, str | None]:
    if not approval.signed_by or not approval.signature:
        return "unsigned", "nobody signed it"
    if fault:
        is_old = "no longer valid" in fault or "not yet valid" in fault
        return ("expired" if is_old else "refused"), fault
    wrong_day = date_fault(approval, card)
    if wrong_day:
        return "refused", wrong_day
    if card is None:
        return "stale", "there is no such card"
    if approval.card != card_hash(card):
        return "stale", "its card has changed since"
    return "approved", None


def _binds(approval: Approval, pin: Pin | None) -> str:
    if approval.pin is None:
        return "free"
    return "bound" if pin and approval.pin == pin_hash(pin) else "changed"
