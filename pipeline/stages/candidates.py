"""Candidates: documents that share a band, directly or through others, joined into components.

They are found generously, since each removal is verified: see `dedup`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import ID, NATIVE_ID
from phloem.catalog.manifest import (
    Kind,
    Ref,
    Shard,
    arrow_batches,
    commit,
    read_arrow,
    read_parquet,
    write_row_groups,
)
from phloem.catalog.store import Store
from phloem.filters.kernels import kernel
from phloem.pipeline.reading import Reading
from phloem.pipeline.stage import Stage, StageError, Task, Work
from phloem.pipeline.stages.ingest import ONCE, several
from phloem.pipeline.stages.measure import MeasuredText

COMPONENTS = pa.schema([("component", pa.int64()), ("row", pa.int64())])

TOLD = 3
"""Native ids that an error names."""

CHUNK_ROWS = 4096
"""Documents of whole components that one task compares: their texts are in its memory."""

FILE_CHUNKS = 16
"""Each a row group of its file: a task that compares one opens few that are not its own."""

CANDIDATES = Kind("candidates", {r"components(-\d{5,})?\.parquet": COMPONENTS}, version=2)


class CandidatesWork(Work):
    """All bands.

    Attributes:
        edges: Of each range of each band.
        hashes: Ids and hashes of each text file, in order.
        texts: Names of the text files as they were ingested: opened only to say what is wrong.
        shared: How many files each split reads that reads several, by its source and name.
    """

    edges: tuple[Ref, ...]
    hashes: tuple[Ref, ...]
    texts: tuple[str, ...]
    shared: Mapping[str, int]


def task(
    bands: Sequence[Shard], files: Sequence[MeasuredText], readings: Sequence[Reading]
) -> Task:
    """The one task that joins all bands' edges into components, and checks that ids are unique."""
    cleaned = [file.clean for file in files]
    key = CANDIDATES.key({}, [shard.digest for shard in (*bands, *cleaned)])
    work = CandidatesWork(
        edges=tuple(shard.ref(file.name) for shard in bands for file in shard.files),
        hashes=tuple(shard.ref("hashes.parquet") for shard in cleaned),
        texts=tuple(file.text.ref.path for file in files),
        shared={
            f"{reading.card.id} {split.name}": len(split.files)
            for reading in readings
            for split in reading.splits
            if len(split.files) > 1
        },
    )
    return STAGE.task(key, "components", work)


def run(store: Store, key: str, work: CandidatesWork) -> list[Shard]:
    """Union-find over all edges; writes the members of every component of two or more.

    A row group holds the members of some whole components.
    """
    check_ids(store, work)
    rows = sum(file.rows or 0 for file in work.hashes)
    parent = np.arange(rows, dtype=np.int64)
    for file in work.edges:
        for batch in arrow_batches(store, file):
            _union(parent, batch["row"].to_numpy(), batch["other"].to_numpy())
    members = np.flatnonzero(_shared(parent))
    roots = parent[members]
    order = np.lexsort((members, roots))
    table = pa.table([pa.array(roots[order]), pa.array(members[order])], schema=COMPONENTS)
    found = [table.slice(low, high - low) for low, high in chunks(roots[order])]
    folder = f"{CANDIDATES.name}/{key}"
    files = tuple(
        write_row_groups(store, folder, _name(first), found[first : first + FILE_CHUNKS])
        for first in range(0, len(found), FILE_CHUNKS)
    )
    facts = {"documents": rows, "candidates": len(members), "components": len(np.unique(roots))}
    return [commit(store, Shard(CANDIDATES.name, key, files, facts))]


def _name(first: int) -> str:
    return f"components-{first // FILE_CHUNKS:05d}.parquet"


def chunks(components: np.ndarray) -> list[tuple[int, int]]:
    """Bounds of runs of whole components of about `CHUNK_ROWS` rows; the components are sorted."""
    ends = np.flatnonzero(np.diff(components, append=-1)) + 1
    bounds, start = [], 0
    for end in ends.tolist():
        if end - start >= CHUNK_ROWS or end == len(components):
            bounds.append((start, end))
            start = end
    return bounds


def check_ids(store: Store, work: CandidatesWork) -> None:
    """Raise StageError if one id stands for two documents, with their native ids and their splits.

    One split has told it before, as it was ingested.
    """
    columns = [read_parquet(store, file, [ID.name])[ID.name] for file in work.hashes]
    digits = [np.array(column.to_pylist(), dtype="S32") for column in columns if len(column)]
    ids = np.sort(np.concatenate(digits)) if digits else np.array([], dtype="S32")
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        first = [each.decode() for each in np.unique(twice)[:TOLD]]
        more = f" and {len(np.unique(twice)) - TOLD:,} more" if len(np.unique(twice)) > TOLD else ""
        told = "; ".join(_places(store, first, work))
        raise StageError(f"{told}{more}; {ONCE}")


def _places(store: Store, ids: Sequence[str], work: CandidatesWork) -> Iterator[str]:
    """Of each of these ids the source, the native id, and the splits that gave it."""
    names: dict[str, tuple[str, str]] = {}
    splits: dict[str, list[str]] = {each: [] for each in ids}
    for file in work.texts:
        reader = read_arrow(store, file, [ID.name, NATIVE_ID.name])
        said = {key.decode(): value.decode() for key, value in reader.schema.metadata.items()}
        count = work.shared.get(f"{said['source']} {said['split']}", 0)
        where = f"one of the {count:,} files read with {said['split']}" if count else said["split"]
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for row in batch.filter(pc.is_in(batch[ID.name], pa.array(ids))).to_pylist():
                names[row[ID.name]] = said["source"], row[NATIVE_ID.name]
                splits[row[ID.name]].append(where)
    return (several(*names[each], splits[each]) for each in ids)


def compile_kernels() -> None:
    """Compile both loops ahead of the first edge, for columns as Arrow hands them out."""
    parent, column = np.arange(1), pa.array([0]).to_numpy()
    _union(parent, column, column)
    _shared(parent)


@kernel
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


@kernel
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


STAGE = Stage(
    "candidates", CandidatesWork, run, (CANDIDATES,), grows="documents", tasks="one", bears="dedup"
)
