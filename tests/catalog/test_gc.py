"""Garbage collection: what is named stays, what is not goes, and nothing is guessed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.gc import (
    DAY_SECONDS,
    GcError,
    Named,
    NoRootError,
    Waste,
    delete,
    layout,
    named,
    waste,
)
from phloem.catalog.manifest import Dataset, File, Shard, canonical, commit
from phloem.catalog.records import append
from phloem.catalog.release import make_release
from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release
from phloem.pipeline.stages import FORMER, KINDS

NOW = 2_000_000_000.0  # seconds since 1970
OLD, YOUNG = NOW - 2 * DAY_SECONDS, NOW - DAY_SECONDS / 2


WHERE = layout((*KINDS, *FORMER))


def _look(
    store: Store, now: float = NOW, needed: tuple[str, ...] = ()
) -> tuple[Named, list[Waste]]:
    kept = named(store, WHERE, needed, older_than=DAY_SECONDS, now=now)
    return kept, waste(store, WHERE, kept, older_than=DAY_SECONDS, now=now)


def _collect(store: Store, now: float = NOW) -> list[str]:
    kept, found = _look(store, now)
    delete(store, found, kept)
    return [each.name for each in found]


def _date(root: Path, when: float) -> None:
    """Give every file of a root a time of writing."""
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (when, when))


def _files(root: Path) -> set[str]:
    """All but the pages that runs wrote: those are a person's to keep."""
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in files if not name.startswith("reports/2")}


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def old(fresh_root: Any) -> Any:
    """A root with one run, all of it written long ago."""
    _date(Path(fresh_root.store.root), OLD)
    return fresh_root


def _part(name: str) -> str:
    """What `Store.create` calls a file while it writes it; here always the same."""
    return f".{name}.tmp-{'0123456789abcdef' * 2}"


def _run_record(**changed: Any) -> dict[str, Any]:
    return {
        "run_id": "r",
        "recipe": {"name": "r"},
        "status": "done",
        "started": "2020-01-01T00:00:00+00:00",
        "datasets": {},
        **changed,
    }


# A readable reference -----------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Plan:
    """A root in a few numbers: what each run and release names, and what is young."""

    runs: list[set[int]]  # datasets of each run
    releases: list[set[int]]
    datasets: list[set[int]]  # shards of each dataset
    half: set[int]  # shards without a commit
    young: set[str]
    pinned: list[set[int]]  # fetched files that each run names
    noted: set[int]  # shards for whose task a failure was noted


SHARDS, DATASETS, FETCHED = range(6), range(4), range(4)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    some = lambda of: st.sets(st.sampled_from(list(of)))  # noqa: E731
    datasets = [draw(some(SHARDS)) for _ in DATASETS]
    runs = draw(st.lists(some(DATASETS), max_size=3))
    releases = draw(st.lists(some(DATASETS), max_size=2))
    names = [*(f"shard{n}" for n in SHARDS), *(f"fetched{n}" for n in FETCHED)]
    named_shards = {n for run in [*runs, *releases] for d in run for n in datasets[d]}
    return Plan(
        runs=runs,
        releases=releases,
        datasets=datasets,
        half=draw(some(SHARDS)) - named_shards,
        young=draw(some(names)),
        pinned=[draw(some(FETCHED)) for _ in runs],
        noted=draw(some(SHARDS)),
    )


def _shard(number: int) -> Shard:
    data = f"text of shard {number}: สวัสดี".encode()
    file = File("text.arrow", hashlib.sha256(data).hexdigest(), len(data))
    return Shard("clean", f"{number:032x}", (file,), {"number": number})


def _build(root: Path, plan: Plan) -> None:
    """Write a root as planned."""
    store = Store(root)
    datasets = _datasets(plan)
    for dataset in datasets:
        dataset.save(store)
    for number in SHARDS:
        shard = _shard(number)
        store.write_bytes(shard.path("text.arrow"), f"text of shard {number}: สวัสดี".encode())
        if number not in plan.half:
            commit(store, shard)
        store.write_bytes(f"{shard.folder}/{_part('text.arrow')}", b"cut")
    for number in FETCHED:
        store.write_bytes(_fetched(number), b"fetched")
    for number, chosen in enumerate(plan.runs):
        record = _run_record(
            run_id=f"run-{number}",
            datasets={f"stage-{n}": datasets[n].name for n in sorted(chosen)},
            sources={"a": {"files": [{"sha256": _sha(str(n))} for n in plan.pinned[number]]}},
        )
        store.write_bytes(f"runs/run-{number}.json", canonical(record))
    for number, chosen in enumerate(plan.releases):
        _release(store, f"release-{number}", [datasets[n].name for n in sorted(chosen)])
    for number in plan.noted:
        store.write_bytes(f"failures/clean/{number:032x}.json", b"{}")
    append(store, "approved", {"source": "a"})
    _date(root, OLD)
    for name in plan.young:
        kind, number = name[:-1], int(name[-1])
        place = _fetched(number) if kind == "fetched" else _shard(number).path("text.arrow")
        os.utime(root / place, (YOUNG, YOUNG))


def _reference(plan: Plan) -> set[str]:
    """What must stay of a root as planned, but for its records: found the slow and plain way."""
    must = {f"runs/run-{number}.json" for number in range(len(plan.runs))}
    must |= {f"releases/release-{number}/release.json" for number in range(len(plan.releases))}
    for chosen in [*plan.runs, *plan.releases]:
        must |= {_datasets(plan)[n].name for n in chosen}
        for shard in (_shard(n) for d in chosen for n in plan.datasets[d]):
            must |= {f"{shard.folder}/text.arrow", f"{shard.folder}/shard.json"}
    for number in SHARDS:
        folder = _shard(number).folder
        if f"shard{number}" in plan.young and f"{folder}/text.arrow" not in must:
            must |= {f"{folder}/text.arrow", f"{folder}/{_part('text.arrow')}"}
            must |= set() if number in plan.half else {f"{folder}/shard.json"}
        if number in plan.noted & plan.half:
            must.add(f"failures/clean/{number:032x}.json")
    must |= {_fetched(n) for pinned in plan.pinned for n in pinned}
    return must | {_fetched(n) for n in FETCHED if f"fetched{n}" in plan.young}


def _datasets(plan: Plan) -> list[Dataset]:
    return [
        Dataset("clean", {"n": number}, tuple(_shard(n) for n in sorted(shards)))
        for number, shards in enumerate(plan.datasets)
    ]


def _fetched(number: int) -> str:
    return f"fetched/{_sha(str(number))}"


def _release(store: Store, name: str, manifests: list[str]) -> None:
    words = ("date", "recipe", "recipe_digest", "policy", "policy_digest", "digest")
    value = {
        **dict.fromkeys((*words, "tokenizer", "tokenizer_file"), ""),
        **dict.fromkeys(("checks", "unasked", "sources", "statement"), ()),
        **dict.fromkeys(("documents", "tokens"), 0),
        "name": name,
        "mix": {},
        "files": {},
        "datasets": {manifest: {"name": manifest} for manifest in manifests},
    }
    store.write_bytes(f"releases/{name}/release.json", canonical(value))


@given(plans())
def test_gc_leaves_what_the_reference_keeps_and_nothing_else(plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # thousands of files, all to be deleted
        root = Path(folder)
        _build(root, plan)
        records = {name for name in _files(root) if name.startswith("records/")}
        assert len(records) == 1
        _collect(Store(root))
        assert _files(root) == _reference(plan) | records
        assert _collect(Store(root)) == []


# One thing at a time ------------------------------------------------------------------------------
def test_gc_finds_nothing_on_a_root_whose_run_names_all(old: Any) -> None:
    root = Path(old.store.root)
    before = _files(root)
    assert _collect(old.store) == []
    assert _files(root) == before


def test_gc_keeps_what_a_release_holds_though_its_run_was_given_up(old: Any) -> None:
    release = make_release(old.store, old.run_id)
    root = Path(old.store.root)
    _date(root, OLD)
    old.store.delete(f"runs/{old.run_id}.json")
    gone = _collect(old.store)
    assert verify_release(old.store, release.name) == []
    assert {name.split("/")[0] for name in gone} == {
        *("clean", "datasets", "dedup", "ingest", "measure", "candidates", "bands", "filter"),
        *("removals", "fetched", "heartbeats"),  # the model of an op; what its run said
        "commits",
    }
    assert [name for name in _files(root) if name.startswith("records/")] != []


def test_gc_deletes_shards_manifests_and_fetched_files_of_a_run_given_up(old: Any) -> None:
    store, root = old.store, Path(old.store.root)
    pinned = old.record["sources"]["fables"]["files"][0]["sha256"]
    ((model,), mine) = ([path.name for path in (root / "fetched").iterdir()], _sha("mine"))
    for sha256 in (pinned, mine):
        store.write_bytes(f"fetched/{sha256}", b"bytes")
    store.write_bytes("fetched/notes.txt", b"a person's own file")
    store.write_bytes("notes/mine.txt", b"a person's own file")
    _date(root, OLD)
    _, found = _look(store, needed=(model,))
    assert [each.name for each in found] == [f"fetched/{mine}"]
    store.delete(f"runs/{old.run_id}.json")
    kept, found = _look(store, needed=(model,))
    delete(store, found, kept)
    kinds = {"shard", "manifest", "manifest of commits", "fetched file", "heartbeat"}
    assert kinds == {each.kind for each in found}
    assert _files(root) == {f"fetched/{model}", "fetched/notes.txt", "notes/mine.txt"}


def test_gc_counts_what_it_would_free(old: Any) -> None:
    root = Path(old.store.root)
    old.store.delete(f"runs/{old.run_id}.json")
    size = sum((root / name).stat().st_size for name in _files(root))
    _, found = _look(old.store)
    assert sum(each.bytes for each in found) == size
    assert sum(each.files for each in found) == len(_files(root))


def test_gc_leaves_the_young(fresh_root: Any) -> None:
    root = Path(fresh_root.store.root)
    fresh_root.store.delete(f"runs/{fresh_root.run_id}.json")
    _date(root, YOUNG)
    assert _collect(fresh_root.store) == []


@pytest.mark.parametrize("cut", [b"", b'{"recipe": {"name": "sm', b"[]", b"\xff\xfe"])
def test_gc_stops_at_a_run_record_that_was_cut_short(old: Any, cut: bytes) -> None:
    before = _files(Path(old.store.root))
    old.store.write_bytes("runs/20250101T000000Z-broken.json", cut)
    with pytest.raises(GcError, match=r"runs/20250101T000000Z-broken\.json"):
        _look(old.store)
    assert before <= _files(Path(old.store.root))


@pytest.mark.parametrize("kind", ["cut", "changed", "gone"])
def test_gc_stops_at_a_manifest_that_cannot_be_read(old: Any, kind: str) -> None:
    name = old.record["datasets"]["clean"]
    path = Path(old.store.root) / name
    data = path.read_bytes()
    if kind == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-20] if kind == "cut" else data.replace(b'"rows":', b'"sows":', 1))
    with pytest.raises(GcError, match=name):
        _look(old.store)


def test_gc_stops_at_a_release_that_cannot_be_read(old: Any) -> None:
    release = make_release(old.store, old.run_id)
    old.store.write_bytes(f"releases/{release.name}/release.json", b"{")
    with pytest.raises(GcError, match=f"releases/{release.name}/release.json"):
        _look(old.store)


def _beat(store: Store, written: str, *, ended: bool = False) -> None:
    value = {"count": 3, "written": written, "ended": ended, "stages": [], "host": "h"}
    store.write_bytes("heartbeats/20260301T000000Z-now.json", canonical(value))


def _start(store: Store, started: str = "2020-01-01T00:00:00+00:00") -> None:
    record = _run_record(run_id="20260301T000000Z-now", status="running", started=started)
    store.write_bytes("runs/20260301T000000Z-now.json", canonical(record))


def test_gc_deletes_nothing_while_a_run_goes_on(old: Any) -> None:
    root = Path(old.store.root)
    old.store.delete(f"runs/{old.run_id}.json")
    _start(old.store)
    _beat(old.store, "2033-05-18T03:33:15.000+00:00")  # five seconds before NOW
    before = _files(root)
    kept, found = _look(old.store)
    assert found
    assert kept.running == ("20260301T000000Z-now",)
    with pytest.raises(GcError, match="20260301T000000Z-now is going on"):
        delete(old.store, found, kept)
    assert _files(root) == before


def test_gc_goes_on_where_a_run_ended_or_died(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    _start(old.store)
    _beat(old.store, "2033-05-18T03:33:15.000+00:00", ended=True)
    assert _look(old.store)[0].running == ()
    _beat(old.store, "2033-05-18T03:00:00.000+00:00")
    assert _look(old.store)[0].running == ()


def test_gc_takes_a_run_that_just_started_without_a_heartbeat_to_be_running(old: Any) -> None:
    _start(old.store, started="2033-05-18T03:00:00+00:00")
    assert _look(old.store)[0].running == ("20260301T000000Z-now",)
    _start(old.store)
    assert _look(old.store)[0].running == ()


def test_gc_takes_away_notes_temporary_and_half_written_files(old: Any) -> None:
    store, root = old.store, Path(old.store.root)
    (made,) = {name.split("/")[1] for name in _files(root) if name.startswith("dedup/")}
    store.write_bytes(f"failures/dedup/{made}.json", b"{}")
    store.write_bytes(f"failures/dedup/{'a' * 32}.json", b"{}")
    store.write_bytes(f"filter/{'b' * 32}/verdicts.parquet", b"half")
    gone = "heartbeats/20260301T000000Z-0123ab.json"
    store.write_bytes(gone, b"{}")
    part, cut = f"dedup/{made}/{_part('duplicates.parquet')}", f"runs/{_part('r.json')}"
    for name in (part, cut, f"records/{_part('r.json')}"):
        store.write_bytes(name, b"cut")
    _date(root, OLD)
    kept, found = _look(store)
    assert [(each.kind, each.name) for each in found] == [
        ("temporary file", part),
        ("failure note", f"failures/dedup/{made}.json"),
        ("half-written shard", f"filter/{'b' * 32}"),
        ("heartbeat", gone),
        ("temporary file", cut),
    ]
    delete(store, found, kept)
    assert f"failures/dedup/{'a' * 32}.json" in _files(root)  # its task is still to be done


def test_gc_never_takes_a_release_for_a_shard(old: Any) -> None:
    make_release(old.store, old.run_id, name="a" * 32)
    _date(Path(old.store.root), OLD)
    assert _collect(old.store) == []


def test_gc_works_on_a_root_in_memory(built_root: Any) -> None:
    built = built_root.copy(f"memory://{uuid.uuid4().hex}")
    store = built.store
    store.write_bytes(f"clean/{'c' * 32}/text.arrow", b"nobody's")
    later = time.time() + 3 * DAY_SECONDS
    kept, found = _look(store, later)
    delete(store, found, kept)
    assert [each.name for each in found] == [f"clean/{'c' * 32}"]
    assert not store.exists(f"clean/{'c' * 32}")
    assert Dataset.load(store, built.record["datasets"]["clean"]).shards
    store.delete(f"runs/{built.run_id}.json")
    kept, found = _look(store, later)
    delete(store, found, kept)
    assert store.fs.find(store.path("")) == [store.path(f"reports/{built.run_id}/index.html")]


def test_gc_keeps_what_has_no_time_of_writing(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: str) -> None:
        raise NotImplementedError(path)

    old.store.delete(f"runs/{old.run_id}.json")
    monkeypatch.setattr(old.store.fs, "modified", unknown)
    assert _look(old.store)[1] == []


def test_gc_sees_a_root_through_a_relative_path(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(old.store.root)
    monkeypatch.chdir(root.parent)
    old.store.delete(f"runs/{old.run_id}.json")
    assert _collect(Store(root.name))
    assert _files(root) == set()


# What is somebody's own ---------------------------------------------------------------------------
KEY, SHA256 = "0123456789abcdef" * 2, "0123456789abcdef" * 4

OWN = (
    *(f"{folder}/{KEY}/a.jpg" for folder in ("photos", "ingest", "clean", "measure", "removals")),
    f"photos/{KEY}/text.arrow",
    f"ingest/{KEY}/text.arrow",  # as `clean` calls its files, and `ingest` does not
    f"ingest/{KEY}/album/quarantine.parquet",
    f"ingest/{KEY}/.quarantine.parquet.tmp-backup",
    f"ingest/{KEY.upper()}/quarantine.parquet",
    f"ingest/{KEY}0/quarantine.parquet",
    "ingest/text-00000.arrow",
    f"mine/ingest/{KEY}/quarantine.parquet",
    f"mine/fetched/{SHA256}",
    f"mine/{_part('notes.txt')}",
    _part("notes.txt"),
    ".thesis.tmp-backup",
    "a/.x.tmp-1",
    "runs/.r.json.tmp-1",
    f"runs/old/{_part('r.json')}",
    f"fetched/{SHA256}.part",
    f"fetched/{KEY}",
    "datasets/squad.json",
    "datasets/broken.json",
    f"datasets/mine-{KEY}.json",
    f"datasets/ingest-{KEY}/train.json",
    "runs/experiment-1.json",
    "runs/recipe.json",
    "runs/notes.txt",
    "runs/folder.json/notes.txt",
    "heartbeats/mine.json",
    "heartbeats/2026-03-01.json",
    f"failures/{KEY}.json",
    f"failures/photos/{KEY}.json",
    "failures/dedup/mine.json",
    "releases/notes.md",
    "reports/thesis/index.html",
    "records/thesis.json",
)
CONTENTS = {  # of those that somebody might take for a run's
    "datasets/squad.json": b'{"stage": "ingest", "shards": [], "spec": {}}',
    "datasets/broken.json": b'{"data": [',
    "runs/experiment-1.json": b'{"lr": 0.001}',
    "runs/recipe.json": b'{"recipe": "cake", "datasets": ["squad"], "status": "running"}',
    "records/thesis.json": b'{"kind": "thesis", "time": "2026"}',
}


def _plant(root: Path) -> dict[str, bytes]:
    """Somebody's own files, in and beside the places where a run writes, and what they hold."""
    held = {name: CONTENTS.get(name, b"mine: \xe0\xb8\x81") for name in OWN}
    for name, data in held.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return held


def _held(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in _files(root)}


def test_gc_looks_at_nothing_in_a_folder_that_is_no_root(tmp_path: Path) -> None:
    held = _plant(tmp_path)
    for name in (
        f"fetched/{SHA256}",
        f"ingest/{KEY}/quarantine.parquet",
        f"filter/{KEY}/shard.json",
    ):
        held[name] = b"{}"  # named as a run would, and nothing tells that one did
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    _date(tmp_path, OLD)
    with pytest.raises(NoRootError) as told:
        _look(Store(tmp_path))
    assert str(told.value) == (
        f"{tmp_path} is no root: it holds a, clean, datasets and 13 more, and no run record,"
        " manifest or shard; nothing in it was looked at. --root or PHLOEM_ROOT names a root,"
        " `phloem run RECIPE` makes one"
    )
    assert _held(tmp_path) == held


def test_gc_of_an_empty_folder_says_that_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(NoRootError, match="is no root: it is empty and holds no run record"):
        _look(Store(tmp_path))


def _only_record(store: Store) -> None:
    """All that a run leaves that is killed while it fetches its first source."""
    record = _run_record(run_id="20200101T000000Z-0123ab", status="running")
    store.write_bytes("runs/20200101T000000Z-0123ab.json", canonical(record))


def _only_shard(store: Store) -> None:
    store.write_bytes(_shard(1).path("text.arrow"), b"x")
    commit(store, _shard(1))


def _only_manifest(store: Store) -> None:
    Dataset("clean", {"recipe": "r"}, ()).save(store)


def _only_note(store: Store) -> None:
    append(store, "released", {"release": "r"})


@pytest.mark.parametrize("write", [_only_record, _only_shard, _only_manifest, _only_note])
@pytest.mark.parametrize("root", ["memory", "local"])
def test_gc_knows_a_root_by_what_any_run_leaves(tmp_path: Path, write: Any, root: str) -> None:
    store = Store(tmp_path if root == "local" else f"memory://{uuid.uuid4().hex}")
    write(store)
    store.write_bytes(f"fetched/{SHA256}", b"bytes")
    later = time.time() + 3 * DAY_SECONDS
    kept, found = _look(store, later)
    assert f"fetched/{SHA256}" in {each.name for each in found}
    delete(store, found, kept)
    assert not store.exists(f"fetched/{SHA256}")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("runs/mine.json", _run_record(run_id="other")),
        (f"datasets/clean-{KEY}.json", {"stage": "clean", "spec": {}, "shards": []}),
        (f"clean/{KEY}/shard.json", _shard(1).to_json()),
        ("records/20260101T000000Z-released-01234567.json", {"kind": "released", "time": "2026"}),
    ],
)
def test_gc_takes_no_file_for_a_runs_that_says_another_name_than_its_own(
    tmp_path: Path, name: str, made: Any
) -> None:
    Store(tmp_path).write_bytes(name, canonical(made))
    with pytest.raises(NoRootError):
        _look(Store(tmp_path))


def test_gc_leaves_what_is_somebodys_own_in_a_root_and_takes_all_else(old: Any) -> None:
    store, root = old.store, Path(old.store.root)
    ours = _files(root)
    held = _plant(root)
    store.delete(f"runs/{old.run_id}.json")
    cut = f"ingest/{KEY}/text-00000.arrow"  # of a shard that was never committed, beside a picture
    inside = f"{min(name for name in ours if name.startswith('clean/')).rpartition('/')[0]}/a.jpg"
    store.write_bytes(cut, b"cut")
    (root / inside).write_bytes(b"mine")
    _date(root, OLD)
    assert set(_collect(store)) >= {f"ingest/{KEY}", inside.rpartition("/")[0]}
    assert _held(root) == {**held, inside: b"mine"}
    assert _files(root) & {*ours, cut} == set()
    assert not (root / "measure" / KEY / "shard.json").exists()
    assert {path.name for path in (root / "measure").iterdir()} == {KEY}  # no empty folder stays


def test_gc_goes_on_beside_files_of_somebodys_in_the_places_of_a_run(old: Any) -> None:
    root = Path(old.store.root)
    ours, held = _held(root), _plant(root)
    _date(root, OLD)
    assert _collect(old.store) == []
    assert _held(root) == {**ours, **held}


def test_gc_follows_no_link_and_deletes_none(old: Any, tmp_path: Path) -> None:
    root, away = Path(old.store.root), tmp_path / "elsewhere"
    old.store.delete(f"runs/{old.run_id}.json")
    sums = {f"{KEY}/counts.parquet", f"{KEY}/shard.json", "quarantine.parquet", SHA256}
    for name in sums:
        (away / name).parent.mkdir(parents=True, exist_ok=True)
        (away / name).write_bytes(b"mine")
    (root / "ingest" / KEY).mkdir()
    links = {
        root / "count": away,  # a whole stage
        root / "tally" : away / KEY,
        root / "filter" / KEY: away / KEY,  # a whole shard
        root / "ingest" / KEY / "quarantine.parquet": away / "quarantine.parquet",
        root / "fetched" / SHA256: away / SHA256,
    }  # fmt: skip
    for link, target in links.items():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
    _date(root, OLD)
    _date(away, OLD)
    found = _collect(old.store)
    assert found
    assert {name for name in found if KEY in name or SHA256 in name} == set()
    assert all(link.is_symlink() for link in links)
    assert _files(away) == sums


def test_gc_takes_a_whole_shard_of_an_older_version_by_what_its_commit_lists(old: Any) -> None:
    file = File("text-of-old.bin", _sha("x"), 1)
    shard = Shard("clean", KEY, (file,))
    old.store.write_bytes(shard.path(file.name), b"x")
    old.store.write_bytes(f"{shard.folder}/mine.bin", b"x")
    commit(old.store, shard)
    _date(Path(old.store.root), OLD)
    assert _collect(old.store) == [shard.folder]
    assert _files(Path(old.store.root, shard.folder)) == {"mine.bin"}


def test_gc_that_is_interrupted_leaves_a_root(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, delete_one = old.store, Store.delete
    store.delete(f"runs/{old.run_id}.json")
    total, deleted = len(_files(Path(store.root))), 0

    def interrupted(self: Store, name: str) -> None:
        nonlocal deleted
        if deleted == total // 2:
            raise KeyboardInterrupt
        deleted += 1
        delete_one(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _collect(store)
    assert _files(Path(store.root))
    assert _collect(store)
    assert _files(Path(store.root)) == set()
