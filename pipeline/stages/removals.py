"""Removals: the duplicates of all components, shared out to the text files that they stand in.

A text file whose rows no deduplication touched anew keeps its ledger: that depends on the file of
its own removals alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.manifest import Kind, Ref, Shard, commit, read_parquet, write_parquet
from phloem.catalog.store import Store
from phloem.pipeline.stage import Stage, Task, Work
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

REMOVALS = Kind("removals", {r"removals-\d{5,}\.parquet": TOUCHED})


class RemovalsWork(Work):
    """All duplicates.

    Attributes:
        duplicates: Of each range of components.
        files: (source, rows) of each text file, in order.
    """

    duplicates: tuple[Ref, ...]
    files: tuple[tuple[str, int], ...]


def task(found: Shard, files: Sequence[MeasuredText]) -> Task:
    """The one task that shares out what deduplication found."""
    shape = tuple((file.text.source, file.text.ref.rows or 0) for file in files)
    key = REMOVALS.key({"files": [list(file) for file in shape]}, [found.digest])
    refs = tuple(found.ref(file.name) for file in found.files)
    return STAGE.task(key, "removals", RemovalsWork(duplicates=refs, files=shape))


def of_files(shard: Shard, files: int) -> list[Ref | None]:
    """The removals of each text file, in order; None where there are none."""
    names = {file.name for file in shard.files}
    asked = (_name(number) for number in range(files))
    return [shard.ref(name) if name in names else None for name in asked]


def _name(number: int) -> str:
    return f"removals-{number:05d}.parquet"


def run(store: Store, key: str, work: RemovalsWork) -> list[Shard]:
    """Write, for each text file that has any, the rows that deduplication touched."""
    tables = [read_parquet(store, ref) for ref in work.duplicates]
    found = pa.concat_tables([DUPLICATES.empty_table(), *tables])
    folder = f"{REMOVALS.name}/{key}"
    files = [
        write_parquet(store, folder, _name(number), table)
        for number, table in touched(found, work.files)
    ]
    facts = {"rows": sum(file.rows or 0 for file in files)}
    return [commit(store, Shard(REMOVALS.name, key, tuple(files), facts))]


def touched(found: pa.Table, files: Sequence[tuple[str, int]]) -> Iterator[tuple[int, pa.Table]]:
    """(number, rows of the schema `TOUCHED`) of each text file that has any.

    Args:
        found: All duplicates, of the schema `DUPLICATES`.
        files: (source, rows) of each text file, in order.
    """
    starts = np.cumsum([0, *(rows for _, rows in files)])
    losers = found.sort_by("row")
    winners = found.select(["duplicate_of_row", "source"]).sort_by(
        [("duplicate_of_row", "ascending"), ("source", "ascending")]
    )
    loser_rows = losers["row"].to_numpy()
    winner_rows = winners["duplicate_of_row"].to_numpy()
    for number, (source, _) in enumerate(files):
        bounds = starts[number : number + 2]
        lost = losers.slice(*_within(loser_rows, bounds))
        won = winners.slice(*_within(winner_rows, bounds))
        others = won.filter(pc.not_equal(won["source"], source))
        if lost.num_rows or others.num_rows:
            yield number, _rows_of(lost, others, int(bounds[0]))


def _within(rows: np.ndarray, bounds: np.ndarray) -> tuple[int, int]:
    """(first, how many) of ascending rows that lie between two."""
    first, behind = np.searchsorted(rows, bounds)
    return int(first), int(behind - first)


def _rows_of(lost: pa.Table, others: pa.Table, start: int) -> pa.Table:
    rows: dict[int, dict[str, object]] = {}
    for each in lost.to_pylist():
        rows[each["row"]] = {
            ledger.DUPLICATE_OF.name: each["duplicate_of"],
            ledger.SIMILARITY.name: each["similarity"],
            ledger.FOUND_IN.name: [],
        }
    for each in others.to_pylist():
        row = rows.setdefault(each["duplicate_of_row"], {ledger.FOUND_IN.name: []})
        held = row[ledger.FOUND_IN.name]
        if isinstance(held, list) and each["source"] not in held:  # they come in order
            held.append(each["source"])
    values = [{ledger.ROW.name: row - start, **rows[row]} for row in sorted(rows)]
    return pa.Table.from_pylist(values, TOUCHED)


STAGE = Stage(
    "removals", RemovalsWork, run, (REMOVALS,), grows="documents", tasks="one", bears="dedup"
)
