"""Debian packages, binary or source, fetched by apt-get and read as archives without dpkg."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

from pydantic import Field

from phloem.sources import progress
from phloem.sources.clients import apt_source
from phloem.sources.clients.clients import check, complaint, needs, pinned
from phloem.sources.clients.packages import (
    LOCK,
    PART_BYTES,
    foreign_packages,
    pin_of,
    read_part,
    tar_parts,
)
from phloem.sources.clients.standing import Served, Told
from phloem.sources.connector import (
    Batches,
    Files,
    GoneError,
    Pin,
    PinnedFile,
    SourceError,
    Split,
    WrongError,
    every_nth,
    from_index,
    numbered,
    refuse,
)
from phloem.sources.formats.archives import Member, Packages, Wanted, records_of, tar_members
from phloem.sources.formats.read_plain import parted
from phloem.sources.formats.unpack import Part, UnpackError, compression_of
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import batches

_MAGIC = b"!<arch>\n"  # deb(5), ar(5)
_HEADER = 60
# Debian policy 5.6.1, 5.6.8 and 5.6.12, with the colon of a version as apt writes it.
_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]*_[A-Za-z0-9.+~%-]+_[a-z0-9-]+\.deb")
_ARCHIVE = re.compile(r"[^_/]+_[^_/]+/[^/]+")


VERSION = 3  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")


class Params(Packages):
    """Which packages, and which of their members.

    Of source packages the archives of their authors are read, without what Debian adds.
    """

    naming: ClassVar[Naming] = Naming(
        name=r"[a-z0-9][a-z0-9+.-]+",
        version=r"([0-9]+:)?[A-Za-z0-9][A-Za-z0-9.+~-]*",
        standard="Debian Policy 5.6.1 and 5.6.12",
    )

    source: bool = Field(
        default=False, description="Whether the packages are source packages, not binary ones."
    )


reach = from_index
unavailable = needs("apt-get", "a Debian package", "run on Debian or a relative of it")


def resolve(params: Params) -> Pin:
    """What the suites in this machine's sources.list serve now.

    Raises SourceError for a package that they do not serve.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        if params.source:
            asked = [(package, params.of(package).version) for package in params.packages]
            return pin_of(apt_source.pinned_sources(params.naming, asked, Path(name)))
        files = [
            pinned(_download(package, params.of(package).version, Path(name)))
            for package in params.packages
        ]
    return pin_of([(_package(file.name), _version(file.name), file) for file in files])


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned packages or versions that the card does not name, and what has no file."""
    return foreign_packages(params, pin, lambda name: _told(params, name))


def _told(params: Params, name: str) -> tuple[str, str]:
    """The package and version of a pinned name. Raises WrongError."""
    form = _ARCHIVE if params.source else _DEB
    if not form.fullmatch(name):
        kind = "an archive of a source package" if params.source else "a Debian package"
        raise WrongError(f"{name!r} is not how {kind} is pinned")
    if params.source:
        package, version, _ = apt_source.split_name(name)
        return package, version
    return _package(name), _version(name)


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned packages into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        SourceError: other bytes are served under its name, or apt-get cannot fetch.
    """
    refuse(foreign(params, pin))
    if params.source:
        return apt_source.fetched_sources(params.naming, pin, folder)
    files = {}
    for file in pin.files:
        path = _locked(_package(file.name), _version(file.name), folder)
        files[file.name] = check(path, file)
    return files


def _locked(package: str, version: str, folder: Path) -> Path:
    """A locked version, of whatever suite serves it today if the machine's lists know it no more.

    Raises GoneError and SourceError.
    """
    try:
        return _download(package, version, folder)
    except SourceError as error:
        try:
            lists, _ = apt_source.fresh_lists(folder, "Packages")
            return _download(package, version, folder, lists)
        except GoneError:
            raise
        except SourceError:
            raise error from None  # the lists of today can be had no more than the package


def served(params: Params, pin: Pin, folder: Path) -> Told:
    """The sha256 of each pinned package that the suites of this machine serve today."""
    names = {file.name: _told(params, file.name) for file in pin.files}
    if params.source:
        sums, newest = apt_source.served_sources(params.naming, pin, folder)
    else:
        sums, newest = _listed(params, pin, folder)
    found: dict[str, Served | GoneError] = {}
    for name, (package, version) in names.items():
        now = newest.get(package)
        if name in sums:
            is_free = params.of(package).version is None
            found[name] = Served(sums[name], newest=now if is_free and now != version else None)
        else:
            served = f"{now} is" if now else f"nothing is of {package}"
            found[name] = GoneError(f"{name} is no longer served here; {served}; {LOCK}")
    return found


def _listed(params: Params, pin: Pin, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """sha256 of each pinned package that is served, and the newest version of each."""
    asked = list(dict.fromkeys(_package(file.name) for file in pin.files))
    for package in asked:
        params.naming.require(package, None)
    sums: dict[tuple[str, str, str], str] = {}
    newest: dict[str, str] = {}
    for each in apt_source.listed(folder, "Packages", asked):
        package, version = each.get("Package", ""), each.get("Version", "")
        newest.setdefault(package, version)
        sums[package, version, each.get("Architecture", "")] = each.get("SHA256", "")
    keys = {
        file.name: (_package(file.name), _version(file.name), _architecture(file.name))
        for file in pin.files
    }
    return {name: sums[key] for name, key in keys.items() if key in sums}, newest


def _architecture(deb: str) -> str:
    return deb.rpartition("_")[2].removesuffix(".deb")


def _download(package: str, version: str | None, folder: Path, lists: Sequence[str] = ()) -> Path:
    """One package in a folder of its own. Raises GoneError and SourceError."""
    Params.naming.require(package, version)
    target = folder / package
    target.mkdir(parents=True, exist_ok=True)
    asked = f"{package}={version}" if version else package
    done = apt_source.apt_get(["--quiet", *lists, "download", "--", asked], target)
    found = sorted(target.glob("*.deb"))
    if done.returncode or len(found) != 1:
        raise _refusal(package, version, done.stderr, target, lists)
    return found[0]


def _refusal(
    package: str, version: str | None, output: str, folder: Path, lists: Sequence[str]
) -> SourceError:
    """What to say of a download that failed."""
    reason = complaint(output, "E: ")
    if "Unable to locate package" in output:
        return SourceError(
            f"apt-get knows no package {package}: run `apt-get update`, or the suite has none"
        )
    shown = apt_source.apt_get([*lists, "download", "--print-uris", "--", package], folder)
    served = re.search(r"^'[^']*' (\S+\.deb) ", shown.stdout, re.MULTILINE)
    if version and served and _version(served[1]) != version:
        now = _version(served[1])
        return GoneError(
            f"{package} {version} is no longer served here; {now} is (this machine's suite or"
            f" package lists differ from those that were locked); {LOCK}"
        )
    return SourceError(f"apt-get could not fetch {package}: {reason}")


def _package(deb: str) -> str:
    """The package in a file name NAME_VERSION_ARCHITECTURE.deb."""
    return deb.split("_", maxsplit=1)[0]


def _version(deb: str) -> str:
    """The version in such a name, empty if there is none; apt writes an epoch's colon as %3a."""
    return deb.partition("_")[2].partition("_")[0].replace("%3a", ":")


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a package; a large one gives each split every n-th of its members."""
    found: list[Split] = []
    for file in pin.files:
        if params.source:
            found += _source_splits(file, files[file.name])
            continue
        parts = every_nth(max(1, file.bytes // PART_BYTES))
        found += numbered(_package(file.name), file.name, parts)
    return found


def _source_splits(file: PinnedFile, path: str) -> list[Split]:
    """The splits of an archive of a source package."""
    progress.at(file.name)
    package, _, archive = apt_source.split_name(file.name)
    top = {"top": apt_source.folder_of(path, file.name)}
    return [
        replace(split, name=f"{split.name}/{archive}", spec={**split.spec, **top})
        for split in tar_parts(file, package)
    ]


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The wanted members of a package; native ids are `package/path`, without the version."""
    spec: Any = split.spec
    path = files[spec["file"]]
    if params.source:
        members = apt_source.source_members(path, spec["file"], limits, spec["top"])
        found = read_part(params, split, files, limits, members)
    else:
        want = Wanted(params, _package(spec["file"]), start=spec["part"], step=spec["parts"])
        found = records_of(_members(path, limits), want, Path(path).stat().st_size, limits)
    yield from batches(parted(found, params.documents, limits))


def _members(path: str, limits: Limits) -> Iterator[Member]:
    """The files of a package. Raises UnpackError if it is no Debian package."""
    with Path(path).open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UnpackError("not a Debian package", 0)
        while header := file.read(_HEADER):
            name, size = _entry(header, file.tell())
            if name.startswith("data.tar"):
                data = cast("BinaryIO", Part(file, size))
                yield from tar_members(data, compression_of(name)[0], limits)
                return
            file.seek(size + size % 2, 1)
    raise UnpackError("package without data", Path(path).stat().st_size)


def _entry(header: bytes, offset: int) -> tuple[str, int]:
    """Name and size of an ar member (ar(5): 16 bytes of name, the size at byte 48)."""
    name, size = header[:16].decode("ascii", "replace"), header[48:58].strip()
    if len(header) != _HEADER or header[58:] != b"`\n" or not size.isdigit():
        raise UnpackError("truncated or broken ar header", offset)
    return name.rstrip(" /"), int(size)
