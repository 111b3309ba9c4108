"""One share of a stage: what a batch queue runs, many at once, on one root."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from phloem.catalog.errors import UseError
from phloem.catalog.manifest import Shard
from phloem.catalog.records import append
from phloem.catalog.store import Store
from phloem.pipeline.engines.local import open_pool
from phloem.pipeline.job import Job, Step, steps
from phloem.pipeline.registry.registry import Registry
from phloem.pipeline.request import Request
from phloem.pipeline.run import RunError, prepare, told_failures
from phloem.pipeline.stage import (
    Task,
    already,
    committed_before,
    note_share,
    uncommitted,
    weights,
)
from phloem.pipeline.stages import STAGES
from phloem.pipeline.watch.account import Account, account
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import Workspace


class ShareError(UseError):
    """A share that is asked for wrongly, or too early: the message says what comes first."""


@dataclass(frozen=True)
class Share:
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.number}/{self.of}"


WHOLE = Share(1, 1)


def parse_share(given: str) -> Share:
    """`2/4` as a share. Raises ShareError."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", given)
    share = Share(int(found[1]), int(found[2])) if found else Share(0, 0)
    if not 1 <= share.number <= share.of:
        msg = f"share {given!r} is none: write K/N with K from 1 to N, such as 2/4"
        raise ShareError(msg)
    return share


def own(share: Share, tasks: Sequence[Task]) -> list[Task]:
    """The tasks of a share, the largest first.

    All shares together hold each task once, whoever asks and whatever is made already: a task goes
    to the share that has least to read so far, the largest tasks first.
    """
    sizes = [0.0] * share.of
    found = []
    weighed = zip(weights(tasks), tasks, strict=True)
    for weight, task in sorted(weighed, key=lambda each: (-each[0], each[1].makes)):
        least = sizes.index(min(sizes))
        sizes[least] += weight + 1  # tasks of no size are shared out, too
        if least == share.number - 1:
            found.append(task)
    return found


@dataclass(frozen=True)
class Shared:
    """What a share did.

    Attributes:
        tasks: Tasks of the share.
        cached: How many of them were there already.
        others: Tasks of other shares that are missing still.
        account: Of the stage `ingest`: what this share read.
    """

    tasks: int
    cached: int
    others: int
    account: Account | None = None


def run_share(
    request: Request,
    registry: Registry,
    workspace: Workspace,
    progress: Progress,
    stage: str,
    share: Share,
) -> Shared:
    """Do what is missing of one share of one stage; its shards lie on the root, as a run's do.

    Shares of one stage may run at the same time, on any machine that reaches the root. What they
    did is appended to `records/`.

    Raises:
        ShareError: no such stage, or a stage before it is not done.
        RunError: tasks failed; the others of the share were still done.
        FetchError: a source or model cannot be had.
    """
    names = [each.name for each in STAGES]
    if stage not in names:
        msg = f"no stage {stage!r}; there are {', '.join(names)}, in this order"
        raise ShareError(msg)
    began = time.monotonic()
    store = Store(request.root)
    # On an object store the other shares are as likely on machines that share no disk.
    request = replace(request, is_elsewhere=not store.is_local)
    job, _ = prepare(store, request, registry, workspace, progress.say)
    step = _step(job, store, stage)
    mine = own(share, step.tasks)
    there = already(store, mine, step.tasks)
    found, to_do = there.shards, there.to_do

    def done(task: Task, shards: Sequence[Shard]) -> None:
        found[task.makes] = list(shards)
        progress.add(task, shards)

    with progress, open_pool(request.root, request.workers, request.recipe.limits) as engine:
        progress.begin(stage, mine, to_do)
        failures = engine.run(stage, to_do, done)
        progress.end()
        cpu_seconds = engine.cpu_seconds
    if to_do:
        note_share(store, step.tasks, found, (share.number, share.of))
    append(
        store,
        "share",
        {
            "recipe": request.recipe.name,
            "recipe_digest": request.recipe.digest,
            "stage": stage,
            "share": str(share),
            "tasks": len(mine),
            "cached": len(mine) - len(to_do),
            "failed": len(failures),
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(cpu_seconds, 3),
            "host": platform.node(),
        },
    )
    if failures:
        raise RunError(told_failures(stage, failures, len(to_do)))
    others = len(uncommitted(store, [task for task in step.tasks if task.makes not in found]))
    read = None
    if stage == "ingest":
        read = account(store, [shard for task in mine for shard in found[task.makes]], None)
    return Shared(len(mine), len(mine) - len(to_do), others, read)


def _step(job: Job, store: Store, stage: str) -> Step:
    """The step of a stage. Raises ShareError if one before it is not done.

    A recipe that names its tokenizer has no step that trains one: then there is nothing to do.
    """
    going = steps(job, store, {})
    step = next(going)
    order = [each.name for each in STAGES]
    while order.index(step.stage) < order.index(stage):
        found = committed_before(store, step.tasks)
        if len(found) < len(step.tasks):
            msg = (
                f"stage {stage} needs {step.stage} first, and {len(step.tasks) - len(found)} of"
                f" its {len(step.tasks)} tasks are missing: run all shares of {step.stage}, and"
                " see which failed"
            )
            raise ShareError(msg)
        step = going.send([found[task.makes] for task in step.tasks])
    return step if step.stage == stage else Step(stage, ())
