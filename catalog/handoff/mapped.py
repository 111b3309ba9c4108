"""A token file as the loader reads it: windows of tokens, whichever batches they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mapped:
    """A `tokens.arrow` that is mapped, and where its batches lie in it.

    Attributes:
        tokens: The whole file as tokens.
        ends: The whole file as int32: of each batch 0 and the ends of its documents.
        length: How many tokens there are.
        firsts: The first token of each batch, counted through the file.
        places: Of each batch its first token, tokens and documents, and where they begin in
            `tokens` and in `ends`.
    """

    tokens: Array
    ends: Array
    length: int
    firsts: Array
    places: Array

    def read(self, start: int, into: Array) -> tuple[int, list[Array]]:
        """Copy the tokens from a place on into an array, as many as there are and it holds.

        Returns:
            How many, and where documents end inside them: after the first, before the last.
        """
        stop = min(start + len(into), self.length)
        inside = []
        begun, ended = self.firsts.searchsorted((start + 1, stop)).tolist()
        for place in self.places[begun - 1 : ended].tolist():
            first, size, documents, tokens_at, ends_at = place
            low, high = max(start - first, 0), min(stop - first, size)
            window = self.tokens[tokens_at + low : tokens_at + high]
            into[first + low - start : first + high - start] = window
            ends = self.ends[ends_at + 1 : ends_at + 1 + documents]
            # As int32: for other numbers, all of `ends` would be cast.
            bounds = np.array((low + 1, min(stop - first, size + 1)), np.int32)
            after, before = ends.searchsorted(bounds)
            inside.append(ends[after:before] + (first - start))
        return stop - start, inside


def map_tokens(path: str) -> Mapped:
    """Map a `tokens.arrow` that holds tokens; none of them is read.

    The file is not held open, since a release may have more of them than a process may have files;
    and a few numbers are held for each batch, where Arrow's objects would take a kilobyte.
    """
    with pa.memory_map(path) as file:
        head = file.read_buffer(1)  # of a larger buffer, Arrow has the system read all ahead
        data = pa.foreign_buffer(head.address, file.size(), base=head)
    places, length = [], 0
    with pa.ipc.open_file(data) as reader:
        width = reader.schema.field("tokens").type.value_type.bit_width // 8
        for number in range(reader.num_record_batches):
            column = reader.get_batch(number)["tokens"]
            _, ends, _, tokens = column.buffers()
            at = ((tokens.address - data.address) // width, (ends.address - data.address) // 4)
            places.append((length, len(column.values), len(column), *at))
            length += len(column.values)
    whole, bounds = (
        np.frombuffer(data, kind, len(data) // np.dtype(kind).itemsize)
        for kind in (f"<u{width}", "<i4")
    )
    table = np.array(places, np.int64)
    return Mapped(whole, bounds, length, table[:, 0].copy(), table)
