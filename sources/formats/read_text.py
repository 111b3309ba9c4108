"""Reading JSON Lines, packed or not, from any byte to any byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

import orjson

from phloem.catalog.nearest import nearest
from phloem.sources.connector import Fault, Json, SourceError
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.stated_license import stated
from phloem.sources.formats.text_lines import (
    BOM,
    Line,
    Span,
    lines_between,
    member_lines,
)
from phloem.sources.formats.unpack import compression_of
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

PEEK = 100
"""Records looked at before a run for the text column: if none of them has it, its name is wrong."""

# More digits take Python quadratic time, so it refuses them: sys.int_info.
_DIGITS = 4300


TOO_DEEP = "JSON nested too deep"
"""Why a value in hundreds of others, one in the other, gives no document."""


@batched
def jsonl(name: str, path: str, columns: Columns, span: Span, limits: Limits) -> Records:
    """The records of a JSON Lines file whose lines begin in a span.

    A packed file is read as a whole; where a member breaks, on from the next that begins a record.
    """
    for line in _lines(name, path, span, limits):
        if isinstance(line, Fault):
            yield line
            continue
        offset, raw = line
        raw = raw.removeprefix(BOM) if offset == 0 else raw
        if raw.strip():
            yield _json_record(f"{name}@{offset}", offset, raw, columns)


def _lines(name: str, path: str, span: Span, limits: Limits) -> Iterator[Line]:
    kind = compression_of(name)[0]
    return (
        member_lines(path, kind, b"{", limits) if kind else lines_between(path, name, span, limits)
    )


def _json_record(native_id: str, offset: int, raw: bytes, columns: Columns) -> Record | Fault:
    try:
        value = parsed(raw, columns)
    except ValueError:
        return Fault(native_id, offset, "not JSON")
    except RecursionError:
        return Fault(native_id, offset, TOO_DEEP)
    return record_of(native_id, offset, value, columns, null="null text")


def parsed(raw: bytes, columns: Columns) -> Json:
    """The value of a JSON text: a document, or an array of them.

    What orjson refuses (NaN, a lone surrogate, bytes that are not UTF-8) `parsed_exactly` reads,
    and a name that orjson may have rounded: it makes a float of an integer of over 64 bits. Of
    arrays in arrays orjson reads 1,024; Python's parser fewer, the deeper it is called.

    Raises ValueError or RecursionError for what is no JSON.
    """
    try:
        value = orjson.loads(raw)
    except ValueError:
        return parsed_exactly(raw)
    for row in value if isinstance(value, list) else (value,):
        if isinstance(_name(row, columns), (float, list, dict)):
            return parsed_exactly(raw)
    return value


def parsed_exactly(raw: bytes) -> Json:
    """The value of a JSON text by Python's own parser, to which `parsed` is equal but for speed.

    Raises ValueError or RecursionError for what is no JSON.
    """
    # Bytes that are not UTF-8 pass through as surrogates and come back below.
    return json.loads(raw.decode("utf-8", "surrogateescape"), parse_int=integer)


def integer(digits: str) -> int | Decimal:
    """The integer that digits are: exact, and written the same, however many there are."""
    return int(digits) if len(digits) <= _DIGITS else Decimal(digits)


def _name(value: Json, columns: Columns) -> Json:
    return at(value, columns.id) if columns.id and isinstance(value, dict) else None


def at(value: dict[str, Json], column: str) -> Json:
    """What an object holds at a key, or at a dotted path of keys; null where there is none."""
    if column in value:
        return value[column]
    key, dot, rest = column.partition(".")
    inner = value.get(key) if dot else None
    return at(inner, rest) if isinstance(inner, dict) else None


def record_of(
    native_id: str, offset: int, value: Json, columns: Columns, *, null: str
) -> Record | Fault:
    """The document that a JSON value is; a text that is an array of strings has them as its lines.

    Args:
        native_id: For one that does not name itself.
        offset: Where it begins.
        value: An object, if it is a document.
        columns: Its keys.
        null: Why a text that is null gives no document.
    """
    if not isinstance(value, dict):
        return Fault(native_id, offset, "not a JSON object")
    own = _name(value, columns)
    native_id = native_id if own is None else _plain(str(own))
    text = at(value, columns.text)
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        text = "\n".join(text)
    if not isinstance(text, str):
        lacks = text is None and columns.text not in paths(value, columns.text)
        reason = null if text is None else "text is no string"
        return Fault(native_id, offset, f"no column {columns.text!r}" if lacks else reason)
    return Record(
        native_id,
        _encode(text),
        columns.media_type,
        url=_string(value, columns.url),
        title=_string(value, columns.title),
        license=stated(_string(value, columns.license)) if columns.license else None,
        language=_string(value, columns.language),
    )


def paths(value: dict[str, Json], asked: str) -> list[str]:
    """The keys of an object, and the paths that lead as deep into it as the one asked for."""
    found = list(value)
    _, dot, rest = asked.partition(".")
    for key, inner in value.items():
        if dot and isinstance(inner, dict):
            found += [f"{key}.{each}" for each in paths(inner, rest)]
    return found


def _string(value: dict[str, Json], column: str | None) -> str | None:
    found = at(value, column) if column else None
    return _plain(found) if isinstance(found, str) else None


def _plain(text: str) -> str:
    return text if text.isascii() else _encode(text).decode("utf-8", "replace")


def _encode(text: str) -> bytes:
    """The bytes of a string whose surrogates stand for bytes that are not UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate written as a \\u escape: bytes that no UTF-8 has
        return text.encode("utf-8", "surrogatepass")


def check_columns(name: str, path: str, columns: Columns) -> None:
    """Raise SourceError if the first records are JSON objects and none has the text column."""
    keys: dict[str, None] = {}
    for line in islice(lines_between(path, name, (0, None), Limits()), PEEK):
        try:
            value = json.loads(line[1]) if not isinstance(line, Fault) else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            keys |= dict.fromkeys(paths(value, columns.text))
    if keys:
        require(name, [columns.text], list(keys))


def require(name: str, asked: list[str], there: list[str]) -> None:
    """Raise SourceError naming the first column that is asked for and that a file has not once."""
    for column in asked:
        if column not in there:
            raise SourceError(f"{name} has no column {column!r}; {nearest(column, there)}")
        if there.count(column) > 1:
            msg = (
                f"{name} has {there.count(column)} columns {column!r}, which may differ; rename one"
            )
            raise SourceError(msg)
