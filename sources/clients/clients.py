"""Running the package clients that fetch sources, and checking what they bring."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil

from phloem.sources import keeping, spending
from phloem.sources.connector import PinnedFile, SourceError, WrongError

TIMEOUT = 900
"""Seconds after which a client is ended: 50 MB at 0.5 Mbit/s."""

LOOK_SECONDS = 1.0
"""Between looks at what a client has brought and said, and at the memory that it holds."""

MOST_MEMORY = 4 * 2**30
"""Resident bytes of a client and what it started, as of a task: some hold a whole download."""

MOST_SAID = 2**28
"""Bytes that a client prints: the names of a million files of a repository are a sixth of it."""

# `git rev-parse --local-env-vars`, but for GIT_CONFIG_*, which hold settings of the user's.
_OF_A_REPOSITORY = frozenset(
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_DIR GIT_GRAFT_FILE GIT_IMPLICIT_WORK_TREE"
    " GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX GIT_NAMESPACE GIT_OBJECT_DIRECTORY GIT_PREFIX"
    " GIT_QUARANTINE_PATH GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE".split()
)

_URL = re.compile(r"\b[a-z+]+://\S+")  # an index's address may hold a password


def run_client(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    told: str = "",
    runs_in: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a package client in a folder, with these settings on top of the user's environment.

    Args:
        command: The client and its arguments.
        folder: Where it puts what it brings.
        environment: The settings.
        told: What it reads from its standard input.
        runs_in: Its working folder; None: that.

    Raises:
        SpentError: it brings more, or takes longer, than the card may.
        SourceError: it does not end in `TIMEOUT` seconds, needs more than `MOST_MEMORY`, says more
            than `MOST_SAID`, or cannot be started.
    """
    name = Path(command[0]).name
    before = _size_of(folder)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            client = subprocess.Popen(
                list(command),
                cwd=runs_in or folder,
                env={**_inherited(), **environment},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
            )
        except OSError as error:
            raise SourceError(f"{name} cannot be started: {error.strerror}") from None

        def look() -> None:
            spending.require(max(0, _size_of(folder) - before))
            if _resident(client.pid) > MOST_MEMORY:
                raise SourceError(f"{name} needs more than {MOST_MEMORY} bytes of memory")
            if max(os.fstat(file.fileno()).st_size for file in (out, err)) > MOST_SAID:
                raise SourceError(f"{name} says more than {MOST_SAID} bytes")

        try:
            _wait(client, told, look)
        except BaseException:
            _end(client)
            raise
        look()
        spending.spend(max(0, _size_of(folder) - before))
        said = (_text(file) for file in (out, err))
        return subprocess.CompletedProcess(list(command), client.returncode, *said)


def _wait(client: subprocess.Popen[str], told: str, look: Callable[[], None]) -> None:
    """Wait for a client, and look at it now and then. Raises SourceError if it does not end."""
    given: str | None = told
    ends = time.monotonic() + TIMEOUT
    while (left := ends - time.monotonic()) > 0:
        try:
            client.communicate(given, timeout=min(left, spending.seconds_left(LOOK_SECONDS)))
        except subprocess.TimeoutExpired:
            given = None  # it has that already
            look()
        else:
            return
    raise SourceError(f"{Path(str(client.args[0])).name} did not finish in {TIMEOUT} s; try again")  # type: ignore[index]


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return io.TextIOWrapper(file, errors="replace").read()


def _resident(pid: int) -> int:
    """Memory of a client and of what it started, but for files that they map."""
    size = 0
    with suppress(psutil.Error):
        client = psutil.Process(pid)
        for each in (client, *client.children(recursive=True)):
            with suppress(psutil.Error):
                info = each.memory_info()
                size += info.rss - getattr(info, "shared", 0)
    return size


def _end(client: subprocess.Popen[str]) -> None:
    """End a client and what it started."""
    with suppress(psutil.NoSuchProcess):
        for each in psutil.Process(client.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                each.kill()
    client.kill()
    client.wait()
    if client.stdin:
        with suppress(OSError):  # what it was told and did not hear
            client.stdin.close()


def _size_of(folder: Path) -> int:
    """Bytes of the files below a folder, where a bound holds; some may go meanwhile."""
    size = 0
    if spending.is_bounded():
        for path in folder.rglob("*"):
            with suppress(OSError):
                size += path.lstat().st_size
    return size


def _inherited() -> dict[str, str]:
    """The user's environment, which names indexes, proxies and certificates.

    Without what tells git that it works for another repository: phloem may run in a hook of one.
    """
    return {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}


@contextmanager
def streaming(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    told: Path = Path(os.devnull),
) -> Iterator[subprocess.Popen[bytes]]:
    """A client whose output is read as it comes; it is ended with the block.

    Args:
        command: The client and its arguments.
        folder: Where it runs.
        environment: Settings on top of the user's environment.
        told: The file that it reads as its standard input.
    """
    with told.open("rb") as given:
        client = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**_inherited(), **(environment or {})},
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield client
        finally:
            client.kill()  # it has printed all, or more than is taken
            client.communicate()


def refusal(command: Sequence[str]) -> str | None:
    """What a client says that is on PATH and does not run; None if it does.

    It may be a shim in front of one that is missing, as rustup's are where there is no toolchain.

    Args:
        command: Something that it does wherever it runs, such as telling its version.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        try:
            within = Path(folder)
            done = run_client(command, within, {}, runs_in=Path(within.anchor))
        except SourceError as error:
            return str(error)
    return complaint(done.stderr, "error: ") if done.returncode else None


def needs(program: str, what: str, mend: str) -> Callable[[Any], str | None]:
    """The `unavailable` of a connector whose sources a program on PATH brings.

    Args:
        program: Its name.
        what: What the sources are: a Debian package.
        mend: How a machine comes to have the program.
    """
    missing = f"{program} is missing: this source is {what}; {mend}"
    return lambda _params: None if shutil.which(program) else missing


def complaint(output: str, mark: str) -> str:
    """The last line of a client's output that begins with a mark, without addresses.

    Where none does, what it said last: a shim in front of the client complains in its own way.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(mark.strip())] or lines
    if not said:
        return "it gave no reason"
    return _URL.sub("<address>", said[-1].removeprefix(mark).strip())[:300]


def pinned(path: Path) -> PinnedFile:
    """A downloaded file as the lock file names it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    keeping.brought(path, digest)
    return PinnedFile(path.name, digest, path.stat().st_size)


def check(path: Path, pin: PinnedFile) -> str:
    """The path, once its bytes are those of the pin.

    Raises WrongError naming both hashes: the provider replaced a file under one name.
    """
    found = pinned(path)
    if found.sha256 != pin.sha256:
        raise WrongError(
            f"{pin.name} has sha256 {found.sha256}, but {pin.sha256} is locked: other bytes under"
            " the same name; find out why before you lock it again"
        )
    return str(path)
