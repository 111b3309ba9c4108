"""Candidates: documents that share a band, directly or through others, joined into components.

They are found generously, since each removal is verified: see `dedup`.
"""

from __future__ import annotations

import itertools
from collections import Counter
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
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.kernels import kernel
from phloem.pipeline.reading import Reading
from phloem.pipeline.stage import Stage, StageError, Task, Work
from phloem.pipeline.stages.bands import EDGES
from phloem.pipeline.stages.ingest import ONCE, several
from phloem.pipeline.stages.measure import MeasuredText

MEMBERS = pa.schema(
    [
        ("row", pa.int64()),
        ("component", pa.int64()),
        ("text", pa.int64()),
        ("is_mixed", pa.bool_()),
        ("range", pa.int32()),
    ]
)
"""A document that shares a band with another, in the order of the rows: its component, named by the
first row of it; the first row of those that hold the same text, -1 if no other does; whether the
component holds more than one text; and the range of components that is settled together.
"""

TOLD = 3
"""Native ids that an error names."""

MEMBER_ROWS = 2**20
"""Documents whose members lie in one file: a text file of 28,000 documents stands in one or two."""

RANGE_ROWS = 2**15
"""Documents of whole components that are settled together: about 70 MB of verification records."""

CANDIDATES = Kind("candidates", {r"members-\d{5,}\.parquet": MEMBERS}, version=3)


class CandidatesWork(Work):
    """All bands.

    Attributes:
        edges: Of each range of each band.
        same: Of those, the ones of whole texts.
        twice: Rows whose ids may be one, beside each other.
        hashes: Ids and hashes of each text file, in order.
        texts: Names of the text files as they were ingested: opened only to say what is wrong.
        shared: How many files each split reads that reads several, by its source and name.
    """

    edges: tuple[Ref, ...]
    same: tuple[Ref, ...]
    twice: tuple[Ref, ...]
    hashes: tuple[Ref, ...]
    texts: tuple[str, ...]
    shared: Mapping[str, int]


def task(
    bands: Sequence[Shard], files: Sequence[MeasuredText], readings: Sequence[Reading]
) -> Task:
    """The one task that joins all bands' edges into components, and checks that ids are unique.

    Args:
        bands: That of ids, that of whole texts, and those of signatures.
        files: Text files in order.
        readings: What was read, to say where an id was given twice.
    """
    ids, texts, *_ = bands
    cleaned = [file.clean for file in files]
    key = CANDIDATES.key({}, [shard.digest for shard in (*bands, *cleaned)])
    work = CandidatesWork(
        edges=tuple(shard.ref(file.name) for shard in bands[1:] for file in shard.files),
        same=tuple(texts.ref(file.name) for file in texts.files),
        twice=tuple(ids.ref(file.name) for file in ids.files),
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
    """Union-find over all edges; writes the members of every component of two or more, by row.

    It holds a bit for each document, and 16 bytes for each that shares a band with another.
    """
    check_ids(store, work)
    rows = sum(file.rows or 0 for file in work.hashes)
    members = _members(store, work.edges, rows)
    parent = np.arange(len(members), dtype=np.int32 if len(members) < 2**31 else np.int64)
    for left, right in _joined(store, work.edges, members):
        _union(parent, left, right)
    _flatten(parent)
    text = np.full_like(parent, -1)
    for left, right in _joined(store, work.same, members):
        text[left], text[right] = left, left
    folder = f"{CANDIDATES.name}/{key}"
    table = components(members, parent, text)
    bounds = np.searchsorted(members, np.arange(0, rows + MEMBER_ROWS, MEMBER_ROWS))
    files = tuple(
        write_parquet(store, folder, name_of(number), table.slice(low, high - low))
        for number, (low, high) in enumerate(itertools.pairwise(bounds.tolist()))
    )
    ranges = 1 + max(table["range"].to_numpy(), default=0)
    facts = {
        "documents": rows,
        "candidates": len(members),
        "components": int((parent == np.arange(len(parent))).sum()),
        "ranges": int(ranges),
    }
    return [commit(store, Shard(CANDIDATES.name, key, files, facts))]


def name_of(number: int) -> str:
    """Of the file that holds the members among so many rows."""
    return f"members-{number:05d}.parquet"


def of_rows(shard: Shard, start: int, rows: int) -> tuple[Ref, ...]:
    """The files in which the members of a run of rows stand."""
    numbers = range(start // MEMBER_ROWS, -(-(start + rows) // MEMBER_ROWS))
    return tuple(shard.ref(name_of(number)) for number in numbers)


def _members(store: Store, edges: Sequence[Ref], rows: int) -> np.ndarray:
    """The rows that an edge names, ascending."""
    named = np.zeros(rows, dtype=np.bool_)
    for file in edges:
        for batch in arrow_batches(store, file):
            named[batch["row"].to_numpy()] = True
            named[batch["other"].to_numpy()] = True
    return np.flatnonzero(named)


def _joined(
    store: Store, edges: Sequence[Ref], members: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both ends of edges, as places among the members."""
    for file in edges:
        for batch in arrow_batches(store, file):
            left, right = batch["row"].to_numpy(), batch["other"].to_numpy()
            yield np.searchsorted(members, left), np.searchsorted(members, right)


def components(members: np.ndarray, parent: np.ndarray, text: np.ndarray) -> pa.Table:
    """The members as `MEMBERS` has them.

    Args:
        members: Rows, ascending.
        parent: The place of the first of its component, for each.
        text: The place of the first that holds the same text, for each; -1 if none else does.
    """
    size = np.bincount(parent, minlength=len(members))
    own = np.arange(len(members))
    texts = np.bincount(parent[(text < 0) | (text == own)], minlength=len(members))
    # Whole components in the order of their first rows: a range ends with the one that fills it.
    numbers = (np.cumsum(size) - size) // RANGE_ROWS
    columns = [
        pa.array(members),
        pa.array(members[parent]),
        pa.array(np.where(text < 0, -1, members[text])),
        pa.array(texts[parent] > 1),
        pa.array(numbers[parent].astype(np.int32)),
    ]
    return pa.table(columns, schema=MEMBERS)


def check_ids(store: Store, work: CandidatesWork) -> None:
    """Raise StageError if one id stands for two documents, with their native ids and their splits.

    One split has told it before, as it was ingested.
    """
    rows = [
        batch[end].to_numpy()
        for file in work.twice
        for batch in arrow_batches(store, file)
        for end in EDGES.names
    ]
    if not rows:
        return
    ids, start = [], 0
    wanted = np.unique(np.concatenate(rows))
    for file in work.hashes:
        bounds = np.searchsorted(wanted, [start, start + (file.rows or 0)])
        own = wanted[slice(*bounds)] - start
        ids += read_parquet(store, file, [ID.name])[ID.name].take(pa.array(own)).to_pylist()
        start += file.rows or 0
    twice = sorted(id_ for id_, times in Counter(ids).items() if times > 1)
    if twice:
        more = f" and {len(twice) - TOLD:,} more" if len(twice) > TOLD else ""
        told = "; ".join(_places(store, twice[:TOLD], work))
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
    """Compile both loops ahead of the first edge."""
    parent, column = np.arange(1, dtype=np.int32), np.zeros(1, dtype=np.int64)
    _union(parent, column, column)
    _flatten(parent)


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
def _flatten(parent: np.ndarray) -> None:
    """Let each name the root of its tree, which lies before it."""
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]


STAGE = Stage(
    "candidates", CandidatesWork, run, (CANDIDATES,), grows="documents", tasks="one", bears="dedup"
)
