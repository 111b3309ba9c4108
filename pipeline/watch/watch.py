"""All who watch a run: its heartbeats on the root, its log, its spans and counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline import logs
from phloem.pipeline.engines.engine import Failure
from phloem.pipeline.stage import Task
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.watch.record import Record
from phloem.pipeline.watch.status import Heartbeat
from phloem.pipeline.watch.telemetry import Telemetry, open_telemetry

Json = Any
Ended = Callable[[Mapping[str, Json], Sequence[Failure]], None]

_telemetry: ContextVar[Telemetry | None] = ContextVar("telemetry", default=None)


@contextmanager
def watched(store: Store, record: Record, progress: Progress) -> Iterator[None]:
    """Tell of a run while the block runs; in the end its record says how it went."""
    value = record.value
    facts = {
        "recipe": value["recipe"]["name"],
        "recipe_digest": value["recipe"]["digest"],
        "runner": value["runner"],
        "workers": value["workers"],
    }
    telemetry = open_telemetry()
    token = _telemetry.set(telemetry)
    told: dict[str, Json] = {}
    with ExitStack() as stack:
        stack.callback(_telemetry.reset, token)
        stack.enter_context(logs.bound("run", record.run_id))
        if telemetry:
            stack.callback(telemetry.close)
            spoken = _spoken({"run": record.run_id, **facts})
            told = stack.enter_context(telemetry.span("phloem.run", spoken))
        stack.enter_context(Heartbeat(store, record.run_id, progress))
        logs.event("run began", facts)
        try:
            yield
        finally:
            ended = {"status": value["status"], "release": value["release"] or ""}
            told |= _spoken(ended)
            logs.event("run ended", ended)


@contextmanager
def stage_watched(stage: str, cached: int) -> Iterator[Ended]:
    """Tell of a stage while the block runs.

    Args:
        stage: Its name.
        cached: How many of its tasks need not be done.

    Yields:
        What to call with the stage's entry in the run record and the tasks that failed.
    """
    telemetry = _telemetry.get()
    told: dict[str, Json] = {}

    def ended(entry: Mapping[str, Json], failures: Sequence[Failure]) -> None:
        facts = {**entry, "failed": len(failures)}
        told.update(_spoken(facts))
        logs.event("stage ended", facts)
        for failure in failures:
            facts = {"task": failure.task.label, "reason": failure.reason}
            logs.event("task failed", facts, logging.WARNING)
        if telemetry:
            telemetry.add("tasks", cached, {"stage": stage, "outcome": "cached"})
            telemetry.add("tasks", len(failures), {"stage": stage, "outcome": "failed"})
            for name in ("seconds", "cpu_seconds"):
                telemetry.add(name, entry[name], {"stage": stage})

    with ExitStack() as stack:
        stack.enter_context(logs.bound("stage", stage))
        if telemetry:
            told = stack.enter_context(telemetry.span(f"phloem.{stage}", _spoken({"stage": stage})))
        logs.event("stage began", {"cached": cached})
        yield ended


def task_done(task: Task, shards: Sequence[Shard]) -> None:
    """Tell of a task that has committed."""
    documents = (shards[0].facts.get("documents") if shards else None) or 0
    logs.event("task done", {"task": task.label, "bytes": task.bytes, "documents": documents})
    telemetry = _telemetry.get()
    if telemetry:
        telemetry.add("documents", documents, {"stage": task.stage})
        telemetry.add("bytes", task.bytes, {"stage": task.stage})
        telemetry.add("tasks", 1, {"stage": task.stage, "outcome": "made"})


def _spoken(facts: Mapping[str, Json]) -> dict[str, Json]:
    """Facts as attributes of a span: under a name of this project's."""
    return {f"phloem.{name}": fact for name, fact in facts.items()}
