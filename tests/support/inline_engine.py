"""Runs without Beam: every task in this process, as the plain function that it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.engines.engine import Failure
from phloem.pipeline.job import Job, Made, steps
from phloem.pipeline.reason import reason_of
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.stage import Task
from phloem.pipeline.stages import run_task
from phloem.pipeline.workspace import load_workspace
from phloem.sources.limits import Limits


@dataclass
class InlineEngine:
    """Stands where the pool of workers stands."""

    root: str
    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    def run(
        self, stage: str, tasks: Sequence[Task], done: Callable[[Task, Sequence[Shard]], None]
    ) -> list[Failure]:
        """Do tasks one after the other; one that fails says why, as a worker's would."""
        assert {task.stage for task in tasks} <= {stage}
        failures = []
        for task in tasks:
            try:
                shards = run_task(Store(self.root), task)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                failures.append(Failure(task, reason_of(error)))
            else:
                done(task, shards)
        return failures


@contextmanager
def inline(root: str, workers: int, limits: Limits) -> Iterator[InlineEngine]:
    """In place of `phloem.pipeline.engines.local.open_pool`."""
    assert workers > 0
    del limits  # nobody watches a plain function
    yield InlineEngine(root)


def job_of(folder: Path, root: Path) -> Job:
    """The job of a tiny workspace's recipe."""
    from tiny_workspace import recipe_of  # whose runs are done by this engine

    workspace = load_workspace(folder)
    request = Request(recipe_of(folder), str(root), 1)
    registry = load_registry(workspace)
    job, _ = running.prepare(Store(str(root)), request, registry, workspace, lambda _: None)
    return job


def finish(job: Job, store: Store, shards: Made) -> list[str]:
    """Do all tasks of a job; fills in the shards of each stage, and returns the steps it took."""
    going = steps(job, store, shards)
    took = []
    try:
        step = next(going)
        while True:
            took.append(step.stage)
            step = going.send([run_task(store, task) for task in step.tasks])
    except StopIteration:
        return took
