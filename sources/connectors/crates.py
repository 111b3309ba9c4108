"""Crates of a Rust registry, read as archives: nothing is compiled and no build script runs.

`cargo info` brings the archive of one crate, checked against the registry's index, and none of what
it depends on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from phloem.sources.clients.clients import complaint, refusal, run_client
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

_ENDING = ".crate"
_SETTINGS = ("config", "config.toml", "credentials", "credentials.toml")
_NO_VERSION = ("no matching package", "failed to select a version")
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
    # Named, for else cargo refuses where the user's settings put a mirror in its place.
    options = ("--registry=crates-io", "--quiet", "--color=never")
    return _run(["info", *options, "--", asked], folder)


def _run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run cargo with a home of its own, but the user's registries and credentials."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    own = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()
    for name in _SETTINGS:
        if (own / name).is_file() and not (home / name).exists():
            (home / name).symlink_to(own / name)
    settings = {"CARGO_HOME": str(home), "CARGO_NET_RETRY": "2"}
    # It takes settings, and rustup a toolchain to run, from any folder above the one it runs in: of
    # those above a temporary one others of this machine may write to some.
    return run_client(["cargo", *arguments], folder, settings, runs_in=Path(folder.anchor))


_ASKING = """\
[package]
name = "phloem-asks"
version = "0.0.0"
edition = "2021"
[dependencies]
"{package}" = "{version}"
[workspace]
"""


def _ask(package: str, version: str, is_free: bool, folder: Path) -> Served:
    """The sha256 that the index has of a version: cargo writes it when it resolves a dependency."""
    sha256 = _indexed(package, f"={version}", folder).get(version)
    if sha256 is None:
        raise SourceError(f"cargo names no checksum of {package} {version}")
    newest = next(reversed(_indexed(package, "*", folder)), version) if is_free else version
    return Served(sha256, newest=newest if newest != version else None)


def _indexed(package: str, wanted: str, folder: Path) -> dict[str, str]:
    """The checksum of the versions of a crate that a package which needs it would be given."""
    room = folder / "crates"
    (room / "src").mkdir(parents=True, exist_ok=True)
    (room / "src" / "lib.rs").touch()
    (room / "Cargo.lock").unlink(missing_ok=True)
    said = _ASKING.format(package=package, version=wanted)
    (room / "Cargo.toml").write_text(said, encoding="utf-8")
    manifest = f"--manifest-path={room / 'Cargo.toml'}"
    done = _run(["generate-lockfile", "--quiet", "--color=never", manifest], room)
    if done.returncode:
        if any(mark in done.stderr for mark in _NO_VERSION):
            raise GoneError(f"the registry serves no {package} {wanted.lstrip('=')}; {LOCK}")
        reason = complaint(done.stderr, "error: ")
        raise SourceError(f"cargo could not ask for {package}: {reason}")
    locked: Any = tomllib.loads((room / "Cargo.lock").read_text("utf-8"))
    return {
        each["version"]: each["checksum"]
        for each in locked.get("package", ())
        if each["name"] == package and "checksum" in each
    }


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
served = partial(served_each, told=partial(told, Params.naming, ending=_ENDING), ask=_ask)
splits = partial(tar_splits, ending=_ENDING)
read = partial(read_members, members=_members)
