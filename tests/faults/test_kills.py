"""Processes that end before their time: what they committed stays, what is missing is made."""

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny_workspace
from faults import (
    Run,
    commits,
    documents,
    interrupt,
    outcome,
    runs_of,
    started,
    until,
    until_commits,
    workers_of,
)
from tiny_workspace import digests, redone, run_tiny

from phloem.catalog.store import Store
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.watch.status import status

pytestmark = pytest.mark.beam

World = tuple[Path, Path, dict[str, Any]]

KILLS = 3  # in one run; `nightly` has 20 more of each kind
NIGHTLY = [pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 8)]


def _alone(run: Run) -> bool:
    """Whether every process of the run is gone, waiting a little for it."""
    return until(lambda: not run.family(), 20)


def _moments(seed: int, before: World) -> list[int]:
    """After how many commits to strike: random, in order, over the whole run."""
    chosen = random.Random(seed)  # noqa: S311 - a moment, no secret
    return sorted(chosen.sample(range(1, commits(before[1]) - 1), KILLS))


@pytest.mark.fault(
    fault="workers are killed (SIGKILL) at random moments",
    promise="the run tries their tasks again and ends with the same bytes, or names a task whose"
    " worker died three times; then a rerun ends with them",
)
@pytest.mark.parametrize("seed", [0, *NIGHTLY])
def test_run_whose_workers_are_killed_gives_the_same_bytes(
    seed: int, world: World, fresh: Path, tmp_path: Path
) -> None:
    folder, root, before = world
    killed = 0
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with started(folder, fresh, environment={"TMPDIR": str(temporary)}) as run:
        for moment in _moments(seed, world):
            until_commits(run, moment)
            for victim in run.workers()[:1]:
                victim.kill()
                killed += 1
        code = run.ended()
        assert _alone(run)
    assert killed > 0
    assert sorted(temporary.rglob("*")) == []
    if code:
        assert ("tasks failed" if tiny_workspace.on_spark else "its worker died") in run.said()
        record = run_tiny(folder, fresh)
    else:
        record = run.record()
    assert outcome(fresh, record) == outcome(root, before)


@pytest.mark.usefixtures("local_only")
@pytest.mark.fault(
    fault="the workers are killed while they wait for work, between two stages",
    promise="others take their place; the run ends with the same bytes",
)
def test_run_whose_idle_workers_are_killed_goes_on(
    world: World, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, before = world
    for stage in ("compose", "tokenizer", "tokenize"):
        shutil.rmtree(copied / stage)
    ended = Progress.end

    def strike(progress: Progress) -> None:
        ended(progress)
        for victim in workers_of(psutil.Process()):
            victim.kill()
            victim.wait()
        time.sleep(0.5)  # until the pool has seen it

    monkeypatch.setattr(Progress, "end", strike)
    record = run_tiny(folder, copied, workers=1)
    assert redone(record) == {"compose": 4, "tokenizer": 1, "tokenize": 4}
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.fault(
    fault="the driver is killed (SIGKILL) at random moments, again and again",
    promise="no process of it stays; each rerun does only what is missing; the last one ends with"
    " the same bytes",
)
@pytest.mark.parametrize("seed", [0, *NIGHTLY])
def test_run_whose_driver_is_killed_leaves_no_process_and_ends_the_same(
    seed: int, world: World, fresh: Path
) -> None:
    folder, root, before = world
    for moment in _moments(seed, world):
        with started(folder, fresh) as run:
            until_commits(run, moment)
            run.process.kill()
            run.process.wait()
            assert _alone(run), [process.cmdline() for process in run.family()]
    there = commits(fresh)
    record = run_tiny(folder, fresh)
    assert outcome(fresh, record) == outcome(root, before)
    assert sum(redone(record).values()) <= commits(fresh) - there + 4  # of `decide` and the like


@pytest.mark.fault(
    fault="Ctrl-C",
    promise="one line says what to do, no process stays, the record says interrupted; a rerun ends"
    " with the same bytes",
)
@pytest.mark.parametrize("seed", [0, *NIGHTLY])
def test_run_that_is_interrupted_ends_at_once_and_goes_on_later(
    seed: int, world: World, fresh: Path
) -> None:
    folder, root, before = world
    with started(folder, fresh) as run:
        until_commits(run, _moments(seed, world)[0])
        interrupt(run)
        assert run.ended() == 1
        assert _alone(run)
    assert "interrupted: run the same command again" in run.said()
    assert "Traceback" not in run.said()
    assert [record["status"] for record in runs_of(fresh)] == ["interrupted"]
    assert outcome(fresh, run_tiny(folder, fresh)) == outcome(root, before)


@pytest.mark.fault(
    fault="the driver is told to end: SIGTERM, as batch queues do, or SIGHUP to it and its workers,"
    " as a terminal does that is closed",
    promise="as with Ctrl-C; the exit code names the signal, 143 or 129, and nothing stays in the"
    " temporary folder",
)
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seed", [0, *NIGHTLY])
def test_run_that_is_told_to_end_puts_everything_away(
    seed: int, told: signal.Signals, world: World, fresh: Path, tmp_path: Path
) -> None:
    folder, root, before = world
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with started(folder, fresh, environment={"TMPDIR": str(temporary)}) as run:
        until_commits(run, _moments(seed, world)[0])
        (os.killpg if told == signal.SIGHUP else os.kill)(run.process.pid, told)
        assert run.ended() == 128 + told
        assert _alone(run)
    assert run.said().splitlines()[-1].startswith("interrupted: run the same command again")
    assert "Traceback" not in run.said()
    assert [(r["status"], r["error"]) for r in runs_of(fresh)] == [("interrupted", told.name)]
    assert status(Store(fresh)).state == "interrupted"
    assert sorted(temporary.rglob("*")) == []
    assert outcome(fresh, run_tiny(folder, fresh)) == outcome(root, before)


@pytest.mark.fault(
    fault="the kernel ends a worker for want of memory, always on the same document",
    promise="the error names the one split, and not its text; the other splits are done; where the"
    " memory is there, a rerun does this split alone and ends with the same bytes",
)
def test_split_without_memory_is_named_and_the_others_are_done(world: World, fresh: Path) -> None:
    folder, root, before = world
    text = documents()[5]["text"]  # of `north`
    with started(folder, fresh, environment={"FAULT_TEXT": text}) as run:
        assert run.ended() == 1
    assert text[:30] not in run.said()
    if tiny_workspace.on_spark:  # which tells what failed, and not whose worker died
        assert "stage measure: " in run.said()
        assert "tasks failed" in run.said()
    else:
        assert "stage measure: 1 of 4 tasks failed, the others are done: north " in run.said()
        assert f"its worker died (3 times; exit code {-signal.SIGKILL})" in run.said()
        assert commits(fresh) >= 4 + 3  # ingest of all, measure of the others
    record = run_tiny(folder, fresh)
    assert tiny_workspace.on_spark or redone(record)["measure"] == 1
    assert outcome(fresh, record) == outcome(root, before)
    assert digests(fresh, record) == digests(root, before)
