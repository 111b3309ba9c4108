"""What is settled of whole components: which of their documents are duplicates of which.

Everything that it takes stands in verification records: no text is opened.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from phloem.filters.minhash import jaccard

RECORD = pa.schema(
    [
        ("component", pa.int64()),
        ("row", pa.int64()),
        ("text", pa.int64()),
        ("is_eligible", pa.bool_()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("license_rank", pa.int64()),
        ("priority", pa.int64()),
        ("worth", pa.float64()),
        ("text_bytes", pa.int64()),
        ("text_hash", pa.binary()),
        ("bands", pa.binary()),
        ("shingles", pa.large_binary()),
    ]
)
"""A document's verification record.

`text` is the row whose bands and shingles are its own, since it holds the same text; they are
packed as uint32 and uint64, and empty where nothing is to be compared. One that is not eligible
only lends its own. `worth` is the column that the recipe prefers by. How removals are verified and
the threshold stand in the schema's metadata: a reducer knows nothing else.

By `exact`, `shingles` are the hashes of the text's own; by `signature`, its minima, each with its
place; by `none`, its bands, each with its number. All are sets, which are compared alike.
"""

SOME = 1e-9  # of what two sets hold: one thing in common

SLOTS = 2**24
"""Most counters of shingles: a component of more than four million is counted more coarsely."""


TOGETHER = 64  # sets that are counted by one call


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one document beside its text.

    Attributes:
        row: Its dense number.
        id: Document id.
        source: Id of the card.
        text_hash: Of the cleaned text.
        rank: Smaller is better: licence, source, worth, length, the text's hash; the id decides
            between equal texts alone, so that the text that stays depends on no name and no place.
        bands: Hash of each band; empty without a signature.
    """

    row: int
    id: str
    source: str
    text_hash: bytes
    rank: tuple[int, int, float, int, bytes, str]
    bands: tuple[int, ...]


def said(verify: str, jaccard: float) -> dict[str, str]:
    """What a record's schema says of how a removal is verified."""
    return {"verify": verify, "threshold": str(jaccard)}


def _threshold(verify: str, jaccard: float) -> float:
    """The share in common from which two sets are of duplicates.

    Of n minima of which m are equal, two sets share m of 2n - m: m / n, the estimate of the texts'
    similarity, is e where that is e / (2 - e).
    """
    return {"exact": jaccard, "signature": jaccard / (2 - jaccard), "none": SOME}[verify]


def _similarity(verify: str, shared: float) -> float | None:
    """The texts' similarity, as far as it is known, by what two sets have in common."""
    if verify == "none":
        return None
    return shared if verify == "exact" else round(2 * shared / (1 + shared), 4)


def settled(found: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, int, float | None, str, str]]:
    """The duplicates among the records of whole components, as rows of `DUPLICATES`."""
    verify = found[0].schema.metadata[b"verify"].decode()
    threshold = _threshold(verify, float(found[0].schema.metadata[b"threshold"]))
    table = pa.Table.from_batches(found)
    packed = _Packed(table["row"].to_numpy(), table["bands"], table["shingles"])
    component = table["component"].to_numpy()
    order = np.argsort(component, kind="stable")
    ends = np.flatnonzero(np.diff(component[order], append=-1)) + 1
    table = table.drop_columns(["component", "bands", "shingles"]).take(pa.array(order))
    columns = [table[name].to_pylist() for name in table.column_names]  # once, not by component
    for low, high in itertools.pairwise([0, *ends.tolist()]):
        group, hashes = _group([column[low:high] for column in columns], packed)
        for loser, winner, score in duplicates(group, hashes, threshold):
            same = loser.text_hash == winner.text_hash
            similarity = 1.0 if same else _similarity(verify, score)
            yield loser.row, winner.row, similarity, loser.source, winner.id


class _Packed:
    """Bands and shingles as records hold them, each unpacked when it is asked for."""

    def __init__(self, rows: np.ndarray, bands: pa.ChunkedArray, shingles: pa.ChunkedArray) -> None:
        """Of records in any order."""
        self._place = {row: place for place, row in enumerate(rows.tolist())}
        self._bands, self._shingles = bands, shingles

    def __call__(self, row: int) -> tuple[tuple[int, ...], np.ndarray]:
        """Those of a row."""
        place = self._place[row]
        bands = np.frombuffer(self._bands[place].as_buffer(), "<u4")
        found = np.frombuffer(self._shingles[place].as_buffer(), "<u8")
        return tuple(bands.tolist()), found.astype(np.uint64, copy=False)


def _group(
    columns: Sequence[list[Any]], packed: _Packed
) -> tuple[list[Candidate], dict[int, np.ndarray]]:
    """The eligible documents of a component, and the shingles of each by its row."""
    records = list(zip(*columns, strict=True))
    hash_of = {record[0]: record[-1] for record in records}
    unpacked: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}
    group, hashes = [], {}
    for row, text, eligible, id_, source, terms, priority, worth, size, own in records:
        if not eligible:
            continue
        # Unlike hashes: their first 64 bits fell together, and it stands alone.
        holder = text if hash_of.get(text) == hash_of[row] else row
        if holder not in unpacked:
            unpacked[holder] = packed(holder)
        bands, hashes[row] = unpacked[holder]
        rank = (terms, priority, math.inf if worth is None else -worth, -size, own, id_)
        group.append(Candidate(row, id_, source, hash_of[holder], rank, bands))
    return group, hashes


class _Kept:
    """The documents of a component that stay, so far, found by text and by rare shingles."""

    def __init__(self) -> None:
        """None yet."""
        self.by_text: dict[bytes, Candidate] = {}
        self.by_shingle: dict[int, list[Candidate]] = {}

    def add(self, candidate: Candidate, rare: Sequence[int]) -> None:
        """Keep a document."""
        self.by_text[candidate.text_hash] = candidate
        for shingle in rare:
            self.by_shingle.setdefault(shingle, []).append(candidate)

    def near(self, candidate: Candidate, rare: Sequence[int]) -> list[Candidate]:
        """Those that may reach the threshold and share a band, by row."""
        found = {n.row: n for shingle in rare for n in self.by_shingle.get(shingle, ())}
        return [
            found[row]
            for row in sorted(found)
            if any(a == b for a, b in zip(candidate.bands, found[row].bands, strict=False))
        ]


def rare_shingles(hashes: Sequence[np.ndarray], threshold: float) -> list[list[int]]:
    """Shingles of each set, one of which it shares with any other that reaches the threshold.

    Two sets of a Jaccard similarity of at least t share t of the larger. So if both are put into
    one order and the last t of each is left out, but for one, they still share a shingle (prefix
    filter: Bayardo et al. 2007; Xiao et al. 2008). The rarest come first, so that texts of one
    form and other numbers, which share all that is frequent, are not compared with each other;
    those that stand in one set alone are left out. Any order will do, as long as it is the same
    for all: shingles are counted in slots, several in one where there are many.

    Args:
        hashes: Sorted unique shingle hashes of each.
        threshold: The similarity t, 0-1.
    """
    total = sum(map(len, hashes))
    slots = min(SLOTS, 1 << (4 * total).bit_length())
    mask = np.uint64(slots - 1)
    counts = np.zeros(slots, np.int32)
    for start in range(0, len(hashes), TOGETHER):
        together = np.concatenate(hashes[start : start + TOGETHER])
        np.add.at(counts, together & mask, 1)
    found = []
    for own in hashes:
        times = counts[own & mask]
        shared = math.ceil(threshold * len(own) - 1e-9)  # a product may be off in its last bit
        first = np.argsort(times, kind="stable")[: len(own) - shared + 1]
        found.append(own[first[times[first] > 1]].tolist())
    return found


def duplicates(
    group: Sequence[Candidate], hashes: Mapping[int, np.ndarray], threshold: float
) -> Iterator[tuple[Candidate, Candidate, float]]:
    """(dropped, the kept one it resembles, Jaccard similarity to 1e-4) within one component.

    Args:
        group: The eligible documents of the component, in any order.
        hashes: Sorted unique shingle hashes of each, by row; may lack rows of whole-text dedup.
        threshold: The least similarity at which a document is dropped.
    """
    kept = _Kept()
    none = np.zeros(0, np.uint64)
    texts = {each.text_hash: hashes.get(each.row, none) for each in group}
    rare = dict(zip(texts, rare_shingles(list(texts.values()), threshold), strict=True))
    for candidate in sorted(group, key=lambda each: each.rank):
        same = kept.by_text.get(candidate.text_hash)
        if same is not None:
            yield candidate, same, 1.0
            continue
        scored = [
            (jaccard(hashes[candidate.row], hashes[other.row]), other)
            for other in kept.near(candidate, rare[candidate.text_hash])
        ]
        best = max(scored, key=lambda pair: (pair[0], -pair[1].row), default=None)
        if best is not None and best[0] >= threshold:
            yield candidate, best[1], round(float(best[0]), 4)
        else:
            kept.add(candidate, rare[candidate.text_hash])
