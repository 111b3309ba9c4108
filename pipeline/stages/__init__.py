"""The stages of a run: one module each, which says what it reads, does and writes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from phloem.catalog.manifest import Kind, Shard
from phloem.catalog.store import Store
from phloem.pipeline.stage import Stage, Task, inputs_verified
from phloem.pipeline.stages import (
    bands,
    candidates,
    compose,
    count,
    decide,
    dedup,
    filter,  # noqa: A004 - as users call it
    ingest,
    measure,
    removals,
    tally,
    tokenize,
    tokenizer,
)

# The only list of them, in the order of a run; `pipeline/job.py` says what each is given.
STAGES: tuple[Stage[Any], ...] = (
    ingest.STAGE,
    count.STAGE,
    tally.STAGE,
    measure.STAGE,
    bands.STAGE,
    candidates.STAGE,
    filter.STAGE,
    dedup.STAGE,
    removals.STAGE,
    decide.STAGE,
    compose.STAGE,
    tokenizer.STAGE,
    tokenize.STAGE,
)
BY_NAME: Mapping[str, Stage[Any]] = MappingProxyType({stage.name: stage for stage in STAGES})

# Every kind of shard that there is, and those of roots that an earlier version wrote.
KINDS: tuple[Kind, ...] = tuple(kind for stage in STAGES for kind in stage.makes)
FORMER = (
    Kind("nominate", {r"components\.parquet": None}),
    Kind("judge", {r"verdicts\.parquet": None}),
    Kind("elect", {r"duplicates\.parquet": None}),
    Kind("settled", {r"settled\.json": None}),
)


def task_of(text: str) -> Task:
    """A task out of the JSON text that flows between machines."""
    return Task.from_json(text, BY_NAME)


def run_task(store: Store, task: Task) -> list[Shard]:
    """Do a task in this process and return what it committed.

    Raises StageError naming an input that is not what it should be.
    """
    with inputs_verified(store):
        return BY_NAME[task.stage].run(store, task.makes[0][1], task.work)
