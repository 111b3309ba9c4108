"""Folders: which of their files hold texts, and which only stand beside them."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from phloem.sources.connector import Json, SourceError
from phloem.sources.formats.formats import FORMATS

Load = Callable[[str], bytes]
"""Reads a file of a folder by its name below that folder."""

TOLD = 5  # names in a line; the others are counted

# What Hadoop, Spark, pyarrow and checksum programs put beside data: hidden files, markers without
# an ending such as _SUCCESS and _metadata, sums and signatures, locks.
_BESIDE = re.compile(
    r"\.|_[^.]*$"
    r"|.*\.(crc|md5|sha1|sha224|sha256|sha384|sha512|asc|sig|lock)$"
    r"|(md5|sha\d+)(sums?)?(\.(txt|asc))?$|checksums?(\.txt)?$"
    r"|(thumbs\.db|desktop\.ini)$",
    re.IGNORECASE,
)

# What people put beside data, where it is no table.
_ABOUT = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|citation|authors|contributing)"
    r"([-_.][\w-]+)?(\.(md|txt|rst|html?|cff|bib))?$",
    re.IGNORECASE,
)

# What `datasets` puts beside data: https://huggingface.co/docs/datasets, `save_to_disk`.
_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
_OF_DATASETS = frozenset({_INFO, _SPLITS, "dataset_infos.json"})

# The folder of a repository in a cache of `huggingface_hub`: `snapshots` links into `blobs`.
_CACHE = frozenset({"blobs", "snapshots"})
_OF_CACHE = frozenset({"blobs", "refs"})


def is_beside(name: str) -> bool:
    """Whether a file is no data by its name, nor what a glob means, but stands beside data."""
    *folders, last = name.split("/")
    is_own = _BESIDE.match(last) is not None or last in _OF_DATASETS
    return is_own or any(_is_hidden(folder) for folder in folders)


def _is_passed(name: str) -> bool:
    last = name.rpartition("/")[2]
    if is_beside(name):
        return True
    is_table = FORMATS.get(last.lower().rpartition(".")[2], "txt") != "txt"
    return _ABOUT.match(last) is not None and not is_table


def _is_hidden(folder: str) -> bool:
    """Whether programs keep their own in it, as in .git and _temporary; no Hive partition."""
    return folder.startswith((".", "_")) and "=" not in folder


@dataclass(frozen=True)
class Walked:
    """What lies below a folder of this machine, by name below it.

    Attributes:
        files: Sorted within each folder.
        passed: What is no data by its kind, or was met by another name; a folder ends in a slash.
        lost: Links that lead nowhere.
    """

    files: Sequence[str]
    passed: Sequence[str]
    lost: Sequence[str]


def walk(top: str) -> Walked:
    """All below a folder but folders that programs keep for themselves.

    Links are followed, each folder is entered once and each file met once: by its own name where
    it lies below `top`, else by the first link that leads there.

    Raises OSError for a folder that cannot be listed.
    """
    found: list[str] = []
    passed: list[str] = []
    lost: list[str] = []
    links: list[str] = []
    files: set[tuple[int, int]] = set()
    entered: set[tuple[int, int]] = set()
    folders, linked = deque([""]), deque[str]()  # those that are no links have the first right
    while folders or linked:
        folder = folders.popleft() if folders else linked.popleft()
        path = Path(top, folder)
        own = path.stat()
        if (own.st_dev, own.st_ino) in entered:
            passed.append(folder)
            continue
        entered.add((own.st_dev, own.st_ino))
        with os.scandir(path) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        names = {entry.name for entry in entries}
        for entry in entries:
            name = f"{folder}{entry.name}"
            if _leads_nowhere(entry):
                lost.append(name)
            elif entry.is_dir():
                if _is_hidden(entry.name) or (names >= _CACHE and entry.name in _OF_CACHE):
                    passed.append(f"{name}/")
                else:
                    (linked if entry.is_symlink() else folders).append(f"{name}/")
            elif not entry.is_file():  # a pipe, a socket, a device
                passed.append(name)
            elif entry.is_symlink():
                links.append(name)
            else:
                files.add((own.st_dev, entry.inode()))
                found.append(name)
    for name in links:
        target = Path(top, name).stat()
        seen = (target.st_dev, target.st_ino) in files
        files.add((target.st_dev, target.st_ino))
        (passed if seen else found).append(name)
    return Walked(found, passed, lost)


def leading_nowhere(links: Sequence[str]) -> str:
    """Of links that lead nowhere, that they do."""
    return _counted(links, "links lead nowhere", "link leads nowhere")


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        with suppress(OSError):  # nothing is there, or links in a circle
            entry.stat()
            return False
        return True
    return False


def chosen(folder: str, names: Sequence[str], load: Load) -> tuple[list[str], list[str]]:
    """Which files of a folder hold its texts, and which are passed over, by name below it.

    Of a dataset that `datasets` saved, only the files that it names.

    Args:
        folder: For messages.
        names: Of all files below it, with `/`.
        load: Reads one of them.

    Raises SourceError for a dataset of several splits, and for one that is not whole.
    """
    saved = _saved(folder, set(names), load)
    kept: list[str] = []
    passed: list[str] = []
    for name in names:
        inside, _, last = name.rpartition("/")
        is_data = last in saved[inside] if inside in saved else not _is_passed(name)
        (kept if is_data else passed).append(name)
    return kept, passed


def _saved(folder: str, names: Collection[str], load: Load) -> Mapping[str, Collection[str]]:
    """The data files of each folder that `datasets` saved a dataset in."""
    found: dict[str, Collection[str]] = {}
    for name in names:
        inside, slash, last = name.rpartition("/")
        where = f"{folder.rstrip('/')}/{inside}".rstrip("/")
        if last == _SPLITS:
            splits = _strings(where, load(name), lambda said: said["splits"])
            if len(splits) > 1:
                raise SourceError(
                    f"{where} holds the splits {', '.join(splits)} of a dataset: give one"
                    f" of them, such as {where}/{splits[0]}"
                )
        if last == _STATE and f"{inside}{slash}{_INFO}" in names:
            state = load(name)
            if _strings(
                where, state, lambda said: _filenames(said.get("_indices_data_files") or [])
            ):
                raise SourceError(
                    f"{where} is a saved dataset of chosen rows, which other files name; save it"
                    " again after `flatten_indices()`"
                )
            data = _strings(where, state, lambda said: _filenames(said["_data_files"]))
            missing = [each for each in data if f"{inside}{slash}{each}" not in names]
            if missing:
                told = _counted(missing, "files are missing", "file is missing")
                raise SourceError(f"{where} is a saved dataset that is not whole: {told}")
            found[inside] = set(data)
    return found


def _filenames(listed: Json) -> list[Json]:
    return [each["filename"] for each in listed]


def _strings(where: str, content: bytes, read: Callable[[Json], Sequence[Json]]) -> list[str]:
    """What a description says. Raises SourceError for one that says no such thing."""
    try:
        said = read(json.loads(content))
        if isinstance(said, list) and all(isinstance(each, str) for each in said):
            return said
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise SourceError(f"{where} is a saved dataset whose description cannot be read")


def _counted(names: Sequence[str], several: str, one: str) -> str:
    return f"{len(names):,} {one if len(names) == 1 else several}: {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - TOLD:,} more" if len(names) > TOLD else ""
    return ", ".join(names[:TOLD]) + more
