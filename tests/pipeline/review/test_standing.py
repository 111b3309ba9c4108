"""The pins of the registry, asked of the package indexes of this machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from phloem.pipeline.registry.registry import load_registry, reach_of
from phloem.pipeline.review.standing import WORST, check
from phloem.pipeline.workspace import Workspace
from phloem.sources.spending import Allowance

pytestmark = pytest.mark.nightly


def test_pins_of_package_indexes_still_stand(
    record_property: Callable[[str, object], None],
) -> None:
    registry = load_registry(Workspace())
    asked = [
        card.id
        for card in registry.cards.values()
        if card.status == "active" and card.id in registry.pins and reach_of(card) == "index"
    ]
    found = check(registry, asked, Allowance())
    counts: dict[str, Counter[str]] = {}
    for each in found:
        name = registry.cards[each.id].access.connector
        counts.setdefault(name, Counter())[each.standing.state] += 1
    rows = {name: {state: counts[name][state] for state in WORST} for name in sorted(counts)}
    fallen = {
        each.id: [each.version[:60], each.standing.reason]
        for each in found
        if each.standing.state in {"vanished", "changed"}
    }
    record_property("pins", json.dumps(rows))
    record_property("fallen", json.dumps(fallen))
    assert len(found) == len(asked)
    if not any(row["ok"] or row["newer"] for row in rows.values()):
        pytest.skip("no package index is reached from here")
    assert not fallen
