"""Bands: which documents share a band of their signatures, or their text, or even their id.

Nothing here depends on a rule: a moved threshold leaves bands and candidates as they are.
A document is addressed by its dense row number: its place in the sequence of all text files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import ID, MINHASH, TEXT_BYTES, TEXT_HASH
from phloem.catalog.manifest import File, Kind, Ref, Shard, commit, read_parquet, write_arrow
from phloem.catalog.store import Store
from phloem.filters.minhash import band as band_hashes
from phloem.pipeline.grouped import grouped_here
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import Shuffle, Stage, Task, Work
from phloem.pipeline.stages.measure import MeasuredText

EXACT = -1  # the band of the whole text's hash
IDS = -2  # that of the document's id: nobody may share it, see `candidates`
PAIR_BYTES = 16  # a hash and a row: what crosses a shuffle of each document in each band
RANGE_ROWS = 4_000_000  # rows that one reducer sorts: about 64 MB of (hash, row)

BLOCK = pa.schema([("hash", pa.int64()), ("row", pa.int64())])
EDGES = pa.schema([("row", pa.int64()), ("other", pa.int64())])


BANDS = Kind("bands", {r"edges-\d{5,}\.arrow": EDGES})


class Band(Work):
    """A band, and the key of its shard; its number is EXACT for whole texts, IDS for ids."""

    number: int
    key: str


class BandsWork(Work):
    """Some bands of all documents.

    Attributes:
        bands: Which.
        rows: Hashes of a signature that make a band; None if there are no signatures.
        ranges: Into how many the hashes are shared out.
        hashes: Ids and whole texts' of each text file in order; none if neither is asked for.
        signatures: Of each text file in order; none if no band of them is asked for.
    """

    bands: tuple[Band, ...]
    rows: int | None
    ranges: int
    hashes: tuple[Ref, ...] = ()
    signatures: tuple[Ref, ...] = ()


class BandsPart(Work):
    """One text file's, and the dense number of its first row; the rest is as the work's."""

    bands: tuple[Band, ...]
    rows: int | None
    ranges: int
    hashes: Ref | None
    signatures: Ref | None
    start: int


def task(files: Sequence[MeasuredText], dedup: Dedup | None) -> Task:
    """The one task of all bands: it reads each signature once for them.

    Which bands a task takes together is in no key.

    Args:
        files: Text files in order: their rows make the dense row numbers.
        dedup: Bands and rows; None finds whole texts only.
    """
    rows = sum(file.text.ref.rows or 0 for file in files)
    ranges = max(1, -(-rows // RANGE_ROWS))
    hashes = tuple(file.clean.ref("hashes.parquet") for file in files)
    signatures = tuple(file.ops["minhash"].ref("minhash.parquet") for file in files if dedup)
    found = []
    for number in [IDS, EXACT, *range(dedup.bands if dedup else 0)]:
        spec = {"band": number, "rows": dedup.rows if dedup else None, "ranges": ranges}
        read = hashes if number < 0 else signatures
        found.append(Band(number=number, key=BANDS.key(spec, [file.sha256 for file in read])))
    work = BandsWork(
        bands=tuple(found),
        rows=dedup.rows if dedup else None,
        ranges=ranges,
        hashes=hashes,
        signatures=signatures,
    )
    makes = tuple((BANDS.name, band.key) for band in found)
    held = PAIR_BYTES * min(rows, RANGE_ROWS)
    return Task(STAGE.name, makes, label([band.number for band in found]), work, held)


def label(numbers: Sequence[int]) -> str:
    """What a person sees of some bands, in order."""
    other = {IDS: "ids", EXACT: "whole texts"}
    names = [other.get(number, f"band {number}") for number in numbers]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def parts(work: BandsWork) -> Iterator[BandsPart]:
    """What is read of each text file, with its first dense row."""
    start = 0
    for hashes, signatures in itertools.zip_longest(work.hashes, work.signatures):
        yield BandsPart(
            bands=work.bands,
            rows=work.rows,
            ranges=work.ranges,
            hashes=hashes,
            signatures=signatures,
            start=start,
        )
        start += (hashes or signatures).rows or 0


def blocks(store: Store, part: BandsPart) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """(key of a band, range, block of hashes and rows) of one text file's rows.

    There is one of each band's first range, though it be empty: each band is to be written.
    """
    for key, hashes, valid in _hashed(store, part):
        numbers = np.flatnonzero(valid)
        found = hashes[numbers]
        owner = (found.view(np.uint64) % np.uint64(part.ranges)).astype(np.int64)
        for number in range(part.ranges):
            mine = owner == number
            if number == 0 or mine.any():
                arrays = [pa.array(found[mine]), pa.array(numbers[mine] + part.start)]
                yield key, number, pa.RecordBatch.from_arrays(arrays, schema=BLOCK)


def _hashed(store: Store, part: BandsPart) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(key of a band, hash of each row in it, which rows have one): each file is read once."""
    if part.hashes:
        table = read_parquet(store, part.hashes, [ID.name, TEXT_HASH.name, TEXT_BYTES.name])
        for band in part.bands:
            if band.number == IDS:
                yield band.key, *_hash_column(table[ID.name])
            elif band.number == EXACT:
                yield band.key, *_whole_texts(table)
    if part.signatures:
        table = read_parquet(store, part.signatures, [MINHASH.name])
        signatures = table[MINHASH.name].combine_chunks()
        valid = np.asarray(signatures.is_valid())
        for band in part.bands:
            if band.number >= 0:
                hashes = band_hashes(signatures, number=band.number, rows=part.rows or 0)
                yield band.key, hashes, valid


def _whole_texts(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of whole texts, and which rows have one: empty texts are no duplicates."""
    hashes, valid = _hash_column(table[TEXT_HASH.name])
    return hashes, valid & (table[TEXT_BYTES.name].fill_null(0).to_numpy() > 0)


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


def write(store: Store, key: str, number: int, found: Sequence[pa.RecordBatch]) -> File:
    """Write one range's edges into the band's folder."""
    name = f"edges-{number:05d}.arrow"
    return write_arrow(store, f"{BANDS.name}/{key}", name, EDGES, iter([edges(found)]))


def commit_band(store: Store, key: str, files: Sequence[File]) -> Shard:
    """Commit a band once all its ranges are written."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    facts = {"edges": sum(file.rows or 0 for file in ordered)}
    return commit(store, Shard(BANDS.name, key, ordered, facts))


SHUFFLE = Shuffle(BandsPart, parts, blocks, write, commit_band)


def run(store: Store, key: str, work: BandsWork) -> list[Shard]:  # noqa: ARG001 - it has several
    """Join the rows that share a band; an engine may spread this over many workers."""
    return grouped_here(SHUFFLE, store, [band.key for band in work.bands], work)


STAGE = Stage(
    "bands",
    BandsWork,
    run,
    (BANDS,),
    grows="documents",
    tasks="bands",
    bears="dedup",
    shuffle=SHUFFLE,
)
