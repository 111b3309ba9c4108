"""Releases: made only through the gate, the same bytes for the same inputs, checked to the byte."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from phloem.catalog.manifest import Dataset, canonical, commit
from phloem.catalog.records import RELEASED, append, records
from phloem.catalog.release import GateError, make_release
from phloem.catalog.released import ReleaseError, list_releases, load_release, released_files
from phloem.catalog.verify import verify_release


def _change_record(root: Any, **changes: Any) -> None:
    value = {**root.record, **changes}
    root.store.write_bytes(f"runs/{root.run_id}.json", canonical(value))


def _policy(root: Any, name: str) -> None:
    recipe = root.record["recipe"]
    spec = {**recipe["spec"], "policy": name}
    _change_record(root, recipe={**recipe, "spec": spec})


def test_make_release_counts_what_it_holds(fresh_root: Any) -> None:
    release = make_release(fresh_root.store, fresh_root.run_id, name="first", date="2026-01-31")
    assert (release.name, release.date, release.documents) == ("first", "2026-01-31", 6)
    assert {s.id: s.documents for s in release.sources} == {"fables": 3, "manual": 3}
    assert sum(s.tokens for s in release.sources) == release.tokens > release.documents
    assert release.sources[0].licenses == {"CC0-1.0": 3}
    assert release.mix == {"fables": 2.0, "manual": 1.0}
    assert all(check.passed for check in release.checks)
    assert "No person has approved the sources for this use." in release.statement


def test_make_release_round_trips_through_its_record(fresh_root: Any) -> None:
    release = make_release(fresh_root.store, fresh_root.run_id, name="first")
    assert load_release(fresh_root.store, "first") == release
    assert list_releases(fresh_root.store) == [release]


def test_make_release_twice_gives_the_same_bytes(fresh_root: Any) -> None:
    store, name = fresh_root.store, "releases/first/release.json"
    make_release(store, fresh_root.run_id, name="first")
    before = store.read_bytes(name)
    _change_record(fresh_root, started="2030-01-01T00:00:00+00:00", host="elsewhere", workers=64)
    make_release(store, fresh_root.run_id, name="first")
    assert store.read_bytes(name) == before
    assert b"elsewhere" not in before
    assert fresh_root.record["started"][:10].encode() not in before


def test_make_release_without_a_name_names_it_by_all_that_it_says(fresh_root: Any) -> None:
    first = make_release(fresh_root.store, fresh_root.run_id)
    assert first.name.startswith("tiny-")
    assert make_release(fresh_root.store, fresh_root.run_id).name == first.name
    sources = json.loads(json.dumps(fresh_root.record["sources"]))
    sources["fables"]["attribution"] = "Aesop, translated"
    _change_record(fresh_root, sources=sources)
    assert make_release(fresh_root.store, fresh_root.run_id).name != first.name


def test_make_release_is_recorded_once(fresh_root: Any) -> None:
    first = make_release(fresh_root.store, fresh_root.run_id, name="first")
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    (record,) = records(fresh_root.store, "released")
    assert record["time"] > "2026"
    del record["time"]
    assert record == {
        "kind": "released",
        "release": "first",
        "digest": first.digest,
        "run_id": fresh_root.run_id,
        "policy": "quickstart",
    }


def test_make_release_of_a_run_cut_short_is_refused(fresh_root: Any) -> None:
    store, record = fresh_root.store, fresh_root.record
    ingested = Dataset.load(store, record["datasets"]["ingest"])
    cut = tuple(
        dataclasses.replace(shard, facts={**shard.facts, "rests": 1}) for shard in ingested.shards
    )
    dataclasses.replace(ingested, shards=cut).save(store)
    with pytest.raises(GateError, match="fables: the rest of 1 streams could not be read"):
        make_release(store, fresh_root.run_id)


def test_make_release_of_a_changed_manifest_is_refused(fresh_root: Any) -> None:
    store, name = fresh_root.store, fresh_root.record["datasets"]["tokenize"]
    store.write_bytes(name, store.read_bytes(name).replace(b'"documents":3', b'"documents":4'))
    with pytest.raises(ReleaseError, match="was changed"):
        make_release(store, fresh_root.run_id)


def test_make_release_under_a_taken_name_is_refused(fresh_root: Any) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    with pytest.raises(ReleaseError, match="first with other contents exists"):
        make_release(fresh_root.store, fresh_root.run_id, name="first", date="2026-02-01")


def test_make_release_that_fails_the_gate_tells_all_and_writes_nothing(fresh_root: Any) -> None:
    _policy(fresh_root, "production")
    with pytest.raises(GateError) as error:
        make_release(fresh_root.store, fresh_root.run_id, name="first")
    told = str(error.value)
    assert "fables: nobody has approved it" in told
    assert "manual: nobody has approved it" in told
    assert "6 documents; at least 1000" in told
    assert fresh_root.store.list("releases") == []


def test_make_release_leaves_skipped_sources_out(fresh_root: Any) -> None:
    sources = {**fresh_root.record["sources"], "absent": {"status": "draft"}}
    _change_record(fresh_root, sources=sources, skipped={"absent": "it could not be fetched"})
    release = make_release(fresh_root.store, fresh_root.run_id)
    assert [source.id for source in release.sources] == ["fables", "manual"]


@pytest.mark.parametrize("name", ["../out", "A", "a/b", ".hidden", "x" * 101])
def test_make_release_refuses_a_bad_name(fresh_root: Any, name: str) -> None:
    with pytest.raises(ReleaseError, match="is no name for a release"):
        make_release(fresh_root.store, fresh_root.run_id, name=name)


def test_make_release_refuses_a_bad_date(fresh_root: Any) -> None:
    with pytest.raises(ReleaseError, match="is no ISO 8601 date"):
        make_release(fresh_root.store, fresh_root.run_id, date="31.1.2026")


def test_make_release_of_an_unfinished_run_names_what_lacks(fresh_root: Any) -> None:
    _change_record(fresh_root, datasets={}, status="interrupted")
    with pytest.raises(ReleaseError, match="is interrupted and made no decide, compose"):
        make_release(fresh_root.store, fresh_root.run_id)


def test_attribution_credits_every_source(fresh_root: Any) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    page = fresh_root.store.read_bytes("releases/first/ATTRIBUTION.md").decode()
    assert "## The manual" in page
    assert "- Credit: Fables of Aesop" in page
    assert "- Licence: GPL-3.0-or-later OR CC-BY-SA-4.0" in page


def test_sums_list_every_text_and_token_file_once(fresh_root: Any) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    files = released_files(fresh_root.store, "first")
    assert all(fresh_root.store.sha256(name) == digest for name, digest in files.items())
    ends = sorted(name.rsplit("/", 1)[-1] for name in files)
    assert (
        ends.count("tokens.arrow") == ends.count("text.arrow") == ends.count("ledger.parquet") == 2
    )
    assert ends.count("tokenizer.json") == 1


def test_verify_release_whole_finds_nothing(fresh_root: Any) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    assert verify_release(fresh_root.store, "first") == []


def test_verify_release_finds_one_flipped_bit_of_any_file(fresh_root: Any) -> None:
    store = fresh_root.store
    make_release(store, fresh_root.run_id, name="first")
    for name in released_files(store, "first"):
        path = Path(store.path(name))
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert [(f.file, f.problem) for f in verify_release(store, "first")] == [(name, "digest")]
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("what", "problem"),
    [("missing", "missing"), ("cut", "size")],
)
def test_verify_release_finds_a_lost_or_cut_file(fresh_root: Any, what: str, problem: str) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    name = next(n for n in released_files(fresh_root.store, "first") if n.endswith("tokens.arrow"))
    path = Path(fresh_root.store.path(name))
    if what == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2])
    assert [(f.file, f.problem) for f in verify_release(fresh_root.store, "first")] == [
        (name, problem)
    ]


def test_verify_release_finds_a_changed_manifest(fresh_root: Any) -> None:
    store = fresh_root.store
    release = make_release(store, fresh_root.run_id, name="first")
    name = release.datasets["tokenize"]["name"]
    whole = store.read_bytes(name)
    for change in (
        {"files": [{"name": "tokens.arrow", "sha256": "0" * 64, "bytes": 1, "rows": None}]},
        {"facts": {**json.loads(whole)["shards"][0]["facts"], "vocab_size": 9}},
    ):
        manifest = json.loads(whole)
        manifest["shards"][0] |= change
        store.write_bytes(name, canonical(manifest))
        assert [f.problem for f in verify_release(store, "first")] == ["changed manifest"]
    store.delete(name)
    assert [f.problem for f in verify_release(store, "first")] == ["missing"]


@pytest.mark.parametrize("file", ["release.json", "ATTRIBUTION.md", "SHA256SUMS"])
def test_verify_release_finds_a_changed_page_of_the_release(fresh_root: Any, file: str) -> None:
    store = fresh_root.store
    make_release(store, fresh_root.run_id, name="first")
    name = f"releases/first/{file}"
    whole = store.read_bytes(name)
    place = whole.index(b"Fables of") if file == "release.json" else len(whole) // 2
    store.write_bytes(name, whole[:place] + b"_" + whole[place + 1 :])
    findings = verify_release(store, "first")
    assert [f.file for f in findings] == [name]


def test_release_names_what_was_left_out_and_not_why(fresh_root: Any) -> None:
    store = fresh_root.store
    card = fresh_root.record["sources"]["fables"]
    sources = {**fresh_root.record["sources"], "b": card, "a": {**card, "version": None}}
    _change_record(fresh_root, sources=sources, skipped={"b": "2.0 is served", "a": "no npm"})
    release = make_release(store, fresh_root.run_id)
    told = {"a": None, "b": card["version"]}
    assert json.loads(store.read_bytes(f"releases/{release.name}/release.json"))["left_out"] == told
    assert "Left out, since they were not to be had: a, b." in release.statement
    page = store.read_bytes(f"releases/{release.name}/ATTRIBUTION.md").decode()
    assert "\nLeft out, since they were not to be had: a, b.\n" in page
    assert verify_release(store, release.name) == []
    # On another day another version is served: it is the same release.
    _change_record(fresh_root, sources=sources, skipped={"b": "3.0 is served", "a": "no npm"})
    assert make_release(store, fresh_root.run_id).name == release.name


def test_release_of_all_sources_says_nothing_of_what_was_left_out(fresh_root: Any) -> None:
    """Its digest is what it was before a release could say so: older releases still hold."""
    whole = make_release(fresh_root.store, fresh_root.run_id, name="whole")
    value = json.loads(fresh_root.store.read_bytes("releases/whole/release.json"))
    assert "left_out" not in value
    assert load_release(fresh_root.store, "whole") == whole
    sources = {**fresh_root.record["sources"], "absent": fresh_root.record["sources"]["fables"]}
    _change_record(fresh_root, sources=sources, skipped={"absent": "gone"})
    assert make_release(fresh_root.store, fresh_root.run_id, name="part").digest != whole.digest


def test_release_mixes_only_what_it_holds(fresh_root: Any) -> None:
    recipe = fresh_root.record["recipe"]
    spec = {**recipe["spec"], "mix": {"absent": 3.0, "fables": 2.0}}
    sources = {**fresh_root.record["sources"], "absent": fresh_root.record["sources"]["fables"]}
    skipped = {"absent": "it could not be fetched"}
    _change_record(fresh_root, recipe={**recipe, "spec": spec}, sources=sources, skipped=skipped)
    release = make_release(fresh_root.store, fresh_root.run_id)
    assert list(release.left_out) == ["absent"]
    assert release.mix == {"fables": 2.0, "manual": 1.0}
    assert [source.id for source in release.sources] == ["fables", "manual"]


def test_load_release_unknown_names_the_nearest(fresh_root: Any) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    with pytest.raises(ReleaseError, match="did you mean first"):
        load_release(fresh_root.store, "firts")


def test_release_is_frozen(fresh_root: Any) -> None:
    release = make_release(fresh_root.store, fresh_root.run_id)
    with pytest.raises(dataclasses.FrozenInstanceError):
        release.name = "other"  # type: ignore[misc]


def test_verify_release_sees_documents_that_end_otherwise_than_it_says(fresh_root: Any) -> None:
    """As a vocabulary's ordinary `</s>` once ended all documents of a release."""
    store, name = fresh_root.store, fresh_root.record["datasets"]["tokenizer"]
    (shard,) = Dataset.load(store, name).shards
    wrong = dataclasses.replace(
        shard, facts={"end_token": "<EMAIL>", "end_id": shard.facts["end_id"]}
    )
    commit(store, wrong)
    saved = dataclasses.replace(Dataset.load(store, name), shards=(wrong,)).save(store)
    assert saved.name == name
    make_release(store, fresh_root.run_id, name="first")
    assert {(f.file, f.problem) for f in verify_release(store, "first")} == {
        (shard.path("tokenizer.json"), "end of document")
    }
    other = dataclasses.replace(shard, facts={"end_token": "!", "end_id": 1})
    dataclasses.replace(Dataset.load(store, name), shards=(commit(store, other),)).save(store)
    make_release(store, fresh_root.run_id, name="second")
    found = verify_release(store, "second")
    assert {f.problem for f in found} == {"end of document"}
    assert {f.expected for f in found} == {"one ! (1) at the end of each"}
    assert all(f.file.endswith("tokens.arrow") and "0 of them at" in f.found for f in found)


def test_verify_release_says_that_nothing_is_known_to_end_its_documents(fresh_root: Any) -> None:
    """As of a release that an earlier version made: a loader refuses it, and this says why."""
    store, name = fresh_root.store, "releases/first/release.json"
    release = make_release(store, fresh_root.run_id, name="first")
    old = dataclasses.replace(release, end_token="", end_id=-1)
    store.write_bytes(name, canonical(old.to_json()))
    told = {"release": "first", "digest": old.to_json()["digest"], "policy": old.policy}
    append(store, RELEASED, {**told, "run_id": fresh_root.run_id})
    assert load_release(store, "first").holds
    (finding,) = verify_release(store, "first")
    assert (finding.file, finding.problem) == (name, "end of document")
