"""The processes beside Spark that a run starts: the job server and a pool of Python workers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from phloem.pipeline.engines.spark.options import POM
from phloem.pipeline.stage import StageError

# Seconds that each of these may take, before it is told that it did not answer.
CONNECT = 5.0  # a TCP connection
START = 180.0  # the job server or the worker pool, until its port is open: a JVM takes 5 to 20
FETCH = 900.0  # Maven, for a job server with all that it needs: 100 MB
STOP = 15.0  # a process that is asked to end, before it is killed

COORDINATES = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+")


class SparkError(StageError):
    """Spark, its job server or its workers did not do as asked: which of them, and what to do."""


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

    Its log lies in the folder, which is the caller's to remove. Where this process is killed, the
    other one ends all the same, and the folder goes with it: a log may quote documents.

    Raises SparkError if it ends or does not open its port in time.
    """
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "phloem.pipeline.engines.spark.tether", str(folder), *command],
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


def require_reachable(what: str, addresses: Sequence[tuple[str, int]], hint: str) -> None:
    """Raise SparkError if none of these addresses answers, with what to do."""
    if addresses and not any(reachable(*address) for address in addresses):
        told = ", ".join(f"{host}:{port}" for host, port in addresses)
        raise SparkError(f"the {what} at {told} does not answer; {hint}")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, a moment ago."""
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
