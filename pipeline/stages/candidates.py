"""Candidates: documents that share a band, directly or through others, joined into components.

They are found generously, since each removal is verified: see `dedup`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile

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
from phloem.filters.kernels import inlined, kernel
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
"""A document that shares a band with another, by its row, in a file for each text file.

Its component is named by the first row of it. `text` is the first row of those that hold the same
text, -1 if no other does. `is_mixed` tells whether the component holds more than one text, `range`
which components are settled together.
"""

TOLD = 3
"""Native ids that an error names."""

AT_ONCE = 2**20
"""Edges that are joined at once: 16 MB."""

RANGE_ROWS = 2**15
"""Documents of whole components that are settled together: about 70 MB of verification records."""

CANDIDATES = Kind("candidates", {r"members-\d{5,}\.parquet": MEMBERS}, version=3)


class CandidatesWork(Work):
    """All bands.

    Attributes:
        same: Edges of each range of whole texts.
        edges: Those of each range of each band of signatures.
        twice: Rows whose ids may be one, beside each other.
        rows: How many each text file has, in order.
        hashes: Names of the files of its ids and hashes: opened only where ids may be one.
        texts: Names of the text files as they were ingested: opened only to say what is wrong.
        shared: How many files each split reads that reads several, by its source and name.
    """

    same: tuple[Ref, ...]
    edges: tuple[Ref, ...]
    twice: tuple[Ref, ...]
    rows: tuple[int, ...]
    hashes: tuple[str, ...]
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
    ids, texts, *signed = bands
    cleaned = [file.clean for file in files]
    key = CANDIDATES.key({}, [shard.digest for shard in (*bands, *cleaned)])
    work = CandidatesWork(
        same=tuple(texts.ref(file.name) for file in texts.files),
        edges=tuple(shard.ref(file.name) for shard in signed for file in shard.files),
        twice=tuple(ids.ref(file.name) for file in ids.files),
        rows=tuple(file.text.ref.rows or 0 for file in files),
        hashes=tuple(shard.path("hashes.parquet") for shard in cleaned),
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

    It holds two bits for each document, and 13 bytes for each that shares a band with another.
    """
    check_ids(store, work)
    rows = sum(work.rows)
    named = Named(rows)
    with TemporaryFile() as copy:  # edges are gone through twice, and fetched once
        for file in (*work.same, *work.edges):
            for batch in arrow_batches(store, file):
                left, right = (batch[end].to_numpy().copy() for end in EDGES.names)
                mark(named.words, left, right)
                np.stack([left, right], axis=1).tofile(copy)
        count = named.close()
        parent = np.arange(count, dtype=np.int32 if count < 2**31 else np.int64)
        text = np.full_like(parent, -1)
        left_of_same = sum(file.rows or 0 for file in work.same)
        copy.seek(0)
        while (ends := np.fromfile(copy, np.int64, 2 * AT_ONCE).reshape(-1, 2)).size:
            left, right = ends.T.copy()
            union(parent, named.words, named.before, left, right)
            of_same = slice(left_of_same)
            same(text, named.words, named.before, left[of_same], right[of_same])
            left_of_same = max(0, left_of_same - len(left))
    number, is_mixed = np.zeros_like(parent), np.zeros(count, np.bool_)
    ranges, components = settle(parent, text, number, is_mixed, RANGE_ROWS)
    joined = Joined(parent, text, number, is_mixed)
    folder = f"{CANDIDATES.name}/{key}"
    files, first = [], 0
    for place, count_of_file in enumerate(work.rows):
        own = members(named, joined, first, count_of_file)
        files.append(write_parquet(store, folder, name_of(place), own))
        first += count_of_file
    facts = {"documents": rows, "candidates": count, "components": components, "ranges": ranges}
    return [commit(store, Shard(CANDIDATES.name, key, tuple(files), facts))]


def name_of(number: int) -> str:
    """Of the file that holds the members of a text file."""
    return f"members-{number:05d}.parquet"


class Named:
    """The rows that an edge names, as bits: a row's place among them is counted out of these.

    Attributes:
        words: A bit for each row, 64 to a word.
        before: How many are set before each word; what lies behind the last, too.
    """

    def __init__(self, rows: int) -> None:
        """None of so many rows yet."""
        self.words = np.zeros(-(-rows // 64), np.uint64)
        self.before = np.zeros(len(self.words) + 1, np.int32 if rows < 2**31 else np.int64)

    def close(self) -> int:
        """Count them, once all are marked."""
        count_bits(self.words, self.before)
        return int(self.before[-1])

    def among(self, first: int, rows: int) -> tuple[np.ndarray, int]:
        """The named rows among some, and the place of the first of them."""
        word, skipped = divmod(first, 64)
        own = self.words[word : -(-(first + rows) // 64)]
        bits = np.unpackbits(own.astype("<u8").view(np.uint8), bitorder="little")
        place = int(self.before[word]) + int(bits[:skipped].sum())
        return np.flatnonzero(bits[skipped : skipped + rows]) + first, place


@dataclass(frozen=True)
class Joined:
    """What is known of each member, by its place.

    Attributes:
        parent: The place of the first of its component.
        text: The place of the first that holds the same text; -1 if none else does.
        number: The range, where it is the first of its component.
        is_mixed: There, too: whether the component holds more than one text.
    """

    parent: np.ndarray
    text: np.ndarray
    number: np.ndarray
    is_mixed: np.ndarray


def members(named: Named, joined: Joined, first: int, count: int) -> pa.Table:
    """The members among so many rows from `first` on, as `MEMBERS` has them."""
    rows, place = named.among(first, count)
    own = slice(place, place + len(rows))
    roots, texts = joined.parent[own], joined.text[own]
    columns = [
        pa.array(rows),
        pa.array(row_of(roots.astype(np.int64), named.words, named.before)),
        pa.array(row_of(texts.astype(np.int64), named.words, named.before)),
        pa.array(joined.is_mixed[roots]),
        pa.array(joined.number[roots].astype(np.int32)),
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
    for file, count in zip(work.hashes, work.rows, strict=True):
        bounds = np.searchsorted(wanted, [start, start + count])
        own = wanted[slice(*bounds)] - start
        ids += read_parquet(store, file, [ID.name])[ID.name].take(pa.array(own)).to_pylist()
        start += count
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
    """Compile all loops ahead of the first edge."""
    named, column = Named(1), np.zeros(1, np.int64)
    mark(named.words, column, column)
    parent = np.arange(named.close(), dtype=np.int32)
    text = np.full_like(parent, -1)
    union(parent, named.words, named.before, column, column)
    same(text, named.words, named.before, column, column)
    settle(parent, text, text.copy(), np.zeros(1, np.bool_), 1)
    row_of(np.zeros(1, np.int64), named.words, named.before)


@inlined
def bits(word: np.uint64) -> np.int64:
    """How many bits of a word are set (Warren, Hacker's Delight, 5-1)."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inlined
def place_of(row: np.int64, words: np.ndarray, before: np.ndarray) -> np.int64:
    """The place of a named row among all that are named."""
    below = (np.uint64(1) << np.uint64(row & 63)) - np.uint64(1)
    place: np.int64 = before[row >> 6] + bits(words[row >> 6] & below)
    return place


@kernel
def mark(words: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Set the bits of both ends of each edge."""
    for i in range(len(left)):
        words[left[i] >> 6] |= np.uint64(1) << np.uint64(left[i] & 63)
        words[right[i] >> 6] |= np.uint64(1) << np.uint64(right[i] & 63)


@kernel
def count_bits(words: np.ndarray, before: np.ndarray) -> None:
    """How many bits are set before each word."""
    for i in range(len(words)):
        before[i + 1] = before[i] + bits(words[i])


@kernel
def row_of(places: np.ndarray, words: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The rows at some places; -1 for -1."""
    rows = np.full(len(places), -1, np.int64)
    for i in range(len(places)):
        if places[i] < 0:
            continue
        at = np.searchsorted(before, places[i], side="right") - 1
        word = words[at]
        for _ in range(places[i] - before[at]):
            word &= word - np.uint64(1)
        rows[i] = at * 64 + bits((word & (~word + np.uint64(1))) - np.uint64(1))
    return rows


@kernel
def union(
    parent: np.ndarray, words: np.ndarray, before: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    """Join the trees of each edge, the smaller row becoming the root (Tarjan, path halving)."""
    for i in range(len(left)):
        a = place_of(left[i], words, before)
        b = place_of(right[i], words, before)
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
def same(
    text: np.ndarray, words: np.ndarray, before: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    """Note the first that holds the text of each, out of edges that begin at it."""
    for i in range(len(left)):
        first = place_of(left[i], words, before)
        text[first] = first
        text[place_of(right[i], words, before)] = first


@kernel
def settle(
    parent: np.ndarray, text: np.ndarray, number: np.ndarray, is_mixed: np.ndarray, rows: int
) -> tuple[int, int]:
    """Flatten all trees, and tell of each root its range and whether texts differ below it.

    Whole components in the order of their roots fill a range: one that goes beyond `rows` ends it.

    Returns:
        (ranges, components).
    """
    for i in range(len(parent)):
        root = parent[parent[i]]  # which lies before it: it is flat already
        parent[i] = root
        number[root] += 1
        if i != root and (text[i] < 0 or text[i] != text[root]):
            is_mixed[root] = True
    total = components = 0
    ranges = 0
    for i in range(len(parent)):
        if parent[i] == i:
            size = number[i]
            number[i] = ranges
            components += 1
            total += size
            if total >= rows:
                ranges += 1
                total = 0
    return max(1, ranges + (total > 0)), components


STAGE = Stage(
    "candidates", CandidatesWork, run, (CANDIDATES,), grows="documents", tasks="one", bears="dedup"
)
