"""Files by path, glob or URL: JSON Lines, CSV, Parquet, Arrow, plain text, and archives of them."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
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
from phloem.sources.spending import SpentError, spend
from phloem.sources.web.download import Downloaded, download

logger = logging.getLogger(__name__)

AT_ONCE = 4  # files that are hashed: more would only seek on a disk
MAX_FILES = 1_000_000  # a glob that finds more has lost its way

VERSION = 5  # raised when it reads other documents out of the same bytes
LIBRARIES = read_files.LIBRARIES


class Params(Format):
    """Which files, and where in them the text and its names are.

    Attributes:
        path: ``bundled/…``, a file of this package, or an https address; and in a card of a user's
            own workspace a path or glob of this machine, relative to the working folder, or the
            URL of an object store. Or several; a folder stands for all below it. A file's name is
            its path below the folder in which all that is given here begins to differ or to be a
            pattern.
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
    kinds = {paths.kind_of(path) for path in _given(params)}
    return "here" if kinds <= {"bundled", "machine"} else "network"


unavailable = nothing_missing


def barred(params: Params, *, is_own: bool) -> list[str]:
    """Paths that a card may not open: see `paths.barred`."""
    faults = (paths.barred(path, is_own=is_own) for path in _given(params))
    return list(filter(None, faults))


def _given(params: Params) -> list[str]:
    return [params.path] if isinstance(params.path, str) else params.path


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
    hashed = _all_hashed(params, [(place, None, None) for place in found.places.values()])
    files = [
        PinnedFile(name, came.sha256, came.bytes, place.url)
        for (name, place), came in zip(found.places.items(), hashed, strict=True)
    ]
    seen = {each for came in hashed for each in came.observed}
    return Pin(version_of(files), tuple(files), tuple(sorted(seen, key=str)))


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
    wanted = [
        (place, folder / f"{number:06d}" if place.url else None, file)
        for number, file in enumerate(pin.files)
        for place in (found[file.name],)
    ]
    came = _all_hashed(params, wanted)
    return {file.name: str(each.path) for file, each in zip(pin.files, came, strict=True)}


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files at addresses or of names that are none of the card's.

    A name says what form a file has, and what language. What a user's own folders and stores hold
    is seen when they are fetched.
    """
    found = [
        f"{file.name} is locked at {masked(file.url)}, which the card does not name"
        for file in pin.files
        if file.url is not None and not any(_names(each, file.url) for each in _given(params))
    ]
    if found or not {paths.kind_of(path) for path in _given(params)} <= {"bundled", "web"}:
        return found
    places = _matched(params).places
    return [
        f"the card names no file {file.name}{f' at {masked(file.url)}' if file.url else ''}"
        for file in pin.files
        if file.name not in places or places[file.name].url != file.url
    ]


def _names(pattern: str, url: str) -> bool:
    """Whether an address is that of a card, lies in the folder that it names, or matches it."""
    if paths.kind_of(pattern) == "web":
        return url == pattern
    pattern, url = (re.sub(":///+", "://", each) for each in (pattern, url))  # of some stores
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
    return paths.find(_given(params))


Wanted = tuple[paths.Place, Path | None, PinnedFile | None]
"""A file, where a copy of it is put if anywhere, and the bytes that it must have."""


def _all_hashed(params: Params, wanted: Sequence[Wanted]) -> list[Downloaded]:
    """What lies at places, in order; several at once.

    hashlib and the reading let other threads run, so that a gigabyte does not wait for one core.
    """
    context = copy_context()  # what may be spent holds in these threads too
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda each: context.copy().run(_hashed, params, *each), wanted))


def _hashed(
    params: Params, place: paths.Place, copy: Path | None, pin: PinnedFile | None
) -> Downloaded:
    """Read a file, copying it on the way. Raises WrongError for other bytes than are pinned."""
    if place.is_web:
        with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
            target = copy or Path(folder) / "file"
            hosts, redirects = params.hosts, params.redirects
            return download(place.path, target, hosts=hosts, redirects=redirects, pin=pin)
    digest = hashlib.sha256()
    size = 0
    with copy.open("wb") if copy else nullcontext() as out:
        try:
            with place.open() as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
                    size += len(chunk)
                    if place.fs:
                        spend(len(chunk))
                    if out:
                        out.write(chunk)
        except SpentError:
            raise
        except Exception as error:  # noqa: BLE001 - of whatever file system it lies on
            raise SourceError(f"{masked(place.shown)} cannot be read: {paths.why(error)}") from None
    if pin and digest.hexdigest() != pin.sha256:
        raise WrongError(
            f"{pin.name} has sha256 {digest.hexdigest()}, but {pin.sha256} is locked: it was"
            " changed; lock it again if that is right"
        )
    return Downloaded(copy or Path(place.path), digest.hexdigest(), size, ())


splits = read_files.splits
read = read_files.read
