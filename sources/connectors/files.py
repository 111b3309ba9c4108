"""Files by path, glob or URL: JSON Lines, CSV, Parquet, Arrow, plain text, and archives of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
from pydantic import Field

from phloem.sources.connector import (
    Files,
    GoneError,
    Pin,
    PinnedFile,
    Reach,
    SourceError,
    WrongError,
    nothing_missing,
    version_of,
)
from phloem.sources.formats import read_files
from phloem.sources.formats.formats import Format, format_of
from phloem.sources.web import addresses

AT_ONCE = 4  # files that are hashed: more would only seek on a disk, and burden a server
MAX_FILES = 1_000_000  # a glob that finds more has lost its way

_WILDCARD = re.compile(r"[*?[]")
_PACKAGE = Path(__file__).parent.parent
BUNDLED = "bundled/"


VERSION = 2  # raised when it reads other documents out of the same bytes
LIBRARIES = read_files.LIBRARIES


class Params(Format):
    """Which files, and where in them the text and its names are.

    Attributes:
        path: Path, glob or URL that fsspec knows, or several. ``bundled/…`` lies in this package;
            any other relative path is relative to the working folder. A file's name is its path
            below the folder in which all that is given here begins to differ or to be a pattern.
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
    paths = [params.path] if isinstance(params.path, str) else params.path
    return "network" if any("://" in path for path in paths) else "here"


unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The files that are there now, each read once for its sha256.

    Raises SourceError if a pattern matches nothing, or a file's format cannot be told.
    """
    found = _found(params)
    for name in found:
        if not name.isprintable() and any("\ud800" <= char <= "\udfff" for char in name):
            shown = name.encode("utf-8", "backslashreplace").decode()
            raise SourceError(
                f"the name {shown} is not UTF-8, and no record can hold it; rename it"
            )
        format_of(params, name)
    files = [
        PinnedFile(name, sha256, size, place if "://" in place else None)
        for (name, place), (sha256, size) in zip(
            found.items(), _all_hashed(params, dict.fromkeys(found.values())), strict=True
        )
    ]
    return Pin(version_of(files), tuple(files))


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Where the pinned files lie: local ones as they are, others copied into a folder.

    Raises:
        GoneError: a pinned file is not there any more.
        WrongError: a file's bytes are not those that were pinned.
        SourceError: no file is there, or they cannot be listed.
    """
    found = _found(params)
    gone = [file.name for file in pin.files if file.name not in found]
    if gone:
        raise GoneError(
            f"{len(gone)} locked files are not there any more, such as {gone[0]}; there are"
            f" {len(found)} files now; lock them again"
        )
    copies = {
        found[file.name]: str(folder / f"{number:06d}") if "://" in found[file.name] else None
        for number, file in enumerate(pin.files)
    }
    for file, (sha256, _) in zip(pin.files, _all_hashed(params, copies), strict=True):
        if sha256 != file.sha256:
            raise WrongError(
                f"{file.name} has sha256 {sha256}, but {file.sha256} is locked: it was changed;"
                " lock it again if that is right"
            )
    return {file.name: copies[found[file.name]] or found[file.name] for file in pin.files}


def unlocked(params: Params, pin: Pin) -> list[str]:
    """Files of this machine that the card's paths match now and the pin lacks."""
    if reach(params) == "network":
        return []
    places, _ = _matched(params)
    return sorted(places.keys() - {file.name for file in pin.files})


def _found(params: Params) -> dict[str, str]:
    """Path or URL of each file, by its name; sorted.

    Raises SourceError naming every pattern that matches nothing.
    """
    places, missing = _matched(params)
    if missing or not places:
        raise SourceError(f"no file matches {', '.join(missing) or 'an empty list of paths'}")
    if len(places) > MAX_FILES:
        raise SourceError(f"{len(places)} files match, more than {MAX_FILES}: give a narrower path")
    return places


def _matched(params: Params) -> tuple[dict[str, str], list[str]]:
    """Path or URL of each file by its name, sorted; and the patterns that match nothing.

    A name is the path below the folder that all the card's paths share, up to where a pattern
    begins: another file that a pattern matches renames none.
    """
    patterns = [params.path] if isinstance(params.path, str) else params.path
    expanded = {pattern: _expand(params, pattern) for pattern in patterns}
    places = {place for _, found in expanded.values() for place in found}
    shared = addresses.shared_folder([folder for folder, _ in expanded.values()])
    missing = [pattern for pattern, (_, found) in expanded.items() if not found]
    return {place.removeprefix(shared): place for place in sorted(places)}, missing


def _expand(params: Params, pattern: str) -> tuple[str, list[str]]:
    """The files that a path, glob or URL names, of a folder those right inside it; and the folder.

    Of a glob, that is the folder that its first wildcard stands in.
    """
    if pattern.startswith(BUNDLED):
        pattern = str(_PACKAGE / pattern)
    try:
        told = addresses.options(pattern, params.hosts, params.redirects)
        fs, path = fsspec.core.url_to_fs(pattern, **told)
        fixed = _WILDCARD.split(path)[0]
        outer = [path] if fixed == path else fs.glob(path)
        found = [inner for each in outer for inner in _files(fs, each)]
    except addresses.errors() as error:
        raise SourceError(f"{pattern} cannot be listed: {type(error).__name__}: {error}") from None
    is_folder = fixed == path and found != [path]
    folder = f"{path.rstrip('/')}/" if is_folder else fixed[: fixed.rfind("/") + 1]
    local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
    named = [folder, *found] if local else [fs.unstrip_protocol(each) for each in (folder, *found)]
    return named[0], named[1:]


def _files(fs: fsspec.AbstractFileSystem, path: str) -> list[str]:
    if not fs.isdir(path):
        return [path] if fs.exists(path) else []
    return [item["name"] for item in fs.ls(path, detail=True) if item["type"] == "file"]


def _all_hashed(params: Params, copies: Mapping[str, str | None]) -> Iterator[tuple[str, int]]:
    """Sha256 and size of files in order, each copied if it has a place for that; several at once.

    hashlib and the reading let other threads run, so that a gigabyte does not wait for one core.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda each: _hashed(params, *each), copies.items())


def _hashed(params: Params, place: str, copy: str | None = None) -> tuple[str, int]:
    """Sha256 and size of a file, copying it on the way."""
    digest = hashlib.sha256()
    size = 0
    out = Path(copy).open("wb") if copy else None  # noqa: SIM115 - closed below
    try:
        told = addresses.options(place, params.hosts, params.redirects)
        with fsspec.open(place, "rb", compression=None, **told) as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
                size += len(chunk)
                if out:
                    out.write(chunk)
    except addresses.errors() as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(f"{place} cannot be read: {reason}") from None
    finally:
        if out:
            out.close()
    return digest.hexdigest(), size


splits = read_files.splits
read = read_files.read
