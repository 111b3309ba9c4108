"""Members of package archives as records: what is taken, how it is named, what is refused."""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from pydantic import Field

from phloem.sources.connector import Fault, Strict
from phloem.sources.records import Record
from phloem.sources.unpack import (
    FREE_BYTES,
    MAX_RATIO,
    UnpackedReader,
    UnpackError,
    compression_of,
    unpack,
    unpack_all,
)

MAX_MEMBER = 64 * 2**20
"""Bytes of one member, unpacked. The longest page of the documentation packages read so far has
6 MB; a larger member is data, not a page."""

MAX_MEMBERS = 500_000
"""Members of one archive. The largest documentation package seen holds about 12,000."""

SPLIT_BYTES = 32 * 2**20
"""Text that one split holds, about: a minute of one worker's time."""

MEDIA_TYPES = {
    ".htm": "text/html",
    ".html": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".md": "text/markdown",
    ".rst": "text/x-rst",
    ".doctest": "text/x-rst",
    ".py": "text/x-python",
    ".pyi": "text/x-python",
    ".js": "text/javascript",
    ".c": "text/x-c",
    ".h": "text/x-c",
    ".sh": "text/x-shellscript",
    ".txt": "text/plain",
}
"""Media type by the ending of a name, after .gz, .xz or .zst is taken off."""

# Only these carry their path as title: a page has its own.
_CODE = frozenset({"text/x-python", "text/javascript", "text/x-c", "text/x-shellscript"})


class Package(Strict):
    """What a card says of one package, where it is more than its name."""

    version: str | None = Field(default=None, description="Version to lock; null: the newest.")
    license: str | None = Field(
        default=None, description="SPDX expression, where it differs from the card's."
    )
    url: str | None = Field(default=None, description="Where a reader finds its home.")


class Packages(Strict):
    """Parameters of connectors that read members of package archives.

    Attributes:
        packages: A list of names, or name -> version, or name -> {version, license, url}.
        include: Globs over member paths; `*` also matches `/`.
        exclude: Globs of members that are left out though included.
        media_type: Of members whose ending says nothing.
        languages: Glob -> BCP-47 tag of the members that match it first.
    """

    packages: dict[str, str | Package | None] | list[str] = Field(
        description="Names, or name: version, or name: {version, license, url}."
    )
    include: list[str] = Field(
        default=["*"], description="Globs over member paths; * also matches /."
    )
    exclude: list[str] = Field(default=[], description="Globs of members left out all the same.")
    media_type: str = Field(
        default="text/plain", description="Of members whose ending says nothing."
    )
    languages: dict[str, str] = Field(
        default={}, description="Glob: BCP-47 tag, where members are of several languages."
    )

    def of(self, name: str) -> Package:
        """What the card says of a package."""
        if isinstance(self.packages, list):
            return Package()
        given = self.packages.get(name)
        if given is None or isinstance(given, str):
            return Package(version=given)
        return given


@dataclass(frozen=True)
class Wanted:
    """The members that a split takes, by their place among all that the card wants.

    Attributes:
        params: The card's parameters.
        package: Name of the package.
        start: First place among the wanted members.
        end: Place after the last; None for all.
        step: Distance between them.
    """

    params: Packages
    package: str
    start: int = 0
    end: int | None = None
    step: int = 1

    def takes(self, place: int) -> bool:
        """Whether the wanted member at this place belongs here."""
        inside = place >= self.start and (self.end is None or place < self.end)
        return inside and (place - self.start) % self.step == 0


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        path: Relative, with `/`.
        size: Unpacked bytes as the archive claims.
        offset: Where it begins in the archive, for faults.
        open: Its bytes.
    """

    path: str
    size: int
    offset: int
    open: Callable[[], IO[bytes] | None]


BROKEN = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    lzma.LZMAError,
    tarfile.TarError,
    zlib.error,
)
"""What zipfile, tarfile and the decompressors raise for archives that are not whole."""


def is_wanted(path: str, params: Packages) -> bool:
    """Whether a member is included and not excluded."""
    inside = any(fnmatchcase(path, glob) for glob in params.include)
    return inside and not any(fnmatchcase(path, glob) for glob in params.exclude)


def is_unsafe(path: str) -> bool:
    """Whether a member's path could lead out of the folder that it is unpacked into."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return path.startswith(("/", "\\")) or ".." in parts or re.match("[A-Za-z]:", path) is not None


def records_of(
    members: Iterator[Member], want: Wanted, archive_bytes: int
) -> Iterator[Record | Fault]:
    """The wanted members of an archive as records.

    A member whose path leaves the archive, that is too large or that cannot be read is a fault;
    so is the rest of an archive that breaks or unpacks to more than `MAX_RATIO` times its size.

    Args:
        members: In the archive's order.
        want: Which of them.
        archive_bytes: Size of the archive as it is stored.
    """
    budget = max(FREE_BYTES, MAX_RATIO * archive_bytes)
    place = -1
    try:
        for number, member in enumerate(members):
            if number >= MAX_MEMBERS:
                yield Fault(want.package, member.offset, f"more than {MAX_MEMBERS} members")
                return
            if not (is_unsafe(member.path) or is_wanted(member.path, want.params)):
                continue
            place += 1
            if not want.takes(place):
                continue
            record = _record(member, want)
            yield record
            budget -= len(record.content) if isinstance(record, Record) else 0
            if budget < 0:
                yield Fault(want.package, member.offset, "archive unpacks to more than the bound")
                return
    except UnpackError as error:
        yield Fault(want.package, error.offset, error.reason)
    except BROKEN:
        yield Fault(want.package, -1, "broken archive")


def _record(member: Member, want: Wanted) -> Record | Fault:
    path = member.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    native_id = f"{want.package}/{_unversioned(path, want.package)}"
    if is_unsafe(path):
        return Fault(native_id, member.offset, "member path leaves the archive")
    if member.size > MAX_MEMBER:
        return Fault(native_id, member.offset, f"member larger than {MAX_MEMBER} bytes")
    compression, plain = compression_of(path)
    try:
        with member.open() as file:  # type: ignore[union-attr]
            content = unpack_all(file, compression, MAX_MEMBER)  # type: ignore[arg-type]
    except UnpackError as error:
        return Fault(native_id, member.offset, f"member {error.reason}")
    except (BadZipFile, NotImplementedError, RuntimeError, lzma.LZMAError, zlib.error):
        return Fault(native_id, member.offset, "broken member")
    media_type = MEDIA_TYPES.get(PurePosixPath(plain).suffix.lower(), want.params.media_type)
    said = want.params.of(want.package)
    title = path if media_type in _CODE else None
    language = next(
        (tag for glob, tag in want.params.languages.items() if fnmatchcase(path, glob)), None
    )
    return Record(native_id, content, media_type, said.url, title, said.license, language)


def _unversioned(path: str, package: str) -> str:
    """A wheel's path without the version in `NAME-VERSION.dist-info` and `.data` (PEP 427)."""
    return re.sub(r"^[^/]+-[^-/]+(?=\.(dist-info|data)/)", package, path)


def zip_members(path: str) -> Iterator[Member]:
    """The files of a zip archive, in its directory's order."""
    with ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                continue
            yield Member(info.filename, info.file_size, info.header_offset, _opener(archive, info))


def _opener(archive: ZipFile, info: ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


def tar_members(file: BinaryIO, compression: str | None) -> Iterator[Member]:
    """The regular files of a tar stream, in order; links and devices are no documents.

    Each must be read before the next is asked for.
    """
    stream: Any = UnpackedReader(unpack(file, compression))
    with tarfile.open(fileobj=stream, mode="r|", bufsize=2**20) as archive:
        for info in archive:
            if info.isreg():
                name = info.name.removeprefix("./")
                yield Member(name, info.size, info.offset, _tar_opener(archive, info))


def _tar_opener(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes] | None]:
    return lambda: archive.extractfile(info)
