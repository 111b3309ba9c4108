"""Go modules from a proxy, read as archives: nothing is built and no version control runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from phloem.sources.clients.clients import complaint, run_client
from phloem.sources.clients.packages import (
    LOCK,
    below,
    fetch_each,
    packages_of,
    read_part,
    resolve_each,
    told,
    zip_splits,
)
from phloem.sources.connector import (
    Batches,
    Files,
    GoneError,
    Pin,
    Reach,
    SourceError,
    Split,
)
from phloem.sources.formats.archives import Member, Packages, zip_members
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import batches

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("zstandard",)

_ENDING = ".zip"
_ENVIRONMENT = {
    "GOFLAGS": "-mod=mod -modcacherw",  # else the cache is read-only, and stays
    "GOTOOLCHAIN": "local",  # a module may ask for another, which would be fetched and run
    "GOVCS": "*:off",
    "GONOPROXY": "none",
    "GOWORK": "off",
}
_ABSENT = ("404 Not Found", "410 Gone", "403 Forbidden", "unknown revision", "no matching versions")


class Params(Packages):
    """Which modules, and which of their files; a name is a module path: ``golang.org/x/text``."""

    naming: ClassVar[Naming] = Naming(
        name=r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)+"
        r"(/[A-Za-z0-9_~]([A-Za-z0-9._~-]*[A-Za-z0-9_~-])?)*",
        version=r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+incompatible)?",
        standard="the Go Modules Reference on module paths and versions",
    )


def reach(params: Params) -> Reach:
    """A package index: a module proxy."""
    del params
    return "index"


def unavailable(params: Params) -> str | None:
    """Why this machine cannot fetch: go is missing."""
    del params
    if shutil.which("go"):
        return None
    return "go is missing: this source is a Go module; install Go"


def resolve(params: Params) -> Pin:
    """What the proxy serves now, of the versions that the card names or the newest.

    Raises SourceError for a module that it does not serve.
    """
    return resolve_each(params, _download, _ENDING)


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned modules into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        SourceError: other bytes are served under its name, or go cannot fetch.
    """
    return fetch_each(params.naming, pin, folder, _download, _ENDING)


def _download(package: str, version: str | None, folder: Path) -> tuple[Path, str]:
    """One module. Raises GoneError and SourceError."""
    cache = folder / "cache"
    environment = {**_ENVIRONMENT, "GOMODCACHE": str(cache), "GOPROXY": _proxies(folder)}
    asked = f"{package}@{version or 'latest'}"
    done = run_client(["go", "mod", "download", "-json", "--", asked], folder, environment)
    said = _said(done.stdout)
    if "Zip" not in said:
        reason = str(said.get("Error", "")) or complaint(done.stderr, "go: ")
        listed = ["go", "list", "-m", "-versions", "-f", '{{join .Versions " "}}', "--", package]
        served = run_client(listed, folder, environment).stdout.split()
        raise _refusal(package, version, reason, served)
    path = Path(said["Zip"]).rename(folder / "module.zip")
    shutil.rmtree(cache, ignore_errors=True)
    return path, str(said["Version"])


def _said(output: str) -> dict[str, Any]:
    """The JSON object that `go mod download` prints; empty if it prints none."""
    try:
        said = json.loads(output)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _proxies(folder: Path) -> str:
    """The user's proxies without ``direct``, which would ask whatever host a module path names.

    Raises SourceError if none is left.
    """
    set_to = run_client(["go", "env", "GOPROXY"], folder, _ENVIRONMENT).stdout.strip()
    proxies = [part for part in re.split(r"[,|]", set_to) if part not in {"", "direct", "off"}]
    if not proxies:
        msg = f"GOPROXY is {set_to or 'empty'} here, and names no proxy to ask; set it to one"
        raise SourceError(msg)
    return ",".join(proxies)


def _refusal(package: str, version: str | None, reason: str, served: list[str]) -> SourceError:
    """What to say of a download that failed."""
    if version and served and any(mark in reason for mark in _ABSENT):
        return GoneError(f"{package} {version} is no longer served; {served[-1]} is; {LOCK}")
    first = complaint(f"x{reason.splitlines()[0] if reason else ''}", "x")
    return SourceError(f"go could not fetch {package}: {first}")


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a module; large ones in ranges of files that hold about 32 MiB each."""
    named = packages_of(params, pin, _ENDING)
    parts = [(file, package, _members(params, file.name, files)) for file, package in named]
    return [split for part in parts for split in zip_splits(params, *part)]


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The wanted files of a module; native ids are `module path/path`, without the version.

    All lie in a folder `MODULE@VERSION`, which is taken off.
    """
    members = _members(params, split.spec["file"], files)
    yield from batches(read_part(params, split, files, limits, members))


def _members(params: Params, name: str, files: Files) -> Iterator[Member]:
    return below(zip_members(files[name]), "@".join(told(params.naming, name, _ENDING)))
