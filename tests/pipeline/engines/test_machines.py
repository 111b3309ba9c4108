"""Spark and batch queues on machines that share nothing but an object store."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from machines import HOME, INSTALLED, PYTHON, SPARK, Machine, Network, machines, network
from object_store import SECRET, Environ, ObjectStore, serving
from spark_cluster import REGISTERED, await_line, installed_spark, spark_master, worker_of
from tiny_workspace import (
    change_recipe,
    digests,
    make_workspace,
    new_root,
    redone,
    run_tiny,
    write_source,
)

from phloem.catalog.records import records
from phloem.catalog.store import Store
from phloem.pipeline.review.locking import lock
from phloem.pipeline.workspace import load_workspace

pytestmark = pytest.mark.spark

POOL = 50_000  # the port of the pools that can do their work
PATIENCE = 5.0  # seconds that one machine waits for the other to work too
ALWAYS = 10_000
ROOT = Path(__file__).resolve().parents[3]

# How long the master waits for a worker that says nothing more; Spark's own setting is 60 s.
SILENT = {"SPARK_DAEMON_JAVA_OPTS": "-Dspark.worker.timeout=10"}
SETTINGS = ("spark.executor.memory=512m", "spark.default.parallelism=4")

# Further sources: two machines are to have two tasks each.
MORE = {
    "third": "No one shall be held in slavery or servitude; slavery and the slave trade shall be"
    " prohibited in all their forms.",
    "fourth": "Everyone has the right to rest and leisure, including reasonable limitation of"
    " working hours and periodic holidays with pay.",
}


@dataclass(frozen=True)
class Cluster:
    """Two machines on which Spark works, the store between them, and a workspace of the driver's.

    Attributes:
        network: What they are plugged to.
        machines: Both machines.
        s3: The store.
        master: URL of Spark's master, beside the driver.
        spark: Spark's home.
        jar: The job server's.
        workspace: The driver's.
        home: The driver's.
        logs: Of what runs on the machines.
    """

    network: Network
    machines: list[Machine]
    s3: ObjectStore
    master: str
    spark: Path
    jar: Path
    workspace: Path
    home: Path
    logs: Path

    @property
    def store(self) -> dict[str, str]:
        """How the store is reached from all machines."""
        return self.s3.environment_at(self.network.here)

    def begin(
        self, machine: Machine, what: str, *command: str, **environment: str
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start something on a machine, which ends with it; and its log."""
        log = self.logs / f"{machine.name}-{what}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                machine.command(*command),
                env=machine.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return process, log

    def serve(self, machine: Machine) -> None:
        """Start Spark's worker and a pool of Python workers on a machine."""
        command = [f"{SPARK}/bin/spark-class", *worker_of(self.master, machine.address)]
        worker, log = self.begin(machine, "worker", *command, **SILENT)
        await_line(log, REGISTERED, worker)
        self.pool(machine, POOL, self.s3.root("pools"))

    def pool(self, machine: Machine, port: int, root: str, **environment: str) -> Path:
        """Start a pool of Python workers on a machine; its log."""
        command = [PYTHON, "-m", "phloem.pipeline.engines.spark.worker_pool", f"localhost:{port}"]
        settings = self.store | environment
        process, log = self.begin(machine, f"pool-{port}", *command, root, **settings)
        await_line(log, "ready: ", process)
        return log

    def drive(self, root: str, port: int = POOL) -> "Driver":
        """Begin a run of the workspace on this computer, as an operator does."""
        options = ["--runner", "spark", "--spark-master", self.master]
        options += ["--job-server-jar", str(self.jar), "--worker-pool", f"localhost:{port}"]
        for each in SETTINGS:
            options += ["--spark-conf", each]
        own = {"HOME": str(self.home), "PYTHONSAFEPATH": "1", "SPARK_HOME": str(self.spark)}
        process = subprocess.Popen(
            [sys.executable, "-m", "phloem.pipeline.cli", "run", "tiny", "--root", root, *options],
            env=os.environ | own | self.store | {"SPARK_LOCAL_IP": self.network.here},
            cwd=self.workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Driver(process, root)


@dataclass(frozen=True)
class Driver:
    """A run that goes on."""

    process: subprocess.Popen[str]
    root: str

    def end(self, seconds: float = 600.0) -> tuple[int, str]:
        """Its exit code, and all that it said; it ends by itself within so many seconds."""
        try:
            told, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            told, _ = self.process.communicate()
            pytest.fail(f"the run did not end in {seconds:.0f} s: {told}")
        assert SECRET not in told
        return self.process.returncode, told


def workspace_of(s3: ObjectStore, folder: Path) -> Path:
    """A workspace of four sources whose files lie in the store, where all machines reach them."""
    make_workspace(folder)
    for name, text in MORE.items():
        write_source(folder, name, [{"id": name, "text": text, "lang": "en"}])
    change_recipe(folder, "[first, second]", "[first, second, third, fourth]")
    change_recipe(folder, "bands: 14", "bands: 3")  # each is some ten requests
    given = Store(s3.root("given"))
    for path in sorted(folder.glob("*.jsonl")):
        given.write_bytes(path.name, path.read_bytes())
        path.unlink()
        card = folder / "cards" / f"{path.stem}.yaml"
        text = card.read_text("utf-8").replace(str(path), f"{given.root}/{path.name}")
        card.write_text(text, encoding="utf-8")
        list(lock(load_workspace(folder), [path.stem]))
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two machines, a store, a master: all of it once."""
    spark, jar = installed_spark()
    top = tmp_path_factory.mktemp("machines")
    (top / "home").mkdir()
    (top / "logs").mkdir()
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network())
        s3 = stack.enter_context(serving(("127.0.0.1", net.here), signed=True))
        workspace = workspace_of(s3, top / "workspace")
        master = stack.enter_context(spark_master(spark, top, net.here, SILENT))
        names = ["alder", "birch"]
        both = stack.enter_context(machines(net, names, top / "disks", spark))
        made = Cluster(net, both, s3, master, spark, jar, workspace, top / "home", top / "logs")
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(made.serve, both))
        yield made


@dataclass(frozen=True)
class Expected:
    """What a run on this computer alone makes."""

    digests: dict[str, str]
    release: str


@pytest.fixture(scope="module")
def expected(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """The digests and the release of a run on this computer alone."""
    root = new_root(tmp_path_factory.mktemp("here") / "root")
    record = run_tiny(cluster.workspace, root)
    return Expected(digests(root, record), record["release"])


def newest(root: str) -> dict[str, Any]:
    """The record of the newest run."""
    store = Store(root)
    record: dict[str, Any] = json.loads(store.read_bytes(store.list("runs")[-1]))
    return record


@dataclass(frozen=True)
class Healthy:
    """A run on both machines to which nothing happens, and who took part in it."""

    root: str
    record: dict[str, Any]
    writers: set[str]


@pytest.fixture(scope="module")
def healthy(cluster: Cluster) -> Healthy:
    """A run on both machines to which nothing happens."""
    addresses = {machine.address for machine in cluster.machines}
    writers: set[str] = set()

    def until_both_write(environ: Environ, start_response: Any) -> Iterable[bytes]:
        writers.add(environ["REMOTE_ADDR"])
        until = time.monotonic() + PATIENCE
        while not addresses <= writers and time.monotonic() < until:
            time.sleep(0.05)
        return cluster.s3.moto(environ, start_response)

    # Of tasks so small one machine has done all before the other has begun.
    cluster.s3.fail("PUT", "/(ingest|measure|filter)/", until_both_write, ALWAYS)
    root = cluster.s3.root()
    code, told = cluster.drive(root).end()
    cluster.s3.faults.clear()
    assert code == 0, told
    return Healthy(root, newest(root), writers)


@dataclass
class Lost:
    """The first machine that asks for something, which is lost by then."""

    machine: Machine | None = None
    at: float = 0.0


def lose_who_asks(cluster: Cluster, method: str, path: str, how: str) -> Lost:
    """Let the first machine that asks the store for this be lost, in the middle of its request."""
    lost = Lost()

    def lose(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if lost.machine is None:
            named = {machine.address: machine for machine in cluster.machines}
            lost.machine, lost.at = named[environ["REMOTE_ADDR"]], time.monotonic()
            getattr(lost.machine, how)()
            raise ConnectionResetError
        return cluster.s3.moto(environ, start_response)

    cluster.s3.fail(method, path, lose, ALWAYS)
    return lost


@pytest.fixture
def whole(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; machines that a test before this one has lost are on again."""
    for machine in cluster.machines:
        if not machine.reached:
            machine.lose()
            machine.start()
            cluster.serve(machine)
    yield cluster
    cluster.s3.faults.clear()


def test_machine_sees_nothing_of_the_drivers(whole: Cluster) -> None:
    code = "import phloem, platform; print(phloem.__file__, platform.node())"
    (whole.home / "seen").touch()
    for machine in whole.machines:
        for hidden in (ROOT, ROOT / "phloem", whole.workspace, whole.home / "seen"):
            assert machine.run("test", "-e", str(hidden)).returncode == 1
        done = machine.run(PYTHON, "-c", code)
        place, name = done.stdout.split()
        assert place.startswith(f"{Path(PYTHON).parents[1]}/lib/")
        assert name == machine.name


def test_machines_make_the_bytes_of_a_run_on_one(
    whole: Cluster, expected: Expected, healthy: Healthy
) -> None:
    assert digests(healthy.root, healthy.record) == expected.digests
    assert healthy.record["release"] == expected.release
    assert healthy.writers == {machine.address for machine in whole.machines}


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("port", "changed", "told"),
    [
        (
            POOL + 1,
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "Unable to locate credentials",
        ),
        (POOL + 2, {"AWS_SECRET_ACCESS_KEY": "guessed"}, "we calculated does not match"),
    ],
    ids=["no credentials", "a wrong secret"],
)
def test_workers_that_may_not_use_the_root_are_told(
    whole: Cluster, port: int, changed: dict[str, str], told: str
) -> None:
    for machine in whole.machines:
        whole.pool(machine, port, HOME, **changed)
    code, said = whole.drive(whole.s3.root(), port).end()
    assert code == 1
    assert re.search(rf"on worker (alder|birch): [^;]*{told}", said)


def test_pool_that_cannot_use_its_root_does_not_begin(whole: Cluster) -> None:
    command = [PYTHON, "-m", "phloem.pipeline.engines.spark.worker_pool", f"localhost:{POOL + 3}"]
    done = whole.machines[0].run(*command, "s3://phloem-elsewhere/root", **whole.store)
    assert done.returncode == 1
    assert "The specified bucket does not exist" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.nightly
def test_shares_of_a_queue_make_the_bytes_of_one_run(
    whole: Cluster, expected: Expected, healthy: Healthy
) -> None:
    root = whole.s3.begun(healthy.root, healthy.record, "clean", "measure", "bands")
    for machine in whole.machines:
        shutil.copytree(whole.workspace, machine.installed / "workspace", dirs_exist_ok=True)
    for stage in ("measure", "bands"):
        shares = []
        for number, machine in enumerate(whole.machines, 1):
            command = [PYTHON, "-m", "phloem.pipeline.cli", "run", "tiny", "--root", root]
            command += ["--stage", stage, "--share", f"{number}/{len(whole.machines)}"]
            words = ["sh", "-c", f'cd {INSTALLED}/workspace && exec "$@"', "sh", *command]
            shares.append(whole.begin(machine, f"share-of-{stage}", *words, **whole.store))
        for process, log in shares:
            assert process.wait(240) == 0, log.read_text("utf-8")
    record = run_tiny(whole.workspace, root)
    assert redone(record) == {}
    assert digests(root, record) == expected.digests
    assert record["release"] == expected.release
    hosts = {each["host"] for each in records(Store(root), "share")}
    assert hosts == {machine.name for machine in whole.machines}


@pytest.mark.parametrize(
    ("stages", "path", "how"),
    [
        (("clean", "measure"), "/clean/", "lose"),  # a stage whose tasks are spread
        # one in which blocks of numbers are grouped, twice
        pytest.param(("bands",), "/bands/", "lose", marks=pytest.mark.nightly),
        pytest.param(("decide",), "/decide/", "cut", marks=pytest.mark.nightly),
    ],
    ids=["lost in measure", "lost in bands", "cut off in decide"],
)
def test_machine_that_is_lost_is_done_without(
    whole: Cluster,
    expected: Expected,
    healthy: Healthy,
    stages: tuple[str, ...],
    path: str,
    how: str,
) -> None:
    root = whole.s3.begun(healthy.root, healthy.record, *stages)
    lost = lose_who_asks(whole, "PUT", path, how)
    code, told = whole.drive(root).end()
    assert code == 0, told
    assert lost.machine is not None
    record = newest(root)
    assert set(redone(record)) == {stages[-1]}
    assert digests(root, record) == expected.digests
    assert record["release"] == expected.release
