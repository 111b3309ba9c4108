"""What paths, globs and URLs name: bundled files, web addresses, a user's own files and stores.

Nothing else is opened: of fsspec's protocols those of object stores alone, and no chain of them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Literal

import fsspec
from fsspec.utils import glob_translate

from phloem.catalog.withheld import masked
from phloem.sources.connector import SourceError, WrongError
from phloem.sources.formats.folders import chosen, is_beside, leading_nowhere, listed, walk
from phloem.sources.web import addresses

BUNDLED = "bundled/"
"""What begins the path of a file that comes with the project."""

STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")
"""Protocols of object stores, where a user's own files may lie."""

Kind = Literal["bundled", "web", "store", "machine"]

_PACKAGE = Path(__file__).parent.parent
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # one letter is a drive's
_SYSTEM = ("/proc/", "/sys/")  # what the kernel tells of itself: files that hold no data
_WILDCARD = re.compile(r"[*?[]")
_NAMED = re.compile(r"(^|/)[._]")  # a pattern that asks for hidden files or folders itself


@dataclass(frozen=True)
class Place:
    """Where a file lies.

    Attributes:
        path: As its file system knows it.
        url: For people and for the record; None for a file of this machine.
        fs: What opens it; None for a file of this machine, and for a web address.
    """

    path: str
    url: str | None
    fs: fsspec.AbstractFileSystem | None

    @property
    def is_web(self) -> bool:
        """Whether it is a web address."""
        return self.url is not None and self.fs is None

    @property
    def shown(self) -> str:
        """Its path or URL."""
        return self.url or self.path

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Its bytes, as they lie there; a web address is brought by `web.download`."""
        return self.fs.open(self.path, "rb") if self.fs else Path(self.path).open("rb")


@dataclass(frozen=True)
class Found:
    """What some paths name.

    Attributes:
        places: Of each file, by its name; sorted.
        passed: Paths or URLs of what stands beside data in folders, and was passed over.
        missing: The paths that name nothing.
    """

    places: Mapping[str, Place]
    passed: Sequence[str]
    missing: Sequence[str]

    def told(self) -> str:
        """What was passed over, as a line for a person."""
        shared = addresses.shared_folder(self.passed)
        names = [each.removeprefix(shared) for each in self.passed]
        return f"passed over in {shared}: {listed(names)}".replace("\n", "\\n")


@dataclass(frozen=True)
class _Named:
    """What one path names.

    Attributes:
        folder: That its files' names begin below, as people know it.
        places: The files.
        passed: Paths or URLs of what was passed over.
    """

    folder: str
    places: Sequence[Place] = ()
    passed: Sequence[str] = ()


def kind_of(path: str) -> Kind | None:
    """What a path names; None for another protocol, or a chain of them, which nothing opens."""
    if path.startswith(BUNDLED):
        return "bundled"
    if path.lower().startswith(addresses.WEB):
        return "web"
    protocol = _PROTOCOL.match(path)
    if protocol is None or os.path.lexists(path):
        return "machine"
    if "::" in path:
        return None
    if protocol[1] in STORES and path[protocol.end() :].startswith("//"):
        return "store"
    return "machine" if protocol[1] == "file" else None


def barred(path: str, *, is_own: bool) -> str | None:
    """Why a card may not open a path; None if it may. Nothing is opened to find out.

    Args:
        path: As the card has it.
        is_own: Whether the card is a user's own: only those name a user's files.
    """
    kind, shown = kind_of(path), masked(path)
    if "\0" in path:
        return f"{shown!r} holds a zero byte; no file is called so"
    if kind == "bundled":
        leaves = ".." in path.split("/")
        return f"{shown} leaves the folder {BUNDLED}; name a file in it" if leaves else None
    if kind == "web":
        return addresses.fault(path) or _web_fault(path, is_own=is_own)
    if kind is None:
        known = ", ".join(f"{each}://" for each in ("https", *STORES))
        return f"{shown} is by a protocol that is not read, or a chain of them; there are {known}"
    if is_own:
        return None
    return (
        f"{shown} is a user's own file: a card of the registry reads {BUNDLED}… and https"
        " addresses; one in a workspace (phloem.toml) reads what its user can"
    )


def _web_fault(url: str, *, is_own: bool) -> str | None:
    if "*" in url:
        return f"{url} is no pattern: a web address is one file; give each"
    if not is_own and not url.lower().startswith("https:"):
        return f"{url} is no https address, and a card of the registry reads no other by files"
    return None


def find(paths: Sequence[str]) -> Found:
    """The files that paths, globs and URLs name; of a folder all below it that hold data.

    A file's name is its path below the folder that all the paths share, up to where a pattern
    begins: another file that a pattern matches renames none. A web address stands there without its
    query, unless that tells two files apart.

    Args:
        paths: A path that is there is read as it is, whatever stands in it; any other is a glob or
            a URL.

    Raises:
        WrongError: a path is barred to everybody.
        SourceError: one cannot be listed, or is empty.
    """
    if not all(path.strip() for path in paths):
        raise SourceError("a path is empty; give a path, glob or URL")
    for fault in filter(None, (barred(path, is_own=True) for path in paths)):
        raise WrongError(fault)
    named = {path: _named(path) for path in paths}
    places = {place.shown: place for each in named.values() for place in each.places}
    shared = addresses.shared_folder([each.folder for each in named.values()])
    whole = {shown.removeprefix(shared): places[shown] for shown in sorted(places)}
    plain = {_plain(name, place): place for name, place in whole.items()}
    return Found(
        plain if len(plain) == len(whole) else whole,
        sorted({passed for each in named.values() for passed in each.passed}),
        [path for path, each in named.items() if not each.places],
    )


def _plain(name: str, place: Place) -> str:
    """A name without an address's query."""
    return name.partition("?")[0] if place.is_web else name


def why(error: BaseException) -> str:
    """Why a file system could not do something, in a line, without credentials."""
    while error.__cause__:  # some say only that there is no such file
        error = error.__cause__
    said = getattr(error, "strerror", None) or str(error)
    first = next(iter(said.strip().splitlines()), "")
    kind = type(error).__name__
    return masked(f"{kind}: {first}" if first else kind)


def _named(path: str) -> _Named:
    kind = kind_of(path)
    if kind == "bundled":
        return _bundled(path)
    if kind == "web":  # whether it is there is seen when it is read
        return _Named(path[: path.rfind("/") + 1], [Place(path, path, None)])
    if kind == "machine":
        given = Path(path) if os.path.lexists(path) else _of_url(path)
        return _local(os.path.normpath(given.absolute()))
    try:
        return _elsewhere(*fsspec.core.url_to_fs(path))
    except SourceError:
        raise
    # For want of credentials, a network or a client each file system has errors of its own.
    except Exception as error:  # noqa: BLE001
        raise SourceError(f"{masked(path)} cannot be listed: {why(error)}") from None


def _of_url(path: str) -> Path:
    """A path, without the `file:` or `file://` before it, and with the home that ~ stands for."""
    inner = path.removeprefix("file:")
    bare = Path(path if inner == path else inner.removeprefix("//"))
    try:
        return bare.expanduser()
    except RuntimeError:  # of nobody's home
        return bare


def _bundled(path: str) -> _Named:
    """What a path or glob in the folder `bundled` names. Raises WrongError for a link out of it."""
    inside = (_PACKAGE / BUNDLED).resolve()
    found = _local(str(_PACKAGE / path))
    for place in found.places:
        if not Path(place.path).resolve().is_relative_to(inside):
            raise WrongError(f"{path} leads out of the folder {BUNDLED}; put the file itself there")
    return found


def _local(path: str) -> _Named:
    """What a path or glob of this machine names."""
    there = next(str(each) for each in (Path(path), *Path(path).parents) if os.path.lexists(each))
    _require_held(there)
    fixed = there + _WILDCARD.split(path[len(there) :])[0]
    is_folder = there == path and Path(path).is_dir()
    folder = f"{path.rstrip('/')}/" if is_folder else fixed[: fixed.rfind("/") + 1]
    outer, passed = [path], list[str]()
    try:
        if fixed == path:
            Path(path).lstat()
        else:
            outer, passed = _globbed(folder, path[len(folder) :].rstrip("/"))
        found = []
        for each in outer:
            inner, beside = _below(each) if Path(each).is_dir() else ([_regular(each)], [])
            found += inner
            passed += beside
    except (FileNotFoundError, NotADirectoryError):
        return _Named(folder)
    except OSError as error:
        raise SourceError(f"{path} cannot be listed: {why(error)}") from None
    return _Named(folder, [Place(each, None, None) for each in dict.fromkeys(found)], passed)


def _regular(path: str) -> str:
    """A path. Raises SourceError unless it is that of a file that can be read twice."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise SourceError(f"{path} leads nowhere: {why(error)}") from None
    if not stat.S_ISREG(mode):
        raise SourceError(f"{path} is no file but a pipe or device; write it to a file first")
    _require_held(path)
    return path


def _require_held(path: str) -> None:
    """Raise SourceError for a path whose files are no data that lies anywhere."""
    if f"{os.path.realpath(path)}/".startswith(_SYSTEM):
        raise SourceError(f"{path} is what the system tells of itself; write it to a file first")


def _below(folder: str) -> tuple[list[str], list[str]]:
    """Paths of the files below a folder of this machine, and of what is passed over."""
    _require_held(folder)
    found = walk(folder)
    if found.lost:
        raise SourceError(f"{folder}: {leading_nowhere(found.lost)}")
    kept, passed = chosen(folder, found.files, lambda name: Path(folder, name).read_bytes())
    return [f"{folder.rstrip('/')}/{name}" for name in kept], [
        f"{folder.rstrip('/')}/{name}" for name in (*passed, *found.passed)
    ]


def _globbed(folder: str, pattern: str) -> tuple[list[str], list[str]]:
    """Paths of files and folders that a glob names below a folder, and of what is passed over.

    fsspec's own would pass over a folder that may not be listed, and follow links in a circle.

    Raises:
        OSError: a folder cannot be listed.
        SourceError: it is no pattern.
    """
    if "**" in pattern:
        try:
            matches = re.compile(glob_translate(pattern)).match
        except (ValueError, re.error) as error:
            raise SourceError(f"{folder}{pattern} is no pattern: {error}") from None
        walked = walk(folder)
        if lost := list(filter(matches, walked.lost)):
            raise SourceError(f"{folder}: {leading_nowhere(lost)}")
        names = list(filter(matches, walked.files))
    else:
        names = list(_matching(folder, "", pattern.split("/")))
    beside = [name for name in names if is_beside(name) and not _NAMED.search(pattern)]
    passed = set(beside)
    kept = [name for name in names if name not in passed]
    return [f"{folder}{name}" for name in kept], [f"{folder}{name}" for name in beside]


def _matching(top: str, folder: str, parts: Sequence[str]) -> Iterator[str]:
    """Names below `top` of what in `folder` matches a glob, given level by level."""
    first, *rest = parts
    with os.scandir(f"{top}{folder}") as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        if not fnmatchcase(entry.name, first):
            continue
        if not rest:
            yield f"{folder}{entry.name}"
        elif entry.is_dir():
            yield from _matching(top, f"{folder}{entry.name}/", rest)


def _elsewhere(fs: fsspec.AbstractFileSystem, path: str) -> _Named:
    """What a path or glob of an object store names."""
    shown = fs.unstrip_protocol
    wildcard = _WILDCARD.search(path)
    parent = path[: path.rfind("/") + 1]
    if not wildcard or fs.exists(path):
        try:
            is_folder = fs.info(path)["type"] == "directory"
        except FileNotFoundError:
            return _Named(shown(path))
        found, passed = _found_in(fs, path) if is_folder else ([path], [])
        folder = f"{path.rstrip('/')}/" if is_folder else parent
    else:
        folder = path[: path.rfind("/", 0, wildcard.start()) + 1]
        asked = path[len(folder) :]
        globbed = sorted(fs.glob(path))
        named = _NAMED.search(asked)
        passed = [each for each in globbed if not named and is_beside(each.removeprefix(folder))]
        found = []
        for each in globbed:
            if each not in passed:
                inner, beside = _found_in(fs, each) if fs.isdir(each) else ([each], [])
                found += inner
                passed += beside
    places = [Place(each, shown(each), fs) for each in dict.fromkeys(found)]
    return _Named(shown(folder), places, [shown(each) for each in passed])


def _found_in(fs: fsspec.AbstractFileSystem, folder: str) -> tuple[list[str], list[str]]:
    """Paths of the files in a folder of a file system, and of what is passed over."""
    start = f"{folder.rstrip('/')}/" if folder else ""
    names = [each.removeprefix(start) for each in fs.find(folder) if not each.endswith("/")]
    kept, passed = chosen(folder, names, lambda name: fs.cat_file(f"{start}{name}"))
    return [f"{start}{name}" for name in kept], [f"{start}{name}" for name in passed]
