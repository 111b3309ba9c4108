"""Count: what occurs often in a source, for an op of its chain that must know.

Each text file is counted alone, by hash, as its text is where the op stands; then the counts of a
source's files are added, and the hashes that occur often enough are kept. Nothing is left out
before all files are added, not even what occurs once in a file: it may be frequent in the source.

Memory: a count holds 140 bytes for each different line of one text file (measured; 64 MiB of prose
have half a million), a tally 250 MB and 8 bytes for each hash that is frequent in the source.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phloem.catalog.columns import DECLARED_LANGUAGES, TEXT
from phloem.catalog.manifest import File, Shard, commit, read_arrow, write_parquet
from phloem.catalog.store import Store
from phloem.filters.counted import COUNTS, FREQUENT, Counts, Hashes, counted, joined
from phloem.filters.op import OCCURRENCES, REWRITE, Op, find_op
from phloem.pipeline.stage import Task, shard_key
from phloem.pipeline.stages import measure
from phloem.pipeline.workspace import enter
from phloem.sources.cards.source import Source

Json = Any

COUNTS_FILE = "counts.parquet"

PENDING = 2**21
"""Hashes, each with its count, that a task holds before it adds equal ones."""

AT_ONCE = 2**21
"""About how many hashes of all files a tally adds at once: some 250 MB."""


def counting(ops: Sequence[Op]) -> int | None:
    """The place of the op that counts in a chain; None if there is none."""
    return next((place for place, op in enumerate(ops) if op.counts), None)


def before(ops: Sequence[Op], place: int) -> list[Op]:
    """The ops that must run for the op at a place to see its text: rewrites, and what they read."""
    read = {TEXT.name, *(column.name for column in ops[place].reads)}
    needed: list[Op] = []
    for op in reversed(ops[:place]):
        if op.kind == REWRITE or any(column.name in read for column in op.writes):
            needed.append(op)
            read |= {column.name for column in op.reads}
    return needed[::-1]


def tasks(
    texts: Sequence[tuple[str, str, File]],
    chains: Mapping[str, Sequence[Op]],
    sources: Mapping[str, Source],
    models: Mapping[str, str],
    workspace: tuple[str, Sequence[str]],
) -> list[Task]:
    """One task for each text file of a source of which an op counts the texts.

    How often a thing must occur is in no key of a count: another number adds up the same counts.

    Args:
        texts: Source, path under the root and file of each text file.
        chains: The chain of each source, by id.
        sources: The cards by id.
        models: Name under the root of each model file, by its name.
        workspace: Folder that a workspace's op modules are imported from, and their names.
    """
    made = []
    for source, name, file in texts:
        place = counting(chains[source])
        if place is None:
            continue
        op, needed = chains[source][place], before(chains[source], place)
        identity = op.identity
        params = {key: value for key, value in identity["params"].items() if key != OCCURRENCES}
        is_read = any(DECLARED_LANGUAGES in each.reads for each in (*needed, op))
        spec = {
            "op": {**identity, "params": params},
            "before": [each.identity for each in needed],
            "declared": measure.declared(sources[source]) if is_read else [],
        }
        key = shard_key("count", spec, [file.sha256])
        files = [file.name for each in (*needed, op) for file in each.files]
        work = {
            "source": source,
            "text": name,
            "text_file": file.sha256,
            "ops": [[each.name, dict(each.params)] for each in (*needed, op)],
            "declared": spec["declared"],
            "models": {each: models[each] for each in files},
            "workspace": [workspace[0], list(workspace[1])],
        }
        label = f"{source} {name.rsplit('/', 1)[-1]}"
        made.append(Task("count", (("count", key),), label, file.bytes, work))
    return made


def run(store: Store, task: Task) -> list[Shard]:
    """Count, in one text file, what an op counts: by hash, in ascending order."""
    work = task.work
    ((stage, key),) = task.makes
    folder, modules = work["workspace"]
    enter(folder)
    paths = {name: store.local_path(place) for name, place in work["models"].items()}
    *needed, op = [find_op(name, params, modules) for name, params in work["ops"]]
    rows = held = 0
    parts: list[tuple[Hashes, Counts]] = []
    reader = read_arrow(store, work["text"])
    for number in range(reader.num_record_batches):
        batch = measure.with_declared(reader.get_batch(number), work["declared"])
        for each in needed:
            batch = measure.with_written(batch, each, each(batch, paths).arrays)
        rows += batch.num_rows
        parts.append(counted(op.hashes(batch)))
        held += len(parts[-1][0])
        if held > PENDING:
            parts = [joined(parts)]
            held = len(parts[0][0])
    hashes, counts = joined(parts)
    table = pa.table([hashes, counts], schema=COUNTS)
    file = write_parquet(store, f"{stage}/{key}", COUNTS_FILE, table)
    facts = {"source": work["source"], "text": work["text_file"], "documents": rows}
    return [commit(store, Shard(stage, key, (file,), facts))]


def tally_tasks(counts: Sequence[Shard], chains: Mapping[str, Sequence[Op]]) -> list[Task]:
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
        files = [shard.file(COUNTS_FILE) for shard in shards]
        spec = {"source": source, OCCURRENCES: {**op.defaults, **op.params}[OCCURRENCES]}
        key = shard_key("tally", spec, [file.sha256 for file in files])
        work = {
            **spec,
            "files": [shard.path(COUNTS_FILE) for shard in shards],
            "rows": sum(file.rows or 0 for file in files),
        }
        size = sum(file.bytes for file in files)
        made.append(Task("tally", (("tally", key),), source, size, work))
    return made


def run_tally(store: Store, task: Task) -> list[Shard]:
    """Add the counts of all files of a source, and keep the hashes that occur often enough."""
    work = task.work
    ((stage, key),) = task.makes
    frequent = [np.empty(0, np.uint64)]
    for hashes, counts in sums(store, work["files"], work["rows"]):
        frequent.append(hashes[counts >= work[OCCURRENCES]])
    table = pa.table([np.concatenate(frequent)], schema=FREQUENT)
    file = write_parquet(store, f"{stage}/{key}", measure.FREQUENT, table)
    return [commit(store, Shard(stage, key, (file,), {"source": work["source"]}))]


def sums(
    store: Store, names: Sequence[str], rows: int, *, at_once: int = AT_ONCE
) -> Iterator[tuple[Hashes, Counts]]:
    """The counts of all files added, by ascending hash, one range of hashes after the other.

    Hashes are spread evenly, so that ranges of one width hold about as many each; of a file, only
    the row groups that meet a range are read for it.

    Args:
        store: The root.
        names: Of files of the schema `COUNTS`.
        rows: Of all files together.
        at_once: About how many of them a range holds.
    """
    ranges = max(1, math.ceil(rows / at_once))
    bounds = [(number << 64) // ranges for number in range(ranges + 1)]
    for least, beyond in itertools.pairwise(bounds):
        yield joined([part for name in names for part in _within(store, name, least, beyond - 1)])


def _within(store: Store, name: str, least: int, most: int) -> Iterator[tuple[Hashes, Counts]]:
    """The rows of a file whose hashes lie between two, both included."""
    file = pq.ParquetFile(store.open(name))
    for number in range(file.num_row_groups):
        seen = file.metadata.row_group(number).column(0).statistics
        if seen is None or seen.max < least or seen.min > most:  # none: of no row
            continue
        table = file.read_row_group(number)
        hashes, counts = (table[column].to_numpy() for column in COUNTS.names)
        low = np.searchsorted(hashes, np.uint64(least))
        high = np.searchsorted(hashes, np.uint64(most), side="right")
        yield hashes[low:high], counts[low:high]
