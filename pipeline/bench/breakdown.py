"""Where the seconds of a MB go: what each stage and op of a whole run opens, writes and computes.

Tasks are done in this process, one after the other, as the plain functions that they are: neither
Beam nor the start of a worker is in it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from phloem.catalog.manifest import arrow_batches
from phloem.catalog.plain import Json
from phloem.catalog.policy import LOCAL
from phloem.catalog.store import Store
from phloem.pipeline.bench.chain import SMALL, write_sample
from phloem.pipeline.bench.cost import HOUR, Prices, machine_price
from phloem.pipeline.bench.engine import prepared
from phloem.pipeline.bench.ops import records_of
from phloem.pipeline.job import Job, Made, steps
from phloem.pipeline.stage import StageError
from phloem.pipeline.stages import STAGES, run_task
from phloem.pipeline.stages.measure import text_files, with_declared, with_written

COLUMNS = ("row", "MB opened", "MB written", "CPU s", "CPU s/MB", "core h/TB", "money/TB")
ALL = "all that grows"


ONCE = [stage.name for stage in STAGES if stage.grows == "once"]  # of a sample of one size


@dataclass(frozen=True)
class Done:
    """CPU seconds that something took, and bytes that it opened and wrote, if it did."""

    seconds: float
    opened: int | None = None
    written: int | None = None


def bench_breakdown(data: Path, prices: Prices, *, told: Callable[[str], None]) -> list[Json]:
    """A row for each stage of a run of `quickstart`, for each op of `measure`, and for all.

    Args:
        data: Folder of jsonl.gz files with id, text and lang.
        prices: Of the machines; what they read from elsewhere is not in it.
        told: Told of every stage as it is done.

    Raises:
        StageError: the folder holds no sample.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as name:
        folder = Path(name)
        few = write_sample(list(islice(records_of(data), SMALL)), folder / "few")
        _done(few, folder / "warm", lambda _: None)  # loads kernels, tables and the model
        job, store, made, stages = _done(data, folder / "root", told)
        ops = op_seconds(job, store, made)
    size = sum(shard.facts["content_bytes"] for shard in made["ingest"]) / 1e6
    if not size:
        raise StageError(f"{data} holds no text; name a folder of jsonl.gz files that do")
    rows = []
    for stage, found in stages.items():
        rows.append(_row(stage, found, size, prices))
        if stage == "measure":
            rows += [_row(f"measure: {op}", Done(took), size, prices) for op, took in ops.items()]
    grown = [found for stage, found in stages.items() if stage not in ONCE]
    opened = sum(found.opened or 0 for found in stages.values())
    written = sum(found.written or 0 for found in stages.values())
    whole = _row(ALL, Done(sum(found.seconds for found in grown)), size, prices)
    times = {
        f"MB {what}": f"{count / 1e6:.1f}, {count / 1e6 / size:.2f} x the text"
        for what, count in (("opened", opened), ("written", written))
    }
    return [*rows, whole | times]


def _done(
    data: Path, root: Path, told: Callable[[str], None]
) -> tuple[Job, Store, Made, dict[str, Done]]:
    """Run all stages in this process, and what each of them did."""
    store, made = Store(str(root)), Made()
    job = prepared(str(root), str(data / "*.jsonl.gz"))
    stages: dict[str, Done] = {}
    going = steps(job, store, made)
    step = next(going)
    while True:
        began = time.process_time()
        sent = [run_task(store, task) for task in step.tasks]
        stages[step.stage] = Done(
            seconds=time.process_time() - began,
            opened=sum(task.bytes for task in step.tasks),
            written=sum(shard.bytes for shards in sent for shard in shards),
        )
        told(f"{step.stage}: {stages[step.stage].seconds:.1f} CPU s")
        try:
            step = going.send(sent)
        except StopIteration:
            return job, store, made, stages


def op_seconds(job: Job, store: Store, made: Made) -> dict[str, float]:
    """CPU seconds of each op on all texts, as the stage `measure` calls it."""
    paths = {name: ref.on_this_machine(store) for name, ref in job.models.items()}
    seconds: dict[str, float] = {}
    for _, text in text_files(made["ingest"]):
        for found in arrow_batches(store, text):
            batch = with_declared(found, ())
            for op in job.chains[LOCAL]:
                began = time.process_time()
                measured = op(batch, paths)
                batch = with_written(batch, op, measured.arrays)
                seconds[op.name] = seconds.get(op.name, 0.0) + time.process_time() - began
    return seconds


def _row(name: str, done: Done, size: float, prices: Prices) -> Json:
    """A row; `size` is the MB of text that came in."""
    per_mb = done.seconds / size
    core_hours = per_mb * 1e6 / HOUR
    row: Json = {"row": name, "CPU s": round(done.seconds, 2)}
    if name not in ONCE:
        money = machine_price(core_hours / prices.vcpus, prices)
        row["CPU s/MB"] = round(per_mb, 4)
        row["core h/TB"] = round(core_hours, 1)
        row["money/TB"] = f"{money:.2f} {prices.currency}"
    if done.opened is not None and done.written is not None:
        row |= {
            "MB opened": round(done.opened / 1e6, 1),
            "MB written": round(done.written / 1e6, 1),
        }
    return row
