"""Files by path, glob or URL: JSON Lines, CSV, Parquet, Arrow, plain text, and archives of them."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from phloem.catalog.withheld import masked
from phloem.sources.clients import paths
from phloem.sources.connector import (
    Files,
    GoneError,
    Pin,
    PinnedFile,
    Reach,
    SourceError,
    WrongError,
    nothing_missing,
    refuse,
    version_of,
)
from phloem.sources.formats import read_files
from phloem.sources.formats.formats import Format, format_of

logger = logging.getLogger(__name__)

AT_ONCE = 4  # files that are hashed: more would only seek on a disk, and burden a server
MAX_FILES = 1_000_000  # a glob that finds more has lost its way

_PACKAGE = Path(__file__).parent.parent
BUNDLED = "bundled/"


VERSION = 4  # raised when it reads other documents out of the same bytes
LIBRARIES = read_files.LIBRARIES


class Params(Format):
    """Which files, and where in them the text and its names are.

    Attributes:
        path: Path, glob or URL that fsspec knows, or several; a folder stands for all below it.
            ``bundled/…`` lies in this package; any other relative path is relative to the working
            folder. A file's name is its path below the folder in which all that is given here
            begins to differ or to be a pattern.
    """

    path: str | list[str] = Field(description="Path, glob or URL, or several of them.")
    hosts: list[str] = Field(
        default=[], description="Globs of hosts that a web address may redirect to but its own."
    )
    redirects: int = Field(
        default=5, ge=0, le=20, description="How many redirects of a web address may follow."
    )


def reach(params: Params) -> Reach:
    """Nothing for files of this project and of this machine; the network for addresses."""
    given = [params.path] if isinstance(params.path, str) else params.path
    return "network" if any("://" in path for path in given) else "here"


unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The files that are there now, each read once for its sha256.

    What stands beside data in folders is passed over, and logged in a line.

    Raises SourceError if a pattern matches nothing, or a file's format cannot be told.
    """
    found = _found(params)
    unknown: list[SourceError] = []
    for name in found.places:
        if any("\ud800" <= char <= "\udfff" for char in name):
            shown = name.encode("utf-8", "backslashreplace").decode()
            raise SourceError(
                f"the name {shown} is not UTF-8, and no record can hold it; rename it"
            )
        try:
            format_of(params, name)
        except SourceError as error:
            unknown.append(error)
    if unknown:
        more = f"; so with {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        raise SourceError(f"{unknown[0]}{more}")
    if found.passed:
        logger.warning("%s", found.told())
    places = list(found.places.values())
    hashed = _all_hashed(places, [None] * len(places))
    files = [
        PinnedFile(name, sha256, size, place.url)
        for (name, place), (sha256, size) in zip(found.places.items(), hashed, strict=True)
    ]
    return Pin(version_of(files), tuple(files))


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Where the pinned files lie: local ones as they are, others copied into a folder.

    Raises:
        GoneError: a pinned file is not there any more.
        WrongError: a file's bytes are not those that were pinned.
        SourceError: no file is there, or they cannot be listed.
    """
    refuse(foreign(params, pin))
    found = _found(params).places
    gone = [file.name for file in pin.files if file.name not in found]
    if gone:
        raise GoneError(
            f"{len(gone)} locked files are not there any more, such as {gone[0]}; there are"
            f" {len(found)} files now; lock them again"
        )
    places = [found[file.name] for file in pin.files]
    copies = [
        folder / f"{number:06d}" if place.url else None for number, place in enumerate(places)
    ]
    for file, (sha256, _) in zip(pin.files, _all_hashed(places, copies), strict=True):
        if sha256 != file.sha256:
            raise WrongError(
                f"{file.name} has sha256 {sha256}, but {file.sha256} is locked: it was changed;"
                " lock it again if that is right"
            )
    return {
        file.name: str(copy or place.path)
        for file, place, copy in zip(pin.files, places, copies, strict=True)
    }


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files at addresses that are none of the card's; where others lie, the card tells."""
    patterns = [params.path] if isinstance(params.path, str) else params.path
    return [
        f"{file.name} is locked at {masked(file.url)}, which the card does not name"
        for file in pin.files
        if file.url is not None and not any(_names(pattern, file.url) for pattern in patterns)
    ]


def _names(pattern: str, url: str) -> bool:
    """Whether an address is that of a card, lies in the folder that it names, or matches it."""
    pattern, url = (re.sub(":///+", "://", each) for each in (pattern, url))  # memory://, file://
    inside = url.removeprefix(f"{pattern.rstrip('/')}/")
    is_inside = inside != url and ".." not in inside.split("/")
    return url == pattern or is_inside or fnmatchcase(url, pattern)


def unlocked(params: Params, pin: Pin) -> list[str]:
    """Files of this machine that the card's paths match now and the pin lacks."""
    if reach(params) == "network":
        return []
    return sorted(_matched(params).places.keys() - {file.name for file in pin.files})


def _found(params: Params) -> paths.Found:
    """What the card's paths name. Raises SourceError naming every one that names nothing."""
    found = _matched(params)
    if found.missing or not found.places:
        told = f"; {found.told()}" if found.passed else ""
        what = masked(", ".join(found.missing)) or "an empty list of paths"
        raise SourceError(f"no file matches {what}{told}")
    if len(found.places) > MAX_FILES:
        count = len(found.places)
        raise SourceError(f"{count} files match, more than {MAX_FILES}: give a narrower path")
    return found


def _matched(params: Params) -> paths.Found:
    given = [params.path] if isinstance(params.path, str) else params.path
    inside = [str(_PACKAGE / path) if path.startswith(BUNDLED) else path for path in given]
    return paths.find(inside, params.hosts, params.redirects)


def _all_hashed(
    places: Sequence[paths.Place], copies: Sequence[Path | None]
) -> Iterator[tuple[str, int]]:
    """Sha256 and size of files in order, each copied if it has a place for that; several at once.

    hashlib and the reading let other threads run, so that a gigabyte does not wait for one core.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(_hashed, places, copies)


def _hashed(place: paths.Place, copy: Path | None) -> tuple[str, int]:
    """Sha256 and size of a file, copying it on the way."""
    digest = hashlib.sha256()
    size = 0
    with copy.open("wb") if copy else nullcontext() as out:
        try:
            with place.open() as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
                    size += len(chunk)
                    if out:
                        out.write(chunk)
        except Exception as error:  # noqa: BLE001 - of whatever file system it lies on
            raise SourceError(f"{masked(place.shown)} cannot be read: {paths.why(error)}") from None
    return digest.hexdigest(), size


splits = read_files.splits
read = read_files.read
