"""Reading JSON files: an array of objects, or objects that follow each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecoder
from pathlib import Path

from phloem.sources.connector import Fault, Json
from phloem.sources.formats.read_text import (
    BOM,
    Columns,
    in_utf8,
    integer,
    parsed,
    record_of,
)
from phloem.sources.formats.unpack import CHUNK, UnpackError, compression_of, unpack, unpack_all
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

_DECODER = JSONDecoder(parse_int=integer)
_BLANK = " \t\r\n"
_BLANKS = re.compile(f"[{_BLANK}]*")
_LOOKED_AT = 16  # lines: a file whose first is broken is one of lines all the same


def form_of(name: str, path: str) -> str:
    """Whether a file is ``jsonl``, an object a line, or ``json``, by how it begins."""
    head = b""
    with Path(path).open("rb") as file:
        with suppress(UnpackError):
            for chunk in in_utf8(unpack(file, compression_of(name)[0], Limits())):
                head += chunk
                if len(head) >= CHUNK:
                    break
        file.seek(0)  # some systems open a file again where its reader has got to
    text = head.removeprefix(BOM).decode("utf-8", "surrogateescape").strip(_BLANK)
    if text.startswith("[") or not text:
        return "json"
    with suppress(ValueError, RecursionError):
        return "json" if "\n" in text[: _DECODER.raw_decode(text)[1]] else "jsonl"
    lines = text.split("\n", _LOOKED_AT)
    return "jsonl" if len(lines) == 1 or any(map(_is_object, lines[:_LOOKED_AT])) else "json"


def _is_object(line: str) -> bool:
    with suppress(ValueError, RecursionError):
        return isinstance(_DECODER.decode(line), dict)
    return False


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
    content = b"".join(in_utf8(iter([content]))).removeprefix(BOM)
    for place, row in enumerate(_values(content, columns)):
        if isinstance(row, Fault):
            yield Fault(f"{name}#{place}" if place else name, row.offset, row.reason, rest=True)
        else:
            yield _record(f"{name}#{place}", row, columns)


def _values(content: bytes, columns: Columns) -> Iterator[Json | Fault]:
    """The values of an array, or those that follow each other; a fault for what is none."""
    with suppress(ValueError, RecursionError):
        yield from _rows(parsed(content, columns))
        return
    text, at = content.decode("utf-8", "surrogateescape").strip(_BLANK), 0
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield Fault(None, -1, "not JSON", rest=True)
            return
        yield from _rows(value)
        found = _BLANKS.match(text, at)
        at = found.end() if found else at


def _rows(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _record(native_id: str, row: Json, columns: Columns) -> Record | Fault:
    text = row.get(columns.text) if isinstance(row, dict) else None
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        row = {**row, columns.text: "\n".join(text)}
    return record_of(native_id, -1, row, columns, null="text is no string")
