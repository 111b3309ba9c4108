"""From single records to the batches that connectors yield."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from typing import NamedTuple, ParamSpec

import pyarrow as pa

from phloem.catalog.columns import (
    AUTHOR,
    CONTENT,
    DECLARED_LANGUAGE,
    LICENSE,
    MEDIA_TYPE,
    NATIVE_ID,
    PUBLISHED,
    TITLE,
    URL,
    schema,
)
from phloem.catalog.manifest import BATCH_BYTES, BATCH_ROWS
from phloem.sources.connector import Batches, Fault


class Record(NamedTuple):
    """One document as a source holds it: see `COLUMNS`.

    A tuple, as one is made of each document, and many of them become columns.
    """

    native_id: str
    content: bytes
    media_type: str
    url: str | None = None
    title: str | None = None
    license: str | None = None
    language: str | None = None
    published: str | None = None
    author: str | None = None


COLUMNS = (
    NATIVE_ID,
    CONTENT,
    MEDIA_TYPE,
    URL,
    TITLE,
    LICENSE,
    DECLARED_LANGUAGE,
    PUBLISHED,
    AUTHOR,
)
"""The column of each field of a record."""

P = ParamSpec("P")
Records = Iterator[Record | Fault]


def unique(name: str, given: Counter[str]) -> str:
    """A name that no record before had: itself, or with the first number from 2 that is free.

    Args:
        name: As the source has it.
        given: How often each name was given so far.
    """
    given[name] += 1
    while given[name] > 1:
        numbered = f"{name}#{given[name]}"
        if numbered not in given:
            given[numbered] = 1
            return numbered
        given[name] += 1
    return name


def batches(records: Records) -> Batches:
    """Records as batches of at most `BATCH_ROWS` rows and about `BATCH_BYTES` of content.

    A fault is passed on at once, so it may come before records that were read before it.
    """
    # By columns from the start: thousands of tuples that live would keep the collector of garbage
    # at work.
    columns: list[list[str | bytes | None]] = [[] for _ in COLUMNS]
    size = 0
    for record in records:
        if isinstance(record, Fault):
            yield record
            continue
        for column, value in zip(columns, record, strict=True):
            column.append(value)
        size += len(record.content)
        if len(columns[0]) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(columns)
            columns, size = [[] for _ in COLUMNS], 0
    if columns[0]:
        yield _batch(columns)


def distinct(found: Batches) -> Batches:
    """What is read of a whole file, each document by a name of its own, as `unique` gives it."""
    given: Counter[str] = Counter()
    for each in found:
        if isinstance(each, Fault):
            yield each
            continue
        place = each.schema.get_field_index(NATIVE_ID.name)
        names = [unique(name, given) for name in each.column(place).to_pylist()]
        yield each.set_column(place, each.schema.field(place), pa.array(names, NATIVE_ID.type))


def batched(read: Callable[P, Records]) -> Callable[P, Batches]:
    """A reader of single records, as one that gives them in `batches`."""

    @wraps(read)
    def in_batches(*args: P.args, **kwargs: P.kwargs) -> Batches:
        return batches(read(*args, **kwargs))

    return in_batches


def _batch(columns: list[list[str | bytes | None]]) -> pa.RecordBatch:
    arrays = [
        pa.array(values, column.type) for values, column in zip(columns, COLUMNS, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(COLUMNS))
