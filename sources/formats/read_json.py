"""Reading JSON files that are one array of objects, or one object."""

from __future__ import annotations

import json as parser
from pathlib import Path
from typing import Any

from phloem.sources.connector import Batches, Fault
from phloem.sources.formats.read_text import Columns
from phloem.sources.formats.unpack import UnpackError, compression_of, unpack_all
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batches

Json = Any


def json(name: str, path: str, columns: Columns, limits: Limits) -> Batches:
    """The objects of a file; a text that is an array of strings is put together of its lines.

    Such a file is read as a whole: one over `limits.record_bytes` is a fault.
    """
    return batches(_records(name, path, columns, limits))


def _records(name: str, path: str, columns: Columns, limits: Limits) -> Records:
    with Path(path).open("rb") as file:
        try:
            content = unpack_all(file, compression_of(name)[0], limits, "record_bytes")
        except UnpackError as error:
            yield Fault(name, error.offset, error.reason, rest=True)
            return
    try:
        # Bytes that are not UTF-8 pass through as surrogates and come back below.
        value = parser.loads(content.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        yield Fault(name, -1, "not JSON", rest=True)
        return
    for place, row in enumerate(value if isinstance(value, list) else [value]):
        yield _record(f"{name}#{place}", row, columns)


def _record(native_id: str, row: Json, columns: Columns) -> Record | Fault:
    if not isinstance(row, dict):
        return Fault(native_id, -1, "not a JSON object")
    own = row.get(columns.id) if columns.id else None
    native_id = native_id if own is None else _plain(str(own))
    text = row.get(columns.text)
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        text = "\n".join(text)
    if not isinstance(text, str):
        lack = "text is no string" if columns.text in row else f"no column {columns.text!r}"
        return Fault(native_id, -1, lack)
    return Record(
        native_id,
        _bytes(text),
        columns.media_type,
        url=_string(row, columns.url),
        title=_string(row, columns.title),
        language=_string(row, columns.language),
    )


def _string(row: dict[str, Json], column: str | None) -> str | None:
    found = row.get(column) if column else None
    return _plain(found) if isinstance(found, str) else None


def _plain(text: str) -> str:
    return _bytes(text).decode("utf-8", "replace")


def _bytes(text: str) -> bytes:
    """The bytes of a string whose surrogates stand for bytes that are not UTF-8, or for halves."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
