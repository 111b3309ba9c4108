"""Status: what a run does now, seen from outside, whatever the clocks say."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from some_tasks import some_task
from tiny_workspace import make_workspace, new_root, run_tiny
from typer.testing import CliRunner

from phloem.catalog.manifest import canonical
from phloem.catalog.runs import SILENT_SECONDS, ViewError, life_of
from phloem.catalog.store import Store
from phloem.pipeline.cli.app import app
from phloem.pipeline.stage import Task
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.watch.status import Heartbeat, lines, rate, seconds_left, status

RUN = "20260301T000000Z-abcdef"
WRITTEN = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def _record(store: Store, run_id: str = RUN, **changed: Any) -> None:
    value = {
        "run_id": run_id,
        "recipe": {"name": "debian", "digest": "0" * 64, "spec": {}},
        "status": "running",
        "host": "builder-1",
        "runner": "local",
        "started": "2026-03-01T11:00:00+00:00",
        "finished": None,
        "error": None,
        "release": None,
        "stages": [],
        **changed,
    }
    store.write_bytes(f"runs/{run_id}.json", canonical(value))


STAGE = {
    "stage": "measure",
    "tasks": 40,
    "cached": 8,
    "finished": 4,
    "documents": 1234,
    "bytes": 6_000_000,
    "total_bytes": 24_000_000,
    "seconds": 3.0,
    "ended": False,
}


def _beat(store: Store, count: int = 7, **changed: Any) -> None:
    value = {
        "run_id": RUN,
        "host": "builder-1",
        "pid": 12,
        "count": count,
        "written": "2026-03-01T12:00:00.000+00:00",
        "ended": False,
        "stages": [STAGE],
        **changed,
    }
    store.write_bytes(f"heartbeats/{RUN}.json", canonical(value))


def _at(monkeypatch: pytest.MonkeyPatch, seconds: float, meanwhile: Any = lambda: None) -> None:
    """This machine's clock stands so many seconds after the heartbeat; something happens later."""
    monkeypatch.setattr(time, "time", lambda: WRITTEN + seconds)
    monkeypatch.setattr(time, "sleep", lambda _: meanwhile())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "root")
    _record(store)
    _beat(store)
    return store


def test_a_running_run_is_told_with_its_rate_and_what_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(monkeypatch, 1.5)
    told = status(store)
    assert (told.state, told.heartbeat_age, told.clocks_differ) == ("running", 1.5, False)
    (stage,) = told.stages
    assert rate(stage) == 2.0
    assert seconds_left(stage) == 9.0
    text = "\n".join(lines(told))
    assert "measure: 12/40 tasks, 8 cached, 2.0 MB/s, about 9 s left" in text
    assert "by the clock of builder-1" in text


def test_a_run_that_died_shows_no_sign_of_life(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(monkeypatch, SILENT_SECONDS + 1)
    told = status(store)
    assert told.state == "silent"
    text = "\n".join(lines(told))
    assert "no sign of life since 2026-03-01T12:00:00" in text
    assert f"  phloem run debian --root {store.root}" in lines(told)


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_heartbeat_that_moves_is_alive_whatever_the_clocks_say(
    store: Store, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    _at(monkeypatch, skew, lambda: _beat(store, count=9))
    told = status(store)
    assert (told.state, told.clocks_differ) == ("running", True)
    assert "the clock of this machine differs" in "\n".join(lines(told))


def test_a_heartbeat_out_of_the_future_that_stands_still_is_dead(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(monkeypatch, -3600.0)
    told = status(store)
    assert (told.state, told.clocks_differ) == ("silent", True)


def test_a_run_that_ended_while_it_was_looked_at_is_not_alive(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(monkeypatch, 600.0, lambda: _beat(store, count=9, ended=True))
    assert not life_of(store, RUN, time.time()).alive


def test_the_newest_run_is_shown_unless_one_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(monkeypatch, 1.0)
    _record(store, "20260201T000000Z-abcdef", status="done", finished="2026-02-01T01:00:00+00:00")
    assert status(store).run_id == RUN
    older = status(store, "20260201T000000Z-abcdef")
    assert (older.state, older.heartbeat_age) == ("done", None)
    with pytest.raises(ViewError, match="did you mean 20260201T000000Z-abcdef"):
        status(store, "20260201T000000Z-abcdee")


def test_a_failed_run_says_why_and_what_to_do(store: Store) -> None:
    _beat(store, ended=True)
    _record(store, status="failed", error="disk full", finished="2026-03-01T12:00:01+00:00")
    told = status(store)
    assert told.state == "failed"
    assert lines(told)[1].endswith("disk full")
    assert lines(told)[-1] == f"  phloem run debian --root {store.root}"


def test_a_run_without_a_heartbeat_is_shown_from_its_record(store: Store) -> None:
    store.delete(f"heartbeats/{RUN}.json")
    done = {k: STAGE[k] for k in ("stage", "tasks", "cached", "documents", "bytes", "seconds")}
    _record(store, status="done", finished="2026-03-01T12:00:01+00:00", stages=[done])
    (stage,) = status(store).stages
    assert (stage["finished"], stage["ended"], seconds_left(stage)) == (32, True, None)


@pytest.mark.parametrize("cut", [b"", b'{"count": 3', b"[]", b'{"count": 3}'])
def test_a_heartbeat_that_was_cut_short_counts_as_none(store: Store, cut: bytes) -> None:
    store.write_bytes(f"heartbeats/{RUN}.json", cut)
    assert status(store).state == "silent"


def test_a_record_that_was_cut_short_is_named_and_the_others_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _at(monkeypatch, 1.0)
    broken = "20260401T000000Z-broken"
    store.write_bytes(f"runs/{broken}.json", b'{"run_id": "2026')
    assert status(store).run_id == RUN
    assert f"runs/{broken}.json" in caplog.text
    with pytest.raises(ViewError, match=f"runs/{broken}.json in .* was cut short"):
        status(store, broken)


# The writer ---------------------------------------------------------------------------------------
def _task(size: int) -> Task:
    return some_task(f"{size:032x}", size)


def test_heartbeats_count_and_the_last_says_so(tmp_path: Path) -> None:
    store, progress = Store(tmp_path), Progress(Console(quiet=True))
    read = lambda: json.loads(store.read_bytes(f"heartbeats/{RUN}.json"))  # noqa: E731
    with Heartbeat(store, RUN, progress, seconds=0.02):
        first = read()
        assert (first["count"], first["ended"], first["stages"]) == (1, False, [])
        progress.begin("measure", [_task(10), _task(20), _task(30)], [_task(20), _task(30)])
        progress.add(_task(20), ())
        deadline = time.monotonic() + 20
        while not read()["stages"] and time.monotonic() < deadline:
            time.sleep(0.01)
        now = read()
        assert now["count"] > first["count"]
        (stage,) = now["stages"]
        assert (stage["tasks"], stage["cached"], stage["finished"]) == (3, 1, 1)
        assert (stage["bytes"], stage["total_bytes"]) == (20, 50)
    last = read()
    assert last["ended"]
    time.sleep(0.1)
    assert read() == last


def test_a_heartbeat_that_cannot_be_written_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "heartbeats").write_text("a file, where a folder should be")
    with Heartbeat(Store(tmp_path), RUN, Progress(Console(quiet=True)), seconds=0.01):
        time.sleep(0.05)
    assert "no heartbeat could be written" in caplog.text


# The command --------------------------------------------------------------------------------------
def _phloem(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


def test_command_prints_lines_or_json(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, 1.0)
    result = _phloem("status", "--root", store.root)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "state      running since" in result.stdout
    found = json.loads(_phloem("status", RUN, "--root", store.root, "--json").stdout)
    assert (found["state"], found["stages"][0]["seconds_left"]) == ("running", 9.0)


def test_command_refuses_an_unknown_run(store: Store) -> None:
    result = _phloem("status", "no-such-run", "--root", store.root)
    assert result.exit_code == 2
    assert "no run 'no-such-run'" in result.stderr


@pytest.mark.beam
def test_a_killed_run_is_silent_and_a_rerun_shows_what_was_cached(tmp_path: Path) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    command = [sys.executable, "-m", "phloem.pipeline.cli", "run", "tiny", "--root", str(root)]
    models = Path(os.environ.get("PHLOEM_MODELS", ".venv/models")).resolve()
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PHLOEM_MODELS": str(models)}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    store = Store(root)
    try:
        deadline = time.monotonic() + 120
        while not list(root.glob("ingest/*/shard.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status(store).state == "running"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    killed = status(store).run_id
    path = root / "heartbeats" / f"{killed}.json"
    beat = json.loads(path.read_bytes())
    path.write_bytes(canonical({**beat, "written": "2026-01-01T00:00:00.000+00:00"}))
    assert status(store).state == "silent"
    run_tiny(folder, root)
    told = status(store)
    assert (told.state, told.run_id != killed) == ("done", True)
    assert told.stages[0]["stage"] == "ingest"
    assert told.stages[0]["cached"] > 0
    assert all(stage["cached"] + stage["finished"] == stage["tasks"] for stage in told.stages)
