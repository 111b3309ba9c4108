"""One document's story, from card to tokens."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from real_root import EMAIL

from phloem.catalog.columns import ID
from phloem.catalog.manifest import (
    Dataset,
    canonical,
    commit,
    key_of,
    read_arrow,
    read_parquet,
)
from phloem.catalog.release import make_release
from phloem.catalog.runs import ViewError
from phloem.catalog.story import explain


def test_explain_kept_document_leads_to_its_tokens_and_release(fresh_root: Any) -> None:
    store, document = fresh_root.store, fresh_root.ids["manual", "intro"]
    make_release(store, fresh_root.run_id, name="first")
    story = explain(store, document)
    assert (story.verdict, story.reason, story.source) == ("kept", None, "manual")
    assert story.card["name"] == "The manual"
    assert story.document["native_id"] == "intro"
    assert (story.pii, story.replaced) == ({"email": 1}, ("email",))
    assert story.releases == ("first",)
    assert story.composed is not None
    assert story.tokens is not None
    row = read_arrow(store, story.composed).get_batch(0).slice(story.composed_row, 1)
    assert row.to_pylist()[0]["id"] == document
    tokens = read_arrow(store, f"{story.tokens.shard}/tokens.arrow").get_batch(0)
    place = tokens[ID.name].to_pylist().index(document)
    assert len(tokens["tokens"][place]) == story.tokens.count
    index = read_parquet(store, f"{story.tokens.shard}/index.parquet").to_pylist()[place]
    assert index["first_token"] == story.tokens.first


def test_explain_reads_the_text_file_of_its_own_run(fresh_root: Any) -> None:
    store, record = fresh_root.store, fresh_root.record
    ingested = Dataset.load(store, record["datasets"]["ingest"])
    moved = []
    for shard in ingested.shards:
        other = dataclasses.replace(shard, key=key_of("ingest", shard.key, []))
        for file in shard.files:
            store.write_bytes(other.path(file.name), store.read_bytes(shard.path(file.name)))
        store.delete(shard.folder)
        moved.append(commit(store, other))
    dataset = Dataset("ingest", ingested.spec, tuple(moved)).save(store)
    later = {
        **record,
        "run_id": "20270101T000000-again",
        "datasets": {**record["datasets"], "ingest": dataset.name},
    }
    store.write_bytes(f"runs/{later['run_id']}.json", canonical(later))
    document = fresh_root.ids["manual", "intro"]
    again = explain(store, document, later["run_id"])
    assert again.document["native_id"] == "intro"
    assert again.ingested == moved[1].path("text-00000.arrow")
    assert again.text_file == moved[1].file("text-00000.arrow").sha256
    before = explain(store, document, record["run_id"])
    assert (before.ingested, before.document, before.verdict) == (None, {}, "kept")


def test_explain_masks_personal_data(built_root: Any) -> None:
    story = explain(built_root.store, built_root.ids["manual", "intro"])
    assert story.excerpt.startswith("Write to <EMAIL> if a page")
    assert EMAIL not in json.dumps(dataclasses.asdict(story), default=str)


def test_explain_dropped_by_rule_shows_value_and_bound_of_its_language(built_root: Any) -> None:
    story = explain(built_root.store, built_root.ids["fables", "2"])
    short, sure = story.rules
    assert (short.name, short.value, short.min, short.passed) == ("too_short", 2, 5.0, False)
    assert sure.passed
    assert (story.verdict, story.reason) == ("dropped", "too_short")
    assert (story.tokens, story.composed, story.releases) == (None, None, ())
    thai = explain(built_root.store, built_root.ids["fables", "5"])
    assert thai.rules[0].min == 1.0


def test_explain_empty_document_is_judged_by_its_length_and_not_by_its_language(
    built_root: Any,
) -> None:
    story = explain(built_root.store, built_root.ids["fables", "6"])
    assert [(rule.value, rule.passed) for rule in story.rules] == [(0, False), (None, True)]
    assert story.excerpt == ""


def test_explain_duplicate_names_the_kept_one_and_back(built_root: Any) -> None:
    loser, winner = built_root.ids["manual", "fox"], built_root.ids["fables", "1"]
    dropped, kept = explain(built_root.store, loser), explain(built_root.store, winner)
    assert dropped.duplicate_of is not None
    assert dropped.reason == "duplicate"
    twin = dropped.duplicate_of
    assert (twin.id, twin.source, twin.similarity) == (winner, "fables", 0.9167)
    assert [copy.id for copy in kept.copies] == [loser]
    assert kept.found_in == ("manual",)


def test_explain_quarantined_document_says_which_op_and_why(built_root: Any) -> None:
    story = explain(built_root.store, built_root.ids["fables", "3"])
    assert story.verdict == "quarantined"
    assert story.faults == {"frail": "text longer than the op can hold"}
    assert story.detail == "frail: text longer than the op can hold"


def test_explain_document_with_a_licence_of_its_own(built_root: Any) -> None:
    story = explain(built_root.store, built_root.ids["manual", "nc"])
    assert (story.license, story.reason) == ("CC-BY-NC-4.0", "license")


def test_explain_rules_of_a_card_come_after_the_recipes(fresh_root: Any) -> None:
    own = {"name": "too_long", "column": "text_bytes", "min": None, "max": 9, "among": None}
    rules = [*fresh_root.record["rules"], own]
    record = {**fresh_root.record, "source_rules": {"manual": rules}}
    fresh_root.store.write_bytes(f"runs/{fresh_root.run_id}.json", canonical(record))
    story = explain(fresh_root.store, fresh_root.ids["manual", "hi"])
    assert (story.rules[2].name, story.rules[2].value) == ("too_long", story.text_bytes)
    assert len(explain(fresh_root.store, fresh_root.ids["fables", "1"]).rules) == 2


def test_explain_finds_every_document_by_its_beginning(built_root: Any) -> None:
    for (source, native_id), document in built_root.ids.items():
        story = explain(built_root.store, document[:12].upper())
        assert (story.id, story.source, story.document["native_id"]) == (
            document,
            source,
            native_id,
        )


def test_explain_ambiguous_beginning_lists_candidates(built_root: Any) -> None:
    firsts = [document[0] for document in built_root.ids.values()]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(ViewError, match="documents begin with") as error:
        explain(built_root.store, twice)
    named = [document for document in built_root.ids.values() if document in str(error.value)]
    assert len(named) == firsts.count(twice)


@pytest.mark.parametrize("asked", ["", "zz", "0" * 32, "' or 1=1 --"])
def test_explain_unknown_document_says_how_ids_look(built_root: Any, asked: str) -> None:
    with pytest.raises(ViewError, match="has no document"):
        explain(built_root.store, asked)


def test_explain_run_without_ledger_says_so(fresh_root: Any) -> None:
    record = {**fresh_root.record, "datasets": {}, "status": "interrupted"}
    fresh_root.store.write_bytes(f"runs/{fresh_root.run_id}.json", canonical(record))
    with pytest.raises(ViewError, match="has no ledger: it was interrupted"):
        explain(fresh_root.store, fresh_root.ids["fables", "1"], fresh_root.run_id)


def test_explain_leaves_binary_measures_out(built_root: Any) -> None:
    story = explain(built_root.store, built_root.ids["fables", "1"])
    assert {"language", "language_score", "word_count", "pii_spans"} <= set(story.measures)
    assert "minhash" not in story.measures


def test_explain_shows_no_excerpt_where_nobody_looked_for_personal_data(fresh_root: Any) -> None:
    store = fresh_root.store
    record = json.loads(store.read_bytes(f"runs/{fresh_root.run_id}.json"))
    document = fresh_root.ids["manual", "intro"]
    dataset = Dataset.load(store, record["datasets"]["measure"])
    shards = tuple(shard for shard in dataset.shards if shard.facts["op"] != "pii")
    record["datasets"]["measure"] = dataclasses.replace(dataset, shards=shards).save(store).name
    store.write_bytes(f"runs/{fresh_root.run_id}.json", canonical(record))
    assert explain(store, document).excerpt == ""


def test_explain_of_a_run_whose_manifest_was_changed_says_so(fresh_root: Any) -> None:
    store = fresh_root.store
    name = json.loads(store.read_bytes(f"runs/{fresh_root.run_id}.json"))["datasets"]["decide"]
    store.write_bytes(name, store.read_bytes(name).replace(b'"kept":', b'"kept_":', 1))
    with pytest.raises(ViewError, match="cannot be read"):
        explain(store, fresh_root.ids["manual", "intro"])
