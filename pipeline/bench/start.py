"""How soon commands begin: a run of 20 documents, the same with nothing to do, and listings."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from phloem.catalog.plain import Json
from phloem.pipeline.bench.chain import RESULT, cpu_of, spread, write_sample
from phloem.pipeline.bench.ops import records_of

COLUMNS = ("row", "wall s", "CPU s")

DOCUMENTS = 20
LISTINGS = (["--help"], ["ops", "list"], ["sources", "list"])


def bench_start(data: Path, *, repeat: int) -> Iterator[dict[str, Json]]:
    """Measure commands in processes of their own, on documents from all over a folder.

    A first run, which fills caches, is not counted.

    Args:
        data: Folder of `.jsonl.gz` files.
        repeat: Rounds, of which each row's best counts; a round has a new root.

    Yields:
        One row for each command: the least wall and CPU seconds, of all its processes.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        folder = Path(name)
        sample = write_sample(spread(records_of(data), DOCUMENTS), folder / "sample")
        run = ["run", "quickstart", "--workers", "1", "--input", str(sample), "--root"]
        _seconds([*run, str(folder / "uncounted")], folder)
        rounds = []
        for number in range(repeat):
            again = [*run, str(folder / f"root-{number}")]
            rounds.append([_seconds(words, folder) for words in (again, again, *LISTINGS)])
    names = [f"run of {DOCUMENTS} documents", "the same run again", *map(" ".join, LISTINGS)]
    for row, times in zip(names, zip(*rounds, strict=True), strict=True):
        walls, cpus = zip(*times, strict=True)
        yield {"row": row, "wall s": round(min(walls), 2), "CPU s": round(min(cpus), 2)}


def _seconds(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command. Raises StageError if it fails."""
    cpu, _ = cpu_of("phloem", [sys.executable, "-m", "phloem.pipeline.cli", *words], folder, {})
    return float(json.loads((folder / RESULT).read_bytes())["wall_seconds"]), cpu
