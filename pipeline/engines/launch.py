"""How a worker process is started: with nothing of the program that asked for it.

`multiprocessing` has each process that it starts run its parent's main module once more, for what
was defined there. Workers do Phloem's own functions and need none of it. A script without a guard
of its `__name__` would begin its run again in every worker, and a program that was read from stdin
has no file to be run again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import popen_forkserver, spawn
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from typing import Any

MAIN = ("init_main_from_name", "init_main_from_path")  # what a process is told of its parent's main

_launching = threading.Lock()


@contextmanager
def _main_left_out() -> Iterator[None]:
    """What this thread prepares for a process meanwhile names no main module.

    There is no other way to say so: `multiprocessing` asks one function, for all that it starts.
    """
    with _launching:
        prepared = spawn.get_preparation_data
        ours = threading.get_ident()

        def without_main(name: str) -> dict[str, Any]:
            whole = prepared(name)
            if threading.get_ident() != ours:
                return whole
            return {key: value for key, value in whole.items() if key not in MAIN}

        spawn.get_preparation_data = without_main
        try:
            yield
        finally:
            spawn.get_preparation_data = prepared


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: BaseProcess) -> None:
        with _main_left_out():
            super()._launch(process_obj)  # type: ignore[misc]  # not in typeshed


class _Worker(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Popen:  # noqa: N802 - as multiprocessing names it
        return _Popen(process_obj)


class WorkerContext(ForkServerContext):
    """A context of `multiprocessing` whose processes know nothing of their parent's main module."""

    Process = _Worker
