"""A long run: memory and open files of all processes stay flat while gigabytes pass."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from phloem.pipeline.bench.engine import write_sample

BUNDLED = Path(__file__).resolve().parents[2] / "sources" / "bundled"
MEGABYTES = int(os.environ.get("PHLOEM_SOAK_MB", "5000"))
SAMPLE_SECONDS = 2.0
SAMPLES = 24  # of a stage, below which nothing is said of it
GROWTH = 1.2  # of the last quarter's median over the second's: the first quarter warms up
MOST_BYTES = 4 * 2**30  # of two workers and the driver


@dataclass(frozen=True)
class Seen:
    """All processes of the run at one moment."""

    time: float
    bytes: int
    files: int


def _seen(process: psutil.Process) -> Seen:
    size = files = 0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            size += each.memory_info().rss
            files += each.num_fds()
    return Seen(time.monotonic(), size, files)


def _by_stage(seen: list[Seen], lines: list[tuple[float, str]]) -> dict[str, list[Seen]]:
    """What was seen while each stage ran: a stage's last line is written when it ends."""
    found = defaultdict(list)
    for each in seen:
        after = [line for moment, line in lines if moment >= each.time and line.strip()]
        if after:
            found[after[0].split()[0]].append(each)
    return found


@pytest.mark.nightly
@pytest.mark.beam
def test_memory_and_open_files_stay_flat(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    write_sample(BUNDLED, tmp_path / "texts", MEGABYTES)
    command = [sys.executable, "-m", "phloem.pipeline.cli", "run", "quickstart", "--workers", "2"]
    command += ["--root", str(tmp_path / "root"), "--input", str(tmp_path / "texts" / "*.jsonl")]
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: list[tuple[float, str]] = []
    reading = threading.Thread(
        target=lambda: lines.extend((time.monotonic(), line) for line in process.stdout)
    )
    reading.start()
    seen = []
    while process.poll() is None:
        seen.append(_seen(process))
        time.sleep(SAMPLE_SECONDS)
    reading.join()
    assert process.returncode == 0

    stages = {name: part for name, part in _by_stage(seen, lines).items() if len(part) >= SAMPLES}
    told = {}
    for name, part in stages.items():
        quarter = len(part) // 4
        second, last = part[quarter : 2 * quarter], part[-quarter:]
        told[name] = {
            "seconds": round(part[-1].time - part[0].time),
            "MB": [round(statistics.median(s.bytes for s in q) / 1e6) for q in (second, last)],
            "files": [round(statistics.median(s.files for s in q)) for q in (second, last)],
        }
    peak = max(each.bytes for each in seen)
    record_property("text_MB", MEGABYTES)
    record_property("peak_MB", peak // 10**6)
    record_property("stages", json.dumps(told))
    assert stages, "no stage was long enough to say anything: give PHLOEM_SOAK_MB more"
    for name, each in told.items():
        for what in ("MB", "files"):
            before, after = each[what]
            assert after <= GROWTH * before, f"{what} of {name} grew from {before} to {after}"
    assert peak <= MOST_BYTES
