"""Python workers beside Spark's executors: each is forked from a process that has Beam loaded.

`python -m phloem.pipeline.engines.spark.worker_pool localhost:50000 ROOT…` on each machine of a
cluster serves the executors there. Beam's own pool starts an interpreter for each worker of each
pipeline, 3 to 7 s of CPU time, and listens on every address of the machine.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
import threading
import traceback
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from phloem.pipeline.engines import quiet  # noqa: F401 - before Beam

import grpc  # isort: skip
from apache_beam.portability.api import beam_fn_api_pb2 as api  # isort: skip
from apache_beam.portability.api import beam_fn_api_pb2_grpc  # isort: skip

from phloem.catalog.store import RootError, Store
from phloem.pipeline.engines.engine import on_worker
from phloem.pipeline.engines.local import quiet_worker
from phloem.pipeline.launch import PRELOAD, run_server
from phloem.pipeline.reason import reason_of

STARTS = 3  # of a worker that ends before it has reported to its executor
REPORT = 20.0  # seconds until it must have: forked, it takes one

# All of one executor's pipelines, and others' beside them: each waits here for its worker.
_AT_ONCE = 32

logger = logging.getLogger("worker pool")


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts workers as executors ask."""

    def __init__(self) -> None:
        """Load Beam and the transforms, once for all workers."""
        self.context = multiprocessing.get_context("forkserver")
        run_server([*PRELOAD, "apache_beam.runners.worker.sdk_worker"])
        # multiprocessing starts one process at a time, and looks after those that ended meanwhile.
        self.lock = threading.Lock()
        self.loaded = threading.Event()
        self.ending = threading.Event()
        threading.Thread(target=self._await_loaded, daemon=True).start()

    def _await_loaded(self) -> None:
        """See a first process through: that which workers are forked from may compile first."""
        first = self.context.Process(target=str, daemon=True)
        with self.lock:
            first.start()
        connection.wait([first.sentinel])
        self.loaded.set()

    def StartWorker(self, asked: api.StartWorkerRequest, _: object) -> api.StartWorkerResponse:  # noqa: N802
        """Start a worker that works for whoever asked.

        It is answered when the worker has reported: the executor waits for that without an end,
        and takes an error that it is told here for its task's.
        """
        self.loaded.wait()
        for _ in range(STARTS):
            ended = self._started(asked.control_endpoint.url, asked.worker_id)
            if not ended or self.ending.is_set():
                return api.StartWorkerResponse()
        # As at the end of a traceback: it is told as what a worker raises is.
        said = traceback.format_exception_only(on_worker(f"the Python worker {ended}"))
        return api.StartWorkerResponse(error="\n" + "".join(said))

    def _started(self, control: str, worker_id: str) -> str:
        """Start a worker, once; how it ended if it did before it had reported, else nothing."""
        reported, report = self.context.Pipe(duplex=False)
        worker = self.context.Process(target=work, args=[control, worker_id, report], daemon=True)
        with self.lock:
            if self.ending.is_set():
                return "was not started: its pool ends"
            worker.start()
        report.close()
        with reported:
            if not reported.poll(REPORT):
                worker.kill()
                return f"did not report to its executor in {REPORT:.0f} s"
            try:
                reported.recv()
            except EOFError:
                return f"{self._end_of(worker)} before it began"
        threading.Thread(target=self._watch, args=[worker], daemon=True).start()
        return ""

    def _watch(self, worker: BaseProcess) -> None:
        """Say if a worker was killed: its executor only sees that it is gone.

        One whose executor is gone ends by an error of Python's, which is on stderr already.
        """
        connection.wait([worker.sentinel])
        ended = self._end_of(worker)
        if "killed" in ended:
            logger.error("a worker %s in the middle of its work", ended)

    def _end_of(self, worker: BaseProcess) -> str:
        with self.lock:
            worker.join()
            code = worker.exitcode or 0
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def StopWorker(self, _: api.StopWorkerRequest, __: object) -> api.StopWorkerResponse:  # noqa: N802
        """Leave a worker to end by itself, as it does when its executor hangs up.

        Executors number their workers each for itself: ended by its id, it may be another's.
        """
        return api.StopWorkerResponse()

    def end(self) -> None:
        """End all workers, those too that are being started: whoever waits for one ends as well."""
        self.ending.set()
        self.loaded.set()
        with self.lock:
            for worker in multiprocessing.active_children():
                worker.kill()


def work(control: str, worker_id: str, report: connection.Connection) -> None:
    """Be a worker, until the executor has nothing more to do; `report` hears of the beginning."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    quiet_worker()
    harness = SdkHarness(
        control, worker_id=worker_id, state_cache_size=0, data_buffer_time_limit_ms=-1
    )
    report.send(None)
    report.close()
    harness.run()


def require_usable(root: str) -> None:
    """Raise what keeps this machine from using a root: a small file is written, read and deleted.

    A folder that is not there is refused: what machines share is mounted, and not made by one.
    """
    store = Store(root)
    if store.is_local and not Path(root).is_dir():
        raise RootError(f"there is no folder {root} on this machine; mount it, or make it")
    name, said = f"probe-{uuid.uuid4().hex}", b"A pool of workers looks whether it can write here."
    store.write_bytes(name, said)
    try:
        read = store.read_bytes(name)
    finally:
        store.delete(name)
    if read != said:
        raise RootError(f"{root} gave back other bytes than were written")


def main(address: str, roots: Sequence[str]) -> None:
    """Serve the executors that reach this address, until ended, with workers for these roots."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # its workers end with it
    logging.basicConfig(format="%(name)s: %(message)s")
    for root in roots:
        try:
            require_usable(root)
        except Exception as error:  # noqa: BLE001 - whatever it is, each worker would meet it
            sys.exit(f"worker pool: {reason_of(error)}")
    server = grpc.server(ThreadPoolExecutor(_AT_ONCE, "worker-pool"))
    pool = WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        sys.exit(f"worker pool: cannot listen on {address}; give a free port of this machine")
    server.start()
    sys.stdout.write(f"ready: workers at {address} for {', '.join(roots)}\n")
    sys.stdout.flush()
    try:
        server.wait_for_termination()
    finally:
        pool.end()


if __name__ == "__main__":
    if len(sys.argv) < 3:  # noqa: PLR2004 - the program, an address and a root
        sys.exit(
            "usage: python -m phloem.pipeline.engines.spark.worker_pool HOST:PORT ROOT…\n"
            "HOST:PORT is where executors on this machine find it, such as localhost:50000; each"
            " ROOT is one that `phloem run --root` is given, and must be writable from here"
        )
    main(sys.argv[1], sys.argv[2:])
