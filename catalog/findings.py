"""What does not hold of files that were written: one finding a fault, each of one line."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from phloem.catalog.handoff.tokenizer import End
from phloem.catalog.manifest import canonical
from phloem.catalog.plain import Json
from phloem.catalog.store import TEMPORARY, MissingError, Store

_SAID = 100  # characters of a value that a finding shows
_WRITING = re.compile(TEMPORARY)


@dataclass(frozen=True)
class Finding:
    """One thing of a release, or of an export of it, that does not hold.

    Attributes:
        file: Name under the root, or under the export's folder.
        problem: missing, added, link, size, digest, changed manifest, changed release, changed
            record, documents, unreadable or end of document; of an export changed export or
            tokens, too.
        expected: What the release says.
        found: What is there.
    """

    file: str
    problem: str
    expected: str
    found: str


def said(value: Json) -> str:
    """A value that anybody may have written, on one line that is not long."""
    try:
        text = value if isinstance(value, str) else canonical(value).decode()
    except ValueError:
        text = repr(value)
    line = " ".join(text.split())
    return line if len(line) <= _SAID else f"{line[:_SAID]} …"


@dataclass(frozen=True)
class Entry:
    """What lies in a folder under a name.

    Attributes:
        kind: What it is, where that is no file of its own: empty for one that is.
        bytes: Of a file; None for what is none.
    """

    kind: str
    bytes: int | None


def entries(store: Store, folder: str, inside: Iterable[str]) -> dict[str, Entry]:
    """What lies in folders right under a folder, by name, links and what is no file included.

    A file that is just being written is left out. On a disk a folder in one of them is an entry;
    an object store knows files alone.
    """
    if not store.is_local:
        sizes = store.sizes(folder, inside)
        return {name: Entry("", size) for name, size in sizes.items()}
    found = {}
    for each in dict.fromkeys(inside):
        try:
            with os.scandir(store.path(f"{folder}/{each}")) as there:
                for entry in there:
                    if not _WRITING.fullmatch(entry.name):
                        status = entry.stat(follow_symlinks=False)
                        found[f"{folder}/{each}/{entry.name}"] = _entry(status)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def entry_of(store: Store, name: str) -> Entry | None:
    """What lies under one name; None if there is nothing."""
    try:
        path = store.near(name)
        return _entry(os.lstat(path)) if path else Entry("", store.size(name))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _entry(status: os.stat_result) -> Entry:
    if stat.S_ISLNK(status.st_mode):
        return Entry("a link", None)
    if stat.S_ISDIR(status.st_mode):
        return Entry("a folder", None)
    if not stat.S_ISREG(status.st_mode):
        return Entry("no file", None)
    if status.st_nlink > 1:
        return Entry("a file of several names: through another it can be changed", status.st_size)
    return Entry("", status.st_size)


def linked(store: Store, folders: Iterable[str]) -> list[str]:
    """Those of these folders, and of the ones above them in the root, that are links."""
    if not store.is_local:
        return []
    parts = [name.split("/") for name in folders]
    above = {"/".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}
    return sorted(name for name in above if Path(store.path(name)).is_symlink())


def check_entry(name: str, entry: Entry | None, sha256: str, size: int | None) -> Iterator[Finding]:
    """Whether something is there, and is a file of its own and of its size."""
    if entry is None:
        yield Finding(name, "missing", sha256, "")
    elif entry.kind:
        yield Finding(name, "link", "a file of its own", entry.kind)
    elif size is not None and entry.bytes != size:
        yield Finding(name, "size", str(size), str(entry.bytes))


def check_file(store: Store, name: str, sha256: str, size: int | None) -> Iterator[Finding]:
    """Whether a file is there, and has the hash and, if it is known, the size that it should."""
    try:
        actual_size = store.size(name)
        if size is not None and actual_size != size:
            yield Finding(name, "size", str(size), str(actual_size))
            return
        actual = store.sha256(name, actual_size)
    except MissingError:
        yield Finding(name, "missing", sha256, "")
        return
    if actual != sha256:
        yield Finding(name, "digest", sha256, actual)


def check_ends(name: str, documents: Iterable[pa.RecordBatch], end: End) -> Iterator[Finding]:
    """Whether each document of a file has the end of a document, once and last."""
    rows = ends = last = 0
    for batch in documents:
        column = batch["tokens"]
        values = column.flatten().to_numpy() == end.id
        lengths = column.value_lengths().to_numpy()
        rows += len(column)
        ends += int(values.sum())
        last += int(values[np.cumsum(lengths)[lengths > 0] - 1].sum())
    if not rows == ends == last:
        found = f"{ends:,} in {rows:,} documents, {last:,} of them at their end"
        yield Finding(name, "end of document", f"one {end} at the end of each", found)
