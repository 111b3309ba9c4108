"""Counts over a whole source, for ops that must know what occurs often in it.

What is counted is known by a 64-bit hash alone. Counts of parts add up, so a source is counted
file by file, and the sums are exact: nothing is left out before all files are added. Two different
things share a hash with a probability of 2^-64: of a billion different lines beside a million
frequent ones, one is taken for another with a probability below 10^-4.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

COUNTS = pa.schema([("hash", pa.uint64()), ("count", pa.int64())])
"""What occurs in a file, by ascending hash, and how often."""

FREQUENT = pa.schema([("hash", pa.uint64())])
"""What occurs often in a source, by ascending hash."""

HELD = 2  # sources whose frequent hashes a process keeps: 8 bytes each


def added(hashes: Hashes, counts: Counts) -> tuple[Hashes, Counts]:
    """Each hash once, ascending, with the sum of its counts."""
    order = np.argsort(hashes)
    ordered = hashes[order]
    first = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))  # where another hash begins
    if not len(first):
        return ordered, counts
    return ordered[first], np.add.reduceat(counts[order], first)


def joined(parts: Sequence[tuple[Hashes, Counts]]) -> tuple[Hashes, Counts]:
    """The counts of several parts as one."""
    hashes = np.concatenate([np.empty(0, np.uint64), *(hashes for hashes, _ in parts)])
    return added(hashes, np.concatenate([np.empty(0, np.int64), *(counts for _, counts in parts)]))


def counted(hashes: Hashes) -> tuple[Hashes, Counts]:
    """Each hash once, ascending, and how often it occurs."""
    return added(hashes, np.ones(len(hashes), np.int64))


@functools.lru_cache(maxsize=HELD)  # a path names one content: shards never change
def read_frequent(path: str) -> Hashes:
    """The hashes of a file with the schema `FREQUENT`."""
    hashes: Hashes = pq.ParquetFile(path).read()["hash"].to_numpy()
    return hashes


def among(hashes: Hashes, frequent: Hashes) -> npt.NDArray[np.bool_]:
    """Which hashes are among some that ascend."""
    if not len(frequent):
        return np.zeros(len(hashes), np.bool_)
    places = np.minimum(np.searchsorted(frequent, hashes), len(frequent) - 1)
    found: npt.NDArray[np.bool_] = frequent[places] == hashes
    return found
