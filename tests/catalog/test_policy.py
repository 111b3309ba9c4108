"""Policies: which sources may be read, and what a run must pass before a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phloem.catalog.ledger import Balance
from phloem.catalog.policy import (
    Policy,
    PolicyError,
    admits,
    gate,
    load_policy,
    loss_alarm,
    policies,
    unasked,
)

SOURCE = {
    "status": "active",
    "evidence": "read",
    "license": "CC-BY-4.0",
    "card": "c0ffee",
    "pin": "10cked",
    "approval": {"card": "c0ffee", "pin": "10cked", "verified": True, "by": "steward"},
}
FORGED = {"card": "c0ffee", "verified": False, "fault": "it is not signed"}


def _run(**changes: Any) -> dict[str, Any]:
    run = {
        "balance": {"a": {"read": 1000, "kept": 960, "dropped": 30, "quarantined": 10}},
        "sources": {"a": SOURCE},
        "licenses": {"CC-BY-4.0": 960},
        "license_refs": {},
        "scrub": {"email": "<EMAIL>", "ip": "<IP>", "phone": "<PHONE>"},
        "pii_measured": True,
        "tokenizer": "ab" * 32,
        "documents": 2000,
        "cut": {"a": 0},
        **changes,
    }
    kept = {source: counts["kept"] for source, counts in run["balance"].items()}
    return {"composed_by_source": kept, "documents_by_source": kept, **run}


def _failed(run: dict[str, Any], policy: str = "production") -> list[str]:
    return [check.name for check in gate(load_policy(policy), run) if not check.passed]


@pytest.mark.parametrize("name", sorted(policies()))
def test_load_policy_reads_every_own_policy(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    assert policy.summary.endswith(".")


def test_load_policy_misspelt_names_the_nearest() -> None:
    with pytest.raises(PolicyError, match="no policy named 'quickstrat'; did you mean quickstart"):
        load_policy("quickstrat")


def test_load_policy_lists_every_fault_at_once(tmp_path: Path) -> None:
    text = (policies()["quickstart"]).read_text().replace("approval:", "aproval:")
    path = tmp_path / "quickstart.yaml"
    path.write_text(text.replace("max_loss_share: 0.98", "max_loss_share: 98"))
    with pytest.raises(PolicyError) as error:
        load_policy(str(path))
    assert "aproval: unknown key; did you mean approval?" in str(error.value)
    assert "max_loss_share" in str(error.value)


def test_load_policy_takes_no_yaml_tags(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(PolicyError, match="is not YAML"):
        load_policy(str(path))


def test_load_policy_with_unknown_obligation_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = policies()["quickstart"].read_text().replace("noncommercial", "non_commercial")
    path.write_text(text.replace("name: quickstart", "name: own"))
    with pytest.raises(PolicyError, match="did you mean noncommercial"):
        load_policy("own", [tmp_path])


def test_policies_of_a_workspace_win(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("")
    assert policies([tmp_path])["quickstart"] == tmp_path / "quickstart.yaml"


def test_admits_a_source_that_shows_all() -> None:
    assert admits(load_policy("production"), SOURCE) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "retired"}, "its status is 'retired'"),
        ({"evidence": "none"}, "nobody has read the evidence"),
        ({"license": "CC-BY-NC-4.0"}, "has noncommercial"),
        ({"license": "LicenseRef-x"}, "has unknown"),
        ({"license": None}, "has unknown"),
        ({"approval": None}, "nobody has approved it"),
        ({"card": "changed"}, "its card has changed since"),
        ({"approval": FORGED}, "its approval does not count: it is not signed"),
        ({"approval": {"card": "c0ffee"}}, "does not count: nobody verified it"),
        ({"pin": "another"}, "its lock entry has changed since it was approved"),
        ({"approval": {**SOURCE["approval"], "pin": None}}, "its approval is of no lock entry"),
        ({"restrictions": {"commercial": "forbidden"}}, "has noncommercial"),
        ({"restrictions": {"ai_training": "forbidden"}}, "has unmodelled; nothing here can hold"),
        ({"license": "LicenseRef-custom-terms"}, "has unknown"),
    ],
)
def test_admits_tells_what_is_missing(change: dict[str, Any], reason: str) -> None:
    (told,) = admits(load_policy("production"), {**SOURCE, **change})
    assert reason in told


@pytest.mark.parametrize("name", sorted(policies()))
def test_admits_no_licence_that_the_algebra_cannot_follow(name: str) -> None:
    source = {**SOURCE, "license": "LicenseRef-NOODL-1.0 AND MIT"}
    refs = {"LicenseRef-NOODL-1.0": ["attribution", "share_alike", "unmodelled"]}
    (told,) = admits(load_policy(name), source, refs)
    assert told.startswith("its licence LicenseRef-NOODL-1.0 AND MIT has unmodelled; nothing here")


def test_admits_a_collection_whose_documents_have_their_own_licences() -> None:
    source = {**SOURCE, "license": "LicenseRef-multiple"}
    assert admits(load_policy("production"), source) == []
    assert _failed(_run(licenses={"CC-BY-4.0": 5, "LicenseRef-multiple": 1})) == ["licences"]
    source["license"] = "LicenseRef-multiple AND CC-BY-NC-4.0"  # of the collection
    (told,) = admits(load_policy("production"), source)
    assert told.endswith("has noncommercial")


def test_admits_tells_every_reason_at_once() -> None:
    assert len(admits(load_policy("production"), {})) == 4


def test_admits_under_quickstart_without_approval_or_evidence() -> None:
    bare = {**SOURCE, "approval": None, "evidence": "none"}
    assert admits(load_policy("quickstart"), bare) == []


def test_admits_a_ref_that_somebody_decided() -> None:
    source = {**SOURCE, "license": "LicenseRef-public-domain"}
    refs: dict[str, list[str]] = {"LicenseRef-public-domain": []}
    assert admits(load_policy("production"), source, refs) == []


def test_gate_passes_a_run_that_satisfies_all() -> None:
    assert _failed(_run()) == []


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"balance": {"a": {"read": 1000, "kept": 1, "dropped": 1, "quarantined": 1}}}, "balance"),
        ({"balance": {"a": {"read": 1000, "kept": 99, "dropped": 901, "quarantined": 0}}}, "loss"),
        (
            {"balance": {"a": {"read": 1000, "kept": 949, "dropped": 0, "quarantined": 51}}},
            "loss",
        ),
        ({"cut": {"a": 1}}, "loss"),
        ({"balance": {"a": {"read": 0, "kept": 0, "dropped": 0, "quarantined": 0}}}, "loss"),
        ({"composed_by_source": {"a": 959}}, "hand-off"),
        ({"documents_by_source": {}}, "hand-off"),
        ({"licenses": {"CC-BY-4.0": 9, "CC-BY-ND-4.0": 1}}, "licences"),
        ({"sources": {"a": {**SOURCE, "card": "x"}}}, "sources"),
        ({"scrub": {}}, "personal data"),
        ({"scrub": {"email": "<EMAIL>", "ip": "<IP>"}}, "personal data"),
        ({"pii_measured": False}, "personal data"),
        ({"tokenizer": None}, "tokenizer"),
        ({"documents": 999}, "documents"),
        ({"sources": {"local": SOURCE}}, "cards"),
    ],
)
def test_gate_fails_the_check_that_a_run_breaks(change: dict[str, Any], check: str) -> None:
    assert _failed(_run(**change)) == [check]


def test_gate_at_the_very_limit_passes() -> None:
    limit = {"a": {"read": 1000, "kept": 100, "dropped": 850, "quarantined": 50}}
    assert _failed(_run(balance=limit)) == []


def test_gate_does_not_judge_a_small_source_by_shares() -> None:
    small = {"a": {"read": 99, "kept": 1, "dropped": 98, "quarantined": 0}}
    assert _failed(_run(balance=small)) == []
    small = {"a": {"read": 99, "kept": 0, "dropped": 99, "quarantined": 0}}
    assert _failed(_run(balance=small)) == ["loss"]


def test_gate_of_a_policy_that_allows_cut_sources_passes_one() -> None:
    policy = load_policy("production").model_copy(update={"allow_cut_sources": True})
    assert [c.name for c in gate(policy, _run(cut={"a": 1})) if not c.passed] == []
    assert "A source may lack a rest that could not be read." in unasked(policy)


def test_loss_alarm_tells_every_source_and_reason() -> None:
    policy = load_policy("production")
    balance = {
        "none": Balance(0, 0, 0, 0),
        "cut": Balance(10, 10, 0, 0),
        "lost": Balance(1000, 50, 850, 100),
        "fine": Balance(1000, 900, 90, 10),
    }
    assert loss_alarm(policy, balance, {"cut": 2}) == [
        "cut: the rest of 2 streams could not be read",
        "lost: 950 of 1000 were not kept",
        "lost: 100 of 1000 are in quarantine",
        "none: nothing was read",
    ]


def test_gate_does_not_mind_a_licence_of_no_kept_document() -> None:
    assert _failed(_run(licenses={"CC-BY-4.0": 5, "CC-BY-NC-4.0": 0})) == []


def test_gate_of_a_policy_that_releases_nothing_fails() -> None:
    policy = load_policy("quickstart").model_copy(update={"releasable": False})
    assert [c.name for c in gate(policy, _run()) if not c.passed] == ["releasable"]


def test_unasked_of_quickstart_says_that_nobody_approved() -> None:
    said = unasked(load_policy("quickstart"))
    assert said[0] == "No person has approved the sources for this use."
    assert unasked(load_policy("production")) == ()


def test_policy_fields_are_described() -> None:
    assert all(field.description for field in Policy.model_fields.values())
