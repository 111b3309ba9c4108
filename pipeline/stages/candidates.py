"""Nominate: which documents may be near duplicates, one band of the signatures at a time.

Nothing here depends on a rule: a moved threshold leaves bands and components as they are.
A document is addressed by its dense row number: its place in the sequence of all text files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
import pyarrow as pa

from phloem.catalog.columns import ID, MINHASH, TEXT_BYTES, TEXT_HASH
from phloem.catalog.manifest import (
    File,
    Shard,
    commit,
    read_arrow,
    read_parquet,
    write_arrow,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.minhash import band as band_hashes
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import StageError, Task, shard_key
from phloem.pipeline.stages.measure import Measured

Json = Any

EXACT = -1  # the band of the whole text's hash
PAIR_BYTES = 16  # a hash and a row: what crosses a shuffle of each document
RANGE_ROWS = 4_000_000  # rows that one reducer sorts: about 64 MB of (hash, row)

BLOCK = pa.schema([("hash", pa.int64()), ("row", pa.int64())])
EDGES = pa.schema([("row", pa.int64()), ("other", pa.int64())])
COMPONENTS = pa.schema([("component", pa.int64()), ("row", pa.int64())])


def band_tasks(files: Sequence[Measured], dedup: Dedup | None) -> list[Task]:
    """One task for each band, and one for whole texts.

    Args:
        files: Text files in order: their rows make the dense row numbers.
        dedup: Bands and rows; None finds whole texts only.
    """
    rows = sum(file.text.file.rows or 0 for file in files)
    ranges = max(1, -(-rows // RANGE_ROWS))
    made = []
    for band in [EXACT, *range(dedup.bands if dedup else 0)]:
        shards = [file.clean if band == EXACT else file.ops["minhash"] for file in files]
        name = "hashes.parquet" if band == EXACT else "minhash.parquet"
        spec = {"band": band, "rows": dedup.rows if dedup else None, "ranges": ranges}
        key = shard_key("bands", spec, [shard.file(name).sha256 for shard in shards])
        work = {**spec, "key": key, "files": [[s.path(name), s.file(name).rows] for s in shards]}
        label = "whole texts" if band == EXACT else f"band {band}"
        size = sum(shard.file(name).bytes for shard in shards)
        made.append(Task("bands", (("bands", key),), label, size, work, PAIR_BYTES * rows))
    return made


def parts(task: Task) -> Iterator[Json]:
    """The files of a band task, each with its first dense row: what Beam spreads."""
    start = 0
    for name, rows in task.work["files"]:
        yield {
            **{k: task.work[k] for k in ("band", "rows", "ranges")},
            "file": name,
            "start": start,
        }
        start += rows


def blocks(store: Store, part: Json) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(range, block of hashes and rows) of one file's rows in one band."""
    if part["band"] == EXACT:
        table = read_parquet(store, part["file"], [TEXT_HASH.name, TEXT_BYTES.name])
        hashes, valid = _hash_column(table[TEXT_HASH.name])
        valid &= table[TEXT_BYTES.name].fill_null(0).to_numpy() > 0  # empty texts are no duplicates
    else:
        column = read_parquet(store, part["file"], [MINHASH.name])[MINHASH.name]
        signatures = column.combine_chunks()
        if isinstance(signatures, pa.ChunkedArray):
            signatures = pa.concat_arrays(signatures.chunks or [pa.array([], MINHASH.type)])
        hashes = band_hashes(signatures, number=part["band"], rows=part["rows"])
        valid = np.asarray(signatures.is_valid())
    numbers = np.flatnonzero(valid)
    hashes = hashes[numbers]
    owner = (hashes.view(np.uint64) % np.uint64(part["ranges"])).astype(np.int64)
    for number in range(part["ranges"]):
        mine = owner == number
        if mine.any():
            arrays = [pa.array(hashes[mine]), pa.array(numbers[mine] + part["start"])]
            yield number, pa.RecordBatch.from_arrays(arrays, schema=BLOCK)


def _hash_column(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The first 64 bits of hexadecimal hashes, signed."""
    texts = column.to_pylist()
    values = [0 if text is None else int(text[:16], 16) for text in texts]
    hashes = np.array(values, dtype=np.uint64).view(np.int64)
    return hashes, np.array([text is not None for text in texts], dtype=bool)


def edges(found: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The first row of each group that shares a hash, beside each other row of the group.

    The order in which blocks come does not matter.
    """
    hashes = np.concatenate([batch["hash"].to_numpy() for batch in found])
    rows = np.concatenate([batch["row"].to_numpy() for batch in found])
    order = np.lexsort((rows, hashes))
    hashes, rows = hashes[order], rows[order]
    first = np.ones(len(hashes), dtype=bool)
    first[1:] = hashes[1:] != hashes[:-1]
    leaders = rows[np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))]
    arrays = [pa.array(leaders[~first]), pa.array(rows[~first])]
    return pa.RecordBatch.from_arrays(arrays, schema=EDGES)


def write_edges(store: Store, key: str, number: int, batch: pa.RecordBatch) -> File:
    """Write one range's edges into the band's folder."""
    return write_arrow(store, f"bands/{key}", f"edges-{number:05d}.arrow", EDGES, iter([batch]))


def commit_band(store: Store, key: str, files: Sequence[File]) -> Shard:
    """Commit a band once all its ranges are written."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    return commit(store, Shard("bands", key, ordered, {"edges": sum(f.rows or 0 for f in ordered)}))


def run_band(store: Store, task: Task) -> list[Shard]:
    """Do a whole band in this process: what the Beam transform does spread out."""
    ((_, key),) = task.makes
    by_range = {0: [pa.RecordBatch.from_pylist([], schema=BLOCK)]}
    for part in parts(task):
        for number, block in blocks(store, part):
            by_range.setdefault(number, []).append(block)
    files = [write_edges(store, key, n, edges(found)) for n, found in sorted(by_range.items())]
    return [commit_band(store, key, files)]


def component_task(bands: Sequence[Shard], files: Sequence[Measured]) -> Task:
    """The one task that joins all bands' edges into components, and checks that ids are unique."""
    cleaned = [file.clean for file in files]
    inputs = [shard.digest for shard in (*bands, *cleaned)]
    key = shard_key("candidates", {}, inputs)
    work = {
        "edges": [shard.path(file.name) for shard in bands for file in shard.files],
        "hashes": [[s.path("hashes.parquet"), s.file("hashes.parquet").rows] for s in cleaned],
    }
    size = sum(shard.bytes for shard in bands)
    return Task("candidates", (("candidates", key),), "components", size, work)


def run_components(store: Store, task: Task) -> list[Shard]:
    """Union-find over all edges; writes the members of every component of two or more."""
    ((stage, key),) = task.makes
    _check_ids(store, task.work["hashes"])
    rows = sum(count for _, count in task.work["hashes"])
    parent = np.arange(rows, dtype=np.int64)
    for name in task.work["edges"]:
        reader = read_arrow(store, name)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            _union(parent, batch["row"].to_numpy(), batch["other"].to_numpy())
    members = np.flatnonzero(_shared(parent))
    roots = parent[members]
    order = np.lexsort((members, roots))
    table = pa.table([pa.array(roots[order]), pa.array(members[order])], schema=COMPONENTS)
    file = write_parquet(store, f"{stage}/{key}", "components.parquet", table)
    facts = {"documents": rows, "candidates": len(members), "components": len(np.unique(roots))}
    return [commit(store, Shard(stage, key, (file,), facts))]


def _check_ids(store: Store, hashes: Sequence[Sequence[Json]]) -> None:
    """Raise StageError if one id stands for two documents."""
    columns = [read_parquet(store, name, [ID.name])[ID.name] for name, _ in hashes]
    digits = [np.array(column.to_pylist(), dtype="S32") for column in columns if len(column)]
    ids = np.sort(np.concatenate(digits)) if digits else np.array([], dtype="S32")
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        msg = (
            f"{len(twice)} document ids stand for two documents each, the first"
            f" {twice[0].decode()}: splits of one source gave the same native id; make the card's"
            " id column unique"
        )
        raise StageError(msg)


@numba.njit(cache=True)
def _union(parent: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Join the trees of each pair, the smaller row becoming the root (Tarjan, path halving)."""
    for i in range(len(left)):
        a = left[i]
        b = right[i]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b


@numba.njit(cache=True)
def _shared(parent: np.ndarray) -> np.ndarray:
    """Flatten all trees; whether each row is in a component of two or more."""
    size = np.zeros(len(parent), dtype=np.int64)
    for i in range(len(parent)):
        root = i
        while parent[root] != root:
            root = parent[root]
        parent[i] = root
        size[root] += 1
    shared = np.zeros(len(parent), dtype=np.bool_)
    for i in range(len(parent)):
        shared[i] = size[parent[i]] > 1
    return shared
