"""Members of package archives as records: what is taken, how it is named, what is refused."""

from __future__ import annotations

import lzma
import re
import stat
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from os import SEEK_END
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, ClassVar, Protocol, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from phloem.sources import progress
from phloem.sources.connector import Fault, Strict
from phloem.sources.formats.read_plain import Documents
from phloem.sources.formats.unpack import (
    UnpackedReader,
    UnpackError,
    compression_of,
    excess,
    unpack,
    unpack_all,
)
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import Record, Records, unique

MAX_HEADERS = 16 * 2**10
"""Bytes of the long names and attributes of one tar member, with those that hold for all members.
A path has at most 4,096 bytes (PATH_MAX of Linux) and a member two. tarfile reads them whole, and
before Python 3.11.10 searches them in quadratic time: a second for 32 KiB, 20 minutes for 1 MiB."""

MOST_CLAIMED = 2**36
"""Bytes that the header of one tar member may claim. To get over it, tarfile reads on mebibyte by
mebibyte, whether the file has them or not: so many take a moment, 2^62 would take years."""

_READ = 2**16  # bytes at a time: of what is left of them, tarfile makes a copy at each member
_ZIP_ENCRYPTED = 1  # in the flags of a member
_ZIP_END = 22  # bytes of the record that ends a zip; a comment of up to 64 KiB follows

SPLIT_BYTES = 32 * 2**20
"""Text that one split holds, about: a minute of one worker's time."""

_CODE = {
    "text/javascript": ".js .jsx .mjs .cjs",
    "text/x-c": ".c .h",
    "text/x-c++": ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++",
    "text/x-csharp": ".cs",
    "text/x-go": ".go",
    "text/x-java": ".java",
    "text/x-lua": ".lua",
    "text/x-php": ".php",
    "text/x-python": ".py .pyi",
    "text/x-ruby": ".rb .rake .gemspec",
    "text/x-rust": ".rs",
    "text/x-scala": ".scala .sbt",
    "text/x-shellscript": ".sh",
    "text/x-typescript": ".ts .tsx .mts .cts",
}
"""Code carries its path as title: a page has a title of its own."""

MEDIA_TYPES = {
    ".htm": "text/html",
    ".html": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".md": "text/markdown",
    ".rst": "text/x-rst",
    ".doctest": "text/x-rst",
    ".txt": "text/plain",
    **{ending: kind for kind, endings in _CODE.items() for ending in endings.split()},
}
"""Media type by the ending of a name, after .gz, .xz or .zst is taken off."""


class Package(Strict):
    """What a card says of one package, where it is more than its name."""

    version: str | None = Field(default=None, description="Version to lock; null: the newest.")
    license: str | None = Field(
        default=None, description="SPDX expression, where it differs from the card's."
    )
    url: str | None = Field(default=None, description="Where a reader finds its home.")


Named = dict[str, str | Package | None] | list[str]


class Chosen(Protocol):
    """What says which members of an archive are taken, and what they are."""

    include: list[str]
    exclude: list[str]
    media_type: str
    languages: dict[str, str]

    def of(self, name: str, /) -> Package: ...  # noqa: D102


class MemberParams(Strict):
    """Parameters that say which members of an archive are taken, and what they are.

    A connector says in `naming` which names and versions its client may be asked for. Globs of
    `languages` match a member's path or `package/path`; the first that does holds.
    """

    naming: ClassVar[Naming]

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
    documents: Documents = Field(
        default="file", description="What a document is in members of text/plain; as of files."
    )

    def of(self, _name: str, /) -> Package:
        """What the card says of a package: nothing, where it names none."""
        return Package()


class Packages(MemberParams):
    """Parameters of connectors that read members of package archives."""

    packages: Named = Field(
        description="Names, or name: version, or name: {version, license, url}."
    )

    @field_validator("packages")
    @classmethod
    def _are_named(cls, packages: Named) -> Named:
        """A client takes what it is asked for as an option, a path or an address, if it can."""
        given = [cls.naming.fault(name, _of(packages, name).version) for name in packages]
        faults = [fault for fault in given if fault] if packages else ["there are none"]
        if faults:
            said = f"names and versions of packages ({cls.naming.standard}); {'; '.join(faults)}"
            raise PydanticCustomError("package_names", "{said}", {"said": said})
        return packages

    def of(self, name: str, /) -> Package:
        """What the card says of a package."""
        return _of(self.packages, name)


def _of(packages: Named, name: str) -> Package:
    given = None if isinstance(packages, list) else packages.get(name)
    return given if isinstance(given, Package) else Package(version=given)


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

    params: Chosen
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
    ArithmeticError,  # OverflowError: a place beyond 64 bits
    BadZipFile,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,  # with NotImplementedError and RecursionError
    ValueError,  # with UnicodeDecodeError: a name that is not in the encoding that it claims
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zlib.error,
)
"""What zipfile, tarfile and the decompressors raise for archives that are not whole, or hostile."""


def is_wanted(path: str, params: Chosen) -> bool:
    """Whether a member is included and not excluded."""
    inside = any(fnmatchcase(path, glob) for glob in params.include)
    return inside and not any(fnmatchcase(path, glob) for glob in params.exclude)


def is_unsafe(path: str) -> bool:
    """Whether a member's path could lead out of the folder that it is unpacked into."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return path.startswith(("/", "\\")) or ".." in parts or re.match("[A-Za-z]:", path) is not None


def records_of(
    members: Iterator[Member], want: Wanted, archive_bytes: int, limits: Limits
) -> Records:
    """The wanted members of an archive as records.

    A member whose path leaves the archive, that is too large or that cannot be read is a fault;
    so is the rest of an archive that breaks, has too many members or unpacks to too much.

    Args:
        members: In the archive's order.
        want: Which of them.
        archive_bytes: Size of the archive as it is stored.
        limits: How much may come out of it.
    """
    unpacked = 0
    place = -1
    given: Counter[str] = Counter()  # a name may be there twice; splits must agree on both
    try:
        for number, member in enumerate(members):
            if want.end is not None and place + 1 >= want.end:
                return
            progress.step()
            if number >= limits.archive_members:
                yield _rest(want, member.offset, f"more than {limits.told('archive_members')}")
                return
            if not (is_unsafe(member.path) or is_wanted(member.path, want.params)):
                continue
            place += 1
            native_id = unique(_name(member.path, want), given)
            # Those of other splits count too: many splits make no bomb smaller.
            unpacked += min(member.size, limits.member_bytes)
            reason = excess(archive_bytes, unpacked, limits)
            if reason:
                yield _rest(want, member.offset, f"archive {reason}")
                return
            if want.takes(place):
                record = _record(member, native_id, want, limits)
                yield record
                if isinstance(record, Record):  # a packed member is larger than the archive says
                    unpacked += max(0, len(record.content) - member.size)
    except UnpackError as error:
        yield _rest(want, error.offset, error.reason)
    except BROKEN:  # before its first member: a zip whose directory cannot be read
        yield _rest(want, 0, "broken archive")


def ranges(
    members: Iterator[Member], params: Chosen, size: int, archive_bytes: int
) -> list[tuple[int, int | None, int]]:
    """(first of the wanted members, one past the last or None, bytes) of parts of about `size`.

    The whole of an archive that breaks, or whose members claim more than any may unpack to: reading
    it gives the fault, once.
    """
    parts: list[tuple[int, int | None, int]] = []
    start = held = place = whole = 0
    try:
        for member in members:
            if not (is_unsafe(member.path) or is_wanted(member.path, params)):
                continue
            place += 1
            held, whole = held + member.size, whole + member.size
            if held >= size:
                parts.append((start, place, held))
                start, held = place, 0
    except (*BROKEN, UnpackError):
        return [(0, None, 0)]
    if excess(archive_bytes, whole, Limits()):
        return [(0, None, 0)]
    return [*parts, (start, None, held)] if held or not parts else parts


def _rest(want: Wanted, offset: int, reason: str) -> Fault:
    return Fault(want.package, offset, reason, rest=True)


def _name(member: str, want: Wanted) -> str:
    return f"{want.package}/{_unversioned(_readable(member), want.package)}"


def _readable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _record(member: Member, native_id: str, want: Wanted, limits: Limits) -> Record | Fault:
    path = _readable(member.path)
    if is_unsafe(path):
        return Fault(native_id, member.offset, "member path leaves the archive")
    if member.size > limits.member_bytes:
        reason = f"member larger than {limits.told('member_bytes')}"
        return Fault(native_id, member.offset, reason)
    compression, plain = compression_of(path)
    try:
        with member.open() as file:  # type: ignore[union-attr]
            content = unpack_all(file, compression, limits, "member_bytes")  # type: ignore[arg-type]
    except UnpackError as error:
        return Fault(native_id, member.offset, f"member {error.reason}")
    except BROKEN:
        return Fault(native_id, member.offset, "broken member")
    media_type = MEDIA_TYPES.get(PurePosixPath(plain).suffix.lower(), want.params.media_type)
    said = want.params.of(want.package)
    title = path if media_type in _CODE else None
    tags = want.params.languages.items()
    names = (path, native_id)
    language = next((tag for glob, tag in tags if any(fnmatchcase(n, glob) for n in names)), None)
    return Record(native_id, content, media_type, said.url, title, said.license, language)


def _unversioned(path: str, package: str) -> str:
    """A path without the version of its package, by which a new one would rename every document.

    Versions stand in `NAME-VERSION.dist-info` and `.data` of wheels (PEP 427), and in the folders
    `gems/NAME-VERSION` of RubyGems.
    """
    path = re.sub(r"^[^/]+-[^-/]+(?=\.(dist-info|data)/)", package, path)
    return re.sub(r"(/gems/[A-Za-z0-9_.-]+?)-\d[^/]*(?=/)", r"\1", path)


def zip_members(path: str) -> Iterator[Member]:
    """The files of a zip archive, in its directory's order.

    Raises UnpackError behind them if the file holds more than the archive: another before it, whose
    directory nobody looks at, or anything after it.
    """
    with ZipFile(path) as archive:
        infos = archive.infolist()
        for info in infos:
            if (info.is_dir() and not info.file_size) or stat.S_ISLNK(info.external_attr >> 16):
                continue
            yield Member(
                info.filename, info.file_size, info.header_offset, partial(_opened, archive, info)
            )
        _check_edges(archive, min((info.header_offset for info in infos), default=0))


def _check_edges(archive: ZipFile, first: int) -> None:
    file: Any = archive.fp
    file.seek(0)
    if first > 0 and file.read(4) == b"PK\3\4":  # what else stands there is a program that unpacks
        raise UnpackError("another zip before the archive", 0)
    size = file.seek(0, SEEK_END)
    start = file.seek(max(0, size - _ZIP_END - 2**16))
    tail = file.read()
    end = tail.rfind(b"PK\5\6") + _ZIP_END + len(archive.comment)
    if end < len(tail):
        raise UnpackError("bytes behind the end of the archive", start + end)


def _opened(archive: ZipFile, info: ZipInfo) -> IO[bytes]:
    # zipfile bounds what a read of these gives; a 1 kB member of bzip2 gave 3 GB at one read.
    if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise UnpackError(f"packed by zip method {info.compress_type}", info.header_offset)
    if info.flag_bits & _ZIP_ENCRYPTED:
        raise UnpackError("encrypted", info.header_offset)
    return archive.open(info)


def tar_members(file: BinaryIO, compression: str | None, limits: Limits) -> Iterator[Member]:
    """The regular files of a tar stream, in order; links and devices are no documents.

    Each must be read before the next is asked for. Archives that are joined are read on.
    """
    stream: Any = UnpackedReader(unpack(file, compression, limits))
    seen = place = 0
    try:
        with _Tar.open(fileobj=stream, mode="r|", bufsize=_READ, ignore_zeros=True) as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # else tarfile keeps every header that it has met
                seen += 1
                place = info.offset
                if seen > limits.archive_members:  # folders and links too
                    raise UnpackError(f"more than {limits.told('archive_members')}", place)
                # What is no number tarfile takes for 0.
                if info.size < 0 or not info.pax_headers.get("size", "0").isdecimal():
                    raise UnpackError("broken tar header", place)
                if info.isreg() or info.type not in tarfile.SUPPORTED_TYPES:
                    name = info.name.removeprefix("./")
                    yield Member(name, info.size, place, partial(_extracted, archive, info))
    except BROKEN:
        raise UnpackError("broken archive", place) from None


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes] | None:
    if not info.isreg():  # of a volume that goes on, of a program's own
        raise UnpackError("of a kind that is not known", info.offset)
    return archive.extractfile(info)


class _Header(tarfile.TarInfo):
    """A tar header, refused where tarfile would read without bound or stop without a word."""

    @classmethod
    def fromtarfile(cls, archive: _Tar) -> Self:  # type: ignore[override]
        """The next header. Raises UnpackError if there is none before the archive's end mark."""
        try:
            found = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            archive.ended = True  # unless another archive follows
            raise
        except tarfile.HeaderError as error:
            if archive.ended and isinstance(error, tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
                raise
            raise UnpackError("broken tar header", archive.offset) from None
        if found.size > MOST_CLAIMED:
            raise UnpackError(f"tar member of {found.size} bytes", archive.offset)
        archive.ended = False
        return found

    # tarfile names this method as the one to override for members of other kinds.
    def _proc_member(self, archive: _Tar) -> tarfile.TarInfo:
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise UnpackError("sparse tar member", self.offset)
        size = self.size if self.type in _EXTENDED else 0
        archive.held += size
        if size < 0 or archive.held > MAX_HEADERS:
            raise UnpackError(f"tar headers larger than {MAX_HEADERS} bytes", self.offset)
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        if self.type != tarfile.XGLTYPE:  # what holds for all members is kept
            archive.held -= size
        return member

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise UnpackError("sparse tar member", self.offset)  # its map is as long as it says


_EXTENDED = frozenset(
    {
        tarfile.GNUTYPE_LONGLINK,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.XHDTYPE,
    }
)


class _Tar(tarfile.TarFile):
    """A tar archive that knows its bytes of extended headers, and whether its end was met."""

    tarinfo = _Header
    members: list[tarfile.TarInfo]
    held = 0
    ended = False
