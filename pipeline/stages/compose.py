"""Compose: the kept documents of each text file, with personal data replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

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
from phloem.catalog.manifest import (
    Kind,
    Ref,
    Shard,
    commit,
    read_aligned,
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


COMPOSE = Kind("compose", {r"text\.arrow": schema(COMPOSED)})


class ComposeWork(Work):
    """One text file.

    Attributes:
        source: Id of the card.
        text: The file as it was ingested.
        clean: Its cleaned text.
        language: The language of each row.
        kept: The rows that stay.
        spans: Personal data of each row; None if nothing is scrubbed.
        scrub: Kind of personal data -> what replaces it.
        license: The card's, for documents without one of their own.
    """

    source: str
    text: Ref
    clean: Ref
    language: Ref
    kept: Ref
    spans: Ref | None
    scrub: Mapping[str, str]
    license: str


def tasks(
    files: Sequence[MeasuredText],
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
        work = ComposeWork(
            source=text.source,
            text=text.ref,
            clean=file.clean.ref("text.arrow"),
            language=file.ops["language"].ref("language.parquet"),
            kept=decisions.ref("kept.parquet"),
            spans=file.ops["pii"].ref("pii.parquet") if scrub else None,
            scrub=dict(scrub),
            license=licenses[text.source],
        )
        used = [work.clean, work.language, work.kept, *([work.spans] if work.spans else [])]
        spec = {"scrub": dict(scrub), "license": work.license}
        key = COMPOSE.key(spec, [text.ref.sha256, *(ref.sha256 for ref in used)])
        made.append(STAGE.task(key, file.label, work))
    return made


def run(store: Store, key: str, work: ComposeWork) -> list[Shard]:
    """Write the kept documents of one text file."""
    counts: Counter[str] = Counter()
    batches = _compose(store, work, counts)
    file = write_arrow(store, f"{COMPOSE.name}/{key}", "text.arrow", schema(COMPOSED), batches)
    facts = {
        "source": work.source,
        "text": work.text.sha256,
        "documents": file.rows,
        "bytes": counts.pop(TEXT_BYTES.name, 0),
        "scrubbed": dict(sorted(counts.items())),
    }
    return [commit(store, Shard(COMPOSE.name, key, (file,), facts))]


def _compose(store: Store, work: ComposeWork, counts: Counter[str]) -> Iterator[pa.RecordBatch]:
    """The kept rows, scrubbed; counts their bytes and each kind that was replaced."""
    kept = read_parquet(store, work.kept)["row"].to_numpy()
    languages = read_parquet(store, work.language, [LANGUAGE.name])[LANGUAGE.name]
    spans = read_parquet(store, work.spans)[PII_SPANS.name] if work.spans else None
    for start, (batch, clean) in read_aligned(store, [work.text, work.clean]):
        dense = kept[(kept >= start) & (kept < start + batch.num_rows)]
        rows = pa.array(dense - start)
        text = clean[TEXT.name].take(rows)
        if spans is not None:
            own = pa.concat_arrays(
                spans.take(pa.array(dense)).chunks or [pa.array([], PII_SPANS.type)]
            )
            kinds = own.flatten().field("kind").to_pylist()
            counts.update(kind for kind in kinds if kind in work.scrub)
            text = replace_spans(text, own, work.scrub)
        counts[TEXT_BYTES.name] += int(pc.sum(pc.binary_length(text)).as_py() or 0)
        made = {
            LANGUAGE.name: pa.concat_arrays(
                languages.take(pa.array(dense)).chunks or [pa.array([], pa.string())]
            ),
            LICENSE.name: batch[LICENSE.name].take(rows).fill_null(work.license),
            TEXT.name: text,
        }
        arrays = [made[c.name] if c.name in made else batch[c.name].take(rows) for c in COMPOSED]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema(COMPOSED))


STAGE = Stage("compose", ComposeWork, run, (COMPOSE,), grows="text", tasks="files", bears="scrub")
