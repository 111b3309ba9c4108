"""Source jars of a Maven repository, read as archives: nothing of them is compiled or run."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from phloem.sources.clients.clients import complaint, run_client
from phloem.sources.clients.packages import (
    LOCK,
    fetch_each,
    packages_of,
    read_part,
    resolve_each,
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
from phloem.sources.formats.archives import Packages, zip_members
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import batches

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("zstandard",)

_ENDING = "-sources.jar"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # some plugins colour what is no terminal
_TURN = threading.Lock()  # two at once would write into the user's local repository
_ABSENT = ("Could not find artifact", "Failure to find", "was not found in")


class Params(Packages):
    """Which artifacts, by ``group:artifact`` and a version, and which members of their sources."""

    naming: ClassVar[Naming] = Naming(
        name=r"[A-Za-z0-9_][A-Za-z0-9_.-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*",
        # These three mean another version on another day.
        version=r"(?!LATEST$|RELEASE$|.*-SNAPSHOT$)[A-Za-z0-9][A-Za-z0-9._+-]*",
        standard="the Maven reference on coordinates",
    )

    @model_validator(mode="after")
    def _name_versions(self) -> Self:
        """What is newest in a repository may be a milestone, or of a line that nobody follows."""
        lacking = [name for name in self.packages if self.of(name).version is None]
        if lacking:
            said = f"a version of each artifact; {', '.join(lacking)} has none"
            raise PydanticCustomError("package_versions", "{said}", {"said": said})
        return self


def reach(params: Params) -> Reach:
    """A package index."""
    del params
    return "index"


def unavailable(params: Params) -> str | None:
    """Why this machine cannot fetch: Maven is missing."""
    del params
    if shutil.which("mvn"):
        return None
    return "mvn is missing: this source is a Maven artifact; install Maven and a Java"


def resolve(params: Params) -> Pin:
    """The source jars of the versions that the card names.

    Raises SourceError for an artifact whose sources no repository serves.
    """
    return resolve_each(params, _download, _ENDING)


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned source jars into a folder.

    Raises:
        GoneError: a pinned version is no longer served.
        SourceError: other bytes are served under its name, or Maven cannot fetch.
    """
    return fetch_each(params.naming, pin, folder, _download, _ENDING)


def _download(package: str, version: str | None, folder: Path) -> tuple[Path, str]:
    """The source jar of one artifact. Raises GoneError and SourceError."""
    # Maven takes the extensions and options of the nearest folder above that has this one.
    (folder / ".mvn").mkdir()
    target = folder / "jar"
    command = [
        "mvn",
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "dependency:copy",
        f"-Dartifact={package}:{version}:jar:sources",
        f"-DoutputDirectory={target}",
    ]
    with _TURN:
        done = run_client(command, folder, {})
    found = sorted(target.glob("*.jar"))
    if done.returncode or len(found) != 1:
        raise _refusal(package, version, _COLOUR.sub("", done.stdout))
    return found[0], version or ""


def _refusal(package: str, version: str | None, output: str) -> SourceError:
    """What to say of a download that failed."""
    if any(mark in output for mark in _ABSENT):
        return GoneError(f"no repository serves sources of {package} {version}; {LOCK}")
    errors = [line for line in output.splitlines() if line.startswith("[ERROR] ")]
    reason = complaint("\n".join(errors[:1]), "[ERROR] ")
    return SourceError(f"Maven could not fetch {package} {version}: {reason}")


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split an artifact; large ones in ranges of members that hold about 32 MiB each."""
    named = packages_of(params, pin, _ENDING)
    parts = [(file, package, zip_members(files[file.name])) for file, package in named]
    return [split for part in parts for split in zip_splits(params, *part)]


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The wanted members of a source jar; native ids are `group:artifact/path`."""
    members = zip_members(files[split.spec["file"]])
    yield from batches(read_part(params, split, files, limits, members))
