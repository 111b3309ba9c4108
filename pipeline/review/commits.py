"""Two commits of the registry as data: what git says of their trees, and the bytes of files.

Nothing of a commit is checked out: no link is followed, no filter, hook or attribute of it works,
and whatever is not a plain file of a fair size is told and not read.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phloem.sources.connector import SourceError

ENTRIES = "sources/entries/"
APPROVALS = "sources/approvals/"
LOCK = "sources/sources.lock"

SIGNERS = f"{APPROVALS}allowed_signers"

PLAIN, PROGRAM, LINK, REPOSITORY, ABSENT = "100644", "100755", "120000", "160000", "000000"
"""Modes of git's trees."""

LARGEST = {ENTRIES: 64 * 2**10, APPROVALS: 64 * 2**10, LOCK: 32 * 2**20}
"""Bytes of a file. The longest card has about 10 kB; a lock entry of a card has 1 to 50."""

MOST_FILES = 5_000  # of cards and approvals together: ten times what there is

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@^~{}-]*")
_FILE = re.compile(r"sources/(entries|approvals)/[a-z0-9]+(-[a-z0-9]+)*\.yaml")
_SECONDS = 120

# What another user, or the repository's own settings, could make git do besides.
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",  # a missing object is an error, and no reason to use the network
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class CommitError(SourceError):
    """Commits that cannot be compared: the message says what git knows."""


@dataclass(frozen=True)
class Blob:
    """A file of a commit: its object's id and its bytes."""

    id: str
    data: bytes


@dataclass(frozen=True)
class Tree:
    """The registry as a commit holds it.

    Attributes:
        commit: Its full hash.
        files: Cards, approvals and the lock file, by their path in the repository.
        refused: Why a file among them was not read, by its path.
        signers: The keys that may sign approvals, as they are there.
    """

    commit: str
    files: Mapping[str, Blob]
    refused: Mapping[str, str]
    signers: bytes


@dataclass(frozen=True)
class Change:
    """A path that two commits hold differently; a file that moved is one removed and one added.

    Attributes:
        path: In the repository; bytes that are no UTF-8 stand as numbers.
        before: Mode in the first commit, such as 100644; all zeros where it is not there.
        after: Mode in the second.
    """

    path: str
    before: str
    after: str

    @property
    def is_plain(self) -> bool:
        """Whether it is a file that is no program, in both commits or the one that holds it."""
        return {self.before, self.after} <= {PLAIN, ABSENT}


@dataclass(frozen=True)
class Branch:
    """What a branch does to the registry.

    Attributes:
        base: Before.
        head: After.
        changes: Every path that it changes, in the registry or not.
    """

    base: Tree
    head: Tree
    changes: tuple[Change, ...]


def read_branch(folder: Path, span: str) -> Branch:
    """Two commits of the repository that a folder is in.

    Args:
        folder: In a checkout of what is trusted.
        span: `BASE..HEAD`, or `BASE...HEAD`: from where the two parted.

    Raises:
        CommitError: it names no two commits that git knows there.
    """
    first, dots, last = _parted(span)
    repository = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    base, head = (_commit(repository, name) for name in (first, last))
    if dots == "...":
        base = _git(repository, "merge-base", base, head).decode().split()[0]
    return Branch(
        _tree(repository, base), _tree(repository, head), tuple(_changes(repository, base, head))
    )


def _changes(repository: Path, base: str, head: str) -> Iterator[Change]:
    """What differs, as plumbing tells it: no setting or attribute hides or folds anything."""
    options = ("-r", "-z", "--raw", "--no-renames", "--no-relative", "--ignore-submodules=none")
    fields = _git(repository, "diff-tree", *options, base, head).split(b"\0")
    for head_, path in zip(fields[::2], fields[1::2], strict=False):  # the last is empty
        before, after, *_ = head_.decode().removeprefix(":").split()
        yield Change(_name(path), before, after)


def _name(path: bytes) -> str:
    return path.decode(errors="backslashreplace")


def card_id(path: str) -> str | None:
    """The id of the card that a file holds or approves; None if it is named like neither."""
    return path.rpartition("/")[2].removesuffix(".yaml") if _FILE.fullmatch(path) else None


def _parted(span: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"(.+?)(\.{2,3})(.+)", span)
    if not match or not all(_REVISION.fullmatch(match[n]) for n in (1, 3)):
        msg = f"{span!r} names no two commits; give BASE..HEAD, such as main..HEAD"
        raise CommitError(msg)
    return match[1], match[2], match[3]


def _commit(repository: Path, name: str) -> str:
    try:
        found = _git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except CommitError:
        msg = f"git knows no commit {name!r} in {repository}; fetch it first"
        raise CommitError(msg) from None
    return found.decode().strip()


def _tree(repository: Path, commit: str) -> Tree:
    """Cards, approvals and lock file of a commit."""
    asked = (commit, "--", ENTRIES, APPROVALS, LOCK)
    listed = _git(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", *asked)
    wanted: dict[str, str] = {}
    refused: dict[str, str] = {}
    signers = b""
    for entry in filter(None, listed.split(b"\0")):
        head, _, raw = entry.partition(b"\t")
        mode, kind, id_, size = head.decode().split()
        path = _name(raw)
        reason = _refusal(path, mode, kind, size)
        if path in wanted or path in refused:  # a tree that git would not have written
            wanted.pop(path, None)
            reason = "stands there twice"
        if reason:
            refused[path] = reason
        elif card_id(path) or path in (LOCK, SIGNERS):
            wanted[path] = id_
    if len(wanted) > MOST_FILES:
        msg = f"{commit[:12]} holds {len(wanted)} cards and approvals, more than {MOST_FILES}"
        raise CommitError(msg)
    data = _blobs(repository, wanted.values())
    files = {path: Blob(id_, data[id_]) for path, id_ in wanted.items()}
    if SIGNERS in files:
        signers = files.pop(SIGNERS).data
    return Tree(commit, files, refused, signers)


def _refusal(path: str, mode: str, kind: str, size: str) -> str | None:
    """Why a file of the registry is not read; None if it is, or is none of it."""
    if kind != "blob" or mode not in (PLAIN, PROGRAM):
        return "is a link or another repository, and no plain file"
    most = next(size for place, size in LARGEST.items() if path.startswith(place))
    if int(size) > most:
        return f"has {int(size):,} bytes, more than {most:,}"
    if card_id(path) or path in (LOCK, SIGNERS):
        return None
    return "is not named as an id is: lower-case letters, digits and single hyphens, .yaml"


def _blobs(repository: Path, ids: Iterable[str]) -> dict[str, bytes]:
    """The bytes of objects, by one process of git."""
    asked = list(dict.fromkeys(ids))
    out = _git(repository, "cat-file", "--batch", given="".join(f"{id_}\n" for id_ in asked))
    found: dict[str, bytes] = {}
    place = 0
    for id_ in asked:
        line_end = out.index(b"\n", place)
        size = int(out[place:line_end].split()[2])
        found[id_] = out[line_end + 1 : line_end + 1 + size]
        place = line_end + 1 + size + 1
    return found


def _git(folder: Path, *arguments: str, given: str = "") -> bytes:
    command: Sequence[str] = ["git", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            input=given.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"git cannot be run ({type(error).__name__}); install it"
        raise CommitError(msg) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        msg = f"git {arguments[0]}: {said[-1][:200] if said else 'no such commit or repository'}"
        raise CommitError(msg)
    return done.stdout
