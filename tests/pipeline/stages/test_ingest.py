"""Ingest on plain functions: what a connector yields becomes documents or quarantine rows."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from unguarded import unguard

from phloem.catalog.manifest import Shard, read_arrow, read_parquet
from phloem.catalog.store import Store
from phloem.pipeline import extraction
from phloem.pipeline.stage import StageError
from phloem.pipeline.stages import ingest
from phloem.sources.connector import Fault, Split, Strict, met_in
from phloem.sources.limits import Limits

DEFAULT = Limits()


class NoParams(Strict):
    """A connector that takes nothing."""


def _batch(rows: list[tuple[str, bytes, str]]) -> pa.RecordBatch:
    names, contents, types = zip(*rows, strict=True)
    return pa.RecordBatch.from_pydict(
        {"native_id": names, "content": pa.array(contents, pa.binary()), "media_type": types}
    )


def _ingest(
    records: list[pa.RecordBatch | Fault],
    monkeypatch: pytest.MonkeyPatch,
    limits: Limits = DEFAULT,
    licensed_since: str | None = None,
) -> tuple[Store, Shard]:
    def read(
        params: Any, split: Split, files: Any, given: Limits
    ) -> Iterator[pa.RecordBatch | Fault]:
        assert (params, split.name, dict(files), given) == (NoParams(), "only", {}, limits)
        yield from records

    fake = SimpleNamespace(Params=NoParams, read=read)
    monkeypatch.setattr(extraction, "find_connector", lambda _: fake)
    unguard(monkeypatch)
    store = Store("memory://" + str(id(records)))
    work = ingest.IngestWork(
        source="s", connector="fake", params={}, split=Split("only", {}), files={},
        place=("", ()), limits=limits, licensed_since=licensed_since,
    )  # fmt: skip
    (shard,) = ingest.run(store, "k", work)
    return store, shard


def _texts(store: Store, shard: Shard) -> list[dict[str, Any]]:
    return [
        row
        for file in shard.files
        if file.name.startswith("text-")
        for row in read_arrow(store, shard.path(file.name)).read_all().to_pylist()
    ]


def test_run_keeps_order_and_text_of_many_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["Hello", "مرحبا", "नमस्ते", "สวัสดี", "你好", "👋🏽", ""]
    rows = [(f"d{n}", text.encode(), "text/plain") for n, text in enumerate(texts)]
    rows[2] = ("d2", f"<p>{texts[2]}</p>".encode(), "text/html")
    store, shard = _ingest([_batch(rows)], monkeypatch)
    found = _texts(store, shard)
    assert [row["text"].strip() for row in found] == texts
    assert [row["id"] for row in found] == [ingest.document_id("s", f"d{n}") for n in range(7)]
    assert shard.facts["read"] == shard.facts["documents"] == 7


def test_run_puts_what_is_older_than_a_licence_under_none(monkeypatch: pytest.MonkeyPatch) -> None:
    days = ["2011-06-27", "2011-06-26", "2011-07-01T08:00:00Z", "2011-06", "2012", None]
    batch = _batch([(f"d{n}", b"text", "text/plain") for n in range(len(days))])
    batch = batch.append_column("published", pa.array(days, pa.string()))
    batch = batch.append_column("license", pa.array([None] * 5 + ["MIT"], pa.string()))
    none = "LicenseRef-unknown"
    store, shard = _ingest([batch], monkeypatch, licensed_since="2011-06-27")
    found = [row["license"] for row in _texts(store, shard)]
    assert found == [None, none, None, none, None, none]
    store, shard = _ingest([batch], monkeypatch)
    assert [row["license"] for row in _texts(store, shard)] == [None] * 5 + ["MIT"]


def test_run_quarantines_what_gives_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    good = ("a", b"fine", "text/plain")
    broken = ("b", b"caf\xe9 broken", "text/plain")
    strange = ("c", b"\x89PNG", "image/png")
    rest = Fault(None, 4711, "truncated gzip", rest=True)
    store, shard = _ingest([_batch([good, broken, strange]), rest], monkeypatch)
    rows = read_parquet(store, shard.path("quarantine.parquet")).to_pylist()
    assert [(row["native_id"], row["offset"]) for row in rows] == [
        ("b", -1), ("c", -1), (None, 4711),
    ]  # fmt: skip
    assert "UTF-8" in rows[0]["reason"]
    assert "image/png" in rows[1]["reason"]
    assert rows[2]["reason"] == "truncated gzip"
    assert shard.facts | {"content_bytes": 0} == {
        "source": "s", "split": "only", "read": 4, "documents": 1, "quarantined": 3, "rests": 1,
        "content_bytes": 0,
    }  # fmt: skip


LONG = {
    "Han": "人人生而自由，在尊严和权利上一律平等。",
    "Arabic": "يولد جميع الناس أحرارا",
    "emoji": "👩🏽‍🚀🌍",
    "HTML": "<p>सभी मनुष्यों &amp; ทุกคน</p>",
}


@pytest.mark.parametrize("script", LONG)
def test_run_quarantines_a_document_over_the_limit_counted_in_bytes(
    monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    media_type = "text/html" if script == "HTML" else "text/plain"
    rows = [(name, (LONG[script] * n).encode(), media_type) for name, n in (("a", 1), ("b", 9))]
    rows.insert(1, ("broken", b"\xff\xfe\x00", media_type))
    store, shard = _ingest([_batch(rows)], monkeypatch)
    sizes = {row["native_id"]: len(row["text"].encode()) for row in _texts(store, shard)}
    assert sizes["a"] < sizes["b"]
    bound = sizes["b"] - 1
    store, shard = _ingest([_batch(rows)], monkeypatch, Limits(document_bytes=bound))
    assert [row["native_id"] for row in _texts(store, shard) if row["native_id"] != "broken"] == [
        "a"
    ]
    faults = read_parquet(store, shard.path("quarantine.parquet")).to_pylist()
    assert {row["native_id"]: row["reason"] for row in faults if row["native_id"] != "broken"} == {
        "b": f"document larger than {bound} bytes (limits.document_bytes)"
    }
    assert shard.facts["read"] == shard.facts["documents"] + shard.facts["quarantined"] == 3


def test_run_batch_of_nothing_but_faults_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [_batch([(name, b"caf\xe9 \xff", "text/plain")]) for name in ("a", "b")]
    long = _batch([("c", "सभी".encode() * 9, "text/plain")])
    good = _batch([("d", "सभी".encode(), "text/plain")])
    records: list[pa.RecordBatch | Fault] = [broken[0], long, good, broken[1]]
    store, shard = _ingest(records, monkeypatch, Limits(document_bytes=9))
    assert [row["native_id"] for row in _texts(store, shard)] == ["d"]
    assert (shard.facts["read"], shard.facts["quarantined"]) == (4, 3)


def test_run_refuses_a_native_id_that_two_documents_have(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("same", b"one", "text/plain"), ("same", b"two", "text/plain")]
    with pytest.raises(StageError, match="s: the native id 'same' stands 2 times in only; make"):
        _ingest([_batch(rows)], monkeypatch)
    first, second = (
        met_in(file, iter([_batch([row])])) for file, row in zip("ab", rows, strict=True)
    )
    with pytest.raises(StageError, match="s: the native id 'same' stands in a and in b; make"):
        _ingest([*first, *second], monkeypatch)


def test_run_without_documents_commits_an_empty_text_file(monkeypatch: pytest.MonkeyPatch) -> None:
    store, shard = _ingest([], monkeypatch)
    assert _texts(store, shard) == []
    assert shard.facts["read"] == 0


def test_run_cuts_text_files_by_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SHARD_TEXT_BYTES", 1000)
    monkeypatch.setattr("phloem.catalog.manifest.BATCH_BYTES", 300)
    rows = [(f"d{n}", b"x" * 100, "text/plain") for n in range(50)]
    store, one = _ingest([_batch(rows)], monkeypatch)
    _, many = _ingest([_batch([row]) for row in rows], monkeypatch)
    assert one.files == many.files
    assert len(one.files) > 2
    assert [row["native_id"] for row in _texts(store, one)] == [f"d{n}" for n in range(50)]


def test_run_gives_empty_files_of_two_sources_different_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashes = set()
    for source in ("s", "t"):
        fake = SimpleNamespace(Params=NoParams, read=lambda *_: iter(()))
        monkeypatch.setattr(extraction, "find_connector", lambda _, fake=fake: fake)
        unguard(monkeypatch)
        work = ingest.IngestWork(
            source=source, connector="fake", params={}, split=Split("only", {}), files={},
            place=("", ()), limits=Limits(),
        )  # fmt: skip
        (shard,) = ingest.run(Store("memory://empties"), source, work)
        hashes.add(shard.file("text-00000.arrow").sha256)
    assert len(hashes) == 2
