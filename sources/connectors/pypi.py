"""Wheels from a Python package index, read as archives and never installed.

Only wheels are taken: an sdist's build backend would run code of the package while it is fetched.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.utils import canonicalize_version as canonical

from phloem.sources import progress
from phloem.sources.clients.clients import check, complaint, pinned, run_client
from phloem.sources.clients.packages import LOCK, foreign_packages, pin_of, served_each
from phloem.sources.clients.standing import Served, Told
from phloem.sources.connector import (
    Batches,
    Files,
    GoneError,
    Pin,
    SourceError,
    Split,
    WrongError,
    from_index,
    numbered,
    refuse,
)
from phloem.sources.formats.archives import (
    SPLIT_BYTES,
    Packages,
    Wanted,
    ranges,
    records_of,
    zip_members,
)
from phloem.sources.formats.read_plain import parted
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import batches

_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--ignore-requires-python",  # nothing is installed: any interpreter can read it
    # The same wheel on every machine: pure Python, no platform, no ABI.
    "--platform=any",
    "--implementation=py",
    "--abi=none",
    "--no-input",
    "--retries=2",
    "--timeout=20",  # seconds without a byte, not for the whole file
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--quiet",
)
_OF_DOWNLOADS = frozenset({"--no-deps", "--progress-bar", "--quiet"})
_UNREACHED = ("connection broken", "Could not fetch URL")
_LISTED = re.compile(r"^Available versions: (.+)$", re.MULTILINE)
_WHEEL = re.compile(r"[A-Za-z0-9._!+-]+")  # what `packaging` takes for one may hold other letters
_SERVED = re.compile(r"from versions: ([^)]*)\)")


VERSION = 3  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")


class Params(Packages):
    """Which packages, and which of their members."""

    naming: ClassVar[Naming] = Naming(
        name=r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        version=r"[A-Za-z0-9]([A-Za-z0-9.!+_-]*[A-Za-z0-9])?",
        standard="PEP 508 and PEP 440",
    )


def _client() -> list[str] | None:
    """The command that runs pip: this interpreter's, else one on the path."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    return [found] if found else None


reach = from_index


def unavailable(params: Params) -> str | None:
    """Why this machine cannot fetch: pip is missing."""
    if _client():
        return None
    return f"pip is missing: neither {sys.executable} has it nor is it on PATH; install pip"


def resolve(params: Params) -> Pin:
    """What the index serves now, of the versions that the card names or the newest.

    Raises SourceError for a package that it does not serve as a pure Python wheel.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        files = [
            pinned(_download(package, params.of(package).version, Path(name)))
            for package in params.packages
        ]
    return pin_of([(_package(file.name), _version(file.name), file) for file in files])


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned wheels of a package or version that the card does not name, and what has none."""
    return foreign_packages(params, pin, lambda wheel: _told(params, wheel))


def _told(params: Params, wheel: str) -> tuple[str, str]:
    """A wheel's package and version, as the card spells them. Raises WrongError."""
    try:
        _, version, _, _ = parse_wheel_filename(wheel if _WHEEL.fullmatch(wheel) else "")
    except InvalidWheelFilename:
        raise WrongError(f"{wheel!r} is no wheel's file name (PEP 427)") from None
    package = _declared(params, _package(wheel))
    asked = params.of(package).version
    return package, asked if asked and canonical(asked) == canonical(str(version)) else str(version)


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned wheels into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        SourceError: other bytes are served under its name, or the index cannot be reached.
    """
    refuse(foreign(params, pin))
    files = {}
    for file in pin.files:
        path = _download(_package(file.name), _version(file.name), folder)
        if path.name != file.name:
            raise GoneError(f"{file.name} is locked, but the index serves {path.name}; {LOCK}")
        files[file.name] = check(path, file)
    return files


def _download(package: str, version: str | None, folder: Path) -> Path:
    """One wheel in a folder of its own. Raises GoneError and SourceError."""
    Params.naming.require(package, version)
    client = _client()
    if client is None:
        raise SourceError("pip is missing; install pip")
    target = folder / re.sub(r"[^A-Za-z0-9]+", "_", package)
    target.mkdir(parents=True, exist_ok=True)
    asked = f"{package}=={version}" if version else package
    command = [*client, "download", *_OPTIONS, "--dest", str(target.absolute()), "--", asked]
    # What it has brought of a wheel lies where it is counted.
    done = run_client(command, folder, {"PYTHONSAFEPATH": "1", "TMPDIR": str(target.absolute())})
    wheels = sorted(target.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise _refusal(package, version, done.stderr)
    return wheels[0]


def served(params: Params, pin: Pin, folder: Path) -> Told:
    """What the index tells of each pinned wheel: not the sha256, but no name is served twice."""
    return served_each(params, pin, folder, told=lambda wheel: _told(params, wheel), ask=_ask)


def _ask(package: str, version: str, is_free: bool, folder: Path) -> Served:
    chosen = [option for option in _OPTIONS if option.partition("=")[0] not in _OF_DOWNLOADS]
    command = [*(_client() or ()), "index", "versions", *chosen, "--", package]
    done = run_client(command, folder, {"PYTHONSAFEPATH": "1"})
    listed = _LISTED.search(done.stdout)
    if listed is None:
        if "No matching" in done.stderr and not any(m in done.stderr for m in _UNREACHED):
            raise GoneError(f"the index serves no pure Python wheel of {package}")
        raise _refusal(package, None, done.stderr)
    versions = [each.strip() for each in listed[1].split(",")]
    there = {canonical(each) for each in versions}
    if canonical(version) not in there:
        raise GoneError(f"{package} {version} is no longer served; {versions[0]} is; {LOCK}")
    is_newer = is_free and canonical(versions[0]) != canonical(version)
    return Served(newest=versions[0] if is_newer else None)


def _refusal(package: str, version: str | None, output: str) -> SourceError:
    """What to say of a download that failed."""
    if "connection broken" in output.lower():
        return SourceError(f"pip cannot reach its package index for {package}: is there a network?")
    served = _SERVED.search(output)
    if served is None:
        return SourceError(f"pip could not fetch {package}: {complaint(output, 'ERROR: ')}")
    versions = [part.strip() for part in served[1].split(",") if part.strip() not in ("", "none")]
    if not versions:
        msg = f"no pure Python wheel of {package} is served, or the index is out of reach"
        return SourceError(msg)
    if version is None:
        return SourceError(f"pip could not fetch {package}: {complaint(output, 'ERROR: ')}")
    return GoneError(f"{package} {version} is no longer served; {versions[-1]} is; {LOCK}")


def _package(wheel: str) -> str:
    """The package's name in a wheel's file name (PEP 427: name-version-…), normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", wheel.split("-", maxsplit=1)[0]).lower()


def _version(wheel: str) -> str:
    """The version in such a name; empty if there is none."""
    return wheel.partition("-")[2].partition("-")[0]


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a wheel; large wheels in ranges of members that hold `SPLIT_BYTES` each."""
    found = []
    for file in pin.files:
        progress.at(file.name)
        held = ranges(zip_members(files[file.name]), params, SPLIT_BYTES, file.bytes)
        parts = [{"start": start, "end": end} for start, end, _ in held]
        found += numbered(_package(file.name), file.name, parts)
    return found


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The wanted members of a wheel; native ids are `package/path`, without the version."""
    spec: Any = split.spec
    path = files[spec["file"]]
    want = Wanted(params, _declared(params, _package(spec["file"])), spec["start"], spec["end"])
    found = records_of(zip_members(path), want, Path(path).stat().st_size, limits)
    yield from batches(parted(found, params.documents, limits))


def _declared(params: Params, package: str) -> str:
    """The package as the card spells it."""
    for name in params.packages:
        if re.sub(r"[-_.]+", "-", name).lower() == package:
            return name
    return package
