"""A shuffle that one process does alone: what its parts give lies in a file meanwhile."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import Any

import pyarrow as pa

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline.stage import Shuffle


def grouped_here(
    shuffle: Shuffle[Any, Any], store: Store, keys: Sequence[str], work: Any
) -> list[Shard]:
    """Read all parts of a work, write each range of the shards of these keys, and commit them.

    Memory holds the blocks of one part, then those of one range, mapped.
    """
    places: dict[str, dict[int, list[int]]] = {key: {} for key in keys}
    written = 0
    with TemporaryFile(prefix="phloem-") as file:  # of no name: whoever is killed leaves nothing
        writer: pa.RecordBatchFileWriter | None = None
        for part in shuffle.parts(work):
            for key, number, block in shuffle.blocks(store, part):
                writer = writer or pa.ipc.new_file(pa.PythonFile(file, "w"), block.schema)
                writer.write_batch(block)
                places[key].setdefault(number, []).append(written)
                written += 1
        if writer is None:
            return [shuffle.commit(store, key, []) for key in keys]
        writer.close()
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    reader = pa.ipc.open_file(pa.py_buffer(mapped))
    made = []
    for key, ranges in places.items():
        files = [
            shuffle.write(store, key, number, [reader.get_batch(place) for place in own])
            for number, own in sorted(ranges.items())
        ]
        made.append(shuffle.commit(store, key, files))
    return made
