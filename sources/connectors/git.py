"""Files of git repositories, each at one commit, read as objects and never checked out."""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from phloem.sources.clients.clients import check, needs
from phloem.sources.clients.git_tree import (
    AbsentError,
    commit_of,
    head_of,
    open_repository,
    write_zip,
)
from phloem.sources.clients.packages import (
    LOCK,
    named,
    pin_of,
    read_part,
    served_each,
    told,
    zip_splits,
    zipped,
)
from phloem.sources.clients.standing import Served, Told
from phloem.sources.connector import (
    Fault,
    Files,
    GoneError,
    Pin,
    PinnedFile,
    Split,
    Strict,
    WrongError,
    from_network,
    refuse,
)
from phloem.sources.formats.archives import MemberParams, Package, is_wanted, zip_members
from phloem.sources.formats.read_plain import parted
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming
from phloem.sources.records import Record, Records, batched

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal", "zstandard")

_ENDING = ".zip"
_SCHEME = "https://"
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"  # Git LFS specification
_COMMIT = r"[0-9a-f]{40}|[0-9a-f]{64}"
_SHORT = 12  # digits of a commit that a version of several shows


class Repository(Strict):
    """What a card says of one repository."""

    revision: str | None = Field(
        default=None, description="Commit, tag or branch to lock; null: the default branch."
    )
    license: str | None = Field(
        default=None, description="SPDX expression, where it differs from the card's."
    )


class Params(MemberParams):
    """Which repositories, and which of their files."""

    naming: ClassVar[Naming] = Naming(
        # A host by its name in the domain system, and so never an address inside a network.
        name=r"[a-z0-9][a-z0-9.-]*\.[a-z]{2,}(/[A-Za-z0-9_~][A-Za-z0-9._~-]*)+",
        version=r"(?!.*(\.\.|//|\.lock(/|$)|[/.]$))[A-Za-z0-9][A-Za-z0-9._/+-]*",
        standard="RFC 3986 and git-check-ref-format(1)",
    )

    repositories: dict[str, Repository | None] = Field(
        description="https address: {revision, license}.", min_length=1
    )

    @field_validator("repositories")
    @classmethod
    def _are_named(cls, given: dict[str, Repository | None]) -> dict[str, Repository | None]:
        """Git takes what it is asked for as an option, a path or another protocol, if it can."""
        faults = [_fault(cls.naming, url, repository) for url, repository in given.items()]
        said = "; ".join(filter(None, faults))
        if said:
            said = f"https addresses of repositories and revisions ({cls.naming.standard}); {said}"
            raise PydanticCustomError("repository_names", "{said}", {"said": said})
        return given

    def of(self, name: str, /) -> Package:
        """What the card says of a repository, by its name."""
        for url, said in self.repositories.items():
            if name_of(url) == name:
                told = said or Repository()
                return Package(version=told.revision, license=told.license, url=url)
        return Package()


def _fault(naming: Naming, url: str, repository: Repository | None) -> str | None:
    revision = repository.revision if repository else None
    if not url.startswith(_SCHEME):
        return f"{url!r} does not begin with {_SCHEME}"
    return naming.fault(name_of(url), revision)


def name_of(url: str) -> str:
    """A repository's name in native ids and in the pin: its address without https and .git."""
    return url.removeprefix(_SCHEME).removesuffix(".git")


reach = from_network
unavailable = needs("git", "a git repository", "install git")


def resolve(params: Params) -> Pin:
    """The commits that the card's revisions name now, and the files that it takes of them.

    Raises SourceError for a repository that cannot be had.
    """
    found = []
    for url in params.repositories:
        with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
            name = name_of(url)
            path, commit = _snapshot(params, url, params.of(name).version, Path(folder))
            found.append((name, commit, named(path, name, commit, _ENDING)))
    return _pin(found)


def _pin(found: list[tuple[str, str, PinnedFile]]) -> Pin:
    if len(found) == 1:
        return pin_of(found)
    return pin_of([(name, commit[:_SHORT], file) for name, commit, file in found])


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files of a repository or revision that the card does not name, and what has none."""
    named = {name_of(url): said for url, said in params.repositories.items()}
    found, there = [], set()
    for file in pin.files:
        name, _, commit = file.name.removesuffix(_ENDING).rpartition("@")
        there.add(name)
        revision = params.of(name).version or ""
        if name not in named:
            found.append(f"{file.name} is of {name}, which the card does not name")
        elif not re.fullmatch(_COMMIT, commit) or file.url is not None:
            found.append(f"{file.name} names no commit of {name}")
        elif re.fullmatch(_COMMIT, revision) and commit != revision:
            found.append(f"{file.name} is not at {revision}, which the card names")
    lacking = [name for name in named if name not in there]
    return [*found, *(f"no file of {name}, which the card names" for name in lacking)]


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Fetch the files of the pinned commits into a folder.

    Raises:
        GoneError: a pinned commit is no longer served.
        WrongError: other files are taken of it than were locked.
        SourceError: it cannot be fetched.
    """
    refuse(foreign(params, pin))
    files = {}
    for number, file in enumerate(pin.files):
        name, commit = told(params.naming, file.name, _ENDING)
        url = params.of(name).url or ""
        into = folder / f"{number:06d}"
        into.mkdir(parents=True)
        path, _ = _snapshot(params, url, commit, into)
        try:
            files[file.name] = check(path, file)
        except WrongError as error:
            msg = f"{error} (a commit never changes: so `include` or `exclude` of the card did)"
            raise WrongError(msg) from None
    return files


def served(params: Params, pin: Pin, folder: Path) -> Told:
    """Whether each pinned commit is served, which never changes; its files are not fetched."""
    return served_each(
        params,
        pin,
        folder,
        told=partial(told, params.naming, ending=_ENDING),
        ask=partial(_ask, params),
    )


def _ask(params: Params, name: str, commit: str, is_free: bool, folder: Path) -> Served:
    url = params.of(name).url or ""
    with tempfile.TemporaryDirectory(dir=folder) as within:
        repository = open_repository(url, Path(within))
        try:
            commit_of(repository, commit)
        except AbsentError as error:
            raise GoneError(str(error)) from None
        now = head_of(repository) if is_free else None
    return Served(newest=now if now != commit else None)


def _snapshot(params: Params, url: str, revision: str | None, folder: Path) -> tuple[Path, str]:
    """The wanted files of a revision as a zip archive, and its commit."""
    params.naming.require(name_of(url), revision)
    repository = open_repository(url, folder)
    try:
        commit = commit_of(repository, revision)
    except AbsentError:
        now = head_of(repository)
        msg = f"{url} does not serve {revision}; its HEAD is {now or 'not known'}; {LOCK}"
        raise GoneError(msg) from None
    path = folder / "files.zip"
    write_zip(repository, commit, lambda path: is_wanted(path, params), path)
    shutil.rmtree(repository.folder)
    return path, commit


splits = partial(zip_splits, members=zipped, ending=_ENDING)


@batched
def read(params: Params, split: Split, files: Files, limits: Limits) -> Records:
    """The wanted files; native ids are `host/owner/name/path`, without the commit.

    A file that Git LFS keeps elsewhere is a fault: the repository holds only a pointer to it.
    """
    members = zip_members(files[split.spec["file"]])
    found = read_part(params, split, files, limits, members)
    yield from parted(_held(found), params.documents, limits)


def _held(found: Records) -> Records:
    """Files, but for those of which the repository holds a pointer alone."""
    for record in found:
        if isinstance(record, Record) and record.content.startswith(_POINTER):
            yield Fault(record.native_id, -1, "kept in Git LFS, which is not read")
        else:
            yield record
