"""Counts of a source: added exactly, part of the keys, and the same bytes whoever makes them."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_engine import finish, inline, job_of
from rich.console import Console
from tiny_workspace import (
    ARTICLES,
    add_source,
    change_recipe,
    digests,
    make_workspace,
    new_root,
    recipe_of,
    redone,
    run_tiny,
    write_jsonl,
)
from unguarded import unguard

from phloem.catalog.columns import DECLARED_LANGUAGES, LANGUAGE, TEXT
from phloem.catalog.gc import layout, named, waste
from phloem.catalog.manifest import (
    COMMIT,
    File,
    Ref,
    read_arrow,
    read_parquet,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.counted import COUNTS
from phloem.filters.frequent import line_hash
from phloem.filters.op import Op, find_op, op
from phloem.pipeline import share as sharing
from phloem.pipeline.bench import cost
from phloem.pipeline.job import Job, steps
from phloem.pipeline.plan import plan
from phloem.pipeline.recipe import RecipeError
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.review.locking import lock
from phloem.pipeline.share import Share, ShareError, run_share
from phloem.pipeline.stage import missing
from phloem.pipeline.stages import KINDS, count, run_task, tally
from phloem.pipeline.stages.measure import chain
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace
from phloem.sources.formats import read_files

MENU = "Home | News | About us"
NOTICE = "جميع الحقوق محفوظة للناشر"
OWN = "clean: [drop_frequent_lines]\n"
SPLIT_BYTES = 1500


def _rows(count_: int, menu: str = MENU) -> list[dict[str, Any]]:
    """Documents of one line of their own each, between two that all of them have."""
    words = ARTICLES["en"].split()
    return [
        {
            "id": f"page-{n:02}",
            "text": f"{menu}\r\n{' '.join(words[n:])} {n}\n  {NOTICE}\n",
            "lang": "en",
        }
        for n in range(count_)
    ]


def _add_own(folder: Path, name: str, own: str = OWN) -> None:
    card = folder / "cards" / f"{name}.yaml"
    card.write_text(card.read_text(encoding="utf-8") + own, encoding="utf-8")
    list(lock(load_workspace(folder), [name]))


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of the same pages in several files each, of which one is counted."""
    folder = make_workspace(tmp_path_factory.mktemp("count") / "workspace")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(read_files, "SPLIT_BYTES", SPLIT_BYTES)
        for name in ("first", "second"):
            add_source(folder, name, _rows(12))
        _add_own(folder, "first")
    change_recipe(folder, "dedup: {bands: 14, rows: 8, jaccard: 0.7}\n", "")
    change_recipe(folder, "statistics, minhash, pii]", "statistics, pii]")
    return folder


@pytest.fixture
def workspace(
    made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A copy to change, and an empty root."""
    unguard(monkeypatch)  # where SPLIT_BYTES is what it is here
    monkeypatch.setattr(read_files, "SPLIT_BYTES", SPLIT_BYTES)
    folder = Path(shutil.copytree(made_once, tmp_path / "workspace"))
    for card in (folder / "cards").glob("*.yaml"):
        text = card.read_text(encoding="utf-8")
        card.write_text(text.replace(str(made_once), str(folder)), encoding="utf-8")
    return folder, new_root(tmp_path / "root")


def _measured(folder: Path, root: Path) -> tuple[Job, dict[str, int], dict[str, Any]]:
    """The job with all done up to `measure`, how many tasks of each stage were, and its shards."""
    job, store = job_of(folder, root), Store(str(root))
    made: dict[str, Any] = {}
    done: Counter[str] = Counter()
    going = steps(job, store, made)
    step = next(going)
    while step.stage in ("ingest", "count", "tally", "measure"):
        done[step.stage] += len(missing(store, step.tasks))
        step = going.send([run_task(store, task) for task in step.tasks])
    going.close()
    return job, {stage: number for stage, number in done.items() if number}, made


def _texts(store: Store, made: dict[str, Any], source: str) -> list[str]:
    return [
        text
        for shard in made["clean"]
        if shard.facts["source"] == source
        for text in read_arrow(store, shard.path("text.arrow")).read_all()["text"].to_pylist()
    ]


def _keys(made: dict[str, Any], source: str) -> list[str]:
    shards = (*made["clean"], *made["measure"])
    return [shard.key for shard in shards if shard.facts["source"] == source]


# What comes out -----------------------------------------------------------------------------------
def test_frequent_lines_of_all_files_go_from_the_source_that_asks_for_it(
    workspace: tuple[Path, Path],
) -> None:
    folder, root = workspace
    job, _, made = _measured(folder, root)
    store = Store(str(root))
    assert len(made["count"]) > 2  # no file holds the line ten times
    assert {shard.facts["source"] for shard in made["count"]} == {"first"}
    assert all(shard.facts["documents"] < 10 for shard in made["count"])
    assert job.stages[:4] == ("ingest", "count", "tally", "measure")
    (tally,) = made["tally"]
    hashes = read_parquet(store, tally.path("frequent.parquet"))["hash"].to_pylist()
    assert hashes == sorted([line_hash(MENU), line_hash(NOTICE)])
    own, plain = (_texts(store, made, source) for source in ("first", "second"))
    assert len(own) == len(plain) == 12
    assert not [text for text in own if MENU in text or NOTICE in text]
    assert [f"{MENU}\n{text}\n  {NOTICE}" for text in own] == plain


def test_card_that_counts_nothing_has_no_step_and_the_keys_that_it_had(
    workspace: tuple[Path, Path],
) -> None:
    folder, root = workspace
    _, _, made = _measured(folder, root)
    card = folder / "cards" / "first.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace(OWN, ""), encoding="utf-8")
    job, done, plain = _measured(folder, root)
    assert "count" not in job.stages
    assert "count" not in plain
    assert done == {"measure": len(made["count"])}  # of the first source
    assert _keys(plain, "second") == _keys(made, "second")
    assert not set(_keys(plain, "first")) & set(_keys(made, "first"))


def test_recipe_may_count_for_all_of_its_sources_each_alone(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    card = folder / "cards" / "first.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace(OWN, ""), encoding="utf-8")
    add_source(folder, "second", _rows(5))
    change_recipe(folder, "[nfc, whitespace,", "[nfc, whitespace, drop_frequent_lines,")
    _, _, made = _measured(folder, root)
    store = Store(str(root))
    assert len(made["tally"]) == 2
    assert not [text for text in _texts(store, made, "first") if MENU in text]
    assert len([text for text in _texts(store, made, "second") if MENU in text]) == 5


def test_line_is_counted_as_the_rewrites_before_leave_it(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    rows = _rows(12)
    for number, row in enumerate(rows):
        row["text"] = row["text"].replace(MENU, f"{MENU} [{number}]")
    add_source(folder, "first", rows)
    marks = ", ".join(f'" [{number}]"' for number in range(12))
    strip = f"{{strip_substrings: {{substrings: [{marks}]}}}}"
    _add_own(folder, "first", f"clean:\n  - {strip}\n  - drop_frequent_lines\n")
    _, _, made = _measured(folder, root)
    assert not [text for text in _texts(Store(str(root)), made, "first") if MENU in text]


def test_cost_of_a_count_is_that_of_the_text_that_is_counted(
    workspace: tuple[Path, Path],
) -> None:
    folder, root = workspace
    job, _, made = _measured(folder, root)
    size, known = cost.size_of(job, Store(str(root)), cost.measured())
    assert known
    assert size.counted_bytes == sum(
        file.bytes
        for shard in made["ingest"]
        if shard.facts["source"] == "first"
        for file in shard.files
        if file.name.startswith("text-")
    )
    found = {each.stage for each in cost.costs(size, cost.load_prices(), cost.measured())}
    assert found >= {"count", "tally"}


# What is done again -------------------------------------------------------------------------------
def test_run_again_counts_nothing(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    _measured(folder, root)
    _, done, _ = _measured(folder, root)
    assert done == {}


def test_changed_file_that_takes_a_line_below_the_bound_remakes_its_source_and_no_other(
    workspace: tuple[Path, Path],
) -> None:
    folder, root = workspace
    _, _, before = _measured(folder, root)
    rows = _rows(12)
    for row in rows[-3:]:
        row["text"] = row["text"].replace(MENU, "Menu")
    write_jsonl(folder / "first.jsonl", rows)
    list(lock(load_workspace(folder), ["first"]))
    _, done, after = _measured(folder, root)
    assert done["tally"] == 1
    assert done["measure"] == len(after["count"])
    texts = _texts(Store(str(root)), after, "first")
    assert len([text for text in texts if MENU in text]) == 9
    assert not [text for text in texts if NOTICE in text]
    assert _keys(after, "second") == _keys(before, "second")


def test_changed_file_that_leaves_the_frequent_lines_remakes_itself_alone(
    workspace: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = workspace
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 3000)
    first = folder / "first"
    first.mkdir()
    for number in range(3):
        write_jsonl(first / f"{number}.jsonl", _rows(12)[4 * number : 4 * number + 4])
    card = folder / "cards" / "first.yaml"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("first.jsonl", "first/*.jsonl"), encoding="utf-8")
    list(lock(load_workspace(folder), ["first"]))
    _, _, before = _measured(folder, root)
    assert len(before["count"]) == 3
    rows = _rows(12)[8:]
    rows[0]["text"] += "One line more, of its own."
    write_jsonl(first / "2.jsonl", rows)
    list(lock(load_workspace(folder), ["first"]))
    _, done, after = _measured(folder, root)
    assert done == {"ingest": 1, "count": 1, "tally": 1, "measure": 1}
    assert after["tally"][0].files == before["tally"][0].files
    assert (
        len(set(_keys(after, "first")) - set(_keys(before, "first"))) == 4
    )  # text and three measures


def test_other_bound_adds_up_the_same_counts(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    _measured(folder, root)
    card = folder / "cards" / "first.yaml"
    own = "clean: [{drop_frequent_lines: {occurrences: 13}}]\n"
    card.write_text(card.read_text(encoding="utf-8").replace(OWN, own), encoding="utf-8")
    _, done, made = _measured(folder, root)
    assert done == {"tally": 1, "measure": len(made["count"])}
    assert len([text for text in _texts(Store(str(root)), made, "first") if MENU in text]) == 12


def test_tally_whose_file_was_cut_is_made_again(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    _, _, made = _measured(folder, root)
    victim = root / made["tally"][0].path("frequent.parquet")
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    planned = {each.stage: each.missing for each in plan(job_of(folder, root), Store(str(root)))}
    assert (planned["count"], planned["tally"], planned["measure"]) == (0, 1, None)
    _, done, _ = _measured(folder, root)
    assert done == {"tally": 1}
    assert victim.read_bytes() == whole


def test_counts_are_the_same_bytes_however_few_are_held(
    workspace: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = workspace
    _, _, made = _measured(folder, root)
    monkeypatch.setattr(count, "PENDING", 1)
    monkeypatch.setattr(tally, "AT_ONCE", 3)
    _, _, again = _measured(folder, new_root(tmp_path / "again"))
    for stage in ("count", "tally"):
        assert [shard.digest for shard in again[stage]] == [shard.digest for shard in made[stage]]


# Errors -------------------------------------------------------------------------------------------
def test_chain_that_counts_twice_is_refused_by_name(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    change_recipe(folder, "[nfc, whitespace,", "[nfc, drop_frequent_lines, whitespace,")
    with pytest.raises(RecipeError, match="first: 2 ops of its card and the recipe count"):
        job_of(folder, root)


def test_recipe_that_counts_twice_is_refused(workspace: tuple[Path, Path]) -> None:
    folder, _ = workspace
    twice = "[nfc, drop_frequent_lines, {drop_frequent_lines: {min_chars: 3}}, whitespace,"
    change_recipe(folder, "[nfc, whitespace,", twice)
    with pytest.raises(RecipeError, match=r"drop_frequent_lines, drop_frequent_lines count"):
        recipe_of(folder)


# Adding -------------------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(
        st.dictionaries(st.integers(0, 2**64 - 1) | st.integers(0, 9), st.integers(1, 5)),
        min_size=1,
        max_size=4,
    ),
    at_once=st.integers(1, 20),
)
def test_sums_of_files_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, parts: list[dict[int, int]], at_once: int
) -> None:
    store = Store(str(tmp_path_factory.mktemp("sums")))
    names = []
    for number, part in enumerate(parts):
        hashes = np.array(sorted(part), np.uint64)
        counts = np.array([part[each] for each in sorted(part)], np.int64)
        table = pa.table([hashes, counts], schema=COUNTS)
        names.append(_ref(write_parquet(store, "count/k", f"{number}.parquet", table)))
    found: list[tuple[int, int]] = []
    for hashes, counts in tally.sums(store, names, at_once=at_once):
        found += zip(hashes.tolist(), counts.tolist(), strict=True)
    total: Counter[int] = Counter()
    for part in parts:
        total.update(part)
    assert found == sorted(total.items())


def _ref(file: File) -> Ref:
    return Ref(f"count/k/{file.name}", file.sha256, file.bytes, file.rows)


def test_sums_read_files_of_many_row_groups_range_by_range(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    rows = 150_000
    hashes = np.unique(np.random.default_rng(3).integers(0, 2**64, rows, dtype=np.uint64))
    table = pa.table([hashes, np.ones(len(hashes), np.int64)], schema=COUNTS)
    names = [_ref(write_parquet(store, "count/k", name, table)) for name in ("a", "b")]
    found = list(tally.sums(store, names, at_once=20_000))
    assert len(found) == 15
    assert max(len(own) for own, _ in found) < 20_000
    assert np.array_equal(np.concatenate([own for own, _ in found]), hashes)
    assert all((counts == 2).all() for _, counts in found)


def test_before_are_rewrites_and_what_they_read() -> None:
    @op(reads=[TEXT, LANGUAGE], writes=[TEXT])
    def by_language(batch: pa.RecordBatch) -> list[pa.Array]:
        return [batch["text"]]

    names = ("nfc", "language", "statistics", "drop_frequent_lines", "whitespace")
    nfc, language, statistics, counts, whitespace = (find_op(name, {}) for name in names)

    def needed(*ops: Op) -> list[str]:
        place = count.counting(ops)
        assert place is not None
        return [each.name for each in count.before(ops, place)]

    assert needed(nfc, language, statistics, counts, whitespace) == ["nfc"]
    assert needed(nfc, language, statistics, by_language, counts) == [
        "nfc", "language", "by_language",
    ]  # fmt: skip
    assert count.counting([nfc, language]) is None


def test_key_of_a_count_depends_on_declared_languages_only_if_they_are_read(
    workspace: tuple[Path, Path],
) -> None:
    folder, root = workspace
    job, _, made = _measured(folder, root)
    card = job.cards["first"]
    other = card.model_copy(update={"languages": ("de",)})
    texts = [("first", made["ingest"][0].ref("text-00000.arrow"))]
    measured = chain(card, [find_op("language", {})], ())

    def key(ops: list[Op], source: Any) -> str:
        models = {f.name: Ref("fetched/x", "x", 1) for each in ops for f in each.files}
        (task,) = count.tasks(texts, {"first": ops}, {"first": source}, models, ("", ()))
        return task.makes[0][1]

    def read(batch: pa.RecordBatch) -> list[pa.Array]:
        return [batch["text"]]

    reader = op(reads=[TEXT, DECLARED_LANGUAGES], writes=[TEXT])(read)
    assert key(measured, card) == key(measured, other)
    assert key([reader, *measured], card) != key([reader, *measured], other)


# Whole runs ---------------------------------------------------------------------------------------
def _share(folder: Path, root: Path, stage: str, share: Share) -> None:
    found = load_workspace(folder)
    request = Request(recipe_of(folder), str(root), 1)
    run_share(request, load_registry(found), found, Progress(Console(quiet=True)), stage, share)


def test_measure_waits_for_the_count(
    workspace: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = workspace
    monkeypatch.setattr(sharing, "open_pool", inline)
    _share(folder, root, "ingest", Share(1, 1))
    _share(folder, root, "count", Share(1, 2))
    with pytest.raises(ShareError, match="stage measure needs count first"):
        _share(folder, root, "measure", Share(1, 1))
    _share(folder, root, "count", Share(2, 2))
    with pytest.raises(ShareError, match="stage measure needs tally first, and 1 of its 1 tasks"):
        _share(folder, root, "measure", Share(1, 1))


@pytest.mark.beam
def test_run_counts_the_same_with_one_worker_or_two_or_resumed(
    workspace: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = workspace
    one = run_tiny(folder, root)
    assert {"count", "tally"} <= one["datasets"].keys()
    assert one["balance"]["first"] == {"read": 12, "kept": 12, "dropped": 0, "quarantined": 0}
    expected = digests(root, one)
    two_root, cut_root = new_root(tmp_path / "two"), new_root(tmp_path / "cut")
    two = run_tiny(folder, two_root, workers=2)
    assert digests(two_root, two) == expected
    with monkeypatch.context() as patched:
        patched.setattr(sharing, "open_pool", inline)
        _share(folder, cut_root, "ingest", Share(1, 1))
        _share(folder, cut_root, "count", Share(2, 2))
    resumed = run_tiny(folder, cut_root)
    counted = next(each for each in resumed["stages"] if each["stage"] == "count")
    assert 0 < counted["cached"] < counted["tasks"]
    assert digests(cut_root, resumed) == expected
    assert one["release"] == two["release"] == resumed["release"]
    assert redone(run_tiny(folder, root)) == {}
    store = Store(str(root))
    where = layout(KINDS)
    kept = named(store, where, [], older_than=0.0, now=time.time())
    left = waste(store, where, kept, older_than=0.0, now=time.time() + 10)
    assert not [each for each in left if each.name.startswith(("count/", "tally/"))]
    for stage in ("count", "tally"):
        names = {path.name for path in Path(root, stage).glob("*/*")} - {COMMIT}
        assert all(where.files[stage].fullmatch(name) for name in names)
    release = json.loads(store.read_bytes(f"releases/{one['release']}/release.json"))
    assert {"count", "tally"}.isdisjoint(release["datasets"])


def test_document_of_frequent_lines_only_is_dropped_by_the_ordinary_rules(
    workspace: tuple[Path, Path],
) -> None:
    folder, root = workspace
    rows = [*_rows(12), {"id": "menu", "text": f"{MENU}\n{NOTICE}", "lang": "en"}]
    add_source(folder, "first", rows)
    _add_own(folder, "first")
    store = Store(str(root))
    made: dict[str, Any] = {}
    finish(job_of(folder, root), store, made)
    ledger = [
        row
        for shard in made["decide"]
        if shard.facts["source"] == "first"
        for row in read_parquet(store, shard.path("ledger.parquet")).to_pylist()
    ]
    (empty,) = [row for row in ledger if not row["text_bytes"]]
    assert (empty["verdict"], empty["reason"]) == ("dropped", "too_short")
