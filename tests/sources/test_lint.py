"""Every rule finds a planted fault; the project's own cards have none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from phloem.filters.op import ops
from phloem.sources.cards import facts, reads
from phloem.sources.cards.checks import license_faults, tag_fault
from phloem.sources.cards.dossier import Dossier, read_card
from phloem.sources.cards.lint import RULES, Finding, catalogue, findings, lint
from phloem.sources.cards.lock import Text
from phloem.sources.cards.source import Approval, Source, card_hash
from phloem.sources.cards.wording import is_copyright_alone
from phloem.sources.connector import Pin, PinnedFile, connectors, find_connector

GOOD: dict[str, Any] = {
    "id": "tales",
    "name": "Tales, Swahili",
    "summary": "Folk tales of the coast, one a document, as told to nobody. Taken for a test.",
    "homepage": "https://example.org/tales",
    "kind": "literature",
    "category": "2.1",
    "languages": ["sw"],
    "region": ["TZ"],
    "synthetic": "no",
    "collection": {"who": "Nobody", "how": "written", "part": "All twelve, and no drawing."},
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
    "access": {"connector": "files", "params": {"path": "tales.jsonl"}},
    "custodian": "Nobody in particular",
    "contact": "the maintainers",
    "personal_data": {"level": "none", "special": "none"},
    "limits": "Twelve tales that somebody made up for a test.",
    "unknown": {"period": "The tales bear no date.", "collection.when": "Nor does the collection."},
    "status": "active",
    "evidence": "read",
}
TODAY = date(2026, 6, 1)
REFS = ("LicenseRef-multiple",)


def check(
    tmp_path: Path,
    *values: Mapping[str, Any],
    pins: Mapping[str, Pin] | None = None,
    approvals: Mapping[str, Approval] | None = None,
    own: Collection[str] = ("tales", "tale", "rhymes"),
    refs: Collection[str] = ("LicenseRef-public-domain",),
    texts: Mapping[str, Text] = MappingProxyType({}),
) -> list[Finding]:
    """The findings for cards written as tales.yaml, rhymes.yaml: in a workspace, if not told."""
    files = []
    for name, value in zip(("tales", "rhymes"), values, strict=False):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(dict(value)), encoding="utf-8")
        files.append(read_card(path))
    dossier = Dossier(
        files=files,
        ops=["nfc", "statistics"],
        connectors={name: find_connector(name) for name in connectors()},
        pins={value["id"]: Pin("1", ()) for value in values} if pins is None else pins,
        approvals=approvals or {},
        license_refs=refs,
        today=TODAY,
        own=own,
        texts=texts,
    )
    return findings(dossier)


def other(**changes: Any) -> dict[str, Any]:
    """A second good card, changed."""
    return {
        **GOOD,
        "id": "rhymes",
        "summary": "Rhymes for counting, each with a note on how it is played. Taken for variety.",
        "collection": {**GOOD["collection"], "part": "The rhymes, and no note on a dance."},
        "limits": "Thirty rhymes that nobody has ever sung to a child.",
        "access": {"connector": "files", "params": {"path": "rhymes.jsonl"}},
        **changes,
    }


def approval(card: str) -> Approval:
    return Approval(
        source="tales", card=card, role="data steward", date=TODAY, basis="Read all of it."
    )


def test_lint_good_cards_have_no_findings(tmp_path: Path) -> None:
    approved = {"tales": approval(card_hash(Source.model_validate(GOOD)))}
    assert check(tmp_path, GOOD, other(), approvals=approved) == []


def from_host(url: str) -> dict[str, Any]:
    return {"connector": "files", "params": {"path": url}}


LICENSE = GOOD["license"]
ANY_HOST = {"urls": ["https://example.org/t.txt"], "hosts": ["*"]}


def licensed(spdx: str, evidence: str | None = None) -> dict[str, Any]:
    """The licence of a good card under another name, which its evidence has too."""
    return {**LICENSE, "spdx": spdx, "evidence": evidence or f"This work is under {spdx}."}


NO_TRAINING = {**LICENSE["restrictions"], "ai_training": "forbidden"}
SEEN = {"protocol": "tdmrep", "seen_on": "2026-01-31", "place": "/.well-known/tdmrep.json"}
NO_CHANGES = {
    **GOOD,
    "license": {
        **LICENSE,
        "spdx": "CC-BY-NC-ND-4.0",
        "evidence": "This work is licensed under CC BY-NC-ND 4.0.",
        "restrictions": {
            **LICENSE["restrictions"],
            "commercial": "forbidden",
            "derivatives": "forbidden",
        },
    },
}
PLANTED: list[tuple[str, dict[str, Any], str]] = [
    ("S001", {**GOOD, "homepag": "x"}, "did you mean homepage?"),
    ("S001", {**GOOD, "weight": "inf"}, "finite number"),
    ("S002", {**GOOD, "id": "tale"}, "expected 'tales'"),
    ("S004", {**GOOD, "license": {**LICENSE, "spdx": "CC-BY"}}, "did you mean CC-BY-"),
    ("S004", {**GOOD, "license": {**LICENSE, "spdx": "MIT AND"}}, "no SPDX expression"),
    ("S004", {**GOOD, "license": {**LICENSE, "spdx": "LicenseRef-mine"}}, "licenses.yaml"),
    ("S004", {**GOOD, "license": {**LICENSE, "collection": "CC0"}}, "did you mean CC0-1.0"),
    ("S005", {**GOOD, "license": {**LICENSE, "evidence": None}}, "the card is active"),
    ("S035", {**GOOD, "homepage": "https://a.example.org/?token=x"}, "a password or a token"),
    (
        "S035",
        {**GOOD, "access": {"connector": "files", "params": {"path": "s3://a:b@c/d.jsonl"}}},
        "a password or a token",
    ),
    ("S006", {**GOOD, "license": {**LICENSE, "checked_on": "2024-01-01"}}, "two years"),
    ("S008", {**GOOD, "access": {"connector": "file"}}, "did you mean files?"),
    (
        "S009",
        {**GOOD, "access": {"connector": "files", "params": {"path": "a", "textcolumn": "b"}}},
        "did you mean text_column?",
    ),
    ("S010", {**GOOD, "clean": [{"nfcc": {}}]}, "did you mean nfc?"),
    ("S012", {**GOOD, "status": "withdrawn"}, "the card is withdrawn"),
    ("S012", {**GOOD, "status": "proposed"}, "the card is proposed"),
    ("S013", {**GOOD, "replaced_by": "tale"}, "no card has the id 'tale'"),
    ("S017", {**GOOD, "languages": ["zh-hans"]}, "expected 'zh-Hans'"),
    ("S017", {**GOOD, "languages": ["Swahili"]}, "no language tag"),
    ("S017", {**GOOD, "languages": ["cmn"]}, "expected 'zh'"),
    ("S018", {**GOOD, "kind": "code"}, "kind is code"),
    (
        "S019",
        {**GOOD, "personal_data": {"level": "personal", "special": "none"}},
        "level is personal",
    ),
    ("S020", {**GOOD, "keep": [{"name": "long", "column": "word_count"}]}, "one of min"),
    ("S020", {**GOOD, "keep": [{"name": "long", "min": 3}]}, "missing"),
    ("S020", {**GOOD, "keep": [{"name": "a", "column": "b", "min": 3, "maxx": 4}]}, "mean max?"),
    ("S020", {**GOOD, "keep": [{"name": "a", "column": "b", "among": "sw"}]}, "found 'sw'"),
    ("S022", {**GOOD, "unknown": {"period": "No date."}}, "missing, and the card is active"),
    ("S022", {**GOOD, "synthetic": "unknown"}, "missing, and the card is active"),
    ("S023", {**GOOD, "unknown": {**GOOD["unknown"], "perod": "?"}}, "did you mean period?"),
    ("S023", {**GOOD, "unknown": {**GOOD["unknown"], "region": "?"}}, "region is given"),
    ("S024", {**GOOD, "homepage": "https://www.nytimes.com/tales"}, "paywall watch list"),
    ("S024", {**GOOD, "access": from_host("https://mirror.libgen.is/t.txt")}, "piracy watch list"),
    ("S025", {**GOOD, "opt_out": [{**SEEN, "verdict": "deny"}]}, "tdmrep said deny"),
    ("S026", {**GOOD, "evidence": "none"}, "the card is active"),
    ("S026", {**GOOD, "license": {**LICENSE, "checked_by": None}}, "the card is active"),
    ("S027", {**GOOD, "contact": "Maria <maria@example.org>"}, "holds a mail address"),
    ("S031", {**GOOD, "license": {**LICENSE, "restrictions": NO_TRAINING}}, "no policy reads it"),
    ("S031", NO_CHANGES, "no policy reads it"),
    ("S031", {**GOOD, "license": {**LICENSE, "collection": "CC-BY-ND-4.0"}}, "no_derivatives"),
    (
        "S041",
        {**GOOD, "license": {**LICENSE, "since": "2011-06-27"}},
        "2011-06-27, and files says no day of a document",
    ),
    ("S042", {**GOOD, "limits": "Those with a byline must be dropped."}, "no rule does it"),
    ("S028", {**GOOD, "summary": "Folk tales of the coast, as told."}, "one sentence"),
    ("S050", {**GOOD, "license": {**LICENSE, "spdx": "MIT"}}, "the evidence names CC-BY 4.0"),
    ("S051", {**GOOD, "license": licensed("CC-BY-SA-4.0")}, "none, but CC-BY-SA-4.0 has"),
    (
        "S052",
        {**GOOD, "license": licensed("CC-BY-4.0", "It may be read for non-commercial use.")},
        "the evidence forbids commercial use",
    ),
    ("S053", {**GOOD, "license": licensed("MIT", "© 2001 The makers")}, "permits nothing"),
    ("S056", {**GOOD, "access": {"connector": "http", "params": ANY_HOST}}, "is no host of"),
    ("S057", {**GOOD, "access": from_host("https://cdn.example.net/a.txt")}, "cdn.example.net"),
    *(
        ("S009", {**GOOD, "access": {"connector": name, "params": {"packages": packages}}}, part)
        for name, packages, part in [
            ("pypi", ["/opt/x/evilpkg"], "'/opt/x/evilpkg' is no package's name"),
            ("pypi", ["flask", "-r/etc/passwd"], "PEP 508"),
            ("pypi", ["--index-url=https://example.org/"], "no package's name"),
            ("pypi", ["flask @ file:///tmp/x"], "no package's name"),
            ("pypi", ["flask\n"], "no package's name"),
            ("pypi", {"flask": "1.0 --pre"}, "'1.0 --pre' is no version of flask"),
            ("pypi", {"flask": {"version": "1.0/../x"}}, "no version of flask"),
            ("pypi", [], "there are none"),
            ("deb", ["/opt/escaped"], "Debian Policy"),
            ("deb", ["../escaped"], "no package's name"),
            ("deb", ["-oDir=x"], "no package's name"),
            ("deb", {"bash": "1.0*"}, "'1.0*' is no version of bash"),
        ]
    ),
]


@pytest.mark.parametrize(("rule", "card", "part"), PLANTED)
def test_lint_planted_fault_is_the_only_finding(
    tmp_path: Path, rule: str, card: dict[str, Any], part: str
) -> None:
    found = check(tmp_path, card)
    assert [finding.rule for finding in found] == [rule]
    assert part in found[0].message
    assert found[0].fix


MULTIPLE = {**LICENSE, "spdx": "LicenseRef-multiple"}
REPOSITORY = "https://example.org/me/tales"


@pytest.mark.parametrize(
    ("connector", "params", "says"),
    [
        ("files", {"path": "tales.jsonl"}, False),
        ("files", {"path": "tales.jsonl", "license_column": "meta.license"}, True),
        ("pmc", {}, True),
        ("git", {"repositories": {REPOSITORY: {"license": "LicenseRef-multiple"}}}, False),
        ("git", {"repositories": {REPOSITORY: {"license": "MIT"}}}, True),
        ("pypi", {"packages": ["flask"]}, False),
    ],
)
def test_lint_licence_of_each_document_that_nothing_says_is_found(
    tmp_path: Path, connector: str, params: dict[str, Any], says: bool
) -> None:
    access = {"connector": connector, "params": params}
    card = {**GOOD, "license": MULTIPLE, "access": access}
    found = [f for f in check(tmp_path, card, refs=REFS) if f.rule not in {"S011", "S033"}]
    assert [each.rule for each in found] == ([] if says else ["S031"])
    for each in found:
        assert each.kind == "error"
        assert each.message.endswith("nothing says the licence of a document")
    idle = {**GOOD, "license": MULTIPLE, "access": access, "status": "proposed", "reason": "No."}
    assert "S031" not in {each.rule for each in check(tmp_path, idle, refs=REFS)}


@pytest.mark.parametrize(
    "evidence",
    [
        "Copyright (C) 2001-2021 by the Privoxy team. https://www.privoxy.org/",
        "© 1999 Agustín Martín Domingo",
        "Copyright: 2000 Han-Wen Nienhuys, Jan Nieuwenhuizen and others. All rights reserved.",
        "Files: * Copyright: 1989-2023, GRASS Development Team",
        "© 2004 Hội đồng Biên soạn",
    ],
)
def test_is_copyright_alone_is_true_of_lines_of_copyright(evidence: str) -> None:
    assert is_copyright_alone(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        "CC BY 4.0",
        "© Swiss Federal Supreme Court, CC-BY-4.0",
        "The MIT License (MIT). Copyright (c) 2016 JackeyGao",
        "Copyright 2001 Ana Ruiz. License: GPL-2+",
        "© 2020 Ministerio; se permite la reutilización",
        "© 2020 Verein für Heimatkunde. Darf von jedem verwendet werden.",
        "© 2011 Комитет. Разрешается перепечатка.",
        "© 2015 Nhà xuất bản. Được sao chép.",
        "© 2019 政府資料開放授權條款",
        "Copyright (c) 1998. Redistribution and use are permitted.",
        "© 2008 ويكيبيديا رخصة المشاع الإبداعي",
        "Texts are free of copyright.",
        "Copyright © 2003 Wikibooks. Creative Commons Attribution",
    ],
)
def test_is_copyright_alone_is_false_of_what_may_be_a_permission(evidence: str) -> None:
    assert not is_copyright_alone(evidence)


@pytest.mark.parametrize(
    ("text", "limits", "part"),
    [
        (Text({}, is_whole=True, repeated=0), "Twelve tales, made up.", "nothing of it was kept"),
        (Text({"sw": 0}, is_whole=False), "Twelve tales, made up.", "nothing of it was kept"),
        (Text({"sw": 69}, True, 31), "Twelve tales, made up.", "31% of its text is near dupl"),
        (
            Text({}, True, 5),
            "Twelve tales. No rule keeps any: none is kept of them.",
            "100% of its",
        ),
        (Text({}, is_whole=True, repeated=0), "Nothing of it is kept by rules for prose.", None),
        (Text({"sw": 69}, True, 31), "Pages repeat their table of contents.", None),
        (Text({"sw": 70}, True, 30), "Twelve tales, made up.", None),
        (Text({"sw": 70}, is_whole=True), "Twelve tales, made up.", None),
    ],
)
def test_lint_source_that_loses_its_text_says_so(
    tmp_path: Path, text: Text, limits: str, part: str | None
) -> None:
    card = {**GOOD, "limits": limits}
    found = check(tmp_path, card, texts={"tales": text})
    assert [each.rule for each in found] == ([] if part is None else ["S044"])
    assert all(part in each.message for each in found if part)
    idle = {**card, "status": "proposed", "reason": "It is lost."}
    assert check(tmp_path, idle, texts={"tales": text}) == []


def test_lint_unknown_licence_names_those_of_this_project() -> None:
    (fault,) = license_faults("QQQQ7", ["LicenseRef-b", "LicenseRef-a"])
    assert fault.endswith("; there are LicenseRef-a, LicenseRef-b")


def test_lint_workspace_approvals_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "approvals").mkdir()
    value = approval("0" * 64).model_dump(mode="json")
    (tmp_path / "approvals" / "tales.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
    found = lint(
        [tmp_path], op_names=list(ops()), connector_names=connectors(), today=date(2026, 12, 1)
    )
    assert [finding.rule for finding in found] == ["S016", "S030"]


def test_lint_two_cards_alike_are_found(tmp_path: Path) -> None:
    twin = {**GOOD, "id": "tales"}
    assert {finding.rule for finding in check(tmp_path, GOOD, twin)} == {
        "S002",
        "S003",
        "S007",
        "S014",
    }


def test_lint_lock_and_cards_must_match(tmp_path: Path) -> None:
    assert [f.rule for f in check(tmp_path, GOOD, pins={})] == ["S011"]
    lost = {"tales": Pin("1", ()), "gone": Pin("1", ())}
    assert [f.rule for f in check(tmp_path, GOOD, pins=lost)] == ["S021"]


def test_lint_lock_that_names_what_the_card_does_not_is_found(tmp_path: Path) -> None:
    evil = Pin("1", (PinnedFile("evil.txt", "0" * 64, 1, "https://evil.example/evil.txt"),))
    (found,) = check(tmp_path, GOOD, pins={"tales": evil})
    assert found.rule == "S033"
    assert found.kind == "error"
    assert "evil.txt" in found.message


def test_lint_approval_of_another_card_is_found(tmp_path: Path) -> None:
    stale = {"tales": approval("0" * 64)}
    assert [f.rule for f in check(tmp_path, GOOD, approvals=stale)] == ["S015"]
    lost = {"gone": approval("0" * 64)}
    assert [f.rule for f in check(tmp_path, GOOD, approvals=lost)] == ["S016"]


def test_lint_approval_of_a_day_that_cannot_be_is_found(tmp_path: Path) -> None:
    given = approval(card_hash(Source.model_validate(GOOD)))
    for day, said in ((date(2026, 6, 3), "yet to come"), (date(2026, 1, 30), "read on 2026-01-31")):
        (found,) = check(
            tmp_path, GOOD, approvals={"tales": given.model_copy(update={"date": day})}
        )
        assert (found.rule, found.field) == ("S034", "date")
        assert said in found.message


def test_lint_too_many_cards_of_a_kind_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "MOST", {("software_docs", "interface"): 1})
    cards = [{**GOOD, "kind": "software_docs"}, other(kind="interface")]
    (found,) = check(tmp_path, *cards)
    assert (found.rule, found.file) == ("S029", "entries")
    assert found.message == "2 cards of software_docs and interface, at most 1"


def test_lint_a_source_of_the_open_network_needs_no_lock_entry(tmp_path: Path) -> None:
    card = {**GOOD, "access": from_host("https://example.org/tales.jsonl")}
    assert check(tmp_path, card, pins={}) == []


def test_watch_list_names_hosts_and_reasons() -> None:
    assert set(facts.watch_list()) == {"piracy", "paywall"}
    for hosts in facts.watch_list().values():
        assert list(hosts) == sorted(hosts)
        assert all(reads.hosts(host) == {host} and why for host, why in hosts.items())


def test_lint_a_card_called_like_a_users_files_is_found(tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "id": "local"}), encoding="utf-8")
    connector = {"files": find_connector("files")}
    pins = {"local": Pin("1", ())}
    dossier = Dossier([read_card(path)], [], connector, pins, {}, [], TODAY, own=["local"])
    assert [finding.rule for finding in findings(dossier)] == ["S032"]


def test_lint_every_rule_is_planted_somewhere() -> None:
    planted = {rule for rule, _, _ in PLANTED}
    planted |= {"S003", "S007", "S011", "S014", "S015", "S016", "S021", "S029", "S032", "S033"}
    planted |= {"S030"}  # in test_approvals.py
    planted |= {"S044"}
    planted |= {"S034", "S036"}  # the latter in test_barred.py
    planted |= {"S054", "S055"}  # in test_places.py
    assert planted == {rule.number for rule in RULES}
    assert len(catalogue()) == len(RULES)


def test_lint_project_cards_have_no_findings() -> None:
    found = lint(op_names=list(ops()), connector_names=connectors(), today=date(2026, 12, 1))
    assert found == []


@pytest.mark.parametrize("tag", ["sw", "zh-Hans", "pt-BR", "es-419", "de-1996", "sr-Latn-RS"])
def test_tag_fault_right_tag_passes(tag: str) -> None:
    assert tag_fault(tag) is None


def test_license_faults_expression_with_refs_passes() -> None:
    refs = ["LicenseRef-a"]
    assert license_faults("GPL-2.0-or-later OR (LicenseRef-a AND CC-BY-SA-3.0)", refs) == []


@pytest.mark.parametrize("bound", ["nan", float("inf"), {"default": float("-inf")}])
def test_lint_keep_rule_with_a_bound_that_is_not_finite_is_an_error(
    tmp_path: Path, bound: Any
) -> None:
    found = check(tmp_path, {**GOOD, "keep": [{"name": "x", "column": "y", "max": bound}]})
    assert {finding.kind for finding in found} == {"error"}
    assert any("finite number" in finding.message for finding in found)
