"""A shuffle that one process does alone: what its parts give lies in a file meanwhile."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline.stage import Shuffle


def grouped_here(shuffle: Shuffle[Any, Any], store: Store, key: str, work: Any) -> Shard:
    """Read all parts of a work that makes one shard, write each range, and commit the shard.

    Memory holds the blocks of one part, then those of one range, mapped.
    """
    with TemporaryDirectory(prefix="phloem-") as folder:
        path = Path(folder, "blocks.arrow")
        places: dict[int, list[int]] = {}
        written = 0
        writer: pa.RecordBatchFileWriter | None = None
        for part in shuffle.parts(work):
            for _, number, block in shuffle.blocks(store, part):
                writer = writer or pa.ipc.new_file(str(path), block.schema)
                places.setdefault(number, []).append(written)
                written += 1
                writer.write_batch(block)
        if writer is None:
            return shuffle.commit(store, key, [])
        writer.close()
        with pa.memory_map(str(path)) as opened:
            reader = pa.ipc.open_file(opened)
            files = [
                shuffle.write(store, key, number, [reader.get_batch(place) for place in own])
                for number, own in sorted(places.items())
            ]
    return shuffle.commit(store, key, files)
