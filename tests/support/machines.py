"""Machines that share nothing: each one is namespaces of this computer, on a network of their own.

A machine has its own network, processes, host name, `/tmp`, home and installation of Phloem. Its
root folder is an empty one in which there is what it needs and nothing more, so that neither the
checkout nor a folder of the driver's can be seen. What any of them is made of ends with this
process, however that ends: a machine is all that descends from a process that reads the other end
of a pipe, and a network is gone with its last machine.
"""

import ipaddress
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from built_wheel import build_wheel
from numba.core.caching import _CacheLocator
from outside import require

import phloem
from phloem.filters import kernels
from phloem.filters.kernels import cache_folder
from phloem.filters.op import models_folder
from phloem.pipeline import stages

SPACES = ("--net", "--mount", "--pid", "--uts", "--ipc")
WAIT = 60.0  # seconds for what takes one or two
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # of /usr, linked or beside it

# Where things lie on every machine.
INSTALLED = "/opt/phloem"
LIBRARIES = "/opt/libraries"
MODELS = "/opt/models"
SPARK = "/opt/spark"
HOME = "/home/worker"
PYTHON = f"{INSTALLED}/bin/python"


def _ip(pid: int, *commands: str) -> None:
    """Have `ip` do this in the network of a process."""
    subprocess.run(
        ["nsenter", "--target", str(pid), "--net", "ip", "-batch", "-"],
        input="\n".join(commands),
        check=True,
        text=True,
        timeout=WAIT,
    )


def _held(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process says that it is there, or fail with what it says instead."""
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        process.wait(WAIT)
        assert process.stderr is not None
        pytest.fail(process.stderr.read().decode() or "a namespace ended before it was made")


def _hold(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that ends with this one: it holds a namespace, and reads what never comes."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    _held(process)
    return process


@dataclass(frozen=True)
class Network:
    """A switch, to which this computer is plugged as number 1.

    Attributes:
        switch: The process that holds it.
        prefix: What all addresses begin with, such as `10.1.2`.
    """

    switch: int
    prefix: str

    def address(self, number: int) -> str:
        """The address of a machine, or of this computer: 1."""
        return f"{self.prefix}.{number}"

    @property
    def here(self) -> str:
        """The address of this computer."""
        return self.address(1)

    def plug(self, number: int, pid: int) -> None:
        """Give a machine its address on this network."""
        # Always the same hardware address: nobody needs to notice that a machine was started anew.
        port = f"link add port{number} type veth peer name eth0"
        _ip(self.switch, f"{port} address 02:00:00:00:00:{number:02x} netns {pid}")
        _ip(self.switch, f"link set port{number} master switch up")
        address = f"addr add {self.address(number)}/24 dev eth0"
        _ip(pid, "link set lo up", address, "link set eth0 up")

    def unplug(self, number: int) -> None:
        """Take a machine's cable away for good."""
        _ip(self.switch, f"link del port{number}")

    def cut(self, number: int) -> None:
        """Let nothing more through a machine's cable."""
        _ip(self.switch, f"link set port{number} down")


def _free_prefix() -> str:
    """The first three numbers of addresses that this computer knows nothing about."""
    listed = subprocess.run(["ip", "-json", "route"], check=True, capture_output=True, timeout=WAIT)
    given = [each["dst"] for each in json.loads(listed.stdout) if each["dst"] != "default"]
    taken = [ipaddress.ip_network(each, strict=False) for each in given]
    for number in range(256):
        prefix = f"10.{100 + number}.{os.getpid() % 256}"
        if not any(each.overlaps(ipaddress.ip_network(f"{prefix}.0/24")) for each in taken):
            return prefix
    pytest.fail("all private networks are taken")


@contextmanager
def network() -> Iterator[Network]:
    """A network with this computer on it. Skips where none can be made."""
    for program in ("ip", "nsenter", "unshare"):
        require(program)
    tried = subprocess.run(
        ["unshare", *SPACES, "--fork", "ip", "link", "add", "type", "veth"],
        capture_output=True,
        check=False,
        text=True,
        timeout=WAIT,
    )
    if tried.returncode:
        pytest.skip(f"no namespaces can be made here: {tried.stderr.strip()}")
    prefix = _free_prefix()
    holder = _hold(["unshare", "--net", "sh", "-c", "echo ready; exec cat"])
    made = Network(holder.pid, prefix)
    ours = f"phloem{os.getpid()}"  # 15 characters at most
    try:
        _ip(
            holder.pid,
            "link set lo up",
            "link add switch type bridge",
            "link set switch up",
            f"link add port1 type veth peer name {ours} netns {os.getpid()}",
            "link set port1 master switch up",
        )
        _ip(os.getpid(), f"addr add {made.here}/24 dev {ours}", f"link set {ours} up")
        yield made
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip(os.getpid(), f"link del {ours}")
        holder.kill()
        holder.communicate()


@dataclass
class Machine:
    """A machine, which may be off.

    Attributes:
        name: Its host name.
        number: The last part of its address.
        network: What it is plugged to.
        installed: Its installation, as this computer sees it.
        spark: Spark's home, as this computer sees it; None: it has none.
        names: The address of each machine, by its name.
        reached: Whether it is on and its cable is whole.
        holder: The process outside from which it descends, while it is on.
    """

    name: str
    number: int
    network: Network
    installed: Path
    spark: Path | None
    names: dict[str, str] = field(repr=False)
    reached: bool = False
    holder: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Where others reach it."""
        return self.network.address(self.number)

    @property
    def environment(self) -> dict[str, str]:
        """What all that runs on it finds in its environment."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": HOME,
            "LANG": "C.UTF-8",
            "JAVA_HOME": str(_java_home()),
            "NUMBA_CACHE_DIR": f"{INSTALLED}/numba",
            "PHLOEM_MODELS": MODELS,
            "PYTHONSAFEPATH": "1",
            "SPARK_HOME": SPARK,
            "SPARK_LOCAL_IP": self.address,
            "SPARK_NO_DAEMONIZE": "1",
            "SPARK_WORKER_DIR": f"{HOME}/work",
        }

    def start(self) -> None:
        """Switch it on, with an empty home and nothing that runs."""
        assert self.holder is None
        self.holder = _hold(
            ["unshare", *SPACES, "--fork", "--kill-child", "sh", "-ec", _setting_up(self)]
        )
        self.network.plug(self.number, self._first())
        self.reached = True

    def lose(self) -> None:
        """Take its cable away, so that it can tell nobody, and end all its processes at once."""
        if self.holder is None:
            return
        self.reached = False
        self.network.unplug(self.number)
        os.kill(self._first(), signal.SIGKILL)
        self.holder.communicate(timeout=WAIT)
        self.holder = None

    def cut(self) -> None:
        """Cut its cable; what runs on it goes on."""
        self.network.cut(self.number)
        self.reached = False

    def command(self, *words: str) -> list[str]:
        """What does a command on it; its environment is to be given whole."""
        inside = ["nsenter", "--target", str(self._first()), *SPACES, "--root"]
        return [*inside, "sh", "-c", 'cd /tmp && exec "$@"', "sh", *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Do a command on it, and wait for its end."""
        return subprocess.run(
            self.command(*words),
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def _first(self) -> int:
        """The process that is number 1 on it."""
        assert self.holder is not None, f"{self.name} is off"
        (child,) = psutil.Process(self.holder.pid).children()
        return int(child.pid)


def _java_home() -> Path:
    return Path(require("java")).resolve().parents[1]


def _setting_up(machine: Machine) -> str:
    """The commands that make a machine of new namespaces, as their first process."""
    # Folders that are seen where they lie here: system, interpreter, Java.
    same = {Path("/usr"), Path("/etc"), Path(sys.base_prefix), _java_home()}
    shown = {path: path for path in same if not any(path.is_relative_to(p) for p in same - {path})}
    shown[Path(LIBRARIES)] = Path(sysconfig.get_path("purelib"))
    shown[Path(MODELS)] = models_folder().resolve()
    if machine.spark:
        shown[Path(SPARK)] = machine.spark.resolve()
    new = shlex.quote(str(machine.installed.parent / "root"))
    lines = [f"mkdir -p {new}", f"mount -t tmpfs {machine.name} {new}", f"cd {new}"]
    lines += ["mkdir -p dev old proc tmp", "chmod 1777 tmp", f"mkdir -p .{HOME}"]
    for name in MERGED:
        path = Path("/", name)
        if path.is_symlink():
            lines.append(f"ln -s {shlex.quote(str(path.readlink()))} {name}")
        elif path.is_dir():
            shown[path] = path
    for at, path in shown.items():
        into = shlex.quote(f".{at}")
        lines += [f"mkdir -p {into}", f"mount -o bind,ro {shlex.quote(str(path))} {into}"]
    hosts = "".join(f"{address} {name}\\n" for name, address in machine.names.items())
    lines += [
        f"mkdir -p .{INSTALLED}",
        f"mount --bind {shlex.quote(str(machine.installed))} .{INSTALLED}",
        f"printf '127.0.0.1 localhost\\n{hosts}' > .hosts",
        "mount --bind .hosts etc/hosts",
        "mount --bind /dev dev",
        "mount -t tmpfs shm dev/shm",
        "mount -t proc proc proc",
        "pivot_root . old",
        "cd /",
        "umount -l old",
        "rmdir old",
        f"hostname {machine.name}",
        "echo ready",
        "exec cat",
    ]
    return "\n".join(lines)


def _install(folder: Path) -> Path:
    """Install the wheel in an environment whose other packages are those of this one."""
    folder.mkdir(parents=True)
    installed = folder / "installed"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", installed], check=True)
    (site,) = installed.glob("lib/python*/site-packages")
    shutil.unpack_archive(build_wheel(folder), site, "zip")
    # Of a folder that is named this way the .pth files are not read: the checkout, which one of
    # them may lead to, is not found.
    (site / "libraries.pth").write_text(f"{LIBRARIES}\n", encoding="utf-8")
    _hand_over_kernels(installed, site / "phloem")
    return installed


def _hand_over_kernels(installed: Path, package: Path) -> None:
    """Give an installation what this one has compiled, which else takes it most of a minute.

    Numba finds a kernel by the path of its source file, and takes it if that has the same size and
    time as when it was compiled.
    """
    for module in (kernels, stages):
        ours = Path(module.__file__).parent
        name = ours.relative_to(Path(phloem.__file__).parent)
        for path in ours.glob("*.py"):
            shutil.copystat(path, package / name / path.name)
        there = Path(INSTALLED, package.relative_to(installed), name)
        compiled = cache_folder() / _subfolder(ours)
        if compiled.is_dir():
            shutil.copytree(compiled, installed / "numba" / _subfolder(there))


def _subfolder(of: Path) -> str:
    """Where in its cache numba keeps what is compiled of a folder's files."""
    return str(_CacheLocator.get_suitable_cache_subpath(str(of / "__init__.py")))


@contextmanager
def machines(
    network: Network, names: Sequence[str], folder: Path, spark: Path | None = None
) -> Iterator[list[Machine]]:
    """Machines that are on, each with the wheel of this checkout and its kernels compiled.

    Args:
        network: What they are plugged to.
        names: Their host names.
        folder: Where their installations lie; they do not see it.
        spark: Spark's home, which they have too.
    """
    image = _install(folder / "image")
    addresses = {name: network.address(number) for number, name in enumerate(names, 2)}
    first = Machine(names[0], 2, network, image, spark, addresses)
    with ExitStack() as stack:
        # What was not compiled here either is compiled once; the others are given the outcome.
        stack.callback(first.lose)
        first.start()
        done = first.run(PYTHON, "-m", "phloem.pipeline.engines.warm")
        assert done.returncode == 0, done.stderr
        first.lose()
        found = []
        for name, address in addresses.items():
            own = folder / name / "installed"
            shutil.copytree(image, own, symlinks=True)
            number = int(address.rpartition(".")[2])
            machine = Machine(name, number, network, own, spark, addresses)
            stack.callback(machine.lose)
            machine.start()
            found.append(machine)
        yield found
