"""A small root, handmade to the letter of what a run writes: two sources, a shard each.

`build_root(folder)` makes it through the catalog's own writers, so no other package is needed.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from phloem.catalog import ledger
from phloem.catalog.columns import (
    ID,
    INGESTED,
    LANGUAGE,
    LANGUAGE_SCORE,
    LICENSE,
    MINHASH,
    PII_SPANS,
    SOURCE,
    TEXT,
    WORD_COUNT,
    schema,
)
from phloem.catalog.handoff.tokenizer import (
    END_OF_DOCUMENT,
    End,
    facts_of,
    library_encoder,
    train_tokenizer,
)
from phloem.catalog.handoff.tokens import tokenize_shard
from phloem.catalog.manifest import (
    Dataset,
    File,
    Shard,
    canonical,
    commit,
    digest_of,
    key_of,
    write_arrow,
    write_parquet,
)
from phloem.catalog.store import Store

Json = Any

EMAIL = "ana@example.org"
END = End(END_OF_DOCUMENT, 0)

FABLES = [  # native id, title, text, language, score, document's licence, PII
    (
        "1",
        "Fox and grapes",
        "The fox saw ripe grapes hanging high on the vine and wanted them.",
        "en",
        0.97,
    ),
    ("2", "Stub", "Too short.", "en", 0.91),
    (
        "3",
        "Broken",
        "A document that an op could not work on, so it waits in quarantine.",
        "en",
        0.9,
    ),
    (
        "4",
        "الثعلب والعنب",
        "رأى الثعلب عناقيد العنب الناضجة معلقة عاليا على الكرمة فاشتهاها.",
        "ar",
        0.99,
    ),
    ("5", "หมาจิ้งจอกกับองุ่น", "หมาจิ้งจอกเห็นพวงองุ่นสุกห้อยอยู่สูงบนเถาจึงอยากกิน", "th", 0.98),
    ("6", None, "", "und", 0.0),
]
MANUAL = [
    (
        "intro",
        "Contact",
        f"Write to {EMAIL} if a page of this manual is wrong or hard to read.",
        "en",
        0.95,
    ),
    (
        "fox",
        "A fable",
        "The fox saw ripe grapes hanging high on the vine and wanted them!",
        "en",
        0.97,
    ),
    ("hi", "लोमड़ी और अंगूर", "लोमड़ी ने बेल पर ऊँचे लटके पके अंगूर देखे और उन्हें खाना चाहा।", "hi", 0.99),
    (
        "mix",
        "Mixed",
        "lorem ipsum bricolage 混ぜ words that no model is sure about 😀 really",
        "fr",
        0.31,
    ),
    ("zh", "狐狸与葡萄", "狐狸看见熟透的葡萄高高挂在藤上,想要吃到它们。", "zh", 0.96),
    (
        "nc",
        "Not free",
        "A page of the manual whose own licence forbids any commercial use.",
        "en",
        0.96,
    ),
]
LICENSES = {("manual", "nc"): "CC-BY-NC-4.0"}
RULES = [
    {
        "name": "too_short",
        "column": "word_count",
        "min": {"default": 5, "th": 1, "zh": 1},
        "max": None,
        "among": None,
    },
    {"name": "language_unsure", "column": "language_score", "min": 0.5, "max": None, "among": None},
]
DUPLICATE = (("manual", "fox"), ("fables", "1"), 0.9231)
FAULTY = {("fables", "3"): "text longer than the op can hold"}
OPS = ("language", "statistics", "minhash", "pii")
POLICY = "quickstart"


@dataclass(frozen=True)
class Root:
    """What was built; `ids` are the document ids by (source, native id)."""

    store: Store
    run_id: str
    record: Json
    ids: dict[tuple[str, str], str]


def document_id(source: str, native_id: str) -> str:
    """As ingest makes it."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{native_id}".encode())


def build_root(folder: Any, *, filler: int = 0, run_id: str = "20260102T030405-smoke") -> Root:
    """Build a root under a path or URL.

    Args:
        folder: Path or fsspec URL, such as ``memory://root``.
        filler: Further short kept English documents in the source `fables`.
        run_id: Of the one run.
    """
    store = Store(folder)
    rows = {"fables": FABLES + _filler(filler), "manual": MANUAL}
    shards: dict[str, list[Shard]] = {
        stage: [] for stage in ("ingest", "clean", "measure", "decide", "compose", "tokenize")
    }
    for source, documents in rows.items():
        ingested = _ingest(store, source, documents)
        shards["ingest"].append(ingested)
        name = ingested.file("text-00000.arrow").sha256
        shards["clean"].append(_clean(store, source, name, documents))
        shards["measure"] += _measure(store, source, name, documents)
        shards["decide"].append(_decide(store, source, name, documents))
        shards["compose"].append(_compose(store, source, name, documents))
    tokenizer = _tokenizer(store, rows)
    shards["tokenize"] = [_tokenize(store, tokenizer, shard) for shard in shards["compose"]]
    shards["tokenizer"] = [tokenizer]
    shards["dedup"] = [_elect(store, rows)]
    shards["candidates"] = [
        _commit_bytes(store, "candidates", "components.json", canonical([[0, 1]]))
    ]
    datasets = {
        stage: Dataset(stage, {"recipe": "smoke"}, tuple(found)).save(store).name
        for stage, found in shards.items()
    }
    record = _record(store, run_id, rows, shards, datasets)
    store.write_bytes(f"runs/{run_id}.json", canonical(record))
    ids = {(s, d[0]): document_id(s, d[0]) for s, documents in rows.items() for d in documents}
    return Root(store, run_id, record, ids)


def _filler(count: int) -> list[Any]:
    return [
        (f"x{n}", None, f"Number {n} is one more than the number {n - 1} before it.", "en", 0.9)
        for n in range(count)
    ]


def _pii(text: str) -> list[Json]:
    start = text.encode().find(EMAIL.encode())
    return [] if start < 0 else [{"start": start, "end": start + len(EMAIL), "kind": "email"}]


def _license(source: str, native_id: str) -> str | None:
    return LICENSES.get((source, native_id))


def _commit(store: Store, stage: str, key: str, files: tuple[File, ...], facts: Json) -> Shard:
    return commit(store, Shard(stage, key, files, facts))


def _commit_bytes(
    store: Store, stage: str, name: str, data: bytes, facts: Json = MappingProxyType({})
) -> Shard:
    key = key_of(stage, name, [hashlib.sha256(data).hexdigest()])
    sha256 = store.write_bytes(f"{stage}/{key}/{name}", data)
    return _commit(store, stage, key, (File(name, sha256, len(data)),), dict(facts))


def _ingest(store: Store, source: str, documents: list[Any]) -> Shard:
    key = key_of("ingest", source, [])
    rows = [
        {
            "id": document_id(source, native_id),
            "source": source,
            "native_id": native_id,
            "media_type": "text/plain",
            "url": f"https://example.org/{source}/{native_id}",
            "title": title,
            "published": "1912",
            "author": "Aesop",
            "license": _license(source, native_id),
            "declared_language": None,
            "text": text,
        }
        for native_id, title, text, *_ in documents
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=schema(INGESTED))
    text = write_arrow(store, f"ingest/{key}", "text-00000.arrow", schema(INGESTED), iter([batch]))
    lost = []
    if source == "manual":
        values = ("manual", "000-of-001", "a.jsonl", "bad", 1024, "not UTF-8", 1)
        lost = [dict(zip((c.name for c in ledger.QUARANTINE), values, strict=True))]
    table = pa.Table.from_pylist(lost, schema=schema(ledger.QUARANTINE))
    quarantine = write_parquet(store, f"ingest/{key}", "quarantine.parquet", table)
    facts = {
        "source": source,
        "split": "000-of-001",
        "read": len(documents) + len(lost),
        "documents": len(documents),
        "quarantined": len(lost),
        "bytes": sum(len(d[2].encode()) for d in documents),
        "rests": 0,
        "content_bytes": sum(len(d[2].encode()) for d in documents),
    }
    return _commit(store, "ingest", key, (text, quarantine), facts)


def _clean(store: Store, source: str, name: str, documents: list[Any]) -> Shard:
    key = key_of("clean", source, [])
    ids = [document_id(source, d[0]) for d in documents]
    texts = [d[2] for d in documents]
    batch = pa.RecordBatch.from_arrays([ids, texts], schema=schema((ID, TEXT)))
    text = write_arrow(store, f"clean/{key}", "text.arrow", schema((ID, TEXT)), iter([batch]))
    table = pa.table(
        {
            "id": ids,
            "text_hash": [_hash(t) for t in texts],
            "text_bytes": pa.array([len(t.encode()) for t in texts], pa.int64()),
            "clean_fault": pa.nulls(len(ids), pa.string()),
        }
    )
    hashes = write_parquet(store, f"clean/{key}", "hashes.parquet", table)
    facts = {"source": source, "text": name, "documents": len(ids)}
    return _commit(store, "clean", key, (text, hashes), facts)


def _hash(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode())


def _words(text: str, language: str) -> int:
    return len(text) if language in ("th", "zh") else len(text.split())


def _measure(store: Store, source: str, name: str, documents: list[Any]) -> list[Shard]:
    columns = {
        "language": pa.table(
            [[d[3] for d in documents], [d[4] for d in documents]],
            schema=schema((LANGUAGE, LANGUAGE_SCORE)),
        ),
        "statistics": pa.table(
            [[_words(d[2], d[3]) for d in documents]], schema=schema((WORD_COUNT,))
        ),
        "minhash": pa.table(
            [
                [
                    struct.pack("<4I", *(len(d[2]) * n for n in range(4))) if d[2] else None
                    for d in documents
                ]
            ],
            schema=schema((MINHASH,)),
        ),
        "pii": pa.table([[_pii(d[2]) for d in documents]], schema=schema((PII_SPANS,))),
    }
    shards = []
    for op in OPS:
        key = key_of("measure", [source, op], [])
        broken = op == "statistics"
        faults = [FAULTY.get((source, d[0])) if broken else None for d in documents]
        table = columns[op].append_column(f"{op}_fault", pa.array(faults, pa.string()))
        file = write_parquet(store, f"measure/{key}", f"{op}.parquet", table)
        facts = {"source": source, "text": name, "op": op, "documents": len(documents)}
        facts["faults"] = sum(fault is not None for fault in faults)
        shards.append(_commit(store, "measure", key, (file,), facts))
    return shards


def verdict_of(source: str, document: Any) -> Json:
    """What the rules, the licence and the election say of a document: ledger columns."""
    native_id, _, text, language, score = document
    (loser, winner, similarity) = DUPLICATE
    words, bound = _words(text, language), 1 if language in ("th", "zh") else 5
    failed = int(words < bound) | int(score < 0.5) << 1
    row: Json = {"verdict": ledger.KEPT, "failed_rules": failed}
    if (source, native_id) in FAULTY:
        detail = f"statistics: {FAULTY[source, native_id]}"
        row |= {"verdict": ledger.QUARANTINED, "reason": ledger.FAULT, "detail": detail}
    elif _license(source, native_id):
        row |= {"verdict": ledger.DROPPED, "reason": ledger.REFUSED_LICENSE}
    elif failed & 1:
        row |= {"verdict": ledger.DROPPED, "reason": "too_short", "measured": "word_count"}
        row |= {"value": float(words), "threshold": float(bound)}
    elif failed & 2:
        row |= {"verdict": ledger.DROPPED, "reason": "language_unsure"}
        row |= {"measured": "language_score", "value": score, "threshold": 0.5}
    elif (source, native_id) == loser:
        row |= {"verdict": ledger.DROPPED, "reason": ledger.DUPLICATE}
        row |= {"duplicate_of": document_id(*winner), "similarity": similarity}
    if (source, native_id) == winner:
        row["found_in"] = [loser[0]]
    return row


CARD_LICENSES = {"fables": "CC0-1.0", "manual": "GPL-3.0-or-later OR CC-BY-SA-4.0"}


def _decide(store: Store, source: str, name: str, documents: list[Any]) -> Shard:
    key = key_of("decide", source, [])
    rows = [
        {
            "id": document_id(source, d[0]),
            "part": 0,
            "source": source,
            "text_file": name,
            "row": place,
            "text_hash": _hash(d[2]),
            "text_bytes": len(d[2].encode()),
            "language": d[3],
            "license": _license(source, d[0]) or CARD_LICENSES[source],
            **verdict_of(source, d),
        }
        for place, d in enumerate(documents)
    ]
    table = pa.Table.from_pylist(rows, schema=schema(ledger.LEDGER))
    file = write_parquet(store, f"decide/{key}", "ledger.parquet", table)
    kept_rows = [row["row"] for row in rows if row["verdict"] == ledger.KEPT]
    kept = pa.table({"row": pa.array(kept_rows, pa.int64())})
    kept_file = write_parquet(store, f"decide/{key}", "kept.parquet", kept)
    facts = {"source": source, "text": name, "documents": len(rows)} | _counts(rows)
    return _commit(store, "decide", key, (file, kept_file), facts)


def _counts(rows: list[Json]) -> Json:
    reasons = sorted(row["reason"] for row in rows if row.get("reason"))
    verdicts = [row["verdict"] for row in rows]
    return {
        "kept": verdicts.count(ledger.KEPT),
        "dropped": verdicts.count(ledger.DROPPED),
        "quarantined": verdicts.count(ledger.QUARANTINED),
        "reasons": {reason: reasons.count(reason) for reason in reasons},
    }


def _compose(store: Store, source: str, name: str, documents: list[Any]) -> Shard:
    key = key_of("compose", source, [])
    kept = [d for d in documents if verdict_of(source, d)["verdict"] == ledger.KEPT]
    columns = (ID, SOURCE, LANGUAGE, LICENSE, TEXT)
    rows = [
        {
            "id": document_id(source, d[0]),
            "source": source,
            "language": d[3],
            "license": CARD_LICENSES[source],
            "text": d[2].replace(EMAIL, "<EMAIL>"),
        }
        for d in kept
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=schema(columns))
    file = write_arrow(store, f"compose/{key}", "text.arrow", schema(columns), iter([batch]))
    scrubbed = sum(len(_pii(d[2])) for d in kept)
    facts = {
        "source": source,
        "text": name,
        "documents": len(rows),
        "bytes": sum(len(row["text"].encode()) for row in rows),
        "scrubbed": {"email": scrubbed} if scrubbed else {},
    }
    return _commit(store, "compose", key, (file,), facts)


def _elect(store: Store, rows: dict[str, list[Any]]) -> Shard:
    places = [(source, d[0]) for source, documents in rows.items() for d in documents]
    (loser, winner, similarity) = DUPLICATE
    table = pa.table(
        {
            "row": pa.array([places.index(loser)], pa.int64()),
            "duplicate_of_row": pa.array([places.index(winner)], pa.int64()),
            "similarity": [similarity],
            "source": [loser[0]],
            "duplicate_of": [document_id(*winner)],
        }
    )
    key = key_of("dedup", "smoke", [])
    file = write_parquet(store, f"dedup/{key}", "duplicates.parquet", table)
    return _commit(store, "dedup", key, (file,), {"duplicates": 1})


def _tokenizer(store: Store, rows: dict[str, list[Any]]) -> Shard:
    texts = (document[2] for documents in rows.values() for document in documents[:6])
    data = train_tokenizer(texts, vocab_size=400, special_tokens=["<EMAIL>"])
    return _commit_bytes(store, "tokenizer", "tokenizer.json", data, facts_of(END))


def _tokenize(store: Store, tokenizer: Shard, composed: Shard) -> Shard:
    source = composed.facts["source"]
    key = key_of("tokenize", source, [tokenizer.digest])
    reader = pa.ipc.open_file(store.open(composed.path("text.arrow")))
    batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    path = store.local_path(tokenizer.path("tokenizer.json"))
    files, facts = tokenize_shard(store, f"tokenize/{key}", batches, library_encoder(path, END))
    return _commit(store, "tokenize", key, tuple(files), {"source": source, **facts})


def _card(source: str, name: str, languages: list[str], attribution: str) -> Json:
    pinned = hashlib.sha256(source.encode()).hexdigest()
    return {
        "name": name,
        "summary": f"{name}, as handed down.",
        "kind": "prose",
        "languages": languages,
        "license": CARD_LICENSES[source],
        "attribution": attribution,
        "homepage": f"https://example.org/{source}",
        "custodian": "The example library",
        "status": "active",
        "evidence": "read",
        "card": digest_of(source),
        "version": "2026-01-01",
        "files": [{"name": f"{source}.jsonl.gz", "sha256": pinned, "bytes": 1234}],
        "approval": None,
    }


def _record(
    store: Store,
    run_id: str,
    rows: dict[str, list[Any]],
    shards: dict[str, list[Shard]],
    datasets: dict[str, str],
) -> Json:
    spec = {
        "name": "smoke",
        "summary": "Two small sources, for tests.",
        "policy": POLICY,
        "sources": ["fables", "manual"],
        "ops": [{"name": op, "params": {}} for op in OPS],
        "keep": RULES,
        "dedup": {"bands": 14, "rows": 8, "jaccard": 0.7},
        "scrub": {"email": "<EMAIL>", "ip": "<IP>", "phone": "<PHONE>"},
        "tokenizer": {"train": {"vocab_size": 400, "sample_bytes": 1_000_000}},
        "mix": {"fables": 2.0, "manual": 1.0},
    }
    ingested = {shard.facts["source"]: shard.facts for shard in shards["ingest"]}
    decided = {shard.facts["source"]: shard.facts for shard in shards["decide"]}
    stages = ("ingest", "measure", "candidates", "decide", "compose", "tokenizer", "tokenize")
    return {
        "run_id": run_id,
        "recipe": {"name": "smoke", "digest": digest_of(spec), "spec": spec},
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:04:35+00:00",
        "host": "test",
        "runner": "local",
        "workers": 2,
        "status": "done",
        "error": None,
        "stages": [
            {
                "stage": stage,
                "tasks": len(shards[stage]),
                "cached": 0,
                "seconds": 1.5,
                "cpu_seconds": 2.5,
                "documents": sum(len(documents) for documents in rows.values()),
                "bytes": sum(shard.bytes for shard in shards[stage]),
            }
            for stage in stages
        ],
        "datasets": datasets,
        "sources": {
            "fables": _card("fables", "Fables", ["en", "ar", "th"], "Fables of Aesop"),
            "manual": _card("manual", "The manual", ["en", "hi", "zh"], "The manual's authors"),
        },
        "rules": RULES,
        "balance": {
            source: {
                "read": facts["read"],
                "kept": decided[source]["kept"],
                "dropped": decided[source]["dropped"],
                "quarantined": facts["quarantined"] + decided[source]["quarantined"],
            }
            for source, facts in ingested.items()
        },
        "release": None,
        "skipped": {"absent": "its file could not be fetched"},
    }


def kept_languages(root: Root) -> list[str]:
    """The languages of the kept documents, in order, once a document."""
    found: list[str] = []
    for shard in Dataset.load(root.store, root.record["datasets"]["decide"]).shards:
        table = pa.parquet.read_table(root.store.open(shard.path("ledger.parquet")))
        kept = table.filter(pc.equal(table["verdict"], ledger.KEPT))
        found += kept["language"].to_pylist()
    return found
