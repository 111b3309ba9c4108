"""The registry in numbers: its cards by everything that they can be counted by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

from phloem.catalog.bloom import NATURAL, PROGRAMMING, in_language
from phloem.catalog.plain import Json
from phloem.pipeline.registry.page import entries as entries_of
from phloem.pipeline.registry.registry import Registry
from phloem.reports.numerals import megabytes
from phloem.reports.registry import (
    PARTS,
    headline,
    natural_coverage,
    never_fetched,
    parts,
    text_headline,
)
from phloem.sources.cards.lock import Entry as Locked
from phloem.sources.cards.source import Source


def stats(registry: Registry, locked: Mapping[str, Locked]) -> dict[str, Json]:
    """Text by language of BLOOM, and cards by part of the headline, by status, kind and the like.

    A card counts once for each of its languages, and for a language of BLOOM by any of its tags.

    Args:
        registry: Whose cards are counted.
        locked: What the lock files hold, by source id.
    """
    cards = list(registry.cards.values())
    entries = entries_of(registry, locked)
    held = {entry.card["id"]: entry.part for entry in entries}

    def by(keys: Callable[[Source], Iterable[str]], order: Sequence[str] = ()) -> dict[str, Json]:
        counts: dict[str, Counter[str]] = {key: Counter() for key in order}
        for card in cards:
            for key in dict.fromkeys(keys(card)):
                counts.setdefault(key, Counter())[held[card.id]] += 1
        shown = order or sorted(counts, key=lambda key: (-counts[key].total(), key))
        return {key: {part: counts[key][part] for part in PARTS} for key in shown}

    return {
        "text_headline": text_headline(entries),
        "headline": headline(entries),
        "text": [asdict(each) for each in natural_coverage(entries)],
        "parts": parts(entries),
        "seen": {
            "fetched": sum(entry.is_active for entry in entries) - never_fetched(entries),
            "never": never_fetched(entries),
        },
        "status": dict(sorted(Counter(card.status for card in cards).items())),
        "kind": by(lambda card: [card.kind]),
        "connector": by(lambda card: [card.access.connector]),
        "license": by(lambda card: [card.license.spdx]),
        "language": by(lambda card: card.languages),
        "bloom": by(
            lambda card: [t for t in NATURAL if in_language(t, card.languages)], list(NATURAL)
        ),
        "programming": by(_programming, PROGRAMMING),
    }


TEXT_COLUMNS = (
    "language",
    "prose MB",
    "interface MB",
    "network MB",
    "active",
    "not measured",
    "proposed",
)


def text_rows(value: Mapping[str, Json]) -> list[dict[str, Json]]:
    """Text and cards of each of BLOOM's languages as rows, least prose first."""
    found = sorted(value["text"], key=lambda each: each["prose_bytes"])
    return [dict(zip(TEXT_COLUMNS, _row(each), strict=True)) for each in found]


def _row(found: Mapping[str, Json]) -> tuple[Json, ...]:
    return (
        f"{' '.join((found['tag'], *found['also']))} {found['name']}",
        megabytes(found["prose_bytes"]),
        megabytes(found["interface_bytes"]),
        megabytes(found["network_bytes"]) if found["network_bytes"] else "not measured",
        found["active"],
        found["unmeasured"],
        found["proposed"],
    )


def breadth(value: Mapping[str, Json]) -> str:
    """How many of BLOOM's languages have two active cards or more."""
    enough = {
        name: sum(counts["index"] + counts["network"] > 1 for counts in value[name].values())
        for name in ("bloom", "programming")
    }
    return (
        f"two active cards or more: {enough['bloom']} of BLOOM's {len(NATURAL)} natural languages,"
        f" {enough['programming']} of its {len(PROGRAMMING)} programming languages"
    )


def _programming(card: Source) -> list[str]:
    named = {domain.casefold() for domain in card.domains} if card.kind == "code" else set()
    return [name for name in PROGRAMMING if name in named]
