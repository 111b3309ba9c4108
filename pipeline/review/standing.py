"""Which pins still stand: what is locked of sources, asked of their providers side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from phloem.pipeline.registry.registry import AskedError, Registry, card_of, params_of
from phloem.sources.cards.source import Source
from phloem.sources.clients.standing import Standing, State, standing
from phloem.sources.connector import SourceError, find_connector
from phloem.sources.spending import Allowance, at_most

AT_ONCE = 4  # connectors whose providers are asked at once; of each, one card after the other
WORST: tuple[State, ...] = ("vanished", "changed", "not asked", "newer", "ok")


@dataclass(frozen=True)
class Checked:
    """What became of what is locked of a source.

    Attributes:
        id: Of the card.
        version: That is locked.
        standing: What its provider says.
    """

    id: str
    version: str
    standing: Standing


def check(
    registry: Registry,
    asked: Sequence[str],
    allowance: Allowance,
    told: Callable[[int, int], None] = lambda *_: None,
) -> list[Checked]:
    """What became of the pins of sources, the worst first. Nothing is written.

    Args:
        registry: The cards, and what is locked of them.
        asked: Ids; all active cards that are locked if there are none.
        allowance: What asking for one card may take.
        told: Called with how many are done, and of how many.

    Raises AskedError for a card that there is not, or that is not locked.
    """
    named = asked or [id_ for id_, card in registry.cards.items() if card.status == "active"]
    cards = [card_of(registry, id_) for id_ in named]
    lacking = [card.id for card in cards if card.id not in registry.pins]
    if asked and lacking:
        msg = f"nothing is locked of {', '.join(lacking)}; `phloem sources lock {lacking[0]}`"
        raise AskedError(msg)
    locked = [card for card in cards if card.id in registry.pins]
    by_connector = sorted(locked, key=lambda card: card.access.connector)
    groups = [list(g) for _, g in groupby(by_connector, lambda card: card.access.connector)]
    found: list[Checked] = []

    def of_one_connector(group: Sequence[Source], folder: Path) -> None:
        folder.mkdir()
        for card in group:
            found.append(_checked(registry, card, folder, allowance))
            told(len(found), len(locked))

    with tempfile.TemporaryDirectory(prefix="phloem-") as name, ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [
            pool.submit(
                copy_context().run, of_one_connector, each, Path(name) / each[0].access.connector
            )
            for each in groups
        ]
        for future in waiting:
            future.result()
    return sorted(found, key=lambda each: (WORST.index(each.standing.state), each.id))


def _checked(registry: Registry, card: Source, folder: Path, allowance: Allowance) -> Checked:
    pin = registry.pins[card.id]
    try:
        connector = find_connector(card.access.connector)
        with at_most(allowance):
            became = standing(connector, params_of(connector, card), pin, folder)
    except SourceError as error:
        became = Standing("not asked", reason=str(error))
    return Checked(card.id, pin.version, became)
