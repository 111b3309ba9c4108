"""A workspace to disturb, real runs of it as processes, and what must come out whatever happens."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import tiny_workspace
from spark_cluster import options_of
from tiny_workspace import RECIPE, add_source, digests

from phloem.catalog.store import Store

BUNDLED = Path(__file__).resolve().parents[2] / "sources" / "bundled"
SOURCES = ("east", "north", "south", "west")
PATIENCE = 300.0  # seconds that a test waits for what should take a few: machines are shared
MARK = "FAULTS_MARK"  # in the environment of a run's processes: whose they are, if orphaned too

SABOTAGE = '''
"""An op for tests: one for every document, unless its worker is told to meet its end on one."""

import os
import signal

import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.op import op

ONE = Column("sabotage_one", pa.int64(), "One, for every document.")


@op(reads=[TEXT], writes=[ONE], examples=[("a", 1)])
def sabotage(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count to one; SIGKILL, as the kernel does when memory is out, on the text named."""
    fatal = os.environ.get("FAULT_TEXT")
    if fatal and any(fatal in (text or "") for text in batch[TEXT.name].to_pylist()):
        os.kill(os.getpid(), signal.SIGKILL)
    return [pa.array([1] * batch.num_rows, pa.int64())]
'''


# The workspace ------------------------------------------------------------------------------------
def documents() -> list[dict[str, str]]:
    """About 280 documents in about 90 languages, some of them twice, nearly."""
    rows = [
        {"id": row["id"], "text": row["text"][:2500], "lang": row.get("language") or "und"}
        for row in (*_bundled("udhr"), *_bundled("prose")[::4])
    ]
    again = [{**row, "id": f"{row['id']}-again", "text": row["text"][:-5]} for row in rows[:25]]
    return [*rows, *again]


def _bundled(name: str) -> list[dict[str, str]]:
    with gzip.open(BUNDLED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def make_world(folder: Path) -> Path:
    """A workspace of four sources, each with a bad line, and an op that can do harm."""
    for name in ("recipes", "cards"):
        (folder / name).mkdir(parents=True)
    recipe = RECIPE.replace("[first, second]", f"[{', '.join(SOURCES)}]")
    recipe = recipe.replace("minhash, pii]", "minhash, pii, sabotage]")
    (folder / "recipes" / "tiny.yaml").write_text(recipe, encoding="utf-8")
    (folder / "sabotage_ops.py").write_text(SABOTAGE, encoding="utf-8")
    (folder / "phloem.toml").write_text(
        'recipes = ["recipes"]\nsources = ["cards"]\nops = ["sabotage_ops"]\n', encoding="utf-8"
    )
    rows = documents()
    for number, name in enumerate(SOURCES):
        add_source(folder, name, rows[number :: len(SOURCES)], broken="{not json")
    return folder


def outcome(root: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """What a run must make whatever disturbs it: every dataset's digest, and the release."""
    return {**digests(root, dict(record)), "release": record["release"]}


def commits(root: Path) -> int:
    """How many shards are committed."""
    return sum(1 for _ in root.glob("*/*/shard.json"))


def runs_of(root: Path) -> list[dict[str, Any]]:
    """The records of all runs of a root, by name."""
    return [json.loads(path.read_bytes()) for path in sorted((root / "runs").glob("*.json"))]


# A run as a process -------------------------------------------------------------------------------
@dataclass(frozen=True)
class Run:
    """`phloem run tiny` in a process group of its own.

    Attributes:
        process: The driver.
        root: Where it writes.
        mark: In the environment of all its processes.
        log: Holds what it printed on stdout and stderr.
    """

    process: "subprocess.Popen[bytes]"
    root: Path
    mark: str
    log: Path

    def family(self) -> list[psutil.Process]:
        """All living processes of this run, the driver and orphans among them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The pool's processes."""
        return workers_of(psutil.Process(self.process.pid))

    def ended(self) -> int:
        """Wait for the driver; its exit code."""
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(encoding="utf-8")

    def record(self) -> dict[str, Any]:
        """The record of the run, once it said that it is done."""
        found = re.search(r"^run +(\S+) in ", self.said(), re.MULTILINE)
        assert found, self.said()
        value: dict[str, Any] = json.loads((self.root / "runs" / f"{found[1]}.json").read_bytes())
        return value


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    """The processes of a driver's pool: those that its fork server forked."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in driver.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any("forkserver" in word for word in child.cmdline()):
                    found += child.children()
    return found


def run_command(root: Path, workers: int) -> list[str]:
    """What a user types, here or on Spark."""
    command = [sys.executable, "-m", "phloem.pipeline.cli", "run", "tiny", "--root", str(root)]
    where = options_of(tiny_workspace.on_spark) if tiny_workspace.on_spark else []
    return [*command, "--workers", str(workers), *where]


@contextmanager
def started(
    folder: Path, root: Path, *, workers: int = 2, environment: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """A run that has just begun; none of its processes outlives the block."""
    mark = uuid.uuid4().hex
    log = root.with_name(f"{root.name}-{mark[:6]}.log")
    command = run_command(root, workers)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONSAFEPATH": "1", MARK: mark, **(environment or {})},
        )
    run = Run(process, root, mark, log)
    try:
        yield run
    finally:
        for left in run.family():
            with suppress(psutil.NoSuchProcess):
                left.kill()
        process.wait()


def until(holds: Callable[[], object], seconds: float = PATIENCE, pause: float = 0.01) -> bool:
    """Wait until something holds; whether it did in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(pause)
    return False


def until_commits(run: Run, count: int) -> None:
    """Wait until a run has committed so many shards, or has ended."""
    assert until(lambda: commits(run.root) >= count or run.process.poll() is not None), run.said()


def interrupt(run: Run) -> None:
    """Ctrl-C, as a terminal sends it: to the driver and all its processes at once."""
    os.killpg(run.process.pid, signal.SIGINT)


def run_twice_at_once(root: str, text: str) -> None:
    """Do a task in this process, as a worker does: for a pool of the tests' own."""
    from phloem.pipeline.stages import run_task, task_of

    run_task(Store(root), task_of(text))
