"""Crates of a Rust registry, read as archives: nothing is compiled and no build script runs.

`cargo info` brings the archive of one crate, checked against the registry's index, and none of what
it depends on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from phloem.sources.clients.clients import complaint, refusal, run_client
from phloem.sources.clients.packages import (
    LOCK,
    fetch_each,
    foreign_each,
    read_members,
    resolve_each,
    tar_splits,
    tarball,
    told,
)
from phloem.sources.connector import GoneError, SourceError, from_index
from phloem.sources.formats.archives import Member, Packages
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")

_ENDING = ".crate"
_SETTINGS = ("config", "config.toml", "credentials", "credentials.toml")
_SERVED = re.compile(r"^version: \S+ \(latest (\S+)\)|^version: (\S+)", re.MULTILINE)


class Params(Packages):
    """Which crates, and which of their members."""

    naming: ClassVar[Naming] = Naming(
        name=r"[A-Za-z][A-Za-z0-9_-]{0,63}",
        version=r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?",
        standard="the Cargo book on package names and Semantic Versioning 2.0.0",
    )


def unavailable(params: Params) -> str | None:
    """Why this machine cannot fetch: cargo is missing, or rustup stands in for one that is."""
    if not shutil.which("cargo"):
        return "cargo is missing: this source is a Rust crate; install Rust 1.82 or newer"
    reason = refusal(["cargo", "--version"])
    if reason:
        return f"cargo does not run here: {reason}; install Rust 1.82 or newer"
    return None


def _download(package: str, version: str | None, folder: Path) -> tuple[Path, str]:
    """One crate. Raises GoneError and SourceError."""
    done = _cargo(f"{package}@{version}" if version else package, folder)
    found = sorted(folder.glob(f"home/registry/cache/*/{package}-*.crate"))
    if done.returncode or len(found) != 1:
        raise _refusal(package, version, done.stderr, folder)
    path = found[0].rename(folder / found[0].name)
    shutil.rmtree(folder / "home", ignore_errors=True)
    return path, path.name.removeprefix(f"{package}-").removesuffix(_ENDING)


def _cargo(asked: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`cargo info` with a home of its own, but the user's registries and credentials."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    own = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()
    for name in _SETTINGS:
        if (own / name).is_file() and not (home / name).exists():
            (home / name).symlink_to(own / name)
    # Named, for else cargo refuses where the user's settings put a mirror in its place.
    options = ("--registry=crates-io", "--quiet", "--color=never")
    settings = {"CARGO_HOME": str(home), "CARGO_NET_RETRY": "2"}
    command = ["cargo", "info", *options, "--", asked]
    # It takes settings, and rustup a toolchain to run, from any folder above the one it runs in: of
    # those above a temporary one others of this machine may write to some.
    return run_client(command, folder, settings, runs_in=Path(folder.anchor))


def _refusal(package: str, version: str | None, output: str, folder: Path) -> SourceError:
    """What to say of a download that failed."""
    if "no such command" in output:
        return SourceError("cargo is older than 1.82, which brings `cargo info`; install a newer")
    if "could not find" not in output:
        reason = complaint(output, "error: ")
        return SourceError(f"cargo could not fetch {package}: {reason}")
    served = _SERVED.search(_cargo(package, folder).stdout) if version else None
    if served is None:
        return SourceError(f"the registry has no crate {package}")
    now = served[1] or served[2]
    return GoneError(f"{package} {version} is no longer served; {now} is; {LOCK}")


def _members(name: str, path: str, limits: Limits) -> Iterator[Member]:
    """The files of a crate: all lie in a folder `NAME-VERSION`, which is taken off."""
    return tarball(path, limits, "-".join(told(Params.naming, name, _ENDING)))


reach = from_index
resolve = partial(resolve_each, download=_download, ending=_ENDING)
foreign = partial(foreign_each, ending=_ENDING)
fetch = partial(fetch_each, download=_download, ending=_ENDING)
splits = partial(tar_splits, ending=_ENDING)
read = partial(read_members, members=_members)
