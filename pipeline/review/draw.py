"""Drawing documents of a source for a sample: by the hash of their ids, among all that is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import CONTENT, NATIVE_ID
from phloem.catalog.store import Store
from phloem.pipeline.extraction import Asked, read
from phloem.pipeline.guard import LateError
from phloem.pipeline.reading import Reading
from phloem.pipeline.stages.ingest import document_id
from phloem.sources.connector import Fault
from phloem.sources.limits import Limits

READ_BYTES = 128 * 2**20
"""Content of one source that is read to draw from: all of most packages, and the beginning of each
part of a larger source. It bounds the memory too."""

READ_SECONDS = 60.0  # for a source that is slow to unpack; the rest of its parts is left out
ALL_SECONDS = 600.0  # where all that is read is wanted: once for each lock, with nobody waiting


@dataclass
class Drawn:
    """What was read of one part, and its documents with the smallest ids.

    Attributes:
        most: How many of them are held; None: all.
        read: Documents met.
        is_cut: Whether the reading ended before the part did.
        faults: Records that gave no document.
    """

    source: str
    most: int | None
    read: int = 0
    is_cut: bool = False
    faults: list[Fault] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)
    _rows: list[pa.RecordBatch] = field(default_factory=list)  # of one row each, in no order

    def add(self, batch: pa.RecordBatch) -> None:
        """Meet some documents."""
        self.read += batch.num_rows
        ids = [document_id(self.source, name) for name in batch[NATIVE_ID.name].to_pylist()]
        is_full = self.most is not None and len(self._ids) >= self.most
        bound = max(self._ids) if is_full else None
        fresh = [row for row, id_ in enumerate(ids) if bound is None or id_ < bound]
        # `take` copies: a slice would hold all of the batch in memory.
        self._rows += [batch.take(pa.array([row])) for row in fresh]
        self._ids += [ids[row] for row in fresh]
        order = sorted(range(len(self._ids)), key=self._ids.__getitem__)[: self.most]
        self._ids, self._rows = [self._ids[n] for n in order], [self._rows[n] for n in order]

    def __len__(self) -> int:
        return len(self._rows)

    def first(self, number: int) -> list[pa.RecordBatch]:
        """The documents with the smallest ids, of one row each."""
        return self._rows[:number]


def draw(
    store: Store,
    reading: Reading,
    limits: Limits,
    place: tuple[str, tuple[str, ...]],
    documents: int | None,
) -> list[Drawn]:
    """Read parts that lie evenly in the source, each as far as its share of the bytes goes.

    Args:
        store: The root.
        reading: The source.
        limits: How much a document, a record, an archive may have.
        place: Folder that a workspace's modules are imported from, and their names.
        documents: About how many are wanted; None: all that are read.
    """
    files = {name: ref.on_this_machine(store) for name, ref in reading.files.items()}
    number = min(len(reading.splits), documents or len(reading.splits))
    chosen = [reading.splits[n * len(reading.splits) // number] for n in range(number)]
    seconds = ALL_SECONDS if documents is None else READ_SECONDS
    left, ends = READ_BYTES, time.monotonic() + seconds
    drawn = []
    for number_before, split in enumerate(chosen):
        part = Drawn(reading.card.id, documents)
        access = reading.card.access
        own = {name: files[name] for name in split.files or files}
        asked = Asked(reading.card.id, access.connector, access.params, split, own, limits, place)
        left -= _read(part, asked, left // (number - number_before), ends)
        drawn.append(part)
        if time.monotonic() > ends:
            break
    return drawn


def _read(part: Drawn, asked: Asked, share: int, ends: float) -> int:
    """Meet the documents of a part, up to so many bytes of content; how many they were."""
    size = 0
    try:
        for found in read(asked, ends=ends):
            if isinstance(found, Fault):
                part.faults.append(found)
                continue
            part.add(found)
            size += int(pc.sum(pc.binary_length(found[CONTENT.name])).as_py() or 0)
            if size >= share:
                part.is_cut = True
                break
    except LateError:
        part.is_cut = True
    return size


def quotas(available: Sequence[int], total: int) -> list[int]:
    """How many of a total to take of each, as equal as what is available allows."""
    found = [0] * len(available)
    left = total
    for place, number in enumerate(sorted(range(len(available)), key=available.__getitem__)):
        found[number] = min(available[number], -(-left // (len(available) - place)))
        left -= found[number]
    return found
