"""Tally: the counts of all files of a source added, and what occurs often enough kept.

Nothing is left out before all files are added, not even what occurs once in a file: it may be
frequent in the source.

Memory: 250 MB, and 8 bytes for each hash that is frequent in the source.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phloem.catalog.manifest import Kind, Ref, Shard, commit, open_parquet, write_parquet
from phloem.catalog.store import Store
from phloem.filters.counted import COUNTS, FREQUENT, Counts, Hashes, joined
from phloem.filters.op import OCCURRENCES, Op
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.stages.count import COUNTS_FILE

FREQUENT_FILE = "frequent.parquet"

AT_ONCE = 2**21
"""About how many hashes of all files are added at once: some 250 MB."""

TALLY = Kind("tally", {r"frequent\.parquet": FREQUENT})


class TallyWork(Work):
    """One source that was counted.

    Attributes:
        source: Id of the card.
        occurrences: How often a thing must occur to be frequent.
        files: The counts of each of its text files.
    """

    source: str
    occurrences: int
    files: tuple[Ref, ...]


def tasks(counts: Sequence[Shard], chains: Mapping[str, Sequence[Op]]) -> list[Task]:
    """One task for each source that was counted.

    Args:
        counts: The counts of all its files, in their order.
        chains: The chain of each source, by id.
    """
    by_source: dict[str, list[Shard]] = {}
    for shard in counts:
        by_source.setdefault(shard.facts["source"], []).append(shard)
    made = []
    for source, shards in by_source.items():
        op = next(op for op in chains[source] if op.counts)
        files = [shard.ref(COUNTS_FILE) for shard in shards]
        occurrences = {**op.defaults, **op.params}[OCCURRENCES]
        spec = {"source": source, OCCURRENCES: occurrences}
        key = TALLY.key(spec, [file.sha256 for file in files])
        work = TallyWork(source=source, occurrences=occurrences, files=tuple(files))
        made.append(STAGE.task(key, source, work))
    return made


def run(store: Store, key: str, work: TallyWork) -> list[Shard]:
    """Add the counts of all files of a source, and keep the hashes that occur often enough."""
    frequent = [np.empty(0, np.uint64)]
    for hashes, counts in sums(store, work.files, at_once=AT_ONCE):
        frequent.append(hashes[counts >= work.occurrences])
    table = pa.table([np.concatenate(frequent)], schema=FREQUENT)
    file = write_parquet(store, f"{TALLY.name}/{key}", FREQUENT_FILE, table)
    return [commit(store, Shard(TALLY.name, key, (file,), {"source": work.source}))]


def sums(store: Store, files: Sequence[Ref], *, at_once: int) -> Iterator[tuple[Hashes, Counts]]:
    """The counts of all files added, by ascending hash, one range of hashes after the other.

    Hashes are spread evenly, so that ranges of one width hold about as many each; of a file, only
    the row groups that meet a range are read for it.

    Args:
        store: The root.
        files: Of the schema `COUNTS`.
        at_once: About how many of them a range holds.
    """
    opened = [open_parquet(store, file) for file in files]
    rows = sum(file.metadata.num_rows for file in opened)
    ranges = max(1, math.ceil(rows / at_once))
    bounds = [(number << 64) // ranges for number in range(ranges + 1)]
    for least, beyond in itertools.pairwise(bounds):
        yield joined([part for file in opened for part in _within(file, least, beyond - 1)])


def _within(file: pq.ParquetFile, least: int, most: int) -> Iterator[tuple[Hashes, Counts]]:
    """The rows of a file whose hashes lie between two, both included."""
    for number in range(file.num_row_groups):
        seen = file.metadata.row_group(number).column(0).statistics
        if seen is None or seen.max < least or seen.min > most:  # none: of no row
            continue
        table = file.read_row_group(number)
        hashes, counts = (table[column].to_numpy() for column in COUNTS.names)
        low = np.searchsorted(hashes, np.uint64(least))
        high = np.searchsorted(hashes, np.uint64(most), side="right")
        yield hashes[low:high], counts[low:high]


STAGE = Stage("tally", TallyWork, run, (TALLY,), grows="counted text", tasks="counted sources")
