"""Work in a process that can be ended, so that nothing it meets ends or stalls more than itself.

What strangers made is read by much code, some of it in C: a loop there hears of no exception, and
no library says beforehand what memory it will take. So a child does the work and tells of it, the
system ends it when its next step has taken too much processor time, and its parent when it holds
too much memory. What it had told until then stands.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

import psutil
import pyarrow as pa

from phloem.catalog.errors import PhloemError
from phloem.pipeline.launch import WorkerContext, load
from phloem.pipeline.reason import reason_of
from phloem.pipeline.stage import StageError
from phloem.sources import progress
from phloem.sources.limits import Limits

Json = Any
Told = tuple[Json, pa.RecordBatch | None]
"""What the child tells: plain JSON, and rows with it."""

KEPT_BYTES = 2**30  # of a child that waits for more: one that holds more gives it back by ending
LOOK_SECONDS = 0.05  # between looks at the child's memory: it may add a few 100 MB meanwhile

STILL_SECONDS = 60
"""That a child may neither tell anything nor take processor time: it waits for what never comes.
A file on another machine, or a page in swap, is there sooner."""


TOTAL = "total seconds"
OVERRUNS = ("seconds", "memory", TOTAL)
"""Of what a step took too much; how else a child ended is told by its signal or exit code."""

NO_MEMORY, STILL = "no memory", "still"
"""What may be otherwise in another child: its memory could not be had, or it did nothing."""


class OverrunError(PhloemError):
    """The child was ended, or died, in the middle of a step: the message says of what."""


def overrun(ended: str, what: str, limits: Limits) -> str:
    """Why a child was ended, or how it ended, as the end of a reason.

    Args:
        ended: As OverrunError says.
        what: Whose memory is bounded: ``record`` or ``reading``.
        limits: Their bounds.
    """
    if ended == "seconds":
        return f"took more than {limits.told('record_seconds')}"
    if ended == "memory":
        return f"needed more than {limits.told(f'{what}_memory_bytes')}"
    if ended == TOTAL:
        return f"took more than {limits.told('split_seconds')} in all"
    if ended == NO_MEMORY:
        return "needed more memory than the system gives"
    if ended == STILL:
        return f"did nothing for {STILL_SECONDS} seconds"
    return f"ended its process ({ended})"


class LateError(PhloemError):
    """The time that the whole was given is over."""


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    channel: Connection

    def kill(self) -> None:
        """End it, and what it has started."""
        if self.process.pid:
            with suppress(ProcessLookupError):  # it has not begun yet, and so started nothing
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def end(self) -> None:
        self.channel.close()
        self.kill()
        self.process.join()
        self.process.close()


_idle: list[_Child] = []
"""Children that are done and wait for more: to fork one takes longer than to read a small file."""


os.register_at_fork(after_in_child=_idle.clear)  # they are the parent's


def retire() -> None:
    """End the children of this process that wait for work."""
    while found := _waiting():
        found.end()


def _waiting() -> _Child | None:
    with suppress(IndexError):  # another thread may take the last
        return _idle.pop()
    return None


def _child() -> _Child:
    while found := _waiting():
        if found.process.is_alive():
            return found
        found.end()
    load()
    context = WorkerContext()
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    try:
        process.start()
    except (OSError, EOFError) as error:  # there are too many, or what forks them is gone
        ours.close()
        raise StageError(f"no process could be started to read in: {reason_of(error)}") from None
    finally:
        theirs.close()
    return _Child(process, ours)


@dataclass
class Guarded:
    """A generator that runs in a child, within a `with` block.

    Iterating gives what it yields. An error of it is raised here; one that is not Phloem's own as
    a StageError with one line, since its message may quote a document.

    Attributes:
        work: The generator: a function of a module, as it is named to the child.
        args: Its arguments, plain data.
        step_seconds: Processor time of each step: from one thing told, or one `progress.step`, to
            the next.
        most_bytes: Resident memory of the child, but for files that it maps.
        ends: Clock time (`time.monotonic`) after which LateError is raised.
        total_seconds: Processor time of all steps.
        spent: Of that, what has been seen.
    """

    work: Callable[..., Iterable[Told]]
    args: tuple[Any, ...]
    step_seconds: int
    most_bytes: int
    ends: float | None = None
    total_seconds: float = math.inf
    spent: float = 0.0
    _before: float = field(default=0.0, repr=False)
    _looked: float = field(default=0.0, repr=False)
    _is_done: bool = field(default=False, repr=False)
    _ended: str = field(default="", repr=False)

    def __enter__(self) -> Self:
        """Give a child the work."""
        self._child = _child()
        self._before = self._processor_seconds()
        with suppress(OSError):  # it has just died, as is told to whoever listens to it
            self._child.channel.send((self.work, self.args, self.step_seconds))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child, unless it is done and of use for more."""
        if self._is_done and not self._ended and self.resident_bytes() < KEPT_BYTES:
            _idle.append(self._child)
        else:
            self._child.end()

    def __iter__(self) -> Iterator[Told]:
        """What the child tells.

        Raises OverrunError if it was ended for what its step took, or died: after all that it had
        told, so that the last of it says what it was at.
        """
        while True:
            try:
                self._wait()
                said = json.loads(self._child.channel.recv_bytes())
                rows = _received(self._child.channel, said["rows"]) if said["rows"] else None
            except (EOFError, OSError):  # OSError: in the middle of a message
                self._child.process.join()
                code = self._child.process.exitcode or 0
                raise OverrunError(self._ended or _end_of(code)) from None
            self._is_done = "told" not in said
            if "ended" in said:
                self._ended = said["ended"]
                raise OverrunError(self._ended)
            if "error" in said:
                raise _error(*said["error"])
            if self._is_done:
                return
            yield said["told"], rows

    def resident_bytes(self) -> int:
        """The child's memory, but for files that it maps, where the system tells."""
        with suppress(psutil.Error):
            info = psutil.Process(self._child.process.pid).memory_info()
            return int(info.rss - getattr(info, "shared", 0))
        return 0

    def _wait(self) -> None:
        """Until there is something of the child to be heard.

        Raises:
            LateError: the time is over.
            EOFError: it is gone; what it started may keep its end of the channel open.
        """
        looks, taken = 0, 0.0
        while True:
            is_there = self._child.channel.poll(LOOK_SECONDS)
            now = time.monotonic()
            if self.ends is not None and now > self.ends:
                raise LateError("the time that was given is over")
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                self.spent = max(self.spent, self._processor_seconds() - self._before)
                if self.spent > self.total_seconds:
                    self._end(TOTAL)
                if self.resident_bytes() > self.most_bytes:
                    self._end("memory")
            if is_there:
                return
            if not self._child.process.is_alive() and not self._child.channel.poll():
                raise EOFError
            # Counted by looks: while this process is stopped, so may be the child.
            before, taken = taken, self.spent
            looks = looks + 1 if taken == before else 0
            if looks * LOOK_SECONDS > STILL_SECONDS:
                self._end(STILL)

    def _processor_seconds(self) -> float:
        with suppress(psutil.Error):
            times = psutil.Process(self._child.process.pid).cpu_times()
            return float(times.user + times.system)
        return 0.0

    def _end(self, why: str) -> None:
        self._ended = self._ended or why
        self._child.kill()


def _end_of(code: int) -> str:
    if code == -signal.SIGPROF:
        return "seconds"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _received(channel: Connection, size: int) -> pa.RecordBatch:
    """Rows of so many bytes, read to where they stay: a message of `Connection` is copied twice."""
    data = pa.allocate_buffer(size)
    left = memoryview(data)
    while left:
        read = os.readv(channel.fileno(), [left])
        if not read:
            raise EOFError
        left = left[read:]
    with pa.ipc.open_stream(data) as stream:
        return stream.read_next_batch()


def _error(name: str, message: str) -> PhloemError:
    """The error of this class of Phloem's own."""
    waiting = [PhloemError]
    for each in waiting:
        if f"{each.__module__}.{each.__qualname__}" == name:
            return each(message)
        waiting += each.__subclasses__()
    return StageError(message)


# In the child -------------------------------------------------------------------------------------
def serve(channel: Connection) -> None:
    """Do one piece of work after another, and tell the parent all that it yields."""
    os.setsid()  # what is started here ends with it; no terminal's keys reach either
    with suppress(OSError):  # there is no stderr
        os.dup2(2, 1)  # what a library prints is no part of what a command does
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked ends it
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whoever started this one may let it be ignored
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(channel.fileno(),), daemon=True).start()
    while True:
        try:
            work, args, step_seconds = channel.recv()
        except (EOFError, OSError):  # OSError: it has not heard all that was told
            return  # the parent is gone
        progress.listen(partial(_step, channel, step_seconds))
        with suppress(BrokenPipeError, ConnectionResetError):  # the parent wants no more
            _do(work, args, step_seconds, channel)


def _end_with(channel: int) -> None:
    """End this process when its parent has gone: nobody else would, if it waits for something."""
    gone = select.poll()
    gone.register(channel, 0)  # that it was hung up is always told
    gone.poll()
    os.killpg(0, signal.SIGKILL)


def _step(channel: Connection, step_seconds: int, files: Sequence[str]) -> None:
    _allow(step_seconds)
    if files:
        _send(channel, {"told": {"begun": files}}, None)


def _do(
    work: Callable[..., Iterable[Told]],
    args: tuple[Any, ...],
    step_seconds: int,
    channel: Connection,
) -> None:
    _allow(step_seconds)
    try:
        for told, rows in work(*args):
            _send(channel, {"told": told}, rows)
            _allow(step_seconds)
        _send(channel, {"end": True}, None)
    except PhloemError as error:
        kind = type(error)
        said = [f"{kind.__module__}.{kind.__qualname__}", str(error)]
        _send(channel, {"error": said}, None)
    except MemoryError:
        _send(channel, {"ended": NO_MEMORY}, None)
    except Exception as error:  # noqa: BLE001 - whatever it is, one safe line of it goes on
        _send(channel, {"error": ["", reason_of(error)]}, None)
    except BaseException:  # noqa: BLE001 - an op that leaves; what it says may quote a document
        os._exit(1)


def _allow(seconds: int) -> None:
    """Let the system end this process when it has had so many more seconds of processor time.

    By a timer, which counts from now on: a limit counts from the start, by another clock than any
    that a process may ask, and the two have drifted ten seconds apart after some minutes.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _send(channel: Connection, said: Json, rows: pa.RecordBatch | None) -> None:
    size = 0
    if rows is not None:
        counted = pa.MockOutputStream()
        _write(counted, rows)
        size = counted.size()
    channel.send_bytes(json.dumps({**said, "rows": size}).encode())
    if rows is not None:
        with open(channel.fileno(), "wb", closefd=False) as out:
            _write(out, rows)


def _write(out: Any, rows: pa.RecordBatch) -> None:
    with pa.ipc.new_stream(out, rows.schema) as stream:
        stream.write_batch(rows)
