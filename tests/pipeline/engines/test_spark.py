"""Spark: which options go together, that no wait is for ever, and the bytes of a real cluster."""

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import psutil
import pyarrow as pa
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from object_store import ERROR_500, ObjectStore, after, answering, serving
from rich.console import Console
from some_tasks import some_task
from spark_cluster import Cluster, free_port, installed_cluster, options_of, reaching
from tiny_workspace import (
    change_recipe,
    digests,
    make_workspace,
    new_root,
    recipe_of,
    redone,
)
from typer.testing import CliRunner

from phloem.catalog.manifest import Ref, write_parquet
from phloem.catalog.store import Store
from phloem.catalog.views import connect
from phloem.filters.op import find_op
from phloem.pipeline import run as running
from phloem.pipeline.bench.engine import write_sample
from phloem.pipeline.cli.app import app
from phloem.pipeline.engines.runners import RunnerError
from phloem.pipeline.engines.spark import engine as spark_engine
from phloem.pipeline.engines.spark import server
from phloem.pipeline.engines.spark.engine import SparkEngine, open_spark
from phloem.pipeline.engines.spark.options import Spark
from phloem.pipeline.engines.spark.said import Executors, gave_up
from phloem.pipeline.engines.spark.server import SparkError
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.stage import Task
from phloem.pipeline.stages import bands
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace
from phloem.sources.limits import Limits

BUNDLED = Path(__file__).resolve().parents[3] / "sources" / "bundled"
PRIVATE = "Привет, это личное письмо"
POOL = ("-m", "phloem.pipeline.engines.spark.worker_pool")
HERE = Spark("spark://127.0.0.1:7077", "server.jar")
THERE = Spark("spark://10.1.2.3:7077", "server.jar")


# Options ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "good",
    [
        HERE,
        replace(HERE, master="spark://127.0.0.1:7077,localhost:7078", cores=2),
        replace(HERE, master="local[2]"),
        replace(HERE, settings=("spark.executor.memory=2g", "spark.a.b=c=d")),
        replace(THERE, worker_pool="localhost:50000"),
        replace(THERE, worker_image="registry.example.org/phloem:1"),
        Spark(job_endpoint="localhost:8099"),
        Spark(job_endpoint="10.1.2.3:8099", worker_pool="[::1]:50000"),
    ],
)
def test_options_that_go_together(good: Spark) -> None:
    good.check()


@pytest.mark.parametrize(
    ("asked", "sees"),
    [
        (HERE, True),
        (replace(HERE, master="local[2]"), True),
        (Spark(job_endpoint="localhost:8099", worker_pool="localhost:50000"), True),
        (replace(HERE, worker_image="registry.example.org/phloem:1"), False),
        (replace(THERE, worker_pool="localhost:50000"), False),
        (Spark(job_endpoint="10.1.2.3:8099", worker_pool="localhost:50000"), False),
    ],
)
def test_workers_see_this_machine_if_they_are_its_processes(asked: Spark, sees: bool) -> None:
    assert asked.sees_this_machine() == sees


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (Spark(), "needs --spark-master and --job-server-jar"),
        (Spark(master="spark://localhost:7077"), "needs --spark-master and --job-server-jar"),
        (replace(HERE, job_endpoint="localhost:8099"), "leave out --spark-master"),
        (Spark(job_endpoint="localhost:8099", cores=3), "and --workers"),
        (replace(HERE, worker_pool="a:1", worker_image="b"), "exclude each other"),
        (replace(HERE, worker_pool="localhost"), "--worker-pool 'localhost' is not host:port"),
        (replace(HERE, worker_pool="localhost:99999"), "is not host:port"),
        (Spark(job_endpoint="http://a:1/x"), "is not host:port"),
        (replace(HERE, master="yarn"), "neither spark://host:port nor local"),
        (replace(HERE, master="spark://localhost"), "--spark-master 'localhost' is not host:port"),
        (replace(HERE, settings=("memory=2g",)), "is not spark.some.key=value"),
        (THERE, "is not on this machine"),
        (Spark(job_endpoint="10.1.2.3:8099"), "is not on this machine"),
    ],
)
def test_options_that_do_not_are_told(bad: Spark, told: str) -> None:
    with pytest.raises(RunnerError) as error:
        bad.check()
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--runner", "spark"], "needs --spark-master"),
        (["--job-endpoint", "localhost:1"], "the runner is local"),
        (["--runner", "dask"], "loses data"),
        (["--runner", "spark", "--job-endpoint", "localhost:1", "--stage", "measure"], "--stage"),
    ],
)
def test_command_tells_before_anything_is_made(
    options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_workspace(tmp_path / "workspace"))
    result = CliRunner().invoke(app, ["run", "tiny", "--root", str(tmp_path / "root"), *options])
    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / "root").exists()


# Deadlines ----------------------------------------------------------------------------------------
TASK = some_task("0" * 16)


def _started_and_left() -> list[str]:
    """What an engine started and did not end; a pool of this process's own may be there still."""
    lines = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a cluster's executor that just ended
            lines.append(" ".join(process.cmdline()))
    return [line for line in lines if re.search("worker_pool|spark-submit|JobServer", line)]


def _failing(asked: Spark, root: Path) -> str:
    with (
        open_spark(str(root), asked, Limits()) as engine,
        pytest.raises(SparkError) as error,
    ):
        engine.run("tally", [TASK], lambda *_: None)
    assert _started_and_left() == []
    return str(error.value)


@pytest.fixture
def no_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Instead of Spark, a command to be written by the test."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(server, "START", 1.0)
    (tmp_path / "server.jar").touch()
    return tmp_path


def _script(folder: Path, lines: str) -> Spark:
    path = folder / "bin" / "spark-submit"
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)
    # Neither a master nor a pool is looked for: what is tested is the job server.
    return Spark("local[1]", str(folder / "server.jar"), worker_image="none")


def test_start_nothing_for_no_tasks(tmp_path: Path) -> None:
    with open_spark(str(tmp_path), replace(HERE, job_server="nowhere"), Limits()) as engine:
        assert engine.run("tally", [], lambda *_: None) == []


def test_start_master_that_does_not_answer(tmp_path: Path) -> None:
    asked = Spark(f"spark://localhost:{free_port()}", "server.jar", worker_image="none")
    assert "the Spark master at localhost:" in _failing(asked, tmp_path)


def test_start_job_endpoint_that_does_not_answer(tmp_path: Path) -> None:
    asked = Spark(job_endpoint=f"localhost:{free_port()}", worker_image="none")
    assert "the job server at localhost:" in _failing(asked, tmp_path)


def test_start_worker_pool_that_does_not_answer(tmp_path: Path) -> None:
    asked = replace(HERE, worker_pool=f"localhost:{free_port()}")
    assert "the worker pool at localhost:" in _failing(asked, tmp_path)


def test_start_job_server_that_ends_says_its_last_word(no_spark: Path) -> None:
    asked = _script(no_spark, "echo 'no such class'; echo '\tat its.stack.Trace'; exit 3")
    told = _failing(asked, no_spark)
    assert told == "the job server ended; it last said: no such class"


def test_start_job_server_that_opens_no_port(no_spark: Path) -> None:
    began = time.monotonic()
    told = _failing(_script(no_spark, "echo waiting; sleep 600"), no_spark)
    assert told == "the job server did not open its port in 1 s; it last said: waiting"
    assert time.monotonic() - began < 30


def test_start_no_spark_and_no_jar(no_spark: Path) -> None:
    asked = Spark("local[1]", str(no_spark / "server.jar"), worker_image="none")
    assert "no spark-submit in SPARK_HOME" in _failing(asked, no_spark)
    asked = replace(asked, job_server="nowhere.jar")
    assert "'nowhere.jar' is no file, nor group:artifact:version" in _failing(asked, no_spark)


def test_jar_by_coordinates_that_maven_cannot_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven = tmp_path / "mvn"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SparkError, match="mvn fetches a:b:1, and is not on PATH"):
        server.job_server_jar("a:b:1", tmp_path)
    maven.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    maven.chmod(0o755)
    with pytest.raises(SparkError, match="mvn could not fetch a:b:1"):
        server.job_server_jar("a:b:1", tmp_path)
    maven.write_text(f"#!/bin/sh\n: > {tmp_path}/b-1.jar\n", encoding="utf-8")
    assert server.job_server_jar("a:b:1", tmp_path).is_file()


def test_job_server_that_listens_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_engine, "SUBMIT", 2.0)
    with socket.create_server(("localhost", 0)) as silent:
        asked = Spark(job_endpoint=f"localhost:{silent.getsockname()[1]}", worker_image="none")
        told = _failing(asked, tmp_path)
    assert told == "the job server, given a pipeline, did not answer in 2 s"


def test_within_tells_the_kind_of_an_error_only() -> None:
    def fail() -> None:
        raise ValueError(PRIVATE)

    with pytest.raises(SparkError) as error:
        spark_engine.within(5, "the job server", fail)
    assert str(error.value) == "the job server failed: ValueError"
    assert spark_engine.within(5, "it", lambda: 7) == 7


def test_kinds_of_an_error_are_told_and_nothing_else() -> None:
    said = (
        f"org.apache.spark.SparkException: Job aborted: {PRIVATE}\n java.lang.RuntimeException:"
        f" Error received from SDK harness: Traceback ValueError: {PRIVATE} ExecutorLostFailure"
    )
    assert _why(said) == "SparkException, RuntimeException, ExecutorLostFailure"
    assert _why(PRIVATE) == "it did not say why"


def _why(messages: str) -> str:
    return gave_up(messages).why.removeprefix("Spark gave up on its pipeline").removeprefix(": ")


ABORTED = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 4 in stage 1.0 failed"
    " 4 times, most recent failure: Lost task 4.3 in stage 1.0 (TID 18) (10.0.0.2 executor 3): "
)
WORKER_ERROR = "phloem.pipeline.engines.engine.WorkerError: "


LOST_FAILURE = "ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: "
FETCH_FAILED = "FetchFailed(BlockManagerId(1, 10.0.0.9, 40123, None), shuffleId=0, message=\n"
CANCELLED = "java.util.concurrent.ExecutionException: io.grpc.StatusRuntimeException: CANCELLED: "
HUNG_UP = (
    "the Python worker of executor 3 on 10.0.0.2 ended in the middle of its work; the output of the"
    " worker pool there says how"
)
LOST = "executor 3 on 10.0.0.2 was lost"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            f"{PRIVATE}\n{WORKER_ERROR}on worker b-2: no room [while running 'Tally/Do']\n\tat a.T",
            "on worker b-2: no room",
        ),
        (f"\n{WORKER_ERROR}on worker b: no\n{WORKER_ERROR}on worker b: no\n", "on worker b: no"),
        (f"{LOST_FAILURE}Command exited with code 137", f"{LOST}: exited with code 137"),
        (
            f"{LOST_FAILURE}Executor heartbeat timed out after 41234 ms",
            f"{LOST}: heartbeat timed out after 41234 ms",
        ),
        (f"{LOST_FAILURE}", LOST),
        (FETCH_FAILED, "what executor 1 on 10.0.0.9 held for a shuffle could not be fetched"),
        (f"Failed to connect to host-9/10.0.0.9:40123 {PRIVATE}", "10.0.0.9 could not be reached"),
        (
            f"{CANCELLED}client cancelled",
            HUNG_UP,
        ),
    ],
)
def test_what_is_told_of_a_failed_job_is_no_text(failure: str, told: str) -> None:
    assert _why(f"{ABORTED}{failure}{PRIVATE}") == f" after 4 tries of a task: {told}"


def test_what_is_told_of_a_failed_job_is_bounded() -> None:
    lines = [f"{WORKER_ERROR}on worker w{number}: {'x' * 5_000}" for number in range(50)]
    found = gave_up("\n".join(lines))
    assert len(found.workers) == 5
    assert len(found.why) < 6_000


def test_a_line_that_only_looks_like_a_worker_s_is_not_told() -> None:
    for said in (
        f"{PRIVATE} {WORKER_ERROR}on worker b: {PRIVATE}",
        f"{WORKER_ERROR}{PRIVATE}",
        f"ValueError: on worker b: {PRIVATE}",
    ):
        assert gave_up(said).workers == ()
        assert PRIVATE not in gave_up(said).why


LOG = """\
26/11/30 12:58:08 INFO StandaloneSchedulerBackend: Granted executor ID app-20261130-0000/0 on \
hostPort 10.0.0.2:42893 with 1 core(s), 512.0 MiB RAM
26/11/30 12:58:08 INFO StandaloneSchedulerBackend: Granted executor ID app-20261130-0000/1 on \
hostPort 10.0.0.3:42893 with 1 core(s), 512.0 MiB RAM
26/11/30 12:58:20 INFO StandaloneAppClient$ClientEndpoint: Executor updated: \
app-20261130-0000/0 is now EXITED (Command exited with code 1)
26/11/30 12:59:51 ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.3: \
Executor heartbeat timed out after 45000 ms
26/11/30 12:59:52 INFO StandaloneAppClient$ClientEndpoint: Executor updated: \
app-20261130-0000/1 is now EXITED
26/11/30 12:59:53 ERROR TaskSchedulerImpl: Lost executor 7 on 10.0.0.3: Command exited"""


def test_executors_that_a_log_tells_of(tmp_path: Path) -> None:
    log = tmp_path / "job-server.log"
    log.write_text(LOG, encoding="utf-8")
    executors = Executors(log)
    executors.hear()
    told = [
        "executor 0 on 10.0.0.2 was lost: exited with code 1",
        "executor 1 on 10.0.0.3 was lost: heartbeat timed out after 45000 ms",
    ]
    assert list(executors.lost.values()) == told
    with log.open("a", encoding="utf-8") as file:  # the rest of a line that was being written
        file.write(f" with code 137\n{PRIVATE}\n")
    executors.hear()
    assert list(executors.lost.values()) == [
        *told,
        "executor 7 on 10.0.0.3 was lost: exited with code 137",
    ]
    assert gave_up(PRIVATE, told).why == f"Spark gave up on its pipeline: {told[0]}; {told[1]}"


# The worker pool ----------------------------------------------------------------------------------
@pytest.mark.beam
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], "usage:"),
        (["localhost:50000"], "usage:"),
        (["203.0.113.1:50000", "."], "cannot listen on 203.0.113.1"),
        (["localhost:0", ".", "s3://nowhere"], "Unable to locate credentials; see to the"),
        (["localhost:0", "nowhere"], "there is no folder nowhere on this machine; mount it"),
        (["localhost:0", "/proc/self"], "worker pool: "),  # which takes no files, of nobody
    ],
)
def test_worker_pool_that_cannot_serve_says_why(
    asked: list[str], told: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "phloem.pipeline.engines.spark.worker_pool", *asked]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"},
    )
    assert ended.returncode == 1
    assert told in ended.stderr
    assert list(tmp_path.iterdir()) == []  # nothing is left of the look at the root
    assert len(ended.stderr.splitlines()) < 3


@pytest.mark.beam
def test_worker_pool_that_is_ended_waits_for_no_worker_and_leaves_nothing(tmp_path: Path) -> None:
    """One that is being started may never report: its executor is gone."""
    (temporary := tmp_path / "temporary").mkdir()
    (root := tmp_path / "root").mkdir()
    port, nobody = free_port(), free_port()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    pool = psutil.Popen([sys.executable, *POOL, f"localhost:{port}", str(root)], env=environment)
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        asked = beam_fn_api_pb2.StartWorkerRequest(worker_id="1-1")
        asked.control_endpoint.url = f"localhost:{nobody}"
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
        call = stub.StartWorker.future(asked)  # one that nobody holds is cancelled
        until = time.monotonic() + 60
        while len(pool.children(recursive=True)) < 3 and time.monotonic() < until:
            time.sleep(0.1)  # the server of forks, what watches over it, and the worker
        family = pool.children(recursive=True)
        assert not call.done()
        pool.terminate()
        assert pool.wait(timeout=10) == 0
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []
    assert list(temporary.iterdir()) == []


# A cluster ----------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Spark]]:
    """A cluster, and how to reach it."""
    with installed_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def asked(cluster: tuple[Cluster, Spark], monkeypatch: pytest.MonkeyPatch) -> Spark:
    """How to reach the cluster, from a process that finds Spark."""
    for name, value in reaching(cluster[0]).items():
        monkeypatch.setenv(name, value)
    return cluster[1]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Any]:
    """A workspace, and the digests and release of a local run of it."""
    top = tmp_path_factory.mktemp("expected")
    folder = make_workspace(top / "workspace")
    record = _run(folder, new_root(top / "root"), None)
    return folder, digests(top / "root", record), record["release"]


def _run(folder: Path, root: Path, opened: Callable[[], Any] | None) -> dict[str, Any]:
    workspace = load_workspace(folder)
    request = Request(recipe_of(folder), str(root), 1, runner="spark" if opened else "local")
    result = running.run(
        request, load_registry(workspace), workspace, Progress(Console(quiet=True)), opened
    )
    record: dict[str, Any] = json.loads(Store(str(root)).read_bytes(f"runs/{result.run_id}.json"))
    return record


def _on_spark(folder: Path, root: Path, asked: Spark) -> dict[str, Any]:
    return _run(folder, root, functools.partial(open_spark, str(root), asked, Limits()))


def _strange_folder(folder: Path) -> Path:
    """A folder whose own modules have the names of what a worker imports."""
    for name in ("pipeline", "phloem", "catalog", "apache_beam", "grpc"):
        (folder / name).mkdir(parents=True)
        text = "raise SystemExit('imported from the wrong place')\n"
        (folder / name / "__init__.py").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.spark
def test_cluster_makes_the_same_bytes(
    asked: Spark,
    expected: tuple[Path, dict[str, str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, wanted, release = expected
    monkeypatch.chdir(_strange_folder(tmp_path / "strange"))
    root = new_root(tmp_path / "root")
    record = _on_spark(folder, root, asked)
    assert digests(root, record) == wanted
    assert record["release"] == release
    assert record["runner"] == "spark"
    assert _started_and_left() == []
    # All is there: a second run starts nothing, and needs no cluster.
    again = _on_spark(folder, root, replace(asked, master=f"spark://localhost:{free_port()}"))
    assert redone(again) == {}
    assert again["release"] == release


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_makes_the_quickstart_of_20_mb(asked: Spark, tmp_path: Path) -> None:
    write_sample(BUNDLED, tmp_path / "texts", 20)
    made = {}
    for name, options in (("local", ["--workers", "2"]), ("spark", options_of(asked))):
        root = new_root(tmp_path / name)
        command = [sys.executable, "-m", "phloem.pipeline.cli", "run", "quickstart", *options]
        command += ["--root", str(root), "--input", str(tmp_path / "texts" / "*.jsonl")]
        subprocess.run(command, check=True, timeout=900)
        (record,) = [json.loads(path.read_bytes()) for path in (root / "runs").glob("*.json")]
        views = connect(Store(str(root)))
        decisions = views.execute("select * from decisions order by id").fetchall()
        made[name] = (digests(root, record), decisions, record["balance"], record["runner"])
    assert made["spark"] == (*made["local"][:-1], "spark")
    assert sum(counts["read"] for counts in made["local"][2].values()) > 4_000


@pytest.mark.nightly
@pytest.mark.spark
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGKILL])
def test_cluster_the_driver_is_ended_or_killed(
    told: signal.Signals,
    asked: Spark,
    expected: tuple[Path, dict[str, str], Any],
    tmp_path: Path,
) -> None:
    """Nothing of it stays: no process, and in the temporary folder no log that may quote a text."""
    folder, wanted, release = expected
    root = new_root(tmp_path / "root")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "phloem.pipeline.cli", "run", "tiny", "--root", str(root)]
    driver = psutil.Popen(
        [*command, *options_of(asked)], cwd=folder, env={**os.environ, "TMPDIR": str(temporary)}
    )
    until = time.monotonic() + 240
    while not any(root.glob("measure/*/shard.json")) and time.monotonic() < until:
        time.sleep(0.2)
    assert any(temporary.glob("*/job-server.log"))
    family = driver.children(recursive=True)
    driver.send_signal(told)
    assert driver.wait() == (143 if told == signal.SIGTERM else -told)
    assert len(family) > 3  # of the job server and of the worker pool
    _, left = psutil.wait_procs(family, timeout=30)
    assert left == []
    assert list(temporary.iterdir()) == []
    record = _on_spark(folder, root, asked)
    assert "ingest" not in redone(record)
    assert digests(root, record) == wanted
    assert record["release"] == release


def _executors(cluster: Cluster) -> list[psutil.Process]:
    """The executors of this cluster: another one may run on this machine."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        here = Path(process.info["cwd"] or "/").is_relative_to(cluster.work)
        if here and "CoarseGrainedExecutorBackend" in line:
            found.append(process)
    return found


def _workers(_: Cluster) -> list[psutil.Process]:
    """The Python workers: forked by the process that the worker pool forks from."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            above = [" ".join(each.cmdline()) for each in process.parents()[:2]]
            if "forkserver" in above[0] and "worker_pool" in above[1]:
                found.append(process)
    return found


def _kill_one(find: Callable[[], list[psutil.Process]], killed: list[int]) -> None:
    """Kill the first process that is found, once it has had a second to begin its work."""
    until = time.monotonic() + 240
    while not killed and time.monotonic() < until:
        time.sleep(0.5)
        for process in find()[:1]:
            time.sleep(1)
            process.kill()
            killed.append(process.pid)


@pytest.mark.nightly
@pytest.mark.spark
@pytest.mark.parametrize("find", [_executors, _workers])
def test_cluster_a_process_is_killed(
    cluster: tuple[Cluster, Spark],
    asked: Spark,
    expected: tuple[Path, dict[str, str], Any],
    tmp_path: Path,
    find: Callable[[Cluster], list[psutil.Process]],
) -> None:
    folder, wanted, release = expected
    root = new_root(tmp_path / "root")
    killed: list[int] = []
    killing = threading.Thread(target=_kill_one, args=[functools.partial(find, cluster[0]), killed])
    killing.start()
    try:
        record = _on_spark(folder, root, asked)
    except running.RunError as error:  # told, and the rerun does the rest
        assert "tasks failed" in str(error)  # noqa: PT017 - either outcome is right
        record = _on_spark(folder, root, asked)
    killing.join()
    assert killed
    assert digests(root, record) == wanted
    assert record["release"] == release


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_tasks_run_twice(
    asked: Spark, expected: tuple[Path, dict[str, str], Any], tmp_path: Path
) -> None:
    folder, wanted, release = expected
    root = new_root(tmp_path / "root")
    eager = (
        "spark.speculation=true",
        "spark.speculation.interval=20ms",
        "spark.speculation.multiplier=1.0001",
        "spark.speculation.quantile=0.01",
        "spark.speculation.minTaskRuntime=1ms",
    )
    record = _on_spark(folder, root, replace(asked, settings=(*asked.settings, *eager)))
    assert digests(root, record) == wanted
    assert record["release"] == release


@pytest.mark.spark
def test_cluster_a_task_fails_and_the_others_are_done(
    asked: Spark, expected: tuple[Path, dict[str, str], Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(expected[0], tmp_path / "workspace")
    change_recipe(folder, "vocab_size: 600", "vocab_size: 601")  # what the cache does not hold
    root = new_root(tmp_path / "root")
    with open_spark(str(root), asked, Limits()) as engine:
        failures = engine.run("tally", [TASK], lambda *_: None)
    assert [failure.task for failure in failures] == [TASK]
    assert "holds no count/0000000000000000/counts.parquet" in failures[0].reason


# What a worker raises, through a cluster ----------------------------------------------------------
HOST = platform.node()


@pytest.fixture
def object_store() -> Iterator[ObjectStore]:
    """An S3 that the driver's environment leads to, and so that of what it starts."""
    with serving() as store:
        yield store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Limits of a run in which a job that does not end by its own failing is told apart."""
    monkeypatch.setattr(spark_engine, "SLACK", 0.0)
    return Limits(task_seconds=240)


@contextlib.contextmanager
def _pool(
    root: Path, wrap: Sequence[str] = (), program: Sequence[str] = POOL, **changes: str | None
) -> Iterator[str]:
    """A pool that can use this root, with another environment than the driver's."""
    port = free_port()
    changed = {**os.environ, "PYTHONSAFEPATH": "1", **changes}
    with subprocess.Popen(
        [*wrap, sys.executable, *program, f"localhost:{port}", str(root)],
        env={name: value for name, value in changed.items() if value is not None},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("ready: workers at localhost:")
            yield f"localhost:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _told(asked: Spark, root: str, limits: Limits, **options: Any) -> str:
    """Why a task is not done, by a job that failed: a job that stood still would raise."""
    with open_spark(root, replace(asked, **options), limits) as engine:
        (failure,) = engine.run("tally", [TASK], lambda *_: None)
    return failure.reason


def _worker_told(*given: Any, **options: Any) -> str:
    """The same, if it is a worker of this machine that said it: after its name."""
    spark, line, reason = _told(*given, **options).partition(f": on worker {platform.node()}: ")
    assert line
    assert spark.startswith("Spark gave up on its pipeline")
    return reason


@pytest.mark.spark
def test_cluster_a_pool_without_credentials(
    asked: Spark, object_store: ObjectStore, impatient: Limits, tmp_path: Path
) -> None:
    gone = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    root = object_store.root()
    with _pool(tmp_path, HOME=str(tmp_path), **gone) as pool:
        told = _worker_told(asked, root, impatient, worker_pool=pool)
    assert told.startswith(f"{root} did not let ")
    assert "Unable to locate credentials; see to the connection, the credentials or" in told


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_a_pool_that_finds_another_bucket(
    asked: Spark, object_store: ObjectStore, impatient: Limits, tmp_path: Path
) -> None:
    other, root = ObjectStore("another"), object_store.root()
    for method in ("GET", "HEAD", "PUT"):
        other.fail(method, "", answering("404 Not Found", "NoSuchBucket", "no such"), times=1_000)
    other.start()
    try:
        with _pool(tmp_path, **other.environment) as pool:
            told = _worker_told(asked, root, impatient, worker_pool=pool)
    finally:
        other.stop()
    assert told.startswith(f"{root} ")


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_a_root_that_its_workers_may_not_write(
    asked: Spark, object_store: ObjectStore, impatient: Limits, tmp_path: Path
) -> None:
    denied = answering("403 Forbidden", "AccessDenied")
    object_store.fail("PUT", "/(tally|failures)/", denied, times=1_000)
    root = object_store.root()
    with _pool(tmp_path) as pool:
        told = _worker_told(asked, root, impatient, worker_pool=pool)
    assert told.startswith(f"{root} did not let failures/tally/{TASK.makes[0][1]}.json be")
    assert "AccessDenied" in told


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_a_disk_that_is_full_at_the_worker(
    asked: Spark, impatient: Limits, tmp_path: Path
) -> None:
    """The root, as the worker sees it, is on a disk of two pages."""
    (root := tmp_path / "root").mkdir()
    (own := tmp_path / "own").mkdir()
    small = f"mount -t tmpfs -o size=8k tmpfs {root} && head -c 8k /dev/zero > {root}/full"
    wrap = ["unshare", "--mount", "--map-root-user", "sh", "-c", f'{small} && exec "$@"', "sh"]
    if subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk (unshare --mount)")
    with _pool(own, wrap) as pool:
        told = _worker_told(asked, str(root), impatient, worker_pool=pool)
    assert told.endswith("; nor could that be noted: [Errno 28] No space left on device")


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_a_part_that_fails_names_the_machine_and_the_others_are_done(
    asked: Spark, impatient: Limits, tmp_path: Path
) -> None:
    store = Store(new_root(tmp_path / "root"))
    texts = pa.RecordBatch.from_pydict({"text": [PRIVATE]})
    table = pa.table({"minhash": find_op("minhash", {})(texts).arrays[0]})
    file = write_parquet(store, "measure/0", "minhash.parquet", table)
    whole = Ref("measure/0/minhash.parquet", file.sha256, file.bytes, file.rows)
    lost = Ref("measure/1/minhash.parquet", "0" * 64, 1, 1)
    tasks = []
    for name, ref in (("whole", whole), ("lost", lost)):
        band = bands.Band(number=0, key=name)
        work = bands.BandsWork(bands=(band,), rows=8, ranges=1, signatures=(ref,))
        tasks.append(bands.STAGE.task(name, name, work))
    committed: list[str] = []
    with open_spark(store.root, asked, impatient) as engine:
        (failure,) = engine.run("bands", tasks, lambda task, _: committed.append(task.label))
    assert committed == ["whole"]
    assert failure.task.label == "lost"
    assert failure.reason.startswith(f"on worker {HOST}: ")
    assert "measure/1/minhash.parquet" in failure.reason


ENDS_EARLY = """
import os, sys
from phloem.pipeline.engines.spark import worker_pool

def work(*_):
    os._exit(7)

if __name__ == "__main__":
    import ends_early

    worker_pool.work = ends_early.work
    worker_pool.main(sys.argv[1], sys.argv[2:])
"""


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_workers_that_end_before_they_begin(
    asked: Spark, impatient: Limits, tmp_path: Path
) -> None:
    """Each is told to its executor, which would wait for it for ever."""
    (tmp_path / "ends_early.py").write_text(ENDS_EARLY, encoding="utf-8")
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    with _pool(tmp_path, program=["-m", "ends_early"], PYTHONPATH=path) as pool:
        told = _worker_told(asked, str(tmp_path), impatient, worker_pool=pool)
    assert told == "the Python worker ended with exit code 7 before it began"


@contextlib.contextmanager
def _killing(find: Callable[[], list[psutil.Process]], store: ObjectStore) -> Iterator[list[int]]:
    """Meanwhile whoever is found is killed when a worker reads what its task needs."""
    killed: list[int] = []
    done = threading.Event()

    def kill() -> None:
        seen = 0
        while not done.wait(0.1):
            asked = sum("/count/" in path for _, path in list(store.requests))
            for process in find() if asked > seen else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                killed.append(process.pid)
            seen = asked

    for method in ("GET", "HEAD"):  # which no worker outlives
        store.fail(method, "/count/", after(30.0, ERROR_500), times=1_000)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


@pytest.mark.nightly
@pytest.mark.spark
@pytest.mark.parametrize(
    ("find", "told"),
    [
        (_executors, r"executor \d+ on 127\.0\.0\.1 was lost: exited with code 137"),
        (_workers, r"the Python worker of executor \d+ on 127\.0\.0\.1 ended in the middle of"),
    ],
)
def test_cluster_every_executor_or_worker_is_killed(
    cluster: tuple[Cluster, Spark],
    asked: Spark,
    impatient: Limits,
    caplog: pytest.LogCaptureFixture,
    find: Callable[[Cluster], list[psutil.Process]],
    told: str,
) -> None:
    """It is sent twice, and told twice."""
    few = ("spark.task.maxFailures=2",)
    with serving() as store, _killing(functools.partial(find, cluster[0]), store) as killed:
        found = _told(asked, store.root(), impatient, settings=(*asked.settings, *few))
    assert len(killed) >= 4
    assert re.search(told, found)
    assert re.search(f"stage tally: Spark gave up on its pipeline.*{told}", caplog.text)
    assert "1 tasks are sent again" in caplog.text
    if find is _executors:  # told when it happens, not when Spark has given up
        assert re.search(f"stage tally: {told}\n.*Spark gave up", caplog.text, re.DOTALL)


@pytest.mark.nightly
@pytest.mark.spark
def test_cluster_executors_that_cannot_start(
    asked: Spark, impatient: Limits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark would start new ones for ever."""
    monkeypatch.setattr(spark_engine, "LOSSES", 4)
    bad = "spark.executor.extraJavaOptions=-javaagent:nowhere.jar"
    (root := tmp_path / "root").mkdir()
    told = _told(asked, str(root), impatient, settings=(*asked.settings, bad))
    assert re.search(r"executor \d+ on 127\.0\.0\.1 was lost: exited with code 1\b", told)


@pytest.mark.spark
def test_cluster_the_job_server_dies(
    asked: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SparkEngine, "_look", _kill_job_server)
    told = _failing(asked, new_root(tmp_path / "root"))
    assert told == "the job server ended with exit code -9"


def _kill_job_server(engine: SparkEngine, *_: object) -> list[Task]:
    server = next(each for each in engine._served if each.name == "job server")
    server.process.kill()
    server.process.wait()
    return [TASK]
