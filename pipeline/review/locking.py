"""Locking: what each source holds now, as its provider serves it, and how much text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import FETCHED, FetchError, keep_file
from phloem.pipeline.registry.registry import Registry, card_of, load_registry, params_of
from phloem.pipeline.review.sample import measured_text
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards.lock import Text, locked, write_pin
from phloem.sources.cards.source import Source
from phloem.sources.connector import Pin, SourceError, find_connector, foreign, refuse, require_open
from phloem.sources.keeping import keeping
from phloem.sources.spending import Allowance, at_most


def lock(
    workspace: Workspace,
    asked: Sequence[str],
    store: Store | None = None,
    allowance: Allowance | None = None,
) -> Iterator[str]:
    """Lock sources as their providers serve them now; yields a line for each.

    Args:
        workspace: Whose cards there are too.
        asked: Ids; all active cards if there are none.
        store: The root that what is brought to be hashed stays in, for whoever reads it next, and
            that text is measured in; None: neither.
        allowance: What fetching for one card may take; None: as much as it may by default.

    Raises:
        AskedError: a source is not known; none is locked.
        SourceError: at the end, listing all that could not be locked.
    """
    allowance = allowance or Allowance()
    registry = load_registry(workspace)
    active = [card.id for card in registry.cards.values() if card.status == "active"]
    cards = [card_of(registry, source) for source in asked or active]
    entries = locked(workspace.sources)
    faults = []
    for card in cards:
        try:
            kept = keeping(partial(_keep, store)) if store else nullcontext()
            with at_most(allowance), kept:
                pin = _resolved(card, is_own=card.id in registry.own)
        except SourceError as error:
            faults.append(f"{card.id}: {error}")
            continue
        before = entries.get(card.id)
        same = before is not None and before.pin.files == pin.files
        languages, text = (before.languages, before.text) if before and same else (None, None)
        if store is not None and (text is None or text.repeated is None):
            with at_most(allowance):
                shares, text = _text(store, registry, workspace, card, pin)
            languages = languages or shares
        write_pin(card.id, pin, workspace.sources, languages=languages, text=text)
        yield f"{card.id}: {pin.version} {'as before' if same else 'locked'}"
    if faults:
        asked_for = f"{len(faults)} of {len(cards)} sources"
        raise SourceError(f"{asked_for} could not be locked: " + "; ".join(faults))


def _text(
    store: Store, registry: Registry, workspace: Workspace, card: Source, pin: Pin
) -> tuple[dict[str, float] | None, Text | None]:
    """What is measured of a source; nothing where it cannot be read, as a run will say."""
    try:
        return measured_text(store, registry, workspace, card, pin)
    except (FetchError, SourceError):
        return None, None


def _keep(store: Store, path: Path, sha256: str) -> None:
    if not store.exists(f"{FETCHED}/{sha256}"):
        keep_file(store, path, sha256)


def _resolved(card: Source, *, is_own: bool) -> Pin:
    connector = find_connector(card.access.connector)
    params = params_of(connector, card)
    require_open(connector, params, is_own=is_own)
    reason = connector.unavailable(params)
    if reason:
        raise SourceError(reason)
    pin = connector.resolve(params)
    refuse(foreign(connector, params, pin))
    return pin
