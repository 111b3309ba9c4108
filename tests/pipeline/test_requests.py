"""How often an object store is asked: counted at the server."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from inline_engine import inline
from object_store import ObjectStore, serving
from some_tasks import some_task
from tiny_workspace import ARTICLES, add_source, change_recipe, make_workspace, redone
from typer.testing import CliRunner

from phloem.catalog.commits import COMMITS
from phloem.catalog.manifest import File, Shard, commit
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline import share as sharing
from phloem.pipeline.cli.app import app
from phloem.pipeline.stage import (
    StageError,
    Task,
    already,
    committed_before,
    inputs_verified,
    missing,
    note_committed,
    note_share,
    uncommitted,
)

WRITE = "PHLOEM_WRITE_REQUESTS"  # set: the figures of docs/object-stores.md are written anew
FIGURES = Path(__file__).parents[2] / "docs" / "requests.json"

MOST_A_TASK = 8  # in a run that does all
MOST_AGAIN = 200  # in a run that has nothing to do
MOST_IDLE = 50  # of a share that has nothing to do
FEW, MANY = 3, 24  # sources, each of one text file


@dataclass(frozen=True)
class Counted:
    """Requests of one command, and what the run's record says."""

    requests: int
    record: dict[str, Any]

    @property
    def tasks(self) -> int:
        """Of all stages."""
        return sum(stage["tasks"] for stage in self.record["stages"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server, a workspace as the working folder, and runs that start no worker."""
    models = Path(os.environ.get("PHLOEM_MODELS", ".venv/models")).resolve()
    with serving() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHLOEM_MODELS", str(models))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("copies")))
        patch.setattr("tempfile.tempdir", os.environ["TMPDIR"])
        folder = make_workspace(tmp_path_factory.mktemp("requests") / "workspace")
        names = [f"source-{number:02d}" for number in range(MANY)]
        for number, name in enumerate(names):
            add_source(folder, name, _documents(number))
        change_recipe(folder, "sources: [first, second]", f"sources: [{', '.join(names)}]")
        text = (folder / "recipes" / "tiny.yaml").read_text(encoding="utf-8")
        few = text.replace("name: tiny", "name: few").replace(
            ", ".join(names), ", ".join(names[:FEW])
        )
        (folder / "recipes" / "few.yaml").write_text(few, encoding="utf-8")
        patch.chdir(folder)
        patch.setattr(running, "open_pool", inline)
        patch.setattr(sharing, "open_pool", inline)
        yield found


def _documents(source: int) -> list[dict[str, Any]]:
    """Documents of a source that are alike in no other."""
    words = ARTICLES["en"].split()
    shuffled = [random.Random(f"{source} {number}").sample(words, 40) for number in range(4)]  # noqa: S311
    return [{"id": str(n), "text": " ".join(own), "lang": "en"} for n, own in enumerate(shuffled)]


def _asked(server: ObjectStore, root: str, recipe: str, *options: str) -> int:
    """Requests of `phloem run`, which ends well."""
    server.requests.clear()
    result = CliRunner().invoke(app, ["run", recipe, "--root", root, *options])
    assert result.exit_code == 0, result.output
    return len(server.requests)


def _ran(server: ObjectStore, root: str, recipe: str = "tiny") -> Counted:
    requests = _asked(server, root, recipe, "--workers", "1")
    store = Store(root)
    return Counted(requests, json.loads(store.read_bytes(store.list("runs")[-1])))


@pytest.fixture(scope="module")
def first(server: ObjectStore) -> tuple[str, Counted]:
    """A root, and the run that made all of it."""
    root = server.root()
    return root, _ran(server, root)


def test_a_run_asks_a_few_times_a_task(first: tuple[str, Counted]) -> None:
    counted = first[1]
    assert counted.tasks > 5 * MANY
    assert counted.requests <= MOST_A_TASK * counted.tasks


def test_a_run_with_nothing_to_do_asks_little(
    server: ObjectStore, first: tuple[str, Counted]
) -> None:
    again = _ran(server, first[0])
    assert redone(again.record) == {}
    assert again.requests <= MOST_AGAIN


@pytest.mark.nightly
def test_an_idle_share_asks_as_little_however_many_tasks_came_before(
    server: ObjectStore, first: tuple[str, Counted]
) -> None:
    few = server.root()
    _ran(server, few, "few")
    share = ("--stage", "tokenize", "--share", "2/2")
    for root, recipe in ((first[0], "tiny"), (few, "few")):
        _asked(server, root, recipe, *share)  # the first one copies the cards' files to the root
    asked = [_asked(server, first[0], "tiny", *share), _asked(server, few, "few", *share)]
    assert asked[0] == asked[1] <= MOST_IDLE


@pytest.mark.nightly
def test_shares_one_after_the_other_ask_a_few_times_a_task(
    server: ObjectStore, first: tuple[str, Counted]
) -> None:
    root = server.root()
    total = sum(
        _asked(server, root, "tiny", "--stage", stage["stage"], "--share", share)
        for stage in first[1].record["stages"]
        for share in ("1/2", "2/2")
    )
    counted = _ran(server, root)
    assert redone(counted.record) == {}
    assert counted.record["datasets"] == first[1].record["datasets"]
    shares = 2 * len(counted.record["stages"])
    assert total <= MOST_A_TASK * counted.tasks + MOST_IDLE * shares


# A step of very many tasks ------------------------------------------------------------------------
TASKS = [some_task(f"{number:032x}") for number in range(1200)]
PAGES = 3  # requests that list 1,200 shards of two files


def _done(store: Store, tasks: Sequence[Task]) -> dict[Any, list[Shard]]:
    """Commit what these tasks make."""
    file = File("a.bin", "", 1)
    shards = [Shard("tally", task.makes[0][1], (file,)) for task in tasks]
    store.together(lambda shard: store.write_bytes(f"{shard.folder}/a.bin", b"a"), shards)
    store.together(lambda shard: commit(store, shard), shards)
    return {task.makes: [shard] for task, shard in zip(tasks, shards, strict=True)}


@pytest.mark.nightly
def test_a_step_of_very_many_tasks_is_known_from_a_few_requests(server: ObjectStore) -> None:
    store = Store(server.root())
    halves = TASKS[::2], TASKS[1::2]
    made = [_done(store, half) for half in halves]
    for number, own in enumerate(made, start=1):
        note_share(store, TASKS, own, (number, 2))
    server.requests.clear()
    assert already(store, halves[0], TASKS).shards == made[0]
    assert len(server.requests) <= PAGES + 4  # a manifest that is not there, and two parts
    server.requests.clear()
    assert uncommitted(store, TASKS) == []
    assert len(server.requests) <= PAGES
    server.requests.clear()
    assert committed_before(store, TASKS) == made[0] | made[1]
    assert len(server.requests) <= 5  # the same, and one is written that holds all
    server.requests.clear()
    assert committed_before(store, TASKS) == made[0] | made[1]
    assert len(server.requests) == 1


def test_a_step_is_known_where_no_manifest_says_it(server: ObjectStore) -> None:
    store = Store(server.root())
    made = _done(store, TASKS[:20])
    assert committed_before(store, TASKS[:30]) == made
    assert already(store, TASKS[:30]).shards == made
    assert store.list(COMMITS) == []
    assert [task.label for task in uncommitted(store, TASKS[:21])] == [TASKS[20].label]


@pytest.mark.parametrize("how", ["gone", "commit gone", "cut", "another"])
def test_a_manifest_of_commits_is_believed_of_no_file_that_is_not_there(
    server: ObjectStore, how: str
) -> None:
    store, tasks = Store(server.root()), TASKS[:5]
    made = _done(store, tasks)
    note_committed(store, tasks, made)
    assert already(store, tasks).is_noted
    folder = "/".join(tasks[2].makes[0])
    if how == "another":
        store.write_bytes(f"{folder}/shard.json", b"{}")
    elif how == "cut":
        store.write_bytes(f"{folder}/a.bin", b"")
    else:
        store.delete(f"{folder}/{'a.bin' if how == 'gone' else 'shard.json'}")
    found = already(store, tasks)
    assert found.shards == {task.makes: made[task.makes] for task in tasks if task != tasks[2]}
    assert missing(store, tasks) == [tasks[2]]


def test_a_manifest_of_commits_that_was_cut_short_or_changed_says_nothing(
    server: ObjectStore,
) -> None:
    store, tasks = Store(server.root()), TASKS[:5]
    made = _done(store, tasks)
    note_committed(store, tasks, made)
    (name,) = store.list(COMMITS)
    data = store.read_bytes(name)
    for broken in (
        data[:-9],
        b"",
        data.replace(b'"bytes":1', b'"bytes":2', 1).replace(b"a.bin", b"b.bin", 1),
    ):
        store.write_bytes(name, broken)
        assert committed_before(store, tasks) == made
        assert store.read_bytes(name) == data


def test_who_finds_an_input_gone_lets_nobody_believe_the_manifests(server: ObjectStore) -> None:
    store, tasks = Store(server.root()), TASKS[:3]
    note_committed(store, tasks, _done(store, tasks))
    with pytest.raises(StageError, match="holds no tally/"), inputs_verified(store):
        store.read_bytes("tally/gone")
    assert store.list(COMMITS) == []


# The quickstart -----------------------------------------------------------------------------------
def _command(*words: str) -> float:
    """Seconds of a command in a process of its own, which ends well."""
    began = time.monotonic()
    command = [sys.executable, "-m", "phloem.pipeline.cli", *words]
    subprocess.run(command, check=True, timeout=900, env={**os.environ, "PYTHONSAFEPATH": "1"})
    return time.monotonic() - began


@pytest.mark.nightly
def test_requests_of_the_quickstart(
    server: ObjectStore, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    root, local = server.root(), str(tmp_path / "root")
    two = ("--workers", "2")
    _command("plan", "quickstart", "--root", local)
    _command("plan", "quickstart", "--root", root)  # fetches, and sends what it fetched
    seconds = {"a folder": _command("run", "quickstart", "--root", local, *two)}
    rows: dict[str, dict[str, int]] = {}

    def count(what: str, *words: str) -> float:
        server.requests.clear()
        took = _command(*words)
        rows[what] = server.counted()
        return took

    run = ("run", "quickstart", "--root", root, *two)
    count("`plan`, nothing made yet", "plan", "quickstart", "--root", root)
    seconds["an object store"] = count("The run, its sources fetched already", *run)
    store = Store(root)
    record = json.loads(store.read_bytes(store.list("runs")[-1]))
    tasks = sum(stage["tasks"] for stage in record["stages"])
    count("The run again, nothing to do", *run)
    idle = (*run, "--stage", "tokenize", "--share", "1/2")
    count("A share of `tokenize`, nothing to do", *idle)
    count("`release verify`", "release", "verify", record["release"], "--root", root)
    asked = [sum(own.values()) for own in rows.values()]
    for what, took in seconds.items():
        record_property(f"seconds on {what}", f"{took:.1f}")
    assert asked[1] <= MOST_A_TASK * tasks
    assert asked[2] <= MOST_AGAIN
    assert asked[3] <= MOST_IDLE
    if WRITE in os.environ:
        value = {"tasks": tasks, "stages": len(record["stages"]), "rows": rows}
        FIGURES.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
