"""Tasks: as JSON and back; what they open, verified; what counts as made; what stands in a key."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.manifest import (
    File,
    Kind,
    Ref,
    Shard,
    commit,
    find,
    read_arrow,
    write_arrow,
)
from phloem.catalog.store import Store
from phloem.pipeline.stage import (
    StageError,
    Task,
    inputs_verified,
    made,
    missing,
    require_whole,
    weights,
)
from phloem.pipeline.stages import BY_NAME, FORMER, KINDS, STAGES, run_task, task_of
from phloem.pipeline.stages.filter import FilterWork, Terms
from phloem.pipeline.stages.ingest import IngestWork
from phloem.pipeline.stages.measure import OpCall
from phloem.pipeline.stages.tally import TallyWork
from phloem.sources.connector import Split
from phloem.sources.limits import Limits

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
REFS = st.builds(
    Ref, path=TEXTS, sha256=TEXTS, bytes=st.integers(0, 2**60), rows=st.none() | st.integers(0, 9),
    is_kept=st.booleans(),
)  # fmt: skip
WORKS = st.one_of(
    st.builds(
        IngestWork, source=TEXTS, connector=TEXTS, params=st.dictionaries(TEXTS, JSON, max_size=3),
        split=st.builds(Split, name=TEXTS, spec=JSON, files=st.lists(TEXTS, max_size=2).map(tuple)),
        files=st.dictionaries(TEXTS, REFS, max_size=3), limits=st.just(Limits()),
        place=st.tuples(TEXTS, st.lists(TEXTS, max_size=2).map(tuple)),
    ),
    st.builds(
        TallyWork, source=TEXTS, occurrences=st.integers(1, 9),
        files=st.lists(REFS, max_size=3).map(tuple),
    ),
)  # fmt: skip


@st.composite
def _tasks(draw: st.DrawFn) -> Task:
    work = draw(WORKS)
    (stage,) = [each for each in STAGES if each.work is type(work)]
    makes = draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple))
    return Task(stage.name, makes, draw(TEXTS), work, draw(st.integers(0, 2**60)))


@given(_tasks())
def test_task_comes_back_from_json_as_it_was(task: Task) -> None:
    text = task.to_json()
    assert task_of(text) == task
    assert "\n" not in text


def test_a_work_that_says_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="oops"):
        task_of('{"stage":"tally","makes":[],"label":"","work":{"oops":1},"shuffled_bytes":0}')


def test_every_kind_of_shard_is_one_stage_s() -> None:
    names = [kind.name for kind in (*KINDS, *FORMER)]
    assert len(set(names)) == len(names)
    assert all(stage.name in {kind.name for kind in stage.makes} for stage in STAGES)


def test_a_task_opens_every_file_that_stands_anywhere_in_its_work_once() -> None:
    refs = [Ref(f"clean/k/{n}", "", 10**n) for n in range(4)]
    kept = Ref("fetched/model", "", 10**9, is_kept=True)
    work = FilterWork(
        source="s", text_file="", hashes=refs[1], rules=(), columns={},
        attributes={"a": refs[0], "b": refs[2], "c": refs[3], "again": refs[1], "model": kept},
        license=Terms(card="MIT", forbidden=(), refs={}),
    )  # fmt: skip
    task = BY_NAME["filter"].task("k", "s", work)
    assert set(task.inputs) == {*refs, kept}
    assert task.bytes == 1111  # a process keeps its models
    assert OpCall(name="nfc", params={}).key is None


def test_weights_share_an_input_among_the_tasks_that_open_it() -> None:
    own = [Ref(f"count/{n}/c", "", 100 * n) for n in (1, 2)]
    both = Ref("count/both/c", "", 50)
    tasks = [
        BY_NAME["tally"].task("k", "", TallyWork(source="s", occurrences=1, files=(each, both)))
        for each in own
    ]
    assert weights(tasks) == [125, 225]
    assert [task.bytes for task in tasks] == [150, 250]
    assert weights([]) == []


# What is opened -----------------------------------------------------------------------------------
COLUMNS = pa.schema([("hash", pa.uint64()), ("count", pa.int64())])


def _counts(store: Store, key: str) -> Ref:
    table = pa.table({"hash": [7], "count": [3]}, COLUMNS)
    file = write_arrow(store, f"count/{key}", "counts.arrow", COLUMNS, iter(table.to_batches()))
    return commit(store, Shard("count", key, (file,))).ref(file.name)


@pytest.fixture(params=["local", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path if request.param == "local" else f"memory://{tmp_path}")


def _flip(store: Store, name: str) -> None:
    data = bytearray(store.read_bytes(name))
    data[len(data) // 2] ^= 1
    store.write_bytes(name, bytes(data))


def test_an_input_that_changed_is_refused_named_and_forgotten(root: Store) -> None:
    ref = _counts(root, "k")
    with inputs_verified(root):
        assert read_arrow(root, ref).read_all().num_rows == 1
    _flip(root, ref.path)
    with (
        pytest.raises(StageError, match=f"{ref.path} is not what was written"),
        inputs_verified(root),
    ):
        read_arrow(root, ref)
    assert not root.exists("count/k/shard.json")  # whoever needs it makes it anew


def test_a_fetched_file_that_changed_is_refused_and_fetched_again(root: Store) -> None:
    sha256 = root.write_bytes("fetched/model", b"weights of a model")
    ref = Ref("fetched/model", sha256, 18)
    with inputs_verified(root):
        path = Path(ref.on_this_machine(root))
        assert path.read_bytes() == b"weights of a model"
    _flip(root, ref.path)
    if not root.is_local:
        assert ref.on_this_machine(root) == str(path)  # the copy that is kept here is sound
        path.unlink()
    with pytest.raises(StageError, match="fetched/model is not what"), inputs_verified(root):
        ref.on_this_machine(root)
    assert not root.exists("fetched/model")


def test_an_input_that_is_gone_is_named(root: Store) -> None:
    ref = _counts(root, "k")
    root.delete("count/k")
    with (
        pytest.raises(StageError, match=r"count/k/counts\.arrow; run again"),
        inputs_verified(root),
    ):
        read_arrow(root, ref)


def test_a_user_s_own_file_that_changed_is_named_and_left_alone(tmp_path: Path) -> None:
    store, own = Store(tmp_path / "root"), tmp_path / "أخبار.jsonl"
    own.write_text("{}", encoding="utf-8")
    ref = Ref(str(own), "0" * 64, 2)
    with pytest.raises(StageError, match="has changed since it was listed"), inputs_verified(store):
        ref.on_this_machine(store)
    assert own.read_text(encoding="utf-8") == "{}"


def test_run_task_refuses_an_input_that_changed(root: Store) -> None:
    work = TallyWork(source="s", occurrences=1, files=(_counts(root, "k"),))
    _flip(root, work.files[0].path)
    with pytest.raises(StageError, match=r"count/k/counts\.arrow is not what was written"):
        run_task(root, BY_NAME["tally"].task("t", "s", work))
    assert not root.exists("tally/t/shard.json")


def test_an_output_that_changed_is_named_and_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shards = []
    for key in "abc":
        _counts(store, key)
        shards += [shard for shard in [find(store, "count", key)] if shard]
    require_whole(store, shards)
    for key in "ac":
        _flip(store, f"count/{key}/counts.arrow")
    with pytest.raises(StageError, match=r"count/a/counts\.arrow, count/c/counts\.arrow did not"):
        require_whole(store, shards)
    assert [find(store, "count", key) is None for key in "abc"] == [True, False, True]


# What is made -------------------------------------------------------------------------------------
NOTHING = TallyWork(source="s", occurrences=1, files=())
PAIR = Task("measure", (("clean", "k"), ("measure", "k")), "two shards", NOTHING)


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


def test_made_is_none_where_a_commit_is_another_shard_s(store: Store) -> None:
    folders = [Path(store.path(name)) for name in ("clean/k", "measure/k")]
    texts = [(folder / "shard.json").read_bytes() for folder in folders]
    for folder, text in zip(folders, reversed(texts), strict=True):
        (folder / "shard.json").write_bytes(text)
    assert made(store, PAIR) is None


@pytest.mark.parametrize(
    ("old", "new"), [('"documents":1', '"documents":2'), ('"facts":{"documents":1}', '"facts":{}')]
)
def test_made_is_none_where_a_commit_says_other_facts(store: Store, old: str, new: str) -> None:
    path = Path(store.path("clean/k/shard.json"))
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert made(store, PAIR) is None


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
    tasks = [Task("ingest", (("ingest", key),), key, NOTHING) for key in "cab"]
    assert missing(store, [tasks[0], PAIR, *tasks[1:]]) == tasks


# Keys ---------------------------------------------------------------------------------------------
def test_key_depends_on_all_that_can_change_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("filter", {})
    keys = [
        kind.key({"min": 1}, ["x"]),
        Kind("dedup", {}).key({"min": 1}, ["x"]),
        Kind("filter", {}, version=2).key({"min": 1}, ["x"]),
        kind.key({"min": 2}, ["x"]),
        kind.key({"min": 1}, ["x", "y"]),
        kind.key({"min": 1}, ["y", "x"]),
    ]
    monkeypatch.setattr(pa, "__version__", "0.1")
    keys.append(kind.key({"min": 1}, ["x"]))
    assert len(set(keys)) == len(keys)


def test_key_of_one_spec_is_one_key() -> None:
    kind = Kind("filter", {})
    before = kind.key({"a": 1, "b": {"c": 2, "d": 3}}, ["x"])
    assert kind.key({"b": {"d": 3, "c": 2}, "a": 1}, ["x"]) == before
