"""What a run costs on rented machines: hours, shuffle, money and energy, from one measured run.

Everything is scaled from the run in `costs/measured.yaml` by text, documents or candidates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from phloem.catalog.errors import UseError
from phloem.catalog.store import Store
from phloem.pipeline.job import Job, steps
from phloem.pipeline.stage import StageError, made
from phloem.pipeline.stages import BY_NAME, STAGES
from phloem.pipeline.stages.bands import PAIR_BYTES
from phloem.pipeline.stages.candidates import RANGE_ROWS
from phloem.pipeline.stages.count import counting
from phloem.pipeline.stages.ingest import SHARD_TEXT_BYTES, IngestWork

Json = Any

COSTS = Path(__file__).parent / "costs"
PRICES = COSTS / "prices.yaml"

OTHER_BANDS = 2  # beside those of signatures: ids, and whole texts
TEXT_PER_PACKED = 4  # as in `plan.disk_needed`: measured on the Debian documentation sources
HOUR = 3600
GB = 1e9

# Memory of the steps that one process does alone, by row; tests hold the code to them.
NAMED_BYTES = 2 / 8  # candidates: a document's bit, and its part of the counts of bits
TREE_BYTES = 4 + 4 + 4 + 1  # candidates: a row's parent, text, range, and whether texts differ
SHARD_BYTES = 1020  # the driver: a shard's record
OPS = 6  # of the measured recipe, each with a shard of its own
SHARDS_OF_FILE = OPS + sum(stage.tasks == "files" for stage in STAGES)  # `measure`: the clean one


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Html(_Facts):
    """What reading HTML took: CPU seconds for bytes of text that came out."""

    cpu_seconds: PositiveFloat
    text_bytes: PositiveInt


class MeasuredRun(_Facts):
    """One measured run: what all estimates are scaled from."""

    date: Any
    machine: str
    sample: str
    files: PositiveInt
    documents: PositiveInt
    text_bytes: PositiveInt
    packed_bytes: PositiveInt
    kept_bytes: PositiveInt
    candidates: PositiveInt
    components: PositiveInt
    duplicates: PositiveInt
    cpu_seconds: Mapping[str, PositiveFloat]
    read_bytes: Mapping[str, int]
    task_bytes: Mapping[str, int]
    file_bytes: Mapping[str, int]
    bands: PositiveInt
    record_bytes: PositiveFloat
    html: Html


class Energy(_Facts):
    """Power of machines: coefficients, and where they were published."""

    note: str
    min_watts: float = Field(ge=0)
    max_watts: PositiveFloat
    memory_watts_gb: float = Field(ge=0)
    pue: float = Field(ge=1)


class Prices(_Facts):
    """What machines are rented, and for how much."""

    date: Any
    note: str
    currency: str
    vcpu_hour: float = Field(ge=0)
    memory_gb_hour: float = Field(ge=0)
    disk_gb_hour: float = Field(ge=0)
    shuffled_gb: float = Field(ge=0)
    machine: str
    workers: PositiveInt
    vcpus: PositiveInt
    memory_gb: PositiveFloat
    disk_gb: PositiveFloat
    read_mb_second: PositiveFloat
    energy: Energy


class PricesError(UseError):
    """A file of prices that says something it cannot."""


def measured() -> MeasuredRun:
    """The run that all estimates are scaled from."""
    text = (COSTS / "measured.yaml").read_text(encoding="utf-8")
    return MeasuredRun.model_validate(yaml.safe_load(text))


def load_prices(path: Path = PRICES) -> Prices:
    """Prices out of a file. Raises PricesError naming all that is wrong."""
    try:
        return Prices.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PricesError(f"prices {path} cannot be read: {error}") from None
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        msg = f"prices {path}: {'; '.join(wrong)}; start from a copy of {PRICES}"
        raise PricesError(msg) from None


@dataclass(frozen=True)
class Size:
    """How much a run reads.

    Attributes:
        text_bytes: UTF-8 text of all documents.
        documents: How many they are.
        html: Whether the text has to be taken out of HTML.
        counted_bytes: Text of the sources of which an op counts the texts.
    """

    text_bytes: int
    documents: int
    html: bool = False
    counted_bytes: int = 0


@dataclass(frozen=True)
class Cost:
    """What one stage takes.

    Attributes:
        stage: Its name.
        tasks: Into how many its work is split.
        workers: Machines that it keeps busy, of those that may be rented.
        hours: Wall time, without the start of the job.
        core_hours: Of computing and of waiting for what is read.
        read_bytes: What it reads from the root and the sources.
        shuffle_bytes: What crosses between workers.
        price: In the currency of the prices.
        kwh: Energy of the machines while they are rented.
    """

    stage: str
    tasks: int
    workers: int
    hours: float
    core_hours: float
    read_bytes: int
    shuffle_bytes: int
    price: float
    kwh: float


@dataclass(frozen=True)
class Held:
    """What one process holds in memory at once: what does not shrink with more machines."""

    step: str
    where: str
    bytes: int


def text_files(size: Size) -> int:
    """Text files that ingest writes, each full; a source has one more that is not."""
    return max(1, math.ceil(size.text_bytes / SHARD_TEXT_BYTES))


def candidates(size: Size, run: MeasuredRun) -> int:
    """Documents that share a band with another, as many as in the measured run."""
    return round(size.documents * run.candidates / run.documents)


def tasks(size: Size, run: MeasuredRun) -> dict[str, int]:
    """Tasks of each stage that has any, of `bands` its parts: what can be done side by side."""
    files = text_files(size)
    counted = math.ceil(size.counted_bytes / SHARD_TEXT_BYTES)
    number = {
        "files": files,
        "counted files": counted,
        "counted sources": min(counted, 1),  # of which the largest may be nearly all
        "bands": files,
        "components": max(1, math.ceil(candidates(size, run) / RANGE_ROWS)),
        "one": 1,
    }
    measured_stages = [stage for stage in STAGES if stage.name in run.cpu_seconds]
    return {stage.name: split for stage in measured_stages if (split := number[stage.tasks])}


def unmeasured(run: MeasuredRun) -> list[str]:
    """Stages that the measured run did not have: nothing is known of their cost."""
    return [stage.name for stage in STAGES if stage.name not in run.cpu_seconds]


def _grown(stage: str, size: Size, run: MeasuredRun) -> float:
    """How many times the measured run's work a stage has."""
    grown = {
        "counted text": size.counted_bytes / run.text_bytes,
        "documents": size.documents / run.documents,
    }
    return grown.get(BY_NAME[stage].grows, size.text_bytes / run.text_bytes)


def costs(size: Size, prices: Prices, run: MeasuredRun) -> list[Cost]:
    """What each stage of a run from nothing takes, in order."""
    found = []
    for stage, split in tasks(size, run).items():
        compute = _compute_seconds(stage, size, run)
        read = _read_bytes(stage, size, run)
        core_hours = (compute + read / (prices.read_mb_second * 1e6)) / HOUR
        busy = min(split, prices.workers * prices.vcpus)
        workers = math.ceil(busy / prices.vcpus)
        hours = core_hours / busy
        shuffled = _shuffle_bytes(stage, size, run)
        found.append(
            Cost(
                stage=stage,
                tasks=split,
                workers=workers,
                hours=hours,
                core_hours=core_hours,
                read_bytes=read,
                shuffle_bytes=shuffled,
                price=machine_price(hours * workers, prices) + shuffled / GB * prices.shuffled_gb,
                kwh=_kwh(hours * workers, compute / HOUR, prices),
            )
        )
    return found


def _compute_seconds(stage: str, size: Size, run: MeasuredRun) -> float:
    if stage == "ingest" and size.html:
        return run.html.cpu_seconds * size.text_bytes / run.html.text_bytes
    if BY_NAME[stage].grows == "once":
        return run.cpu_seconds[stage]
    return run.cpu_seconds[stage] * _grown(stage, size, run)


def _read_bytes(stage: str, size: Size, run: MeasuredRun) -> int:
    return round(run.read_bytes[stage] * _grown(stage, size, run))


def listed_bytes(stage: str, size: Size, run: MeasuredRun) -> int:
    """Of a stage's tasks as JSON, which the driver lists: each names the files that it reads."""
    split = tasks(size, run)
    listed = 1 if BY_NAME[stage].shuffle else split.get(stage, 0)  # its parts are many
    named = split.get("count", 0) if stage == "tally" else text_files(size)
    return listed * (run.task_bytes[stage] + round(named * run.file_bytes.get(stage, 0)))


def _shuffle_bytes(stage: str, size: Size, run: MeasuredRun) -> int:
    """Tasks are spread twice, where they are listed and by their stage; three stages group rows."""
    listed = listed_bytes(stage, size, run)
    parts = text_files(size) * (run.task_bytes[stage] + run.file_bytes.get(stage, 0))
    if stage == "bands":
        pairs = (run.bands + OTHER_BANDS) * size.documents * PAIR_BYTES
        return listed + parts + pairs
    if stage == "dedup":
        return listed + parts + round(run.record_bytes * candidates(size, run))
    return 2 * listed


def machine_price(machine_hours: float, prices: Prices) -> float:
    """What so many hours of a rented machine cost, in the currency of the prices."""
    hour = (
        prices.vcpus * prices.vcpu_hour
        + prices.memory_gb * prices.memory_gb_hour
        + prices.disk_gb * prices.disk_gb_hour
    )
    return machine_hours * hour


def _kwh(machine_hours: float, busy_hours: float, prices: Prices) -> float:
    energy = prices.energy
    idle = machine_hours * (
        prices.vcpus * energy.min_watts + prices.memory_gb * energy.memory_watts_gb
    )
    return (idle + busy_hours * (energy.max_watts - energy.min_watts)) * energy.pue / 1000


def held(size: Size, run: MeasuredRun) -> list[Held]:
    """Memory of the steps that one process does alone, at their height."""
    joined = NAMED_BYTES * size.documents + TREE_BYTES * candidates(size, run)
    records = run.record_bytes * min(RANGE_ROWS, candidates(size, run))
    shards = SHARDS_OF_FILE * text_files(size)
    listed = max(listed_bytes(stage, size, run) for stage in tasks(size, run))
    return [
        Held("candidates: join the components", "one task", round(joined)),
        Held("dedup: settle a range of components", "each task", round(records)),
        Held("records of all shards", "driver", SHARD_BYTES * shards),
        Held("tasks of the longest stage, as JSON", "driver", listed),
    ]


def size_of(job: Job, store: Store, run: MeasuredRun) -> tuple[Size, bool]:
    """How much a job reads, and whether that is known: what has been ingested is, the rest is not.

    What is not is taken for packed HTML, the dearest to read, of documents of middling length.

    Raises:
        StageError: the job reads nothing.
    """
    first = next(steps(job, store, {}))
    text = documents = packed = counted = 0
    for task in first.tasks:
        shards = made(store, task)
        if shards is None:
            packed += task.bytes
            own = TEXT_PER_PACKED * task.bytes
        else:
            documents += sum(shard.facts["documents"] for shard in shards)
            files = (file for shard in shards for file in shard.files)
            own = sum(file.bytes for file in files if file.name.startswith("text-"))
        text += own
        counted += (
            own if counting(job.chains[cast("IngestWork", task.work).source]) is not None else 0
        )
    documents += TEXT_PER_PACKED * packed * run.documents // run.text_bytes
    if not documents:
        raise StageError("the recipe reads no document, so that there is nothing to estimate")
    return Size(text, documents, html=packed > 0, counted_bytes=counted), packed == 0


def rows_of(found: Sequence[Cost], currency: str) -> list[dict[str, Json]]:
    """Costs as rows for a person, with their sum at the end."""
    sums = {
        "stage": "all",
        "hours": sum(each.hours for each in found),
        "core hours": sum(each.core_hours for each in found),
        "read GB": sum(each.read_bytes for each in found) / GB,
        "shuffle GB": sum(each.shuffle_bytes for each in found) / GB,
        currency: sum(each.price for each in found),
        "kWh": sum(each.kwh for each in found),
    }
    rows: list[dict[str, Json]] = [
        {
            "stage": each.stage,
            "tasks": each.tasks,
            "workers": each.workers,
            "hours": each.hours,
            "core hours": each.core_hours,
            "read GB": each.read_bytes / GB,
            "shuffle GB": each.shuffle_bytes / GB,
            currency: each.price,
            "kWh": each.kwh,
        }
        for each in found
    ]
    return [
        {key: short(value) if isinstance(value, float) else value for key, value in row.items()}
        for row in [*rows, sums]
    ]


def short(value: float) -> str:
    """A number to two digits that count, or to whole ones: an estimate has no more."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits)}f}"
