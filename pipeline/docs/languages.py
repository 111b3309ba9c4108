"""The tables of docs/language-id.md, out of what `phloem langid score --out` wrote."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from types import MappingProxyType

from phloem.catalog.advice import CHECKOUT
from phloem.catalog.plain import Json
from phloem.pipeline.docs.tables import Maker, table
from phloem.pipeline.langid.peers import PHLOEM
from phloem.pipeline.langid.scoring import INSUFFICIENT, NOT_ONE, SCORED, wilson
from phloem.pipeline.langid.tiers import CLEAN

SCORES = CHECKOUT / "docs" / "language-id.json"
LONG, SHORT = CLEAN.values()
HEAD = ("", "kB", "sources", "pieces", "precision", "recall", "F1")


@functools.cache
def scores() -> dict[str, Json]:
    """What was measured last."""
    value: dict[str, Json] = json.loads(SCORES.read_text("utf-8"))
    return value


def measured() -> str:
    """Which op was asked, and on which day."""
    found = scores()
    return f"Measured on {found['date']} with version {found['op']} of the op `language`."


def tiers_table() -> str:
    """Macro F1 of each tier by each tool, with its interval."""
    found = scores()["tiers"]
    tools = list(dict.fromkeys(row["tool"] for row in found))
    rows = []
    for tier in dict.fromkeys(row["tier"] for row in found):
        own = {row["tool"]: row for row in found if row["tier"] == tier}
        first = own[PHLOEM]
        cells = [_macro(own[tool]) for tool in tools]
        unknown = f"{first['und'] / first['pieces']:.1%}" if first["pieces"] else ""
        rows.append((tier, first["languages"], f"{first['pieces']:,}", *cells, unknown))
    head = ["tier", "languages", "pieces", *(f"`{tool}`" for tool in tools), "`und` by `phloem`"]
    return table(head, rows)


def peers_table() -> str:
    """Macro F1 beside each other tool, over the labels that both have."""
    found = scores()["peers"]
    if not found:
        return "No other tool was measured."
    tools = list(dict.fromkeys(row["beside"] for row in found))
    rows = []
    for tier in dict.fromkeys(row["tier"] for row in found):
        cells: list[object] = []
        for tool in tools:
            ours, theirs = (
                next(
                    row
                    for row in found
                    if (row["tier"], row["beside"], row["tool"]) == (tier, tool, name)
                )
                for name in (PHLOEM, tool)
            )
            cells += [ours["languages"], _macro(ours), _macro(theirs)]
        rows.append((tier, *cells))
    head = ["tier", *(cell for tool in tools for cell in ("labels", "`phloem`", tool))]
    return table(head, rows)


def languages_table(standing: str) -> str:
    """Each language of a standing: its text, and how it is told in pieces of both lengths."""
    long, short = (_rows(tier) for tier in (LONG, SHORT))
    rows = [
        (*_cells(row), _interval(short.get(language, {"f1": None})["f1"]), _called(row))
        for language, row in long.items()
        if row["standing"] == standing
    ]
    return table([*HEAD, "F1, 100", "called"], rows)


def one_source_table() -> str:
    """The languages that have the Declaration alone, told by models without its articles."""
    rows = [(*_cells(row), _called(row)) for row in scores().get("one source", ())]
    return table([*HEAD, "called"], rows) if rows else "Not measured."


def _cells(row: Mapping[str, Json]) -> tuple[object, ...]:
    return (
        f"`{row['language']}`",
        f"{row['bytes'] / 1e3:,.0f}",
        row["sources"],
        row["pieces"],
        _share(row["precision"]),
        _share(row["recall"]),
        _interval(row["f1"]),
    )


def _called(row: Mapping[str, Json]) -> str:
    return ", ".join(f"{other} {count}" for other, count in row["confused"].items())


def insufficient() -> str:
    """Languages of which there is too little independent text, as a line."""
    found = [
        f"`{language}` {row['bytes'] / 1e3:.1f}"
        for language, row in _rows(SHORT).items()
        if row["standing"] == INSUFFICIENT
    ]
    return f"Insufficient data, kB of independent text: {', '.join(found)}." if found else "None."


def cousins_tables() -> str:
    """How cousins are told, in percent of the pieces of each: of 300 characters, and of 100."""
    found = scores()["cousins"]
    long, short = found[f"{LONG}, {PHLOEM}"], found[f"{SHORT}, {PHLOEM}"]
    other = {tuple(each["group"]): each["rows"] for each in short}
    parts = []
    for each in long:
        group, answers = each["group"], [*each["group"], "other"]
        rows = []
        for language in group:
            own = each["rows"][language]
            less = other.get(tuple(group), {}).get(language, {})
            cells = [_percents(own, less, answer) for answer in answers]
            rows.append((f"`{language}`", sum(own.values()), *cells))
        parts.append(table(["", "pieces", *answers], rows))
    return "\n\n".join(parts)


def _percents(own: Mapping[str, int], less: Mapping[str, int], answer: str) -> str:
    shown = [
        f"{100 * row[answer] / sum(row.values()):.0f}" for row in (own, less) if sum(row.values())
    ]
    return "" if set(shown) == {"0"} else "; ".join(shown)


def _cards() -> dict[str, Json]:
    """What cards do, by tool, the op as it is now first."""
    found = scores()["cards"]
    return {tool: found[tool] for tool in sorted(found, key=lambda tool: tool != PHLOEM)}


def cards_summary() -> str:
    """What is kept under each kind of card, over all languages, with its interval, by tool."""
    found = _cards()
    kinds = list(
        dict.fromkeys(kind for own in found.values() for row in own for kind in row["right"])
    )
    rows = []
    for kind in kinds:
        cells: list[object] = []
        for own in found.values():
            asked = [row for row in own if kind in row["right"]]
            right, pieces = (
                sum(row["right"][kind] for row in asked),
                sum(row["pieces"] for row in asked),
            )
            share = wilson(right, pieces)
            less = sum(row["right"][kind] < row["pieces"] / 2 for row in asked)
            cells += [
                "" if share is None else f"{share.value:.1%} ({share.low:.1%}–{share.high:.1%})",
                less,
            ]
        rows.append((kind, f"{pieces:,}", *cells))
    head = ["card", "documents", *(cell for tool in found for cell in (f"`{tool}`", "< half"))]
    return table(head, rows)


def cards_table() -> str:
    """What is kept of each language under each kind of card, in percent, by tool."""
    found = _cards()
    tools = {tool: {row["language"]: row for row in own} for tool, own in found.items()}
    first = next(iter(tools.values()))
    kinds = list(dict.fromkeys(kind for row in first.values() for kind in row["right"]))
    rows = []
    for language, row in first.items():
        cells = [
            " ← ".join(_percent(own.get(language), kind) for own in tools.values())
            for kind in kinds
        ]
        rows.append((f"`{language}`", row["pieces"], *cells))
    return table(["", "documents", *kinds], rows)


def _percent(row: Mapping[str, Json] | None, kind: str) -> str:
    if row is None or kind not in row["right"]:
        return "–"
    return f"{100 * row['right'][kind] / row['pieces']:.0f}"


def _rows(tier: str) -> dict[str, Json]:
    (found,) = (
        row["rows"] for row in scores()["tiers"] if (row["tier"], row["tool"]) == (tier, PHLOEM)
    )
    return {row["language"]: row for row in found}


def _macro(row: Mapping[str, Json]) -> str:
    if row["macro F1"] is None:
        return "–"
    return f"{_share(row['macro F1'])} ({_share(row['low'])}–{_share(row['high'])})"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _interval(value: Mapping[str, float] | None) -> str:
    if value is None:
        return "–"
    return f"{_share(value['value'])} ({_share(value['low'])}–{_share(value['high'])})"


TABLES: Mapping[str, Maker] = MappingProxyType(
    {
        "language-measured": measured,
        "language-tiers": tiers_table,
        "language-peers": peers_table,
        "language-scored": lambda: languages_table(SCORED),
        "language-one-source": one_source_table,
        "language-none": lambda: languages_table(NOT_ONE),
        "language-insufficient": insufficient,
        "language-cousins": cousins_tables,
        "language-cards": cards_summary,
        "language-cards-by-language": cards_table,
    }
)
