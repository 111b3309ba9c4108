"""The tables of docs/fairness.md: what rules drop of sound prose, by language, and of rubbish."""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from phloem.catalog.advice import CHECKOUT
from phloem.catalog.plain import Json
from phloem.pipeline.docs.tables import Maker, table
from phloem.pipeline.langid.scoring import wilson
from phloem.pipeline.thresholds.measured import CHOSEN_ON, OTHERS, RUBBISH
from phloem.pipeline.thresholds.reference import LENGTHS

DOCS = CHECKOUT / "docs"
NOW, BEFORE = "fairness.json", "fairness-before.json"

Rows = list[dict[str, Json]]


@functools.cache
def _rows(name: str, of: str) -> Rows:
    value = json.loads((DOCS / name).read_text(encoding="utf-8"))
    return [row for row in value["rows"] if row["of"] == of]


def _share(rows: Rows) -> str:
    texts, dropped = (sum(row[key] for row in rows) for key in ("texts", "dropped"))
    return f"{dropped / texts:.1%}" if texts else ""


def overall_table() -> str:
    """All languages together, before and now."""
    rows = []
    for of in (CHOSEN_ON, OTHERS):
        for words in LENGTHS:
            each = {
                name: [row for row in _rows(name, of) if row["words"] == words]
                for name in (BEFORE, NOW)
            }
            over = {
                name: sum(row["dropped"] > 0.03 * row["texts"] for row in own)
                for name, own in each.items()
            }
            told = [f"{_share(own)}, {over[name]} over 3 %" for name, own in each.items()]
            texts = sum(row["texts"] for row in each[NOW])
            rows.append((of, words, len(each[NOW]), f"{texts:,}", *told))
    return table(["sources", "words", "languages", "pieces", "before", "now"], rows)


def rubbish_table() -> str:
    """Each kind of rubbish, before and now, with the rules that find it."""
    before = {row["group"]: row for row in _rows(BEFORE, RUBBISH)}
    rows = [
        (
            row["group"],
            row["texts"],
            _share([before[row["group"]]]),
            _share([row]),
            ", ".join(f"`{rule}`" for rule in list(row["rules"])[:3]),
        )
        for row in _rows(NOW, RUBBISH)
    ]
    every = (_share(_rows(BEFORE, RUBBISH)), _share(_rows(NOW, RUBBISH)))
    texts = sum(row["texts"] for row in _rows(NOW, RUBBISH))
    return table(
        ["kind", "texts", "before", "now", "found by"], [*rows, ("all", texts, *every, "")]
    )


def languages_table() -> str:
    """Each language, pieces of 100 words: of the sources that were chosen on, and of others."""
    found: dict[str, dict[tuple[str, str], Mapping[str, Json]]] = defaultdict(dict)
    for name in (BEFORE, NOW):
        for of in (CHOSEN_ON, OTHERS):
            for row in _rows(name, of):
                if row["words"] == LENGTHS[1]:
                    found[row["group"]][of, name] = row
    rows = []
    for tag, own in sorted(found.items()):
        cells = []
        for of in (CHOSEN_ON, OTHERS):
            now = own.get((of, NOW))
            before = own.get((of, BEFORE))
            cells += [
                now["texts"] if now else "",
                _share([dict(before)]) if before else "",
                _interval(now) if now else "",
            ]
        rules: Counter[str] = Counter()
        for (_, name), each in own.items():
            if name == NOW:
                rules.update(each["rules"])
        rows.append((f"`{tag}`", *cells, ", ".join(f"`{r}`" for r, _ in rules.most_common(2))))
    head = ["", "pieces", "before", "now", "others: pieces", "before", "now", "dropped by"]
    return table(head, rows)


def _interval(row: Mapping[str, Json]) -> str:
    found = wilson(row["dropped"], row["texts"])
    return f"{found.value:.1%} ({found.low:.1%}–{found.high:.1%})" if found else ""


TABLES: Mapping[str, Maker] = MappingProxyType(
    {
        "fairness-overall": overall_table,
        "fairness-rubbish": rubbish_table,
        "fairness-languages": languages_table,
    }
)
