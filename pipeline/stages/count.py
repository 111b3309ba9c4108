"""Count: what occurs often in a source, for an op of its chain that must know.

Each text file is counted alone, by hash, as its text is where the op stands; `tally` adds the
counts of a source's files.

Memory: 140 bytes for each different line of one text file (measured; 64 MiB of prose have half a
million).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from phloem.catalog.columns import DECLARED_LANGUAGES, TEXT
from phloem.catalog.manifest import Kind, Ref, Shard, arrow_batches, commit, write_parquet
from phloem.catalog.store import Store
from phloem.filters.counted import COUNTS, Counts, Hashes, counted, joined
from phloem.filters.op import OCCURRENCES, REWRITE, Op, find_op
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.stages import measure
from phloem.pipeline.workspace import enter
from phloem.sources.cards.source import Source

COUNTS_FILE = "counts.parquet"

PENDING = 2**21
"""Hashes, each with its count, that a task holds before it adds equal ones."""


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


COUNT = Kind("count", {r"counts\.parquet": COUNTS})


class CountWork(Work):
    """One text file of a source of which an op counts the texts.

    Attributes:
        source: Id of the card.
        text: The file.
        ops: Those that must run before, and last the one that counts.
        declared: Languages of the card, if an op reads them.
        models: The files that the ops need, by name.
        place: Folder that a workspace's op modules are imported from, and their names.
    """

    source: str
    text: Ref
    ops: tuple[measure.OpCall, ...]
    declared: tuple[str, ...]
    models: Mapping[str, Ref]
    place: tuple[str, tuple[str, ...]]


def tasks(
    texts: Sequence[tuple[str, Ref]],
    chains: Mapping[str, Sequence[Op]],
    sources: Mapping[str, Source],
    models: Mapping[str, Ref],
    place: tuple[str, tuple[str, ...]],
) -> list[Task]:
    """One task for each text file of a source of which an op counts the texts.

    How often a thing must occur is in no key of a count: another number adds up the same counts.

    Args:
        texts: Source and file of each text file.
        chains: The chain of each source, by id.
        sources: The cards by id.
        models: Each model file, by its name.
        place: Folder that a workspace's op modules are imported from, and their names.
    """
    made = []
    for source, text in texts:
        number = counting(chains[source])
        if number is None:
            continue
        op, before_it = chains[source][number], before(chains[source], number)
        identity = op.identity
        params = {key: value for key, value in identity["params"].items() if key != OCCURRENCES}
        is_read = any(DECLARED_LANGUAGES in each.reads for each in (*before_it, op))
        declared = measure.declared(sources[source]) if is_read else []
        spec = {
            "op": {**identity, "params": params},
            "before": [each.identity for each in before_it],
            "declared": declared,
        }
        work = CountWork(
            source=source,
            text=text,
            ops=measure.calls((*before_it, op), {}),
            declared=tuple(declared),
            models=measure.needed((*before_it, op), models),
            place=place,
        )
        key = COUNT.key(spec, [text.sha256])
        made.append(STAGE.task(key, measure.label(source, text), work))
    return made


def run(store: Store, key: str, work: CountWork) -> list[Shard]:
    """Count, in one text file, what an op counts: by hash, in ascending order."""
    folder, modules = work.place
    enter(folder)
    paths = {name: ref.on_this_machine(store) for name, ref in work.models.items()}
    *before_it, op = [find_op(call.name, call.params, modules) for call in work.ops]
    rows = held = 0
    parts: list[tuple[Hashes, Counts]] = []
    for found in arrow_batches(store, work.text):
        batch = measure.with_declared(found, work.declared)
        for each in before_it:
            batch = measure.with_written(batch, each, each(batch, paths).arrays)
        rows += batch.num_rows
        parts.append(counted(op.hashes(batch)))
        held += len(parts[-1][0])
        if held > PENDING:
            parts = [joined(parts)]
            held = len(parts[0][0])
    hashes, counts = joined(parts)
    table = pa.table([hashes, counts], schema=COUNTS)
    file = write_parquet(store, f"{COUNT.name}/{key}", COUNTS_FILE, table)
    facts = {"source": work.source, "text": work.text.sha256, "documents": rows}
    return [commit(store, Shard(COUNT.name, key, (file,), facts))]


STAGE = Stage("count", CountWork, run, (COUNT,), grows="counted text", tasks="counted files")
