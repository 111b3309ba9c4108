"""Clocks that are wrong, and work that is done more often than once."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from faults import outcome, run_twice_at_once, runs_of, started
from inline_engine import job_of
from tiny_workspace import redone, run_tiny

from phloem.catalog import records
from phloem.catalog.records import RELEASED
from phloem.catalog.records import records as recorded
from phloem.catalog.runs import newest_run
from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release
from phloem.pipeline.job import steps
from phloem.pipeline.stage import made
from phloem.pipeline.watch import record as run_record

World = tuple[Path, Path, dict[str, Any]]


def _wrong_by(days: int) -> type[datetime]:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=days)

    return Wrong


@pytest.mark.fault(
    fault="the clock is two days wrong, ahead or behind",
    promise="no byte depends on it; every run keeps a record of its own",
)
@pytest.mark.parametrize("days", [2, -2])
def test_run_with_a_wrong_clock_gives_the_same_bytes(
    days: int, world: World, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, before = world
    for module in (run_record, records):
        monkeypatch.setattr(module, "datetime", _wrong_by(days))
    for stage in ("decide", "compose"):
        for shard in (copied / stage).iterdir():
            (shard / "shard.json").unlink()
    record = run_tiny(folder, copied)
    told = datetime.fromisoformat(record["started"])
    assert abs(told - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)
    assert redone(record) == {"decide": 4, "compose": 4}
    assert outcome(copied, record) == outcome(root, before)
    assert len(runs_of(copied)) == 2
    latest = max([record, before], key=lambda each: each["started"])
    assert newest_run(Store(str(copied))) == latest["run_id"]


@pytest.mark.nightly
@pytest.mark.fault(
    fault="a task is done twice, also by two processes at once",
    promise="both write the same bytes; one commit stands",
)
def test_task_done_twice_at_once_commits_the_same_bytes(world: World, copied: Path) -> None:
    folder, root, before = world
    store = Store(str(copied))
    going = steps(job_of(folder, copied), store, {})
    step = next(going)
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        while step.stage != "bands":
            tasks = [task.to_json() for task in step.tasks[:2] for _ in range(2)]
            for task in step.tasks[:2]:
                for stage, key in task.makes:
                    store.delete(f"{stage}/{key}")
            list(pool.map(run_twice_at_once, [str(copied)] * len(tasks), tasks))
            found = [made(store, task) for task in step.tasks]
            step = going.send([shards for shards in found if shards])
    assert not list(copied.rglob(".*.tmp-*"))
    record = run_tiny(folder, copied)
    assert redone(record) == {}
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.beam
@pytest.mark.fault(
    fault="two runs of one recipe at once on one root",
    promise="both end well, with the same bytes and one release, which verifies",
)
def test_two_runs_at_once_end_with_the_same_bytes(world: World, fresh: Path) -> None:
    folder, root, before = world
    with started(folder, fresh, workers=1) as one, started(folder, fresh, workers=1) as two:
        assert [run.ended() for run in (one, two)] == [0, 0], one.said() + two.said()
    for run in (one, two):
        assert outcome(fresh, run.record()) == outcome(root, before)
    assert len(runs_of(fresh)) == 2
    store = Store(str(fresh))
    assert verify_release(store, before["release"]) == []
    assert {note["release"] for note in recorded(store, RELEASED)} == {before["release"]}
