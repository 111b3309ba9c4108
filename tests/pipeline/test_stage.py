"""Tasks: as JSON and back; what counts as made; what stands in a key."""

import importlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.manifest import File, Shard, commit
from phloem.catalog.store import Store
from phloem.pipeline import stage
from phloem.pipeline.stage import RUNS, Task, made, missing, run_task, shard_key

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
TASKS = st.builds(
    Task,
    stage=st.sampled_from(sorted(RUNS)),
    makes=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    label=TEXTS,
    bytes=st.integers(0, 2**60),
    work=JSON,
)


@given(TASKS)
def test_task_comes_back_from_json_as_it_was(task: Task) -> None:
    text = task.to_json()
    assert Task.from_json(text) == task
    assert "\n" not in text


@pytest.mark.parametrize("name", RUNS)
def test_stages_name_functions_that_there_are(name: str) -> None:
    module, _, function = RUNS[name].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_run_task_calls_the_function_of_its_stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = Task("ingest", (), "", 0, {})
    monkeypatch.setattr(
        "phloem.pipeline.stages.ingest.run", lambda store, given: [store.root, given]
    )
    assert run_task(Store(tmp_path), task) == [str(tmp_path), task]


# What is made -------------------------------------------------------------------------------------
PAIR = Task("measure", (("clean", "k"), ("measure", "k")), "two shards", 9, {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A root where one task has committed both of its shards."""
    found = Store(tmp_path)
    for name, key in PAIR.makes:
        files = []
        for file, data in [("a.bin", b"12345"), ("empty.bin", b"")]:
            sha256 = found.write_bytes(f"{name}/{key}/{file}", data)
            files.append(File(file, sha256, len(data)))
        commit(found, Shard(name, key, tuple(files), {"documents": 1}))
    return found


def test_made_is_every_shard_of_a_task_in_its_order(store: Store) -> None:
    found = made(store, PAIR)
    assert [(shard.stage, shard.key) for shard in found or []] == list(PAIR.makes)
    assert missing(store, [PAIR]) == []


@pytest.mark.parametrize("name", ["clean/k", "measure/k"])
@pytest.mark.parametrize("file", ["a.bin", "empty.bin", "shard.json"])
@pytest.mark.parametrize("how", ["gone", "cut", "longer"])
def test_made_is_none_after_a_file_is(store: Store, name: str, file: str, how: str) -> None:
    path = Path(store.path(f"{name}/{file}"))
    data = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(data[:-1] if how == "cut" else data + b"}")
    if (file, how) == ("empty.bin", "cut"):  # nothing to cut: as it was
        assert made(store, PAIR)
    else:
        assert made(store, PAIR) is None
        assert missing(store, [PAIR]) == [PAIR]


def test_made_is_none_wherever_a_commit_was_cut_short(store: Store) -> None:
    path = Path(store.path("clean/k/shard.json"))
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert made(store, PAIR) is None
    path.write_bytes(whole)
    assert made(store, PAIR)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"files": null}', "\udcff", '"text"'])
def test_made_is_none_where_a_commit_says_something_else(store: Store, text: str) -> None:
    Path(store.path("clean/k/shard.json")).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert made(store, PAIR) is None


def test_missing_keeps_the_order_of_tasks(store: Store) -> None:
    tasks = [Task("ingest", (("ingest", key),), key, 1, {}) for key in "cab"]
    assert missing(store, [tasks[0], PAIR, *tasks[1:]]) == tasks


# Keys ---------------------------------------------------------------------------------------------
def test_shard_key_depends_on_all_that_can_change_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        shard_key("filter", {"min": 1}, ["x"]),
        shard_key("dedup", {"min": 1}, ["x"]),
        shard_key("filter", {"min": 2}, ["x"]),
        shard_key("filter", {"min": 1}, ["x", "y"]),
        shard_key("filter", {"min": 1}, ["y", "x"]),
    ]
    monkeypatch.setitem(stage.VERSIONS, "filter", 99)
    keys.append(shard_key("filter", {"min": 1}, ["x"]))
    monkeypatch.setattr(pa, "__version__", "0.1")
    keys.append(shard_key("filter", {"min": 1}, ["x"]))
    assert len(set(keys)) == len(keys)


def test_shard_key_of_one_spec_is_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shard_key("filter", {"a": 1, "b": {"c": 2, "d": 3}}, ["x"])
    monkeypatch.setitem(stage.VERSIONS, "dedup", 99)
    assert shard_key("filter", {"b": {"d": 3, "c": 2}, "a": 1}, ["x"]) == before
