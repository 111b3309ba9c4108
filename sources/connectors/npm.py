"""Packages of an npm registry, read as archives: nothing is installed and no script runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from phloem.sources.clients.clients import needs, run_client
from phloem.sources.clients.packages import (
    LOCK,
    fetch_each,
    foreign_each,
    read_members,
    resolve_each,
    served_each,
    tar_splits,
    tarball,
    told,
)
from phloem.sources.clients.standing import Served
from phloem.sources.connector import GoneError, SourceError, from_index
from phloem.sources.formats.archives import Member, Packages
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")

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


def _ask(package: str, version: str, is_free: bool, folder: Path) -> Served:
    """What the registry tells of a version: not the sha256, but no version is published twice."""
    done = _npm(["view", "--json", "--", package, "versions", "dist-tags.latest"], folder)
    if done.returncode:
        code = _CODE.search(done.stderr)
        if code and code[1] == "E404":
            raise GoneError(f"the registry has no package {package}")
        reason = code[1] if code else "it gave no reason"
        raise SourceError(f"npm could not ask for {package}: {reason}")
    try:
        said: Any = json.loads(done.stdout)
        versions, latest = said["versions"], str(said["dist-tags.latest"])
    except (ValueError, LookupError, TypeError):
        raise SourceError(f"npm tells of {package} in a form of its own") from None
    if version not in ([versions] if isinstance(versions, str) else versions):
        raise GoneError(f"{package} {version} is no longer served; {latest} is; {LOCK}")
    return Served(newest=latest if is_free and latest != version else None)


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


def _members(_name: str, path: str, limits: Limits) -> Iterator[Member]:
    """The files of a package: as npm does, the folder that all lie in is taken off."""
    return tarball(path, limits)  # ``package/`` in most


reach = from_index
unavailable = needs("npm", "an npm package", "install Node.js with npm")
resolve = partial(resolve_each, download=_download, ending=_ENDING)
foreign = partial(foreign_each, ending=_ENDING)
fetch = partial(fetch_each, download=_download, ending=_ENDING)
served = partial(served_each, told=partial(told, Params.naming, ending=_ENDING), ask=_ask)
splits = partial(tar_splits, ending=_ENDING)
read = partial(read_members, members=_members)
