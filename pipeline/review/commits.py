"""Two commits of the registry as data: what git says of their trees, and the bytes of files.

Nothing of a commit is checked out: no link is followed, no filter, hook or attribute of it works,
and whatever is not a plain file of a fair size is told and not read.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phloem.sources.cards.plain_yaml import MOST_BYTES
from phloem.sources.connector import SourceError

ENTRIES = "sources/entries/"
APPROVALS = "sources/approvals/"
LOCK = "sources/sources.lock"

LARGEST = {ENTRIES: MOST_BYTES, APPROVALS: MOST_BYTES, LOCK: 32 * 2**20}
"""Bytes of a file. A lock entry of a card has 1 to 50 kB."""

MOST_FILES = 5_000  # of cards and approvals together: ten times what there is

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@^~{}-]*")
_FILE = re.compile(r"sources/(entries|approvals)/[a-z0-9]+(-[a-z0-9]+)*\.yaml")
_PLAIN = ("100644", "100755")
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
class Branch:
    """What a branch does to the registry.

    Attributes:
        base: Before.
        head: After.
        elsewhere: Paths outside cards, approvals and lock file that it changes.
    """

    base: Tree
    head: Tree
    elsewhere: tuple[str, ...]


def read_branch(folder: Path, span: str) -> Branch:
    """Two commits of the repository that a folder is in.

    Args:
        folder: In a work tree.
        span: `BASE..HEAD`, or `BASE...HEAD` for what happened since the two parted.

    Raises:
        CommitError: git is missing, or knows no such commits here.
    """
    first, dots, last = _parted(span)
    repository = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    base, head = (_commit(repository, name) for name in (first, last))
    if dots == "...":
        base = _git(repository, "merge-base", base, head).decode().split()[0]
    changed = _git(
        repository, "diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", base, head
    )
    names = [name.decode(errors="replace") for name in changed.split(b"\0") if name]
    ours = (ENTRIES, APPROVALS, LOCK)
    elsewhere = tuple(name for name in names if not name.startswith(ours))
    return Branch(_tree(repository, base), _tree(repository, head), elsewhere)


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
        path = raw.decode(errors="replace")
        reason = _refusal(path, mode, kind, size)
        if reason:
            refused[path] = reason
        elif path.endswith((".yaml", LOCK)) or path == f"{APPROVALS}allowed_signers":
            wanted[path] = id_
    if len(wanted) > MOST_FILES:
        msg = f"{commit[:12]} holds {len(wanted)} cards and approvals, more than {MOST_FILES}"
        raise CommitError(msg)
    data = _blobs(repository, wanted.values())
    files = {path: Blob(id_, data[id_]) for path, id_ in wanted.items()}
    if f"{APPROVALS}allowed_signers" in files:
        signers = files.pop(f"{APPROVALS}allowed_signers").data
    return Tree(commit, files, refused, signers)


def _refusal(path: str, mode: str, kind: str, size: str) -> str | None:
    """Why a file of the registry is not read; None if it is, or is none of it."""
    if kind != "blob" or mode not in _PLAIN:
        return "is a link or another repository, and no plain file"
    most = next(size for place, size in LARGEST.items() if path.startswith(place))
    if int(size) > most:
        return f"has {int(size):,} bytes, more than {most:,}"
    if path.endswith(".yaml") and not _FILE.fullmatch(path):
        return "is not named as an id is: lower-case letters, digits and single hyphens, .yaml"
    return None


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
