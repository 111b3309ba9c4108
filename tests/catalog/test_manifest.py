"""Shards, datasets, and tables whose bytes do not depend on how their rows came."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog import manifest
from phloem.catalog.manifest import (
    Dataset,
    File,
    Shard,
    arrow_batches,
    canonical,
    commit,
    find,
    key_of,
    open_parquet,
    read_arrow,
    read_parquet,
    rechunk,
    write_arrow,
    write_parquet,
    write_row_groups,
)
from phloem.catalog.store import Store

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("raw", pa.binary())])
WORDS = ["", "fox", "الثعلب", "หมาจิ้งจอก", "लोमड़ी", "狐狸", "😀" * 9, None]


def _batch(texts: list[str | None]) -> pa.RecordBatch:
    ids = [f"{n:04d}" for n in range(len(texts))]
    raws = [b"\xff\xfe" if n % 3 else None for n in range(len(texts))]
    return pa.RecordBatch.from_arrays([ids, pa.array(texts, pa.string()), raws], schema=SCHEMA)


def _cut(batch: pa.RecordBatch, cuts: list[int]) -> Iterator[pa.RecordBatch]:
    bounds = sorted({0, batch.num_rows, *(cut % (batch.num_rows + 1) for cut in cuts)})
    yield batch.slice(0, 0)
    for start, stop in pairwise(bounds):
        yield batch.slice(start, stop - start)


def _reference(batch: pa.RecordBatch, most_rows: int, most_bytes: int) -> list[list[str]]:
    """Row by row: a batch ends with the row that fills it."""
    groups: list[list[str]] = []
    open_, size = [], 0
    for row in batch.to_pylist():
        open_.append(row["id"])
        size += len(row["id"]) + len((row["text"] or "").encode()) + len(row["raw"] or b"")
        if len(open_) == most_rows or size >= most_bytes:
            groups.append(open_)
            open_, size = [], 0
    return [*groups, open_] if open_ else groups


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
    st.integers(1, 20),
    st.integers(1, 120),
)
def test_rechunk_however_rows_come_ends_batches_at_the_same_rows(
    texts: list[str | None], cuts: list[int], most_rows: int, most_bytes: int
) -> None:
    batch = _batch(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "BATCH_ROWS", most_rows)
        patch.setattr(manifest, "BATCH_BYTES", most_bytes)
        got = [part["id"].to_pylist() for part in rechunk(_cut(batch, cuts))]
    assert got == _reference(batch, most_rows, most_bytes)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=5))
def test_write_arrow_however_rows_come_gives_the_same_bytes(cuts: list[int]) -> None:
    batch = _batch([WORDS[n % len(WORDS)] for n in range(5000)])
    store = Store("memory://manifest-arrow")
    whole = write_arrow(store, "a", "whole.arrow", SCHEMA, iter([batch]))
    cut = write_arrow(store, "a", "cut.arrow", SCHEMA, _cut(batch, cuts))
    assert (cut.sha256, cut.bytes, cut.rows) == (whole.sha256, whole.bytes, 5000)


def test_write_parquet_however_chunked_gives_the_same_bytes(tmp_path: Path) -> None:
    store, batch = Store(tmp_path), _batch([WORDS[n % len(WORDS)] for n in range(100)])
    one = write_parquet(store, "p", "one.parquet", pa.Table.from_batches([batch]))
    parts = pa.Table.from_batches(list(_cut(batch, [7, 8, 50])))
    many = write_parquet(store, "p", "many.parquet", parts)
    assert one.sha256 == many.sha256
    assert read_parquet(store, "p/many.parquet", ["text"]).num_columns == 1


def test_write_arrow_of_no_batch_keeps_the_schema(tmp_path: Path) -> None:
    file = write_arrow(Store(tmp_path), "a", "none.arrow", SCHEMA, iter(()))
    reader = read_arrow(Store(tmp_path), "a/none.arrow")
    assert (file.rows, reader.num_record_batches, reader.schema) == (0, 0, SCHEMA)


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_arrow_batches_of_some_columns_are_those_of_the_whole(
    tmp_path: Path, compression: Literal["zstd"] | None
) -> None:
    store = Store(tmp_path)
    batch = pa.record_batch({"id": ["1", "2", "3"], "n": [1, None, 3], "text": ["ሰላም", "", None]})
    file = write_arrow(store, "a", "x.arrow", batch.schema, iter([batch]), compression=compression)
    assert file.rows == 3
    assert list(arrow_batches(store, "a/x.arrow")) == [batch]
    assert list(arrow_batches(store, "a/x.arrow", ["text", "id"])) == [batch.select(["id", "text"])]


def test_compressed_text_takes_less_and_comes_back_whatever_its_chunks_were(tmp_path: Path) -> None:
    store, batch = Store(tmp_path), _batch(["all human beings are born free " * 40] * 50)
    plain, one, many = (
        write_arrow(store, "a", name, SCHEMA, iter(of), compression=compression)
        for name, of, compression in (
            ("plain.arrow", [batch], None),
            ("one.arrow", [batch], "zstd"),
            ("many.arrow", [batch.slice(0, 7), batch.slice(7)], "zstd"),
        )
    )
    assert one.sha256 == many.sha256
    assert one.bytes < plain.bytes / 3
    assert read_arrow(store, "a/many.arrow").read_all().equals(pa.Table.from_batches([batch]))


def test_each_table_is_a_row_group_of_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tables = [pa.table({"n": list(range(size))}) for size in (70_000, 3, 1)]
    file = write_row_groups(store, "p", "n.parquet", tables)
    opened = open_parquet(store, "p/n.parquet")
    assert [opened.read_row_group(n) for n in range(opened.num_row_groups)] == tables
    assert (file.rows, file.bytes) == (70_004, store.size("p/n.parquet"))


def test_canonical_is_one_spelling() -> None:
    assert canonical({"b": 1, "a": ["é", None]}) == '{"a":["é",null],"b":1}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(float("nan"))


def test_key_of_depends_on_stage_spec_and_order_of_inputs() -> None:
    keys = [
        key_of("ingest", {"a": 1}, ["x", "y"]),
        key_of("ingest", {"a": 1}, ["y", "x"]),
        key_of("ingest", {"a": 2}, ["x", "y"]),
        key_of("clean", {"a": 1}, ["x", "y"]),
    ]
    assert len(set(keys)) == 4
    assert keys[0] == "99821fa5b161d37454083efa8bbe36df"  # every root depends on it


def _shard(store: Store, data: bytes = b"tokens") -> Shard:
    sha256 = store.write_bytes("stage/k/data.bin", data)
    return Shard("stage", "k", (File("data.bin", sha256, len(data)),), {"documents": 1})


def test_find_before_commit_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shard = _shard(store)
    assert find(store, "stage", "k") is None
    commit(store, shard)
    assert find(store, "stage", "k") == shard


@pytest.mark.parametrize("damage", ["cut file", "no file", "cut record", "no record"])
def test_find_of_a_damaged_shard_is_none(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    commit(store, _shard(store))
    what, _, name = damage.partition(" ")
    path = tmp_path / "stage/k" / ("data.bin" if name == "file" else "shard.json")
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    assert find(store, "stage", "k") is None


def test_shard_file_unknown_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"no file 'x'; it has \['data.bin'\]"):
        _shard(Store(tmp_path)).path("x")


def test_dataset_survives_a_round_trip_and_shares_shards(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shard = _shard(store)
    first = Dataset("stage", {"recipe": "a"}, (shard,)).save(store)
    second = Dataset("stage", {"recipe": "b"}, (shard,)).save(store)
    assert Dataset.load(store, first.name) == first
    assert first.digest == second.digest
    assert first.name != second.name


def test_dataset_with_a_changed_shard_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dataset = Dataset("stage", {}, (_shard(store),)).save(store)
    digest = dataset.shards[0].files[0].sha256.encode()
    store.write_bytes(dataset.name, store.read_bytes(dataset.name).replace(digest, b"0" * 64))
    with pytest.raises(ValueError, match="was changed"):
        Dataset.load(store, dataset.name)


def test_shard_digest_covers_facts(tmp_path: Path) -> None:
    shard = _shard(Store(tmp_path))
    changed = {**shard.facts, "documents": 99}
    assert dataclasses.replace(shard, facts=changed).digest != shard.digest
