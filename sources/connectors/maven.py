"""Source jars of a Maven repository, read as archives: nothing of them is compiled or run."""

from __future__ import annotations

import re
import threading
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from phloem.sources.clients.clients import complaint, needs, run_client
from phloem.sources.clients.packages import (
    LOCK,
    fetch_each,
    foreign_each,
    read_members,
    resolve_each,
    served_each,
    told,
    zip_splits,
    zipped,
)
from phloem.sources.clients.standing import Served
from phloem.sources.connector import GoneError, SourceError, from_index
from phloem.sources.formats.archives import Packages
from phloem.sources.naming import Naming

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")

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


def _ask(package: str, version: str, is_free: bool, folder: Path) -> Served:
    """Whether the repository has the checksum of a jar, which it has beside the jar itself."""
    del is_free  # a card names its versions
    room = folder / "maven"
    (room / ".mvn").mkdir(parents=True, exist_ok=True)
    command = [
        "mvn",
        "--batch-mode",
        "--quiet",
        "--lax-checksums",  # a checksum has none
        "dependency:copy",
        f"-Dartifact={package}:{version}:jar.sha1:sources",
        f"-DoutputDirectory={room / 'sums'}",
        f"-Dmaven.repo.local={room / 'local'}",  # the user's holds what was served once
    ]
    with _TURN:
        done = run_client(command, room, {})
    if done.returncode:
        raise _refusal(package, version, _COLOUR.sub("", done.stdout))
    return Served()


def _refusal(package: str, version: str | None, output: str) -> SourceError:
    """What to say of a download that failed."""
    if any(mark in output for mark in _ABSENT):
        return GoneError(f"no repository serves sources of {package} {version}; {LOCK}")
    errors = [line for line in output.splitlines() if line.startswith("[ERROR] ")]
    reason = complaint("\n".join(errors[:1]), "[ERROR] ")
    return SourceError(f"Maven could not fetch {package} {version}: {reason}")


reach = from_index
unavailable = needs("mvn", "a Maven artifact", "install Maven and a Java")
resolve = partial(resolve_each, download=_download, ending=_ENDING)
foreign = partial(foreign_each, ending=_ENDING)
fetch = partial(fetch_each, download=_download, ending=_ENDING)
served = partial(served_each, told=partial(told, Params.naming, ending=_ENDING), ask=_ask)
splits = partial(zip_splits, members=zipped, ending=_ENDING)
read = partial(read_members, members=zipped)
