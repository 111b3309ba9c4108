"""The root: everything that a run keeps lies under one fsspec URL and is reached through here."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
import pyarrow as pa

_PIECE = 2**20  # bytes that a file is hashed by


class MissingError(FileNotFoundError):
    """A name that the root does not hold."""


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
    fsync and rename on a local disk, one PUT elsewhere.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Open a root; it need not exist yet."""
        self.root = os.fspath(root)
        self.fs, self._base = fsspec.core.url_to_fs(self.root)
        self.is_local = "file" in (
            (self.fs.protocol,) if isinstance(self.fs.protocol, str) else self.fs.protocol
        )

    def path(self, name: str) -> str:
        """The name as the file system knows it. Raises ValueError if it leaves the root."""
        if name.startswith("/") or ".." in name.split("/"):
            msg = f"name {name!r} leaves the root; use a relative path without '..'"
            raise ValueError(msg)
        return f"{self._base}/{name}"

    def exists(self, name: str) -> bool:
        """Whether the root holds this name."""
        return bool(self.fs.exists(self.path(name)))

    def size(self, name: str) -> int:
        """Bytes of a file. Raises MissingError."""
        try:
            return int(self.fs.size(self.path(name)))
        except FileNotFoundError:
            raise self._missing(name) from None

    def list(self, folder: str) -> list[str]:
        """Names of the entries right under a folder, sorted; empty if there is none."""
        try:
            found = self.fs.ls(self.path(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = (f"{folder}/{entry.rstrip('/').rsplit('/', 1)[-1]}" for entry in found)
        return sorted(name for name in names if ".tmp-" not in name)

    def read_bytes(self, name: str) -> bytes:
        """All bytes of a file. Raises MissingError."""
        try:
            return cast("bytes", self.fs.cat_file(self.path(name)))
        except FileNotFoundError:
            raise self._missing(name) from None

    def sha256(self, name: str) -> str:
        """The hash of a file as it lies there, read in pieces. Raises MissingError."""
        try:
            with self.fs.open(self.path(name), "rb") as file:
                digest = hashlib.sha256()
                while piece := file.read(_PIECE):
                    digest.update(piece)
        except FileNotFoundError:
            raise self._missing(name) from None
        return digest.hexdigest()

    def open(self, name: str) -> pa.NativeFile:
        """A file for reading at random, mapped where it is local. Raises MissingError."""
        try:
            if self.is_local:
                return pa.memory_map(self.path(name))
            return pa.BufferReader(self.fs.cat_file(self.path(name)))
        except FileNotFoundError:
            raise self._missing(name) from None

    def local_path(self, name: str) -> str:
        """A path on this machine that holds the file, for libraries that open paths only."""
        if self.is_local:
            if not self.exists(name):
                raise self._missing(name)
            return self.path(name)
        data = self.read_bytes(name)
        digest = hashlib.sha256(data).hexdigest()
        target = Path(tempfile.gettempdir()) / f"phloem-{os.getuid()}" / digest
        target.parent.mkdir(mode=0o700, exist_ok=True)
        if target.parent.lstat().st_uid != os.getuid():
            msg = f"{target.parent} belongs to somebody else; remove it or set TMPDIR"
            raise PermissionError(msg)
        if not target.exists():
            part = target.with_suffix(f".tmp-{uuid.uuid4().hex}")
            part.write_bytes(data)
            part.replace(target)
        return str(target)

    @contextmanager
    def create(self, name: str) -> Iterator[Writing]:
        """Write a file; it appears under its name only when the block ends well."""
        path = self.path(name)
        folder, _, last = path.rpartition("/")
        if not self.is_local:
            # Written here first: a transaction of fsspec belongs to the file system, so that the
            # first of two files written side by side would commit the other one half-done.
            with tempfile.NamedTemporaryFile(prefix="phloem-") as file:
                writing = Writing(cast("BinaryIO", file))
                yield writing
                file.flush()
                self.fs.put_file(file.name, path)
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

    def delete(self, name: str) -> None:
        """Delete a file or a folder with all it holds; nothing if there is none."""
        if self.exists(name):
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
