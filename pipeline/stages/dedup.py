"""Dedup: in each component, which eligible documents are duplicates, each removal verified.

A component's eligible documents are taken from best to worst; one is dropped only if its exact
Jaccard similarity with a kept one that shares a band reaches the threshold. Nothing is dropped
along a chain of resemblances.

What that takes of each document, its verification record, is made by whoever has its text file
open, once; one shuffle brings the records of whole components together. Of a text that several
documents hold, the first alone has its shingles recorded, and none where a component holds one text
only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import ID, MINHASH, TEXT, TEXT_BYTES, TEXT_HASH
from phloem.catalog.ledger import KEPT
from phloem.catalog.manifest import (
    File,
    Kind,
    Ref,
    Shard,
    arrow_batches,
    commit,
    read_parquet,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.minhash import bands as band_hashes
from phloem.filters.minhash import jaccard, shingles
from phloem.filters.op import Op
from phloem.pipeline.grouped import grouped_here
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import Shuffle, Stage, Task, Work
from phloem.pipeline.stages import candidates
from phloem.pipeline.stages.measure import MeasuredText

Json = Any

DUPLICATES = pa.schema(
    [
        ("row", pa.int64()),
        ("duplicate_of_row", pa.int64()),
        ("similarity", pa.float64()),
        ("source", pa.string()),
        ("duplicate_of", pa.string()),
    ]
)

RECORD = pa.schema(
    [
        ("component", pa.int64()),
        ("row", pa.int64()),
        ("text", pa.int64()),
        ("is_eligible", pa.bool_()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("license_rank", pa.int64()),
        ("priority", pa.int64()),
        ("text_bytes", pa.int64()),
        ("text_hash", pa.binary()),
        ("bands", pa.binary()),
        ("shingles", pa.large_binary()),
    ]
)
"""A document's verification record.

`text` is the row whose bands and shingles are its own, since it holds the same text; they are
packed as uint32 and uint64, and empty where nothing is to be compared. One that is not eligible
only lends its own. The threshold stands in the schema's metadata: a reducer knows nothing else.
"""

BAND_BITS = 32
"""Of a band's hash, the upper ones stand in a record: two documents of one component that share no
band, and whose similarity reaches the threshold all the same, fall together in one of 28 bands once
in 150 million such pairs."""

SLOTS = 2**24
"""Most counters of shingles: a component of more than four million is counted more coarsely."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one document beside its text.

    Attributes:
        row: Its dense number.
        id: Document id.
        source: Id of the card.
        text_hash: Of the cleaned text.
        rank: Smaller is better: licence, source, length, id.
        bands: Hash of each band; empty without a signature.
    """

    row: int
    id: str
    source: str
    text_hash: bytes
    rank: tuple[int, int, int, str]
    bands: tuple[int, ...]


DEDUP = Kind("dedup", {r"duplicates-\d{5,}\.parquet": DUPLICATES}, version=3)


class DedupFile(Work):
    """A text file.

    Attributes:
        source: Id of the card.
        priority: Its place in the recipe's order.
        members: Those that hold its rows.
        clean: Its cleaned text.
        verdicts: What the rules say of its rows.
        signatures: Of its rows; None for whole texts.
    """

    source: str
    priority: int
    members: tuple[Ref, ...]
    clean: Ref
    verdicts: Ref
    signatures: Ref | None


class DedupWork(Work):
    """All components.

    Attributes:
        key: Of the shard.
        files: Text files in order.
        dedup: Bands, rows and threshold; None drops equal texts only.
        ngram: Of the shingles.
    """

    key: str
    files: tuple[DedupFile, ...]
    dedup: Dedup | None
    ngram: int


class DedupPart(Work):
    """One text file's, and the dense number of its first row; the rest is as the work's."""

    key: str
    file: DedupFile
    start: int
    dedup: Dedup | None
    ngram: int


def task(
    found: Shard,
    files: Sequence[MeasuredText],
    filtered: Sequence[Shard],
    *,
    dedup: Dedup | None,
    minhash: Op | None,
    priority: Sequence[str],
) -> Task:
    """The one task that settles all components: an engine spreads it over text files, then ranges.

    Args:
        found: The candidates.
        files: Text files in order.
        filtered: The verdicts of each.
        dedup: Bands, rows and threshold; None drops equal texts only.
        minhash: The op as the recipe binds it.
        priority: Source ids, the preferred first.
    """
    spec = {
        "dedup": dedup.model_dump() if dedup else None,
        "minhash": minhash.identity if minhash else None,
        "priority": list(priority),
        "sources": [file.text.source for file in files],
    }
    inputs, own, start = [found.digest], [], 0
    for file, verdicts in zip(files, filtered, strict=True):
        signatures = file.ops["minhash"] if dedup else None
        inputs += [file.clean.digest, verdicts.digest]
        inputs += [signatures.digest] if signatures else []
        rows = file.text.ref.rows or 0
        one = DedupFile(
            source=file.text.source,
            priority=priority.index(file.text.source),
            members=candidates.of_rows(found, start, rows),
            clean=file.clean.ref("text.arrow"),
            verdicts=verdicts.ref("verdicts.parquet"),
            signatures=signatures.ref("minhash.parquet") if signatures else None,
        )
        own.append(one)
        start += rows
    key = DEDUP.key(spec, inputs)
    ngram = minhash.identity["params"]["ngram"] if minhash else 0
    work = DedupWork(key=key, files=tuple(own), dedup=dedup, ngram=ngram)
    return STAGE.task(key, "components", work)


# A text file's records ----------------------------------------------------------------------------
def parts(work: DedupWork) -> Iterator[DedupPart]:
    """What is read of each text file, with its first dense row."""
    start = 0
    for file in work.files:
        yield DedupPart(key=work.key, file=file, start=start, dedup=work.dedup, ngram=work.ngram)
        start += file.clean.rows or 0


def blocks(store: Store, part: DedupPart) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """(key of the shard, range, records) of one text file's rows.

    There is one of the first range, though it be empty: the shard is to be written.
    """
    threshold = part.dedup.jaccard if part.dedup else 1.0
    schema = RECORD.with_metadata({"threshold": str(threshold)})
    numbers, found = _records(store, part)
    if part.start == 0 and not (numbers == 0).any():
        yield part.key, 0, pa.RecordBatch.from_pylist([], schema)
    for number in np.unique(numbers).tolist():
        own = found.take(pa.array(np.flatnonzero(numbers == number))).combine_chunks()
        (batch,) = own.to_batches()
        yield part.key, number, pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _records(store: Store, part: DedupPart) -> tuple[np.ndarray, pa.Table]:
    """The range of each record of a text file, and the records."""
    members = _members(store, part)
    own = members["row"].to_numpy() - part.start
    names = [ID.name, TEXT_HASH.name, TEXT_BYTES.name, "verdict", "license_rank"]
    verdicts = read_parquet(store, part.file.verdicts, names).take(pa.array(own))
    eligible = np.asarray(pc.equal(verdicts["verdict"], KEPT).combine_chunks())
    text = members["text"].to_numpy()
    is_first = (text < 0) & eligible | (text == members["row"].to_numpy())
    compared = is_first & members["is_mixed"].to_numpy() & (part.dedup is not None)
    rows = len(own)
    table = pa.table(
        [
            members["component"],
            members["row"],
            pa.array(np.where(text < 0, members["row"].to_numpy(), text)),
            pa.array(eligible),
            verdicts[ID.name],
            pa.array([part.file.source] * rows, pa.string()),
            verdicts["license_rank"].cast(pa.int64()),
            pa.array(np.full(rows, part.file.priority)),
            verdicts[TEXT_BYTES.name].cast(pa.int64()),
            pa.array(map(bytes.fromhex, verdicts[TEXT_HASH.name].to_pylist()), pa.binary()),
            _among(_bands(store, part, own[compared]), compared, pa.binary()),
            _among(_shingles(store, part, own[compared]), compared, pa.large_binary()),
        ],
        schema=RECORD,
    )
    sent = eligible | compared
    return members["range"].to_numpy()[sent], table.filter(pa.array(sent))


def _members(store: Store, part: DedupPart) -> pa.Table:
    """Those of a text file's rows that share a band."""
    tables = [read_parquet(store, file) for file in part.file.members]
    found = pa.concat_tables([candidates.MEMBERS.empty_table(), *tables])
    rows = found["row"].to_numpy()
    low, high = np.searchsorted(rows, [part.start, part.start + (part.file.clean.rows or 0)])
    return found.slice(low, high - low)


def _among(found: Sequence[bytes], places: np.ndarray, type_: pa.DataType) -> pa.Array:
    """Values at some places, nothing at the others."""
    values = [b""] * len(places)
    for place, value in zip(np.flatnonzero(places).tolist(), found, strict=True):
        values[place] = value
    return pa.array(values, type_)


def _bands(store: Store, part: DedupPart, own: np.ndarray) -> list[bytes]:
    """The packed band hashes of some rows of a file; empty where there is no signature."""
    if not part.dedup or not part.file.signatures or not len(own):
        return []
    table = read_parquet(store, part.file.signatures, [MINHASH.name])
    flat = pa.concat_arrays(table[MINHASH.name].take(pa.array(own)).chunks)
    hashed = band_hashes(flat, bands=part.dedup.bands, rows=part.dedup.rows)
    upper = (hashed.T.astype(np.int64).view(np.uint64) >> np.uint64(BAND_BITS)).astype("<u4")
    valid = flat.is_valid().to_pylist()
    return [upper[n].tobytes() if ok else b"" for n, ok in enumerate(valid)]


def _shingles(store: Store, part: DedupPart, own: np.ndarray) -> list[bytes]:
    """The packed shingle hashes of some rows of a file, ascending."""
    if not len(own):
        return []
    offsets, values = shingles(take_rows(store, part.file.clean, own, TEXT.name), ngram=part.ngram)
    return [values[low:high].astype("<u8").tobytes() for low, high in itertools.pairwise(offsets)]


def take_rows(store: Store, file: str | Ref, rows: np.ndarray, column: str) -> pa.Array:
    """Some rows, ascending, of one column of an Arrow file: only their batches are touched."""
    found, start = [], 0
    for batch in arrow_batches(store, file, [column]):
        inside = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
        if len(inside):
            found.append(batch[column].take(pa.array(inside)))
        start += batch.num_rows
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


# A range's components ----------------------------------------------------------------------------
def write(store: Store, key: str, number: int, found: Sequence[pa.RecordBatch]) -> File:
    """Settle one range of components, and write its duplicates by row."""
    columns = list(zip(*sorted(settled(found)), strict=True)) or [()] * len(DUPLICATES)
    arrays = [pa.array(own, field.type) for own, field in zip(columns, DUPLICATES, strict=True)]
    table = pa.table(arrays, schema=DUPLICATES)
    return write_parquet(store, f"{DEDUP.name}/{key}", f"duplicates-{number:05d}.parquet", table)


def settled(found: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, int, float, str, str]]:
    """The duplicates among the records of whole components, as rows of `DUPLICATES`."""
    threshold = float(found[0].schema.metadata[b"threshold"])
    table = pa.Table.from_batches(found)
    packed = _Packed(table["row"].to_numpy(), table["bands"], table["shingles"])
    component = table["component"].to_numpy()
    order = np.argsort(component, kind="stable")
    ends = np.flatnonzero(np.diff(component[order], append=-1)) + 1
    table = table.drop_columns(["component", "bands", "shingles"]).take(pa.array(order))
    for low, high in itertools.pairwise([0, *ends.tolist()]):
        group, hashes = _group(table.slice(low, high - low), packed)
        for loser, winner, score in duplicates(group, hashes, threshold):
            yield loser.row, winner.row, score, loser.source, winner.id


class _Packed:
    """Bands and shingles as records hold them, each unpacked when it is asked for."""

    def __init__(self, rows: np.ndarray, bands: pa.ChunkedArray, shingles: pa.ChunkedArray) -> None:
        """Of records in any order."""
        self._place = {row: place for place, row in enumerate(rows.tolist())}
        self._bands, self._shingles = bands, shingles

    def __call__(self, row: int) -> tuple[tuple[int, ...], np.ndarray]:
        """Those of a row."""
        place = self._place[row]
        bands = np.frombuffer(self._bands[place].as_buffer(), "<u4")
        found = np.frombuffer(self._shingles[place].as_buffer(), "<u8")
        return tuple(bands.tolist()), found.astype(np.uint64, copy=False)


def _group(records: pa.Table, packed: _Packed) -> tuple[list[Candidate], dict[int, np.ndarray]]:
    """The eligible documents of a component, and the shingles of each by its row."""
    names = [name for name in RECORD.names if name in records.column_names]
    columns = {name: records[name].to_pylist() for name in names}
    hash_of = dict(zip(columns["row"], columns["text_hash"], strict=True))
    unpacked: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}
    group, hashes = [], {}
    for row, text, eligible, id_, source, terms, priority, size, _ in zip(
        *columns.values(), strict=True
    ):
        if not eligible:
            continue
        # Unlike hashes: their first 64 bits fell together, and it stands alone.
        holder = text if hash_of.get(text) == hash_of[row] else row
        if holder not in unpacked:
            unpacked[holder] = packed(holder)
        bands, hashes[row] = unpacked[holder]
        rank = (terms, priority, -size, id_)
        group.append(Candidate(row, id_, source, hash_of[holder], rank, bands))
    return group, hashes


class _Kept:
    """The documents of a component that stay, so far, found by text and by rare shingles."""

    def __init__(self) -> None:
        """None yet."""
        self.by_text: dict[bytes, Candidate] = {}
        self.by_shingle: dict[int, list[Candidate]] = {}

    def add(self, candidate: Candidate, rare: Sequence[int]) -> None:
        """Keep a document."""
        self.by_text[candidate.text_hash] = candidate
        for shingle in rare:
            self.by_shingle.setdefault(shingle, []).append(candidate)

    def near(self, candidate: Candidate, rare: Sequence[int]) -> list[Candidate]:
        """Those that may reach the threshold and share a band, by row."""
        found = {n.row: n for shingle in rare for n in self.by_shingle.get(shingle, ())}
        return [
            found[row]
            for row in sorted(found)
            if any(a == b for a, b in zip(candidate.bands, found[row].bands, strict=False))
        ]


def rare_shingles(hashes: Sequence[np.ndarray], threshold: float) -> list[list[int]]:
    """Shingles of each set, one of which it shares with any other that reaches the threshold.

    Two sets of a Jaccard similarity of at least t share t of the larger. So if both are put into
    one order and the last t of each is left out, but for one, they still share a shingle (prefix
    filter: Bayardo et al. 2007; Xiao et al. 2008). The rarest come first, so that texts of one
    form and other numbers, which share all that is frequent, are not compared with each other;
    those that stand in one set alone are left out. Any order will do, as long as it is the same
    for all: shingles are counted in slots, several in one where there are many.

    Args:
        hashes: Sorted unique shingle hashes of each.
        threshold: The similarity t, 0-1.
    """
    total = sum(map(len, hashes))
    slots = min(SLOTS, 1 << (4 * total).bit_length())
    mask = np.uint64(slots - 1)
    counts = np.zeros(slots, np.int32)
    for own in hashes:
        np.add.at(counts, own & mask, 1)
    found = []
    for own in hashes:
        times = counts[own & mask]
        shared = math.ceil(threshold * len(own) - 1e-9)  # a product may be off in its last bit
        first = np.argsort(times, kind="stable")[: len(own) - shared + 1]
        found.append(own[first[times[first] > 1]].tolist())
    return found


def duplicates(
    group: Sequence[Candidate], hashes: Mapping[int, np.ndarray], threshold: float
) -> Iterator[tuple[Candidate, Candidate, float]]:
    """(dropped, the kept one it resembles, Jaccard similarity to 1e-4) within one component.

    Args:
        group: The eligible documents of the component, in any order.
        hashes: Sorted unique shingle hashes of each, by row; may lack rows of whole-text dedup.
        threshold: The least similarity at which a document is dropped.
    """
    kept = _Kept()
    none = np.zeros(0, np.uint64)
    texts = {each.text_hash: hashes.get(each.row, none) for each in group}
    rare = dict(zip(texts, rare_shingles(list(texts.values()), threshold), strict=True))
    for candidate in sorted(group, key=lambda each: each.rank):
        same = kept.by_text.get(candidate.text_hash)
        if same is not None:
            yield candidate, same, 1.0
            continue
        scored = [
            (jaccard(hashes[candidate.row], hashes[other.row]), other)
            for other in kept.near(candidate, rare[candidate.text_hash])
        ]
        best = max(scored, key=lambda pair: (pair[0], -pair[1].row), default=None)
        if best is not None and best[0] >= threshold:
            yield candidate, best[1], round(float(best[0]), 4)
        else:
            kept.add(candidate, rare[candidate.text_hash])


def commit_all(store: Store, key: str, files: Sequence[File]) -> Shard:
    """Commit all duplicates once every range is settled."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    facts = {"duplicates": sum(file.rows or 0 for file in ordered)}
    return commit(store, Shard(DEDUP.name, key, ordered, facts))


SHUFFLE = Shuffle(DedupPart, parts, blocks, write, commit_all)


def run(store: Store, key: str, work: DedupWork) -> list[Shard]:
    """Settle all components; an engine may spread this over many workers."""
    return [grouped_here(SHUFFLE, store, key, work)]


STAGE = Stage(
    "dedup",
    DedupWork,
    run,
    (DEDUP,),
    grows="documents",
    tasks="components",
    bears="dedup",
    shuffle=SHUFFLE,
)
