"""Arrow IPC files of a row a document (id, source, tokens), which `datasets` loads.

They are the files of the token shards themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pyarrow as pa

from phloem.catalog.handoff.tokens import Part, batches, tokens_schema
from phloem.catalog.store import Writing

SUFFIXES = (".arrow",)
LAYOUTS = (tokens_schema(2**16), tokens_schema(2**32))  # of small and of large vocabularies


def write(part: Part, create: Callable[[str], AbstractContextManager[Writing]]) -> None:
    """Copy a part."""
    with create(".arrow") as out:
        out.write(part.data)


def read(opened: Callable[[str], pa.Buffer]) -> Iterator[pa.RecordBatch]:
    """The documents of a part. Raises ValueError for what is no such file."""
    for batch in batches(opened(".arrow")):
        if batch.schema not in LAYOUTS:
            msg = f"Arrow file of {batch.schema.names}, in which no token shard is written"
            raise ValueError(msg)
        yield batch
