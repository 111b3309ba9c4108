"""Compose: the kept documents of each text file, with personal data replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
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
from phloem.catalog.manifest import (
    Kind,
    Ref,
    Shard,
    arrow_batches,
    commit,
    read_parquet,
    write_arrow,
)
from phloem.catalog.store import Store
from phloem.filters.pii import replace_spans
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.stages.measure import MeasuredText

# Neither title nor URL: they may hold personal data that nobody looked for, and the catalog has
# them by id.
COMPOSED = (ID, SOURCE, LANGUAGE, LICENSE, TEXT)


COMPOSE = Kind("compose", {r"text\.arrow": schema(COMPOSED)}, version=2)


class ComposeWork(Work):
    """One text file.

    Attributes:
        source: Id of the card.
        text_file: sha256 of the file as it was ingested.
        clean: Its cleaned text.
        kept: The rows that stay, with their languages and licences.
        spans: Personal data of each row; None if nothing is scrubbed.
        scrub: Kind of personal data -> what replaces it.
    """

    source: str
    text_file: str
    clean: Ref
    kept: Ref
    spans: Ref | None
    scrub: Mapping[str, str]


def tasks(
    files: Sequence[MeasuredText], decided: Sequence[Shard], scrub: Mapping[str, str]
) -> list[Task]:
    """One task for each text file.

    Args:
        files: Text files in order.
        decided: The decide shard of each: only its kept rows matter here.
        scrub: Kind of personal data -> what replaces it; empty scrubs nothing.
    """
    made = []
    for file, decisions in zip(files, decided, strict=True):
        text = file.text
        work = ComposeWork(
            source=text.source,
            text_file=text.ref.sha256,
            clean=file.clean.ref("text.arrow"),
            kept=decisions.ref("kept.parquet"),
            spans=file.ops["pii"].ref("pii.parquet") if scrub else None,
            scrub=dict(scrub),
        )
        used = [work.clean, work.kept, *([work.spans] if work.spans else [])]
        spec = {"scrub": dict(scrub), "source": text.source, "text": work.text_file}
        key = COMPOSE.key(spec, [ref.sha256 for ref in used])
        made.append(STAGE.task(key, file.label, work))
    return made


def run(store: Store, key: str, work: ComposeWork) -> list[Shard]:
    """Write the kept documents of one text file."""
    counts: Counter[str] = Counter()
    batches = _compose(store, work, counts)
    file = write_arrow(
        store,
        f"{COMPOSE.name}/{key}",
        "text.arrow",
        schema(COMPOSED),
        batches,
        compression="zstd",
    )
    facts = {
        "source": work.source,
        "text": work.text_file,
        "documents": file.rows,
        "bytes": counts.pop(TEXT_BYTES.name, 0),
        "scrubbed": dict(sorted(counts.items())),
    }
    return [commit(store, Shard(COMPOSE.name, key, (file,), facts))]


def _compose(store: Store, work: ComposeWork, counts: Counter[str]) -> Iterator[pa.RecordBatch]:
    """The kept rows, scrubbed; counts their bytes and each kind that was replaced."""
    kept = read_parquet(store, work.kept).combine_chunks()
    rows = kept[ledger.ROW.name].to_numpy()
    spans = read_parquet(store, work.spans)[PII_SPANS.name] if work.spans else None
    start = 0
    for clean in arrow_batches(store, work.clean):
        first, behind = np.searchsorted(rows, (start, start + clean.num_rows))
        dense = rows[first:behind]
        own = clean.take(pa.array(dense - start))
        text = own[TEXT.name]
        if spans is not None:
            found = spans.take(pa.array(dense)).combine_chunks()
            kinds = found.flatten().field("kind").to_pylist()
            counts.update(kind for kind in kinds if kind in work.scrub)
            text = replace_spans(text, found, work.scrub)
        counts[TEXT_BYTES.name] += int(pc.sum(pc.binary_length(text)).as_py() or 0)
        said = kept.slice(first, behind - first)
        columns = {
            ID: own[ID.name],
            SOURCE: pa.array([work.source] * len(dense), SOURCE.type),
            LANGUAGE: said[LANGUAGE.name].combine_chunks(),
            LICENSE: said[LICENSE.name].combine_chunks(),
            TEXT: text,
        }
        yield pa.RecordBatch.from_arrays([columns[c] for c in COMPOSED], schema=schema(COMPOSED))
        start += clean.num_rows


STAGE = Stage("compose", ComposeWork, run, (COMPOSE,), grows="text", tasks="files", bears="scrub")
