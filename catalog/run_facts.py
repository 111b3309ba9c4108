"""What the release gate looks at: a run's record, manifests and ledger, brought together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.columns import LICENSE
from phloem.catalog.licenses import NO_REFS, Refs
from phloem.catalog.manifest import Dataset, read_parquet
from phloem.catalog.packs import brought, tables
from phloem.catalog.plain import Json
from phloem.catalog.runs import ViewError, dataset_of
from phloem.catalog.store import Store


def run_facts(
    store: Store,
    record: Mapping[str, Json],
    datasets: Mapping[str, Dataset],
    license_refs: Refs = NO_REFS,
) -> dict[str, Json]:
    """What the gate looks at, from a run's record, manifests and ledger."""
    by_source = _licenses(store, datasets["decide"])
    total: Counter[str] = Counter()
    for counts in by_source.values():
        total.update(counts)
    spec = record["recipe"]["spec"]
    skipped = record.get("skipped", {})
    tokenizer = datasets["tokenizer"].shards
    return {
        "balance": record["balance"],
        "sources": {id_: s for id_, s in record["sources"].items() if id_ not in skipped},
        "licenses": dict(sorted(total.items())),
        "licenses_by_source": by_source,
        "license_refs": license_refs,
        "scrub": dict(spec.get("scrub") or {}),
        "pii_measured": any(op["name"] == "pii" for op in spec["ops"]),
        "tokenizer": tokenizer[0].file("tokenizer.json").sha256 if tokenizer else None,
        "documents": sum(shard.facts["documents"] for shard in datasets["tokenize"].shards),
        "cut": _cut(store, record),
        "composed_by_source": _sum(datasets["compose"], "documents"),
        "documents_by_source": _sum(datasets["tokenize"], "documents"),
        "tokens_by_source": _sum(datasets["tokenize"], "tokens"),
    }


def _cut(store: Store, record: Mapping[str, Json]) -> dict[str, int]:
    """Streams of each source of which an unknown rest could not be read."""
    ingested = dataset_of(store, record, "ingest")
    if ingested is None:
        msg = f"run {record['run_id']} has no manifest of what it ingested; run its recipe again"
        raise ViewError(msg)
    return _sum(ingested, "rests")


def _sum(dataset: Dataset, fact: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for shard in dataset.shards:
        total[shard.facts["source"]] += shard.facts[fact]
    return dict(sorted(total.items()))


def _licenses(store: Store, decided: Dataset) -> dict[str, dict[str, int]]:
    """Source -> licence -> kept documents, counted in the ledger."""
    found: dict[str, Counter[str]] = {}
    columns = [LICENSE.name, ledger.VERDICT.name]
    with brought(store, [tables(decided.shards, "ledger.parquet")]) as near:
        for shard in decided.shards:
            table = read_parquet(near, shard.path("ledger.parquet"), columns)
            kept = table.filter(pc.equal(table[ledger.VERDICT.name], ledger.KEPT))
            counts = found.setdefault(shard.facts["source"], Counter())
            for pair in kept[LICENSE.name].value_counts().to_pylist():
                counts[pair["values"] or "NOASSERTION"] += pair["counts"]
    return {source: dict(sorted(counts.items())) for source, counts in sorted(found.items())}
