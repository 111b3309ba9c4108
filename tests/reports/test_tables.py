"""Sections that are tables of counts."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import ANY

import pyarrow as pa
import pytest

from phloem.catalog.columns import DECLARED_LANGUAGE
from phloem.catalog.manifest import read_arrow, read_parquet, write_arrow, write_parquet
from phloem.catalog.released import load_release
from phloem.catalog.story import explain
from phloem.reports import numerals
from phloem.reports.cards import cards
from phloem.reports.charts import heat, histogram, stacked
from phloem.reports.languages import languages
from phloem.reports.licenses import licenses
from phloem.reports.personal import personal
from phloem.reports.provenance import provenance
from phloem.reports.quarantine import quarantine
from phloem.reports.tokens import load_token_counts, tokens

KEPT = (
    *(("books", name) for name in ("harbour", "hostile")),
    *(("letters", name) for name in ("mail", "ar", "hi", "th", "zh")),
)


def _tokens(root: Any, source: str, name: str) -> int:
    """How many tokens became of a document."""
    found = explain(root.store, root.ids[source, name]).tokens
    assert found is not None
    return found.count


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
    root = build(without="measure")
    assert not personal(root.store, root.run).looked


def test_licenses_known_run_splits_documents_bytes_and_tokens(counted: Any) -> None:
    found = licenses(counted.connection, counted.run)
    assert [(own.expression, own.documents, own.dropped, own.tokens) for own in found] == [
        ("CC0-1.0", 7, 0, load_release(counted.store, counted.run.release).tokens),
        ("CC-BY-NC-4.0", 0, 1, 0),
    ]
    assert found[0].obligations == ()
    assert found[1].obligations == ("attribution", "noncommercial")
    assert found[0].sources == ("books", "letters")


def test_licenses_reference_of_the_record_is_known(build: Any, known: Any) -> None:
    documents = [
        known.Document("1", known.HARBOUR),
        known.Document("2", "x", license="LicenseRef-port"),
    ]
    root = build({"a": documents}, license_refs={"LicenseRef-port": ["attribution"]})
    load_token_counts(root.connection, root.store, root.run)
    found = {own.expression: own for own in licenses(root.connection, root.run)}
    assert found["LicenseRef-port"].obligations == ("attribution",)


def test_languages_declared_and_found_are_told_apart(counted: Any, known: Any) -> None:
    found = languages(counted.connection, counted.store, counted.run)
    assert ("ja", "zh", 1, 1) in found.confusions
    assert (found.agreeing, found.contradicted) == (10, 2)
    assert (found.undecided, found.undeclared) == (2, 0)  # an op failed on one, one has no words
    by_tag = {own.tag: own for own in found.languages}
    assert (by_tag["en"].read, by_tag["en"].kept) == (7, 2)
    english = (("books", "harbour"), ("letters", "mail"))
    assert by_tag["en"].tokens == sum(_tokens(counted, *name) for name in english)
    (text,) = (own.text for own in known.DOCUMENTS["letters"] if own.id == "hi")
    per_byte = _tokens(counted, "letters", "hi") / len(text.encode())
    assert by_tag["hi"].tokens_per_byte == pytest.approx(per_byte)
    assert by_tag["bug"].tokens_per_byte is None


SPOKEN = {
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "th": "สวัสดี",
    "zh": "你好",
    "und": "12 345",
}


@pytest.fixture(scope="module")
def spoken(known: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The root of `SPOKEN`, each text named by its language."""
    documents = {"a": [known.Document(tag, text) for tag, text in SPOKEN.items()]}
    return known.made(tmp_path_factory.mktemp("spoken"), documents, {"a": {"languages": ["und"]}})


def declare(root: Any, tag: str | None) -> None:
    """As if the source gave each document this tag, and the texts were found as they were."""
    (shard,) = root.shards("clean")
    table = declaring(read_parquet(root.store, shard.path("hashes.parquet")), tag)
    write_parquet(root.store, shard.folder, "hashes.parquet", table)


def declaring(table: pa.Table, tag: str | None) -> pa.Table:
    """The table with this tag for every document."""
    place = table.schema.get_field_index(DECLARED_LANGUAGE.name)
    column = pa.array([tag] * len(table), DECLARED_LANGUAGE.type)
    return table.set_column(place, DECLARED_LANGUAGE.field, column)


@pytest.mark.parametrize("of_card", [["und"], [], ["vi", "und"]])
@pytest.mark.parametrize("own", [None, "und", "", "th"])
def test_languages_that_nobody_declares_are_not_contradicted(
    known: Any, spoken: Any, tmp_path: Path, of_card: list[str], own: str | None
) -> None:
    """`und` declares nothing, of a card or of a document: the other one speaks, if it does."""
    changed = spoken.copy(tmp_path / "root")
    declare(changed, own)
    card = {**spoken.record["sources"]["a"], "languages": of_card}
    root = known.opened(changed, sources={"a": card})
    load_token_counts(root.connection, root.store, root.run)
    found = languages(root.connection, root.store, root.run)
    declared = "th" if own == "th" else "vi" if "vi" in of_card else None
    bearing = (found.agreeing, found.contradicted, found.undecided, found.undeclared)
    assert bearing == ((1, 2, 1, 0) if declared else (0, 0, 0, 4))
    others = [tag for tag in SPOKEN if tag not in ("und", declared)] if declared else []
    assert [row[:2] for row in found.confusions] == [(declared, tag) for tag in sorted(others)]
    assert {own.tag: own.declared for own in found.languages}["und"] == 0


def test_languages_of_a_root_of_an_earlier_version_are_read_with_the_text(
    known: Any, spoken: Any, tmp_path: Path
) -> None:
    changed = spoken.copy(tmp_path / "root")
    (clean,), (ingested,) = changed.shards("clean"), changed.shards("ingest")
    hashes = read_parquet(changed.store, clean.path("hashes.parquet"))
    without = hashes.drop_columns([DECLARED_LANGUAGE.name])
    write_parquet(changed.store, clean.folder, "hashes.parquet", without)
    name = "text-00000.arrow"
    table = declaring(read_arrow(changed.store, ingested.path(name)).read_all(), "th")
    write_arrow(changed.store, ingested.folder, name, table.schema, iter(table.to_batches()))
    root = known.opened(changed)
    load_token_counts(root.connection, root.store, root.run)
    found = languages(root.connection, root.store, root.run)
    assert (found.agreeing, found.contradicted, found.undecided, found.undeclared) == (1, 2, 1, 0)


def test_languages_run_without_tokens_has_no_fertility(build: Any) -> None:
    root = build(without="tokenize")
    load_token_counts(root.connection, root.store, root.run)
    found = languages(root.connection, root.store, root.run)
    assert {own.tokens for own in found.languages} == {None}


def test_tokens_known_run_by_source_and_length(counted: Any) -> None:
    found = tokens(counted.connection, counted.store, counted.run)
    counts = {place: _tokens(counted, *place) for place in KEPT}
    books, letters = (
        sum(n for (source, _), n in counts.items() if source == own) for own in ("books", "letters")
    )
    assert [(own.source, own.documents, own.tokens) for own in found.sources] == [
        ("letters", 5, letters),
        ("books", 2, books),
    ]
    powers = Counter(2 ** (count.bit_length() - 1) for count in counts.values())
    assert {int(bound): documents for bound, documents in found.bins if documents} == powers
    assert (found.longest, found.median) == (max(counts.values()), median(counts.values()))


def test_quarantine_reading_and_measuring_are_both_listed(root: Any, known: Any) -> None:
    troubles = {own.source: own for own in quarantine(root.connection)}
    first, second = troubles["letters"], troubles["books"]
    assert (first.reason, first.records) == ("not JSON", 1)
    rows = [asdict(own) for own in known.DOCUMENTS["letters"]]  # a line each, before the bad one
    size = sum(len(json.dumps(row, ensure_ascii=False).encode()) + 1 for row in rows)
    assert first.where == f"letters.jsonl, byte {size:,}"
    assert (second.reason, second.met) == ("frail_rewrite: too long", "measuring")


def test_stages_cached_stage_claims_no_speed(root: Any) -> None:
    read = replace(root.run.stages[0], bytes=8_000_000, cpu_seconds=4.0)
    again = replace(read, cached=read.tasks)
    assert [own.megabytes_per_cpu_second for own in (read, again)] == [2.0, None]


def test_cards_only_web_addresses_become_links(root: Any) -> None:
    said = {**root.run.sources["books"], "homepage": "javascript:alert(1)"}
    run = replace(root.run, sources={**root.run.sources, "books": said})
    by_id = {card.id: card for card in cards(run)}
    assert by_id["books"].homepage == ""
    assert by_id["letters"].homepage == "https://example.org/letters"
    assert by_id["books"].approved_by == ""


def test_provenance_names_digests_and_how_to_verify(root: Any) -> None:
    found = provenance(root.store, root.run)
    assert {made.stage for made in found.datasets} == set(root.run.datasets)
    assert all(len(made.digest) == 64 for made in found.datasets)
    root_of = ["--root", root.store.root]
    assert [shlex.split(command)[1:] for command, _ in found.commands] == [
        ["release", "verify", root.run.release, *root_of],
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
