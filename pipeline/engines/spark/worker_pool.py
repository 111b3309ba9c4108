"""Python workers beside Spark's executors: each is forked from a process that has Beam loaded.

`python -m phloem.pipeline.engines.spark.worker_pool localhost:50000` on each machine of a cluster
serves the executors there. Beam's own pool starts an interpreter for each worker of each pipeline,
3 to 7 s of CPU time, and listens on every address of the machine.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver

from phloem.pipeline.engines import quiet  # noqa: F401 - before Beam

import grpc  # isort: skip
from apache_beam.portability.api import beam_fn_api_pb2 as api  # isort: skip
from apache_beam.portability.api import beam_fn_api_pb2_grpc  # isort: skip

from phloem.pipeline.engines.launch import PRELOAD, worker_settings
from phloem.pipeline.engines.local import quiet_worker


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts workers as executors ask."""

    def __init__(self) -> None:
        """Load Beam and the transforms, once for all workers."""
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([*PRELOAD, "apache_beam.runners.worker.sdk_worker"])
        with worker_settings():
            forkserver.ensure_running()
        self.lock = threading.Lock()  # multiprocessing starts one process at a time

    def StartWorker(self, asked: api.StartWorkerRequest, _: object) -> api.StartWorkerResponse:  # noqa: N802
        """Start a worker that works for whoever asked."""
        worker = self.context.Process(
            target=work, args=[asked.control_endpoint.url, asked.worker_id], daemon=True
        )
        with self.lock:
            worker.start()
        return api.StartWorkerResponse()

    def StopWorker(self, _: api.StopWorkerRequest, __: object) -> api.StopWorkerResponse:  # noqa: N802
        """Leave a worker to end by itself, as it does when its executor hangs up.

        Executors number their workers each for itself: ended by its id, it may be another's.
        """
        return api.StopWorkerResponse()


def work(control: str, worker_id: str) -> None:
    """Be a worker, until the executor has nothing more to do."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    quiet_worker()
    SdkHarness(control, worker_id=worker_id, state_cache_size=0, data_buffer_time_limit_ms=-1).run()


def main(address: str) -> None:
    """Serve the executors that reach this address, until ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # its workers end with it
    server = grpc.server(ThreadPoolExecutor(8, "worker-pool"))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(WorkerPool(), server)
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        sys.exit(f"worker pool: cannot listen on {address}; give a free port of this machine")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        sys.exit("usage: python -m phloem.pipeline.engines.spark.worker_pool HOST:PORT")
    main(sys.argv[1])
