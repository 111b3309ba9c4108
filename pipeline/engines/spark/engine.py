"""The Spark engine: one Beam pipeline a stage, sent to a job server that runs it on a cluster."""

from __future__ import annotations

import logging
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from phloem.catalog.store import Store
from phloem.pipeline.engines.build import build as built
from phloem.pipeline.engines.engine import Done, Failure, forget_failures, noted_reason
from phloem.pipeline.engines.local import resident_bytes
from phloem.pipeline.engines.spark.options import Spark, address, is_loopback, masters
from phloem.pipeline.engines.spark.said import Executors, GaveUp, gave_up
from phloem.pipeline.engines.spark.server import (
    CONNECT,
    Served,
    SparkError,
    free_ports,
    job_server_jar,
    require_reachable,
    served,
    spark_submit,
)
from phloem.pipeline.reason import NO_COMMIT
from phloem.pipeline.stage import Task, just_made
from phloem.sources.limits import Limits

DRIVER = "org.apache.beam.runners.spark.SparkJobServerDriver"

# Seconds that each of these may take, before it is told that it did not answer.
SUBMIT = 120.0  # a pipeline to the job server
ANSWER = 60.0  # one question to the job server
SLACK = 600.0  # on top of a task's own limit: executors start, tasks queue
POLL = 1.0  # between looks at the root
POLL_SHARE = 4  # looking takes a fifth of the time at most: a root may be slow to list

PIPELINES = 2  # for a task of which no worker says why: Spark has tried it several times in each

# Executors that are lost while no task is committed: then they do not stay, whatever is sent. Spark
# replaces one that ends before it had work for ever.
LOSSES = 20

# What the job server is told of Spark; the user's own settings come after these and win.
SETTINGS = {
    # A Python worker is one process an executor: more cores would share its one lock.
    "spark.executor.cores": "1",
    # Partitions of a shuffle. An empty one costs 20 ms; too few leave machines idle at the end.
    "spark.default.parallelism": "64",
    "spark.ui.showConsoleProgress": "false",
    # Executors outlive a stage: else each of a run's pipelines waits for new ones.
    "spark.driver.extraJavaOptions": "-Dbeam.spark.test.reuseSparkContext=true",
    # How long a machine may be silent until its tasks go elsewhere. Spark's own 2 minutes are
    # looked at once a minute; and who fetches from a lost machine waits 2 minutes an attempt.
    "spark.executor.heartbeatInterval": "5s",
    "spark.network.timeout": "40s",
    "spark.network.timeoutInterval": "10s",
    "spark.shuffle.io.connectionCreationTimeout": "10s",
    "spark.shuffle.io.maxRetries": "2",
    "spark.shuffle.io.retryWait": "2s",
    # Rounds of a stage whose shuffle was lost; then what is missing is sent again.
    "spark.stage.maxConsecutiveAttempts": "2",
}
KEEP_WORKERS = 5_000  # ms without work until a Python worker ends

T = TypeVar("T")

logger = logging.getLogger(__name__)


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """What a call returns. Raises SparkError if it fails, or takes longer than this."""
    outcome: queue.Queue[tuple[T, None] | tuple[None, Exception]] = queue.Queue()

    def go() -> None:
        try:
            outcome.put((call(), None))
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            outcome.put((None, error))

    threading.Thread(target=go, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise SparkError(f"{what} did not answer in {seconds:.0f} s") from None
    if error is not None:
        raise SparkError(f"{what} failed: {type(error).__name__}") from error
    return value  # type: ignore[return-value] # no error: the pair holds a value


@dataclass
class SparkEngine:
    """Sends each stage to Spark as one pipeline, and looks on the root for what it made.

    Attributes:
        root: URL of the root, the same for every machine.
        spark: Where tasks are done.
        limits: How long a task may take.
        modules: A workspace's op modules, whose libraries workers must have too.
        cpu_seconds: CPU time of this machine's processes below this one, as last seen.
        peak_bytes: Most resident memory seen of this machine's processes.
    """

    root: str
    spark: Spark
    limits: Limits
    modules: Sequence[str] = ()
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)
    _served: list[Served] = field(default_factory=list, repr=False)
    _options: list[str] = field(default_factory=list, repr=False)
    _jobs: Any = field(default=None, repr=False)
    _executors: Executors = field(default_factory=Executors, repr=False)
    _cpu: dict[tuple[int, float], float] = field(default_factory=dict, repr=False)

    def run(self, stage: str, tasks: Sequence[Task], done: Done) -> list[Failure]:
        """Do tasks of one stage; a failing one does not stop the others.

        Raises SparkError if Spark, the job server or the workers do not answer.
        """
        if not tasks:
            return []
        self._start()
        store = Store(self.root)
        forget_failures(store, tasks)
        left, failed, why = list(tasks), [], NO_COMMIT
        for number in range(PIPELINES):
            if number:
                logger.warning("stage %s: %s: %d tasks are sent again", stage, why, len(left))
            left, gave_up = self._pipeline(store, stage, left, done)
            why = gave_up.why if gave_up else NO_COMMIT
            reasons = [noted_reason(store, task) for task in left]
            pairs = list(zip(left, reasons, strict=True))
            failed += [Failure(task, reason) for task, reason in pairs if reason]
            left = [task for task, reason in pairs if not reason]
            # What a worker could say, and not note, stands in the way of every task.
            unnoted = set(gave_up.workers if gave_up else ()) - {each.reason for each in failed}
            if not left or unnoted:
                break
        return failed + [Failure(task, why) for task in left]

    def stop(self) -> None:
        """End all that this engine started."""
        self._stack.close()

    def _start(self) -> None:
        """Start what is needed, once: a run that finds all made starts nothing."""
        if self._jobs is not None:
            return
        import grpc

        from phloem.pipeline.engines import quiet  # noqa: F401 - before Beam

        from apache_beam.portability.api import beam_job_api_pb2_grpc  # isort: skip

        from phloem.pipeline.engines.transforms import temporary_in

        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="phloem-")))
        self._stack.enter_context(temporary_in(str(folder)))
        environment = self._environment(folder)
        endpoint, artifacts = self.spark.job_endpoint, ""
        if endpoint:
            at = address("--job-endpoint", endpoint)
            require_reachable("job server", [at], "start it, or see --job-server-jar")
        else:
            endpoint, artifacts = self._job_server(folder)
        self._options = [
            "--runner=PortableRunner",
            f"--job_endpoint={endpoint}",
            f"--job_server_timeout={ANSWER:.0f}",
            f"--environment_cache_millis={KEEP_WORKERS}",
            "--experiments=disable_logging_submission_environment",  # which asks pip what there is
            *environment,
            *([artifacts] if artifacts else []),
        ]
        channel = grpc.insecure_channel(endpoint)
        self._stack.callback(channel.close)
        self._jobs = beam_job_api_pb2_grpc.JobServiceStub(channel)

    def _environment(self, folder: Path) -> list[str]:
        """Where executors find Python workers; without options, a pool on this machine."""
        spark = self.spark
        if spark.worker_image:
            return ["--environment_type=DOCKER", f"--environment_config={spark.worker_image}"]
        pool = spark.worker_pool
        if pool:
            at = address("--worker-pool", pool)
            # On a cluster each executor has a pool beside it; this machine need not.
            if not is_loopback(at[0]) or spark.is_here():
                hint = "start it there, as docs/spark.md says"
                require_reachable("worker pool", [at], hint)
        else:
            (port,) = free_ports(1)
            pool = f"localhost:{port}"
            module = "phloem.pipeline.engines.spark.worker_pool"
            command = [sys.executable, "-m", module, pool, self.root]
            self._serve("worker pool", command, port, folder)
        return ["--environment_type=EXTERNAL", f"--environment_config={pool}"]

    def _job_server(self, folder: Path) -> tuple[str, str]:
        """Start a job server; its address, and the option that ships its jar."""
        spark = self.spark
        hint = "start the cluster, or mend --spark-master"
        require_reachable("Spark master", masters(spark.master), hint)
        jar = job_server_jar(spark.job_server, folder)
        job, artifact, expansion = free_ports(3)
        settings = [f"{key}={value}" for key, value in SETTINGS.items()]
        settings += [f"spark.cores.max={spark.cores}"] if spark.cores else []
        command = [
            *(spark_submit(), "--master", spark.master, "--class", DRIVER),
            *(word for each in [*settings, *spark.settings] for word in ("--conf", each)),
            *(str(jar), "--job-host=localhost", f"--job-port={job}"),
            *(f"--artifact-port={artifact}", f"--expansion-port={expansion}"),
            *(f"--artifacts-dir={folder}/artifacts", f"--spark-master-url={spark.master}"),
        ]
        self._executors.log = self._serve("job server", command, job, folder).log
        # Else all of Spark's own jars would be sent to every executor.
        return f"localhost:{job}", f"--files_to_stage={jar}"

    def _serve(self, name: str, command: Sequence[str], port: int, folder: Path) -> Served:
        self._served.append(self._stack.enter_context(served(name, command, port, folder)))
        return self._served[-1]

    def _pipeline(
        self, store: Store, stage: str, tasks: Sequence[Task], done: Done
    ) -> tuple[list[Task], GaveUp | None]:
        """One pipeline of these tasks, to its end: what it left undone, and why if it failed."""
        from apache_beam.portability.api import beam_job_api_pb2 as api

        job = within(
            SUBMIT, "the job server, given a pipeline,", lambda: self._submit(stage, tasks)
        )
        waiting, lost = list(tasks), self._executors.lost
        self._executors.hear()
        lost.clear()  # of an earlier pipeline
        lost_before = told = 0
        patience = self.limits.task_seconds + SLACK
        moved = time.monotonic()
        state = api.JobState.UNSPECIFIED
        try:
            while True:
                state = self._state(job)  # before looking, so that the last look misses nothing
                looked = time.monotonic()
                left = self._look(store, waiting, done)
                self._executors.hear()
                for fact in [*lost.values()][told:]:
                    logger.warning("stage %s: %s", stage, fact)  # Spark goes on, for how long?
                told = len(lost)
                if len(left) < len(waiting):
                    moved, lost_before = time.monotonic(), len(lost)
                waiting = left
                if state in _ended():
                    return left, None if state == api.JobState.DONE else self._why(job)
                if len(lost) - lost_before >= LOSSES:
                    return left, gave_up("", [*lost.values()][lost_before:])
                if time.monotonic() - moved > patience:
                    raise SparkError(
                        f"stage {stage}: no task was committed for {patience:.0f} s; the Spark"
                        " master's page shows whether executors run, and what they wait for"
                    )
                time.sleep(max(POLL, POLL_SHARE * (time.monotonic() - looked)))
        finally:
            if state not in _ended():
                self._cancel(job)

    def _submit(self, stage: str, tasks: Sequence[Task]) -> str:
        """Send a pipeline; the job's id.

        Beam's own `submit` also opens streams of the job's states and messages, which whoever does
        not read them to the end cancels; and a job whose streams are cancelled never fails: the
        job server fails at telling it, before it has noted it.
        """
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.portability.api import beam_job_api_pb2 as api
        from apache_beam.runners.portability.portable_runner import (
            JobServiceHandle,
            PortableRunner,
        )

        from phloem.pipeline.engines.transforms import build

        options = PipelineOptions([*self._options, f"--job_name=phloem-{stage}"])
        pipeline = beam.Pipeline(options=options)
        build(pipeline, stage, self.root, [task.to_json() for task in tasks], built(self.modules))
        graph = PortableRunner.get_proto_pipeline(pipeline, options)
        handle = JobServiceHandle(self._jobs, options)  # asks with --job_server_timeout
        prepared = handle.prepare(graph)
        artifacts = prepared.artifact_staging_endpoint.url
        within(
            ANSWER,
            "the job server's artifact service",
            lambda: handle.stage(graph, artifacts, prepared.staging_session_token),
        )
        asked = api.RunJobRequest(preparation_id=prepared.preparation_id)
        return str(self._jobs.Run(asked, timeout=ANSWER).job_id)

    def _state(self, job: str) -> int:
        """What became of a job so far. Raises SparkError if nobody can say."""
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2 as api

        for each in self._served:
            each.check()
        try:
            return int(
                self._jobs.GetState(api.GetJobStateRequest(job_id=job), timeout=ANSWER).state
            )
        except grpc.RpcError as error:
            for each in self._served:
                each.check()
            raise SparkError(f"the job server does not answer: {error.code().name}") from None

    def _look(self, store: Store, tasks: Sequence[Task], done: Done) -> list[Task]:
        """Tell of the tasks that have committed; the others."""
        there = {name for stage in {t.makes[0][0] for t in tasks} for name in store.list(stage)}
        begun = [task for task in tasks if "/".join(task.makes[0]) in there]
        read = store.together(lambda task: just_made(store, task), begun)
        found = {t.makes: made for t, made in zip(begun, read, strict=True) if made is not None}
        for task in begun:
            if task.makes in found:
                done(task, found[task.makes])
        left = [task for task in tasks if task.makes not in found]
        self._sample()
        return left

    def _sample(self) -> None:
        """Look at the memory and CPU time of this machine's processes."""
        self.peak_bytes = max(self.peak_bytes, resident_bytes())
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # ended meanwhile
                times = process.cpu_times()
                self._cpu[process.pid, process.create_time()] = times.user + times.system
        self.cpu_seconds = sum(self._cpu.values())

    def _why(self, job: str) -> GaveUp:
        """Why a job that has ended did not succeed, as far as it may be told."""
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2 as api

        texts: list[str] = []
        with suppress(grpc.RpcError):
            for message in self._jobs.GetMessageStream(
                api.JobMessagesRequest(job_id=job), timeout=CONNECT
            ):
                texts.append(message.message_response.message_text)  # noqa: PERF401 - may end early
        return gave_up("\n".join(texts), [*self._executors.lost.values()])

    def _cancel(self, job: str) -> None:
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2 as api

        with suppress(grpc.RpcError):
            self._jobs.Cancel(api.CancelJobRequest(job_id=job), timeout=CONNECT)


def _ended() -> tuple[int, ...]:
    from apache_beam.portability.api import beam_job_api_pb2 as api

    return (api.JobState.DONE, api.JobState.FAILED, api.JobState.CANCELLED, api.JobState.STOPPED)


@contextmanager
def open_spark(
    root: str, spark: Spark, limits: Limits, modules: Sequence[str] = ()
) -> Iterator[SparkEngine]:
    """An engine that does tasks on Spark; all that it started ends with the block.

    Raises:
        RunnerError: options that do not go together.
    """
    spark.check()
    # Workers have another folder to be in: a path must not depend on it.
    place = root if "://" in root else str(Path(root).resolve())
    engine = SparkEngine(place, spark, limits, modules)
    try:
        yield engine
    finally:
        engine.stop()
