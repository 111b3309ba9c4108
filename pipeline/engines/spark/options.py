"""Where on Spark a run's tasks are done, as a user gives it, checked before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from phloem.pipeline.engines.runners import RunnerError

POM = Path(__file__).with_name("pom.xml")  # of the job server's jar


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
                address(option, value)
        if self.master:
            masters(self.master)
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
            return is_loopback(address("--job-endpoint", self.job_endpoint)[0])
        return all(is_loopback(host) for host, _ in masters(self.master))

    def sees_this_machine(self) -> bool:
        """Whether workers see this machine's files: they are its processes, and in no container."""
        return self.is_here() and not self.worker_image


def address(option: str, text: str) -> tuple[str, int]:
    """Host and port. Raises RunnerError."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port and text == parts.netloc:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise RunnerError(f"{option} {text!r} is not host:port")


def masters(master: str) -> list[tuple[str, int]]:
    """The addresses of a master: several where others stand by, none for `local[N]`.

    Raises RunnerError for another kind of master.
    """
    if re.fullmatch(r"local(\[(\d+|\*)\])?", master):
        return []
    if not master.startswith("spark://"):
        raise RunnerError(
            f"--spark-master {master!r} is neither spark://host:port nor local[N]; Beam's job"
            " server runs on no other kind of cluster"
        )
    hosts = master.removeprefix("spark://").split(",")
    return [address("--spark-master", host) for host in hosts]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as its name tells."""
    return host in {"localhost", "::1"} or host.startswith("127.")
