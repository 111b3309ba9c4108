"""The registry as one page: how many sources, in which languages, and each card to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from phloem.catalog.bloom import NATURAL, PROGRAMMING, in_language
from phloem.catalog.plain import Json
from phloem.reports.page import environment, inline

PARTS = {
    "index": "readable with package indexes alone",
    "network": "readable with a network",
    "proposed": "proposed",
    "closed": "paused, withdrawn or unreadable",
}
"""What a card is counted under, and how it is said. The first two are the active ones."""


@dataclass(frozen=True)
class Entry:
    """A card, and what machines and people added to it.

    Attributes:
        card: All its fields, as plain data.
        part: Of `PARTS`.
        obligations: What its licence asks for.
        version: That is locked; empty if nothing is.
        files: Locked files.
        bytes: Their size together.
        fetched_on: ISO 8601 date on which it was locked.
        measured: Share of each language that a machine found in it.
        approved_by: Who signed an approval that still holds; empty if nobody.
    """

    card: Mapping[str, Json]
    part: str
    obligations: tuple[str, ...] = ()
    version: str = ""
    files: int = 0
    bytes: int = 0
    fetched_on: str = ""
    measured: Mapping[str, float] | None = None
    approved_by: str = ""

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags that the card declares."""
        return tuple(self.card["languages"])

    @property
    def is_active(self) -> bool:
        """Whether a run may read it."""
        return self.part in ("index", "network")

    @property
    def searched(self) -> str:
        """What a search looks in, in lower case."""
        words = (self.card[field] or "" for field in ("id", "name", "summary", "custodian"))
        return " ".join(" ".join(words).split()).lower()


@dataclass(frozen=True)
class Coverage:
    """How many cards there are in a language."""

    tag: str
    name: str
    active: int
    proposed: int


def parts(entries: Iterable[Entry]) -> dict[str, int]:
    """How many cards each of `PARTS` has."""
    counts = Counter(entry.part for entry in entries)
    return {part: counts[part] for part in PARTS}


def headline(entries: Sequence[Entry]) -> str:
    """The size of the registry as it is said everywhere, in its three parts."""
    counts = parts(entries)
    active = counts["index"] + counts["network"]
    return (
        f"{active} active sources: {counts['index']} readable on a machine that reaches only"
        f" package indexes, {counts['network']} more by anyone with a network;"
        f" {counts['proposed']} proposed"
    )


def natural_coverage(entries: Sequence[Entry]) -> list[Coverage]:
    """Cards in each of BLOOM's natural languages."""
    return [
        _coverage(tag, name, [each for each in entries if in_language(tag, each.languages)])
        for tag, name in NATURAL.items()
    ]


def programming_coverage(entries: Sequence[Entry]) -> list[Coverage]:
    """Cards of code in each of BLOOM's programming languages."""
    code = [entry for entry in entries if entry.card["kind"] == "code"]
    return [
        _coverage(name, name, [each for each in code if name in each.card["domains"]])
        for name in PROGRAMMING
    ]


def other_coverage(entries: Sequence[Entry]) -> list[Coverage]:
    """Cards in every other language that a card declares, most first."""
    tags = {tag for entry in entries for tag in entry.languages}
    own = {tag for tag in tags if any(in_language(name, [tag]) for name in NATURAL)}
    others = tags - own - {"zxx"}
    found = [_coverage(tag, tag, [e for e in entries if tag in e.languages]) for tag in others]
    return sorted(found, key=lambda each: (-each.active, -each.proposed, each.tag))


def _coverage(tag: str, name: str, entries: Sequence[Entry]) -> Coverage:
    active = sum(entry.is_active for entry in entries)
    proposed = sum(entry.part == "proposed" for entry in entries)
    return Coverage(tag, name, active, proposed)


def choices(entries: Sequence[Entry]) -> dict[str, list[tuple[str, int]]]:
    """The values that each filter offers, with their number of cards."""
    licenses = Counter(entry.card["license"]["spdx"] for entry in entries)
    kinds = Counter(entry.card["kind"] for entry in entries)
    languages = Counter(tag for entry in entries for tag in set(entry.languages))
    return {
        "language": sorted(languages.items()),
        "kind": sorted(kinds.items()),
        "license": sorted(licenses.items(), key=lambda each: (-each[1], each[0])),
        "status": [(part, count) for part, count in parts(entries).items() if count],
    }


def render_registry(entries: Sequence[Entry]) -> str:
    """The page as HTML text: it loads nothing; its one script only hides cards."""
    templates = environment()
    style, style_hash = inline(templates, "style.css", "registry.css")
    script, script_hash = inline(templates, "registry.js")
    return templates.get_template("registry.html").render(
        entries=sorted(entries, key=lambda entry: entry.card["id"]),
        headline=headline(entries),
        natural=natural_coverage(entries),
        programming=programming_coverage(entries),
        others=other_coverage(entries),
        choices=choices(entries),
        names=NATURAL,
        parts=PARTS,
        style=style,
        style_hash=style_hash,
        script=script,
        script_hash=script_hash,
    )
