"""Packs: many small files of a root in one, so that an object store is asked once for all.

A report reads a table of every text file. Where the root is a folder they are read where they lie;
from an object store they are brought to this machine first, and for the next one that asks they are
left in a pack, `packs/<key>.bin`: these files, one after the other, by the key of their hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from phloem.catalog.manifest import Dataset, Ref, Shard, key_of
from phloem.catalog.store import ChangedError, MissingError, Store

PACKS = "packs"
PACK_BYTES = 64 * 2**20  # of a pack; a file that is larger is in none


class Near(Store):
    """A root on an object store of which some files lie on this machine, too."""

    def __init__(self, root: str, folder: Path) -> None:
        """Open the root; the files lie in a folder, under the names that they have there."""
        super().__init__(root)
        self.folder = folder

    def near(self, name: str) -> str | None:
        """Where a file lies on this machine, if it does."""
        path = self.folder / name
        return str(path) if path.is_file() else None

    def open(self, name: str, sha256: str = "", size: int | None = None) -> pa.NativeFile:
        """As ever, and of this machine's copy if there is one: that was verified."""
        path = self.near(name)
        return pa.memory_map(path) if path else super().open(name, sha256, size)


def tables(shards: Iterable[Shard], name: str) -> list[Ref]:
    """The files of one name of the shards of a dataset, in order, but those without a row."""
    return [
        shard.ref(file.name)
        for shard in shards
        for file in shard.files
        if file.name == name and file.rows != 0
    ]


def packs_of(dataset: Dataset) -> set[str]:
    """The names of all packs that hold files of a dataset."""
    names = {file.name for shard in dataset.shards for file in shard.files}
    return {_name(pack) for each in names for pack in _packs(tables(dataset.shards, each))}


@contextmanager
def brought(store: Store, groups: Iterable[Sequence[Ref]]) -> Iterator[Store]:
    """A root whose files of these groups are at hand while the block runs.

    Of a root on this machine that is the root itself. What is gone or was changed is left out:
    whoever opens it is told.

    Args:
        store: The root.
        groups: Each the `tables` of a dataset.
    """
    if store.is_local:
        yield store
        return
    with TemporaryDirectory(prefix="phloem-") as folder:
        near = Near(store.root, Path(folder))
        for group in groups:
            for files in _packs(group):
                _bring(store, files, near.folder)
        yield near


def _packs(files: Sequence[Ref]) -> Iterator[list[Ref]]:
    """The files in groups of one pack each, in order."""
    pack: list[Ref] = []
    size = 0
    for file in files:
        if pack and size + file.bytes > PACK_BYTES:
            yield pack
            pack, size = [], 0
        pack.append(file)
        size += file.bytes
    if pack:
        yield pack


def _bring(store: Store, files: Sequence[Ref], folder: Path) -> None:
    """Put files into a folder, out of their pack, or one by one: then the pack is made."""
    for file in files:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
    if len(files) > 1 and _unpacked(store, files, folder):
        return
    there = store.together(lambda file: _copied(store, file, folder), files)
    if len(files) > 1 and all(there):
        with store.create(_name(files)) as out:
            for file in files:
                out.write((folder / file.path).read_bytes())


def _name(files: Sequence[Ref]) -> str:
    return f"{PACKS}/{key_of(PACKS, {}, [file.sha256 for file in files])}.bin"


def _unpacked(store: Store, files: Sequence[Ref], folder: Path) -> bool:
    """Whether a pack was there and held what it should."""
    try:
        pack = store.open(_name(files), size=sum(file.bytes for file in files))
    except (MissingError, ChangedError):
        return False
    with pack:
        for file in files:
            data = pack.read(file.bytes)
            if hashlib.sha256(data).hexdigest() != file.sha256:
                return False
            (folder / file.path).write_bytes(data)
    return True


def _copied(store: Store, file: Ref, folder: Path) -> bool:
    try:
        with store.open(file.path, file.sha256, file.bytes) as opened:
            (folder / file.path).write_bytes(opened.read())
    except (MissingError, ChangedError):
        return False
    return True
