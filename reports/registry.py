"""The registry as one page: how many sources, in which languages, and each card to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from phloem.catalog.bloom import ALSO, NATURAL, PROGRAMMING, in_language
from phloem.catalog.plain import Json
from phloem.reports.numerals import megabytes
from phloem.reports.page import environment, inline

PARTS = {
    "index": "readable with package indexes alone",
    "network": "readable with a network",
    "proposed": "proposed",
    "closed": "paused, withdrawn or unreadable",
}
"""What a card is counted under, and how it is said. The first two are the active ones."""

LITTLE_BYTES = 200_000  # of prose in a language: about half a novel


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
        text: Bytes that are kept of each language; None: not measured.
        is_whole: Whether all of it was measured.
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
    text: Mapping[str, int] | None = None
    is_whole: bool = True
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
    """How much text there is in a language, and how many cards.

    A text that two sources hold counts in both.

    Attributes:
        tag: BCP-47, or the name of a programming language.
        name: For a reader.
        also: Tags that are counted under it, besides those that begin with it.
        prose_bytes: Of sources that package indexes give, but those of interface texts.
        interface_bytes: Of their sources of interface texts.
        network_bytes: Of sources that need a network.
        unmeasured: Active sources whose text was not measured.
        active: Cards.
        proposed: Cards.
    """

    tag: str
    name: str
    active: int
    proposed: int
    also: tuple[str, ...] = ()
    prose_bytes: int = 0
    interface_bytes: int = 0
    network_bytes: int = 0
    unmeasured: int = 0


def parts(entries: Iterable[Entry]) -> dict[str, int]:
    """How many cards each of `PARTS` has."""
    counts = Counter(entry.part for entry in entries)
    return {part: counts[part] for part in PARTS}


def headline(entries: Sequence[Entry]) -> str:
    """The size of the registry as it is said everywhere, in its three parts."""
    counts = parts(entries)
    active = counts["index"] + counts["network"]
    return (
        f"{active} active sources{_never(entries)}: {counts['index']} readable on a machine that"
        f" reaches only package indexes, {counts['network']} more by anyone with a network;"
        f" {counts['proposed']} proposed"
    )


def never_fetched(entries: Iterable[Entry]) -> int:
    """How many active cards no machine was seen to fetch: what they say is what people read."""
    return sum(entry.is_active and not entry.fetched_on for entry in entries)


def _never(entries: Sequence[Entry]) -> str:
    count = never_fetched(entries)
    return f" ({count} of them never fetched yet)" if count else ""


def text_headline(entries: Sequence[Entry]) -> str:
    """How much text the registry holds in BLOOM's languages, as it is said everywhere."""
    found = natural_coverage(entries)
    prose = sum(each.prose_bytes for each in found if each.tag != "en")
    interface = sum(each.interface_bytes for each in found if each.tag != "en")
    little = sum(each.prose_bytes < LITTLE_BYTES for each in found)
    none = [each.name for each in found if not each.prose_bytes]
    lacking = f", {len(none)} of them none ({', '.join(none)})" if none else ""
    far = [each for each in entries if each.part == "network"]
    unmeasured = sum(each.text is None for each in far)
    return (
        f"Package indexes alone give {megabytes(prose)} MB of prose in BLOOM’s languages other than"
        f" English, and {megabytes(interface)} MB of interface texts: {little} of its {len(found)}"
        f" languages have less than {LITTLE_BYTES / 1e6:g} MB of prose{lacking}."
        f" What {unmeasured} of {len(far)} sources on the network hold was not measured"
    )


def natural_coverage(entries: Sequence[Entry]) -> list[Coverage]:
    """Text and cards in each of BLOOM's natural languages."""
    return [_natural(tag, name, entries) for tag, name in NATURAL.items()]


def _natural(tag: str, name: str, entries: Sequence[Entry]) -> Coverage:
    own = [each for each in entries if in_language(tag, each.languages)]
    sizes = {"prose": 0, "interface": 0, "network": 0}
    for each in own:
        if each.is_active:
            kind = "interface" if each.card["kind"] == "interface" else "prose"
            part = "network" if each.part == "network" else kind
            held = each.text or {}
            sizes[part] += sum(size for key, size in held.items() if in_language(tag, [key]))
    return replace(
        _coverage(tag, name, own),
        also=ALSO.get(tag, ()),
        prose_bytes=sizes["prose"],
        interface_bytes=sizes["interface"],
        network_bytes=sizes["network"],
        unmeasured=sum(each.is_active and each.text is None for each in own),
    )


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
        text_headline=text_headline(entries),
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
