"""Personal data found, by kind and source: counts only, never a value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import PII_SPANS
from phloem.catalog.manifest import read_parquet
from phloem.catalog.store import MissingError, Store
from phloem.reports.excerpts import texts_of
from phloem.reports.run import Run, shards_of


@dataclass(frozen=True)
class SourceSpans:
    """What was found in one source.

    Attributes:
        source: Card id.
        documents: Documents that hold any, of all that were read.
        spans: Of each kind, in the order of `Personal.kinds`.
        replaced: Spans replaced in the documents that were kept.
    """

    source: str
    documents: int
    spans: tuple[int, ...]
    replaced: int


@dataclass(frozen=True)
class Personal:
    """Personal data of a run.

    Attributes:
        looked: Whether any op looked for it.
        kinds: Sorted.
        sources: Those with any, by number of spans.
        replacements: Kind -> what it is replaced with; a kind that is not there stays.
    """

    looked: bool
    kinds: tuple[str, ...]
    sources: tuple[SourceSpans, ...]
    replacements: tuple[tuple[str, str], ...]


def personal(store: Store, run: Run) -> Personal:
    """Counts over every document that was measured, kept or not, a text file at a time."""
    files = texts_of(store, run).spans
    sources = {
        shard.facts["text"]: shard.facts["source"] for shard in shards_of(store, run, "measure")
    }
    spans: dict[str, Counter[str]] = {}
    documents: Counter[str] = Counter()
    for text, file in files.items():
        try:
            column = read_parquet(store, file, [PII_SPANS.name])[PII_SPANS.name]
        except MissingError:
            continue
        source = sources[text]
        documents[source] += int(pc.sum(pc.greater(pc.list_value_length(column), 0)).as_py() or 0)
        spans.setdefault(source, Counter()).update(_kinds(column))
    replaced: Counter[str] = Counter()
    for shard in shards_of(store, run, "compose"):
        replaced[shard.facts["source"]] += sum(shard.facts.get("scrubbed", {}).values())
    kinds = tuple(sorted({kind for own in spans.values() for kind in own}))
    found = [
        SourceSpans(source, documents[source], tuple(own[kind] for kind in kinds), replaced[source])
        for source, own in spans.items()
        if own
    ]
    return Personal(
        looked=bool(files),
        kinds=kinds,
        sources=tuple(sorted(found, key=lambda own: (-sum(own.spans), own.source))),
        replacements=tuple(sorted((run.spec.get("scrub") or {}).items())),
    )


def _kinds(column: pa.ChunkedArray) -> Counter[str]:
    kinds = pc.struct_field(pc.list_flatten(column), "kind")
    counted = kinds.value_counts().to_pylist()
    found: Counter[str] = Counter()
    for entry in counted:
        found[entry["values"]] += entry["counts"]
    return found
