"""The root: everything that a run keeps lies under one fsspec URL and is reached through here."""

from __future__ import annotations

import errno
import functools
import hashlib
import mmap
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import pyarrow as pa

from phloem.catalog.advice import install_extra
from phloem.catalog.errors import PhloemError
from phloem.catalog.withheld import masked

_PIECE = 8 * 2**20  # bytes of a file that are held in memory at once: one request of a few seconds

# One at a time: s3fs would hold ten pieces of 50 MB of a file that it sends in pieces, and would
# ask for the size of a file before it reads it.
_OPTIONS = {protocol: {"max_concurrency": 1} for protocol in ("s3", "s3a")}

# Requests to an object store that are under way at once: botocore keeps ten connections.
_AT_ONCE = 8

# Of s3fs, around the five of botocore. It has five, and to read five times five: a server that
# hangs would be waited for half an hour.
_ATTEMPTS = 2

# What `create` calls a file that is being written: by the name that it will have, and a uuid4.
TEMPORARY = r"\.[^/]+\.tmp-[0-9a-f]{32}"


class MissingError(PhloemError, FileNotFoundError):
    """A name that the root does not hold."""


class RootError(PhloemError, ValueError):
    """A root that cannot be opened: the message says why, and hides a password in its URL."""


class ChangedError(PhloemError):
    """A file does not hold what it should; `name` is its name under the root, or its path."""

    def __init__(self, name: str) -> None:
        """Say so of this file."""
        self.name = name
        super().__init__(f"{name} does not hold what was written")


class StoreError(PhloemError, OSError):
    """What an object store did not do, however often it was asked: one line, without secrets."""


T = TypeVar("T")
U = TypeVar("U")

_PARTICIPLES = {"read": "read", "write": "written", "delete": "deleted"}


def holds(path: str, sha256: str) -> bool:
    """Whether a file of this machine hashes to this: a process hashes it once, while it lies there.

    One that was written anew since is hashed again.
    """
    state = Path(path).stat()
    return _sha256_of(path, state.st_ino, state.st_size, state.st_mtime_ns) == sha256


@functools.cache
def _sha256_of(path: str, inode: int, size: int, written: int) -> str:  # noqa: ARG001 - the state
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The files in a folder of this machine; none if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.is_file() and ".tmp-" not in entry.name]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sync_folder(folder: str) -> None:
    """Let a rename outlive a power cut: the folder's entry must reach the disk too."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


@dataclass
class Writing:
    """A file being written: after the block, its size and hash are known."""

    file: BinaryIO
    sha256: str = ""
    bytes: int = 0
    _hash: Any = field(default_factory=hashlib.sha256, repr=False)
    closed: bool = False

    def write(self, data: Any) -> int:
        """Write bytes-like data and count it."""
        view = memoryview(data)
        self._hash.update(view)
        self.bytes += view.nbytes
        self.file.write(view)
        return view.nbytes

    def finish(self) -> None:
        """Fix the hash: nothing more is written."""
        self.sha256 = self._hash.hexdigest()

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def flush(self) -> None:
        """Pass on what is buffered."""
        self.file.flush()

    # pyarrow's PythonFile asks these of any sink.
    def readable(self) -> bool:
        """Whether it can be read: no."""
        return False

    def writable(self) -> bool:
        """Whether it can be written: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek: no, so that every byte passes the hash once."""
        return False

    def close(self) -> None:
        """Leave closing to the store."""


class Store:
    """A root folder or object-store prefix.

    A name is a relative path with `/`. Files appear whole or not at all: a temporary name,
    fsync and rename on a local disk, one PUT (or one completed multipart upload) elsewhere.
    Nothing is remembered of what was there: another process's writes are seen at once.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Open a root; it need not exist yet. Raises RootError for one that cannot be."""
        self.root = os.fspath(root)
        told = f"{masked(self.root)} cannot be opened: "
        if masked(self.root) != self.root:
            msg = (
                "it holds a user name and a password, or a token, which would be printed; leave"
                " them out, and give them by the environment, such as AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY"
            )
            raise RootError(told + msg)
        protocol = fsspec.utils.get_protocol(self.root)
        try:
            self.fs, self._base = fsspec.core.url_to_fs(self.root, **_OPTIONS.get(protocol, {}))
        except ImportError as error:
            missing = f"s3fs is not installed; {install_extra('s3')}"
            raise RootError(told + (missing if protocol in _OPTIONS else str(error))) from None
        except ValueError as error:
            msg = f"{error}; give a folder, or a URL that fsspec knows"
            raise RootError(told + msg) from None
        if not self._base.strip("/"):
            raise RootError(told + "it names no bucket or folder")
        self._is_s3 = protocol in _OPTIONS
        if self._is_s3:
            self.fs.retries = _ATTEMPTS
        # Listings that fsspec remembers would hide what other processes write and delete.
        self.fs.dircache.use_listings_cache = False
        self.fs.invalidate_cache()
        self.is_local = "file" in (
            (self.fs.protocol,) if isinstance(self.fs.protocol, str) else self.fs.protocol
        )

        if self.is_local and Path(self._base).is_file():
            raise RootError(told + "it is a file; give a folder")

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        """Opened anew where it is unpickled, as set up here; a relative path is made absolute."""
        return type(self), (self._base if self.is_local else self.root,)

    def path(self, name: str) -> str:
        """The name as the file system knows it. Raises ValueError if it leaves the root."""
        if name.startswith("/") or ".." in name.split("/"):
            msg = f"name {name!r} leaves the root; use a relative path without '..'"
            raise ValueError(msg)
        return f"{self._base}/{name}"

    def near(self, name: str) -> str | None:
        """Where a file lies on this machine; None if the root is an object store."""
        return self.path(name) if self.is_local else None

    @contextmanager
    def _asking(self, what: str, name: str) -> Iterator[None]:
        """Ask the file system; of what it raises, a local one's errors say enough."""
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:
            gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
            if gone and what != "write":
                raise self._missing(name) from None
            if self.is_local:
                raise
            # Each library has its own kinds; and a message may hold a URL with a password.
            reason = " ".join(masked(str(error) or type(error).__name__).split())
            msg = (
                f"{self.root} did not let {name or 'it'} be {_PARTICIPLES[what]}: {reason}; see to"
                " the connection, the credentials or the bucket, and run again: what is done is"
                " not done again"
            )
            raise StoreError(msg) from None

    def _info(self, name: str) -> dict[str, Any]:
        with self._asking("read", name):
            return cast("dict[str, Any]", self.fs.info(self.path(name)))

    def exists(self, name: str) -> bool:
        """Whether the root holds this name. Raises StoreError where nobody can say."""
        # Not `fs.exists`: many file systems take any error for a no.
        try:
            self._info(name)
        except MissingError:
            return False
        return True

    def size(self, name: str) -> int:
        """Bytes of a file. Raises MissingError."""
        return int(self._info(name)["size"])

    def list(self, folder: str) -> list[str]:
        """Names of the entries right under a folder, sorted; empty if there is none."""
        path = self.path(folder)
        try:
            with self._asking("read", folder):
                found = [entry.strip("/") for entry in self.fs.ls(path, detail=False)]
        except MissingError:
            return []
        # A file lists itself, and some tools mark a folder by an empty file of its name.
        inside = (entry for entry in found if entry != path.strip("/"))
        names = (f"{folder}/{entry.rsplit('/', 1)[-1]}" for entry in inside)
        return sorted(name for name in names if ".tmp-" not in name)

    def sizes(self, folder: str, inside: Iterable[str]) -> dict[str, int]:
        """Bytes of every file in these folders right under a folder, by name.

        Of an object store one listing of the folder says it, a request for 1,000 files, whatever it
        holds beside what was asked, or one of the only folder in it; on a disk each is looked at.

        Args:
            folder: Under the root.
            inside: Names of folders in it; those that are not there have no files.
        """
        if self.is_local:
            return {
                f"{folder}/{each}/{entry.name}": entry.stat().st_size
                for each in inside
                for entry in _entries(self.path(f"{folder}/{each}"))
            }
        wanted = frozenset(inside)
        if len(wanted) <= 1:
            return {n: b for each in wanted for n, b in self.listing(f"{folder}/{each}").items()}
        held = self.listing(folder)
        start = len(folder) + 1
        return {
            name: size for name, size in held.items() if name[start:].partition("/")[0] in wanted
        }

    def listing(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by name: one request for 1,000 of them."""
        above, _, last = self.path(folder).rpartition("/")
        # Where nothing lies below a folder s3fs asks twice more, unless it is asked for a prefix.
        where = (above, {"prefix": f"{last}/"}) if self._is_s3 else (self.path(folder), {})
        try:
            with self._asking("read", folder):
                found = self.fs.find(where[0], detail=True, **where[1])
        except MissingError:
            return {}
        base = len(self.path(folder).strip("/")) - len(folder)
        named = ((entry.strip("/")[base:], info) for entry, info in found.items())
        return {
            name: int(info["size"])
            for name, info in named
            if name != folder and ".tmp-" not in name
        }

    def together(self, ask: Callable[[T], U], about: Iterable[T]) -> Sequence[U]:
        """What is asked about each, in order: side by side where each is a request."""
        if self.is_local:
            return [ask(each) for each in about]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(ask, about))

    def read_bytes(self, name: str) -> bytes:
        """All bytes of a file. Raises MissingError."""
        with self._asking("read", name):
            return cast("bytes", self.fs.cat_file(self.path(name)))

    def _pieces(self, name: str, size: int | None = None) -> Iterator[bytes]:
        """A file piece by piece, each asked for by itself and again if it is cut short.

        Raises ChangedError for one that ends before a size that was known.
        """
        is_known = size is not None
        size = self.size(name) if size is None else size
        for start in range(0, size, _PIECE):
            end = min(start + _PIECE, size)
            with self._asking("read", name):
                piece = self._range(name, start, end)
            if len(piece) != end - start:
                if is_known:
                    raise ChangedError(name)
                msg = f"{self.root}: {name} changed while it was read; run again"
                raise StoreError(msg)
            yield piece

    def _range(self, name: str, start: int, end: int) -> bytes:
        """Some bytes of a file; none where it ends before them."""
        try:
            return cast("bytes", self.fs.cat_file(self.path(name), start=start, end=end))
        except OSError as error:
            if error.errno != errno.EINVAL:  # of s3fs, for InvalidRange
                raise
            return b""

    def sha256(self, name: str, size: int | None = None) -> str:
        """The hash of a file as it lies there, read in pieces. Raises MissingError.

        Args:
            name: Of the file.
            size: Its bytes, if they were just asked for.
        """
        digest = hashlib.sha256()
        for piece in self._pieces(name, size):
            digest.update(piece)
        return digest.hexdigest()

    def open(self, name: str, sha256: str = "", size: int | None = None) -> pa.NativeFile:
        """A file for reading at random, mapped: it takes no memory.

        From an object store it is copied first; the copy is gone when the last reader is.

        Args:
            name: Of the file.
            sha256: What it must hash to, if it is given; a local file is hashed once a process.
            size: Its bytes, if they are known: an object store need not be asked for them.

        Raises:
            MissingError: there is none.
            ChangedError: it holds something else.
        """
        if self.is_local:
            with self._asking("read", name):
                opened = pa.memory_map(self.path(name))
            self._require(name, self.path(name), sha256)
            return opened
        with tempfile.TemporaryFile() as copy:  # without a name: a killed process leaves nothing
            writing = Writing(cast("BinaryIO", copy))
            for piece in self._pieces(name, size):
                writing.write(piece)
            copy.flush()
            writing.finish()
            if sha256 and writing.sha256 != sha256:
                raise ChangedError(name)
            if not writing.bytes:  # cannot be mapped
                return pa.BufferReader(b"")
            mapped = mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)
            return pa.BufferReader(pa.py_buffer(mapped))

    def _require(self, name: str, path: str, sha256: str) -> None:
        if sha256 and not holds(path, sha256):
            raise ChangedError(name)

    def local_path(self, name: str, sha256: str = "", size: int | None = None) -> str:
        """A path on this machine that holds the file, for libraries that open paths only.

        Of an object store's file, one copy is kept for all processes of this user: by its hash, or
        as long as the file does not change there.

        Args:
            name: Of the file.
            sha256: What it must hash to, if it is given: it is hashed once a process.
            size: Its bytes, if they are known: an object store need not be asked for them.

        Raises:
            MissingError: there is none.
            ChangedError: it holds something else.
        """
        path = self._local_path(name, sha256, size)
        try:
            self._require(name, path, sha256)
        except ChangedError:
            if not self.is_local:  # the copy may be what is broken
                Path(path).unlink(missing_ok=True)
            raise
        return path

    def _local_path(self, name: str, sha256: str, size: int | None) -> str:
        if self.is_local:
            self._info(name)
            return self.path(name)
        if not sha256:
            sha256 = hashlib.sha256(f"{self.path(name)} {self._info(name)}".encode()).hexdigest()
        return self._kept(sha256, self._pieces(name, size))

    def keep(self, path: Path, sha256: str) -> None:
        """Keep a file of this machine as `local_path` keeps copies: it was just put under the root.

        Args:
            path: Of the file.
            sha256: What it hashes to.
        """
        if not self.is_local:
            self._kept(sha256, _read(path))

    @staticmethod
    def _kept(name: str, pieces: Iterator[bytes]) -> str:
        """The path of the copy of this name, made of these pieces if there is none."""
        target = Path(tempfile.gettempdir()) / f"phloem-{os.getuid()}" / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        if target.parent.lstat().st_uid != os.getuid():
            msg = f"{target.parent} belongs to somebody else; remove it or set TMPDIR"
            raise PermissionError(msg)
        if not target.exists():
            part = target.with_suffix(f".tmp-{uuid.uuid4().hex}")
            try:
                with part.open("wb") as file:
                    file.writelines(pieces)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return str(target)

    @contextmanager
    def create(self, name: str) -> Iterator[Writing]:
        """Write a file; it appears under its name only when the block ends well."""
        path = self.path(name)
        folder, _, last = path.rpartition("/")
        if not self.is_local:
            # Written here first: a transaction of fsspec belongs to the file system, so that the
            # first of two files written side by side would commit the other one half-done.
            with tempfile.TemporaryFile() as file:  # without a name, as in `open`
                writing = Writing(cast("BinaryIO", file))
                yield writing
                file.seek(0)  # some systems open a file again where its reader has got to
                with self._asking("write", name):
                    self.fs.put_file(f"/dev/fd/{file.fileno()}", path)
            writing.finish()
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        part = Path(folder) / f".{last}.tmp-{uuid.uuid4().hex}"
        try:
            with part.open("wb") as file:
                writing = Writing(file)
                yield writing
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(folder)
        writing.finish()

    def write_bytes(self, name: str, data: bytes) -> str:
        """Write a whole file; returns its sha256."""
        with self.create(name) as out:
            out.write(data)
        return out.sha256

    def write_new(self, name: str, data: bytes) -> None:
        """Write a file where there is none; the same bytes may be there already.

        Raises FileExistsError: there are others.
        """
        path = self.path(name)
        if self.is_local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._asking("write", name):
                self.fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            # A library that lost the answer to its first attempt meets its own file at the second.
            if self.read_bytes(name) != data:
                raise

    def delete(self, name: str) -> None:
        """Delete a file or a folder with all it holds; nothing if there is none.

        Of a link the link is deleted, and nothing behind it. Raises ValueError for the root itself.
        """
        if not any(part.strip(".") for part in name.split("/")):
            raise ValueError(f"{name!r} is the root {self.root}, of which all would be deleted")
        if self.is_local and Path(self.path(name)).is_symlink():
            Path(self.path(name)).unlink()
            return
        with suppress(MissingError), self._asking("delete", name):
            self.fs.rm(self.path(name), recursive=True)

    def free_bytes(self) -> int | None:
        """Bytes free where the root lies; None where nobody can say."""
        if not self.is_local:
            return None
        folder = Path(self._base)
        while not folder.exists():
            folder = folder.parent
        stat = os.statvfs(folder)
        return stat.f_bavail * stat.f_frsize

    def _missing(self, name: str) -> MissingError:
        return MissingError(f"{self.root} holds no {name}")
