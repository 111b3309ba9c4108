"""Removals: the duplicates of all components, shared out to the text files that they stand in.

A text file whose rows no deduplication touched anew keeps its ledger: that depends on the file of
its own removals alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.manifest import File, Kind, Ref, Shard, commit, read_parquet, write_parquet
from phloem.catalog.store import Store
from phloem.pipeline.grouped import grouped_here
from phloem.pipeline.stage import Shuffle, Stage, Task, Work
from phloem.pipeline.stages.dedup import DUPLICATES
from phloem.pipeline.stages.measure import MeasuredText

TOUCHED = pa.schema(
    [
        ledger.ROW.field,
        ledger.DUPLICATE_OF.field,
        ledger.SIMILARITY.field,
        ledger.FOUND_IN.field,
    ]
)
"""A row that was removed, with what for; or one that was kept, with the other sources that hold it.
"""

BLOCK = pa.schema(
    [
        ledger.ROW.field,
        ledger.DUPLICATE_OF.field,
        ledger.SIMILARITY.field,
        ("source", pa.string()),
    ]
)
"""A row of a text file that was removed; or one that was kept, with another source that holds it.
"""

TOGETHER = 64
"""Files of duplicates that one part shares out: about two million components' documents."""

REMOVALS = Kind("removals", {r"removals-\d{5,}\.parquet": TOUCHED}, version=2)


class RemovalsWork(Work):
    """All duplicates, or some files of them.

    Attributes:
        key: Of the shard.
        duplicates: Of each range of components.
        files: (source, rows) of each text file, in order.
    """

    key: str
    duplicates: tuple[Ref, ...]
    files: tuple[tuple[str, int], ...]


def task(found: Shard, files: Sequence[MeasuredText]) -> Task:
    """The one task that shares out what deduplication found: an engine spreads it."""
    shape = tuple((file.text.source, file.text.ref.rows or 0) for file in files)
    key = REMOVALS.key({"files": [list(file) for file in shape]}, [found.digest])
    refs = tuple(found.ref(file.name) for file in found.files)
    return STAGE.task(key, "removals", RemovalsWork(key=key, duplicates=refs, files=shape))


def of_files(shard: Shard, files: int) -> list[Ref | None]:
    """The removals of each text file, in order; None where there are none."""
    rows = {file.name: file.rows for file in shard.files}
    asked = (_name(number) for number in range(files))
    return [shard.ref(name) if rows.get(name) else None for name in asked]


def _name(number: int) -> str:
    return f"removals-{number:05d}.parquet"


def parts(work: RemovalsWork) -> Iterator[RemovalsWork]:
    """Some files of duplicates each."""
    for first in range(0, len(work.duplicates), TOGETHER):
        own = work.duplicates[first : first + TOGETHER]
        yield work.model_copy(update={"duplicates": own})


def blocks(store: Store, part: RemovalsWork) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """(key of the shard, number of a text file, rows of it that were touched).

    There is one of the first text file, though it be empty: the shard is to be written.
    """
    tables = [read_parquet(store, ref) for ref in part.duplicates]
    found = pa.concat_tables([DUPLICATES.empty_table(), *tables])
    yield part.key, 0, pa.RecordBatch.from_pylist([], BLOCK)
    yield from ((part.key, number, block) for number, block in shared_out(found, part.files))


def shared_out(
    found: pa.Table, files: Sequence[tuple[str, int]]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of a text file, block of the schema `BLOCK`) of each that duplicates touch.

    Args:
        found: Duplicates, of the schema `DUPLICATES`.
        files: (source, rows) of each text file, in order.
    """
    starts = np.cumsum([0, *(rows for _, rows in files)])
    sources = pa.array([source for source, _ in files], pa.string())
    nothing = pa.nulls(len(found))
    lost = [found["row"], found["duplicate_of"], found["similarity"], nothing.cast(pa.string())]
    won = [found["duplicate_of_row"], nothing.cast(pa.string()), nothing.cast(pa.float64())]
    both = pa.concat_tables(
        [pa.table(lost, schema=BLOCK), pa.table([*won, found["source"]], schema=BLOCK)]
    )
    rows = both["row"].to_numpy()
    number = np.searchsorted(starts, rows, side="right") - 1
    own = sources.take(pa.array(number))
    tells = np.asarray(pc.fill_null(pc.not_equal(both["source"], own), fill_value=True))
    order = np.argsort(number, kind="stable")
    order = order[tells[order]]
    both = both.set_column(0, BLOCK.field("row"), pa.array(rows - starts[number])).take(
        pa.array(order)
    )
    numbers, firsts = np.unique(number[order], return_index=True)
    for place, (low, high) in enumerate(itertools.pairwise([*firsts.tolist(), len(order)])):
        (block,) = both.slice(low, high - low).combine_chunks().to_batches()
        yield int(numbers[place]), block


def write(store: Store, key: str, number: int, found: Sequence[pa.RecordBatch]) -> File:
    """Write the touched rows of one text file, each once."""
    rows: dict[int, dict[str, object]] = {}
    held: dict[int, set[str]] = {}
    for row, winner, similarity, source in zip(
        *(pa.Table.from_batches(found)[name].to_pylist() for name in BLOCK.names), strict=True
    ):
        own = rows.setdefault(row, {ledger.ROW.name: row})
        if source is None:
            own |= {ledger.DUPLICATE_OF.name: winner, ledger.SIMILARITY.name: similarity}
        else:
            held.setdefault(row, set()).add(source)
    values = [
        {**rows[row], ledger.FOUND_IN.name: sorted(held.get(row, ()))} for row in sorted(rows)
    ]
    table = pa.Table.from_pylist(values, TOUCHED)
    return write_parquet(store, f"{REMOVALS.name}/{key}", _name(number), table)


def commit_all(store: Store, key: str, files: Sequence[File]) -> Shard:
    """Commit the shard once all text files have theirs."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    facts = {"rows": sum(file.rows or 0 for file in ordered)}
    return commit(store, Shard(REMOVALS.name, key, ordered, facts))


SHUFFLE = Shuffle(RemovalsWork, parts, blocks, write, commit_all)


def run(store: Store, key: str, work: RemovalsWork) -> list[Shard]:
    """Share out all duplicates; an engine may spread this over many workers."""
    return grouped_here(SHUFFLE, store, [key], work)


STAGE = Stage(
    "removals",
    RemovalsWork,
    run,
    (REMOVALS,),
    grows="documents",
    tasks="components",
    bears="dedup",
    shuffle=SHUFFLE,
)
