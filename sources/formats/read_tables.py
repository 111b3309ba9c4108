"""Reading Parquet and Arrow files by column, whole or by row group.

What is decoded at once is bounded by its bytes, not its rows. Of Parquet, the library unpacks a
page as a whole; its writers end one after 1,024 rows, or a megabyte where that is more rows. A file
is mapped, so that what is packed in it takes no memory of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phloem.catalog.columns import (
    CONTENT,
    DECLARED_LANGUAGE,
    LICENSE,
    MEDIA_TYPE,
    NATIVE_ID,
    TITLE,
    URL,
    schema,
)
from phloem.catalog.licenses import UNKNOWN_LICENSE
from phloem.catalog.manifest import BATCH_BYTES
from phloem.sources.connector import Batches, Fault, SourceError
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.parquet_footer import Footer, RowGroup, footer
from phloem.sources.formats.read_text import require
from phloem.sources.formats.stated_license import stated
from phloem.sources.limits import Limits

BATCH = 1024  # rows handed on at once at most; a document averages a few KB

BROKEN = (pa.ArrowException, OSError, KeyError, ValueError)
"""What Arrow raises for files that are not whole: the last two for names of columns."""

_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}
_TEXT = frozenset({*_BYTES, *_BYTES.values(), pa.null()})

_OUT = (NATIVE_ID, CONTENT, MEDIA_TYPE, URL, TITLE, DECLARED_LANGUAGE, LICENSE)

_FILE_HEAD = b"ARROW1\0\0"  # of an IPC file; a stream and a footer follow
_FILE_TAIL = 10  # bytes behind the footer: its length, and the same mark without its padding
_PARQUET_SEAM = b"PAR1PAR1"  # where one file ends and another begins


def check_columns(name: str, path: str, columns: Columns, kind: str) -> None:
    """Raise SourceError if a table lacks a column or its text is of another type.

    A file that cannot be opened passes: reading it gives the fault.
    """
    try:
        found = pq.read_schema(path) if kind == "parquet" else _arrow_schema(path)
        depth = max(column.count(".") for column in columns.named())
        own = list(found.names)
        names = own + [each for each in _names(found, depth) if each not in own]
    except BROKEN:
        return
    require(name, columns.named(), names)
    wrong = _wrong(found, columns)
    if wrong:
        raise SourceError(f"{name}: {wrong}")


def _wrong(found: pa.Schema, columns: Columns) -> str | None:
    """Why a table's columns cannot be read; None if they can."""
    kinds: dict[str, pa.DataType] = {}
    for column in columns.named():
        there = _kinds(found, column)
        count = len(there)
        if count != 1:
            return f"{count} columns are named {column!r}" if count else f"no column {column!r}"
        kinds[column] = there[0]
    kind = kinds.pop(columns.text)
    if not (_is_text(kind) or _is_lines(kind)):
        return f"column {columns.text!r} holds {kind}; it must hold strings, or lists of them"
    for column, kind in kinds.items():
        if not _is_written(kind):
            return f"column {column!r} holds {kind}; it must hold what can be written as a string"
    return None


def _names(found: pa.Schema | pa.StructType, depth: int) -> Iterator[str]:
    """The columns of a table, and the paths that lead so deep into those that hold columns."""
    for place in range(len(found.names)):
        field = found.field(place)
        yield field.name
        if depth and pa.types.is_struct(field.type):
            yield from (f"{field.name}.{each}" for each in _names(field.type, depth - 1))


def _kinds(found: pa.Schema | pa.StructType, column: str) -> list[pa.DataType]:
    """The type of each column of a name; if there is none, of what the path leads to."""
    own = [found.field(place).type for place in found.get_all_field_indices(column)]
    key, dot, rest = column.partition(".")
    if own or not dot:
        return own
    outer = [found.field(place).type for place in found.get_all_field_indices(key)]
    return [kind for each in outer if pa.types.is_struct(each) for kind in _kinds(each, rest)]


def _asked(batch: pa.RecordBatch, columns: Columns) -> pa.RecordBatch:
    """The columns that are asked for alone, each by the name or path that it is asked by.

    Raises ArrowInvalid if one that holds others is broken.
    """
    asked = columns.named()
    arrays = [_at(batch, column) for column in asked]
    if _is_lines(arrays[0].type):  # of the text, which is the first
        arrays[0] = _together(arrays[0])
    return pa.RecordBatch.from_arrays(arrays, asked)


def _together(lists: pa.Array) -> pa.Array:
    """The lines of each list as one text; null where one of them is. As `_raw`, of broken ones."""
    of = pa.large_list if pa.types.is_large_list(lists.type) else pa.list_
    raw = lists.view(of(_BYTES[lists.type.value_type]))
    raw.validate(full=True)
    lines = raw.cast(pa.list_(pa.large_binary()))
    return pc.binary_join(lines, pa.scalar(b"\n", pa.large_binary()))


def _at(batch: pa.RecordBatch, column: str) -> pa.Array:
    key = column if column in batch.schema.names else column.partition(".")[0]
    found, rest = batch[key], column[len(key) + 1 :]
    while rest:
        found.validate()  # Arrow believes what a file says of lengths
        names = found.type.names
        key = rest if rest in names else rest.partition(".")[0]
        found = pc.struct_field(found, names.index(key))  # null where what it is in is null
        rest = rest[len(key) + 1 :]
    return found


def _is_written(kind: pa.DataType) -> bool:
    """Whether values of a type can be written as strings: no lists, no unknown time zone."""
    try:
        _strings(pa.array([0] if pa.types.is_timestamp(kind) else [], kind))
    except (pa.ArrowException, OSError):
        return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    return (kind.value_type if pa.types.is_dictionary(kind) else kind) in _TEXT


def _is_lines(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and kind.value_type in _BYTES


def row_groups(path: str, size: int) -> list[tuple[int, int | None, int]]:
    """(first row group, one past the last, bytes) of parts of about `size` bytes.

    The whole file where its footer cannot be read: reading it gives the fault.
    """
    try:
        said = footer(path)
    except BROKEN:
        return [(0, None, 0)]
    parts: list[tuple[int, int | None, int]] = []
    start = held = 0
    for group in said.row_groups:
        held += group.bytes
        if held >= size:
            parts.append((start, group.number + 1, held))
            start, held = group.number + 1, 0
    return [*parts, (start, len(said.row_groups), held)] if held or not parts else parts


def parquet(
    name: str, path: str, columns: Columns, groups: tuple[int, int | None], limits: Limits
) -> Batches:
    """The documents of row groups [first, last) of a Parquet file.

    The rows of a group that breaks are one fault, and the next group is read.
    """
    start, end = groups
    try:
        said = footer(path)
        if said.encrypted:
            yield Fault(None, 0, "encrypted Parquet", rest=True)
            return
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            wrong = _wrong(file.schema_arrow, columns)
            if wrong:
                yield Fault(None, 0, wrong, rest=True)
                return
            for group in said.row_groups[start:end]:
                yield from _row_group(name, file, group, columns, limits)
        if end in {None, len(said.row_groups)}:
            yield from _behind(path, said)
    except BROKEN:
        yield Fault(None, 0, "broken Parquet", rest=True)


def _row_group(
    name: str, file: pq.ParquetFile, group: RowGroup, columns: Columns, limits: Limits
) -> Batches:
    if group.bytes > limits.row_group_bytes:
        reason = f"row group larger than {limits.told('row_group_bytes')}"
        yield Fault(None, group.start, reason, group.rows)
        return
    asked, row, end = columns.named(), group.first_row, group.first_row + group.rows
    try:
        for batch in file.iter_batches(_rows_at_once(group, asked), [group.number], asked):
            for part in _cut(_asked(batch, columns)):
                yield from _documents(name, part, columns, row, limits)
                row += part.num_rows
    except BROKEN:
        yield Fault(None, group.start, "broken row group", max(1, end - row))
        return
    if row < end:
        yield Fault(None, group.start, "row group of fewer rows than its footer says", end - row)


def _rows_at_once(group: RowGroup, asked: list[str]) -> int:
    """How many rows of a group are decoded together: those of a batch, by their average."""
    inside = tuple(f"{column}." for column in asked)  # a list's values have a path of their own
    size = sum(
        size for name, size in group.columns.items() if name in asked or name.startswith(inside)
    )
    return min(BATCH, max(1, BATCH_BYTES * group.rows // max(size, 1)))


def _behind(path: str, said: Footer) -> Batches:
    """What a file holds besides its row groups: rows that none of them has, or another file.

    The footer of the second tells places as if it were alone: the seam is behind what it tells of.
    """
    end = max((group.end for group in said.row_groups), default=0)
    rows = sum(group.rows for group in said.row_groups)
    if rows != said.rows:
        reason = f"row groups of {rows} rows in a file of {said.rows}"
        yield Fault(None, 0, reason, max(1, said.rows - rows), rest=True)
    with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        place = data.find(_PARQUET_SEAM, max(0, end))
    if place >= 0:
        seam = place + len(_PARQUET_SEAM) // 2
        yield Fault(None, seam, "another Parquet file behind the end", rest=True)


def arrow(name: str, path: str, columns: Columns, limits: Limits) -> Batches:
    """The documents of an Arrow IPC file, or of a stream, or of several streams joined.

    One that breaks off is a fault, and so is a stream without the mark of its end: it may be cut.
    """
    row = at = 0
    try:
        data, at, end, closed = _mapped(path)
        is_file, ended = at > 0, False
        while at < end:
            source = pa.BufferReader(data.slice(at, end - at))
            reader = pa.ipc.open_stream(source)
            wrong = _wrong(reader.schema, columns)
            if wrong:
                yield Fault(None, at, wrong, rest=True)
                return
            begun = at
            at = begun + source.tell()
            for batch in reader:
                for part in _cut(_asked(batch, columns)):
                    yield from _documents(name, part, columns, row, limits)
                    row += part.num_rows
                at = begun + source.tell()
            ended = source.tell() > at - begun
            at = begun + source.tell()
        if not closed and (is_file or not ended):
            yield Fault(None, at, "no end of stream", rest=True)
    except BROKEN:
        yield Fault(None, at, "broken Arrow file", rest=True)


def _arrow_schema(path: str) -> pa.Schema:
    data, at, end, _ = _mapped(path)
    return pa.ipc.open_stream(pa.BufferReader(data.slice(at, end - at))).schema


def _mapped(path: str) -> tuple[pa.Buffer, int, int, bool]:
    """A file's bytes, where its stream begins and ends, and whether that is known.

    Of an IPC file that is from behind its mark up to its footer, whose place its last bytes tell.
    """
    if not Path(path).stat().st_size:
        return pa.py_buffer(b""), 0, 0, True
    with pa.memory_map(path) as file:
        data = file.read_buffer()
    size = len(data)
    if data.slice(0, len(_FILE_HEAD)).to_pybytes() != _FILE_HEAD:
        return data, 0, size, False
    tail = data.slice(max(0, size - _FILE_TAIL)).to_pybytes()
    if not tail.endswith(_FILE_HEAD.rstrip(b"\0")):
        return data, len(_FILE_HEAD), size, False
    end = size - _FILE_TAIL - int.from_bytes(tail[:4], "little")
    return data, len(_FILE_HEAD), max(end, len(_FILE_HEAD)), True


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The parts of a batch that hold no more than `BATCH_BYTES` each, unless a single row does.

    Raises ArrowInvalid if a column is broken: Arrow believes a file's offsets and would read
    outside it; only a full validation looks.
    """
    arrays = [_raw(array) for array in batch.columns]
    sizes = np.zeros(batch.num_rows, np.int64)
    for array in arrays:
        sizes += _lengths(array)
    ends = np.cumsum(sizes)
    start = before = 0
    whole = pa.RecordBatch.from_arrays(arrays, batch.schema.names)
    while start < batch.num_rows:
        full = int(np.searchsorted(ends, before + BATCH_BYTES, side="right"))
        stop = min(max(full, start + 1), start + BATCH)
        yield whole.slice(start, stop - start)
        start, before = stop, int(ends[stop - 1])


def _raw(array: pa.Array) -> pa.Array:
    """A column whose strings are bytes, whatever they are. Raises ArrowInvalid if it is broken."""
    if pa.types.is_dictionary(array.type):
        raw = _raw(array.dictionary)
        array = pa.DictionaryArray.from_arrays(array.indices, raw, safe=False)
    array = array.view(_BYTES.get(array.type, array.type))  # else its UTF-8 is validated too
    array.validate(full=True)
    # What counts lengths knows no views.
    return array.cast(pa.large_binary()) if array.type == pa.binary_view() else array


def _lengths(array: pa.Array) -> npt.NDArray[np.int64]:
    """Bytes of each value of a column: none of a null, and of what is no text."""
    if pa.types.is_dictionary(array.type):
        if not len(array.dictionary):
            return np.zeros(len(array), np.int64)
        lengths = pa.array(_lengths(array.dictionary)).take(array.indices)
    elif array.type in {pa.binary(), pa.large_binary()}:
        lengths = pc.binary_length(array)
    else:
        return np.zeros(len(array), np.int64)
    counted: npt.NDArray[np.int64] = pc.fill_null(lengths, 0).cast(pa.int64()).to_numpy()
    return counted


def _documents(
    name: str, batch: pa.RecordBatch, columns: Columns, row: int, limits: Limits
) -> Batches:
    """The rows that hold a text as a batch, and a fault for each that does not."""
    rows = batch.num_rows
    text = _decoded(batch[columns.text])
    ids = pa.array([f"{name}#{row + place}" for place in range(rows)], pa.string())
    own = _column(batch, columns.id)
    native = pc.coalesce(own, ids) if own is not None else ids
    null = text.is_null().to_numpy(zero_copy_only=False)
    large = _lengths(text) > limits.record_bytes
    for place in np.flatnonzero(null | large).tolist():
        too_large = f"record larger than {limits.told('record_bytes')}"
        yield Fault(native[place].as_py(), -1, "null text" if null[place] else too_large)
    others = [_column(batch, c) for c in (columns.url, columns.title, columns.language)]
    others.append(_licenses(_column(batch, columns.license)))
    # What is too large is taken off first: a value of over 2 GiB has no place in a column.
    kept = pa.array(~(null | large))
    text = text.filter(kept)
    arrays = [
        native.filter(kept),
        text.cast(pa.binary()),
        pa.array([columns.media_type] * len(text), pa.string()),
        *(
            pa.nulls(len(text), pa.string()) if other is None else other.filter(kept)
            for other in others
        ),
    ]
    if len(text):
        yield pa.RecordBatch.from_arrays(arrays, schema=schema(_OUT))


def _licenses(said: pa.Array | None) -> pa.Array | None:
    """What each row says of its licence, as SPDX expressions."""
    if said is None:
        return None
    coded = said.dictionary_encode()
    known = pa.array([stated(each) for each in coded.dictionary.to_pylist()], pa.string())
    return known.take(coded.indices).fill_null(UNKNOWN_LICENSE)


def _column(batch: pa.RecordBatch, column: str | None) -> pa.Array | None:
    return None if column is None else _strings(batch[column])


def _strings(found: pa.Array) -> pa.Array:
    """A column as strings; bytes that are not UTF-8 are replaced."""
    if not _is_text(found.type):
        return _decoded(found).cast(pa.string())
    found = _decoded(found)
    try:
        return found.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        values = [None if v is None else v.decode("utf-8", "replace") for v in found.to_pylist()]
        return pa.array(values, pa.string())


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
