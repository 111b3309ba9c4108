"""The files of one commit of a git repository as a zip archive: the same bytes on every machine.

Nothing of the repository runs and nothing is checked out: its files are read from the object store.
Symbolic links and submodules are no files, and attributes and Git LFS, which could make other files
of them, are not looked at.
"""

from __future__ import annotations

import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from phloem.sources.clients.clients import TIMEOUT, complaint, run_client, streaming
from phloem.sources.connector import SourceError
from phloem.sources.web import addresses

MAX_FILES = 1_000_000
"""Files of a repository: a tree that holds itself ten times over, ten deep, has ten thousand times
as many, in a few kilobytes."""

MAX_BYTES = 16 * 2**30
"""Bytes of the chosen files together. The largest repository chosen so far has about 3 GB."""

PROTOCOLS = "https"

_PATH_BYTES = 4096  # PATH_MAX of Linux
_FILES = {b"100644", b"100755", b"100664"}  # modes of regular files, the last of old repositories
_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of a byte: PEP 383
_CHUNK = 2**20

# Settings that win over the user's: no program of theirs runs for a repository, nothing that a host
# is told is theirs, and what it says is followed nowhere.
_SETTINGS = (
    "core.askPass=",
    "core.hooksPath=/dev/null",
    "credential.helper=",
    "fetch.recurseSubmodules=no",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",  # bytes a second
    "http.lowSpeedTime=60",  # seconds
)
_ENVIRONMENT = {
    "GIT_ASKPASS": "",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
# Only the files that are asked for are brought, not all of the commit (partial clone).
_CONFIG = """\
[core]
\trepositoryformatversion = 1
\tbare = true
[extensions]
\tpartialClone = origin
[remote "origin"]
\turl = {url}
\tpromisor = true
\tpartialclonefilter = blob:none
"""


class AbsentError(SourceError):
    """A revision that the repository does not serve."""


@dataclass(frozen=True)
class Repository:
    """A repository that files are fetched into.

    Attributes:
        url: Where it comes from.
        folder: Where it lies.
        address: The public address that its host is asked at, so that it is not looked up again.
    """

    url: str
    folder: Path
    address: str

    def command(self, *arguments: str) -> list[str]:
        """A git command on it."""
        host = urlsplit(self.url).hostname
        settings = [*_SETTINGS, f"http.curloptResolve={host}:443:{self.address}"]
        options = [part for setting in settings for part in ("-c", setting)]
        return ["git", *options, f"--git-dir={self.folder}", *arguments]


def open_repository(url: str, folder: Path) -> Repository:
    """An empty repository in a folder, to fetch into.

    Raises SourceError if the host is not on the open network, or git cannot be started.
    """
    host = urlsplit(url).hostname or ""
    try:
        address = addresses.public_addresses(host, 443)[0]
    except (OSError, addresses.PrivateError) as error:
        msg = f"{host} is not asked: {getattr(error, 'strerror', None) or error}"
        raise SourceError(msg) from None
    made = Repository(url, folder / "repository", f"[{address}]" if ":" in address else address)
    _run(made, "init", "--quiet", "--bare", "--template=", told="")
    (made.folder / "config").write_text(_CONFIG.format(url=url), encoding="utf-8")
    return made


def commit_of(repository: Repository, revision: str | None) -> str:
    """The commit of a branch, a tag or a commit's own name, fetched without its files.

    Raises AbsentError if the repository serves none, and SourceError if it cannot be asked.
    """
    asked = ["--depth=1", "--filter=blob:none", "--", "origin", revision or "HEAD"]
    _fetch(repository, *asked)
    return _run(repository, "rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").strip()


def head_of(repository: Repository) -> str | None:
    """The commit that the repository's own HEAD is at now."""
    try:
        said = _run(repository, "ls-remote", "--quiet", "origin", "HEAD", protocols=PROTOCOLS)
    except SourceError:
        return None
    return said.partition("\t")[0] or None


def write_zip(
    repository: Repository, commit: str, takes: Callable[[str], bool], target: Path
) -> None:
    """Write the files of a commit whose paths are taken into a zip archive, in the tree's order.

    Bytes of a path that are not UTF-8 are written as in an address: ``%FF``.

    Raises SourceError if they are too many or too large, or cannot be fetched.
    """
    chosen = [(path, name) for path, name in _tree(repository, commit) if takes(path)]
    _fetch_objects(repository, commit, {name for _, name in chosen})
    total = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for (path, _), (size, content) in zip(chosen, _contents(repository, chosen), strict=True):
            total += size
            if total > MAX_BYTES:
                msg = f"the files of {repository.url} have more than {MAX_BYTES} bytes; take fewer"
                raise SourceError(msg)
            entry = zipfile.ZipInfo(path)  # of 1980, as its default is: a commit's date is not told
            entry.external_attr = 0o644 << 16
            entry.file_size = size
            with archive.open(entry, "w") as out:
                for chunk in content:
                    out.write(chunk)


def _fetch(repository: Repository, *asked: str, told: str = "") -> None:
    options = ("--quiet", "--no-tags", "--no-auto-gc")
    _run(repository, "fetch", *options, *asked, told=told, protocols=PROTOCOLS)


def _fetch_objects(repository: Repository, commit: str, names: set[str]) -> None:
    """Fetch files by their object names: those that the first fetch did not bring."""
    arguments = ("rev-list", "--objects", "--no-object-names", "--missing=print", commit)
    lacking = {line[1:] for line in _run(repository, *arguments).split() if line[0] == "?"}
    wanted = sorted(lacking & names)
    if wanted:
        # As git itself fetches what a partial clone lacks (promisor-remote.c).
        how = ("--filter=blob:none", "--no-write-fetch-head", "--stdin", "--", "origin")
        _fetch(repository, *how, told="\n".join(wanted) + "\n")


def _run(repository: Repository, *arguments: str, told: str = "", protocols: str = "") -> str:
    """What a git command prints. Raises AbsentError and SourceError."""
    environment = {**_ENVIRONMENT, "GIT_ALLOW_PROTOCOL": protocols}
    command = repository.command(*arguments)
    done = run_client(command, repository.folder.parent, environment, told=told)
    if done.returncode == 0:
        return done.stdout
    if any(mark in done.stderr for mark in ("couldn't find remote ref", "not our ref")):
        raise AbsentError(f"{repository.url} does not serve that revision")
    reason = complaint(done.stderr, "fatal: ")
    raise SourceError(f"git could not {arguments[0]} {repository.url}: {reason}")


@contextmanager
def _streamed(repository: Repository, arguments: Sequence[str], told: Path) -> Iterator[IO[bytes]]:
    """What a git command prints, as it comes; no network is used."""
    environment = {**_ENVIRONMENT, "GIT_ALLOW_PROTOCOL": ""}
    command, folder = repository.command(*arguments), repository.folder.parent
    with streaming(command, folder=folder, environment=environment, told=told) as client:
        yield client.stdout  # type: ignore[misc]


def _tree(repository: Repository, commit: str) -> Iterator[tuple[str, str]]:
    """Path and object name of each regular file, in the tree's order. Raises SourceError."""
    seen: set[str] = set()
    ends = time.monotonic() + TIMEOUT
    arguments = ("ls-tree", "-r", "-z", "--full-tree", commit)
    with _streamed(repository, arguments, Path(os.devnull)) as lines:
        for line in _records(lines):
            described, _, raw = line.partition(b"\t")
            mode, _, name = described.split(b" ")
            if len(seen) >= MAX_FILES or time.monotonic() > ends:
                msg = f"{repository.url} has more than {MAX_FILES} files, or a tree without end"
                raise SourceError(msg)
            path = _BYTE.sub(_percent, raw.decode("utf-8", "surrogateescape"))
            if len(raw) > _PATH_BYTES or path in seen:
                fault = "twice" if path in seen else f"of more than {_PATH_BYTES} bytes"
                msg = f"{repository.url} has a path {fault}: no file system could hold it"
                raise SourceError(msg)
            seen.add(path)
            if mode in _FILES:
                yield path, name.decode("ascii")


def _percent(byte: re.Match[str]) -> str:
    return f"%{ord(byte[0]) - 0xDC00:02X}"


def _records(stream: IO[bytes]) -> Iterator[bytes]:
    """What a stream holds between its zero bytes."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def _contents(
    repository: Repository, chosen: Sequence[tuple[str, str]]
) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Size and chunks of each file; each must be read before the next is asked for."""
    asked = repository.folder / "asked"
    asked.write_text("".join(f"{name}\n" for _, name in chosen), encoding="ascii")
    with _streamed(repository, ("cat-file", "--batch", "--buffer"), asked) as stream:
        for _, name in chosen:
            described = stream.readline().split()
            if len(described) != 3 or described[:2] != [name.encode(), b"blob"]:  # noqa: PLR2004
                msg = f"{repository.url} served a tree but not all of its files; try again"
                raise SourceError(msg)
            size = int(described[2])
            yield size, _chunks(stream, size)
            stream.read(1)


def _chunks(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = stream.read(min(size, _CHUNK))
        if not chunk:
            raise SourceError("git ended in the middle of a file; try again")
        size -= len(chunk)
        yield chunk
