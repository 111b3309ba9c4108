"""A small root with known numbers: what a run leaves, written by the catalog's own writers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import xxhash

from phloem.catalog import ledger
from phloem.catalog.columns import (
    ID,
    INGESTED,
    PII_SPANS,
    TEXT,
    schema,
)
from phloem.catalog.manifest import (
    Dataset,
    File,
    Shard,
    canonical,
    commit,
    key_of,
    write_arrow,
    write_parquet,
)
from phloem.catalog.runs import load_run
from phloem.catalog.store import Store
from phloem.catalog.views import connect
from phloem.reports.run import Run, run_of

Json = Any
RUN_ID = "20260102T030405-test"

EMAIL = re.compile(rb"[a-z.]+@[a-z.]+")
RULES = [
    {"name": "too_short", "column": "word_count", "min": {"default": 5, "th": 2}},
    {"name": "too_symbolic", "column": "symbol_ratio", "max": 0.25},
    {"name": "unsure", "column": "language_score", "min": 0.5},
]

HOSTILE = (
    '<script>alert("x")</script> "><img src=x onerror=alert(1)> {{ 7 * 7 }} \x00 \u202eevil\u202c'
    " </blockquote></section> &amp; ' end, of a document that was kept."
)
HARBOUR = (
    "The harbour master writes every ship into the book, with the hour at which it came, the"
    " flag that it flew, the cargo that it bore and the port from which it sailed."
)


@dataclass(frozen=True)
class Document:
    """A document and what the ledger says of it."""

    source: str
    native_id: str
    text: str
    language: str = "en"
    reason: str | None = None
    failed: tuple[int, ...] = ()
    value: float | None = None
    threshold: float | None = None
    duplicate_of: str | None = None
    similarity: float | None = None
    license: str = "CC0-1.0"
    declared: str | None = None
    detail: str | None = None
    found_in: tuple[str, ...] = ()
    measured_pii: bool = True

    @property
    def id(self) -> str:
        return id_of(self.source, self.native_id)

    @property
    def verdict(self) -> str:
        if self.reason is None:
            return ledger.KEPT
        return ledger.QUARANTINED if self.reason == ledger.FAULT else ledger.DROPPED

    @property
    def spans(self) -> list[Json]:
        found = EMAIL.finditer(self.text.encode())
        return [{"start": m.start(), "end": m.end(), "kind": "email"} for m in found]


def id_of(source: str, native_id: str) -> str:
    return xxhash.xxh3_128_hexdigest(f"{source}/{native_id}".encode())


NEAR = HARBOUR.replace("hour", "minute").replace("cargo", "freight")
OF_HARBOUR = {"reason": ledger.DUPLICATE, "duplicate_of": id_of("books", "harbour")}
SHORT = {"reason": "too_short", "value": 2, "threshold": 5}
DOCUMENTS = (
    Document("books", "harbour", HARBOUR, found_in=("letters",)),
    Document("books", "hostile", HOSTILE),
    Document("books", "stub", "Too short.", failed=(0,), **SHORT),
    Document("books", "noise", "#### $$$$", failed=(0, 1), **SHORT),
    Document(
        "books",
        "fault",
        "An op failed here.",
        reason=ledger.FAULT,
        detail="pii: too long",
        measured_pii=False,
    ),
    Document("letters", "mail", "Please write to ana.b@example.org before the month of May ends."),
    Document("letters", "copy", NEAR, similarity=0.8125, **OF_HARBOUR),
    Document("letters", "same", HARBOUR, similarity=1.0, **OF_HARBOUR),
    Document("letters", "ar", "كتب رئيس الميناء اسم كل سفينة في الدفتر مع ساعة وصولها.", "ar"),
    Document("letters", "hi", "बंदरगाह का प्रमुख हर जहाज़ को पुस्तक में लिखता है।", "hi"),
    Document("letters", "th", "นายท่าเรือเขียนชื่อเรือทุกลำลงในสมุด", "th"),
    Document("letters", "zh", "港务长把每艘船都写进簿子里。", "zh-Hans", declared="ja"),
    Document(
        "letters",
        "unsure",
        "ok ok 😀 ??? bob@example.org ok",
        language="fr",
        reason="unsure",
        failed=(2,),
        value=0.31,
        threshold=0.5,
    ),
    Document("letters", "nc", "No trade in it.", license="CC-BY-NC-4.0", reason="license"),
)
LOST = (("letters", "000-of-001", "part-2.jsonl.gz", None, 4096, "truncated gzip", 2),)


@dataclass(frozen=True)
class Root:
    """A root, its run, and a connection with the views that the sections read."""

    store: Store
    run: Run
    connection: duckdb.DuckDBPyConnection


Build = Callable[..., Root]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Write a root of these documents, for the test alone, and open it."""

    def make(
        documents: Sequence[Document] = DOCUMENTS,
        lost: Sequence[tuple[Any, ...]] = LOST,
        *,
        without: Sequence[str] = (),
        **record: Any,
    ) -> Root:
        return open_root(tmp_path / "root", documents, lost, without=without, changes=record)

    return make


def open_root(
    folder: Path,
    documents: Sequence[Document],
    lost: Sequence[tuple[Any, ...]],
    *,
    without: Sequence[str],
    changes: Json,
) -> Root:
    """Write a root and open its run."""
    store = Store(folder)
    write_root(store, documents, lost, without=without, changes=changes)
    return Root(store, run_of(load_run(store, RUN_ID), store.root), connect(store, RUN_ID))


@pytest.fixture(scope="session")
def known() -> Any:
    """This module's documents and makers of them, for tests that want others."""
    return SimpleNamespace(
        Document=Document,
        DOCUMENTS=DOCUMENTS,
        HARBOUR=HARBOUR,
        HOSTILE=HOSTILE,
        RUN_ID=RUN_ID,
        card_of=card_of,
    )


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """The root of `DOCUMENTS`, which tests only read."""
    folder = tmp_path_factory.mktemp("reports")
    return open_root(folder, DOCUMENTS, LOST, without=(), changes={})


def write_root(
    store: Store,
    documents: Sequence[Document],
    lost: Sequence[tuple[Any, ...]],
    *,
    without: Sequence[str],
    changes: Json,
) -> None:
    """Write every shard, the manifests of the stages that ran, and the run record."""
    shards: dict[str, list[Shard]] = {}
    for source in sorted({d.source for d in documents}):
        own = [d for d in documents if d.source == source]
        for shard in write_source(store, source, own, [row for row in lost if row[0] == source]):
            shards.setdefault(shard.stage, []).append(shard)
    datasets = {
        stage: Dataset(stage, {}, tuple(own)).save(store).name
        for stage, own in shards.items()
        if stage not in without
    }
    record = record_of(documents, lost, datasets) | changes
    store.write_bytes(f"runs/{RUN_ID}.json", canonical(record))


def write_source(
    store: Store, source: str, own: Sequence[Document], lost: Sequence[tuple[Any, ...]]
) -> list[Shard]:
    """One shard of each stage."""

    def put(stage: str, files: Callable[[str], Sequence[File]], **facts: Json) -> Shard:
        key = key_of(stage, source, [])
        shard = Shard(stage, key, tuple(files(f"{stage}/{key}")), {"source": source, **facts})
        return commit(store, shard)

    def parquet(folder: str, name: str, table: pa.Table) -> list[File]:
        return [write_parquet(store, folder, name, table)]

    def arrow(folder: str, name: str, rows: list[Json], columns: Any) -> File:
        batch = pa.RecordBatch.from_pylist(rows, schema=schema(columns))
        return write_arrow(store, folder, name, schema(columns), iter([batch]))

    rows = [
        {"id": d.id, "source": source, "declared_language": d.declared, "text": d.text} for d in own
    ]
    names = [column.name for column in ledger.QUARANTINE]
    quarantine = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in lost], schema=schema(ledger.QUARANTINE)
    )
    ingest = put(
        "ingest",
        lambda folder: [
            arrow(folder, "text-00000.arrow", rows, INGESTED),
            write_parquet(store, folder, "quarantine.parquet", quarantine),
        ],
        documents=len(own),
    )
    text = ingest.file("text-00000.arrow").sha256
    hashes = pa.table({"id": [d.id for d in own], "clean_fault": pa.nulls(len(own), pa.string())})
    clean = put(
        "clean",
        lambda folder: [
            arrow(folder, "text.arrow", rows, (ID, TEXT)),
            write_parquet(store, folder, "hashes.parquet", measured(hashes, own)),
        ],
        text=text,
    )
    spans = pa.table([[d.spans if d.measured_pii else None for d in own]], schema([PII_SPANS]))
    measure = put("measure", lambda f: parquet(f, "pii.parquet", spans), text=text, op="pii")
    table = pa.Table.from_pylist(
        [ledger_row(d, text, place) for place, d in enumerate(own)], schema(ledger.LEDGER)
    )
    decide = put("decide", lambda f: parquet(f, "ledger.parquet", table), text=text)
    kept = [d for d in own if d.verdict == ledger.KEPT]
    scrubbed = dict(Counter(span["kind"] for d in kept for span in d.spans))
    compose = put("compose", lambda _: [], documents=len(kept), scrubbed=scrubbed)
    index = pa.table({"id": [d.id for d in kept], "token_count": [tokens_of(d) for d in kept]})
    tokenize = put(
        "tokenize",
        lambda f: parquet(f, "index.parquet", index),
        documents=len(kept),
        tokens=sum(tokens_of(d) for d in kept),
    )
    return [ingest, clean, measure, decide, compose, tokenize]


def measured(table: pa.Table, own: Sequence[Document]) -> pa.Table:
    """The table with hash and size of each cleaned text."""
    data = [d.text.encode() for d in own]
    table = table.append_column("text_hash", pa.array(map(xxhash.xxh3_128_hexdigest, data)))
    return table.append_column("text_bytes", pa.array([len(each) for each in data], pa.int64()))


def tokens_of(document: Document) -> int:
    """As if every two bytes were a token."""
    return len(document.text.encode()) // 2


def ledger_row(document: Document, text: str, place: int) -> Json:
    rule = next((rule for rule in RULES if rule["name"] == document.reason), None)
    data = document.text.encode()
    return {
        "id": document.id,
        "part": 0,
        "source": document.source,
        "text_file": text,
        "row": place,
        "text_hash": xxhash.xxh3_128_hexdigest(data),
        "text_bytes": len(data),
        "language": document.language,
        "license": document.license,
        "verdict": document.verdict,
        "reason": document.reason,
        "detail": document.detail,
        "measured": rule["column"] if rule else None,
        "value": document.value,
        "threshold": document.threshold,
        "failed_rules": sum(1 << bit for bit in document.failed),
        "duplicate_of": document.duplicate_of,
        "similarity": document.similarity,
        "found_in": list(document.found_in) or None,
    }


def record_of(
    documents: Sequence[Document], lost: Sequence[tuple[Any, ...]], datasets: Json
) -> Json:
    """The record of a run that went well."""
    sources = sorted({d.source for d in documents})
    balance = {}
    for source in sources:
        verdicts = Counter(d.verdict for d in documents if d.source == source)
        records = sum(row[-1] for row in lost if row[0] == source)
        balance[source] = {
            "read": verdicts.total() + records,
            "kept": verdicts[ledger.KEPT],
            "dropped": verdicts[ledger.DROPPED],
            "quarantined": verdicts[ledger.QUARANTINED] + records,
        }
    spec = {
        "summary": "A test of everything.",
        "policy": "quickstart",
        "dedup": {"bands": 14, "rows": 8, "jaccard": 0.7},
        "scrub": {"email": "<EMAIL>"},
        "tokenizer": {"train": {"vocab_size": 8000}},
    }
    return {
        "run_id": RUN_ID,
        "recipe": {"name": "test", "digest": "ab" * 32, "spec": spec},
        "started": "2026-01-02T03:04:05Z",
        "finished": "2026-01-02T03:05:05Z",
        "host": "somewhere",
        "runner": "local",
        "workers": 2,
        "status": "done",
        "error": None,
        "stages": [
            {"stage": "ingest", "tasks": 2, "cached": 0, "seconds": 2.0, "cpu_seconds": 4.0,
             "documents": len(documents), "bytes": 8_000_000},
            {"stage": "decide", "tasks": 2, "cached": 2, "seconds": 0.1, "cpu_seconds": 0.1,
             "documents": len(documents), "bytes": 1000},
        ],
        "datasets": datasets,
        "sources": {source: card_of(source) for source in sources},
        "rules": RULES,
        "balance": balance,
        "release": "test-2026",
        "skipped": {"absent": "apt-get is not on this machine"},
    }  # fmt: skip


def card_of(source: str) -> Json:
    return {
        "name": f"The {source} <b>",
        "summary": "Kept in a harbour.",
        "kind": "prose",
        "languages": ["en", "ar", "hi", "th", "zh"],
        "license": "CC0-1.0",
        "attribution": "The harbour master",
        "homepage": "javascript:alert(1)" if source == "books" else f"https://example.org/{source}",
        "custodian": "The port",
        "status": "active",
        "evidence": "read",
        "card": "cd" * 32,
        "version": "1.0",
        "files": [{"name": "a.gz", "sha256": "ef" * 32, "bytes": 1_500_000}],
        "approval": None,
    }
