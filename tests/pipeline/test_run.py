"""Whole runs: what comes out, what is done again, and what survives a fault."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_tokenizers import KINDS, saved
from tiny_workspace import (
    ADDRESS,
    SECOND,
    add_source,
    change_recipe,
    digests,
    new_root,
    redone,
    run_tiny,
)
from unguarded import Unguarded

from phloem.catalog.handoff.loader import ReleaseTokens
from phloem.catalog.handoff.tokenizer import TokenizerError
from phloem.catalog.manifest import Dataset, read_arrow
from phloem.catalog.released import load_release
from phloem.catalog.store import Store
from phloem.catalog.story import explain
from phloem.catalog.verify import verify_release
from phloem.catalog.views import connect
from phloem.pipeline.job import LossError
from phloem.pipeline.registry import splits
from phloem.pipeline.registry.fetch import FetchError
from phloem.pipeline.review.locking import lock
from phloem.pipeline.run import RunError
from phloem.pipeline.stage import StageError
from phloem.pipeline.workspace import load_workspace

Finished = tuple[Path, Path, dict[str, Any]]


def _rows(root: Path, sql: str) -> list[tuple[Any, ...]]:
    return connect(Store(str(root))).execute(sql).fetchall()


def _give_tokenizer(folder: Path, kind: str, end: str = "") -> Path:
    path = Path(saved(KINDS[kind][0], folder))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    given = f"tokenizer: {{file: {path}, sha256: {sha256}{end}}}"
    change_recipe(folder, "tokenizer: {train: {vocab_size: 600}}", given)
    return path


def test_run_with_a_given_tokenizer_ends_documents_as_it_declares(copied: Finished) -> None:
    folder, root, _ = copied
    _give_tokenizer(folder, "gemma")
    record = run_tiny(folder, root)
    release = load_release(Store(str(root)), record["release"])
    assert (release.end_token, release.end_id) == ("<eos>", 1)
    assert "Each document ends with the token <eos> (1)." in release.statement
    shards = Dataset.load(Store(str(root)), record["datasets"]["tokenize"]).shards
    for shard in shards:
        found = read_arrow(Store(str(root)), shard.path("tokens.arrow")).read_all()
        assert {row["tokens"][-1] for row in found.to_pylist()} == {1}
    assert verify_release(Store(str(root)), release.name) == []
    again = ReleaseTokens(Store(str(root)), release.name, sequence_length=8, seed=1)
    assert again.end == 1


def test_run_with_a_tokenizer_that_ends_no_document_is_refused_before_it_begins(
    copied: Finished,
) -> None:
    folder, root, _ = copied
    _give_tokenizer(folder, "gemma", ', end: "<stop>"')
    before = sorted(root.glob("tokenize/*"))
    with pytest.raises(TokenizerError, match=r"tokenizer.end is '<stop>', which tokenizer.json"):
        run_tiny(folder, root)
    assert sorted(root.glob("tokenize/*")) == before


def test_run_accounts_for_every_document(finished: Finished) -> None:
    _, root, record = finished
    assert record["balance"] == {
        "first": {"read": 9, "kept": 6, "dropped": 2, "quarantined": 1},
        "second": {"read": 3, "kept": 1, "dropped": 2, "quarantined": 0},
    }
    sql = "select source, reason, count(*) from decisions where reason is not null group by all"
    found = _rows(root, f"{sql} order by all")
    assert found == [("first", "too_short", 2), ("second", "duplicate", 2)]


def test_run_names_the_survivor_of_each_duplicate(finished: Finished) -> None:
    _, root, _ = finished
    rows = _rows(root, "select similarity, duplicate_of from decisions where reason = 'duplicate'")
    assert sorted(similarity == 1.0 for similarity, _ in rows) == [False, True]
    for _, survivor in rows:
        story = explain(Store(str(root)), survivor)
        assert story.verdict == "kept"
        assert story.found_in == ("second",)


def test_run_releases_tokens_that_verify_and_hold_no_address(finished: Finished) -> None:
    _, root, record = finished
    store = Store(str(root))
    assert verify_release(store, record["release"]) == []
    composed = Dataset.load(store, record["datasets"]["compose"])
    texts = [
        text
        for shard in composed.shards
        for text in read_arrow(store, shard.path("text.arrow")).read_all()["text"].to_pylist()
    ]
    assert len(texts) == 7
    assert not any(ADDRESS in text for text in texts)
    assert sum("<EMAIL>" in text for text in texts) == 1
    tokens = ReleaseTokens(store, record["release"], sequence_length=16, seed=1)
    first = next(iter(tokens))
    assert first["tokens"].shape == (16,)


def test_run_again_does_nothing(copied: Finished) -> None:
    folder, root, before = copied
    after = run_tiny(folder, root)
    assert redone(after) == {}
    assert digests(root, after) == digests(root, before)
    assert after["release"] == before["release"]


def test_run_leaves_out_a_source_that_is_gone_where_its_recipe_says_so(copied: Finished) -> None:
    folder, root, before = copied
    add_source(folder, "second", SECOND)  # this copy of its file, free to move
    (folder / "second.jsonl").rename(folder / "elsewhere")
    with pytest.raises(FetchError, match=r"1 of 2 sources .*: second: no file matches"):
        run_tiny(folder, root)
    named = "sources: [first, second]"
    change_recipe(folder, named, f"{named}\non_unavailable: skip\nmix: {{first: 1, second: 3}}")
    after = run_tiny(folder, root)
    assert list(after["skipped"]) == ["second"]
    assert after["balance"] == {"first": before["balance"]["first"]}
    assert {"ingest", "measure", "filter"}.isdisjoint(redone(after))  # its key is in no shard's
    store = Store(str(root))
    release = load_release(store, after["release"])
    assert release.left_out == {"second": after["sources"]["second"]["version"]}
    assert (release.mix, [source.id for source in release.sources]) == ({"first": 1.0}, ["first"])
    assert "Left out, since they were not to be had: second." in release.statement
    assert verify_release(store, release.name) == []
    assert next(iter(ReleaseTokens(store, release.name, sequence_length=16, seed=1)))
    page = store.read_bytes(f"reports/{after['run_id']}/index.html").decode()
    assert "Sources that were skipped" in page
    assert run_tiny(folder, root)["release"] == after["release"]
    (folder / "elsewhere").rename(folder / "second.jsonl")
    whole = run_tiny(folder, root)
    assert (whole["skipped"], digests(root, whole)) == ({}, digests(root, before))
    assert not load_release(store, whole["release"]).left_out


def test_run_leaves_out_a_paused_source_with_its_reason(copied: Finished) -> None:
    folder, root, _ = copied

    def change(source: str, old: str, new: str) -> None:
        path = folder / "cards" / f"{source}.yaml"
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")

    change("second", "status: active", "status: paused\nreason: A takedown is looked into.")
    record = run_tiny(folder, root)
    reason = "it is paused: A takedown is looked into."
    assert record["skipped"] == {"second": reason}
    release = load_release(Store(str(root)), record["release"])
    assert list(release.left_out) == ["second"]
    assert [each.id for each in release.sources] == ["first"]
    page = (root / "releases" / release.name / "ATTRIBUTION.md").read_text("utf-8")
    assert "Left out, since they were not to be had: second." in page
    change("first", "status: active", "status: paused\nreason: So is this.")
    with pytest.raises(RunError, match="2 of 2 sources cannot be read: first: it is paused: So is"):
        run_tiny(folder, root)
    change("first", "status: paused", "status: active")
    change("second", "status: paused", "status: withdrawn")
    with pytest.raises(RunError, match="second: its status is 'withdrawn', not active"):
        run_tiny(folder, root)


def test_run_leaves_out_no_source_whose_bytes_changed_whatever_its_recipe_says(
    copied: Finished,
) -> None:
    folder, root, before = copied
    add_source(folder, "second", SECOND)
    named = "sources: [first, second]"
    change_recipe(folder, named, f"{named}\non_unavailable: skip")
    with (folder / "second.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "more", "text": "more"}\n')
    with pytest.raises(FetchError, match=r"second: second\.jsonl has sha256 .*it was changed"):
        run_tiny(folder, root)
    runs = {path.stem for path in (root / "runs").iterdir()} - {before["run_id"]}
    (failed,) = [json.loads((root / "runs" / f"{run}.json").read_bytes()) for run in runs]
    assert (failed["status"], failed["release"]) == ("failed", None)


@pytest.mark.beam
@pytest.mark.parametrize("workers", [1, 2])
def test_run_in_processes_gives_the_same_bytes(
    workers: int, finished: Finished, tmp_path: Path
) -> None:
    folder, root, plain = finished
    other = new_root(tmp_path / "other")
    record = run_tiny(folder, other, workers)
    assert digests(other, record) == digests(root, plain)
    assert record["release"] == plain["release"]


def test_run_with_a_moved_threshold_measures_nothing(copied: Finished) -> None:
    folder, root, before = copied
    change_recipe(folder, "min: {default: 5,", "min: {default: 2,")
    after = run_tiny(folder, root)
    assert redone(after).keys() <= {"filter", "dedup", "decide", "compose", "tokenizer", "tokenize"}
    assert redone(after)["compose"] == 1  # of two: nothing changed in the other source
    assert after["balance"]["first"]["kept"] == before["balance"]["first"]["kept"] + 1


def test_run_with_a_threshold_that_changes_no_verdict_stops_at_decisions(copied: Finished) -> None:
    folder, root, before = copied
    change_recipe(folder, "min: {default: 5,", "min: {default: 6,")
    after = run_tiny(folder, root)
    assert "filter" in redone(after)
    assert set(redone(after)) <= {"filter", "dedup", "decide"}
    assert digests(root, after)["tokenize"] == digests(root, before)["tokenize"]


def test_run_with_one_op_more_makes_one_file_a_shard(copied: Finished) -> None:
    folder, root, _ = copied
    before = {path.name for path in (root / "measure").iterdir()}
    change_recipe(folder, "statistics, minhash", "statistics, repetition, minhash")
    after = run_tiny(folder, root)
    made = [path for path in (root / "measure").iterdir() if path.name not in before]
    assert (
        sorted(file.name for path in made for file in path.glob("*.parquet"))
        == ["repetition.parquet"] * 2
    )
    assert "ingest" not in redone(after)
    assert "bands" not in redone(after)


def test_run_with_one_source_more_leaves_the_others_as_they_are(copied: Finished) -> None:
    folder, root, _ = copied
    kept = {path: path.stat().st_mtime_ns for path in root.glob("*/*/*") if path.is_file()}
    add_source(folder, "third", [{"id": "x", "text": "Ein kurzer Satz auf Deutsch.", "lang": "de"}])
    change_recipe(folder, "[first, second]", "[first, second, third]")
    after = run_tiny(folder, root)
    assert redone(after)["ingest"] == redone(after)["measure"] == 1
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())


def test_run_rebuilds_a_shard_whose_file_was_cut(copied: Finished) -> None:
    folder, root, before = copied
    victim = next(root.glob("compose/*/text.arrow"))
    victim.write_bytes(victim.read_bytes()[:-10])
    after = run_tiny(folder, root)
    assert redone(after) == {"compose": 1}
    assert digests(root, after) == digests(root, before)


def test_run_without_the_root_of_another_needs_no_file_of_it(copied: Finished) -> None:
    folder, root, before = copied
    moved = root.with_name("moved")
    shutil.move(root, moved)
    assert redone(run_tiny(folder, moved)) == {}
    assert verify_release(Store(str(moved)), before["release"]) == []


def test_run_does_not_depend_on_what_the_root_held_before(copied: Finished, tmp_path: Path) -> None:
    """The same text from another place: all but ingest is shared, and nothing names the old one."""
    folder, root, before = copied
    (folder / "other").mkdir()
    moved = shutil.copy(folder / "first.jsonl", folder / "other" / "first.jsonl")
    card = folder / "cards" / "first.yaml"
    text = re.sub(r"path: .+", f"path: {moved}", card.read_text(encoding="utf-8"))
    card.write_text(text, encoding="utf-8")
    list(lock(load_workspace(folder), ["first"]))
    after = run_tiny(folder, root)
    fresh = new_root(tmp_path / "fresh")
    alone = run_tiny(folder, fresh)
    assert redone(after) == {"ingest": 1}
    assert after["datasets"]["ingest"] != before["datasets"]["ingest"]
    assert digests(root, after) == digests(fresh, alone)
    assert after["release"] == alone["release"]
    for store in (Store(str(root)), Store(str(fresh))):
        (id_,) = connect(store).execute("select min(id) from decisions").fetchone() or ("",)
        assert explain(store, id_).ingested in {
            shard.path(file.name)
            for shard in Dataset.load(store, after["datasets"]["ingest"]).shards
            for file in shard.files
        }


@pytest.mark.beam
def test_run_in_many_splits_and_workers_reads_the_same_documents(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, whole = finished
    monkeypatch.setattr("phloem.sources.formats.read_files.SPLIT_BYTES", 400)
    monkeypatch.setattr(splits, "Guarded", Unguarded)  # where parts are found in this process
    one_root, two_root = new_root(tmp_path / "one"), new_root(tmp_path / "two")
    one, two = run_tiny(folder, one_root), run_tiny(folder, two_root, workers=2)
    assert one["stages"][0]["tasks"] > 4
    assert digests(one_root, one) == digests(two_root, two)
    assert one["balance"] == whole["balance"]
    kept = "select id from decisions where verdict = 'kept' order by id"
    assert _rows(one_root, kept) == _rows(root, kept)


def test_run_stops_after_decide_at_a_source_that_gave_nothing(copied: Finished) -> None:
    folder, root, _ = copied
    add_source(folder, "third", [{"id": "x", "text": "kurz", "lang": "de"}])
    change_recipe(folder, "[first, second]", "[first, second, third]")
    with pytest.raises(LossError, match="third: none of 1 was kept"):
        run_tiny(folder, root)
    record = json.loads(max((root / "runs").iterdir()).read_bytes())
    assert record["status"] == "failed"
    assert "decide" in record["datasets"]
    assert "compose" not in record["datasets"]


@pytest.mark.parametrize("name", ["tokenize/*/tokens.arrow", "decide/*/ledger.parquet"])
def test_run_releases_nothing_made_of_what_a_disk_changed(copied: Finished, name: str) -> None:
    folder, root, record = copied
    victim = min(root.glob(name))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(StageError, match=f"{victim.relative_to(root)} did not hold what was"):
        run_tiny(folder, root)
    again = run_tiny(folder, root)  # it is made anew
    assert digests(root, again) == digests(root, record)
    assert verify_release(Store(str(root)), again["release"]) == []


def test_run_heals_components_that_a_disk_changed(copied: Finished) -> None:
    folder, root, record = copied
    (victim,) = root.glob("candidates/*/members-00000.parquet")
    shutil.rmtree(root / "dedup")  # which opens them
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(RunError, match="is not what was written; run again"):
        run_tiny(folder, root)
    assert digests(root, run_tiny(folder, root)) == digests(root, record)
