"""Elect: in each component, which eligible documents stay, each removal verified.

A component's eligible documents are taken from best to worst; one is dropped only if its exact
Jaccard similarity with a kept one that shares a band reaches the threshold. Nothing is dropped
along a chain of resemblances.
"""

from __future__ import annotations

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
    key_of,
    read_arrow,
    read_parquet,
    write_parquet,
)
from phloem.catalog.store import Store
from phloem.filters.minhash import bands as band_hashes
from phloem.filters.minhash import jaccard, shingles
from phloem.filters.op import Op
from phloem.pipeline.measure import Measured
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import Task

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
    """What the election knows of one document beside its text."""

    row: int
    id: str
    source: str
    text_hash: str
    rank: tuple[int, int, int, str]
    bands: tuple[int, ...]


def chunks(components: Sequence[int]) -> list[tuple[int, int]]:
    """Bounds of runs of whole components of about `CHUNK_ROWS` rows; the components are sorted."""
    bounds, start = [], 0
    for place in range(1, len(components) + 1):
        ends = place == len(components) or components[place] != components[place - 1]
        if ends and (place - start >= CHUNK_ROWS or place == len(components)):
            bounds.append((start, place))
            start = place
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
    """One task for each chunk of components.

    Args:
        store: The root, to read how large the components are.
        nominated: The components.
        files: Text files in order.
        judged: The judge shard of each.
        dedup: Bands, rows and threshold; None settles whole texts only.
        minhash: The op as the recipe binds it.
        priority: Source ids, the preferred first.
    """
    table = read_parquet(store, nominated.path("components.parquet"), ["component"])
    spec = {
        "dedup": dedup.model_dump() if dedup else None,
        "ngram": {**minhash.defaults, **minhash.params}["ngram"] if minhash else None,
        "version": minhash.version if minhash else None,
        "priority": list(priority),
    }
    inputs = [nominated.digest]
    for file, verdicts in zip(files, judged, strict=True):
        inputs += [file.clean.digest, verdicts.digest]
    shape = [
        {
            "source": file.text.source,
            "rows": file.text.file.rows,
            "text": file.clean.path("text.arrow"),
            "verdicts": verdicts.path("verdicts.parquet"),
            "minhash": file.ops["minhash"].path("minhash.parquet") if dedup else None,
        }
        for file, verdicts in zip(files, judged, strict=True)
    ]
    made = []
    for low, high in chunks(table["component"].to_pylist()):
        key = key_of("elect", {**spec, "chunk": [low, high]}, inputs)
        work = {
            **spec,
            "components": nominated.path("components.parquet"),
            "chunk": [low, high],
            "files": shape,
        }
        label = f"components {low}-{high}"
        made.append(Task("elect", (("elect", key),), label, ROW_BYTES * (high - low), work))
    return made


def run(store: Store, task: Task) -> list[Shard]:
    """Settle one chunk of components."""
    work = task.work
    ((stage, key),) = task.makes
    low, high = work["chunk"]
    table = read_parquet(store, work["components"]).slice(low, high - low)
    members = table["row"].to_numpy()
    candidates, hashes = _load(store, work, np.sort(members))
    rows: list[Json] = []
    component_of = dict(zip(members.tolist(), table["component"].to_pylist(), strict=True))
    by_component: dict[int, list[Candidate]] = {}
    for candidate in candidates.values():
        by_component.setdefault(component_of[candidate.row], []).append(candidate)
    threshold = work["dedup"]["jaccard"] if work["dedup"] else 1.0
    for _, group in sorted(by_component.items()):
        for loser, winner, similarity in settle(group, hashes, threshold):
            rows.append(
                {
                    "row": loser.row,
                    "duplicate_of_row": winner.row,
                    "similarity": similarity,
                    "source": loser.source,
                    "duplicate_of": winner.id,
                }
            )
    rows.sort(key=lambda entry: entry["row"])
    file = write_parquet(
        store, f"{stage}/{key}", "duplicates.parquet", pa.Table.from_pylist(rows, DUPLICATES)
    )
    facts = {"nominated": high - low, "eligible": len(candidates), "duplicates": len(rows)}
    return [commit(store, Shard(stage, key, (file,), facts))]


def settle(
    group: Sequence[Candidate], hashes: Mapping[int, np.ndarray], threshold: float
) -> Iterator[tuple[Candidate, Candidate, float]]:
    """(dropped, the kept one it resembles, Jaccard similarity to 1e-4) within one component.

    Args:
        group: The eligible documents of the component, in any order.
        hashes: Sorted unique shingle hashes of each, by row; may lack rows of whole-text dedup.
        threshold: The least similarity at which a document is dropped.
    """
    kept_by_text: dict[str, Candidate] = {}
    kept_by_band: dict[tuple[int, int], list[Candidate]] = {}
    for candidate in sorted(group, key=lambda each: each.rank):
        same = kept_by_text.get(candidate.text_hash)
        if same is not None:
            yield candidate, same, 1.0
            continue
        near = {
            other.row: other
            for band in enumerate(candidate.bands)
            for other in kept_by_band.get(band, ())
        }
        scored = [
            (jaccard(hashes[candidate.row], hashes[other.row]), other) for other in near.values()
        ]
        best = max(scored, key=lambda pair: (pair[0], -pair[1].row), default=None)
        if best is not None and best[0] >= threshold:
            yield candidate, best[1], round(float(best[0]), 4)
            continue
        kept_by_text[candidate.text_hash] = candidate
        for band in enumerate(candidate.bands):
            kept_by_band.setdefault(band, []).append(candidate)


def _load(
    store: Store, work: Json, members: np.ndarray
) -> tuple[dict[int, Candidate], dict[int, np.ndarray]]:
    """The eligible members of a chunk and their shingles, by dense row."""
    candidates: dict[int, Candidate] = {}
    hashes: dict[int, np.ndarray] = {}
    start = 0
    for file in work["files"]:
        own = members[(members >= start) & (members < start + file["rows"])] - start
        if len(own):
            found = _load_file(store, work, file, own, start)
            candidates |= {candidate.row: candidate for candidate in found}
            if work["dedup"]:
                eligible = np.array([candidate.row - start for candidate in found], dtype=np.int64)
                hashes |= _shingles(store, work, file, eligible, start)
        start += file["rows"]
    return candidates, hashes


def _load_file(
    store: Store, work: Json, file: Json, own: np.ndarray, start: int
) -> list[Candidate]:
    names = [ID.name, TEXT_HASH.name, TEXT_BYTES.name, "verdict", "licence_rank"]
    verdicts = read_parquet(store, file["verdicts"], names).take(own)
    keep = np.asarray(pc.equal(verdicts["verdict"], KEPT).combine_chunks())
    if not keep.any():
        return []
    own, verdicts = own[keep], verdicts.filter(pa.array(keep))
    bands: list[tuple[int, ...]] = [()] * len(own)
    if work["dedup"]:
        signatures = read_parquet(store, file["minhash"], [MINHASH.name])[MINHASH.name].take(own)
        flat = pa.concat_arrays(signatures.chunks)
        found = band_hashes(flat, bands=work["dedup"]["bands"], rows=work["dedup"]["rows"])
        valid = flat.is_valid().to_pylist()
        bands = [tuple(found[:, n].tolist()) if ok else () for n, ok in enumerate(valid)]
    priority = work["priority"].index(file["source"])
    return [
        Candidate(
            row=int(own[place]) + start,
            id=row[ID.name],
            source=file["source"],
            text_hash=row[TEXT_HASH.name],
            rank=(row["licence_rank"], priority, -row[TEXT_BYTES.name], row[ID.name]),
            bands=bands[place],
        )
        for place, row in enumerate(verdicts.to_pylist())
    ]


def _shingles(
    store: Store, work: Json, file: Json, own: np.ndarray, start: int
) -> dict[int, np.ndarray]:
    if not len(own):
        return {}
    texts = take_rows(store, file["text"], own, TEXT.name)
    offsets, values = shingles(texts, ngram=work["ngram"])
    return {
        int(row) + start: values[offsets[place] : offsets[place + 1]]
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
        key = key_of("settled", {}, [digest_of(rows)])
        shard = find(store, "settled", key)
        if shard is None:
            data = canonical(rows)
            sha256 = store.write_bytes(f"settled/{key}/settled.json", data)
            file = File("settled.json", sha256, len(data), len(rows))
            shard = commit(store, Shard("settled", key, (file,), {"rows": len(rows)}))
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
