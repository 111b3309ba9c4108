"""What `licenses.yaml` says of each licence that SPDX does not list."""

from __future__ import annotations

from typing import Any

import pytest

from phloem.catalog.licenses import CUSTOM, MULTIPLE, OBLIGATIONS, UNMODELLED, obligations
from phloem.catalog.policy import admits, load_policy, policies
from phloem.sources.cards.source import UNKNOWN_LICENSE, license_refs

REFS = license_refs()
KEYS = {"name", "summary", "obligations", "terms", "source"}


@pytest.mark.parametrize("name", list(REFS))
def test_license_refs_entry_is_whole(name: str) -> None:
    entry = REFS[name]
    assert name.startswith("LicenseRef-")
    assert {"name", "summary", "obligations"} <= set(entry) <= KEYS
    assert entry["summary"].endswith(".")
    assert set(entry["obligations"]) <= set(OBLIGATIONS)
    assert entry.get("source", "https://").startswith("https://")
    assert all(text.endswith(".") for text in entry.get("terms", {}).values())


@pytest.mark.parametrize("name", list(REFS))
def test_license_refs_what_the_algebra_cannot_say_stands_under_terms(name: str) -> None:
    entry = REFS[name]
    if UNMODELLED in entry["obligations"]:
        assert entry["terms"]


@pytest.mark.parametrize("name", ["LicenseRef-NOODL-1.0", "LicenseRef-Esethu"])
def test_license_refs_of_communities_say_who_benefits_and_no_policy_reads_them(name: str) -> None:
    entry = REFS[name]
    assert {"benefit_sharing", "commercial_use"} <= set(entry["terms"])
    assert entry["source"]
    refs = {ref: each["obligations"] for ref, each in REFS.items()}
    source: dict[str, Any] = {"status": "active", "evidence": "read", "license": name}
    for policy in policies():
        assert any("unmodelled" in reason for reason in admits(load_policy(policy), source, refs))


def test_license_refs_that_the_algebra_knows_by_name_are_there() -> None:
    assert {CUSTOM, MULTIPLE, UNKNOWN_LICENSE} <= set(REFS)
    refs = {ref: each["obligations"] for ref, each in REFS.items()}
    assert obligations(MULTIPLE, refs) == {"unknown"}  # a document that comes without its own
