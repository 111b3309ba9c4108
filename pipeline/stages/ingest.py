"""Ingest: what connectors read becomes text with ids; what cannot be read, quarantine rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from phloem.catalog.columns import (
    DECLARED_LANGUAGE,
    ID,
    INGESTED,
    LICENSE,
    NATIVE_ID,
    PUBLISHED,
    SOURCE,
    TEXT,
    schema,
)
from phloem.catalog.ledger import QUARANTINE
from phloem.catalog.licenses import UNKNOWN_LICENSE
from phloem.catalog.manifest import (
    File,
    Kind,
    Ref,
    Shard,
    commit,
    rechunk,
    write_arrow,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.catalog.tags import TagError, canonical
from phloem.pipeline.extraction import Asked, Extracted, extract, extractors
from phloem.pipeline.reading import Reading
from phloem.pipeline.stage import Stage, StageError, Task, Work
from phloem.sources.cards.source import Source
from phloem.sources.connector import Split, find_connector
from phloem.sources.limits import Limits

Json = Any
Rows = npt.NDArray[np.int64]  # of a batch

ONCE = "make the card's id column unique, or leave `id_column` out"
"""What to do about a native id that two documents have. Only where all of a source is known could
the second be given another name, and a split knows its own part."""

NAMED_FAULTS = 100_000
"""Rows of quarantine that name their record, of one split; those beyond are counted, by file and
reason. A file of 16 MB may have eight million, which would take all memory that a task has."""

# A text file ends with the batch that passes one of these: it stays below 256 MiB, and its
# columns below the 2 GiB that Arrow's 32-bit offsets reach.
SHARD_TEXT_BYTES = 64 * 2**20
SHARD_ROWS = 2**20


INGEST = Kind(
    "ingest",
    {r"text-\d{5,}\.arrow": schema(INGESTED), r"quarantine\.parquet": schema(QUARANTINE)},
    version=3,
)


class IngestWork(Work):
    """One split of a source.

    Attributes:
        source: Id of the card.
        connector: What reads it.
        params: What the card gives the connector.
        split: The part to read.
        files: Each pinned file that the split reads, by its name.
        limits: How much a document, a record, an archive may have.
        place: Folder that the workspace's op modules are imported from, and their names.
        licensed_since: ISO 8601 day from which the card's licence holds, if it names one.
    """

    source: str
    connector: str
    params: Mapping[str, Json]
    split: Split
    files: Mapping[str, Ref]
    limits: Limits
    place: tuple[str, tuple[str, ...]]
    licensed_since: str | None = None


def tasks(reading: Reading, place: tuple[str, tuple[str, ...]], limits: Limits) -> list[Task]:
    """One task for each split of a source.

    Args:
        reading: The source, its splits and its files.
        place: Folder that a workspace's op modules are imported from, and their names.
        limits: How much a document, a record, an archive may have.
    """
    card = reading.card
    connector, params = card.access.connector, dict(card.access.params)
    _, modules = place
    spec = {
        "source": card.id,
        "connector": [connector, find_connector(connector).VERSION],
        "extractors": {op.name: op.identity for op in extractors(modules).values()},
        "ends": [SHARD_TEXT_BYTES, SHARD_ROWS],
        "limits": limits.deciding(),
        "params": params,
    }
    since = licensed_since(card)
    if since:
        spec["licensed_since"] = since
    made = []
    for split in reading.splits:
        names = [each.name for each in reading.pin.files]
        files = {name: reading.files[name] for name in split.files or names}
        asked = {**spec, "split": [split.name, split.spec]}
        ordered = [files[name].sha256 for name in names if name in files]
        work = IngestWork(
            source=card.id,
            connector=connector,
            params=params,
            split=split,
            files={name: files[name] for name in names if name in files},
            limits=limits,
            place=place,
            licensed_since=since,
        )
        key = INGEST.key(asked, ordered)
        made.append(STAGE.task(key, f"{card.id} {split.name}", work))
    return made


def licensed_since(card: Source) -> str | None:
    """ISO 8601 day from which a card's licence holds, if it names one."""
    return card.license.since.isoformat() if card.license.since else None


def several(source: str, native_id: str, places: Sequence[str]) -> str:
    """A native id that several documents have, and where: files or splits, one for each."""
    where = " and in ".join(f"{place}" for place in dict.fromkeys(places))
    twice = f"{len(places)} times " if len(set(places)) < len(places) else ""
    return f"{source}: the native id {native_id[:200]!r} stands {twice}in {where}"


@dataclass
class Ingested:
    """What has been met so far in one split.

    Attributes:
        seen: The file that each native id was met in.
        counted: Of the faults, those that stand for many, by file and reason.
        licensed_since: As in the work.
    """

    source: str
    split: str
    licensed_since: str | None = None
    seen: dict[str, str | None] = field(default_factory=dict)
    faults: list[dict[str, Json]] = field(default_factory=list)
    counted: dict[tuple[str | None, str], dict[str, Json]] = field(default_factory=dict)
    read: int = 0
    rests: int = 0
    content_bytes: int = 0

    def fault(
        self, file: str | None, native_id: str | None, offset: int, reason: str, records: int = 1
    ) -> None:
        """Put a record into quarantine: by its name, or where there are very many by its number."""
        if (file, reason) in self.counted:
            self.counted[file, reason]["records"] += records
            return
        is_named = len(self.faults) < NAMED_FAULTS
        name, place = (native_id, offset) if is_named else (None, -1)
        values = (self.source, self.split, file, name, place, reason, records)
        self.faults.append({c.name: v for c, v in zip(QUARANTINE, values, strict=True)})
        if not is_named:
            self.counted[file, reason] = self.faults[-1]

    def once(self, native_id: str, file: str | None) -> str:
        """The id of a document. Raises StageError for a native id that another document has."""
        if native_id in self.seen:
            places = [self.seen[native_id] or self.split, file or self.split]
            raise StageError(f"{several(self.source, native_id, places)}; {ONCE}")
        self.seen[native_id] = file
        return document_id(self.source, native_id)


def run(store: Store, key: str, work: IngestWork) -> list[Shard]:
    """Read one split into text files and a quarantine file."""
    asked = Asked(
        source=work.source,
        connector=work.connector,
        params=work.params,
        split=work.split,
        files={name: ref.on_this_machine(store) for name, ref in work.files.items()},
        limits=work.limits,
        place=work.place,
    )
    reading = Ingested(work.source, work.split.name, work.licensed_since)
    return [write_ingested(store, key, reading, collected(extract(asked), reading))]


def write_ingested(
    store: Store, key: str, reading: Ingested, batches: Iterator[pa.RecordBatch]
) -> Shard:
    """Commit what was read of a split: its text files, its quarantine, and what was counted."""
    # The source and the split stand in each file, so that no two files of different ones, though
    # both be empty, have one hash.
    said = {"source": reading.source, "split": reading.split}
    folder = f"{INGEST.name}/{key}"
    texts: list[File] = []
    for part in _parts(batches):
        numbered = schema(INGESTED).with_metadata({**said, "part": str(len(texts))})
        texts.append(write_arrow(store, folder, f"text-{len(texts):05d}.arrow", numbered, part))
    rows = pa.Table.from_pylist(reading.faults, schema=schema(QUARANTINE))
    quarantine = write_parquet(store, folder, "quarantine.parquet", rows)
    facts = {
        **said,
        "read": reading.read,
        "documents": sum(file.rows or 0 for file in texts),
        "quarantined": sum(row["records"] for row in reading.faults),
        "rests": reading.rests,
        "content_bytes": reading.content_bytes,
    }
    return commit(store, Shard(INGEST.name, key, (*texts, quarantine), facts))


def _parts(batches: Iterator[pa.RecordBatch]) -> Iterator[Iterator[pa.RecordBatch]]:
    """Group batches into text files. The rows alone decide where a file ends."""
    source = rechunk(batches)
    first = next(source, None)
    if first is None:
        yield iter(())  # a split without documents still commits an empty file
    while first is not None:
        yield _part(first, source)
        first = next(source, None)


def _part(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches up to the one that passes the size or the rows of a text file."""
    size, rows = _text_bytes(first), first.num_rows
    yield first
    while size < SHARD_TEXT_BYTES and rows < SHARD_ROWS:
        batch = next(rest, None)
        if batch is None:
            return
        size, rows = size + _text_bytes(batch), rows + batch.num_rows
        yield batch


def _text_bytes(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.binary_length(batch[TEXT.name])).as_py() or 0)


def collected(found: Iterator[Extracted], reading: Ingested) -> Iterator[pa.RecordBatch]:
    """Batches of the ingested schema, out of what was extracted; the rest goes into quarantine."""
    for each in found:
        reading.read += each.read
        reading.content_bytes += each.content_bytes
        for fault in each.faults:
            reading.rests += fault.rest
            reading.fault(fault.file, fault.native_id, fault.offset, fault.reason, fault.records)
        if each.rows is not None:
            yield _with_ids(_with_tags(each.rows, each.file, reading), each.file, reading)


def _with_tags(rows: pa.RecordBatch, file: str | None, reading: Ingested) -> pa.RecordBatch:
    """The rows with the language that each declares in the one form of its tag.

    A record that declares what is no tag is put into quarantine: whatever it means, the rules of
    its language would not hold for it.
    """
    tags = rows[DECLARED_LANGUAGE.name].to_pylist()
    meant: dict[str | None, str | None] = {None: None, "": None}
    wrong: dict[str, str] = {}
    for tag in set(tags) - {None, ""}:
        try:
            meant[tag] = canonical(tag)
        except TagError as error:
            wrong[tag] = f"language {error}"
    if not wrong and all(meant[tag] == tag for tag in tags):
        return rows
    names = rows[NATIVE_ID.name].to_pylist()
    for name, tag in zip(names, tags, strict=True):
        if tag in wrong:
            reading.fault(file, name, -1, wrong[tag])
    place = rows.schema.get_field_index(DECLARED_LANGUAGE.name)
    values = pa.array([meant.get(tag) for tag in tags], DECLARED_LANGUAGE.type)
    named = rows.set_column(place, rows.schema.field(place), values)
    return named.filter(pa.array([tag not in wrong for tag in tags]))


def _with_ids(rows: pa.RecordBatch, file: str | None, reading: Ingested) -> pa.RecordBatch:
    names = rows[NATIVE_ID.name].to_pylist()
    arrays = {
        ID.name: pa.array([reading.once(name, file) for name in names], pa.string()),
        SOURCE.name: pa.array([reading.source] * len(names), pa.string()),
    }
    if reading.licensed_since:
        days = pc.fill_null(rows[PUBLISHED.name], "")
        holds = pc.greater_equal(days, reading.licensed_since)
        arrays[LICENSE.name] = pc.if_else(holds, rows[LICENSE.name], UNKNOWN_LICENSE)
    return pa.RecordBatch.from_arrays(
        [
            arrays[column.name] if column.name in arrays else rows[column.name]
            for column in INGESTED
        ],
        schema=schema(INGESTED),
    )


def document_id(source: str, native_id: str) -> str:
    """xxh3_128 of source id, a NUL and native id, 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{native_id}".encode())


STAGE = Stage("ingest", IngestWork, run, (INGEST,), grows="text", tasks="files")
