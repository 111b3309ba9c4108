"""From single records to the batches that connectors yield."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

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

COLUMNS = {
    "native_id": NATIVE_ID,
    "content": CONTENT,
    "media_type": MEDIA_TYPE,
    "url": URL,
    "title": TITLE,
    "published": PUBLISHED,
    "author": AUTHOR,
    "license": LICENSE,
    "language": DECLARED_LANGUAGE,
}
"""The column of each field of a record."""


@dataclass(frozen=True)
class Record:
    """One document as a source holds it: see `COLUMNS`."""

    native_id: str
    content: bytes
    media_type: str
    url: str | None = None
    title: str | None = None
    license: str | None = None
    language: str | None = None
    published: str | None = None
    author: str | None = None


P = ParamSpec("P")
Records = Iterator[Record | Fault]


def batches(records: Records) -> Batches:
    """Records as batches of at most `BATCH_ROWS` rows and about `BATCH_BYTES` of content.

    A fault is passed on at once, so it may come before records that were read before it.
    """
    pending: list[Record] = []
    size = 0
    for record in records:
        if isinstance(record, Fault):
            yield record
            continue
        pending.append(record)
        size += len(record.content)
        if len(pending) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(pending)
            pending, size = [], 0
    if pending:
        yield _batch(pending)


def batched(read: Callable[P, Records]) -> Callable[P, Batches]:
    """A reader of single records, as one that gives them in `batches`."""

    @wraps(read)
    def in_batches(*args: P.args, **kwargs: P.kwargs) -> Batches:
        return batches(read(*args, **kwargs))

    return in_batches


def _batch(records: list[Record]) -> pa.RecordBatch:
    arrays = [
        pa.array([getattr(record, name) for record in records], column.type)
        for name, column in COLUMNS.items()
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(tuple(COLUMNS.values())))
