"""Compose: the kept documents of each text file, with personal data replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import (
    ID,
    LANGUAGE,
    LICENSE,
    PII_SPANS,
    SOURCE,
    TEXT,
    TEXT_BYTES,
    schema,
)
from phloem.catalog.manifest import Shard, commit, read_aligned, read_parquet, write_arrow
from phloem.catalog.store import Store
from phloem.filters.pii import replace_spans
from phloem.pipeline.stage import Task, shard_key
from phloem.pipeline.stages.measure import Measured

Json = Any

# Neither title nor URL: they may hold personal data that nobody looked for, and the catalog has
# them by id.
COMPOSED = (ID, SOURCE, LANGUAGE, LICENSE, TEXT)


def tasks(
    files: Sequence[Measured],
    decided: Sequence[Shard],
    scrub: Mapping[str, str],
    licenses: Mapping[str, str],
) -> list[Task]:
    """One task for each text file.

    Args:
        files: Text files in order.
        decided: The decide shard of each: only its kept rows matter here.
        scrub: Kind of personal data -> what replaces it; empty scrubs nothing.
        licenses: The card's licence of each source.
    """
    made = []
    for file, decisions in zip(files, decided, strict=True):
        text = file.text
        used = {
            "text": (file.clean, "text.arrow"),
            "language": (file.ops["language"], "language.parquet"),
            "kept": (decisions, "kept.parquet"),
        }
        if scrub:
            used["spans"] = (file.ops["pii"], "pii.parquet")
        spec = {"scrub": dict(scrub), "license": licenses[text.source]}
        inputs = [text.file.sha256, *(shard.file(name).sha256 for shard, name in used.values())]
        key = shard_key("compose", spec, inputs)
        paths = {what: shard.path(name) for what, (shard, name) in used.items()}
        work = {
            **spec,
            **paths,
            "source": text.source,
            "ingested": text.name,
            "text_file": text.file.sha256,
        }
        made.append(Task("compose", (("compose", key),), file.label, text.file.bytes, work))
    return made


def run(store: Store, task: Task) -> list[Shard]:
    """Write the kept documents of one text file."""
    work = task.work
    ((stage, key),) = task.makes
    kept = read_parquet(store, work["kept"])["row"].to_numpy()
    languages = read_parquet(store, work["language"], [LANGUAGE.name])[LANGUAGE.name]
    spans = None
    if work["scrub"]:
        spans = read_parquet(store, work["spans"], [PII_SPANS.name])[PII_SPANS.name]
    counts: Counter[str] = Counter()
    batches = _compose(store, work, kept, languages, spans, counts)
    file = write_arrow(store, f"{stage}/{key}", "text.arrow", schema(COMPOSED), batches)
    facts = {
        "source": work["source"],
        "text": work["text_file"],
        "documents": file.rows,
        "bytes": counts.pop(TEXT_BYTES.name, 0),
        "scrubbed": dict(sorted(counts.items())),
    }
    return [commit(store, Shard(stage, key, (file,), facts))]


def _compose(
    store: Store,
    work: Json,
    kept: np.ndarray,
    languages: pa.ChunkedArray,
    spans: pa.ChunkedArray | None,
    counts: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The kept rows, scrubbed; counts their bytes and each kind that was replaced."""
    for start, (batch, clean) in read_aligned(store, [work["ingested"], work["text"]]):
        dense = kept[(kept >= start) & (kept < start + batch.num_rows)]
        rows = pa.array(dense - start)
        text = clean[TEXT.name].take(rows)
        if spans is not None:
            own = pa.concat_arrays(
                spans.take(pa.array(dense)).chunks or [pa.array([], PII_SPANS.type)]
            )
            kinds = own.flatten().field("kind").to_pylist()
            counts.update(kind for kind in kinds if kind in work["scrub"])
            text = replace_spans(text, own, work["scrub"])
        counts[TEXT_BYTES.name] += int(pc.sum(pc.binary_length(text)).as_py() or 0)
        made = {
            LANGUAGE.name: pa.concat_arrays(
                languages.take(pa.array(dense)).chunks or [pa.array([], pa.string())]
            ),
            LICENSE.name: batch[LICENSE.name].take(rows).fill_null(work["license"]),
            TEXT.name: text,
        }
        arrays = [made[c.name] if c.name in made else batch[c.name].take(rows) for c in COMPOSED]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema(COMPOSED))
