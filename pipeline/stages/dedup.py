"""Dedup: in each component, which eligible documents are duplicates, each removal verified.

A component's eligible documents are taken from best to worst; one is dropped only if its exact
Jaccard similarity with a kept one that shares a band reaches the threshold. Nothing is dropped
along a chain of resemblances.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import ID, MINHASH, TEXT, TEXT_BYTES, TEXT_HASH
from phloem.catalog.ledger import KEPT
from phloem.catalog.manifest import (
    Kind,
    Ref,
    Shard,
    arrow_batches,
    commit,
    digest_of,
    open_parquet,
    read_parquet,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.minhash import bands as band_hashes
from phloem.filters.minhash import jaccard, shingles
from phloem.filters.op import Op
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import Stage, Task, Work, inputs_verified
from phloem.pipeline.stages.measure import MeasuredText

Json = Any

DUPLICATES = pa.schema(
    [
        ("row", pa.int64()),
        ("duplicate_of_row", pa.int64()),
        ("similarity", pa.float64()),
        ("source", pa.string()),
        ("duplicate_of", pa.string()),
    ]
)


@dataclass(frozen=True)
class Candidate:
    """What is known of one document beside its text.

    Attributes:
        row: Dense row number.
        id: Document id.
        source: Id of the card.
        text_hash: Of the cleaned text.
        rank: Smaller is better: licence, source, length, id.
        bands: Hash of each band; empty without a signature.
    """

    row: int
    id: str
    source: str
    text_hash: str
    rank: tuple[int, int, int, str]
    bands: tuple[int, ...]


DEDUP = Kind("dedup", {r"duplicates\.parquet": DUPLICATES}, version=2)


class DedupFile(Work):
    """A text file that rows of a chunk stand in.

    Attributes:
        source: Id of the card.
        start: Dense number of its first row.
        clean: Its cleaned text.
        verdicts: What the rules say of its rows.
        signatures: Of its rows; None for whole texts.
    """

    source: str
    start: int
    clean: Ref
    verdicts: Ref
    signatures: Ref | None


class DedupWork(Work):
    """Some whole components.

    Attributes:
        components: The file that their members stand in.
        row_group: The one of it that holds them.
        files: Those that the chunk's rows stand in.
        dedup: Bands, rows and threshold; None drops equal texts only.
        ngram: Of the shingles.
        priority: Source ids, the preferred first.
    """

    components: Ref
    row_group: int
    files: tuple[DedupFile, ...]
    dedup: Dedup | None
    ngram: int
    priority: tuple[str, ...]


def tasks(
    store: Store,
    candidates: Shard,
    files: Sequence[MeasuredText],
    filtered: Sequence[Shard],
    *,
    dedup: Dedup | None,
    minhash: Op | None,
    priority: Sequence[str],
) -> list[Task]:
    """One task for each row group of components; it depends on the files that its rows stand in.

    Args:
        store: The root, to read which rows the components hold.
        candidates: The components.
        files: Text files in order.
        filtered: The verdicts of each.
        dedup: Bands, rows and threshold; None drops equal texts only.
        minhash: The op as the recipe binds it.
        priority: Source ids, the preferred first.
    """
    starts = np.cumsum([0, *(file.text.ref.rows or 0 for file in files)])
    spec = {
        "dedup": dedup.model_dump() if dedup else None,
        "minhash": minhash.identity if minhash else None,
        "priority": list(priority),
    }
    made = []
    known: dict[int, DedupFile] = {}  # held once, however many tasks name it
    behind = 0  # of the row groups so far
    for components, row_group, table in _row_groups(store, candidates):
        members = table["row"].to_numpy()
        touched = np.unique(np.searchsorted(starts, members, side="right") - 1).tolist()
        inputs, own = [], []
        for number in touched:
            file, verdicts = files[number], filtered[number]
            signatures = file.ops["minhash"] if dedup else None
            inputs += [file.clean.digest, verdicts.digest]
            inputs += [signatures.digest] if signatures else []
            if number not in known:
                known[number] = DedupFile(
                    source=file.text.source,
                    start=int(starts[number]),
                    clean=file.clean.ref("text.arrow"),
                    verdicts=verdicts.ref("verdicts.parquet"),
                    signatures=signatures.ref("minhash.parquet") if signatures else None,
                )
            own.append(known[number])
        place = [[file.start, file.source] for file in own]
        chunk = digest_of([table["component"].to_pylist(), members.tolist()])
        key = DEDUP.key({**spec, "chunk": chunk, "files": place}, inputs)
        work = DedupWork(
            components=components,
            row_group=row_group,
            files=tuple(own),
            dedup=dedup,
            ngram=minhash.identity["params"]["ngram"] if minhash else 0,
            priority=tuple(priority),
        )
        label = f"components, documents {behind}-{behind + len(members)}"
        made.append(STAGE.task(key, label, work))
        behind += len(members)
    return made


def _row_groups(store: Store, candidates: Shard) -> Iterator[tuple[Ref, int, pa.Table]]:
    """(file, number, rows) of each row group of the components, one at a time."""
    for file in candidates.files:
        components = candidates.ref(file.name)
        with inputs_verified(store):
            opened = open_parquet(store, components)
        for number in range(opened.num_row_groups):
            yield components, number, opened.read_row_group(number)


def run(store: Store, key: str, work: DedupWork) -> list[Shard]:
    """Find the duplicates of one chunk of components."""
    table = open_parquet(store, work.components).read_row_group(work.row_group)
    members = table["row"].to_numpy()
    candidates, hashes = _load(store, work, np.sort(members))
    component_of = dict(zip(members.tolist(), table["component"].to_pylist(), strict=True))
    by_component: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_component.setdefault(component_of[candidate.row], []).append(candidate)
    threshold = work.dedup.jaccard if work.dedup else 1.0
    rows: list[dict[str, Json]] = [
        {
            "row": loser.row,
            "duplicate_of_row": winner.row,
            "similarity": similarity,
            "source": loser.source,
            "duplicate_of": winner.id,
        }
        for group in by_component.values()
        for loser, winner, similarity in duplicates(group, hashes, threshold)
    ]
    rows.sort(key=lambda entry: entry["row"])
    file = write_parquet(
        store,
        f"{DEDUP.name}/{key}",
        "duplicates.parquet",
        pa.Table.from_pylist(rows, DUPLICATES),
    )
    facts = {"candidates": len(members), "eligible": len(candidates), "duplicates": len(rows)}
    return [commit(store, Shard(DEDUP.name, key, (file,), facts))]


class _Kept:
    """The documents of a component that stay, so far, found by text and by rare shingles."""

    def __init__(self) -> None:
        """None yet."""
        self.by_text: dict[str, Candidate] = {}
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
    those that stand in one set alone are left out.

    Args:
        hashes: Sorted unique shingle hashes of each.
        threshold: The similarity t, 0-1.
    """
    values, counts = np.unique(
        np.concatenate([np.zeros(0, np.uint64), *hashes]), return_counts=True
    )
    found = []
    for own in hashes:
        times = counts[np.searchsorted(values, own)]
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
    rare = rare_shingles([hashes.get(each.row, none) for each in group], threshold)
    ranked = sorted(zip(group, rare, strict=True), key=lambda each: each[0].rank)
    for candidate, own in ranked:
        same = kept.by_text.get(candidate.text_hash)
        if same is not None:
            yield candidate, same, 1.0
            continue
        scored = [
            (jaccard(hashes[candidate.row], hashes[other.row]), other)
            for other in kept.near(candidate, own)
        ]
        best = max(scored, key=lambda pair: (pair[0], -pair[1].row), default=None)
        if best is not None and best[0] >= threshold:
            yield candidate, best[1], round(float(best[0]), 4)
        else:
            kept.add(candidate, own)


def _load(
    store: Store, work: DedupWork, members: np.ndarray
) -> tuple[list[Candidate], dict[int, np.ndarray]]:
    """The eligible members of a chunk, and their shingles by dense row."""
    candidates: list[Candidate] = []
    hashes: dict[int, np.ndarray] = {}
    for file in work.files:
        rows = file.clean.rows or 0
        own = members[(members >= file.start) & (members < file.start + rows)] - file.start
        found = _load_file(store, work, file, own)
        candidates += found
        if work.dedup and found:
            eligible = np.array([candidate.row - file.start for candidate in found], dtype=np.int64)
            hashes |= _shingles(store, work, file, eligible)
    return candidates, hashes


def _load_file(store: Store, work: DedupWork, file: DedupFile, own: np.ndarray) -> list[Candidate]:
    names = [ID.name, TEXT_HASH.name, TEXT_BYTES.name, "verdict", "license_rank"]
    verdicts = read_parquet(store, file.verdicts, names).take(own)
    keep = np.asarray(pc.equal(verdicts["verdict"], KEPT).combine_chunks())
    own, verdicts = own[keep], verdicts.filter(pa.array(keep))
    bands = _bands(store, work.dedup, file, own)
    priority = work.priority.index(file.source)
    return [
        Candidate(
            row=int(own[place]) + file.start,
            id=row[ID.name],
            source=file.source,
            text_hash=row[TEXT_HASH.name],
            rank=(row["license_rank"], priority, -row[TEXT_BYTES.name], row[ID.name]),
            bands=bands[place],
        )
        for place, row in enumerate(verdicts.to_pylist())
    ]


def _bands(
    store: Store, dedup: Dedup | None, file: DedupFile, own: np.ndarray
) -> list[tuple[int, ...]]:
    """The band hashes of some rows of a file; empty where there is no signature."""
    if not dedup or not file.signatures or not len(own):
        return [()] * len(own)
    column = read_parquet(store, file.signatures, [MINHASH.name])[MINHASH.name].take(own)
    flat = pa.concat_arrays(column.chunks)
    hashed = band_hashes(flat, bands=dedup.bands, rows=dedup.rows)
    valid = flat.is_valid().to_pylist()
    return [tuple(hashed[:, n].tolist()) if ok else () for n, ok in enumerate(valid)]


def _shingles(
    store: Store, work: DedupWork, file: DedupFile, own: np.ndarray
) -> dict[int, np.ndarray]:
    texts = take_rows(store, file.clean, own, TEXT.name)
    offsets, values = shingles(texts, ngram=work.ngram)
    return {
        int(row) + file.start: values[offsets[place] : offsets[place + 1]]
        for place, row in enumerate(own)
    }


def take_rows(store: Store, file: str | Ref, rows: np.ndarray, column: str) -> pa.Array:
    """Some rows, ascending, of one column of an Arrow file: only their batches are touched."""
    found, start = [], 0
    for batch in arrow_batches(store, file, [column]):
        inside = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
        if len(inside):
            found.append(batch[column].take(pa.array(inside)))
        start += batch.num_rows
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


STAGE = Stage(
    "dedup", DedupWork, run, (DEDUP,), grows="documents", tasks="components", bears="dedup"
)
