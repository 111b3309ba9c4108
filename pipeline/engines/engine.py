"""What schedules tasks: the shape of an engine, and how a task that fails says why.

A task's truth lies on the root: what it has committed is done, whoever ran it and however often.
So an engine only has to see to it that each task runs somewhere, at least once.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import Shard, canonical
from phloem.catalog.store import Store
from phloem.pipeline.reason import reason_of
from phloem.pipeline.stage import Task

Done = Callable[[Task, Sequence[Shard]], None]

FAILURES = "failures"


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, and why."""

    task: Task
    reason: str


class WorkerError(PhloemError):
    """What a worker elsewhere could not do: on which machine, and why, in one line."""


class Engine(Protocol):
    """Does tasks, on this machine or elsewhere.

    Attributes:
        cpu_seconds: CPU time of the tasks so far, as far as the engine can tell.
        peak_bytes: Most resident memory seen on this machine, of all processes together.
    """

    cpu_seconds: float
    peak_bytes: int

    def run(self, stage: str, tasks: Sequence[Task], done: Done) -> list[Failure]:
        """Do tasks of one stage; a failing one does not stop the others.

        Args:
            stage: Name of the stage.
            tasks: What to do.
            done: Called here for each task that has committed, with its shards.

        Returns:
            The tasks that failed.
        """


Opened = Callable[[], AbstractContextManager[Engine]]


def _notes(kind: str) -> str:
    return f"{FAILURES}/{kind}"


def _note_name(shard: tuple[str, str]) -> str:
    kind, key = shard
    return f"{_notes(kind)}/{key}.json"


def note_failure(store: Store, shard: tuple[str, str], label: str, error: BaseException) -> None:
    """Leave on the root why a task failed: its worker may be on another machine.

    Args:
        store: The root.
        shard: (kind, key) of the first that the task makes.
        label: What a person sees of the task.
        error: What it ended with.
    """
    note = {"label": label, "kind": shard[0], "reason": reason_of(error)}
    store.write_bytes(_note_name(shard), canonical(note))


def forget_failures(store: Store, tasks: Sequence[Task]) -> None:
    """Remove the notes of earlier attempts, so that what is found later is of this one."""
    notes = {_note_name(shard) for task in tasks for shard in task.makes}
    for name in notes & store.listing(FAILURES).keys():
        store.delete(name)


def noted_reason(store: Store, task: Task) -> str | None:
    """Why a task failed, if its worker could say so: of any shard that it makes."""
    name = next((name for name in map(_note_name, task.makes) if store.exists(name)), None)
    if name is None:
        return None
    try:
        return str(json.loads(store.read_bytes(name))["reason"])
    except (ValueError, KeyError):
        return "its note of failure was cut short"


def on_worker(reason: str) -> WorkerError:
    """An error as a driver elsewhere is told of it: the machine may be what matters."""
    return WorkerError(f"on worker {platform.node()}: {reason}")
