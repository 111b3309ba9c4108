"""The local engine: a pool of worker processes, each running Beam in memory on a few tasks."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline.engines.engine import Done, Failure, forget_failures, noted_reason
from phloem.pipeline.launch import WorkerContext, load, start_beside, worker_settings
from phloem.pipeline.logs import quiet_clients
from phloem.pipeline.reason import reason_of
from phloem.pipeline.stage import StageError, Task, just_made, weights
from phloem.sources.limits import Limits

ATTEMPTS = 3  # of a task whose worker died: a kill may be an accident, three are not
ATTEMPTS_IN_MEMORY = 2  # the second time alone: what others left in the worker may have filled it
WAVE_BYTES = (2**20, 8 * 2**20)  # what a pipeline costs, small tasks share
WAVE_TASKS = 64
MEMORY_SHARE = 0.6  # of the machine's, that a stage may plan with: the rest is the system's
SAMPLE_SECONDS = 0.5  # between looks at the memory
logger = logging.getLogger(__name__)


@dataclass
class Pool:
    """A pool of workers that outlives a stage: the engine of one machine.

    Attributes:
        root: URL of the root.
        workers: Processes.
        busy: Folder in which they mark that they are at work.
        limits: How long a task may take, and how much memory of its worker.
        pool: Started when the first task comes: a run that finds all made starts none.
        cpu_seconds: CPU time of all pipelines that ended well, so far.
        peak_bytes: Most resident memory seen, of this process and its workers together.
        ending: What the handler of a signal raised, such as KeyboardInterrupt. That alone is not
            enough: raised in whatever C code runs just then, it may be lost, and the run would
            go on.
    """

    root: str
    workers: int
    busy: Path
    limits: Limits = field(default_factory=Limits)
    pool: ProcessPool | None = field(default=None, repr=False)
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    ending: BaseException | None = None

    def run(self, stage: str, tasks: Sequence[Task], done: Done) -> list[Failure]:
        """Do tasks of one stage; a failing one does not stop the others."""
        if not tasks:
            return []
        check_memory(stage, tasks, self.workers)
        forget_failures(Store(self.root), tasks)
        store = Store(self.root)
        waiting = deque(waves(tasks, self.workers))
        attempts: dict[tuple[tuple[str, str], ...], int] = {}
        running: dict[ProcessFuture, list[Task]] = {}
        failures: list[Failure] = []
        ended: set[int] = set()
        while waiting or running:
            if self.ending:
                raise self.ending
            while waiting and len(running) < 2 * self.workers:
                wave = waiting.popleft()
                args = [str(self.busy), self.root, [task.to_json() for task in wave]]
                # As long as for one task: those that it is too short for are tried again, alone.
                seconds = self.limits.task_seconds
                pool = self._started()
                running[pool.schedule(run_marked, args=args, timeout=seconds)] = wave
            finished, _ = wait(running, timeout=SAMPLE_SECONDS, return_when=FIRST_COMPLETED)
            self.peak_bytes = max(self.peak_bytes, resident_bytes())
            ended |= end_larger(self.limits.task_bytes, self.busy)
            for future in finished:
                wave = running.pop(future)
                error = future.exception()
                seconds, told = (0.0, []) if error else future.result()
                self.cpu_seconds += seconds
                made = _by_made(told)
                died = error.pid if isinstance(error, ProcessExpired) else None
                most = ATTEMPTS_IN_MEMORY if died in ended else ATTEMPTS
                for task in wave:
                    if made.keys() >= set(task.makes):
                        shards: list[Shard] | None = [made[each] for each in task.makes]
                    else:  # it failed, or its worker did after it
                        shards = just_made(store, task)
                    if shards is not None:
                        done(task, shards)
                        continue
                    attempts[task.makes] = attempts.get(task.makes, 0) + 1
                    reason = noted_reason(store, task)
                    killed = isinstance(error, (ProcessExpired, BrokenProcessPool))
                    retry = error and (len(wave) > 1 or killed)
                    if retry and not reason and attempts[task.makes] < most:
                        logger.warning("%s %s: trying again, alone", stage, task.label)
                        waiting.append([task])
                    else:
                        failures.append(Failure(task, reason or self._told(error, ended)))
        return failures

    def _told(self, error: BaseException | None, ended: Collection[int]) -> str:
        if isinstance(error, TimeoutError):
            return f"took longer than {self.limits.told('task_seconds')}"
        if not isinstance(error, ProcessExpired):
            return reason_of(error)
        if error.pid in ended:
            return f"needed more than {self.limits.told('task_bytes')}"
        return f"its worker died ({ATTEMPTS} times; exit code {error.exitcode})"

    def _started(self) -> ProcessPool:
        # The pool gives itself up if a worker is killed while none has a task.
        if self.pool is not None and not self.pool.active:
            self.stop()
        if self.pool is None:
            load()
            context = WorkerContext()
            self.pool = ProcessPool(self.workers, context=context, initializer=quiet_worker)
        return self.pool

    def stop(self) -> None:
        """End all workers at once, whatever they do: what they have not committed is not there."""
        if self.pool is not None:
            self.pool.stop()
            self.pool.join()
            self.pool = None


@contextmanager
def _noting_ends(pool: Pool) -> Iterator[None]:
    """What a signal's handler raises to end this process is raised as ever, and the pool knows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: handler for each in ends if callable(handler := signal.getsignal(each))}

    def note(number: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(number)](number, frame)
        except BaseException as error:
            pool.ending = error
            raise

    for each in before:
        signal.signal(each, note)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def open_pool(root: str, workers: int, limits: Limits) -> Iterator[Pool]:
    """A pool whose workers are gone when the block ends.

    Whoever opens it may have processes of its own: those that were there before are left alone.
    """
    others = set(psutil.Process().children(recursive=True))
    with TemporaryDirectory(prefix="phloem-") as busy:
        pool = Pool(root, workers, Path(busy), limits)
        try:
            with worker_settings(), _noting_ends(pool):
                yield pool
        except BaseException:
            _end_workers(others)  # also those just starting: they would complain of what is gone
            raise
        finally:
            pool.stop()


def _end_workers(others: Collection[psutil.Process]) -> None:
    for process in psutil.Process().children(recursive=True):
        if process in others:
            continue
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            # The tracker cleans up after the others, and ends with this process.
            if not any("resource_tracker" in word for word in process.cmdline()):
                process.kill()


def resident_bytes(top: psutil.Process | None = None) -> int:
    """Resident memory of a process, by default this one, and of all below it.

    Virtual size would mislead.
    """
    top = top or psutil.Process()
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in (top, *top.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # ended meanwhile
                total += process.memory_info().rss
    return total


def end_larger(most: int, busy: Path) -> set[int]:
    """End the workers that hold more than so many bytes; returns their process ids.

    Only those that are at work: one that waits for work holds the lock that all wait for.
    """
    ended = set()
    for worker in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if (busy / str(worker.pid)).exists() and own_bytes(worker) > most:
                worker.kill()
                ended.add(worker.pid)
    return ended


def own_bytes(process: psutil.Process) -> int:
    """Resident memory of a process without the files that it maps, where the system tells."""
    info = process.memory_info()
    return int(info.rss - getattr(info, "shared", 0))


def memory_needed(tasks: Sequence[Task], workers: int) -> int:
    """Bytes of memory that these tasks may take at once, all workers together.

    A worker with Beam and its models holds about 300 MB. What a task groups it holds 1.2 times
    (measured: two million documents in 14 bands, 0.45 GB of pairs, took 0.50 GB).
    """
    shuffled = sorted((task.shuffled_bytes for task in tasks), reverse=True)
    return int(workers * 300e6 + 1.2 * sum(shuffled[:workers]))


def check_memory(stage: str, tasks: Sequence[Task], workers: int) -> None:
    """Raise StageError, before a stage runs, if it may take most of this machine's memory."""
    need, there = memory_needed(tasks, workers), psutil.virtual_memory().total
    if tasks and need > MEMORY_SHARE * there:
        msg = (
            f"stage {stage} may take {need / 1e9:.1f} GB with {workers} workers, and this machine"
            f" has {there / 1e9:.1f} GB; use fewer --workers, or an engine with more machines"
        )
        raise StageError(msg)


def waves(tasks: Sequence[Task], workers: int) -> list[list[Task]]:
    """Tasks in groups for one pipeline each, the largest first, so that the ends meet."""
    sizes = weights(tasks)
    least, most = WAVE_BYTES
    size = max(least, min(most, sum(sizes) // (4 * workers)))
    found: list[list[Task]] = []
    room = 0.0
    for weight, task in sorted(zip(sizes, tasks, strict=True), key=lambda e: (-e[0], e[1].makes)):
        if not found or room < weight or len(found[-1]) >= WAVE_TASKS:
            found.append([])
            room = size
        found[-1].append(task)
        room -= weight
    return found


def _by_made(records: Sequence[str]) -> dict[tuple[str, str], Shard]:
    shards = (Shard.from_json(json.loads(record)) for record in records)
    return {(shard.stage, shard.key): shard for shard in shards}


def run_marked(busy: str, root: str, tasks: Sequence[str]) -> tuple[float, list[str]]:
    """As `run_wave`, with a file in the folder `busy` meanwhile that names this process."""
    mark = Path(busy, str(os.getpid()))
    mark.touch()
    try:
        return run_wave(root, tasks)
    finally:
        mark.unlink(missing_ok=True)


def run_wave(root: str, tasks: Sequence[str]) -> tuple[float, list[str]]:
    """Run one pipeline in this process: the CPU seconds that it took, and each shard's record.

    Raises StageError with one line: nothing else of an error leaves a worker, since messages and
    tracebacks may hold text of a document.
    """
    from phloem.pipeline.engines.transforms import run_here  # imports Beam: workers only

    before = time.process_time()
    try:
        told = run_here(root, tasks)
    except Exception as error:  # noqa: BLE001 - whatever it is, only one safe line of it goes on
        raise StageError(reason_of(error)) from None
    return time.process_time() - before, told


def quiet_worker() -> None:
    """Workers leave Ctrl-C to the driver, which stops them, and log no error of an op's.

    Beam would log its message and traceback, which may quote a document.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start_beside()
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
    quiet_clients()
