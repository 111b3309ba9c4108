"""What the connectors of package indexes share: names in a pin, fetching, and cutting into parts.

A pinned file of theirs is called `PACKAGE@VERSION` and an ending, so that a pin alone tells what to
ask an index for. What a client would take for an option, a path or an address never gets to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from phloem.catalog.withheld import masked
from phloem.sources import progress
from phloem.sources.clients.clients import check, pinned
from phloem.sources.clients.standing import Served, Told
from phloem.sources.connector import (
    Batches,
    Files,
    GoneError,
    Pin,
    PinnedFile,
    SourceError,
    Split,
    numbered,
    refuse,
)
from phloem.sources.formats.archives import (
    SPLIT_BYTES,
    Member,
    MemberParams,
    Packages,
    Wanted,
    is_unsafe,
    ranges,
    records_of,
    tar_members,
    zip_members,
)
from phloem.sources.formats.read_plain import parted
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import Records, batches

PART_BYTES = 64 * 2**20
"""Packed bytes that give a package one more split. A tar stream can only be read from its start,
so every split unpacks all of it (about 80 MB/s for xz): few splits, and none for usual packages."""

LOCK = "look at what changed, set the version if the card names one, then lock it again"

Download = Callable[[str, str | None, Path], tuple[Path, str]]
"""(package, version or None for the newest, an empty folder) -> the file and its version. Raises
GoneError for a version that is no longer served and SourceError for what cannot be had."""


Members = Callable[[str, str, Limits], Iterator[Member]]
"""(name in the pin, path, how much may come out) -> the files of an archive."""


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


def fetch_each(params: Packages, pin: Pin, folder: Path, download: Download, ending: str) -> Files:
    """Download the pinned packages into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        WrongError: the card names no such package or version.
        SourceError: other bytes are served under its name, or it cannot be fetched.
    """
    refuse(foreign_each(params, pin, ending))
    files = {}
    for number, file in enumerate(pin.files):
        package, version = told(params.naming, file.name, ending)
        path, found = _downloaded(params.naming, download, package, version, folder, number)
        if found != version:
            raise GoneError(f"{package} {version} is locked, but {found} is served; {LOCK}")
        files[file.name] = check(path, file)
    return files


Ask = Callable[[str, str, bool, Path], Served]
"""(package, version, whether to look for a newer one, folder) -> what an index tells of it. Raises
GoneError for a version that is no longer served and SourceError where it cannot be asked."""


def served_each(
    params: MemberParams,
    pin: Pin,
    folder: Path,
    *,
    told: Callable[[str], tuple[str, str]],
    ask: Ask,
) -> Told:
    """What an index tells of each pinned package, asked one by one.

    Args:
        params: What the card names.
        pin: What is locked.
        folder: As `ask` takes it.
        told: The package, as the card spells it, and version of a pinned name.
        ask: Asks for one.

    Raises SourceError if it cannot be asked.
    """
    found: dict[str, Served | GoneError] = {}
    for file in pin.files:
        package, version = told(file.name)
        params.naming.require(package, version)
        is_free = params.of(package).version is None
        try:
            found[file.name] = ask(package, version, is_free, folder)
        except GoneError as error:
            found[file.name] = error
    return found


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


def foreign_each(params: Packages, pin: Pin, ending: str) -> list[str]:
    """Pinned files of a package or version that a card does not name, and what has none."""
    return foreign_packages(params, pin, partial(told, params.naming, ending=ending))


def foreign_packages(
    params: Packages, pin: Pin, told: Callable[[str], tuple[str, str]]
) -> list[str]:
    """As `foreign_each`, of pins that name their files otherwise.

    Args:
        params: What the card names.
        pin: What is locked.
        told: The package, as the card spells it, and version of a pinned name; raises SourceError.
    """
    found: list[str] = []
    there: dict[str, str] = {}
    for file in pin.files:
        try:
            package, version = told(file.name)
        except SourceError as error:
            found.append(f"{file.name}: {error}")
            continue
        other = there.setdefault(package, version)
        asked = params.of(package).version
        if package not in params.packages:
            found.append(f"{file.name} is of {package}, which the card does not name")
        elif asked not in {None, version}:
            found.append(f"{file.name} is {package} {version}, and the card names {asked}")
        elif other != version:  # their documents would have the same names
            found.append(f"{file.name} is {package} {version}, and {other} is pinned as well")
        elif file.url is not None:
            found.append(f"{file.name} is said to lie at {masked(file.url)}, and not in an index")
    lacking = [package for package in params.packages if package not in there]
    return [*found, *(f"no file of {package}, which the card names" for package in lacking)]


def zip_splits(
    params: MemberParams, pin: Pin, files: Files, members: Members, ending: str
) -> list[Split]:
    """One split a package; large ones in ranges of members that hold `SPLIT_BYTES` each."""
    found = []
    for file in pin.files:
        progress.at(file.name)
        package, _ = told(params.naming, file.name, ending)
        held = ranges(
            members(file.name, files[file.name], Limits()), params, SPLIT_BYTES, file.bytes
        )
        parts = [
            {"package": package, "start": start, "end": end, "step": 1} for start, end, _ in held
        ]
        found += numbered(package, file.name, parts)
    return found


def tar_splits(params: Packages, pin: Pin, _files: Files, ending: str) -> list[Split]:
    """One split a package; a large one gives each split every n-th of its members."""
    found = []
    for file in pin.files:
        package, _ = told(params.naming, file.name, ending)
        found += tar_parts(file, package)
    return found


def tar_parts(file: PinnedFile, package: str) -> list[Split]:
    """The splits of one packed tar archive."""
    count = max(1, file.bytes // PART_BYTES)
    parts = [
        {"package": package, "start": part, "end": None, "step": count} for part in range(count)
    ]
    return numbered(package, file.name, parts)


def read_members(
    params: MemberParams, split: Split, files: Files, limits: Limits, members: Members
) -> Batches:
    """The documents of the wanted members; native ids are `package/path`, without the version."""
    name = split.spec["file"]
    found = read_part(params, split, files, limits, members(name, files[name], limits))
    yield from batches(parted(found, params.documents, limits))


def read_part(
    params: MemberParams, split: Split, files: Files, limits: Limits, members: Iterator[Member]
) -> Records:
    """The wanted members of an archive that belong to a split of `zip_splits` or `tar_splits`."""
    spec: Any = split.spec
    want = Wanted(params, spec["package"], spec["start"], spec["end"], spec["step"])
    yield from records_of(members, want, Path(files[spec["file"]]).stat().st_size, limits)


def zipped(_name: str, path: str, _limits: Limits) -> Iterator[Member]:
    """The files of a zip archive, under the names that they have there."""
    return zip_members(path)


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
