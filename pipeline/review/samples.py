"""Samples of several cards, one after the other, while clients fetch ahead for those to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from phloem.catalog.errors import PhloemError
from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import CLIENTS, readings
from phloem.pipeline.registry.registry import Registry, params_of, reach_of
from phloem.pipeline.review.sample import NEAR, sample
from phloem.pipeline.workspace import Workspace
from phloem.reports.source_sample import SourceSample
from phloem.sources.cards.source import Source
from phloem.sources.connector import find_connector
from phloem.sources.spending import Allowance, at_most

Told = Callable[[str], None]


def available(registry: Registry) -> list[Source]:
    """The active cards whose bytes this machine can have without the open network."""
    found = []
    for card in registry.cards.values():
        if card.status == "active" and reach_of(card) in NEAR:
            connector = find_connector(card.access.connector)
            if connector.unavailable(params_of(connector, card)) is None:
                found.append(card)
    return found


def samples(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    cards: Sequence[Source],
    *,
    documents: int,
    allowance: Allowance,
    told: Told,
) -> Iterator[tuple[Source, SourceSample | str]]:
    """A sample of each card, or why there is none: what one card does stops no other.

    Args:
        store: The root, which the sources' files come into.
        registry: Where the cards' lock entries stand.
        workspace: Whose ops the cards may name.
        cards: Active or not.
        documents: About how many of each.
        allowance: What fetching for one card may take.
        told: Called with a line for a person when something is fetched.
    """
    with ThreadPoolExecutor(CLIENTS) as pool:
        ahead = [pool.submit(_fetched, store, registry, card, allowance, told) for card in cards]
        for card, fetched in zip(cards, ahead, strict=True):
            reason = fetched.result()
            if reason:
                yield card, reason
                continue
            try:
                made = sample(store, registry, workspace, card, documents=documents, told=told)
            except Exception as error:  # noqa: BLE001 - what one card does stops no other
                yield card, f"{type(error).__name__}: {error}"
            else:
                yield card, made


def _fetched(
    store: Store, registry: Registry, card: Source, allowance: Allowance, told: Told
) -> str | None:
    """Why a card's files cannot be had; None once the root holds them."""
    try:
        with at_most(allowance):
            readings(
                store, [card], registry.pins, own=registry.own, skip_unavailable=False, told=told
            )
    except (PhloemError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - what one card does stops no other
        return f"{type(error).__name__}: {error}"
    return None
