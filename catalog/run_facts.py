"""What the release gate looks at: a run's record, manifests and ledger, brought together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.assembly import summed
from phloem.catalog.columns import LICENSE
from phloem.catalog.licenses import NO_REFS, Refs
from phloem.catalog.manifest import Dataset, read_parquet
from phloem.catalog.packs import brought, tables
from phloem.catalog.plain import Json
from phloem.catalog.runs import ViewError, dataset_of
from phloem.catalog.store import Store

Licenses = Mapping[str, Mapping[str, int]]
"""Source -> licence -> kept documents."""


def run_facts(
    store: Store,
    record: Mapping[str, Json],
    datasets: Mapping[str, Dataset],
    licenses: Licenses,
    license_refs: Refs = NO_REFS,
) -> dict[str, Json]:
    """What the gate looks at, from a run's record and manifests, and the licences of its ledger."""
    total: Counter[str] = Counter()
    for counts in licenses.values():
        total.update(counts)
    spec = record["recipe"]["spec"]
    skipped = record.get("skipped", {})
    tokenizer = datasets["tokenizer"].shards
    return {
        "balance": record["balance"],
        "sources": {id_: s for id_, s in record["sources"].items() if id_ not in skipped},
        "licenses": dict(sorted(total.items())),
        "license_refs": license_refs,
        "scrub": dict(spec.get("scrub") or {}),
        "pii_measured": any(op["name"] == "pii" for op in spec["ops"]),
        "tokenizer": tokenizer[0].file("tokenizer.json").sha256 if tokenizer else None,
        "documents": sum(shard.facts["documents"] for shard in datasets["tokenize"].shards),
        "cut": _cut(store, record),
        "composed_by_source": summed(datasets["compose"], "documents"),
        "documents_by_source": summed(datasets["tokenize"], "documents"),
    }


def _cut(store: Store, record: Mapping[str, Json]) -> dict[str, int]:
    """Streams of each source of which an unknown rest could not be read."""
    ingested = dataset_of(store, record, "ingest")
    if ingested is None:
        msg = f"run {record['run_id']} has no manifest of what it ingested; run its recipe again"
        raise ViewError(msg)
    return summed(ingested, "rests")


def kept_licenses(store: Store, decided: Dataset) -> Licenses:
    """Source -> licence -> kept documents, counted in the ledger."""
    found: dict[str, Counter[str]] = {}
    columns = [LICENSE.name, ledger.VERDICT.name]
    with brought(store, [tables(decided.shards, "ledger.parquet")]) as near:
        for shard in decided.shards:
            table = read_parquet(near, shard.path("ledger.parquet"), columns)
            kept = table.filter(pc.equal(table[ledger.VERDICT.name], ledger.KEPT))
            found.setdefault(shard.facts["source"], Counter()).update(licenses_in(kept))
    return sorted_counts(found)


def licenses_in(documents: pa.Table) -> Counter[str]:
    """The licences of a table's rows; one that states none has that of nobody."""
    pairs = documents[LICENSE.name].value_counts().to_pylist()
    return Counter({pair["values"] or "NOASSERTION": pair["counts"] for pair in pairs})


def sorted_counts(found: Mapping[str, Counter[str]]) -> Licenses:
    """Counts by source and licence, in order."""
    return {source: dict(sorted(counts.items())) for source, counts in sorted(found.items())}
