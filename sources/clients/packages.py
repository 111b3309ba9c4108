"""What the connectors of package indexes share: names in a pin, fetching, and cutting into parts.

A pinned file of theirs is called `PACKAGE@VERSION` and an ending, so that a pin alone tells what to
ask an index for. What a client would take for an option, a path or an address never gets to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from phloem.sources.clients.clients import check, pinned
from phloem.sources.connector import Files, GoneError, Pin, PinnedFile, Split
from phloem.sources.formats.archives import (
    BROKEN,
    SPLIT_BYTES,
    Member,
    MemberParams,
    Packages,
    Wanted,
    is_unsafe,
    is_wanted,
    records_of,
    tar_members,
)
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import Records

PART_BYTES = 64 * 2**20
"""Packed bytes that give a package one more split. A tar stream can only be read from its start,
so every split unpacks all of it (about 80 MB/s for xz): few splits, and none for usual packages."""

LOCK = "look at what changed, then lock it again"

Download = Callable[[str, str | None, Path], tuple[Path, str]]
"""(package, version or None for the newest, an empty folder) -> the file and its version. Raises
GoneError for a version that is no longer served and SourceError for what cannot be had."""


def resolve_each(params: Packages, download: Download, ending: str) -> Pin:
    """What an index serves now, of the versions that a card names or the newest."""
    found = []
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        for number, package in enumerate(params.packages):
            version = params.of(package).version
            path, version = _downloaded(params.naming, download, package, version, name, number)
            found.append((package, version, named(path, package, version, ending)))
    return pin_of(found)


def named(path: Path, package: str, version: str, ending: str) -> PinnedFile:
    """A downloaded file under the name that tells its package and version."""
    return replace(pinned(path), name=f"{package}@{version}{ending}")


def pin_of(found: Sequence[tuple[str, str, PinnedFile]]) -> Pin:
    """The pin of (package, version, file): its version is theirs, or the list of them."""
    versions = dict.fromkeys(f"{package} {version}" for package, version, _ in found)
    alone = len(versions) == 1
    return Pin(found[0][1] if alone else ", ".join(versions), tuple(file for *_, file in found))


def fetch_each(
    naming: Naming, pin: Pin, folder: Path, download: Download, ending: str
) -> dict[str, str]:
    """Download the pinned packages into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        SourceError: other bytes are served under its name, or it cannot be fetched.
    """
    files = {}
    for number, file in enumerate(pin.files):
        package, version = told(naming, file.name, ending)
        path, found = _downloaded(naming, download, package, version, folder, number)
        if found != version:
            raise GoneError(f"{package} {version} is locked, but {found} is served; {LOCK}")
        files[file.name] = check(path, file)
    return files


def _downloaded(
    naming: Naming,
    download: Download,
    package: str,
    version: str | None,
    folder: str | Path,
    number: int,
) -> tuple[Path, str]:
    """One package, in a folder of its own."""
    naming.require(package, version)
    into = Path(folder).absolute() / f"{number:06d}"  # the client runs in it
    into.mkdir(parents=True)
    path, found = download(package, version, into)
    naming.require(package, found)  # what a client says goes into the lock file
    return path, found


def told(naming: Naming, name: str, ending: str) -> tuple[str, str]:
    """The package and version that a pinned name tells. Raises SourceError if it tells none."""
    package, _, version = name.removesuffix(ending).rpartition("@")
    naming.require(package, version)
    return package, version


def packages_of(params: Packages, pin: Pin, ending: str) -> list[tuple[PinnedFile, str]]:
    """The pinned files, each with its package."""
    return [(file, told(params.naming, file.name, ending)[0]) for file in pin.files]


def zip_splits(
    params: MemberParams, file: PinnedFile, package: str, members: Iterator[Member]
) -> list[Split]:
    """Splits of a zip archive: ranges of its wanted members that hold `SPLIT_BYTES` each."""
    bounds = _bounds(params, members)
    parts = [{"start": start, "end": end, "step": 1} for start, end in bounds]
    return _splits(file, package, parts)


def _bounds(params: MemberParams, members: Iterator[Member]) -> list[tuple[int, int | None]]:
    """Ranges of places among the wanted members, balanced by bytes; the last has no end."""
    bounds: list[tuple[int, int | None]] = []
    start = size = place = 0
    try:
        for member in members:
            if not (is_unsafe(member.path) or is_wanted(member.path, params)):
                continue
            place += 1
            size += member.size
            if size >= SPLIT_BYTES:
                bounds.append((start, place))
                start, size = place, 0
    except BROKEN:
        return [(0, None)]  # `read` says what is wrong with it
    return [*bounds, (start, None)] if size or not bounds else bounds


def tar_splits(file: PinnedFile, package: str) -> list[Split]:
    """Splits of a packed tar archive: of a large one, each takes every n-th of its members."""
    count = max(1, file.bytes // PART_BYTES)
    parts = [{"start": part, "end": None, "step": count} for part in range(count)]
    return _splits(file, package, parts)


def _splits(
    file: PinnedFile, package: str, parts: Sequence[Mapping[str, int | None]]
) -> list[Split]:
    return [
        Split(
            package if len(parts) == 1 else f"{package}-{number:03d}-of-{len(parts):03d}",
            {"file": file.name, "package": package, **part},
            (file.name,),
        )
        for number, part in enumerate(parts)
    ]


def read_part(
    params: MemberParams, split: Split, files: Files, limits: Limits, members: Iterator[Member]
) -> Records:
    """The wanted members of an archive that belong to a split of `zip_splits` or `tar_splits`."""
    spec: Any = split.spec
    want = Wanted(params, spec["package"], spec["start"], spec["end"], spec["step"])
    yield from records_of(members, want, Path(files[spec["file"]]).stat().st_size, limits)


def tarball(path: str, limits: Limits, top: str | None = None) -> Iterator[Member]:
    """The files of a gzipped tar archive, named from inside the folder that they lie in.

    Args:
        path: Of the archive.
        limits: How much may come out.
        top: Name of the folder; None for whichever a member lies in.
    """
    with Path(path).open("rb") as file:
        yield from below(tar_members(file, "gzip", limits), top)


def below(members: Iterator[Member], top: str | None = None) -> Iterator[Member]:
    """Members named from inside a folder, since its name often tells a version.

    A member that lies elsewhere, or whose path leaves the archive, keeps its name.
    """
    for member in members:
        folder = top or member.path.partition("/")[0]
        inner = member.path.removeprefix(f"{folder}/")
        yield replace(member, path=inner) if inner and not is_unsafe(member.path) else member
