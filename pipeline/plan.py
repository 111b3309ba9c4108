"""What a run would do, as far as that can be known before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from phloem.catalog.store import Store
from phloem.pipeline.job import Job, steps
from phloem.pipeline.stage import already, missing
from phloem.pipeline.stages import ingest
from phloem.sources.connector import PinnedFile


@dataclass(frozen=True)
class Planned:
    """One stage as far as it can be known before it runs.

    Attributes:
        stage: Its name.
        tasks: How many tasks it has; None where that depends on stages before it.
        missing: How many of them are to be done.
        bytes: About how much those read.
    """

    stage: str
    tasks: int | None
    missing: int | None
    bytes: int


def plan(job: Job, store: Store) -> list[Planned]:
    """What a run would do: exact down to the first stage with work, unknown below it."""
    going = steps(job, store, {})
    found: list[Planned] = []
    try:
        step = next(going)
        while True:
            there = already(store, step.tasks).shards
            to_do = [task for task in step.tasks if task.makes not in there]
            size = sum(task.bytes for task in to_do)
            found.append(Planned(step.stage, len(step.tasks), len(to_do), size))
            if to_do:
                break
            step = going.send([there[task.makes] for task in step.tasks])
    except StopIteration:
        return found
    known = {planned.stage for planned in found}
    return found + [Planned(stage, None, None, 0) for stage in job.stages if stage not in known]


BYTES_PER_PACKED = 12
BYTES_PER_PLAIN = 4
PLAIN = (".arrow", ".jsonl", ".txt")  # endings of files that hold their text as it is


def disk_needed(job: Job, store: Store) -> int:
    """About how many bytes a run writes into the root for the sources that it has not read yet.

    Ingest holds the text once, clean and compose two fifths of it each, tokens and attributes less
    than once. Measured on the Debian documentation sources: text is about four times its
    compressed packages, and a part of it is dropped.
    """
    need = 0
    for reading in job.readings:
        if missing(store, ingest.tasks(reading, job.place, job.recipe.limits)):
            need += sum(written_bytes(file) for file in reading.pin.files)
    return need


def written_bytes(file: PinnedFile) -> int:
    """About how many bytes a run writes for one file of a source."""
    return file.bytes * (BYTES_PER_PLAIN if file.name.endswith(PLAIN) else BYTES_PER_PACKED)
