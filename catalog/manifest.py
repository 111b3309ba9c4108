"""Shards and datasets: what was written, from what, and how it is found again.

Nothing here varies from run to run: times, hosts and retries belong to run records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phloem.catalog.plain import Json
from phloem.catalog.store import ChangedError, MissingError, Store, holds

KEY_DIGITS = 32  # 128 bits: no collision among 10^15 shards (birthday bound below 10^-8)
COMMIT = "shard.json"


def canonical(value: Json) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8: one value, one spelling (after RFC 8785)."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_of(value: Json) -> str:
    """The sha256 of a value's canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def key_of(stage: str, spec: Json, inputs: Sequence[str]) -> str:
    """A shard's key: the hash of its stage, its spec and the digests of what it reads."""
    return digest_of({"stage": stage, "spec": spec, "inputs": list(inputs)})[:KEY_DIGITS]


@dataclass(frozen=True)
class Kind:
    """A kind of shard, which lies at `<name>/<key>`.

    Attributes:
        name: The folder of all shards of the kind.
        files: Pattern of its files' names -> their schema; None where it is no table, or where
            the ops of the recipe say what its columns are.
        version: Of the code that makes it: raised when it makes other bytes of the same input.
    """

    name: str
    files: Mapping[str, pa.Schema | None]
    version: int = 1

    def key(self, spec: Mapping[str, Json], inputs: Sequence[str]) -> str:
        """A shard's key: of its spec, its inputs, the code, and the library that writes it.

        The same key is the same bytes: whatever can change them stands in it.
        """
        facts = {**spec, "code": self.version, "pyarrow": pa.__version__}
        return key_of(self.name, facts, inputs)


@dataclass(frozen=True)
class Ref:
    """A file that somebody reads, and what it must hold: it is verified where it is opened.

    Attributes:
        path: Name under the root, or the absolute path of a user's own file on this machine.
        sha256: Of the file, 64 hexadecimal digits.
        bytes: Its size.
        rows: How many it has, if it is a table.
        is_kept: Whether a process keeps it, as it keeps a model: it is read once, not each time.
    """

    path: str
    sha256: str
    bytes: int
    rows: int | None = None
    is_kept: bool = False

    def on_this_machine(self, store: Store) -> str:
        """A path that holds it. Raises MissingError, and ChangedError if it holds other bytes."""
        if not self.path.startswith("/"):
            return store.local_path(self.path, self.sha256, self.bytes)
        if not Path(self.path).is_file():
            raise MissingError(f"{self.path} is gone since it was listed")
        if not holds(self.path, self.sha256):
            raise ChangedError(self.path)
        return self.path


@dataclass(frozen=True)
class File:
    """One file of a shard. `rows` is None where it is no table."""

    name: str
    sha256: str
    bytes: int
    rows: int | None = None


@dataclass(frozen=True)
class Shard:
    """A committed folder `<stage>/<key>`: its files, and small facts counted while writing.

    Facts are integers, strings and their lists and dicts. As the bytes, they depend on the key
    alone.
    """

    stage: str
    key: str
    files: tuple[File, ...]
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where it lies under the root."""
        return f"{self.stage}/{self.key}"

    @property
    def digest(self) -> str:
        """The hash of its files' names and hashes, and of its facts."""
        return digest_of([[[file.name, file.sha256] for file in self.files], dict(self.facts)])

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)

    def file(self, name: str) -> File:
        """One of its files by name. Raises KeyError naming what is there."""
        for file in self.files:
            if file.name == name:
                return file
        msg = f"shard {self.folder} has no file {name!r}; it has {[f.name for f in self.files]}"
        raise KeyError(msg)

    def path(self, name: str) -> str:
        """The name under the root of one of its files."""
        return f"{self.folder}/{self.file(name).name}"

    def ref(self, name: str) -> Ref:
        """One of its files, for whoever reads it."""
        file = self.file(name)
        return Ref(f"{self.folder}/{name}", file.sha256, file.bytes, file.rows)

    def to_json(self) -> dict[str, Json]:
        """As plain JSON."""
        return {
            "stage": self.stage,
            "key": self.key,
            "files": [asdict(file) for file in self.files],
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Shard:
        """From plain JSON."""
        files = tuple(File(**file) for file in value["files"])
        return cls(value["stage"], value["key"], files, value["facts"])


def committed(store: Store, stage: str, key: str) -> Shard | None:
    """A shard as its commit has it, else None: it was just made, and its files are not looked at.

    A commit that names another shard, or whose facts or hashes are not those that were committed,
    is none.
    """
    try:
        value = json.loads(store.read_bytes(f"{stage}/{key}/{COMMIT}"))
        shard = Shard.from_json(value)
        is_own = (shard.stage, shard.key) == (stage, key) and shard.digest == value["digest"]
    except (MissingError, ValueError, KeyError, TypeError):
        return None  # never committed, or a commit cut short: it is made again
    return shard if is_own else None


def find(store: Store, stage: str, key: str) -> Shard | None:
    """A committed shard whose files all lie there at their full size, else None."""
    shard = committed(store, stage, key)
    return shard if shard and is_whole(shard, store.sizes(stage, [key])) else None


def is_whole(shard: Shard, sizes: Mapping[str, int]) -> bool:
    """Whether the commit and all files of a shard are among these, by name, each at its size."""
    if sizes.get(f"{shard.folder}/{COMMIT}") != len(commit_bytes(shard)):
        return False
    return all(sizes.get(f"{shard.folder}/{file.name}") == file.bytes for file in shard.files)


def commit(store: Store, shard: Shard) -> Shard:
    """Write the shard's record last: from here on it exists."""
    store.write_bytes(f"{shard.folder}/{COMMIT}", commit_bytes(shard))
    return shard


def commit_bytes(shard: Shard) -> bytes:
    """The bytes of a shard's record."""
    return canonical({**shard.to_json(), "digest": shard.digest})


@dataclass(frozen=True)
class Dataset:
    """A manifest: the shards of one stage for one recipe, in order; others may share them."""

    stage: str
    spec: Mapping[str, Json]
    shards: tuple[Shard, ...]

    @property
    def key(self) -> str:
        """The hash of what it lists."""
        return key_of(self.stage, dict(self.spec), [shard.key for shard in self.shards])

    @property
    def digest(self) -> str:
        """The hash of all bytes that it lists."""
        return digest_of([shard.digest for shard in self.shards])

    @property
    def name(self) -> str:
        """Where its manifest lies under the root."""
        return f"datasets/{self.stage}-{self.key}.json"

    def save(self, store: Store) -> Dataset:
        """Write the manifest under its name."""
        store.write_bytes(self.name, self.to_bytes())
        return self

    def to_bytes(self) -> bytes:
        """The bytes of its manifest."""
        value = {
            "stage": self.stage,
            "key": self.key,
            "digest": self.digest,
            "spec": dict(self.spec),
            "shards": [shard.to_json() for shard in self.shards],
        }
        return canonical(value)

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Dataset:
        """From plain JSON, which may say more: that is not looked at."""
        shards = tuple(Shard.from_json(shard) for shard in value["shards"])
        return cls(value["stage"], value["spec"], shards)

    @classmethod
    def load(cls, store: Store, name: str) -> Dataset:
        """Read a manifest. Raises MissingError, and ValueError as `read` does."""
        return cls.read(store.read_bytes(name), name)

    @classmethod
    def read(cls, data: bytes, name: str) -> Dataset:
        """What a manifest says. Raises ValueError if it is none, or hashes to something else."""
        try:
            value = json.loads(data)
            dataset = cls.from_json(value)
            holds = (dataset.key, dataset.digest) == (value["key"], value["digest"])
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"manifest {name} is none ({type(error).__name__})") from None
        if not holds:
            digest = str(value["digest"])[:12]
            raise ValueError(f"manifest {name} was changed: its shards do not hash to {digest}")
        return dataset


# Tables on disk -----------------------------------------------------------------------------------
BATCH_ROWS = 4096
BATCH_BYTES = 16 * 2**20  # of Arrow buffers; a batch is what moves through memory at once


def rechunk(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches whose bounds depend on the rows alone, not on how they came.

    A batch ends at `BATCH_ROWS` rows, or with the row that fills `BATCH_BYTES`.
    """
    pending: list[pa.RecordBatch] = []
    rows = size = 0  # of what is pending
    for batch in batches:
        start, ends = 0, np.cumsum(_row_bytes(batch))  # ends[row]: bytes up to and with the row
        before = 0  # bytes of this batch that lie before `start`
        while start < batch.num_rows:
            full = int(np.searchsorted(ends, before + BATCH_BYTES - size))
            stop = min(full, start + BATCH_ROWS - rows - 1) + 1
            if stop > batch.num_rows:
                pending.append(batch.slice(start))
                rows, size = rows + batch.num_rows - start, size + int(ends[-1]) - before
                break
            pending.append(batch.slice(start, stop - start))
            yield _join(pending)
            pending, rows, size = [], 0, 0
            start, before = stop, int(ends[stop - 1])
    if pending:
        yield _join(pending)


def _row_bytes(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Bytes of each row's strings and binaries."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            lengths = pc.binary_length(column).fill_null(0)
            total += lengths.to_numpy(zero_copy_only=False)
    return total


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch with buffers of its own: a slice would carry some of its parent into the file.

    The empty head makes pyarrow copy even where there is one batch only.
    """
    return pa.concat_batches([batches[0].slice(0, 0), *batches])


def write_arrow(
    store: Store,
    folder: str,
    name: str,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    *,
    compression: Literal["zstd"] | None = None,
) -> File:
    """Write an Arrow IPC file of re-chunked batches.

    Args:
        store: The root.
        folder: Of the shard.
        name: Of the file.
        schema: Of all batches.
        batches: However they are cut, the same bytes come out.
        compression: Of each buffer, at zstd's level 1: two fifths of a text are left to be
            written, hashed, sent and read, and a batch is unpacked when it is read; None: batches
            are views of the mapped file.
    """
    rows = 0
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with (
        store.create(f"{folder}/{name}") as out,
        pa.ipc.new_file(pa.PythonFile(out, "w"), schema, options=options) as writer,
    ):
        for batch in rechunk(batches):
            rows += batch.num_rows
            writer.write_batch(batch)
    return File(name, out.sha256, out.bytes, rows)


def _open(store: Store, file: str | Ref) -> pa.NativeFile:
    if isinstance(file, str):
        return store.open(file)
    return store.open(file.path, file.sha256, file.bytes)


def read_arrow(
    store: Store, file: str | Ref, columns: Sequence[str] | None = None
) -> pa.ipc.RecordBatchFileReader:
    """Open an Arrow IPC file, a Ref verified, for all columns or these, in the file's order.

    Its batches are views of the mapped file, or unpacked, these columns alone.
    """
    opened = _open(store, file)
    reader = pa.ipc.open_file(opened)
    if columns is None:
        return reader
    fields = sorted(reader.schema.get_field_index(name) for name in columns)
    return pa.ipc.open_file(
        opened, options=pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
    )


def arrow_batches(
    store: Store, file: str | Ref, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow IPC file, one after the other: all columns or these."""
    reader = read_arrow(store, file, columns)
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def write_parquet(store: Store, folder: str, name: str, table: pa.Table) -> File:
    """Write a Parquet file, zstd, row groups of 64 Ki rows, whatever chunks the table has."""
    with store.create(f"{folder}/{name}") as out:
        pq.write_table(
            table.combine_chunks(),
            pa.PythonFile(out, "w"),
            compression="zstd",
            row_group_size=65536,
            write_statistics=True,
        )
    return File(name, out.sha256, out.bytes, table.num_rows)


def write_row_groups(store: Store, folder: str, name: str, groups: Sequence[pa.Table]) -> File:
    """Write a Parquet file, zstd, each table of which, of one schema, is a row group."""
    with (
        store.create(f"{folder}/{name}") as out,
        pq.ParquetWriter(pa.PythonFile(out, "w"), groups[0].schema, compression="zstd") as writer,
    ):
        for table in groups:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    return File(name, out.sha256, out.bytes, sum(table.num_rows for table in groups))


def open_parquet(store: Store, file: str | Ref) -> pq.ParquetFile:
    """Open a Parquet file, a Ref verified."""
    # Not `pq.read_table`: it imports datasets and pandas, 1.5 s, to read one file.
    return pq.ParquetFile(_open(store, file))


def read_parquet(store: Store, file: str | Ref, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, all columns or these; a Ref is verified."""
    return open_parquet(store, file).read(columns=None if columns is None else list(columns))
