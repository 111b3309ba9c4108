"""Work for a child of `phloem.pipeline.guard`, which imports it by name."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from phloem.pipeline import extraction
from phloem.pipeline.guard import Told
from phloem.sources import progress
from phloem.sources.connector import GoneError
from phloem.sources.connectors import files

HEAVY = '''
"""An extractor that does to its process what a document says."""

import os
import signal
import time

import pyarrow as pa

from phloem.catalog.columns import CONTENT, TEXT
from phloem.filters.op import op


@op(reads=(CONTENT,), writes=(TEXT,), media_types=("text/x-heavy",))
def heavy(batch):
    for content in batch["content"].to_pylist():
        word, _, amount = content.decode().partition(" ")
        if word == "spin":
            sum(range(10**12))
        if word == "count":
            ends = time.process_time() + float(amount)
            while time.process_time() < ends:
                pass
        if word == "sleep":
            time.sleep(float(amount))
        if word == "hold":
            held = b"x" * int(amount)
            time.sleep(2)
            del held
        if word == "die":
            os.kill(os.getpid(), signal.Signals[amount])
        if word == "lack":
            raise MemoryError
        if word == "leave":
            raise SystemExit(amount)
        if word == "raise":
            raise ValueError(amount)
    return [batch["content"].cast(pa.string())]
'''
"""A module of a workspace."""


def spin() -> None:
    """Take processor time in one call, without an end."""
    sum(range(10**12))


def tell(count: int) -> Iterator[Told]:
    """The process, and numbers, each with a row."""
    for number in range(count):
        row = pa.RecordBatch.from_pydict({"number": [number]})
        yield {"pid": os.getpid(), "число": number}, row


def tell_and(deed: str) -> Iterator[Told]:
    """One thing, and then what the deed says."""
    yield {"pid": os.getpid()}, None
    if deed == "spin":
        spin()
    if deed == "hold":
        held = b"x" * 600 * 2**20
        time.sleep(5)
        del held
    if deed == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if deed == "wait":
        time.sleep(600)
    if deed == "exit":
        os._exit(7)
    if deed == "refuse":
        msg = "the registry is not there"
        raise GoneError(msg)
    if deed == "raise":
        msg = "Привет, это личное письмо"
        raise ValueError(msg)


def start_one_and(deed: str) -> Iterator[Told]:
    """The process, and one that keeps all that is open here and refuses signals; then as said."""
    yield {"pid": os.getpid()}, None
    pid = os.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(600)
        os._exit(0)
    yield {"pid": pid}, None
    if deed == "spin":
        spin()
    os.kill(os.getpid(), signal.SIGSEGV)


def say() -> Iterator[Told]:
    """Nothing but what goes to stdout, by Python and past it."""
    sys.stdout.write("Привет\n")
    sys.stdout.flush()
    os.write(1, b"hello\n")
    yield {}, None


def leave(_: Any) -> Iterator[Told]:
    """Nothing: its process ends."""
    os._exit(7)
    yield {}, None


def hold_at(number: int) -> Iterator[Told]:
    """Numbers up to one at which much memory is taken."""
    for each in range(number + 1):
        yield {"at": each}, None
    held = b"x" * 600 * 2**20
    time.sleep(5)
    del held


def step_on(steps: int, seconds: float) -> Iterator[Told]:
    """Take so much processor time a step."""
    for _ in range(steps):
        ends = time.process_time() + seconds
        while time.process_time() < ends:
            pass
        progress.step()
    yield {"steps": steps}, None


def extract_with_a_reader_that_spins(asked: Any, place: Any) -> Iterator[Told]:
    """As `extract_here`, where reading a file whose name says so never ends."""
    real = files.read_files._read

    def read(params: Any, kind: str, part: Any, path: str, limits: Any) -> Any:
        if "spin" in part[0]:
            return iter(spin, 0)
        return real(params, kind, part, path, limits)

    files.read_files._read = read
    try:
        yield from extraction.extract_here(asked, place)
    finally:
        files.read_files._read = real
