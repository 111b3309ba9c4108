"""The page of the registry: its numbers, its safety with hostile cards, and its filters."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from outside import require

from phloem.catalog.bloom import NATURAL
from phloem.reports.page import csp_hash
from phloem.reports.registry import (
    Entry,
    headline,
    natural_coverage,
    never_fetched,
    other_coverage,
    programming_coverage,
    render_registry,
    text_headline,
)

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def card(id_: str, languages: tuple[str, ...] = ("sw",), **changes: Any) -> dict[str, Any]:
    """A card as plain data, all fields there."""
    restrictions = dict.fromkeys(("commercial", "derivatives", "ai_training"), "allowed")
    none = dict.fromkeys(
        "category collection contact nominated_by editorial period risks limits reason".split()
    )
    return {
        **none,
        "id": id_,
        "name": f"The {id_}",
        "summary": "حكايات, कहानियाँ and 故事 👋🏽 of the coast.",
        "homepage": "https://example.org/",
        "kind": "literature",
        "languages": list(languages),
        "scripts": [],
        "domains": [],
        "region": [],
        "synthetic": "no",
        "license": {
            **dict.fromkeys(
                ("collection", "evidence", "place", "checked_on", "checked_by", "attribution")
            ),
            "spdx": "CC-BY-4.0",
            "restrictions": {**restrictions, "share_alike": "none"},
        },
        "opt_out": [],
        "access": {"connector": "files", "params": {}},
        "custodian": "Nobody",
        "personal_data": {"level": "none", "note": None, "special": "none"},
        "unknown": {},
        **changes,
    }


ENTRIES = [
    Entry(
        card("tales", ("sw", "fr-CA")),
        "index",
        ("attribution",),
        "1.2",
        3,
        2_000_000,
        "2026-01-31",
        {"sw": 0.9, "fr": 0.1},
    ),
    Entry(card("shi", ("zh",)), "network"),
    Entry(card("laws", ("de",), kind="legal", reason="The terms were not read."), "proposed"),
    Entry(card("gone"), "closed"),
    Entry(card("tools", ("zxx",), kind="code", domains=["c++"]), "index"),
]


def test_headline_counts_three_parts() -> None:
    assert headline(ENTRIES) == (
        "3 active sources (2 of them never fetched yet): 2 readable on a machine that"
        " reaches only package indexes, 1 more by anyone with a network; 1 proposed"
    )


def test_headline_says_how_many_were_never_fetched() -> None:
    seen = [replace(entry, fetched_on="2026-11-25") for entry in ENTRIES]
    assert "never" not in headline(seen)
    assert never_fetched(seen) == 0
    assert never_fetched(ENTRIES) == 2  # of the active ones
    unseen = [entry for entry in ENTRIES if not entry.version]
    assert render_registry(ENTRIES).count("no machine was seen to bring it") == len(unseen)


def test_text_counts_prose_interface_and_network_apart() -> None:
    def entry(id_: str, languages: tuple[str, ...], text: Any, **more: Any) -> Entry:
        kind = more.pop("kind", "literature")
        return Entry(card(id_, languages, kind=kind), more.pop("part", "index"), text=text)

    found = {
        each.tag: each
        for each in natural_coverage(
            [
                entry("prose", ("sw", "ki"), {"sw": 1_000, "sw-KE": 10, "en": 7, "ki": 0}),
                entry("menus", ("sw",), {"sw": 200}, kind="interface"),
                entry("far", ("sw",), {"sw": 4_000}, part="network"),
                entry("unread", ("sw",), None, part="network"),
                entry("wanted", ("sw",), {"sw": 50_000}, part="proposed"),
                entry("twi", ("tw",), {"tw": 30}),
            ]
        )
    }
    swahili = found["sw"]
    assert (swahili.prose_bytes, swahili.interface_bytes, swahili.network_bytes) == (
        1010,
        200,
        4000,
    )
    assert (swahili.active, swahili.unmeasured, swahili.proposed) == (4, 1, 1)
    assert found["en"].prose_bytes == 0  # nobody declared it
    assert (found["ki"].prose_bytes, found["ki"].active) == (0, 1)
    assert (found["ak"].prose_bytes, found["ak"].also) == (30, ("fat", "tw"))


def test_text_headline_names_what_has_none_and_what_was_not_measured() -> None:
    entries = [
        Entry(card("prose", tuple(NATURAL)), "index", text=dict.fromkeys(NATURAL, 1_000_000)),
        Entry(card("menus", ("fr",), kind="interface"), "index", text={"fr": 500_000}),
        Entry(card("far"), "network"),
    ]
    told = text_headline(entries)
    assert "give 46.0 MB of prose" in told  # Twi counts as Akan too
    assert "0.500 MB of interface texts: 0 of its 46 languages have less" in told
    assert told.endswith("What 1 of 1 sources on the network hold was not measured")
    assert "46 of them none (Akan" in text_headline(entries[1:])


def test_coverage_counts_regions_and_both_chinese_scripts() -> None:
    counts = {each.tag: each.active for each in natural_coverage(ENTRIES) if each.active}
    assert counts == {"sw": 1, "fr": 1, "zh-Hans": 1, "zh-Hant": 1}
    assert len(natural_coverage(ENTRIES)) == 46
    code = {each.name: each.active for each in programming_coverage(ENTRIES)}
    assert (len(code), code["c++"], code["c"]) == (13, 1, 0)
    (other,) = other_coverage(ENTRIES)
    assert (other.tag, other.active, other.proposed) == ("de", 0, 1)


def test_page_of_a_hostile_card_holds_no_tag_of_its() -> None:
    fields = ("name", "summary", "limits", "reason", "custodian", "contact", "kind")
    hostile = card("evil", **dict.fromkeys(fields, HOSTILE), languages=[HOSTILE])
    hostile["license"] |= {"spdx": HOSTILE, "evidence": HOSTILE, "place": HOSTILE}
    hostile["unknown"] = {HOSTILE: HOSTILE}
    page = render_registry([Entry(hostile, "proposed")])
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "onerror=alert(1)>" not in page.replace("onerror=alert(1)&gt;", "")


def test_page_allows_its_own_script_and_style_alone() -> None:
    page = render_registry(ENTRIES)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert f"script-src '{csp_hash(script)}'" in policy
    assert f"style-src '{csp_hash(style)}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "https://" not in re.sub(r"<dd dir=\"auto\">[^<]*</dd>", "", page)


@pytest.mark.needs(*BROWSERS)
def test_page_in_a_browser_shows_how_many_cards_fit(tmp_path: Path) -> None:
    page = tmp_path / "registry.html"
    page.write_text(render_registry(ENTRIES), encoding="utf-8")
    command = [require(*BROWSERS), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    shown = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert '<p id="shown" role="status">5 of 5 cards</p>' in shown  # the script ran
    assert '<form id="filters">' in shown
