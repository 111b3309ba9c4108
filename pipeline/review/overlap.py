"""What the root holds already: documents of its newest run that a sample's are nearly alike to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import MINHASH
from phloem.catalog.manifest import read_parquet
from phloem.catalog.runs import ViewError, dataset_of, load_run, newest_run
from phloem.catalog.store import MissingError, Store
from phloem.filters.minhash import band as band_hashes
from phloem.filters.minhash import minima
from phloem.pipeline.job import Job
from phloem.pipeline.recipe import Dedup


def overlap(store: Store, job: Job, own: pa.Array) -> tuple[str, dict[str, int] | None]:
    """The newest run, and how many of these documents each of its other sources has nearly alike.

    Their similarity is estimated by the signatures: it is not verified on texts, as a run does.

    Args:
        store: The root.
        job: Whose bands, rows, threshold and minhash the run must share.
        own: Signatures of the documents.

    Returns:
        The run, or why none was compared with; documents by source id, most first, or None.
    """
    source, dedup = job.readings[0].card.id, job.recipe.dedup or Dedup()
    minhash = next(op.identity for op in job.ops if op.name == "minhash")
    try:
        record = load_run(store, newest_run(store))
        dataset = dataset_of(store, record, "measure")
    except ViewError:
        return "the root holds no finished run", None
    run = f"run {record['run_id']}"
    if dataset is None or minhash not in dataset.spec.get("ops", ()):
        return f"{run} has no signatures of the same kind", None
    near: dict[str, set[int]] = {}
    for shard in dataset.shards:
        if shard.facts["op"] != "minhash" or shard.facts["source"] == source:
            continue
        try:
            table = read_parquet(store, shard.path("minhash.parquet"), [MINHASH.name])
        except MissingError:
            continue
        theirs = pa.concat_arrays([pa.array([], MINHASH.type), *table[MINHASH.name].chunks])
        near.setdefault(shard.facts["source"], set()).update(_near(own, theirs, dedup))
    found = {name: len(rows) for name, rows in near.items() if rows}
    return run, dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _near(own: pa.Array, theirs: pa.Array, dedup: Dedup) -> set[int]:
    """Rows of `own` that share a band with one of `theirs` and are estimated to be near it."""
    count = dedup.bands * dedup.rows
    ours, others = minima(own, first=0, count=count), minima(theirs, first=0, count=count)
    signed, known = np.asarray(own.is_valid()), np.asarray(theirs.is_valid())
    found: set[int] = set()
    for number in range(dedup.bands):
        mine = band_hashes(own, number=number, rows=dedup.rows)
        hashes = band_hashes(theirs, number=number, rows=dedup.rows)
        for row in np.flatnonzero(signed & np.isin(mine, hashes[known])).tolist():
            rivals = np.flatnonzero(known & (hashes == mine[row]))
            if ((others[rivals] == ours[row]).mean(axis=1) >= dedup.jaccard).any():
                found.add(row)
    return found
