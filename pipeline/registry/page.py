"""The registry as its page shows it: cards with what was locked, measured and approved."""

from __future__ import annotations

from collections.abc import Mapping

from phloem.catalog.licenses import obligations_of_card
from phloem.catalog.policy import approval_fault
from phloem.catalog.store import Store
from phloem.pipeline.registry.registry import Registry, reach_of, source_facts
from phloem.reports.registry import Entry, render_registry
from phloem.sources.cards.lock import Entry as Locked
from phloem.sources.cards.source import Source

NAME = "reports/registry/index.html"


def write_registry(store: Store, registry: Registry, locked: Mapping[str, Locked]) -> str:
    """Write the page into the root; returns its name there."""
    page = render_registry(entries(registry, locked))
    store.write_bytes(NAME, page.encode())
    return NAME


def entries(registry: Registry, locked: Mapping[str, Locked]) -> list[Entry]:
    """Every card of a registry, by id.

    Args:
        registry: Cards and approvals.
        locked: What the lock files hold, by source id.
    """
    return [_entry(registry, card, locked.get(card.id)) for card in registry.cards.values()]


def part_of(card: Source) -> str:
    """What a card is counted under: see `phloem.reports.registry.PARTS`."""
    if card.status != "active":
        return "proposed" if card.status == "proposed" else "closed"
    reach = reach_of(card)
    return "closed" if reach is None else "network" if reach == "network" else "index"


def _entry(registry: Registry, card: Source, locked: Locked | None) -> Entry:
    facts = source_facts(card, registry)
    terms = card.license
    return Entry(
        card=card.model_dump(mode="json"),
        part=part_of(card),
        obligations=tuple(
            sorted(obligations_of_card(terms.whole, facts["restrictions"], registry.license_refs))
        ),
        version=locked.pin.version if locked else "",
        files=len(locked.pin.files) if locked else 0,
        bytes=sum(file.bytes for file in locked.pin.files) if locked else 0,
        fetched_on=locked.fetched_on if locked else "",
        measured=locked.languages if locked else None,
        text=locked.text.bytes if locked and locked.text else None,
        is_whole=locked is None or locked.text is None or locked.text.is_whole,
        approved_by=facts["approval"]["by"] if approval_fault(facts) is None else "",
    )
