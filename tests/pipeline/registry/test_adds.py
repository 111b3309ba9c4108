"""What a source adds by language, beside what the lock has of all others."""

from __future__ import annotations

from collections.abc import Mapping

from phloem.pipeline.registry.adds import BYTES_A_TOKEN, adds
from phloem.sources.cards.lock import Entry, Text
from phloem.sources.cards.source import local_card
from phloem.sources.connector import Pin


def entry(sizes: Mapping[str, int] | None) -> Entry:
    text = None if sizes is None else Text(sizes, is_whole=True)
    return Entry(Pin("1", ()), "2026-01-31", text=text)


def test_adds_stand_beside_what_other_active_sources_hold() -> None:
    card = local_card("a.txt")
    statuses = {"new": "proposed", "old": "active", "older": "active", "away": "paused"}
    cards = {id_: card.model_copy(update={"id": id_, "status": s}) for id_, s in statuses.items()}
    entries = {
        "new": entry({"sw": 470, "ha": 4_700}),
        "old": entry({"sw": 1_000, "en": 9}),
        "older": entry({"sw": 30}),
        "away": entry({"ha": 7}),
        "unmeasured": entry(None),
    }
    assert adds("new", cards, entries) == [
        {"language": "ha", "tokens": round(4_700 / BYTES_A_TOKEN), "bytes": 4_700, "others": 0},
        {"language": "sw", "tokens": round(470 / BYTES_A_TOKEN), "bytes": 470, "others": 1_030},
    ]
    assert adds("old", cards, entries) == [
        {"language": "sw", "tokens": round(1_000 / BYTES_A_TOKEN), "bytes": 1_000, "others": 30},
        {"language": "en", "tokens": round(9 / BYTES_A_TOKEN), "bytes": 9, "others": 0},
    ]
    assert adds("unmeasured", cards, entries) is None
    assert adds("never-locked", cards, entries) is None
