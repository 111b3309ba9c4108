"""Plain text, packed or not: what a document of a file is, from any byte to any byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from phloem.sources import progress
from phloem.sources.connector import Fault, Strict
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.text_lines import (
    Line,
    Span,
    at_newlines,
    in_utf8,
    lines_between,
    lines_of,
    too_large,
)
from phloem.sources.formats.unpack import UnpackError, compression_of, unpack_all
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

_CHUNK = 2**20
_BEFORE = 4096  # bytes looked at for the line before a part; a separator has fewer


class Lines(Strict):
    """Documents of so many lines that follow each other, counted from a file's start."""

    lines: int = Field(ge=1)


class Separator(Strict):
    """Documents between lines that hold nothing but this: `%`, `***` or `</doc>`."""

    separator: str = Field(pattern=r"^\S(.*\S)?$", max_length=1000)


Documents = Literal["file", "paragraph", "line"] | Lines | Separator
"""What a document of plain text is; one of blank lines alone is none."""


@batched
def plain(
    name: str, path: str, columns: Columns, documents: Documents, span: Span, limits: Limits
) -> Records:
    """The documents of a plain text file that begin in a span.

    Of several lines a document, a span begins and ends where `bounds` says.
    """
    if documents == "file":
        yield from _whole(name, path, columns, limits)
        return
    start, end = span
    every = _lines_in(documents)
    if every:
        found = _groups(name, lines_between(path, name, span, limits), every, limits)
    else:
        found = lines_between(path, name, (start, None), limits)
        parts_it = _bound(documents)
        # What began before `start` belongs to the range before: skip to the first bound.
        passing = start > 0 and not parts_it(_line_before(path, start))
        found = _blocks(name, found, parts_it, limits, passing=passing, end=end)
    for each in found:
        if isinstance(each, Fault):
            yield each
        else:
            yield Record(f"{name}@{each[0]}", each[1], columns.media_type)


def _whole(name: str, path: str, columns: Columns, limits: Limits) -> Records:
    """A file as one document; nothing of one that is empty or breaks off."""
    with Path(path).open("rb") as file:
        try:
            content = unpack_all(file, compression_of(name)[0], limits, "record_bytes")
        except UnpackError as error:
            yield Fault(name, error.offset, error.reason)
            return
    if content:
        yield Record(name, content, columns.media_type)


def parted(records: Records, documents: Documents, limits: Limits) -> Records:
    """Files that are held, as the documents in those that are plain text.

    The native id of each is the file's, with `@` and the byte where its first line begins.
    """
    for record in records:
        if documents == "file" or isinstance(record, Fault) or record.media_type != "text/plain":
            yield record
            continue
        every, name = _lines_in(documents), record.native_id
        lines = lines_of(at_newlines(in_utf8(iter([record.content]))), limits)
        if every:
            found = _groups(name, lines, every, limits)
        else:
            found = _blocks(name, lines, _bound(documents), limits)
        for each in found:
            if isinstance(each, Fault):
                yield replace(each, native_id=each.native_id or f"{name}@{each.offset}")
            else:
                yield record._replace(native_id=f"{name}@{each[0]}", content=each[1])


def bounds(path: str, documents: Documents, size: int) -> list[int]:
    """Bytes at which a plain text file that is not packed is cut, from 0 on, about `size` apart.

    Where a document is so many lines, one begins at each: they are counted from the file's start.
    """
    every, end = _lines_in(documents), Path(path).stat().st_size
    if every in {0, 1}:
        return list(range(0, end, size)) or [0]
    found, read, seen = [0], 0, 0
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            progress.step()
            starts = np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")) + (read + 1)
            begin = starts[every - 1 - seen % every :: every]
            while (place := int(np.searchsorted(begin, found[-1] + size))) < len(begin):
                found.append(int(begin[place]))
            read, seen = read + len(chunk), seen + len(starts)
    return [at for at in found if at < end] or [0]


def _lines_in(documents: Documents) -> int:
    """How many lines a document has; 0 where something else tells where it ends."""
    if isinstance(documents, Lines):
        return documents.lines
    return int(documents == "line")


def _bound(documents: Documents) -> Callable[[bytes], bool]:
    """Whether a line stands between two documents, and belongs to neither."""
    mark = documents.separator.encode() if isinstance(documents, Separator) else b""
    return lambda line: line.strip() == mark


def _groups(name: str, found: Iterator[Line], every: int, limits: Limits) -> Iterator[Line]:
    """(offset, text) of each group of lines; one that cannot be read whole is told once."""
    held: list[bytes] = []
    first = size = count = 0
    lost = False
    for line in found:
        if isinstance(line, Fault):  # the group that it is in is lost with it
            if line.rest or not lost:
                yield line
            held, lost = [], True
        elif not lost:
            first = first if held else line[0]
            held.append(line[1])
            size += len(line[1]) + 1
            if size > limits.record_bytes + 1:
                yield Fault(f"{name}@{first}", first, too_large(limits))
                held, lost = [], True
        count += 1
        if count == every:
            yield from _text(first, held)
            held, size, count, lost = [], 0, 0, False
    yield from _text(first, held)


def _blocks(
    name: str,
    found: Iterator[Line],
    parts_it: Callable[[bytes], bool],
    limits: Limits,
    *,
    passing: bool = False,
    end: int | None = None,
) -> Iterator[Line]:
    """(offset, text) of each block between lines that part them, of those that begin before `end`.

    Args:
        name: Of the file.
        found: Its lines, from some byte on.
        parts_it: Whether a line stands between two blocks.
        limits: How large a block may be; one that cannot be read whole is told once.
        passing: Whether the first lines are of a block that began before them.
        end: None for the file's.
    """
    held: list[bytes] = []
    first = size = 0
    for line in found:
        offset = line.offset if isinstance(line, Fault) else line[0]
        if end is not None and offset >= end and not held and not passing:
            return
        if isinstance(line, Fault):  # the block that it is in is lost with it
            if line.rest or not passing:
                yield line
            held, size, passing = [], 0, True
        elif parts_it(line[1]):
            yield from _text(first, held)
            held, size, passing = [], 0, False
        elif not passing:
            first = first if held else offset
            held.append(line[1])
            size += len(line[1]) + 1
            if size > limits.record_bytes:
                yield Fault(f"{name}@{first}", first, too_large(limits))
                held, size, passing = [], 0, True
    yield from _text(first, held)


def _text(first: int, held: list[bytes]) -> Iterator[Line]:
    """Lines as the document that they are; nothing if all are blank."""
    if any(line.strip() for line in held):
        yield first, b"\n".join(held)


def _line_before(path: str, start: int) -> bytes:
    """The line that holds the byte before `start`, though it may end later."""
    with Path(path).open("rb") as file:
        file.seek(max(0, start - _BEFORE))
        before = file.read(min(start, _BEFORE))
        after = b"" if before.endswith(b"\n") else file.readline(_BEFORE)
    return before.removesuffix(b"\n").rpartition(b"\n")[2] + after
