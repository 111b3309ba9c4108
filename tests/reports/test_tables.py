"""Sections that are tables of counts."""

from __future__ import annotations

import shlex
from typing import Any
from unittest.mock import ANY

import pytest

from phloem.reports import numerals
from phloem.reports.cards import cards
from phloem.reports.charts import heat, histogram, stacked
from phloem.reports.languages import languages
from phloem.reports.licenses import licenses
from phloem.reports.personal import personal
from phloem.reports.provenance import provenance
from phloem.reports.quarantine import quarantine
from phloem.reports.stages import stages
from phloem.reports.tokens import load_token_counts, tokens


@pytest.fixture
def counted(root: Any) -> Any:
    load_token_counts(root.connection, root.store, root.run)
    return root


def test_personal_known_run_counts_spans_and_documents(root: Any) -> None:
    found = personal(root.store, root.run)
    assert found.looked
    assert found.kinds == ("email",)
    assert [(own.source, own.documents, own.spans, own.replaced) for own in found.sources] == [
        ("letters", 2, (2,), 1)
    ]


def test_personal_no_op_looked_is_not_said_to_be_none_found(build: Any) -> None:
    root = build(without=["measure"])
    assert not personal(root.store, root.run).looked


def test_licenses_known_run_splits_documents_bytes_and_tokens(counted: Any) -> None:
    found = licenses(counted.connection, counted.run)
    assert [(own.expression, own.documents, own.dropped, own.tokens) for own in found.licenses] == [
        ("CC0-1.0", 7, 0, 377),
        ("CC-BY-NC-4.0", 0, 1, 0),
    ]
    assert found.licenses[0].obligations == ()
    assert found.licenses[1].obligations == ("attribution", "noncommercial")
    assert found.licenses[0].sources == ("books", "letters")


def test_licenses_reference_of_the_record_is_known(build: Any, known: Any) -> None:
    refs = {"LicenseRef-port": ["attribution"]}
    root = build([known.Document("a", "1", "x", license="LicenseRef-port")], (), license_refs=refs)
    load_token_counts(root.connection, root.store, root.run)
    assert licenses(root.connection, root.run).licenses[0].obligations == ("attribution",)


def test_languages_declared_and_found_are_told_apart(counted: Any) -> None:
    found = languages(counted.connection, counted.store, counted.run)
    assert ("ja", "zh-Hans", 1, 1) in found.confusions
    assert (found.agreeing, found.contradicted) == (12, 2)
    assert (found.undecided, found.undeclared) == (0, 0)
    by_tag = {own.tag: own for own in found.languages}
    assert (by_tag["en"].read, by_tag["en"].kept, by_tag["en"].tokens) == (9, 3, 187)
    assert by_tag["hi"].tokens_per_byte == pytest.approx(0.5)
    assert by_tag["fr"].tokens_per_byte is None


SPOKEN = {"sw": "Habari", "th": "สวัสดี", "zh-Hans": "你好", "und": "12 345"}


@pytest.mark.parametrize("of_card", [["und"], [], ["sw", "und"]])
@pytest.mark.parametrize("own", [None, "und", "", "th"])
def test_languages_that_nobody_declares_are_not_contradicted(
    build: Any, known: Any, of_card: list[str], own: str | None
) -> None:
    """`und` declares nothing, of a card or of a document: the other one speaks, if it does."""
    documents = [known.Document("a", tag, text, tag, declared=own) for tag, text in SPOKEN.items()]
    root = build(documents, (), sources={"a": {**known.card_of("a"), "languages": of_card}})
    load_token_counts(root.connection, root.store, root.run)
    found = languages(root.connection, root.store, root.run)
    declared = "th" if own == "th" else "sw" if "sw" in of_card else None
    bearing = (found.agreeing, found.contradicted, found.undecided, found.undeclared)
    assert bearing == ((1, 2, 1, 0) if declared else (0, 0, 0, 4))
    others = [tag for tag in SPOKEN if tag not in ("und", declared)] if declared else []
    assert [row[:2] for row in found.confusions] == [(declared, tag) for tag in sorted(others)]
    assert {own.tag: own.declared for own in found.languages}["und"] == 0


def test_languages_run_without_tokens_has_no_fertility(build: Any) -> None:
    root = build(without=["tokenize"])
    load_token_counts(root.connection, root.store, root.run)
    found = languages(root.connection, root.store, root.run)
    assert {own.tokens for own in found.languages} == {None}


def test_tokens_known_run_by_source_and_length(counted: Any) -> None:
    found = tokens(counted.connection, counted.store, counted.run)
    assert [(own.source, own.documents, own.tokens) for own in found.sources] == [
        ("letters", 5, 221),
        ("books", 2, 156),
    ]
    assert found.bins == (("16", 2), ("32", 2), ("64", 3))
    assert (found.longest, found.median) == (82, 54)


def test_quarantine_reading_and_measuring_are_both_listed(root: Any) -> None:
    first, second = quarantine(root.connection).troubles
    assert (first.source, first.reason, first.records) == ("letters", "truncated gzip", 2)
    assert first.where == "part-2.jsonl.gz, byte 4,096"
    assert (second.reason, second.met) == ("pii: too long", "measuring")


def test_stages_cached_stage_claims_no_speed(root: Any) -> None:
    found = stages(root.run)
    assert [own.megabytes_per_cpu_second for own in found.stages] == [2.0, None]


def test_cards_only_web_addresses_become_links(root: Any) -> None:
    by_id = {card.id: card for card in cards(root.run).cards}
    assert by_id["books"].homepage == ""
    assert by_id["letters"].homepage == "https://example.org/letters"
    assert by_id["books"].approved_by == ""
    assert cards(root.run).skipped == (("absent", "apt-get is not on this machine"),)


def test_provenance_names_digests_and_how_to_verify(root: Any) -> None:
    found = provenance(root.store, root.run)
    assert {made.stage for made in found.datasets} == set(root.run.datasets)
    assert all(len(made.digest) == 64 for made in found.datasets)
    root_of = ["--root", root.store.root]
    assert [shlex.split(command)[1:] for command, _ in found.commands] == [
        ["release", "verify", "test-2026", *root_of],
        ["run", root.run.recipe, *root_of],
        ["explain", "ID", "--run", root.run.run_id, *root_of],
        ["catalog", "query", ANY, "--run", root.run.run_id, *root_of],
    ]


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 0, "–"), (1, 3, "33.3 %"), (1, 10**6, "<0.1 %"), (0, 5, "0.0 %")],
)
def test_percent_small_and_empty_wholes_are_said(part: int, whole: int, told: str) -> None:
    assert numerals.percent(part, whole) == told


def test_megabytes_few_bytes_do_not_read_as_nothing() -> None:
    assert [numerals.megabytes(n) for n in (0, 1, 12_345, 1_234_567_890, None)] == [
        "0.0", "<0.001", "0.012", "1,234.6", "–"
    ]  # fmt: skip


def test_histogram_labels_are_escaped_and_described() -> None:
    chart = histogram("x", "Title", "unit", [("<b>", 2), ("c", 0)])
    assert "<b>" not in chart
    assert "<desc" in chart
    assert "&lt;b&gt;: 2; c: 0" in chart


def test_stacked_nothing_at_all_draws_no_parts() -> None:
    assert 'width="0"' in stacked("x", "Title", [("kept", 0, "kept")]).replace("0.0", "0")


def test_heat_any_share_above_nothing_has_a_shade() -> None:
    assert [heat(0, 9), heat(1, 1000), heat(9, 9), heat(1, 0)] == [
        "heat-0", "heat-1", "heat-8", "heat-0"
    ]  # fmt: skip
