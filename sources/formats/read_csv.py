"""Reading CSV (RFC 4180) and tab-separated files, with a header row or without, packed or not."""

from __future__ import annotations

import csv as dialect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from phloem.sources.connector import Fault, SourceError
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.read_text import require
from phloem.sources.formats.stated_license import stated
from phloem.sources.formats.text_lines import Line, lines
from phloem.sources.formats.unpack import compression_of
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

_BOM = "\ufeff"
_FIELD = 2**31 - 1  # the csv module's own bound on a field: rows are bounded here instead
_DELIMITERS = ",\t;"  # the one that the header has most of; the first of equals
_QUOTED = re.compile(r'"[^"]*"')

# A carriage return that no newline follows; a run of them is looked at once.
_RETURN = re.compile(rb"(?<!\r)\r++(?=[^\r\n])")


@dataclass(frozen=True)
class _Row:
    """A row of a file.

    Attributes:
        offset: Byte where it begins.
        fields: What stands in it.
        lines: How many lines it takes: more than one where a field holds the end of a line.
    """

    offset: int
    fields: list[str]
    lines: int


def check_columns(name: str, path: str, columns: Columns) -> None:
    """Raise SourceError if the header lacks a column, or the first row is no row of the columns.

    A file that cannot be read passes.
    """
    with Path(path).open("rb") as file:
        row = next(_rows(name, file, columns, Limits()), None)
    if columns.header:
        if isinstance(row, _Row) and len(row.fields) != len(columns.header):
            raise SourceError(
                f"{name}: the first row has {len(row.fields)} fields, and `columns` names"
                f" {len(columns.header)}"
            )
        return
    header = _header(name, row, columns)
    if row is not None and not isinstance(header, Fault):
        require(name, columns.named(), header)


@batched
def csv(name: str, path: str, columns: Columns, limits: Limits) -> Records:
    """The rows of a file whose first row names its columns, unless the card does.

    A wrong row is a fault, and reading goes on at the next line. But where it takes several lines,
    a quote that is lost or too many has taken rows for text, and will take text for rows: its fault
    stands for all the rest of the file. So does that of a row over `limits.record_bytes`, and of a
    header that is wrong. A line with a carriage return outside quotes may hold several rows.
    """
    with Path(path).open("rb") as file:
        rows = _rows(name, file, columns, limits)
        header = list(columns.header) or _header(name, next(rows, None), columns)
        if isinstance(header, Fault):
            yield header
            return
        for row in rows:
            found = row if isinstance(row, Fault) else _record(name, header, row, columns)
            yield found
            if isinstance(found, Fault) and found.rest and found is not row:
                return


def _header(name: str, row: _Row | Fault | None, columns: Columns) -> list[str] | Fault:
    """The names of the columns; a fault for the whole file where nobody can tell them."""
    if row is None:
        return []
    if isinstance(row, Fault):
        return replace(row, rest=True)
    lacks = [column for column in columns.named() if column not in row.fields]
    if lacks and row.lines > 1:
        reason = f"header over several lines without column {lacks[0]!r}"
        return Fault(f"{name}@{row.offset}", row.offset, reason, rest=True)
    return row.fields


def _record(name: str, header: list[str], row: _Row, columns: Columns) -> Record | Fault:
    native_id = f"{name}@{row.offset}"
    if len(row.fields) != len(header):
        over = " over several lines" if row.lines > 1 else ""
        said = "`columns` names" if columns.header else "the header has"
        reason = f"{len(row.fields)} fields{over} where {said} {len(header)}"
        return Fault(native_id, row.offset, reason, rest=row.lines > 1)
    # Of columns with equal names, the first.
    value = dict(zip(reversed(header), reversed(row.fields), strict=True))
    if columns.text not in value:
        return Fault(native_id, row.offset, f"no column {columns.text!r}")
    native_id = _string(value, columns.id) or native_id
    content = value[columns.text].encode("utf-8", "surrogateescape")
    return Record(
        native_id,
        content,
        columns.media_type,
        url=_string(value, columns.url),
        title=_string(value, columns.title),
        license=stated(_string(value, columns.license)) if columns.license else None,
        language=_string(value, columns.language),
    )


def _string(value: dict[str, str], column: str | None) -> str | None:
    """A field without the bytes that are not UTF-8; None where there is none."""
    found = value.get(column, "") if column else ""
    return found.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or None


def _rows(name: str, file: BinaryIO, columns: Columns, limits: Limits) -> Iterator[_Row | Fault]:
    """The rows of a file that are not blank, and what is none; nothing after a rest."""
    dialect.field_size_limit(_FIELD)
    source = _Lines(name, lines(file, compression_of(name)[0], limits), limits)
    first = next(source, "")
    reader = dialect.reader(
        chain([first], source),
        delimiter=_delimiter(name, first, columns),
        quoting=dialect.QUOTE_MINIMAL if columns.quotes else dialect.QUOTE_NONE,
        strict=True,
    )
    while True:
        fault = None
        try:
            fields = next(reader, None)
        except dialect.Error as error:
            fields, fault = [], source.fault(error)
        fault = source.cut or fault  # a row that was cut short is part of what is lost
        if fault:
            yield fault
        elif fields:
            yield _Row(source.start, fields, source.lines)
        if fields is None or source.cut or source.ended:
            return
        source.begin()


def _delimiter(name: str, first: str, columns: Columns) -> str:
    """What stands between the fields; in a .tsv it is a tab, unless the header has others alone.

    Where the card names the columns, it is what parts the first row into so many; a tab, if others
    do as well.
    """
    bare = _QUOTED.sub("", first) if columns.quotes else first
    if columns.header:
        fits = [mark for mark in _DELIMITERS if bare.count(mark) == len(columns.header) - 1]
        if fits:
            return "\t" if "\t" in fits else fits[0]
    is_tsv = compression_of(name)[1].lower().endswith(".tsv")
    if is_tsv and ("\t" in bare or not any(mark in bare for mark in _DELIMITERS)):
        return "\t"
    return max(_DELIMITERS, key=bare.count)


def _at_returns(found: Iterator[Line]) -> Iterator[Line]:
    """The lines of a file in which carriage returns end them, each with its end."""
    for line in found:
        if isinstance(line, Fault):
            yield line
            continue
        offset, raw = line
        start = 0
        for mark in _RETURN.finditer(raw):
            yield offset + start, raw[start : mark.end()]
            start = mark.end()
        yield offset + start, raw[start:] + b"\n"


class _Lines:
    """The lines of a file as `csv.reader` takes them, and what happened on the way.

    Attributes:
        start: Byte offset of the row that is being read; -1 before its first line.
        lines: How many lines of it came.
        cut: Why there are no more, where that is not the end of the file.
        ended: Whether what comes after a wrong row is part of what is lost.
    """

    def __init__(self, name: str, found: Iterator[Line], limits: Limits) -> None:
        self._name = name
        first = next(found, None)
        found = chain([first] if first else [], found)
        ends = isinstance(first, tuple) and _RETURN.search(first[1])  # as the first line does
        self._found, self._end = (_at_returns(found), "") if ends else (found, "\n")
        self._limits = limits
        self._last: bytes | None = None  # the line that came last; None at the end
        self.cut: Fault | None = None
        self.ended = False
        self.begin()

    def begin(self) -> None:
        """A new row begins."""
        self.start, self.lines, self._size = -1, 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = None if self.cut else next(self._found, None)
        if line is None or isinstance(line, Fault):
            self._last = None
            self.cut = self._cut_by(line) if line else self.cut
            raise StopIteration
        offset, self._last = line
        self.start = offset if self.start < 0 else self.start
        self.lines += 1
        self._size += len(self._last) + len(self._end)
        if self._size > self._limits.record_bytes + 1:
            self.cut = self._rest(f"record larger than {self._limits.told('record_bytes')}")
            raise StopIteration
        # Bytes that are not UTF-8 pass through as surrogates and come back with the text.
        text = self._last.decode("utf-8", "surrogateescape")
        return (text.removeprefix(_BOM) if offset == 0 else text) + self._end

    def _cut_by(self, line: Fault) -> Fault:
        """The fault of a stream that broke, or of a line over the limit: it may hold any quotes."""
        if line.rest:
            return replace(line, native_id=self._native_id if self.start >= 0 else None)
        self.start = line.offset if self.start < 0 else self.start
        return self._rest(line.reason)

    def fault(self, error: dialect.Error) -> Fault:
        """What is wrong with a row that is no CSV."""
        if self._last is None:
            return self._rest("quote never closed")
        if self.lines > 1:
            return self._rest("quote closed lines later, amid text")
        if not _RETURN.search(self._last):
            return Fault(self._native_id, self.start, "text after a closing quote")
        # It may end a row or stand in a field: nobody knows how many rows the line holds. The next
        # line is sound if the quotes before it are closed, and none is opened after it.
        reason = "carriage return outside quotes"
        if "new-line" not in str(error) or self._last.count(b'"') % 2:
            return self._rest(reason)
        return Fault(self._native_id, self.start, reason, rest=True)

    def _rest(self, reason: str) -> Fault:
        self.ended = True
        return Fault(self._native_id, self.start, reason, rest=True)

    @property
    def _native_id(self) -> str:
        return f"{self._name}@{self.start}"
