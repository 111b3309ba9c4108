"""Reading CSV (RFC 4180) and tab-separated files with a header row, packed or not."""

from __future__ import annotations

import csv as dialect
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from phloem.sources.connector import Fault, SourceError
from phloem.sources.limits import Limits
from phloem.sources.read_text import Columns, Line, lines, missing_column
from phloem.sources.records import Record, batches
from phloem.sources.unpack import compression_of

_BOM = "\ufeff"
_FIELD = 2**31 - 1  # the csv module's own bound on a field: rows are bounded here instead
_DELIMITERS = ",\t;"  # the one that the header has most of; the first of equals

Row = tuple[int, list[str]] | Fault  # byte offset and fields


def csv(name: str, path: str, columns: Columns, limits: Limits) -> Iterator[pa.RecordBatch | Fault]:
    """The rows of a file whose first row names its columns.

    A row of more or fewer fields than the header is a fault. So is the rest of a file after a row
    over `limits.record_bytes`: a quote that nothing closes takes all that follows into its field.
    """
    return batches(_records(name, path, columns, limits))


def check_columns(name: str, path: str, columns: Columns) -> None:
    """Raise SourceError if the header lacks a column; a file that cannot be read passes."""
    with Path(path).open("rb") as file:
        header = next(_rows(name, file, Limits()), None)
    if header is None or isinstance(header, Fault):
        return
    for column in columns.named():
        if column not in header[1]:
            raise SourceError(missing_column(name, column, header[1]))


def _records(name: str, path: str, columns: Columns, limits: Limits) -> Iterator[Record | Fault]:
    header: list[str] = []
    with Path(path).open("rb") as file:
        for row in _rows(name, file, limits):
            if isinstance(row, Fault):
                yield row
            elif header:
                yield _record(name, header, row, columns)
            else:
                header = row[1]


def _record(
    name: str, header: list[str], row: tuple[int, list[str]], columns: Columns
) -> Record | Fault:
    offset, fields = row
    native_id = f"{name}@{offset}"
    if len(fields) != len(header):
        reason = f"{len(fields)} fields where the header has {len(header)}"
        return Fault(native_id, offset, reason)
    value = dict(zip(reversed(header), reversed(fields), strict=True))  # of equal names, the first
    if columns.text not in value:
        return Fault(native_id, offset, f"no column {columns.text!r}")
    return Record(
        _string(value, columns.id) or native_id,
        value[columns.text].encode("utf-8", "surrogateescape"),
        columns.media_type,
        url=_string(value, columns.url),
        title=_string(value, columns.title),
        language=_string(value, columns.language),
    )


def _string(value: dict[str, str], column: str | None) -> str | None:
    """A field without the bytes that are not UTF-8; None where there is none."""
    found = value.get(column, "") if column else ""
    return found.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or None


def _rows(name: str, file: BinaryIO, limits: Limits) -> Iterator[Row]:
    """The rows of a file that are not blank, and the lines that are none."""
    dialect.field_size_limit(_FIELD)
    source = _Lines(lines(file, compression_of(name)[0], limits), limits)
    first = next(source, "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = dialect.reader(chain([first], source), delimiter=delimiter, strict=True)
    while True:
        row, wrong = _next(reader)
        yield from source.faults
        if source.broken or (row is None and not wrong):
            return  # a row that a broken stream cut short is part of what is lost
        if wrong:
            yield Fault(f"{name}@{source.start}", source.start, wrong, rest=source.over)
        elif row:
            yield source.start, row
        if source.over:
            return
        source.begin()


def _next(reader: Iterator[list[str]]) -> tuple[list[str] | None, str]:
    """(the next row, or None at the end; what is wrong with it)."""
    try:
        return next(reader, None), ""
    except _LongRowError as error:
        return None, str(error)
    except dialect.Error:
        return None, "not CSV"


class _LongRowError(Exception):
    """A row over `limits.record_bytes`."""


class _Lines:
    """The lines of a file as `csv.reader` takes them, and what happened on the way.

    Attributes:
        start: Byte offset of the row that is being read.
        faults: Of lines in it that were passed over.
        broken: Whether the stream broke off.
        over: Whether the row grew over its limit.
    """

    def __init__(self, found: Iterator[Line], limits: Limits) -> None:
        self._found = found
        self._limits = limits
        self._size = 0
        self.start = -1
        self.faults: list[Fault] = []
        self.broken = self.over = False

    def begin(self) -> None:
        """A new row begins."""
        self.start, self._size, self.faults = -1, 0, []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for line in self._found:
            if isinstance(line, Fault):
                self.faults.append(line)
                self.broken = line.rest
                continue
            offset, raw = line
            self.start = offset if self.start < 0 else self.start
            self._size += len(raw) + 1
            if self._size > self._limits.record_bytes + 1:
                self.over = True
                msg = f"record larger than {self._limits.told('record_bytes')}"
                raise _LongRowError(msg)
            # Bytes that are not UTF-8 pass through as surrogates and come back with the text.
            text = raw.decode("utf-8", "surrogateescape")
            return (text.removeprefix(_BOM) if offset == 0 else text) + "\n"
        raise StopIteration
