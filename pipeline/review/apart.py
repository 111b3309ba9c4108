"""A function that is done in a process of its own: what it does to that, it does to nobody else."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TypeVar, cast

from pydantic import TypeAdapter

from phloem.pipeline.launch import load, start_beside

T = TypeVar("T")


class ApartError(Exception):
    """The function gave nothing: the message says how it ended, in words of ours."""


def apart(function: Callable[[], T], kind: TypeAdapter[T], *, seconds: float, memory: int) -> T:
    """What a function returns, carried as JSON.

    A process that read what strangers made may say anything, and a pickle may do anything here.

    Args:
        function: Done in a fork of this process; what it starts there is ended with it.
        kind: Of what it returns.
        seconds: That it may take, of wall-clock time.
        memory: Bytes of private memory that it may have.

    Raises:
        ApartError: it raised, or took longer, or its process ended.
    """
    load()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(function, kind, theirs, memory), daemon=True)
    begun = time.monotonic()
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise ApartError(f"took longer than {time.monotonic() - begun:,.0f} s")
        raised, said = ours.recv_bytes(), ours.recv_bytes()
    except (EOFError, OSError):
        process.join()
        raise ApartError(f"ended its process: {_end_of(process.exitcode)}") from None
    finally:
        with suppress(ProcessLookupError):  # it, and what it started
            os.killpg(cast("int", process.pid), signal.SIGKILL)
        process.kill()  # where it had no group of its own yet
        process.join()
        ours.close()
    if raised:
        raise ApartError(f"ended with {raised.decode()}")
    try:
        return kind.validate_json(said)
    except ValueError:
        raise ApartError("said what nothing here says") from None


def _do(function: Callable[[], T], kind: TypeAdapter[T], theirs: Connection, memory: int) -> None:
    os.setsid()
    start_beside()  # what reads for it is a process as well
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    try:
        value = function()
        raised, said = "", kind.dump_json(value, warnings="error")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        raised, said = type(error).__name__, b""
    theirs.send_bytes(raised.encode())
    theirs.send_bytes(said)


def _end_of(code: int | None) -> str:
    return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
