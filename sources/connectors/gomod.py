"""Go modules from a proxy, read as archives: nothing is built and no version control runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from phloem.sources.clients.clients import complaint, needs, run_client
from phloem.sources.clients.packages import (
    LOCK,
    below,
    fetch_each,
    foreign_each,
    read_members,
    resolve_each,
    served_each,
    told,
    zip_splits,
)
from phloem.sources.clients.standing import Served
from phloem.sources.connector import GoneError, SourceError, from_index
from phloem.sources.formats.archives import Member, Packages, zip_members
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")

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


def _download(package: str, version: str | None, folder: Path) -> tuple[Path, str]:
    """One module. Raises GoneError and SourceError."""
    cache = folder / "cache"
    # Else go takes what a module says that a folder above this one belongs to.
    (folder / "go.mod").write_text("module phloem\n", encoding="utf-8")
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


def _ask(package: str, version: str, is_free: bool, folder: Path) -> Served:
    """What the proxy tells of a version: not the sha256, but a checksum database keeps them."""
    cache = folder / "gomod"  # of its own, as what the user's holds was served once
    cache.mkdir(exist_ok=True)
    (cache / "go.mod").write_text("module phloem\n", encoding="utf-8")
    environment = {**_ENVIRONMENT, "GOMODCACHE": str(cache / "cache"), "GOPROXY": _proxies(cache)}

    def listed(*asked: str) -> subprocess.CompletedProcess[str]:
        return run_client(["go", "list", "-m", *asked], cache, environment)

    done = listed("-json", "--", f"{package}@{version}")
    if done.returncode:
        versions = listed("-versions", "-f", '{{join .Versions " "}}', "--", package)
        raise _refusal(package, version, done.stderr, versions.stdout.split())
    newest = str(_said(listed("-json", "--", f"{package}@latest").stdout).get("Version", ""))
    return Served(newest=newest if is_free and newest not in {"", version} else None)


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


def _members(name: str, path: str, _limits: Limits) -> Iterator[Member]:
    """The files of a module: all lie in a folder `MODULE@VERSION`, which is taken off."""
    return below(zip_members(path), "@".join(told(Params.naming, name, _ENDING)))


reach = from_index
unavailable = needs("go", "a Go module", "install Go")
resolve = partial(resolve_each, download=_download, ending=_ENDING)
foreign = partial(foreign_each, ending=_ENDING)
fetch = partial(fetch_each, download=_download, ending=_ENDING)
served = partial(served_each, told=partial(told, Params.naming, ending=_ENDING), ask=_ask)
splits = partial(zip_splits, members=_members, ending=_ENDING)
read = partial(read_members, members=_members)
