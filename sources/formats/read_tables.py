"""Reading Parquet and Arrow files by column, whole or by row group."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phloem.catalog.columns import (
    CONTENT,
    DECLARED_LANGUAGE,
    MEDIA_TYPE,
    NATIVE_ID,
    TITLE,
    URL,
    schema,
)
from phloem.sources.connector import Batches, Fault, SourceError
from phloem.sources.formats.read_text import Columns, require
from phloem.sources.limits import Limits

BATCH = 1024  # rows decoded at once; a document averages a few KB

BROKEN = (pa.ArrowException, OSError, KeyError, UnicodeDecodeError)
"""What Arrow raises for files that are not whole: the last two for names of columns."""

_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}
_TEXT = frozenset({*_BYTES, *_BYTES.values(), pa.null()})

_OUT = (NATIVE_ID, CONTENT, MEDIA_TYPE, URL, TITLE, DECLARED_LANGUAGE)


def check_columns(name: str, path: str, columns: Columns, kind: str) -> None:
    """Raise SourceError if a table lacks a column or its text is of another type.

    A file that cannot be opened passes: reading it gives the fault.
    """
    try:
        found = pq.read_schema(path) if kind == "parquet" else _open(path).schema
        names = found.names
    except BROKEN:
        return
    require(name, columns.named(), names)
    text = found.field(columns.text).type
    if not _is_text(text):
        raise SourceError(f"{name}: column {columns.text!r} holds {text}; it must hold strings")


def _is_text(kind: pa.DataType) -> bool:
    return (kind.value_type if pa.types.is_dictionary(kind) else kind) in _TEXT


def row_groups(path: str, size: int) -> list[tuple[int, int | None, int]]:
    """(first row group, one past the last, bytes) of parts of about `size` bytes.

    The whole file where its footer cannot be read: reading it gives the fault.
    """
    try:
        meta = pq.read_metadata(path)
    except BROKEN:
        return [(0, None, 0)]
    parts: list[tuple[int, int | None, int]] = []
    start = held = 0
    for group in range(meta.num_row_groups):
        held += meta.row_group(group).total_byte_size
        if held >= size:
            parts.append((start, group + 1, held))
            start, held = group + 1, 0
    return [*parts, (start, meta.num_row_groups, held)] if held or not parts else parts


def parquet(
    name: str, path: str, columns: Columns, groups: tuple[int, int | None], limits: Limits
) -> Batches:
    """The documents of row groups [first, last) of a Parquet file."""
    start, end = groups
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            last = meta.num_row_groups if end is None else end
            row = sum(meta.row_group(group).num_rows for group in range(start))
            for group in range(start, last):
                if meta.row_group(group).total_byte_size > limits.row_group_bytes:
                    rows = meta.row_group(group).num_rows
                    reason = f"row group larger than {limits.told('row_group_bytes')}"
                    yield Fault(None, -1, reason, rows)
                    row += rows
                    continue
                found = file.iter_batches(BATCH, row_groups=[group], columns=columns.named())
                for batch in found:
                    yield from _documents(name, batch, columns, row, limits)
                    row += batch.num_rows
    except BROKEN:
        yield Fault(None, -1, "broken Parquet", rest=True)


def arrow(name: str, path: str, columns: Columns, limits: Limits) -> Batches:
    """The documents of an Arrow IPC file or stream."""
    row = 0
    try:
        reader = _open(path)
        for batch in _batches(reader):
            yield from _documents(name, batch.select(columns.named()), columns, row, limits)
            row += batch.num_rows
    except BROKEN:
        yield Fault(None, -1, "broken Arrow file", rest=True)


def _open(path: str) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    source = pa.memory_map(path)
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches(
    reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _documents(
    name: str, batch: pa.RecordBatch, columns: Columns, row: int, limits: Limits
) -> Batches:
    """The rows that hold a text as a batch, and a fault for each that does not."""
    rows = batch.num_rows
    text = _bytes(batch[columns.text])
    ids = pa.array([f"{name}#{row + place}" for place in range(rows)], pa.string())
    own = _column(batch, columns.id)
    native = pc.coalesce(own, ids) if own is not None else ids
    for place in pc.indices_nonzero(pc.is_null(text)).to_pylist():
        yield Fault(native[place].as_py(), -1, "null text")
    fits = pc.less_equal(pc.binary_length(text), limits.record_bytes)
    for place in pc.indices_nonzero(pc.invert(fits)).to_pylist():
        reason = f"record larger than {limits.told('record_bytes')}"
        yield Fault(native[place].as_py(), -1, reason)
    others = [_column(batch, c) for c in (columns.url, columns.title, columns.language)]
    arrays = [
        native,
        text,
        pa.array([columns.media_type] * rows, pa.string()),
        *(pa.nulls(rows, pa.string()) if other is None else other for other in others),
    ]
    whole = pa.RecordBatch.from_arrays(arrays, schema=schema(_OUT))
    kept = whole.filter(fits)  # a null text has no length
    if kept.num_rows:
        yield kept


def _column(batch: pa.RecordBatch, column: str | None) -> pa.Array | None:
    """A column as strings; bytes that are not UTF-8 are replaced."""
    if column is None:
        return None
    found = batch[column]
    if not _is_text(found.type):
        found.validate(full=True)
        return found.cast(pa.string())
    raw = _bytes(found)
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        values = [None if v is None else v.decode("utf-8", "replace") for v in raw.to_pylist()]
        return pa.array(values, pa.string())


def _bytes(array: pa.Array) -> pa.Array:
    """An array of text as bytes, whatever they are. Raises ArrowInvalid if it is broken.

    Arrow believes a file's offsets and would read outside it; only a full validation looks.
    """
    if pa.types.is_dictionary(array.type):
        array.validate(full=True)
        array = array.dictionary_decode()
    array = array.view(_BYTES.get(array.type, array.type))  # else its UTF-8 is validated too
    array.validate(full=True)
    return array.cast(pa.binary())
