"""Approvals are signatures: real keys, and all that must not count."""

from __future__ import annotations

import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from signing import allow, new_key

from phloem.filters.op import ops
from phloem.sources.cards.approvals import (
    SIGNERS,
    SigningError,
    approvals_folder,
    date_fault,
    payload,
    sign,
    signature_fault,
    signature_faults,
    signers_of,
    write_approval,
)
from phloem.sources.cards.dossier import Dossier, read_card
from phloem.sources.cards.lint import findings, lint
from phloem.sources.cards.source import Approval, Source, approvals, card_hash, license_refs
from phloem.sources.connector import Pin, connectors, find_connector

CARD: dict[str, Any] = {
    "id": "tales",
    "name": "Tales, Swahili",
    "summary": "Hadithi za pwani, one a document, as told to nobody. Taken for a test.",
    "homepage": "https://example.org/tales",
    "kind": "literature",
    "category": "2.1",
    "languages": ["sw"],
    "region": ["TZ"],
    "period": "1912",
    "synthetic": "no",
    "collection": {"who": "Nobody", "how": "written", "when": "1912", "part": "All twelve."},
    "license": {
        "spdx": "CC-BY-4.0",
        "evidence": "This work is licensed under CC BY 4.0.",
        "place": "LICENSE",
        "checked_on": "2026-01-31",
        "checked_by": "curator",
        "restrictions": {
            "commercial": "allowed",
            "derivatives": "allowed",
            "share_alike": "none",
        },
    },
    "access": {"connector": "files", "params": {"path": "https://example.org/tales.jsonl"}},
    "custodian": "Nobody in particular",
    "contact": "the maintainers",
    "personal_data": {"level": "none", "special": "none"},
    "limits": "Twelve tales that somebody made up for a test.",
    "status": "active",
    "evidence": "read",
}
DAY = date(2026, 1, 31)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The steward's key and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    return new_key(folder / "steward"), new_key(folder / "stranger")


def unsigned(**changes: Any) -> Approval:
    card = card_hash(Source.model_validate(CARD))
    given = {"source": "tales", "card": card, "role": "steward", "date": DAY}
    return Approval.model_validate({**given, "basis": "อ่านครบทุกหน้า 📜 and the licence", **changes})


def signature(key: Path, message: bytes, namespace: str = "phloem-approval") -> str:
    """As anybody can make one, whatever `allowed_signers` says."""
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", namespace]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout.decode()


# Signing and verifying ----------------------------------------------------------------------------
def test_sign_allowed_key_gives_an_approval_that_counts(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    signed = sign(unsigned(), keys[0], signers)
    assert signed.signed_by == "steward"
    assert signature_fault(signed, signers) is None
    assert signed.model_copy(update={"signed_by": None, "signature": None}) == unsigned()


def test_sign_with_a_public_key_that_no_agent_knows_says_so(
    keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    lone = tmp_path / "lone.pub"
    lone.write_bytes(keys[0].with_name("steward.pub").read_bytes())
    with pytest.raises(SigningError, match=r"lone\.pub signs nothing"):
        sign(unsigned(), lone, allow(tmp_path, keys[0], "steward"))


def test_sign_key_that_nobody_allowed_shows_the_line_to_add(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    public = keys[1].with_name("stranger.pub").read_text("utf-8").split()[1]
    with pytest.raises(SigningError) as error:
        sign(unsigned(), keys[1], signers)
    assert f'PRINCIPAL namespaces="phloem-approval" ssh-ed25519 {public}' in str(error.value)


def test_sign_key_of_a_pattern_asks_for_one_principal(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "*@example.org")
    with pytest.raises(SigningError, match="name one principal there"):
        sign(unsigned(), keys[0], signers)


@pytest.mark.parametrize(
    ("principal", "role", "may"),
    [
        ("data-steward", "Data Steward", True),
        ("data.steward@example.org", "data steward", True),
        ("dpo", "DPO", True),
        ("data-steward", "General counsel of the United Nations", False),
        ("data-steward", "chief data steward", False),
        ("steward", "data steward", False),
        ("steward@data", "data steward", False),
    ],
)
def test_sign_in_the_role_of_the_key_and_in_no_other(
    keys: tuple[Path, Path], tmp_path: Path, principal: str, role: str, may: bool
) -> None:
    signers = allow(tmp_path, keys[0], principal)
    asked = unsigned(role=role)
    if may:
        assert signature_fault(sign(asked, keys[0], signers), signers) is None
        return
    said = f"lets its key sign as {principal}, which is not {role!r}"
    with pytest.raises(SigningError, match=re.escape(said)):
        sign(asked, keys[0], signers)
    forced = asked.model_copy(
        update={"signed_by": principal, "signature": signature(keys[0], payload(asked))}
    )
    assert said in (signature_fault(forced, signers) or "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"role": "chief executive"}, "changed after it was signed"),
        ({"card": "0" * 64}, "changed after it was signed"),
        ({"source": "rhymes"}, "changed after it was signed"),
        ({"date": date(2026, 2, 1)}, "changed after it was signed"),
        ({"basis": "Read nothing at all."}, "changed after it was signed"),
        ({"signed_by": "director"}, "does not let this key sign as director"),
        ({"signed_by": None}, "it is not signed"),
        ({"signature": None}, "it is not signed"),
        ({"signature": "-----BEGIN SSH SIGNATURE-----\nU1NI\n"}, "no whole SSH signature"),
    ],
)
def test_signature_fault_changed_approval_does_not_count(
    keys: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    changed = sign(unsigned(), keys[0], signers).model_copy(update=change)
    assert reason in (signature_fault(changed, signers) or "")


def test_signature_fault_of_a_strangers_key_does_not_count(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    forged = unsigned(signed_by="steward", signature=signature(keys[1], payload(unsigned())))
    assert "does not let this key sign as steward" in (signature_fault(forged, signers) or "")


def test_signature_fault_signature_for_another_use_does_not_count(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    text = signature(keys[0], payload(unsigned()), namespace="git")
    borrowed = unsigned(signed_by="steward", signature=text)
    assert "signed for another use" in (signature_fault(borrowed, signers) or "")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (',valid-before="20260130"', "no longer valid on the day"),
        (',valid-after="20260201"', "not yet valid on the day"),
        (',valid-after="20260101",valid-before="20260301"', None),  # it outlives its key
    ],
)
def test_signature_fault_key_must_be_valid_on_the_day(
    keys: tuple[Path, Path], tmp_path: Path, options: str, reason: str | None
) -> None:
    text = signature(keys[0], payload(unsigned()))
    approval = unsigned(signed_by="steward", signature=text)
    fault = signature_fault(approval, allow(tmp_path, keys[0], "steward", options))
    assert fault is None if reason is None else reason in (fault or "")


def test_sign_expired_key_signs_nothing(keys: tuple[Path, Path], tmp_path: Path) -> None:
    signers = allow(tmp_path, keys[0], "steward", ',valid-before="20251231"')
    with pytest.raises(SigningError, match="lets this key sign nothing on 2026-01-31"):
        sign(unsigned(), keys[0], signers)


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (date(2026, 6, 2), "yet to come"),
        (date(2099, 1, 1), "yet to come"),
        (date(2026, 6, 1), None),
        (date(2026, 1, 31), None),
        (date(2026, 1, 30), "what it approves was read on 2026-01-31"),
        (date(1990, 1, 1), "what it approves was read on 2026-01-31"),
    ],
)
def test_date_fault_of_a_day_to_come_or_before_the_card_was_read(
    day: date, reason: str | None
) -> None:
    card = Source.model_validate(CARD | {"license": {**CARD["license"], "checked_on": DAY}})
    approval = unsigned(date=day, card=card_hash(card))
    fault = date_fault(approval, card, date(2026, 6, 1))
    assert fault is None if reason is None else reason in (fault or "")


def test_signature_fault_key_taken_out_ends_what_it_signed(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    signed = sign(unsigned(), keys[0], signers)
    signers.write_text("# nobody\n", "utf-8")
    assert "does not let this key sign" in (signature_fault(signed, signers) or "")
    signers.unlink()
    assert signature_fault(signed, signers) == "there is no allowed_signers beside it"


def test_signature_fault_without_ssh_keygen_says_so(
    keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    signed = sign(unsigned(), keys[0], signers)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh-keygen is not on this machine" in (signature_fault(signed, signers) or "")
    with pytest.raises(SigningError, match="install OpenSSH's client"):
        sign(unsigned(), keys[0], signers)


@pytest.mark.parametrize(
    "given",
    [
        {"signed_by": "-I"},
        {"signed_by": "*"},
        {"signed_by": "a b"},
        {"signed_by": "a\n"},
        {"signed_by": ""},
        {"signature": "ssh-ed25519 AAAA"},
        {"signature": "-----BEGIN SSH SIGNATURE-----\n" + "A" * 20_000},
    ],
)
def test_approval_hostile_fields_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        unsigned(**given)


# Files --------------------------------------------------------------------------------------------
def test_write_approval_is_read_back_whole(keys: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "approvals"
    signers = allow(folder, keys[0], "steward")
    hostile = unsigned(basis="yes: no # 'it' \"is\" | > {} \u2028 \x7f ok")
    signed = sign(hostile, keys[0], signers)
    path = write_approval(signed, folder)
    assert "signature: |\n  -----BEGIN SSH SIGNATURE-----\n" in path.read_text("utf-8")
    found = approvals([tmp_path])["tales"]
    assert found == signed
    assert signers_of([tmp_path])["tales"] == folder / SIGNERS
    assert signature_fault(found, signers_of([tmp_path])["tales"]) is None


def test_signature_faults_names_those_that_do_not_count(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signers = allow(tmp_path, keys[0], "steward")
    good = sign(unsigned(), keys[0], signers)
    given = {"tales": good, "rhymes": good.model_copy(update={"source": "rhymes"})}
    found = signature_faults(given, dict.fromkeys(given, signers))
    assert found == {"rhymes": "what it says was changed after it was signed"}


def test_signers_of_one_folder_vouch_for_no_other(keys: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    signed = sign(unsigned(), keys[0], allow(first / "approvals", keys[0], "steward"))
    allow(second / "approvals", keys[1], "steward")
    write_approval(signed, second / "approvals")
    found = signers_of([first, second])
    assert "does not let this key" in (signature_fault(signed, found["tales"]) or "")


def test_project_allows_nobody_and_approves_nothing() -> None:
    lines = (approvals_folder() / SIGNERS).read_text("utf-8").splitlines()
    assert lines
    assert all(line.startswith("#") for line in lines)
    assert approvals() == {}


# Lint ---------------------------------------------------------------------------------------------
def check(tmp_path: Path, value: dict[str, Any], **dossier: Any) -> list[tuple[str, str]]:
    """(rule, message) of what is found in one card."""
    path = tmp_path / "tales.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), "utf-8")
    given = Dossier(
        files=[read_card(path)],
        ops=["nfc"],
        connectors={name: find_connector(name) for name in connectors()},
        pins={"tales": Pin("1", ())},
        license_refs=list(license_refs()),
        today=date(2026, 6, 1),
        **{"approvals": {}, **dossier},
    )
    return [(finding.rule, finding.message) for finding in findings(given)]


def test_lint_approval_that_does_not_verify_is_found(tmp_path: Path) -> None:
    fault = "the key was no longer valid on the day of the approval"
    given = {"approvals": {"tales": unsigned()}, "unverified": {"tales": fault}}
    assert check(tmp_path, CARD, **given) == [("S030", fault)]
    assert check(tmp_path, CARD, approvals={"tales": unsigned()}) == []


def test_lint_of_a_workspace_verifies_its_approvals(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "tales.yaml").write_text(yaml.safe_dump(CARD), "utf-8")
    folder = tmp_path / "approvals"
    signed = sign(unsigned(), keys[0], allow(folder, keys[0], "steward"))

    def rules() -> list[str]:
        found = lint([tmp_path], op_names=list(ops()), connector_names=connectors())
        return [
            f.rule for f in found if "tales" in Path(f.file).name and f.rule in {"S015", "S030"}
        ]

    write_approval(signed, folder)
    assert rules() == []
    write_approval(signed.model_copy(update={"role": "owner"}), folder)
    assert rules() == ["S030"]


@pytest.mark.parametrize(
    ("spdx", "restrictions", "duty"),
    [
        ("LicenseRef-NOODL-1.0", {}, "unmodelled"),
        ("LicenseRef-Esethu OR LicenseRef-unknown", {}, "noncommercial, unmodelled"),
        ("LicenseRef-custom-terms", {"commercial": "unknown"}, "unknown"),
        ("CC-BY-4.0", {"ai_training": "forbidden"}, "unmodelled"),
        ("LicenseRef-custom-terms", {}, None),
        ("LicenseRef-NOODL-1.0 OR CC-BY-4.0", {}, None),
    ],
)
def test_lint_active_card_that_no_policy_reads_is_found(
    tmp_path: Path, spdx: str, restrictions: dict[str, str], duty: str | None
) -> None:
    terms = CARD["license"]
    read = {**terms["restrictions"], **restrictions}
    unsaid = {"license.restrictions.commercial": "The terms do not say."}
    card = {
        **CARD,
        "license": {**terms, "spdx": spdx, "restrictions": read},
        "unknown": unsaid if read["commercial"] == "unknown" else {},
    }
    expected = [("S031", f"{spdx} counts as {duty}: no policy reads it")] if duty else []
    found = check(tmp_path, card)
    assert [each for each in found if each[0] == "S031"] == expected
    assert check(tmp_path, {**card, "status": "proposed", "reason": "Its terms."}) == []
