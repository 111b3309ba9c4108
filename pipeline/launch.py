"""How a worker process is started: warm, and with nothing of the program that asked for it.

Workers are forked from a process that has imported and called what they need. It is imported here
that takes long: a driver starts it as soon as it knows that there is something to do.

`multiprocessing` has each process that it starts run its parent's main module once more, for what
was defined there. Workers do Phloem's own functions and need none of it. A script without a guard
of its `__name__` would begin its run again in every worker, and a program that was read from stdin
has no file to be run again.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, popen_forkserver, spawn, util
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

from phloem.filters.kernels import all_compiled

WARM = "phloem.pipeline.engines.warm"
MAIN = ("init_main_from_name", "init_main_from_path")  # what a process is told of its parent's main

PRELOAD = [
    "phloem.pipeline.engines.lean",
    "phloem.pipeline.engines.transforms",
    "phloem.pipeline.engines.forked",
]  # in the forkserver: each worker starts with Beam and all loops loaded

SETTINGS = MappingProxyType(
    {
        # A worker started in a folder with its own `pipeline/` must not import from there.
        "PYTHONSAFEPATH": "1",
        # One worker, one core: libraries' own threads would only get in each other's way.
        "OMP_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
    }
)

SOCKET_PATH_BYTES = 107  # `sun_path` of unix(7) on Linux, less the NUL that ends it

logger = logging.getLogger(__name__)

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


@contextmanager
def worker_settings() -> Iterator[None]:
    """Give all processes that this one starts meanwhile the settings of workers.

    Afterwards they are gone: whoever trains in this process wants all of its threads.
    """
    added = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _deaf_to_terminals() -> Iterator[None]:
    """What is started meanwhile inherits that Ctrl-C and a closed terminal mean nothing to it.

    Both reach all processes of a terminal at once, and the driver ends the others.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers belong to the main thread; so does Ctrl-C
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def load() -> None:
    """Start the process that workers are forked from, if it does not run yet.

    Without compiled loops, such as after installing a wheel, they are compiled first: once, and not
    by each worker.
    """
    if not all_compiled():
        logger.warning("compiling kernels, once: a minute or less")
        with worker_settings(), _deaf_to_terminals():
            compiling = subprocess.Popen([sys.executable, "-m", WARM])
        try:
            compiling.wait()
        finally:
            compiling.kill()  # where Ctrl-C came; else it has ended
    with _deaf_to_terminals():
        run_server(PRELOAD)


def run_server(modules: Sequence[str]) -> None:
    """Start the process that workers are forked from, with these modules, if none runs."""
    _place_sockets()
    forkserver.set_forkserver_preload([*modules])
    with worker_settings():
        forkserver.ensure_running()


def _place_sockets() -> None:
    """Let sockets of `multiprocessing` lie in /tmp where TMPDIR's path is too long for any.

    A cluster's job often has one. CPython does the same from 3.14 on.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]  # noqa: SLF001
    longest = len(os.fsencode(tempfile.gettempdir())) + len("/pymp-xxxxxxxx/listener-xxxxxxxx")
    if longest <= SOCKET_PATH_BYTES or "tempdir" in config:
        return
    config["tempdir"] = folder = tempfile.mkdtemp(prefix="pymp-", dir="/tmp")
    util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-100)  # as its own are


def start_beside() -> None:
    """Let this worker start processes of its own, which are forked from where it was forked from.

    `multiprocessing` forbids a daemon to, and would import everything once more for it.
    """
    multiprocessing.current_process().daemon = False
    server: Any = forkserver._forkserver  # noqa: SLF001 - as in `_end`
    server.ensure_running = forkserver.ensure_running = lambda: None


def load_ahead(root: str) -> None:
    """As `load`, if no run has been on this root: then there is something to do for certain.

    It is for a program that is this run and nothing else: whatever ends it ends the process too.
    """
    if "://" not in root and not Path(root).exists():
        load()
        atexit.register(_end)


def _end() -> None:
    server: Any = forkserver._forkserver  # noqa: SLF001 - there is no other way
    with suppress(ProcessLookupError):
        os.kill(server._forkserver_pid, signal.SIGKILL)  # noqa: SLF001 - to end it
