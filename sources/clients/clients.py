"""Running the package clients that fetch sources, and checking what they bring."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phloem.sources.connector import PinnedFile, SourceError, WrongError

TIMEOUT = 900
"""Seconds after which a client is ended: 50 MB at 0.5 Mbit/s."""

_URL = re.compile(r"\b[a-z+]+://\S+")  # an index's address may hold a password


def run_client(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, told: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a package client in a folder, with these settings on top of the user's environment.

    Args:
        command: The client and its arguments.
        folder: Where it runs.
        environment: The settings.
        told: What it reads from its standard input.

    Raises:
        SourceError: it does not end in `TIMEOUT` seconds, or cannot be started.
    """
    try:
        return subprocess.run(
            list(command),
            cwd=folder,
            env={**os.environ, **environment},
            input=told,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"{Path(command[0]).name} did not finish in {TIMEOUT} s; try again"
        raise SourceError(msg) from None
    except OSError as error:
        raise SourceError(f"{Path(command[0]).name} cannot be started: {error.strerror}") from None


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
            env={**os.environ, **(environment or {})},
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
            done = run_client(command, Path(folder), {})
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
