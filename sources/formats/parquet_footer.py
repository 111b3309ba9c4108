"""The footer of a Parquet file, as far as it tells where the pieces of the file lie.

Arrow says so too, but ends the process where what it is asked of is damaged, or encrypted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import Any

_ENCRYPTED = b"PARE"  # the mark of a file whose footer is encrypted
_TAIL = 8  # bytes behind the footer: its length, and a mark

# Kinds of values in Thrift's compact protocol, and what else it says in four bits.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, 7, 8, 9, 12
_INTEGERS = frozenset({4, 5, 6})
_MANY = 15  # the length of a list stands behind

# Fields of parquet.thrift.
_ROWS, _ROW_GROUPS, _ENCRYPTION = 3, 4, 8  # of FileMetaData
_COLUMNS, _BYTES, _GROUP_ROWS = 1, 2, 3  # of RowGroup
_META = 3  # of ColumnChunk
_PATH, _UNPACKED, _PACKED, _DATA, _DICTIONARY = 3, 6, 7, 9, 11  # of ColumnMetaData

Value = Any


@dataclass(frozen=True)
class RowGroup:
    """Where a row group lies.

    Attributes:
        number: Of those before it.
        first_row: Of those of the file.
        rows: How many it has.
        bytes: Of all its columns, unpacked.
        start: Byte of the file where it begins.
        end: The one after its last.
        columns: Unpacked bytes of each column, by its path.
    """

    number: int
    first_row: int
    rows: int
    bytes: int
    start: int
    end: int
    columns: Mapping[str, int]


@dataclass(frozen=True)
class Footer:
    """What a footer says.

    Attributes:
        rows: Of all row groups.
        row_groups: In the file's order; none of what is encrypted.
        encrypted: Whether columns may be, or the footer itself.
    """

    rows: int
    row_groups: Sequence[RowGroup]
    encrypted: bool


def footer(path: str) -> Footer:
    """The footer of a file (parquet.thrift). Raises ValueError if it is none."""
    with Path(path).open("rb") as file:
        size = file.seek(0, SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        if tail[4:] == _ENCRYPTED:
            return Footer(0, (), encrypted=True)
        file.seek(max(0, size - _TAIL - int.from_bytes(tail[:4], "little")))
        data = file.read()
    try:
        said, _ = _struct(data, 0)
        if _ENCRYPTION in said:
            return Footer(0, (), encrypted=True)
        rows = int(said[_ROWS])
        groups = list(_row_groups(said[_ROW_GROUPS]))
    except (LookupError, TypeError, RecursionError, OverflowError):
        raise ValueError("a Parquet footer that is broken") from None
    return Footer(rows, groups, encrypted=False)


def _row_groups(said: Sequence[Mapping[int, Value]]) -> Iterator[RowGroup]:
    row = 0
    for number, group in enumerate(said):
        columns = [each[_META] for each in group[_COLUMNS]]
        # A column begins with its dictionary, if it has one.
        starts = [int(each[_DICTIONARY if _DICTIONARY in each else _DATA]) for each in columns]
        ends = [start + int(each[_PACKED]) for start, each in zip(starts, columns, strict=True)]
        names = [b".".join(each[_PATH]).decode("utf-8", "replace") for each in columns]
        sizes = {name: int(each[_UNPACKED]) for name, each in zip(names, columns, strict=True)}
        rows = max(0, int(group[_GROUP_ROWS]))
        yield RowGroup(number, row, rows, int(group[_BYTES]), min(starts), max(ends), sizes)
        row += rows


def _struct(data: bytes, at: int) -> tuple[dict[int, Value], int]:
    """A struct's fields by their numbers, and where it ends."""
    fields: dict[int, Value] = {}
    number = 0
    while head := data[at]:
        number, at = (number + (head >> 4), at + 1) if head >> 4 else _integer(data, at + 1)
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        size, at = _unsigned(data, at)
        return data[at : at + size], at + size
    if kind == _STRUCT:
        return _struct(data, at)
    if kind == _LIST:
        size, kind = data[at] >> 4, data[at] & 15
        size, at = _unsigned(data, at + 1) if size == _MANY else (size, at + 1)
        values = []
        for _ in range(size):
            value, at = _value(data, at, _BYTE if kind in {_TRUE, _FALSE} else kind)
            values.append(value)
        return values, at
    if kind in {_TRUE, _FALSE}:
        return kind == _TRUE, at
    if kind in {_BYTE, _DOUBLE}:
        size = 1 if kind == _BYTE else 8
        return data[at : at + size], at + size
    raise ValueError(f"a value of the unknown kind {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) & 0x80:  # more follow
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | byte << shift, at + 1
