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
    INGESTED,
    LICENSE,
    TEXT,
    TEXT_BYTES,
    TEXT_HASH,
    Column,
    schema,
)
from phloem.catalog.manifest import (
    Kind,
    Ref,
    Shard,
    arrow_batches,
    commit,
    find,
    read_parquet,
    write_arrow,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.catalog.tags import UNKNOWN
from phloem.filters.op import COUNTED, REWRITE, Op, find_op
from phloem.pipeline.op_spec import OpSpec, op_spec
from phloem.pipeline.recipe import RecipeError
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.workspace import enter
from phloem.sources.cards.source import Source

Json = Any

CLEAN_FAULT = Column(
    "clean_fault", pa.string(), "The rewrite that could not work on the document, and why; or null."
)
CLEANED = (ID, TEXT)
# With what the source says of a document: whoever judges or counts leaves the text alone.
HASHES = (ID, TEXT_HASH, TEXT_BYTES, LICENSE, DECLARED_LANGUAGE, CLEAN_FAULT)

CLEAN = Kind(
    "clean", {r"text\.arrow": schema(CLEANED), r"hashes\.parquet": schema(HASHES)}, version=2
)
MEASURE = Kind("measure", {r"[A-Za-z_]\w*\.parquet": None})  # by the op, with its columns


@dataclass(frozen=True)
class TextFile:
    """One text file of an ingest shard, with the keys of all that is measured on it.

    Attributes:
        source: The card's id.
        ref: The file.
        clean: Key of the cleaned text.
        ops: Key of the file of each op that measures, by op name, in the recipe's order.
    """

    source: str
    ref: Ref
    clean: str
    ops: Mapping[str, str]


@dataclass(frozen=True)
class MeasuredText:
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
        return label(self.text.source, self.text.ref)


def measured(files: Sequence[TextFile], sent: Sequence[Sequence[Shard]]) -> list[MeasuredText]:
    """Each text file with the shards that its task committed, in the order that it makes them."""
    return [
        MeasuredText(text, shards[0], dict(zip(text.ops, shards[1:], strict=True)))
        for text, shards in zip(files, sent, strict=True)
    ]


def label(source: str, text: Ref) -> str:
    """What a person sees of a text file: its source and name."""
    return f"{source} {text.path.rsplit('/', 1)[-1]}"


def text_files(ingested: Sequence[Shard]) -> list[tuple[str, Ref]]:
    """Source and text file of every text file, in order."""
    return [
        (shard.facts["source"], shard.ref(file.name))
        for shard in ingested
        for file in shard.files
        if file.name.startswith("text-")
    ]


def chain(source: Source, recipe_ops: Sequence[Op], workspace_ops: Sequence[str]) -> list[Op]:
    """The ops that run on a source: its card's own rewrites, then the recipe's ops.

    Raises RecipeError where more than one of them counts, as the texts of a source are counted
    once, where two measure the same, or where a card's reads what only a recipe's ops write.
    """
    own = [
        find_op(spec.name, spec.params, workspace_ops)
        for spec in (OpSpec.model_validate(op_spec(item)) for item in source.clean)
    ]
    there = {column.name for column in (*INGESTED, DECLARED_LANGUAGES)}
    for op in own:
        lacking = [column.name for column in op.reads if column.name not in there]
        if lacking:
            msg = (
                f"{source.id}: {op.name} of its card reads {lacking}; put it into the recipe's ops"
            )
            raise RecipeError(msg)
        there |= {column.name for column in op.writes}
    ops = [*own, *recipe_ops]
    counting = [op.name for op in ops if op.counts]
    if len(counting) > 1:
        msg = (
            f"{source.id}: {len(counting)} ops of its card and the recipe count its texts"
            f" ({', '.join(counting)}), and one may; leave the others out"
        )
        raise RecipeError(msg)
    measuring = [op.name for op in ops if op.measures]
    twice = sorted({name for name in measuring if measuring.count(name) > 1})
    if twice:
        msg = f"{source.id}: its card and the recipe both run {', '.join(twice)}; leave one out"
        raise RecipeError(msg)
    return ops


def declared(source: Source) -> list[str]:
    """The languages that a card declares; `und` (RFC 5646, section 4.1) declares none."""
    return [tag for tag in source.languages if tag != UNKNOWN]


def keyed(source: Source, text: Ref, ops: Sequence[Op], tally: Ref | None = None) -> TextFile:
    """The keys of what is measured on a text file.

    An op's key depends on the rewrites before it, and on the ops whose columns it reads; nothing
    else: a further op, a threshold or another source leaves it as it is. That of an op that counts
    depends on what is frequent in the source, too.

    Args:
        source: The card.
        text: The file.
        ops: The source's chain.
        tally: What is frequent in the source; None if no op of the chain counts.
    """
    rewrites: list[Json] = []
    makers: dict[str, Json] = {DECLARED_LANGUAGES.name: declared(source)}
    keys = {}
    for op in ops:
        identity = op.identity
        if tally and op.counts:
            identity = {**identity, COUNTED: tally.sha256}
        reads = {c.name: makers[c.name] for c in op.reads if c.name in makers}
        if op.measures:
            spec = {"op": identity, "rewrites": list(rewrites), "reads": reads}
            keys[op.name] = MEASURE.key(spec, [text.sha256])
            makers |= {column.name: keys[op.name] for column in op.measures}
        if op.kind == REWRITE:
            rewrites.append({**identity, "reads": reads} if reads else identity)
    clean = CLEAN.key({"rewrites": rewrites}, [text.sha256])
    return TextFile(source.id, text, clean, keys)


class OpCall(Work):
    """An op as the recipe binds it; `key` of what it measures, None if it only rewrites."""

    name: str
    params: Mapping[str, Json]
    key: str | None = None


class MeasureWork(Work):
    """One text file, with the keys of all that is measured on it.

    Attributes:
        source: Id of the card.
        text: The file.
        clean: Key of the cleaned text.
        ops: The source's chain, in order.
        declared: Languages of the card.
        models: The files that the ops need, by name.
        tally: What is frequent in the source, if an op of its chain counts.
        place: Folder that a workspace's op modules are imported from, and their names.
        is_new: Whether nothing of what it makes was there when that was looked for: then it is not
            looked for again.
    """

    source: str
    text: Ref
    clean: str
    ops: tuple[OpCall, ...]
    declared: tuple[str, ...]
    models: Mapping[str, Ref]
    tally: Ref | None = None
    place: tuple[str, tuple[str, ...]]
    is_new: bool = False


def tasks(
    files: Sequence[TextFile],
    ops: Mapping[str, Sequence[Op]],
    sources: Mapping[str, Source],
    models: Mapping[str, Ref],
    place: tuple[str, tuple[str, ...]],
    tallies: Mapping[str, Ref],
) -> list[Task]:
    """One task for each text file: a single pass over it makes all that is missing.

    Args:
        files: Text files with their keys.
        ops: The chain of each source, by id.
        sources: The cards by id.
        models: Each model file, by its name.
        place: Folder that a workspace's op modules are imported from, and their names.
        tallies: What is frequent in each source of which an op counts the texts, by id.
    """
    made = []
    for text in files:
        chain_ = ops[text.source]
        work = MeasureWork(
            source=text.source,
            text=text.ref,
            clean=text.clean,
            ops=calls(chain_, text.ops),
            declared=tuple(declared(sources[text.source])),
            models=needed(chain_, models),
            tally=tallies.get(text.source),
            place=place,
        )
        keys = ((MEASURE.name, key) for key in text.ops.values())
        makes = ((CLEAN.name, text.clean), *keys)
        made.append(Task(STAGE.name, makes, label(text.source, text.ref), work))
    return made


def calls(ops: Sequence[Op], keys: Mapping[str, str]) -> tuple[OpCall, ...]:
    """Ops as a worker finds them again."""
    return tuple(OpCall(name=op.name, params=dict(op.params), key=keys.get(op.name)) for op in ops)


def needed(ops: Sequence[Op], models: Mapping[str, Ref]) -> dict[str, Ref]:
    """The model files that these ops need, by name."""
    return {file.name: models[file.name] for op in ops for file in op.needs}


@dataclass
class _Column:
    """One measuring op's output so far; `shard` and `known` are what an earlier task made of it."""

    op: Op
    key: str
    shard: Shard | None
    known: pa.Table | None
    chunks: list[list[pa.Array]]
    faults: list[str | None]


def run(store: Store, key: str, work: MeasureWork) -> list[Shard]:
    """Make the cleaned text and the missing attribute files of one text file, in one pass."""
    folder, modules = work.place
    enter(folder)
    paths = {name: ref.on_this_machine(store) for name, ref in work.models.items()}
    if work.tally:
        paths[COUNTED] = work.tally.on_this_machine(store)
    ops = [find_op(call.name, call.params, modules) for call in work.ops]
    clean = None if work.is_new else find(store, CLEAN.name, key)
    # What was measured of a cleaned text came after it: without that, none of it is looked for.
    columns = [
        _column(store, op, call.key, is_known=clean is not None)
        for op, call in zip(ops, work.ops, strict=True)
    ]
    hashes: list[pa.RecordBatch] = []
    stream = _pass(store, work, ops, columns, paths, hashes)
    shards = []
    if clean is None:
        place = f"{CLEAN.name}/{key}"
        text = write_arrow(store, place, "text.arrow", schema(CLEANED), stream, compression="zstd")
        table = pa.Table.from_batches(hashes, schema(HASHES))
        files = (text, write_parquet(store, place, "hashes.parquet", table))
        facts = {"source": work.source, "text": work.text.sha256, "documents": text.rows}
        clean = commit(store, Shard(CLEAN.name, key, files, facts))
    else:
        for _ in stream:
            pass
    shards.append(clean)
    shards += [_commit_op(store, work, column) for column in columns if column is not None]
    return shards


def _column(store: Store, op: Op, key: str | None, *, is_known: bool) -> _Column | None:
    if key is None:
        return None
    shard = find(store, MEASURE.name, key) if is_known else None
    known = None
    if shard is not None:
        known = read_parquet(store, shard.ref(f"{op.name}.parquet"))
    return _Column(op, key, shard, known, [], [])


def _pass(
    store: Store,
    work: MeasureWork,
    ops: Sequence[Op],
    columns: Sequence[_Column | None],
    paths: Mapping[str, str],
    hashes: list[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Run the ops batch by batch; yields the cleaned text, and fills the columns and hashes."""
    start = 0
    for found in arrow_batches(store, work.text):
        batch = with_declared(found, work.declared)
        broken: dict[int, str] = {}
        for op, column in zip(ops, columns, strict=True):
            known = column.known if column else None
            if column and known is not None and op.kind != REWRITE:
                batch = _with_known(batch, column, start)
                continue
            measured = op(batch, paths)
            batch = with_written(batch, op, measured.arrays)
            if op.kind == REWRITE:
                for row, reason in measured.faults.items():
                    broken.setdefault(row, f"{op.name}: {reason}")
            if column is None or known is not None:
                continue
            pairs = zip(op.writes, measured.arrays, strict=True)
            column.chunks.append([array for written, array in pairs if written in op.measures])
            column.faults += [measured.faults.get(row) for row in range(batch.num_rows)]
        start += batch.num_rows
        hashes.append(_hashes(batch, broken))
        yield batch.select([column.name for column in CLEANED])


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
    part = column.known.slice(start, batch.num_rows)
    arrays = [part[written.name].combine_chunks() for written in column.op.writes]
    return with_written(batch, column.op, arrays)


def _hashes(batch: pa.RecordBatch, broken: Mapping[int, str]) -> pa.RecordBatch:
    text = batch[TEXT.name].cast(pa.binary())
    digests = [
        None if value is None else xxhash.xxh3_128_hexdigest(value) for value in text.to_pylist()
    ]
    arrays = [
        batch[ID.name],
        pa.array(digests, pa.string()),
        pc.binary_length(text).cast(pa.int64()),
        batch[LICENSE.name],
        batch[DECLARED_LANGUAGE.name],
        pa.array([broken.get(row) for row in range(batch.num_rows)], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(HASHES))


def _commit_op(store: Store, work: MeasureWork, column: _Column) -> Shard:
    if column.shard is not None:
        return column.shard
    op = column.op
    if not column.chunks:  # no row at all: ask the op for columns of length 0
        column.chunks.append([pa.array([], written.type) for written in op.measures])
    arrays = [pa.chunked_array(list(parts)) for parts in zip(*column.chunks, strict=True)]
    faults = pa.chunked_array([pa.array(column.faults, pa.string())])
    names = [written.name for written in op.measures] + [fault_column(op.name)]
    table = pa.Table.from_arrays([*arrays, faults], names=names)
    file = write_parquet(store, f"{MEASURE.name}/{column.key}", f"{op.name}.parquet", table)
    facts = {
        "source": work.source,
        "text": work.text.sha256,
        "op": op.name,
        "documents": table.num_rows,
        "faults": len(column.faults) - column.faults.count(None),
    }
    return commit(store, Shard(MEASURE.name, column.key, (file,), facts))


def fault_column(op_name: str) -> str:
    """The column in an op's file that holds why it could not work on a row; null if it could."""
    return f"{op_name}_fault"


STAGE = Stage(
    "measure", MeasureWork, run, (MEASURE, CLEAN), grows="text", tasks="files", bears="ops"
)
