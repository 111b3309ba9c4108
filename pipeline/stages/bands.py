"""Bands: which documents share a band of their signatures, one band at a time.

Nothing here depends on a rule: a moved threshold leaves bands and candidates as they are.
A document is addressed by its dense row number: its place in the sequence of all text files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import MINHASH, TEXT_BYTES, TEXT_HASH
from phloem.catalog.manifest import File, Kind, Ref, Shard, commit, read_parquet, write_arrow
from phloem.catalog.store import Store
from phloem.filters.minhash import band as band_hashes
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import Shuffle, Stage, Task, Work
from phloem.pipeline.stages.measure import MeasuredText

EXACT = -1  # the band of the whole text's hash
PAIR_BYTES = 16  # a hash and a row: what crosses a shuffle of each document
RANGE_ROWS = 4_000_000  # rows that one reducer sorts: about 64 MB of (hash, row)

BLOCK = pa.schema([("hash", pa.int64()), ("row", pa.int64())])
EDGES = pa.schema([("row", pa.int64()), ("other", pa.int64())])


BANDS = Kind("bands", {r"edges-\d{5,}\.arrow": EDGES})


class BandsWork(Work):
    """One band of all documents.

    Attributes:
        band: Its number; EXACT for whole texts.
        rows: Hashes of a signature that make a band; None for whole texts.
        ranges: Into how many the hashes are shared out.
        key: Of the band.
        files: The signatures, or the hashes, of each text file in order.
    """

    band: int
    rows: int | None
    ranges: int
    key: str
    files: tuple[Ref, ...]


class BandsPart(Work):
    """One file of a band, and the dense number of its first row; the rest is as the band's."""

    band: int
    rows: int | None
    ranges: int
    key: str
    file: Ref
    start: int


def tasks(files: Sequence[MeasuredText], dedup: Dedup | None) -> list[Task]:
    """One task for each band, and one for whole texts.

    Args:
        files: Text files in order: their rows make the dense row numbers.
        dedup: Bands and rows; None finds whole texts only.
    """
    rows = sum(file.text.ref.rows or 0 for file in files)
    ranges = max(1, -(-rows // RANGE_ROWS))
    made = []
    for band in [EXACT, *range(dedup.bands if dedup else 0)]:
        name = "hashes.parquet" if band == EXACT else "minhash.parquet"
        shards = [file.clean if band == EXACT else file.ops["minhash"] for file in files]
        own = [shard.ref(name) for shard in shards]
        spec = {"band": band, "rows": dedup.rows if dedup else None, "ranges": ranges}
        key = BANDS.key(spec, [file.sha256 for file in own])
        work = BandsWork(band=band, rows=spec["rows"], ranges=ranges, key=key, files=tuple(own))
        label = "whole texts" if band == EXACT else f"band {band}"
        made.append(STAGE.task(key, label, work, shuffled_bytes=PAIR_BYTES * rows))
    return made


def parts(work: BandsWork) -> Iterator[BandsPart]:
    """The files of a band, each with its first dense row."""
    start = 0
    for file in work.files:
        yield BandsPart(
            band=work.band,
            rows=work.rows,
            ranges=work.ranges,
            key=work.key,
            file=file,
            start=start,
        )
        start += file.rows or 0


def blocks(store: Store, part: BandsPart) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(range, block of hashes and rows) of one file's rows in one band."""
    if part.band == EXACT:
        table = read_parquet(store, part.file, [TEXT_HASH.name, TEXT_BYTES.name])
        hashes, valid = _hash_column(table[TEXT_HASH.name])
        valid &= table[TEXT_BYTES.name].fill_null(0).to_numpy() > 0  # empty texts are no duplicates
    else:
        column = read_parquet(store, part.file, [MINHASH.name])[MINHASH.name]
        signatures = column.combine_chunks()
        if isinstance(signatures, pa.ChunkedArray):
            signatures = pa.concat_arrays(signatures.chunks or [pa.array([], MINHASH.type)])
        hashes = band_hashes(signatures, number=part.band, rows=part.rows or 0)
        valid = np.asarray(signatures.is_valid())
    numbers = np.flatnonzero(valid)
    hashes = hashes[numbers]
    owner = (hashes.view(np.uint64) % np.uint64(part.ranges)).astype(np.int64)
    for number in range(part.ranges):
        mine = owner == number
        if mine.any():
            arrays = [pa.array(hashes[mine]), pa.array(numbers[mine] + part.start)]
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


def write(store: Store, key: str, number: int, found: Sequence[pa.RecordBatch]) -> File:
    """Write one range's edges into the band's folder."""
    name = f"edges-{number:05d}.arrow"
    return write_arrow(store, f"{BANDS.name}/{key}", name, EDGES, iter([edges(found)]))


def commit_band(store: Store, key: str, files: Sequence[File]) -> Shard:
    """Commit a band once all its ranges are written."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    facts = {"edges": sum(file.rows or 0 for file in ordered)}
    return commit(store, Shard(BANDS.name, key, ordered, facts))


def run(store: Store, key: str, work: BandsWork) -> list[Shard]:
    """Join the rows that share one band; an engine may spread this over many workers."""
    by_range = {0: [pa.RecordBatch.from_pylist([], schema=BLOCK)]}
    for part in parts(work):
        for number, block in blocks(store, part):
            by_range.setdefault(number, []).append(block)
    files = [write(store, key, number, found) for number, found in sorted(by_range.items())]
    return [commit_band(store, key, files)]


STAGE = Stage(
    "bands",
    BandsWork,
    run,
    (BANDS,),
    grows="documents",
    tasks="bands",
    bears="dedup",
    shuffle=Shuffle(BandsPart, BLOCK, parts, blocks, write, commit_band),
)
