"""A Spark standalone cluster on the loopback: one master, two workers, all gone at the end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from outside import require

from phloem.pipeline.engines.spark.options import Spark

START_SECONDS = 90.0
SETTINGS = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
DEPLOY = "org.apache.spark.deploy"
REGISTERED = "Successfully registered with master"  # in a worker's log


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        home: Where Spark is installed.
        master: Its URL.
        work: Folder below which its executors run.
    """

    home: Path
    master: str
    work: Path


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def await_line(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a log has a line; fails after a while, or if the process ends before."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if re.search(pattern, log.read_text("utf-8", errors="replace")):
            return
        assert process.poll() is None, f"{log.name} ended: {log.read_text('utf-8')[-2000:]}"
        time.sleep(0.2)
    raise AssertionError(f"no {pattern!r} in {log} after {START_SECONDS:.0f} s")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@contextlib.contextmanager
def running(command: list[str], log: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A process in a group of its own, ended with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | settings,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


@contextlib.contextmanager
def spark_master(
    home: Path, folder: Path, host: str, settings: dict[str, str] | None = None
) -> Iterator[str]:
    """A master that listens on an address of this machine; its URL."""
    port, log = free_port(), folder / "master.log"
    command = [str(home / "bin" / "spark-class"), f"{DEPLOY}.master.Master", "--host", host]
    command += ["--webui-port", "0", "--port", str(port)]
    where = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": host} | (settings or {})
    with running(command, log, SETTINGS | where) as process:
        await_line(log, "New state: ALIVE", process)
        yield f"spark://{host}:{port}"


@contextlib.contextmanager
def spark_cluster(home: Path, folder: Path) -> Iterator[Cluster]:
    """One master and two workers with one core each."""
    settings = {**SETTINGS, "SPARK_HOME": str(home), "SPARK_WORKER_DIR": str(folder / "work")}
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(spark_master(home, folder, "127.0.0.1"))
        for number in range(2):
            log = folder / f"worker-{number}.log"
            command = [str(home / "bin" / "spark-class"), *worker_of(master, "127.0.0.1")]
            worker = stack.enter_context(running(command, log, settings))
            await_line(log, REGISTERED, worker)
        yield Cluster(home, master, folder / "work")


def worker_of(master: str, host: str) -> list[str]:
    """What `spark-class` is given for a worker with one core."""
    where = ["--host", host, "--webui-port", "0"]
    return [f"{DEPLOY}.worker.Worker", *where, "--cores", "1", "--memory", "1g", master]


@contextlib.contextmanager
def installed_cluster(folder: Path) -> Iterator[tuple[Cluster, Spark]]:
    """A cluster of the Spark that the environment names, and how to reach it; skips without one."""
    home, jar = installed_spark()
    with spark_cluster(home, folder) as found:
        settings = ("spark.executor.memory=512m", "spark.default.parallelism=8")
        yield found, Spark(found.master, str(jar), settings=settings)


def installed_spark() -> tuple[Path, Path]:
    """Spark's home and the job server's jar, as the environment names them; skips without."""
    require("java")  # Spark needs a Java 17
    return _named("PHLOEM_SPARK_HOME"), _named("PHLOEM_JOB_SERVER_JAR")


def _named(variable: str) -> Path:
    """A path that the environment names, without which there is no cluster to test on."""
    named = os.environ.get(variable)
    if not named or not Path(named).exists():
        pytest.skip(f"{variable} names no {'file' if named else 'path'}; `make spark` sets it up")
    return Path(named)


def reaching(cluster: Cluster) -> dict[str, str]:
    """The environment of a process that finds Spark."""
    return {"SPARK_HOME": str(cluster.home), "SPARK_LOCAL_IP": "127.0.0.1"}


def options_of(spark: Spark) -> list[str]:
    """What `phloem run` is given for it."""
    options = ["--runner", "spark", "--spark-master", spark.master]
    options += ["--job-server-jar", spark.job_server]
    return options + [word for each in spark.settings for word in ("--spark-conf", each)]
