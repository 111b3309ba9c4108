"""The state of each approval, of real signatures: whether it counts for its card as it stands."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from signing import allow, new_key
from tiny_workspace import CARD, make_workspace
from typer.testing import CliRunner, Result

from phloem.pipeline.cli.app import app
from phloem.pipeline.registry.approve import approve
from phloem.pipeline.registry.approved import STATES, approved
from phloem.pipeline.registry.registry import Registry
from phloem.pipeline.workspace import load_workspace
from phloem.sources.cards.approvals import sign
from phloem.sources.cards.source import Approval, Source, card_hash
from phloem.sources.connector import Pin, PinnedFile, pin_hash

DAY = date(2026, 1, 31)
PIN = Pin("v1", (PinnedFile("a", "0" * 64, 7),))
OTHER = replace(PIN, version="v2")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key(tmp_path_factory.mktemp("keys") / "steward")


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Path:
    return allow(tmp_path_factory.mktemp("approvals"), key, "steward")


CARD_OF_TALES = Source.model_validate(
    yaml.safe_load(CARD.replace("NAME", "tales").replace("PATH", "x"))
)


def signed(key: Path, signers: Path, **changes: Any) -> Approval:
    """An approval of the card as it stands; what changes does so before it is signed."""
    given = {"source": "tales", "card": card_hash(CARD_OF_TALES), "role": "steward", "date": DAY}
    unsigned = Approval.model_validate(
        {**given, "basis": "อ่านครบทุกหน้า 📜 and the terms", **changes}
    )
    return sign(unsigned, key, signers)


def row(approval: Approval, signers: Path, card: Source | None, pin: Pin | None = PIN) -> Any:
    (found,) = approved(
        Registry(
            cards={} if card is None else {"tales": card},
            pins={} if pin is None else {"tales": pin},
            approvals={"tales": approval},
            signers={"tales": signers},
            license_refs={},
        )
    )
    return found


def test_approval_of_the_card_as_it_stands_is_approved(key: Path, signers: Path) -> None:
    assert row(signed(key, signers, pin=pin_hash(PIN)), signers, CARD_OF_TALES) == {
        "card": "tales",
        "state": "approved",
        "by": "steward",
        "role": "steward",
        "date": "2026-01-31",
        "pin": "bound",
        "why": None,
    }


@pytest.mark.parametrize(
    ("bound", "locked", "pin"),
    [(PIN, PIN, "bound"), (PIN, OTHER, "changed"), (PIN, None, "changed"), (None, PIN, "free")],
)
def test_pin_of_an_approval_binds_what_was_locked(
    key: Path, signers: Path, bound: Pin | None, locked: Pin | None, pin: str
) -> None:
    approval = signed(key, signers, pin=bound and pin_hash(bound))
    found = row(approval, signers, CARD_OF_TALES, locked)
    assert (found["state"], found["pin"]) == ("approved", pin)


def test_status_alone_leaves_an_approval_as_it_is(key: Path, signers: Path) -> None:
    paused = CARD_OF_TALES.model_copy(update={"status": "paused", "reason": "asked to wait"})
    assert row(signed(key, signers), signers, paused)["state"] == "approved"


def test_approval_of_a_card_that_changed_or_went_is_stale(key: Path, signers: Path) -> None:
    approval = signed(key, signers)
    changed = CARD_OF_TALES.model_copy(update={"languages": ("sw", "luo")})
    found = row(approval, signers, changed)
    assert (found["state"], found["why"]) == ("stale", "its card has changed since")
    found = row(approval, signers, None)
    assert (found["state"], found["why"]) == ("stale", "there is no such card")


def test_approval_without_a_signature_or_a_signer_is_unsigned(key: Path, signers: Path) -> None:
    whole = signed(key, signers)
    for lacks in ({"signed_by": None}, {"signature": None}):
        assert row(whole.model_copy(update=lacks), signers, CARD_OF_TALES)["state"] == "unsigned"


@pytest.mark.parametrize(
    "days", [',valid-before="20260130"', ',valid-after="20260202"'], ids=["before", "after"]
)
def test_approval_by_a_key_outside_its_days_is_expired(
    key: Path, signers: Path, tmp_path: Path, days: str
) -> None:
    found = row(signed(key, signers), allow(tmp_path, key, "steward", days), CARD_OF_TALES)
    assert found["state"] == "expired"
    assert "valid on the day of the approval" in found["why"]


def test_approval_that_counts_for_no_other_reason_is_refused(
    key: Path, signers: Path, tmp_path: Path
) -> None:
    approval = signed(key, signers)
    forged = approval.model_copy(update={"basis": "Nobody has read a page of it."})
    assert "changed after it was signed" in row(forged, signers, CARD_OF_TALES)["why"]
    ahead = signed(key, signers, date=(datetime.now(UTC) + timedelta(days=9)).date())
    stranger = allow(tmp_path, new_key(tmp_path / "stranger"), "steward")
    for each, keys in ((forged, signers), (ahead, signers), (approval, stranger)):
        assert row(each, keys, CARD_OF_TALES)["state"] == "refused"


def test_approvals_are_listed_with_how_many_are_in_each_state(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_workspace(tmp_path / "workspace")
    allow(folder / "cards" / "approvals", key, "steward")
    for source in ("first", "second"):
        approve(
            load_workspace(folder), source, key, role="steward", basis="Read it all.", day=str(DAY)
        )
    card = folder / "cards" / "second.yaml"
    card.write_text(card.read_text("utf-8").replace("It is tiny.", "It is small."), "utf-8")
    monkeypatch.chdir(folder)
    rows = json.loads(_phloem("sources", "approvals", "--json").stdout)
    assert {each["card"]: each["state"] for each in rows} == {
        "first": "approved",
        "second": "stale",
    }
    assert {each["state"] for each in rows} < set(STATES)
    last = _phloem("sources", "approvals").stdout.splitlines()[-1]
    assert last.startswith("2 approvals of ")
    assert last.endswith(": 1 approved, 1 stale, 0 unsigned, 0 expired, 0 refused")


def _phloem(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result
