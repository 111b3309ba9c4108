"""Measure: the cleaned text, and one Parquet file for each op, with the rows of the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from phloem.catalog.columns import (
    DECLARED_LANGUAGE,
    DECLARED_LANGUAGES,
    ID,
    TEXT,
    TEXT_BYTES,
    TEXT_HASH,
    Column,
    schema,
)
from phloem.catalog.manifest import (
    File,
    Shard,
    commit,
    find,
    read_arrow,
    read_parquet,
    write_arrow,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.language import UNKNOWN
from phloem.filters.op import COUNTED, REWRITE, Op, find_op
from phloem.pipeline.recipe import OpSpec, RecipeError, op_spec
from phloem.pipeline.stage import Task, shard_key
from phloem.pipeline.workspace import enter
from phloem.sources.cards.source import Source

Json = Any

CLEAN_FAULT = Column(
    "clean_fault", pa.string(), "The rewrite that could not work on the document, and why; or null."
)
FREQUENT = "frequent.parquet"  # of a tally
CLEAN = (ID, TEXT)
HASHES = (ID, TEXT_HASH, TEXT_BYTES, CLEAN_FAULT)


@dataclass(frozen=True)
class TextFile:
    """One text file of an ingest shard, with the keys of all that is measured on it.

    Attributes:
        source: The card's id.
        name: Its path under the root.
        file: Its name, hash and rows.
        clean: Key of the cleaned text.
        ops: Key of each measuring op's file, by op name, in the recipe's order.
    """

    source: str
    name: str
    file: File
    clean: str
    ops: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """A text file with all that measuring made of it.

    Attributes:
        text: The file and its keys.
        clean: The shard of its cleaned text and hashes.
        ops: The shard of each measuring op, by op name.
    """

    text: TextFile
    clean: Shard
    ops: Mapping[str, Shard]

    @property
    def label(self) -> str:
        """What a person sees: source and file."""
        return f"{self.text.source} {self.text.name.rsplit('/', 1)[-1]}"


def measured(files: Sequence[TextFile], sent: Sequence[Sequence[Shard]]) -> list[Measured]:
    """Each text file with the shards that its task committed, in the order that it makes them."""
    return [
        Measured(text, shards[0], dict(zip(text.ops, shards[1:], strict=True)))
        for text, shards in zip(files, sent, strict=True)
    ]


def text_files(ingested: Sequence[Shard]) -> list[tuple[str, str, File]]:
    """(source, path under the root, file) of every text file, in order."""
    return [
        (shard.facts["source"], shard.path(file.name), file)
        for shard in ingested
        for file in shard.files
        if file.name.startswith("text-")
    ]


def chain(source: Source, recipe_ops: Sequence[Op], workspace_ops: Sequence[str]) -> list[Op]:
    """The ops that run on a source: its card's own rewrites, then the recipe's ops.

    Raises RecipeError where more than one of them counts: the texts of a source are counted once.
    """
    own = [
        find_op(spec.name, spec.params, workspace_ops)
        for spec in (OpSpec.model_validate(op_spec(item)) for item in source.clean)
    ]
    ops = [*own, *recipe_ops]
    counting = [op.name for op in ops if op.counts]
    if len(counting) > 1:
        msg = (
            f"{source.id}: {len(counting)} ops of its card and the recipe count its texts"
            f" ({', '.join(counting)}), and one may; leave the others out"
        )
        raise RecipeError(msg)
    return ops


def declared(source: Source) -> list[str]:
    """The languages that a card declares; `und` (RFC 5646, section 4.1) declares none."""
    return [tag for tag in source.languages if tag != UNKNOWN]


def keyed(
    source: Source, name: str, file: File, ops: Sequence[Op], tally: Shard | None = None
) -> TextFile:
    """The keys of what is measured on a text file.

    An op's key depends on the rewrites before it, and on the ops whose columns it reads; nothing
    else: a further op, a threshold or another source leaves it as it is. That of an op that counts
    depends on what is frequent in the source, too.

    Args:
        source: The card.
        name: The file's path under the root.
        file: Its hash.
        ops: The source's chain.
        tally: What is frequent in the source; None if no op of the chain counts.
    """
    rewrites: list[Json] = []
    makers: dict[str, Json] = {DECLARED_LANGUAGES.name: declared(source)}
    keys = {}
    for op in ops:
        identity = op.identity
        if tally and op.counts:
            identity = {**identity, COUNTED: tally.file(FREQUENT).sha256}
        if op.kind == REWRITE:
            rewrites.append(identity)
            continue
        reads = {c.name: makers[c.name] for c in op.reads if c.name in makers}
        spec = {"op": identity, "rewrites": list(rewrites), "reads": reads}
        keys[op.name] = shard_key("measure", spec, [file.sha256])
        makers |= {column.name: keys[op.name] for column in op.writes}
    clean = shard_key("clean", {"rewrites": rewrites}, [file.sha256])
    return TextFile(source.id, name, file, clean, keys)


def tasks(
    files: Sequence[TextFile],
    ops: Mapping[str, Sequence[Op]],
    sources: Mapping[str, Source],
    models: Mapping[str, str],
    workspace: tuple[str, Sequence[str]],
    tallies: Mapping[str, Shard],
) -> list[Task]:
    """One task for each text file: a single pass over it makes all that is missing.

    Args:
        files: Text files with their keys.
        ops: The chain of each source, by id.
        sources: The cards by id.
        models: Name under the root of each model file, by its name.
        workspace: Folder that a workspace's op modules are imported from, and their names.
        tallies: What is frequent in each source of which an op counts the texts, by id.
    """
    made = []
    for text in files:
        work = {
            "source": text.source,
            "text": text.name,
            "text_file": text.file.sha256,
            "clean": text.clean,
            "ops": [[op.name, dict(op.params), text.ops.get(op.name)] for op in ops[text.source]],
            "declared": declared(sources[text.source]),
            "models": dict(models),
            "workspace": [workspace[0], list(workspace[1])],
        }
        if text.source in tallies:
            work["counted"] = tallies[text.source].path(FREQUENT)
        makes = (("clean", text.clean), *(("measure", key) for key in text.ops.values()))
        label = f"{text.source} {text.name.rsplit('/', 1)[-1]}"
        made.append(Task("measure", makes, label, text.file.bytes, work))
    return made


@dataclass
class _Column:
    """One measuring op's output so far."""

    op: Op
    key: str
    known: pa.Table | None
    chunks: list[list[pa.Array]]
    faults: list[str | None]


def run(store: Store, task: Task) -> list[Shard]:
    """Make the cleaned text and the missing attribute files of one text file, in one pass."""
    work = task.work
    folder, modules = work["workspace"]
    enter(folder)
    paths = {name: store.local_path(place) for name, place in work["models"].items()}
    if "counted" in work:
        paths[COUNTED] = store.local_path(work["counted"])
    ops = [find_op(name, params, modules) for name, params, _ in work["ops"]]
    columns = [_column(store, op, key) for op, (_, _, key) in zip(ops, work["ops"], strict=True)]
    clean = find(store, "clean", work["clean"])
    hashes: list[pa.RecordBatch] = []
    stream = _pass(store, work, ops, columns, paths, hashes)
    shards = []
    if clean is None:
        place = f"clean/{work['clean']}"
        text = write_arrow(store, place, "text.arrow", schema(CLEAN), stream)
        table = pa.Table.from_batches(hashes, schema(HASHES))
        files = (text, write_parquet(store, place, "hashes.parquet", table))
        facts = {"source": work["source"], "text": work["text_file"], "documents": text.rows}
        clean = commit(store, Shard("clean", work["clean"], files, facts))
    else:
        for _ in stream:
            pass
    shards.append(clean)
    shards += [_commit_op(store, work, column) for column in columns if column is not None]
    return shards


def _column(store: Store, op: Op, key: str | None) -> _Column | None:
    if key is None:
        return None
    shard = find(store, "measure", key)
    known = None
    if shard is not None:
        known = read_parquet(store, shard.path(f"{op.name}.parquet"))
    return _Column(op, key, known, [], [])


def _pass(
    store: Store,
    work: Json,
    ops: Sequence[Op],
    columns: Sequence[_Column | None],
    paths: Mapping[str, str],
    hashes: list[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Run the ops batch by batch; yields the cleaned text, and fills the columns and hashes."""
    reader = read_arrow(store, work["text"])
    start = 0
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch = with_declared(batch, work["declared"])
        broken: dict[int, str] = {}
        for op, column in zip(ops, columns, strict=True):
            if column is not None and column.known is not None:
                batch = _with_known(batch, column, start)
                continue
            measured = op(batch, paths)
            batch = with_written(batch, op, measured.arrays)
            if column is None:
                for row, reason in measured.faults.items():
                    broken.setdefault(row, f"{op.name}: {reason}")
                continue
            column.chunks.append(list(measured.arrays))
            column.faults += [measured.faults.get(row) for row in range(batch.num_rows)]
        start += batch.num_rows
        clean = batch.select([column.name for column in CLEAN])
        hashes.append(_hashes(clean, broken))
        yield clean


def declared_for(own: str | None, of_source: Sequence[str]) -> list[str]:
    """The languages declared for a document whose source gives it a tag, or none, or `und`."""
    return [own] if own and own != UNKNOWN else list(of_source)


def with_declared(batch: pa.RecordBatch, of_source: Sequence[str]) -> pa.RecordBatch:
    """Add the languages declared for each document, else for its source."""
    values = [declared_for(tag, of_source) for tag in batch[DECLARED_LANGUAGE.name].to_pylist()]
    return batch.append_column(DECLARED_LANGUAGES.field, pa.array(values, DECLARED_LANGUAGES.type))


def with_written(batch: pa.RecordBatch, op: Op, arrays: Sequence[pa.Array]) -> pa.RecordBatch:
    """The batch with what an op wrote, in the place of what it rewrote."""
    for column, array in zip(op.writes, arrays, strict=True):
        place = batch.schema.get_field_index(column.name)
        if place < 0:
            batch = batch.append_column(column.field, array)
        else:
            batch = batch.set_column(place, column.field, array)
    return batch


def _with_known(batch: pa.RecordBatch, column: _Column, start: int) -> pa.RecordBatch:
    """Add the columns of an op that ran on this text before."""
    if column.known is None:
        return batch
    part = column.known.slice(start, batch.num_rows).combine_chunks()
    arrays = [_flat(part[written.name]) for written in column.op.writes]
    return with_written(batch, column.op, arrays)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    return flat.chunk(0) if isinstance(flat, pa.ChunkedArray) else flat


def _hashes(clean: pa.RecordBatch, broken: Mapping[int, str]) -> pa.RecordBatch:
    text = clean[TEXT.name].cast(pa.binary())
    digests = [
        None if value is None else xxhash.xxh3_128_hexdigest(value) for value in text.to_pylist()
    ]
    arrays = [
        clean[ID.name],
        pa.array(digests, pa.string()),
        pc.binary_length(text).cast(pa.int64()),
        pa.array([broken.get(row) for row in range(clean.num_rows)], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(HASHES))


def _commit_op(store: Store, work: Json, column: _Column) -> Shard:
    known = find(store, "measure", column.key)
    if known is not None:
        return known
    op = column.op
    if not column.chunks:  # no row at all: ask the op for columns of length 0
        column.chunks.append([pa.array([], written.type) for written in op.writes])
    arrays = [pa.chunked_array(list(parts)) for parts in zip(*column.chunks, strict=True)]
    faults = pa.chunked_array([pa.array(column.faults, pa.string())])
    names = [written.name for written in op.writes] + [fault_column(op.name)]
    table = pa.Table.from_arrays([*arrays, faults], names=names)
    file = write_parquet(store, f"measure/{column.key}", f"{op.name}.parquet", table)
    facts = {
        "source": work["source"],
        "text": work["text_file"],
        "op": op.name,
        "documents": table.num_rows,
        "faults": len(column.faults) - column.faults.count(None),
    }
    return commit(store, Shard("measure", column.key, (file,), facts))


def fault_column(op_name: str) -> str:
    """The column in an op's file that holds why it could not work on a row; null if it could."""
    return f"{op_name}_fault"
