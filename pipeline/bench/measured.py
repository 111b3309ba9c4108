"""Measures the run that all estimates of cost are scaled from, and writes it down as YAML.

`python -m phloem.pipeline.bench.measured FOLDER > pipeline/bench/costs/measured.yaml`, where FOLDER
holds jsonl.gz files with id, text and lang. What nobody can measure here, such as HTML, is taken
over from the last time.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline.bench import cost
from phloem.pipeline.bench.engine import prepared
from phloem.pipeline.engines.local import open_pool
from phloem.pipeline.job import Job, Made, Step, steps
from phloem.pipeline.op_spec import OpSpec
from phloem.pipeline.stage import StageError, Task, made
from phloem.pipeline.stages import BY_NAME
from phloem.pipeline.stages.measure import text_files

Json = Any

HEAD = """\
# One run of the recipe `quickstart`, from which all that `phloem plan --cost` says is scaled up.
# Written by `python -m phloem.pipeline.bench.measured FOLDER`; do not change it by hand.
# cpu_seconds: of the worker, the start of each pipeline (0.2 s) among them. The recipe counts
#   nothing: `count` and `tally` are measured on the same text with the op `drop_frequent_lines`.
# read_bytes: what the tasks of a stage open, models aside.
# task_bytes, file_bytes: a task as JSON, which is what crosses a shuffle: its own bytes, and those
#   for each text file that it names. The files of `bands` and `dedup` are parts, each spread alone.
# record_bytes: of a candidate, what crosses the shuffle of `dedup`.
# html: taken over from a run of the recipe `debian`, 93.1 MB of text (docs/bench.md).
"""

COUNTING = "drop_frequent_lines"  # the recipe counts nothing: with this op, the same text is


def measure(folder: Path) -> dict[str, Json]:
    """Run the recipe `quickstart` on a folder with one worker, and say what each stage took."""
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as work:
        root, store = f"{work}/root", Store(f"{work}/root")
        job = prepared(root, str(folder / "*.jsonl.gz"))
        counting = dataclasses.replace(
            job,
            recipe=job.recipe.model_copy(update={"ops": (OpSpec(name=COUNTING), *job.recipe.ops)}),
        )
        counting = dataclasses.replace(
            counting, ops=tuple(counting.recipe.bound_ops(job.workspace))
        )
        shards: Made = {}
        found = {step.stage: facts for step, facts in _stages(counting, store, {}, until="tally")}
        crossed = 0
        for step, facts in _stages(job, store, shards):
            found[step.stage] = facts
            if step.stage == "dedup":
                crossed = sum(shuffled(store, task) for task in step.tasks)
    return _written(folder, shards, found, crossed)


def _stages(
    job: Job, store: Store, shards: Made, until: str = ""
) -> Iterator[tuple[Step, dict[str, Json]]]:
    """Each step with what it took; what is there already is done again."""
    going = steps(job, store, shards)
    step = next(going)
    while True:
        for task in step.tasks:
            for kind, key in task.makes:
                store.delete(f"{kind}/{key}")
        with open_pool(store.root, 1, job.recipe.limits) as pool:
            failures = pool.run(step.stage, step.tasks, lambda *_: None)
            cpu_seconds = pool.cpu_seconds
        if failures:
            raise StageError(f"stage {step.stage}: {failures[0].reason}; measure it alone")
        files = len(text_files(shards.get("ingest", ())))
        yield step, {"cpu_seconds": round(cpu_seconds, 3), **sizes(step, files)}
        if step.stage == until:
            return
        try:
            step = going.send([made(store, task) or [] for task in step.tasks])
        except StopIteration:
            return


def shuffled(store: Store, task: Task) -> int:
    """Bytes of Arrow buffers that cross between the parts of a task and its ranges."""
    shuffle = BY_NAME[task.stage].shuffle
    if shuffle is None:
        return 0
    blocks = (shuffle.blocks(store, part) for part in shuffle.parts(task.work))
    return sum(block.nbytes for each in blocks for _, _, block in each)


def sizes(step: Step, files: int) -> dict[str, Json]:
    """What the tasks of a step open, and how long they are as JSON.

    Args:
        step: The step.
        files: Text files of the run: a field with as many entries grows with them.

    Returns:
        read_bytes of all tasks; task_bytes of one, without what grows with the files, and
        file_bytes of that for each of them.
    """
    named = entries = 0
    for task in step.tasks if BY_NAME[step.stage].tasks != "files" else ():
        for name, value in task.work:
            if isinstance(value, tuple) and len(value) == files:
                dumped = task.work.model_dump(mode="json", include={name})[name]
                named += sum(len(json.dumps(each)) for each in dumped)
                entries = max(entries, len(value))
    number = max(1, len(step.tasks))
    size = sum(len(task.to_json()) for task in step.tasks)
    facts = {
        "read_bytes": sum(task.bytes for task in step.tasks),
        "task_bytes": round((size - named) / number),
    }
    return facts | ({"file_bytes": round(named / number / entries)} if entries else {})


def _written(
    folder: Path, shards: Made, found: dict[str, dict[str, Json]], crossed: int
) -> dict[str, Json]:
    last = cost.measured()
    packed = sum(path.stat().st_size for path in folder.glob("*.jsonl.gz"))
    candidates, documents = shards["candidates"][0], _sum(shards["ingest"], "documents")

    return {
        "date": datetime.now(UTC).date(),
        "machine": f"one worker, {platform.machine()}, Python {platform.python_version()}",
        "sample": f"{documents:,} documents, {packed / 1e6:.1f} MB as jsonl.gz",
        "files": len(shards["clean"]),
        "documents": documents,
        "text_bytes": _sum(shards["ingest"], "content_bytes"),
        "packed_bytes": packed,
        "kept_bytes": _sum(shards["compose"], "bytes"),
        "candidates": candidates.facts["candidates"],
        "components": candidates.facts["components"],
        "duplicates": _sum(shards["dedup"], "duplicates"),
        **{
            name: {stage: facts[name] for stage, facts in found.items() if name in facts}
            for name in ("cpu_seconds", "read_bytes", "task_bytes", "file_bytes")
        },
        "bands": len(shards["bands"]) - cost.OTHER_BANDS,
        "record_bytes": round(crossed / candidates.facts["candidates"], 1),
        "html": last.html.model_dump(),
    }


def _sum(shards: Sequence[Shard], fact: str) -> int:
    return sum(shard.facts[fact] for shard in shards)


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        sys.exit("usage: python -m phloem.pipeline.bench.measured FOLDER")
    value = measure(Path(sys.argv[1]))
    sys.stdout.write(HEAD)
    sys.stdout.write(yaml.safe_dump(value, sort_keys=False))
