"""The Spark engine: one Beam pipeline a stage, sent to a job server that runs it on a cluster."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psutil

from phloem.catalog.store import Store
from phloem.pipeline.engines.build import build as built
from phloem.pipeline.engines.engine import NO_COMMIT, Done, Failure, forget_failures, noted_reason
from phloem.pipeline.engines.local import resident_bytes
from phloem.pipeline.engines.runners import RunnerError
from phloem.pipeline.stage import StageError, Task, made
from phloem.sources.limits import Limits

DRIVER = "org.apache.beam.runners.spark.SparkJobServerDriver"
POM = Path(__file__).with_name("pom.xml")

# Seconds that each of these may take, before it is told that it did not answer.
CONNECT = 5.0  # a TCP connection
START = 180.0  # the job server or the worker pool, until its port is open: a JVM takes 5 to 20
FETCH = 900.0  # Maven, for a job server with all that it needs: 100 MB
SUBMIT = 120.0  # a pipeline to the job server
ANSWER = 60.0  # one question to the job server
STOP = 15.0  # a process that is asked to end, before it is killed
SLACK = 600.0  # on top of a task's own limit: executors start, tasks queue
POLL = 1.0  # between looks at the root
POLL_SHARE = 4  # looking takes a fifth of the time at most: a root may be slow to list

PIPELINES = 2  # for a task whose worker left no note: Spark has tried it several times in each

# What the job server is told of Spark; the user's own settings come after these and win.
SETTINGS = {
    # A Python worker is one process an executor: more cores would share its one lock.
    "spark.executor.cores": "1",
    # Partitions of a shuffle. An empty one costs 20 ms; too few leave machines idle at the end.
    "spark.default.parallelism": "64",
    "spark.ui.showConsoleProgress": "false",
    # Executors outlive a stage: else each of a run's pipelines waits for new ones.
    "spark.driver.extraJavaOptions": "-Dbeam.spark.test.reuseSparkContext=true",
}
KEEP_WORKERS = 5_000  # ms without work until a Python worker ends

COORDINATES = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+")
# Of a job's error only the kinds of the exceptions are told: the rest may quote a document.
KINDS = re.compile(
    r"\b(?:[a-z]\w*\.){2,}(?:\w+\$)?([A-Z]\w*(?:Exception|Error))\b|\b(\w*LostFailure)\b"
)

T = TypeVar("T")


class SparkError(StageError):
    """Spark, its job server or its workers did not do as asked: which of them, and what to do."""


@dataclass(frozen=True)
class Spark:
    """Where a run's tasks are done, as a user gives it.

    Attributes:
        master: `spark://host:port` of a standalone cluster, or `local[N]`.
        job_server: Path of the job server's jar, or its Maven coordinates.
        job_endpoint: `host:port` of a job server that runs already; then neither of the others.
        worker_pool: `host:port` at which each executor reaches a pool of Python workers.
        worker_image: Container image with Phloem, of which each executor starts a worker.
        settings: `key=value` for Spark, such as `spark.executor.memory=2g`.
        cores: Most cores of the cluster to take; all of them if None.
    """

    master: str = ""
    job_server: str = ""
    job_endpoint: str = ""
    worker_pool: str = ""
    worker_image: str = ""
    settings: tuple[str, ...] = ()
    cores: int | None = None

    def check(self) -> None:
        """Raise RunnerError for options that are missing, malformed or do not go together."""
        if self.job_endpoint and (self.master or self.job_server or self.settings or self.cores):
            raise RunnerError(
                "--job-endpoint is a job server that runs already, with its own master, jar and"
                " settings: leave out --spark-master, --job-server-jar, --spark-conf and --workers"
            )
        if not self.job_endpoint and not (self.master and self.job_server):
            raise RunnerError(
                "runner spark needs --spark-master and --job-server-jar, or --job-endpoint;"
                f" `mvn -q package -f {POM} -Dto=FOLDER` makes the jar, see docs/spark.md"
            )
        if self.worker_pool and self.worker_image:
            raise RunnerError("--worker-pool and --worker-image exclude each other: give one")
        for option, value in (
            ("--job-endpoint", self.job_endpoint),
            ("--worker-pool", self.worker_pool),
        ):
            if value:
                _address(option, value)
        if self.master:
            _masters(self.master)
        for setting in self.settings:
            if not re.fullmatch(r"spark\.[^=\s]+=.*", setting):
                raise RunnerError(f"--spark-conf {setting!r} is not spark.some.key=value")
        if not (self.worker_pool or self.worker_image) and not self.is_here():
            raise RunnerError(
                f"the cluster {self.master or self.job_endpoint} is not on this machine: its"
                " executors need Python workers of their own; give --worker-pool or --worker-image"
            )

    def is_here(self) -> bool:
        """Whether the cluster, as far as its address tells, is this machine alone."""
        if self.job_endpoint:
            return _is_loopback(_address("--job-endpoint", self.job_endpoint)[0])
        return all(_is_loopback(host) for host, _ in _masters(self.master))


def _address(option: str, text: str) -> tuple[str, int]:
    """Host and port. Raises RunnerError."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port and text == parts.netloc:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise RunnerError(f"{option} {text!r} is not host:port")


def _masters(master: str) -> list[tuple[str, int]]:
    """The addresses of a master: several where others stand by, none for `local[N]`."""
    if re.fullmatch(r"local(\[(\d+|\*)\])?", master):
        return []
    if not master.startswith("spark://"):
        raise RunnerError(
            f"--spark-master {master!r} is neither spark://host:port nor local[N]; Beam's job"
            " server runs on no other kind of cluster"
        )
    hosts = master.removeprefix("spark://").split(",")
    return [_address("--spark-master", host) for host in hosts]


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


# Processes ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Served:
    """A process that listens on a port.

    Attributes:
        name: What it is, for a person.
        process: Leader of its own process group; ends the others when this process is gone.
        log: What it wrote.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise SparkError if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise SparkError(f"the {self.name} ended with exit code {code}")

    def last_line(self) -> str:
        """The last thing it said before it had any work: no stack trace, no long line."""
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip() and not line.startswith(("\t", " "))]
        return said[-1][:200] if said else "nothing"


@contextmanager
def served(name: str, command: Sequence[str], port: int, folder: Path) -> Iterator[Served]:
    """A process that answers on a port of this machine; it and all it started end with the block.

    Raises SparkError if it ends or does not open its port in time.
    """
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "phloem.pipeline.engines.spark.tether", *command],
            stdin=subprocess.PIPE,  # closes with this process, were it killed
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            # Started in a folder with its own `pipeline/`, nothing must be imported from there.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C is the driver's business, and all end together
        )
    found = Served(name, process, log)
    try:
        until = time.monotonic() + START
        while not reachable("localhost", port):
            if process.poll() is not None or time.monotonic() > until:
                ended = process.poll() is not None
                what = "ended" if ended else f"did not open its port in {START:.0f} s"
                raise SparkError(f"the {name} {what}; it last said: {found.last_line()}")
            time.sleep(0.2)
        yield found
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group: ask, wait, kill whatever is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def reachable(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        socket.create_connection((host, port), timeout=CONNECT).close()
    except OSError:
        return False
    return True


def _require_reachable(what: str, addresses: Sequence[tuple[str, int]], hint: str) -> None:
    if addresses and not any(reachable(*address) for address in addresses):
        told = ", ".join(f"{host}:{port}" for host, port in addresses)
        raise SparkError(f"the {what} at {told} does not answer; {hint}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def spark_submit() -> str:
    """Spark's launcher: of SPARK_HOME, else from PATH. Raises SparkError if there is none."""
    home = os.environ.get("SPARK_HOME")
    found = shutil.which("spark-submit", path=str(Path(home) / "bin") if home else None)
    if found is None:
        where = f"SPARK_HOME ({home})" if home else "PATH, and SPARK_HOME is not set"
        raise SparkError(
            f"no spark-submit in {where}; install Spark 3.5, such as pyspark==3.5.9 in an"
            " environment of its own, and set SPARK_HOME"
        )
    return found


def job_server_jar(asked: str, folder: Path) -> Path:
    """The jar at a path, or fetched into a folder by its Maven coordinates. Raises SparkError."""
    path = Path(asked).expanduser().resolve()
    if path.is_file():
        return path
    if not COORDINATES.fullmatch(asked):
        raise SparkError(
            f"--job-server-jar {asked!r} is no file, nor group:artifact:version;"
            f" `mvn -q package -f {POM} -Dto=FOLDER` makes one"
        )
    maven = shutil.which("mvn")
    if maven is None:
        raise SparkError(f"mvn fetches {asked}, and is not on PATH; install Maven, or give a path")
    command = [
        *(maven, "-q", "-B", "dependency:copy", f"-Dartifact={asked}"),
        f"-DoutputDirectory={folder}",
    ]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=FETCH)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise SparkError(
            f"mvn could not fetch {asked}: {type(error).__name__}; `{' '.join(command)}` says why"
        ) from None
    _, artifact, version = asked.split(":")
    return folder / f"{artifact}-{version}.jar"


# Jobs ---------------------------------------------------------------------------------------------
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


def kinds_of(messages: str) -> str:
    """The kinds of exceptions that an error message names, each once."""
    found = dict.fromkeys(name or lost for name, lost in KINDS.findall(messages))
    return ", ".join(found) or "it did not say why"


@dataclass
class SparkEngine:
    """Sends each stage to Spark as one pipeline, and looks on the root for what it made.

    Attributes:
        root: URL of the root, the same for every machine.
        spark: Where tasks are done.
        limits: How long a task may take.
        cpu_seconds: CPU time of this machine's processes below this one, as last seen.
        peak_bytes: Most resident memory seen of this machine's processes.
    """

    root: str
    spark: Spark
    limits: Limits
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)
    _served: list[Served] = field(default_factory=list, repr=False)
    _options: list[str] = field(default_factory=list, repr=False)
    _jobs: Any = field(default=None, repr=False)
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
        left, error = list(tasks), ""
        for _ in range(PIPELINES):
            left, error = self._pipeline(store, stage, left, done)
            if all(noted_reason(store, task) for task in left):
                break
        return [Failure(task, noted_reason(store, task) or error or NO_COMMIT) for task in left]

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

        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="phloem-")))
        environment = self._environment(folder)
        endpoint, artifacts = self.spark.job_endpoint, ""
        if endpoint:
            address = _address("--job-endpoint", endpoint)
            _require_reachable("job server", [address], "start it, or see --job-server-jar")
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
            address = _address("--worker-pool", pool)
            # On a cluster each executor has a pool beside it; this machine need not.
            if not _is_loopback(address[0]) or spark.is_here():
                hint = "start it there, as docs/spark.md says"
                _require_reachable("worker pool", [address], hint)
        else:
            (port,) = _free_ports(1)
            pool = f"localhost:{port}"
            command = [sys.executable, "-m", "phloem.pipeline.engines.spark.worker_pool", pool]
            self._serve("worker pool", command, port, folder)
        return ["--environment_type=EXTERNAL", f"--environment_config={pool}"]

    def _job_server(self, folder: Path) -> tuple[str, str]:
        """Start a job server; its address, and the option that ships its jar."""
        spark = self.spark
        hint = "start the cluster, or mend --spark-master"
        _require_reachable("Spark master", _masters(spark.master), hint)
        jar = job_server_jar(spark.job_server, folder)
        job, artifact, expansion = _free_ports(3)
        settings = [f"{key}={value}" for key, value in SETTINGS.items()]
        settings += [f"spark.cores.max={spark.cores}"] if spark.cores else []
        command = [
            *(spark_submit(), "--master", spark.master, "--class", DRIVER),
            *(word for each in [*settings, *spark.settings] for word in ("--conf", each)),
            *(str(jar), "--job-host=localhost", f"--job-port={job}"),
            *(f"--artifact-port={artifact}", f"--expansion-port={expansion}"),
            *(f"--artifacts-dir={folder}/artifacts", f"--spark-master-url={spark.master}"),
        ]
        self._serve("job server", command, job, folder)
        # Else all of Spark's own jars would be sent to every executor.
        return f"localhost:{job}", f"--files_to_stage={jar}"

    def _serve(self, name: str, command: Sequence[str], port: int, folder: Path) -> None:
        self._served.append(self._stack.enter_context(served(name, command, port, folder)))

    def _pipeline(
        self, store: Store, stage: str, tasks: Sequence[Task], done: Done
    ) -> tuple[list[Task], str]:
        """One pipeline of these tasks, to its end: what it left undone, and why if it failed."""
        from apache_beam.portability.api import beam_job_api_pb2 as api

        job = within(
            SUBMIT, "the job server, given a pipeline,", lambda: self._submit(stage, tasks)
        )
        waiting = list(tasks)
        patience = self.limits.task_seconds + SLACK
        moved = time.monotonic()
        state = api.JobState.UNSPECIFIED
        try:
            while True:
                state = self._state(job)  # before looking, so that the last look misses nothing
                looked = time.monotonic()
                left = self._look(store, waiting, done)
                if len(left) < len(waiting):
                    moved = time.monotonic()
                waiting = left
                if state in _ended():
                    return left, "" if state == api.JobState.DONE else self._why(job)
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
        """Send a pipeline; the job's id."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.portable_runner import (
            JobServiceHandle,
            PortableRunner,
        )

        from phloem.pipeline.engines.transforms import build

        options = PipelineOptions([*self._options, f"--job_name=phloem-{stage}"])
        pipeline = beam.Pipeline(options=options)
        build(pipeline, stage, self.root, [task.to_json() for task in tasks], built())
        graph = PortableRunner.get_proto_pipeline(pipeline, options)
        job, _, _ = JobServiceHandle(self._jobs, options).submit(graph)
        return str(job)

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
        left = []
        for task in tasks:
            shards = made(store, task) if "/".join(task.makes[0]) in there else None
            if shards is None:
                left.append(task)
            else:
                done(task, shards)
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

    def _why(self, job: str) -> str:
        """Why a job failed, by the kinds of exceptions that it names."""
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2 as api

        texts: list[str] = []
        with suppress(grpc.RpcError):
            for message in self._jobs.GetMessageStream(
                api.JobMessagesRequest(job_id=job), timeout=CONNECT
            ):
                if message.message_response.importance == api.JobMessage.JOB_MESSAGE_ERROR:
                    texts.append(message.message_response.message_text)  # noqa: PERF401 - may end early
        return f"Spark gave up on its pipeline: {kinds_of(' '.join(texts))}"

    def _cancel(self, job: str) -> None:
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2 as api

        with suppress(grpc.RpcError):
            self._jobs.Cancel(api.CancelJobRequest(job_id=job), timeout=CONNECT)


def _ended() -> tuple[int, ...]:
    from apache_beam.portability.api import beam_job_api_pb2 as api

    return (api.JobState.DONE, api.JobState.FAILED, api.JobState.CANCELLED, api.JobState.STOPPED)


@contextmanager
def open_spark(root: str, spark: Spark, limits: Limits) -> Iterator[SparkEngine]:
    """An engine that does tasks on Spark; all that it started ends with the block.

    Raises:
        RunnerError: options that do not go together.
    """
    spark.check()
    # Workers have another folder to be in: a path must not depend on it.
    engine = SparkEngine(root if "://" in root else str(Path(root).resolve()), spark, limits)
    try:
        yield engine
    finally:
        engine.stop()
