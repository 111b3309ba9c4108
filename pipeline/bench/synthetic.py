"""Deduplication of as many documents as are asked for: how time and memory grow.

Documents are short and made up: what is measured is what lies between signatures and removals.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import ID, MINHASH, TEXT_BYTES, TEXT_HASH, Column
from phloem.catalog.columns import schema as schema_of
from phloem.catalog.ledger import KEPT
from phloem.catalog.manifest import Shard, commit, digest_of, write_arrow, write_parquet
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.filters.minhash import minhash
from phloem.filters.op import find_op
from phloem.pipeline.engines.local import open_pool
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import StageError, Task, made
from phloem.pipeline.stages import bands, candidates, dedup, removals
from phloem.pipeline.stages.filter import VERDICTS
from phloem.pipeline.stages.measure import CLEANED, HASHES, MeasuredText, TextFile
from phloem.sources.limits import Limits

COLUMNS = ("row", "documents", "wall s", "CPU s", "peak GB", "digest")

FILE_DOCUMENTS = 50_000  # of a text file
WORDS, VOCABULARY = 40, 30_000  # of a document, and of all
COPIES, EDITED = 0.06, 0.12  # shares of documents that are copies, and copies with a word changed
PER_ORIGINAL = 20  # documents of the corpus: each is copied 3.6 times on average
SOURCE = "synthetic"


def bench_synthetic(documents: int, *, told: Callable[[str], None]) -> Iterator[Json]:
    """A row for each stage from bands to removals, done by one worker, and one for all.

    Args:
        documents: How many.
        told: Told of every stage as it is done.

    Raises:
        StageError: a stage failed.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as folder:
        store, asked = Store(folder), Dedup()
        written = [
            _text_file(
                store,
                number,
                min(FILE_DOCUMENTS, documents - number * FILE_DOCUMENTS),
                1 + documents // PER_ORIGINAL,
            )
            for number in range(-(-documents // FILE_DOCUMENTS))
        ]
        files, filtered = [file for file, _ in written], [verdicts for _, verdicts in written]
        told(f"{documents:,} documents in {len(files):,} text files are written")
        rows: list[Json] = []

        def do(task: Task) -> list[Shard]:
            began = time.monotonic()
            with open_pool(folder, 1, Limits()) as pool:
                failures = pool.run(task.stage, [task], lambda *_: None)
                seconds, peak = pool.cpu_seconds, pool.peak_bytes
            if failures:
                raise StageError(f"stage {task.stage}: {failures[0].reason}; measure fewer")
            shards = made(store, task) or []
            digest = digest_of([shard.digest for shard in shards])[:12]
            wall = time.monotonic() - began
            rows.append(_row(task.stage, documents, wall, seconds, peak, digest))
            return shards

        joined = do(candidates.task(do(bands.task(files, asked)), files, []))[0]
        settling = dedup.task(
            joined,
            files,
            filtered,
            dedup=asked,
            minhash=find_op("minhash", {}),
            worth=None,
            priority=[SOURCE],
        )
        shared = do(removals.task(do(settling)[0], files))
        told(f"{joined.facts['candidates']:,} candidates, {shared[0].facts['rows']:,} rows touched")
        yield from rows
        wall, seconds = (sum(row[name] for row in rows) for name in ("wall s", "CPU s"))
        peak = 1e9 * max(row["peak GB"] for row in rows)
        yield _row("all", documents, wall, seconds, peak, rows[-1]["digest"])


def _row(
    row: str, documents: int, wall: float, seconds: float, peak: float, digest: str
) -> dict[str, Json]:
    values = (row, documents, round(wall, 2), round(seconds, 2), round(peak / 1e9, 2), digest)
    return dict(zip(COLUMNS, values, strict=True))


def _text_file(store: Store, number: int, rows: int, originals: int) -> tuple[MeasuredText, Shard]:
    """A text file of made-up documents, measured, and its verdicts: all are kept."""
    random = np.random.default_rng(number)
    words = random.integers(0, VOCABULARY, (rows, WORDS))
    drawn = random.random(rows)
    is_copy = drawn < COPIES + EDITED
    for row in np.flatnonzero(is_copy):
        words[row] = _original(int(random.integers(0, originals)))
    edited = np.flatnonzero(is_copy & (drawn >= COPIES))
    words[edited, random.integers(0, WORDS, len(edited))] = VOCABULARY
    # In letters: the signature reads each digit as 0.
    spelt = np.array(list(map("".join, itertools.product("aeioumnrst", repeat=5))))
    texts = [" ".join(each) for each in spelt[words].tolist()]
    ids = [f"{_hash(f'{number} {row}')}" for row in range(rows)]
    hashed = [_hash(text) for text in texts]
    folder, same = f"clean/{number}", {ID.name: ids, TEXT_HASH.name: hashed}
    sizes = {TEXT_BYTES.name: [len(text) for text in texts]}
    batch = pa.record_batch([ids, texts], schema=schema_of(CLEANED))
    files = (
        write_arrow(store, folder, "text.arrow", batch.schema, iter([batch]), compression="zstd"),
        write_parquet(store, folder, "hashes.parquet", _table(HASHES, rows, {**same, **sizes})),
    )
    clean = commit(store, Shard("clean", str(number), files, {}))
    signed = pa.table({MINHASH.name: minhash(batch).arrays[0]})
    file = write_parquet(store, f"measure/{number}", "minhash.parquet", signed)
    signatures = commit(store, Shard("measure", str(number), (file,), {}))
    said = {**same, **sizes, "verdict": [KEPT] * rows, "license_rank": [0] * rows}
    file = write_parquet(
        store, f"filter/{number}", "verdicts.parquet", _table(VERDICTS, rows, said)
    )
    verdicts = commit(store, Shard("filter", str(number), (file,), {}))
    text = TextFile(SOURCE, clean.ref("text.arrow"), str(number), {"minhash": str(number)})
    return MeasuredText(text, clean, {"minhash": signatures}), verdicts


def _original(number: int) -> np.ndarray:
    """The words of the document that copies are made of."""
    return np.random.default_rng([1, number]).integers(0, VOCABULARY, WORDS)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _table(columns: tuple[Column, ...], rows: int, values: Mapping[str, Json]) -> pa.Table:
    """These columns, null where no value is given."""
    schema = schema_of(columns)
    given = {name: values.get(name, [None] * rows) for name in schema.names}
    return pa.table([pa.array(given[each.name], each.type) for each in schema], schema=schema)
