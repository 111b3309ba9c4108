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
from collections.abc import Iterator, Sequence

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
from phloem.filters.minhash import shingles
from phloem.filters.op import Op
from phloem.pipeline.grouped import grouped_here
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.settling import RECORD, said, settled
from phloem.pipeline.stage import Shuffle, Stage, Task, Work
from phloem.pipeline.stages import candidates
from phloem.pipeline.stages.measure import MeasuredText

DUPLICATES = pa.schema(
    [
        ("row", pa.int64()),
        ("duplicate_of_row", pa.int64()),
        ("similarity", pa.float64()),
        ("source", pa.string()),
        ("duplicate_of", pa.string()),
    ]
)

BAND_BITS = 32
"""Of a band's hash, the upper ones stand in a record: two documents of one component that share no
band, and whose similarity reaches the threshold all the same, fall together in one of 28 bands once
in 150 million such pairs."""

DEDUP = Kind("dedup", {r"duplicates-\d{5,}\.parquet": DUPLICATES}, version=3)


class DedupFile(Work):
    """A text file.

    Attributes:
        source: Id of the card.
        priority: Its place in the recipe's order.
        members: Those of its rows that share a band.
        clean: Its cleaned text.
        verdicts: What the rules say of its rows.
        signatures: Of its rows; None for whole texts.
        worth: With the column that is preferred by, if there is one.
    """

    source: str
    priority: int
    members: Ref
    clean: Ref
    verdicts: Ref
    signatures: Ref | None
    worth: Ref | None


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
    worth: Op | None,
    priority: Sequence[str],
) -> Task:
    """The one task that settles all components: an engine spreads it over text files, then ranges.

    Args:
        found: The candidates.
        files: Text files in order.
        filtered: The verdicts of each.
        dedup: Bands, rows and threshold; None drops equal texts only.
        minhash: The op as the recipe binds it.
        worth: The op that writes the column that is preferred by, if there is one.
        priority: Source ids, the preferred first.
    """
    spec = {
        "dedup": dedup.model_dump() if dedup else None,
        "minhash": minhash.identity if minhash else None,
        "priority": list(priority),
        "sources": [file.text.source for file in files],
    }
    inputs, own = [found.digest], []
    for number, (file, verdicts) in enumerate(zip(files, filtered, strict=True)):
        signatures = file.ops["minhash"] if dedup else None
        inputs += [file.clean.digest, verdicts.digest]
        inputs += [signatures.digest] if signatures else []
        worths = file.ops[worth.name] if worth else None
        inputs += [worths.digest] if worths else []
        one = DedupFile(
            source=file.text.source,
            priority=priority.index(file.text.source),
            members=found.ref(candidates.name_of(number)),
            clean=file.clean.ref("text.arrow"),
            verdicts=verdicts.ref("verdicts.parquet"),
            signatures=signatures.ref("minhash.parquet") if signatures else None,
            worth=worths.ref(f"{worth.name}.parquet") if worth and worths else None,
        )
        own.append(one)
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
    dedup = part.dedup
    schema = RECORD.with_metadata(said(dedup.verify, dedup.jaccard) if dedup else said("exact", 1))
    numbers, found = _records(store, part)
    if part.start == 0 and not (numbers == 0).any():
        yield part.key, 0, pa.RecordBatch.from_pylist([], schema)
    for number in np.unique(numbers).tolist():
        own = found.take(pa.array(np.flatnonzero(numbers == number))).combine_chunks()
        (batch,) = own.to_batches()
        yield part.key, number, pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _records(store: Store, part: DedupPart) -> tuple[np.ndarray, pa.Table]:
    """The range of each record of a text file, and the records."""
    members = read_parquet(store, part.file.members)
    if not len(members):
        return np.zeros(0, np.int32), RECORD.empty_table()
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
            _worth(store, part, own),
            verdicts[TEXT_BYTES.name].cast(pa.int64()),
            pa.array(map(bytes.fromhex, verdicts[TEXT_HASH.name].to_pylist()), pa.binary()),
            _among(_bands(store, part, own[compared]), compared, pa.binary()),
            _among(_evidence(store, part, own[compared]), compared, pa.large_binary()),
        ],
        schema=RECORD,
    )
    sent = eligible | compared
    return members["range"].to_numpy()[sent], table.filter(pa.array(sent))


def _among(found: Sequence[bytes], places: np.ndarray, type_: pa.DataType) -> pa.Array:
    """Values at some places, nothing at the others."""
    values = [b""] * len(places)
    for place, value in zip(np.flatnonzero(places).tolist(), found, strict=True):
        values[place] = value
    return pa.array(values, type_)


def _worth(store: Store, part: DedupPart, own: np.ndarray) -> pa.Array:
    """What some rows are preferred by; null where nothing is."""
    if part.file.worth is None or part.dedup is None or part.dedup.prefer is None:
        return pa.nulls(len(own), pa.float64())
    name = part.dedup.prefer
    found = read_parquet(store, part.file.worth, [name])[name].take(pa.array(own))
    return found.cast(pa.float64()).combine_chunks()


def _signatures(store: Store, part: DedupPart, own: np.ndarray) -> pa.Array:
    if part.file.signatures is None:
        return pa.nulls(len(own), MINHASH.type)
    table = read_parquet(store, part.file.signatures, [MINHASH.name])
    taken = table[MINHASH.name].take(pa.array(own))
    return pa.concat_arrays([pa.array([], MINHASH.type), *taken.chunks])


def _bands(store: Store, part: DedupPart, own: np.ndarray) -> list[bytes]:
    """The packed band hashes of some rows of a file; empty where there is no signature."""
    return [each.tobytes() for each in _band_values(_signatures(store, part, own), part.dedup)]


def _band_values(signatures: pa.Array, dedup: Dedup | None) -> list[np.ndarray]:
    if dedup is None or not len(signatures):
        return []
    hashed = band_hashes(signatures, bands=dedup.bands, rows=dedup.rows)
    upper = (hashed.T.astype(np.int64).view(np.uint64) >> np.uint64(BAND_BITS)).astype("<u4")
    valid = signatures.is_valid().to_pylist()
    return [upper[n] if ok else upper[n, :0] for n, ok in enumerate(valid)]


def _evidence(store: Store, part: DedupPart, own: np.ndarray) -> list[bytes]:
    """What each of some rows is verified by, packed, ascending: see `settling.RECORD`."""
    if not len(own) or part.dedup is None:
        return []
    if part.dedup.verify == "exact":
        texts = take_rows(store, part.file.clean, own, TEXT.name)
        offsets, found = shingles(texts, ngram=part.ngram)
        ends = itertools.pairwise(offsets)
        return [found[low:high].astype("<u8").tobytes() for low, high in ends]
    signatures = _signatures(store, part, own)
    if part.dedup.verify == "none":
        values = _band_values(signatures, part.dedup)
    else:
        empty = [value or b"" for value in signatures.to_pylist()]
        values = [np.frombuffer(value, "<u4") for value in empty]
    return [_numbered(each).tobytes() for each in values]


def _numbered(values: np.ndarray) -> np.ndarray:
    """Each value with its place before it, as one number of 64 bits."""
    places = np.arange(len(values), dtype=np.uint64) << np.uint64(32)
    return (places | values.astype(np.uint64)).astype("<u8", copy=False)


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


def commit_all(store: Store, key: str, files: Sequence[File]) -> Shard:
    """Commit all duplicates once every range is settled."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    facts = {"duplicates": sum(file.rows or 0 for file in ordered)}
    return commit(store, Shard(DEDUP.name, key, ordered, facts))


SHUFFLE = Shuffle(DedupPart, parts, blocks, write, commit_all)


def run(store: Store, key: str, work: DedupWork) -> list[Shard]:
    """Settle all components; an engine may spread this over many workers."""
    return grouped_here(SHUFFLE, store, [key], work)


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
