"""Packages of an npm registry, read as archives: nothing is installed and no script runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from phloem.sources.clients.clients import run_client
from phloem.sources.clients.packages import (
    LOCK,
    fetch_each,
    packages_of,
    read_part,
    resolve_each,
    tar_splits,
    tarball,
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
from phloem.sources.formats.archives import Packages
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import batches

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("zstandard",)

_ENDING = ".tgz"
_ENVIRONMENT = {
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "npm_config_logs_max": "0",
    "npm_config_fetch_retries": "2",
    "npm_config_fetch_timeout": "60000",  # milliseconds
}
_CODE = re.compile(r"^npm (?:error|ERR!) code (\w+)$", re.MULTILINE)  # npm 10 says ERR!, 11 error


class Params(Packages):
    """Which packages, and which of their members; names may have a scope: ``@babel/parser``."""

    naming: ClassVar[Naming] = Naming(
        # npm takes a name that ends like a tar archive for a file.
        name=r"(?!.*\.(tgz|tar|tar\.gz)$)(@[A-Za-z0-9][A-Za-z0-9._~-]*/)?"
        r"[A-Za-z0-9][A-Za-z0-9._~-]{0,213}",
        version=r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?",
        standard="npm's validate-npm-package-name and Semantic Versioning 2.0.0",
    )


def reach(params: Params) -> Reach:
    """A package index."""
    del params
    return "index"


def unavailable(params: Params) -> str | None:
    """Why this machine cannot fetch: npm is missing."""
    del params
    if shutil.which("npm"):
        return None
    return "npm is missing: this source is an npm package; install Node.js with npm"


def resolve(params: Params) -> Pin:
    """What the registry serves now, of the versions that the card names or the newest.

    Raises SourceError for a package that it does not serve.
    """
    return resolve_each(params, _download, _ENDING)


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned packages into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        SourceError: other bytes are served under its name, or npm cannot fetch.
    """
    return fetch_each(params.naming, pin, folder, _download, _ENDING)


def _download(package: str, version: str | None, folder: Path) -> tuple[Path, str]:
    """One package as the registry has it. Raises GoneError and SourceError."""
    # Else npm takes the settings of a project that a folder above this one belongs to.
    (folder / "package.json").write_text("{}", encoding="utf-8")
    asked = f"{package}@{version or 'latest'}"
    done = _npm(["pack", "--json", "--", asked], folder)
    found = sorted(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        raise _refusal(package, version, done.stderr, folder)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    return found[0], version or _version(done.stdout)


def _npm(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run npm with a cache of its own, so that a package's bytes are those that are served now."""
    environment = {**_ENVIRONMENT, "npm_config_cache": str(folder / "cache")}
    return run_client(["npm", "--ignore-scripts", *arguments], folder, environment)


def _version(output: str) -> str:
    """The version that `npm pack --json` says it packed; empty if it says none."""
    try:
        said: Any = json.loads(output)
        return str(said[0]["version"])
    except (ValueError, LookupError, TypeError):
        return ""


def _refusal(package: str, version: str | None, output: str, folder: Path) -> SourceError:
    """What to say of a download that failed."""
    code = _CODE.search(output)
    if code and code[1] == "E404":
        return SourceError(f"the registry has no package {package}, or it is not public")
    if version and code and code[1] == "ETARGET":
        now = _npm(["view", "--", package, "version"], folder).stdout.strip()
        served = f"{now} is" if re.fullmatch(Params.naming.version, now) else "others are"
        return GoneError(f"{package} {version} is no longer served; {served}; {LOCK}")
    reason = code[1] if code else "it gave no reason"
    return SourceError(f"npm could not fetch {package}: {reason}")


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a package; a large one gives each split every n-th of its members."""
    del files
    named = packages_of(params, pin, _ENDING)
    return [split for file, package in named for split in tar_splits(file, package)]


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The wanted members of a package; native ids are `package/path`, without the version.

    As npm does, the folder that all members lie in is taken off: ``package/`` in most.
    """
    members = tarball(files[split.spec["file"]], limits)
    yield from batches(read_part(params, split, files, limits, members))
