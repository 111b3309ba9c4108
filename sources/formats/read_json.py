"""Reading JSON files that are one array of objects, or one object."""

from __future__ import annotations

from pathlib import Path

from phloem.sources.connector import Fault, Json
from phloem.sources.formats.read_text import BOM, Columns, parsed, record_of
from phloem.sources.formats.unpack import UnpackError, compression_of, unpack_all
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched


@batched
def json(name: str, path: str, columns: Columns, limits: Limits) -> Records:
    """The objects of a file; a text that is an array of strings is put together of its lines.

    Such a file is read as a whole: one over `limits.record_bytes` is a fault.
    """
    with Path(path).open("rb") as file:
        try:
            content = unpack_all(file, compression_of(name)[0], limits, "record_bytes")
        except UnpackError as error:
            yield Fault(name, error.offset, error.reason, rest=True)
            return
    try:
        value = parsed(content.removeprefix(BOM), columns)
    except (ValueError, RecursionError):
        yield Fault(name, -1, "not JSON", rest=True)
        return
    for place, row in enumerate(value if isinstance(value, list) else [value]):
        yield _record(f"{name}#{place}", row, columns)


def _record(native_id: str, row: Json, columns: Columns) -> Record | Fault:
    text = row.get(columns.text) if isinstance(row, dict) else None
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        row = {**row, columns.text: "\n".join(text)}
    return record_of(native_id, -1, row, columns, null="text is no string")
