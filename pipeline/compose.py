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
    TITLE,
    URL,
    schema,
)
from phloem.catalog.manifest import Shard, commit, key_of, read_aligned, read_parquet, write_arrow
from phloem.catalog.store import Store
from phloem.filters.pii import replace_spans
from phloem.pipeline.measure import TextFile
from phloem.pipeline.stage import Task

Json = Any

COMPOSED = (ID, SOURCE, LANGUAGE, LICENSE, URL, TITLE, TEXT)
VERSION = 1  # raised when the composed bytes change for the same inputs


def tasks(
    files: Sequence[TextFile],
    cleaned: Sequence[Shard],
    languages: Sequence[Shard],
    spans: Sequence[Shard],
    decided: Sequence[Shard],
    scrub: Mapping[str, str],
    licences: Mapping[str, str],
) -> list[Task]:
    """One task for each text file.

    Args:
        files: Text files in order; the shards of each stand at the same place.
        cleaned: Clean shards.
        languages: Shards of the op language.
        spans: Shards of the op pii; empty if nothing is scrubbed.
        decided: Decide shards: of them only the kept rows matter here.
        scrub: Kind of personal data -> what replaces it.
        licences: The card's licence of each source.
    """
    made = []
    for number, text in enumerate(files):
        used = {
            "text": (cleaned[number], "text.arrow"),
            "language": (languages[number], "language.parquet"),
            "kept": (decided[number], "kept.parquet"),
        }
        if scrub:
            used["spans"] = (spans[number], "pii.parquet")
        spec = {"scrub": dict(scrub), "license": licences[text.source], "version": VERSION}
        inputs = [text.file.sha256, *(shard.file(name).sha256 for shard, name in used.values())]
        key = key_of("compose", spec, inputs)
        paths = {what: shard.path(name) for what, (shard, name) in used.items()}
        work = {**spec, **paths, "source": text.source, "ingested": text.name}
        label = f"{text.source} {text.name.rsplit('/', 1)[-1]}"
        made.append(Task("compose", (("compose", key),), label, text.file.bytes, work))
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
    scrubbed: Counter[str] = Counter()
    size = [0]
    batches = _compose(store, work, kept, languages, spans, scrubbed, size)
    file = write_arrow(store, f"{stage}/{key}", "text.arrow", schema(COMPOSED), batches)
    facts = {
        "source": work["source"],
        "text": work["ingested"],
        "documents": file.rows,
        "bytes": size[0],
        "scrubbed": dict(sorted(scrubbed.items())),
    }
    return [commit(store, Shard(stage, key, (file,), facts))]


def _compose(
    store: Store,
    work: Json,
    kept: np.ndarray,
    languages: pa.ChunkedArray,
    spans: pa.ChunkedArray | None,
    scrubbed: Counter[str],
    size: list[int],
) -> Iterator[pa.RecordBatch]:
    for start, (batch, clean) in read_aligned(store, [work["ingested"], work["text"]]):
        dense = kept[(kept >= start) & (kept < start + batch.num_rows)]
        rows = pa.array(dense - start)
        text = clean[TEXT.name].take(rows)
        if spans is not None:
            own = pa.concat_arrays(spans.take(pa.array(dense)).chunks or [pa.array([], PII_SPANS.type)])
            kinds = own.flatten().field("kind").to_pylist()
            scrubbed.update(kind for kind in kinds if kind in work["scrub"])
            text = replace_spans(text, own, work["scrub"])
        size[0] += int(pc.sum(pc.binary_length(text)).as_py() or 0)
        made = {
            LANGUAGE.name: pa.concat_arrays(
                languages.take(pa.array(dense)).chunks or [pa.array([], pa.string())]
            ),
            LICENSE.name: batch[LICENSE.name].take(rows).fill_null(work["license"]),
            TEXT.name: text,
        }
        arrays = [made[c.name] if c.name in made else batch[c.name].take(rows) for c in COMPOSED]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema(COMPOSED))
