"""Elect: in each component, which eligible documents stay, each removal verified.

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
    File,
    Shard,
    canonical,
    commit,
    digest_of,
    find,
    read_arrow,
    read_parquet,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.minhash import bands as band_hashes
from phloem.filters.minhash import jaccard, shingles
from phloem.filters.op import Op
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import Task, shard_key
from phloem.pipeline.stages.measure import Measured

Json = Any

CHUNK_ROWS = 4096  # documents of whole components that one task settles; their texts are in memory
ROW_BYTES = 8192  # what settling a document reads, about: text, signature, verdict

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
    """What the election knows of one document beside its text.

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


def chunks(components: np.ndarray) -> list[tuple[int, int]]:
    """Bounds of runs of whole components of about `CHUNK_ROWS` rows; the components are sorted."""
    ends = np.flatnonzero(np.diff(components, append=-1)) + 1
    bounds, start = [], 0
    for end in ends.tolist():
        if end - start >= CHUNK_ROWS or end == len(components):
            bounds.append((start, end))
            start = end
    return bounds


def tasks(
    store: Store,
    nominated: Shard,
    files: Sequence[Measured],
    judged: Sequence[Shard],
    *,
    dedup: Dedup | None,
    minhash: Op | None,
    priority: Sequence[str],
) -> list[Task]:
    """One task for each chunk of components; it depends on the files that its rows stand in.

    Args:
        store: The root, to read which rows the components hold.
        nominated: The components.
        files: Text files in order.
        judged: The judge shard of each.
        dedup: Bands, rows and threshold; None settles whole texts only.
        minhash: The op as the recipe binds it.
        priority: Source ids, the preferred first.
    """
    path = nominated.path("components.parquet")
    table = read_parquet(store, path)
    rows = table["row"].to_numpy()
    starts = np.cumsum([0, *(file.text.file.rows or 0 for file in files)])
    spec = {
        "dedup": dedup.model_dump() if dedup else None,
        "minhash": minhash.identity if minhash else None,
        "priority": list(priority),
    }
    made = []
    for low, high in chunks(table["component"].to_numpy()):
        members = rows[low:high]
        touched = np.unique(np.searchsorted(starts, members, side="right") - 1).tolist()
        inputs, shape = [], []
        for number in touched:
            file, verdicts = files[number], judged[number]
            signatures = file.ops["minhash"] if dedup else None
            inputs += [file.clean.digest, verdicts.digest]
            inputs += [signatures.digest] if signatures else []
            shape.append(
                {
                    "source": file.text.source,
                    "start": int(starts[number]),
                    "rows": file.text.file.rows,
                    "text": file.clean.path("text.arrow"),
                    "verdicts": verdicts.path("verdicts.parquet"),
                    "minhash": signatures.path("minhash.parquet") if signatures else None,
                }
            )
        place = [[file["start"], file["source"]] for file in shape]
        chunk = digest_of([table["component"][low:high].to_pylist(), members.tolist()])
        key = shard_key("dedup", {**spec, "chunk": chunk, "files": place}, inputs)
        work = {**spec, "components": path, "chunk": [low, high], "files": shape}
        label = f"components {low}-{high}"
        made.append(Task("dedup", (("dedup", key),), label, ROW_BYTES * (high - low), work))
    return made


def run(store: Store, task: Task) -> list[Shard]:
    """Settle one chunk of components."""
    work = task.work
    ((stage, key),) = task.makes
    low, high = work["chunk"]
    table = read_parquet(store, work["components"]).slice(low, high - low)
    members = table["row"].to_numpy()
    candidates, hashes = _load(store, work, np.sort(members))
    component_of = dict(zip(members.tolist(), table["component"].to_pylist(), strict=True))
    by_component: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_component.setdefault(component_of[candidate.row], []).append(candidate)
    threshold = work["dedup"]["jaccard"] if work["dedup"] else 1.0
    rows: list[dict[str, Json]] = [
        {
            "row": loser.row,
            "duplicate_of_row": winner.row,
            "similarity": similarity,
            "source": loser.source,
            "duplicate_of": winner.id,
        }
        for group in by_component.values()
        for loser, winner, similarity in settle(group, hashes, threshold)
    ]
    rows.sort(key=lambda entry: entry["row"])
    file = write_parquet(
        store, f"{stage}/{key}", "duplicates.parquet", pa.Table.from_pylist(rows, DUPLICATES)
    )
    facts = {"candidates": high - low, "eligible": len(candidates), "duplicates": len(rows)}
    return [commit(store, Shard(stage, key, (file,), facts))]


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


def settle(
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
    store: Store, work: Json, members: np.ndarray
) -> tuple[list[Candidate], dict[int, np.ndarray]]:
    """The eligible members of a chunk, and their shingles by dense row."""
    candidates: list[Candidate] = []
    hashes: dict[int, np.ndarray] = {}
    for file in work["files"]:
        start = file["start"]
        own = members[(members >= start) & (members < start + file["rows"])] - start
        found = _load_file(store, work, file, own)
        candidates += found
        if work["dedup"] and found:
            eligible = np.array([candidate.row - start for candidate in found], dtype=np.int64)
            hashes |= _shingles(store, work, file, eligible)
    return candidates, hashes


def _load_file(store: Store, work: Json, file: Json, own: np.ndarray) -> list[Candidate]:
    names = [ID.name, TEXT_HASH.name, TEXT_BYTES.name, "verdict", "license_rank"]
    verdicts = read_parquet(store, file["verdicts"], names).take(own)
    keep = np.asarray(pc.equal(verdicts["verdict"], KEPT).combine_chunks())
    own, verdicts = own[keep], verdicts.filter(pa.array(keep))
    bands = _bands(store, work, file, own)
    priority = work["priority"].index(file["source"])
    return [
        Candidate(
            row=int(own[place]) + file["start"],
            id=row[ID.name],
            source=file["source"],
            text_hash=row[TEXT_HASH.name],
            rank=(row["license_rank"], priority, -row[TEXT_BYTES.name], row[ID.name]),
            bands=bands[place],
        )
        for place, row in enumerate(verdicts.to_pylist())
    ]


def _bands(store: Store, work: Json, file: Json, own: np.ndarray) -> list[tuple[int, ...]]:
    """The band hashes of some rows of a file; empty where there is no signature."""
    if not work["dedup"] or not len(own):
        return [()] * len(own)
    count, rows = work["dedup"]["bands"], work["dedup"]["rows"]
    column = read_parquet(store, file["minhash"], [MINHASH.name])[MINHASH.name].take(own)
    flat = pa.concat_arrays(column.chunks)
    hashed = band_hashes(flat, bands=count, rows=rows)
    valid = flat.is_valid().to_pylist()
    return [tuple(hashed[:, n].tolist()) if ok else () for n, ok in enumerate(valid)]


def _shingles(store: Store, work: Json, file: Json, own: np.ndarray) -> dict[int, np.ndarray]:
    texts = take_rows(store, file["text"], own, TEXT.name)
    ngram = work["minhash"]["params"]["ngram"]
    offsets, values = shingles(texts, ngram=ngram)
    return {
        int(row) + file["start"]: values[offsets[place] : offsets[place + 1]]
        for place, row in enumerate(own)
    }


def take_rows(store: Store, name: str, rows: np.ndarray, column: str) -> pa.Array:
    """Some rows, ascending, of one column of an Arrow file: only their batches are touched."""
    reader = read_arrow(store, name)
    found, start = [], 0
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        inside = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
        if len(inside):
            found.append(batch[column].take(pa.array(inside)))
        start += batch.num_rows
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


def settle_files(store: Store, duplicates: Sequence[str], files: Sequence[Measured]) -> list[Shard]:
    """Share the election's outcome out to the text files: for each, the rows that it touched.

    A file holds {row, duplicate_of, similarity, found_in} for each such row, and is keyed by what
    it holds: a text file whose rows were not touched anew keeps its ledger.
    """
    touched = settled(store, duplicates, [(f.text.source, f.text.file.rows or 0) for f in files])
    shards = []
    for rows in touched:
        key = shard_key("removals", {}, [digest_of(rows)])
        shard = find(store, "removals", key)
        if shard is None:
            data = canonical(rows)
            sha256 = store.write_bytes(f"removals/{key}/removals.json", data)
            file = File("removals.json", sha256, len(data), len(rows))
            shard = commit(store, Shard("removals", key, (file,), {"rows": len(rows)}))
        shards.append(shard)
    return shards


def settled(
    store: Store, duplicates: Sequence[str], files: Sequence[tuple[str, int]]
) -> list[list[Json]]:
    """For each text file (source, rows), in order: what the election says of its rows."""
    ends = np.cumsum([rows for _, rows in files])
    touched: list[dict[int, Json]] = [{} for _ in files]

    def entry(dense: int) -> tuple[int, Json]:
        place = int(np.searchsorted(ends, dense, side="right"))
        row = dense - (int(ends[place - 1]) if place else 0)
        blank: dict[str, Json] = {
            "row": row,
            "duplicate_of": None,
            "similarity": None,
            "found_in": [],
        }
        return place, touched[place].setdefault(row, blank)

    for name in duplicates:
        for loss in read_parquet(store, name).to_pylist():
            _, loser = entry(loss["row"])
            loser["duplicate_of"], loser["similarity"] = loss["duplicate_of"], loss["similarity"]
            place, winner = entry(loss["duplicate_of_row"])
            if loss["source"] != files[place][0]:
                winner["found_in"] = sorted({*winner["found_in"], loss["source"]})
    return [[rows[row] for row in sorted(rows)] for rows in touched]
