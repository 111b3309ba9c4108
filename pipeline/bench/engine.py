"""Benchmarks of the engine: what Beam adds, what a second worker gains, how it grows with size."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import psutil

from phloem.catalog.manifest import COMMIT
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.pipeline.bench.ops import records_of
from phloem.pipeline.engines.local import open_pool, resident_bytes, waves
from phloem.pipeline.job import Job, steps
from phloem.pipeline.request import OwnFiles, find_request
from phloem.pipeline.run import prepare
from phloem.pipeline.stage import StageError, Task, made
from phloem.pipeline.stages import run_task

COLUMNS = ("row", "MB", "wall s", "CPU s", "MB/s", "peak GB", "says")
FILE_BYTES = 16 * 10**6  # of text, in one file of the sample: a split, and so a task, each
SAMPLE_SECONDS = 0.2  # between looks at memory and at the root


def bench_engine(data: Path, *, sizes_mb: Sequence[int]) -> Iterator[Json]:
    """Rows of the engine, one after the other, as they are measured.

    Args:
        data: Folder of jsonl.gz files with id, text and lang: what other sizes are made from.
        sizes_mb: MB of text to run whole recipes on; the largest is measured stage by stage too.

    Raises:
        StageError: the folder holds no sample.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as folder:
        largest = max(sizes_mb)
        for size_mb in sorted(sizes_mb):
            write_sample(data, Path(folder) / f"{size_mb}", size_mb)
        yield from _stage_rows(Path(folder), largest)
        for size_mb in sorted(sizes_mb):
            yield _run_row(Path(folder), size_mb)


def write_sample(data: Path, folder: Path, size_mb: int) -> None:
    """Write about so many MB of text as JSONL files: the sample, then copies of it.

    A copy holds each document's words in another order: as long, in the same script, of the same
    words, and no near duplicate of it. Scripts without spaces have their characters shuffled.
    """
    folder.mkdir(parents=True)
    records = records_of(data)
    left, number, copy = size_mb * 10**6, 0, 0
    while left > 0:
        random = Random(copy)  # noqa: S311 - no secret
        part: list[str] = []
        size = 0
        for record in records:
            text = record["text"] if copy == 0 else _shuffled(record["text"], random)
            size += len(text.encode())
            line = {**record, "id": f"{copy}/{record['id']}", "text": text}
            part.append(json.dumps(line, ensure_ascii=False))
            if size >= min(left, FILE_BYTES):
                (folder / f"{number:05}.jsonl").write_text("\n".join(part) + "\n", "utf-8")
                left, number, size, part = left - size, number + 1, 0, []
            if left <= 0:
                return
        if part:
            (folder / f"{number:05}.jsonl").write_text("\n".join(part) + "\n", "utf-8")
            left, number = left - size, number + 1
        copy += 1


def _shuffled(text: str, random: Random) -> str:
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) < len(line) / 20:  # no spaces between words here
            lines.append("".join(random.sample(line, len(line))))
        else:
            lines.append(" ".join(random.sample(words, len(words))))
    return "\n".join(lines)


def prepared(root: str, input_: str, recipe: str = "quickstart") -> Job:
    """The job of a recipe on files of one's own."""
    request, registry, workspace = find_request(recipe, root, workers=1, own=OwnFiles(input_))
    return prepare(Store(root), request, registry, workspace, lambda _: None)[0]


def _stage_rows(folder: Path, size_mb: int) -> Iterator[Json]:
    """Beam against a plain loop, and two workers against one, on the stage `measure`."""
    root = str(folder / "stages")
    store = Store(root)
    job = prepared(root, str(folder / f"{size_mb}" / "*.jsonl"))
    going = steps(job, store, {})
    first = next(going)
    with open_pool(root, 2, job.recipe.limits) as pool:
        _check(pool.run("ingest", first.tasks, lambda *_: None))
    tasks = going.send([made(store, task) or [] for task in first.tasks]).tasks
    megabytes = sum(task.bytes for task in tasks) / 1e6
    run_task(store, tasks[0])  # compiles kernels and loads models outside the clock
    _forget(store, tasks)
    _beam(root, tasks[:1])  # and Beam is imported
    plain = _measured(store, tasks, lambda: [run_task(store, task) for task in tasks])
    yield _row(f"measure, plain loop, {len(tasks)} tasks", megabytes, *plain)
    beam = _measured(store, tasks, lambda: _beam(root, tasks))
    overhead = f"{beam[1] / plain[1] - 1:+.1%} CPU over the plain loop"
    yield _row("measure, Beam in this process", megabytes, *beam) | {"says": overhead}
    walls = {}
    for workers in (1, 2):
        walls[workers], cpu = _pooled(job, store, tasks, workers)
        says = "" if workers == 1 else f"{walls[1] / walls[2]:.2f} times one worker"
        yield _row(f"measure, {workers} workers", megabytes, walls[workers], cpu) | {"says": says}


def _beam(root: str, tasks: Sequence[Task]) -> None:
    from phloem.pipeline.engines import quiet  # noqa: F401 - before Beam
    from phloem.pipeline.engines.transforms import run_here

    for wave in waves(tasks, 1):
        run_here(root, [task.to_json() for task in wave])


def _measured(
    store: Store, tasks: Sequence[Task], work: Callable[[], object]
) -> tuple[float, float]:
    """Wall and CPU seconds of doing these tasks in this process."""
    _forget(store, tasks)
    wall, cpu = time.monotonic(), time.process_time()
    work()
    found = time.monotonic() - wall, time.process_time() - cpu
    _check([task for task in tasks if made(store, task) is None])
    return found


def _pooled(job: Job, store: Store, tasks: Sequence[Task], workers: int) -> tuple[float, float]:
    """Wall and CPU seconds of doing these tasks in a pool whose workers are warm."""
    with open_pool(store.root, workers, job.recipe.limits) as pool:
        _forget(store, tasks)
        _check(pool.run("measure", tasks[: 2 * workers], lambda *_: None))
        _forget(store, tasks)
        wall, cpu = time.monotonic(), pool.cpu_seconds
        _check(pool.run("measure", tasks, lambda *_: None))
        return time.monotonic() - wall, pool.cpu_seconds - cpu


def _forget(store: Store, tasks: Sequence[Task]) -> None:
    for task in tasks:
        for stage, key in task.makes:
            store.delete(f"{stage}/{key}")


def _check(failures: Sequence[object]) -> None:
    if failures:
        raise StageError(f"{len(failures)} tasks failed; a benchmark needs them all: {failures[0]}")


def _run_row(folder: Path, size_mb: int) -> Json:
    """A whole run of the quickstart recipe with two workers, in a process of its own."""
    root, files = folder / f"root-{size_mb}", folder / f"{size_mb}"
    command = [
        sys.executable,
        "-m",
        "phloem.pipeline.cli",
        "run",
        "quickstart",
        "--root",
        str(root),
    ]
    command += ["--workers", "2", "--input", str(files / "*.jsonl")]
    began = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    first, peak = 0.0, 0
    while process.poll() is None:
        peak = max(peak, resident_bytes(process))
        if not first and any((root / "ingest").glob(f"*/{COMMIT}")):
            first = time.monotonic() - began
        time.sleep(SAMPLE_SECONDS)
    wall = time.monotonic() - began
    if process.returncode:
        raise StageError(f"the run on {size_mb} MB ended with {process.returncode}; run it alone")
    record = json.loads(next((root / "runs").glob("*.json")).read_bytes())
    cpu = sum(stage["cpu_seconds"] for stage in record["stages"])
    row = _row(f"whole run of quickstart, {size_mb} MB", size_mb, wall, cpu)
    return row | {"peak GB": round(peak / 1e9, 2), "says": f"first split after {first:.1f} s"}


def _row(name: str, megabytes: float, wall: float, cpu: float) -> Json:
    return {
        "row": name,
        "MB": round(megabytes, 1),
        "wall s": round(wall, 1),
        "CPU s": round(cpu, 1),
        "MB/s": round(megabytes / max(cpu, 1e-9), 2),
    }
