"""The registry in numbers: its cards by everything that they can be counted by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from phloem.catalog.bloom import NATURAL, PROGRAMMING, in_language
from phloem.catalog.plain import Json
from phloem.pipeline.registry.page import part_of
from phloem.reports.registry import PARTS, Entry, headline, parts
from phloem.sources.cards.source import Source


def stats(cards: Sequence[Source]) -> dict[str, Json]:
    """Cards by part of the headline, and of each part by status, kind, licence and the like.

    A card counts once for each of its languages, and for a language of BLOOM by any of its tags.
    """
    entries = [Entry(card=card.model_dump(mode="json"), part=part_of(card)) for card in cards]
    held = {entry.card["id"]: entry.part for entry in entries}

    def by(keys: Callable[[Source], Iterable[str]], order: Sequence[str] = ()) -> dict[str, Json]:
        counts: dict[str, Counter[str]] = {key: Counter() for key in order}
        for card in cards:
            for key in dict.fromkeys(keys(card)):
                counts.setdefault(key, Counter())[held[card.id]] += 1
        shown = order or sorted(counts, key=lambda key: (-counts[key].total(), key))
        return {key: {part: counts[key][part] for part in PARTS} for key in shown}

    return {
        "headline": headline(entries),
        "parts": parts(entries),
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
