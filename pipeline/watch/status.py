"""What a run does now, told on the root: the driver writes heartbeats, and anybody reads them."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from phloem.catalog.advice import command, run_again
from phloem.catalog.manifest import canonical
from phloem.catalog.runs import (
    BEAT_SECONDS,
    SILENT_SECONDS,
    Life,
    ViewError,
    heartbeat_name,
    life_of,
    load_run,
    load_runs,
    run_ids,
)
from phloem.catalog.store import Store
from phloem.pipeline.watch.progress import Progress, StageProgress

Json = Any

logger = logging.getLogger(__name__)

RUNNING, SILENT = "running", "silent"


@dataclass
class Heartbeat:
    """Writes what a run does to `heartbeats/<run id>.json`; use it as a context.

    Attributes:
        store: The root.
        run_id: Of the run.
        progress: What the driver counts.
        seconds: Between two heartbeats.
    """

    store: Store
    run_id: str
    progress: Progress
    seconds: float = BEAT_SECONDS
    _count: int = 0
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        """Write the first one here, the others in a thread of their own: a task may take hours."""
        self._write()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write the last one, which says that it is the last."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        self._write()

    def _beat(self) -> None:
        while not self._stop.wait(self.seconds):
            self._write()

    def _write(self) -> None:
        self._count += 1
        value = {
            "run_id": self.run_id,
            "host": platform.node(),
            "pid": os.getpid(),
            "count": self._count,
            "written": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "ended": self._stop.is_set(),
            "stages": [stage_row(stage) for stage in tuple(self.progress.stages)],
        }
        try:
            self.store.write_bytes(heartbeat_name(self.run_id), canonical(value))
        except Exception as error:  # noqa: BLE001 - whatever a file system raises: the run goes on
            logger.warning("no heartbeat could be written: %s", type(error).__name__)


def stage_row(stage: StageProgress) -> dict[str, Json]:
    """The counts of a stage as plain JSON; bytes and seconds are of this run alone."""
    return {
        "stage": stage.stage,
        "tasks": stage.tasks,
        "cached": stage.cached,
        "finished": stage.finished,
        "documents": stage.documents,
        "bytes": stage.bytes,
        "total_bytes": stage.total_bytes,
        "seconds": round(stage.seconds, 3),
        "ended": stage.ended is not None,
    }


@dataclass(frozen=True)
class Status:
    """What is known of a run.

    Attributes:
        run_id: Its id.
        recipe: Name of its recipe.
        state: running, silent (no sign of life, though its record says running), or how it ended:
            done, failed or interrupted.
        host: The machine that drives it.
        runner: What does its work.
        started: When, ISO 8601, UTC.
        finished: When it ended; None before that.
        error: Why it failed.
        again: The command that goes on with it.
        release: Name of the release that it made.
        last_heartbeat: When the newest was written, by the clock of `host`.
        heartbeat_age: Seconds since then, by the clock of this machine; None without any.
        clocks_differ: Whether these two clocks must differ, so that the age means nothing.
        stages: Counts of each stage so far.
    """

    run_id: str
    recipe: str
    state: str
    host: str
    runner: str
    started: str
    finished: str | None
    error: str | None
    again: str
    release: str | None
    last_heartbeat: str | None
    heartbeat_age: float | None
    clocks_differ: bool
    stages: tuple[Mapping[str, Json], ...]


def status(store: Store, run_id: str | None = None) -> Status:
    """What a run does now, or how it ended; the newest run unless one is named.

    Raises ViewError if there is no such run, or its record was cut short.
    """
    record = load_run(store, run_id) if run_id else _newest(store)
    life = life_of(store, record["run_id"], time.time())
    state = record["status"]
    if state == RUNNING and not life.alive:
        state = SILENT
    return Status(
        run_id=record["run_id"],
        recipe=record["recipe"]["name"],
        state=state,
        host=record["host"],
        runner=record["runner"],
        started=record["started"],
        finished=record["finished"],
        error=record["error"],
        again=run_again(record, store.root),
        release=record["release"],
        last_heartbeat=life.beat.get("written"),
        heartbeat_age=None if life.age is None else round(life.age, 1),
        clocks_differ=life.skewed,
        stages=tuple(_stages(record, life)),
    )


def _newest(store: Store) -> dict[str, Json]:
    for record in load_runs(store, reversed(run_ids(store))):
        return record
    msg = f"no run in {store.root}; `{command('run', 'RECIPE', root=store.root)}` makes one"
    raise ViewError(msg)


def _stages(record: Mapping[str, Json], life: Life) -> list[dict[str, Json]]:
    """From the heartbeat, which also knows of a stage that was cut off; else from the record."""
    if life.beat:
        return list(life.beat["stages"])
    return [
        {
            **stage,
            "finished": stage["tasks"] - stage["cached"],
            "total_bytes": stage["bytes"],
            "ended": True,
        }
        for stage in record["stages"]
    ]


def rate(stage: Mapping[str, Json]) -> float:
    """MB a second that a stage reads, over all of its time."""
    return float(stage["bytes"] / 1e6 / max(stage["seconds"], 1e-3))


def seconds_left(stage: Mapping[str, Json]) -> float | None:
    """About how long a stage will go on at its rate so far; None if it ended or nobody can say."""
    left = stage["total_bytes"] - stage["bytes"]
    if stage["ended"] or left <= 0 or not stage["bytes"]:
        return None
    return float(left / 1e6 / rate(stage))


def lines(told: Status) -> list[str]:
    """A status in a few lines for a person."""
    found = [
        f"run        {told.run_id}, recipe {told.recipe}, runner {told.runner}, on {told.host}",
        f"state      {_state(told)}",
    ]
    if told.stages and told.state in (RUNNING, SILENT):
        now = told.stages[-1]
        done = f"{now['cached'] + now['finished']}/{now['tasks']} tasks, {now['cached']} cached"
        left = seconds_left(now)
        eta = f", about {left:.0f} s left" if left is not None else ""
        found.append(f"now        {now['stage']}: {done}, {rate(now):.1f} MB/s{eta}")
    elif told.state == RUNNING:
        found.append("now        fetching sources and models, as far as the root lacks them")
    if told.heartbeat_age is not None and told.state in (RUNNING, SILENT):
        when = f"written {told.last_heartbeat} by the clock of {told.host}"
        age = f"{max(told.heartbeat_age, 0):.0f} s ago by the clock of this machine"
        if told.clocks_differ:
            age = "the clock of this machine differs, so its own count was looked at instead"
        found.append(f"heartbeat  {when}; {age}")
    if told.state not in (RUNNING, "done"):
        found.append("to go on   what is done is not done again by:")
        found.append(f"  {told.again}")
    return found


def _state(told: Status) -> str:
    if told.state == SILENT:
        since = told.last_heartbeat or told.started
        return f"no sign of life since {since} (more than {SILENT_SECONDS:.0f} s)"
    if told.state == "done":
        made = f", release {told.release}" if told.release else ", no release"
        return f"done {told.finished}{made}"
    if told.state == RUNNING:
        return f"running since {told.started}"
    return f"{told.state} {told.finished}: {told.error}"
