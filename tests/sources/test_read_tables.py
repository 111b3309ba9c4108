"""Parquet and Arrow that break, end too early or are joined, and batches that are cut by bytes."""

from __future__ import annotations

import io
import random
from base64 import b64encode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from phloem.catalog.manifest import BATCH_BYTES
from phloem.sources.connector import Fault, SourceError
from phloem.sources.connectors import files
from phloem.sources.formats import read_tables
from phloem.sources.formats.formats import columns_of
from phloem.sources.formats.parquet_footer import footer
from phloem.sources.limits import Limits

PARAMS = files.Params(path="unused")
TEXTS = [f"{n} ทุกคน {n**30}" for n in range(12)]


def read(
    path: Path, params: files.Params = PARAMS, **limits: int
) -> tuple[list[pa.RecordBatch], list[Fault]]:
    columns, held = columns_of(params, path.name), Limits(**limits)
    if path.suffix == ".parquet":
        found = list(read_tables.parquet(path.name, str(path), columns, (0, None), held))
    else:
        found = list(read_tables.arrow(path.name, str(path), columns, held))
    return (
        [each for each in found if not isinstance(each, Fault)],
        [each for each in found if isinstance(each, Fault)],
    )


def rows_of(batches: list[pa.RecordBatch]) -> list[tuple[str, str]]:
    return [
        (row["native_id"], row["content"].decode()) for each in batches for row in each.to_pylist()
    ]


def named(name: str, texts: list[str], first: int = 0) -> list[tuple[str, str]]:
    return [(f"{name}#{first + n}", text) for n, text in enumerate(texts)]


def stream(texts: list[str], new: Any = pa.ipc.new_stream, chunk: int = 5, **more: Any) -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": texts})
    with new(out, table.schema, **more) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return out.getvalue()


# Row groups --------------------------------------------------------------------------------------
def parquet(path: Path, **more: Any) -> pq.FileMetaData:
    pq.write_table(
        pa.table({"text": TEXTS}), path, row_group_size=4, write_page_checksum=True, **more
    )
    return pq.read_metadata(path)


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_row_group_that_breaks_is_as_many_records_and_the_others_are_read(
    tmp_path: Path, broken: int
) -> None:
    path = tmp_path / "a.parquet"
    chunk = parquet(path, compression="zstd").row_group(broken).column(0)
    content = bytearray(path.read_bytes())
    begins = chunk.dictionary_page_offset
    content[begins : begins + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)
    batches, faults = read(path)
    lost = range(4 * broken, 4 * broken + 4)
    assert rows_of(batches) == [
        (f"a.parquet#{n}", text) for n, text in enumerate(TEXTS) if n not in lost
    ]
    assert faults == [Fault(None, begins, "broken row group", 4)]


def test_parquet_file_behind_another_is_told(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    path = tmp_path / "b.parquet"
    one = (tmp_path / "a.parquet").read_bytes()
    path.write_bytes(one + one)
    batches, faults = read(path)
    assert rows_of(batches) == named("b.parquet", TEXTS)
    assert faults == [Fault(None, len(one), "another Parquet file behind the end", rest=True)]


# Footers -----------------------------------------------------------------------------------------
def test_footer_says_where_row_groups_lie_as_arrow_does(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": TEXTS, "of": [{"id": n, "on": n % 2 == 0} for n in range(12)]})
    for more in ({}, {"use_dictionary": False}, {"write_page_index": True}, {"version": "1.0"}):
        pq.write_table(table, path, row_group_size=5, **more)  # type: ignore[arg-type]
        found, meta = footer(str(path)), pq.read_metadata(path)
        assert not found.encrypted
        assert len(found.row_groups) == meta.num_row_groups == 3
        for number, group in enumerate(found.row_groups):
            columns = [meta.row_group(number).column(place) for place in range(3)]
            starts = [
                c.dictionary_page_offset if c.has_dictionary_page else c.data_page_offset
                for c in columns
            ]
            assert group.start == min(starts)
            assert group.end == max(
                start + c.total_compressed_size for start, c in zip(starts, columns, strict=True)
            )
            assert group.columns == {c.path_in_schema: c.total_uncompressed_size for c in columns}


def test_footer_that_was_changed_is_a_fault_and_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet(path)
    whole = path.read_bytes()
    begins = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    draw = random.Random("footers")  # noqa: S311 - no secret
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 1, 2, 4])):
            content[draw.randrange(begins, len(whole) - 8)] = draw.randrange(256)
        path.write_bytes(content)
        batches, faults = read(path)
        assert faults or len(rows_of(batches)) == len(TEXTS)
        assert all(fault.records > 0 for fault in faults)


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_parquet_that_is_encrypted_says_so(tmp_path: Path, plaintext_footer: bool) -> None:
    class Keys(encryption.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key: bytes, _name: str) -> bytes:
            return b64encode(key)

    path = tmp_path / "a.parquet"
    properties = encryption.CryptoFactory(lambda _: Keys()).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(
            footer_key="f", column_keys={"c": ["text"]}, plaintext_footer=plaintext_footer
        ),
    )
    table = pa.table({"text": TEXTS})
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    assert read_tables.row_groups(str(path), 100)
    assert read(path) == ([], [Fault(None, 0, "encrypted Parquet", rest=True)])


# Columns -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.struct([("a", pa.string())]),
        pa.timestamp("us", "Mars/Phobos"),
    ],
)
def test_columns_that_cannot_be_written_as_strings_are_named(
    tmp_path: Path, name: str, kind: pa.DataType
) -> None:
    path = tmp_path / name
    table = pa.table({"text": TEXTS, "key": pa.nulls(len(TEXTS), kind)})
    if name == "a.parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    params = files.Params(path=str(path), id_column="key")
    with pytest.raises(SourceError, match=f"^{name}: column 'key' holds "):
        read_tables.check_columns(name, str(path), columns_of(params, name), path.suffix[1:])
    batches, (fault,) = read(path, params)
    assert batches == []
    assert fault.reason.startswith("column 'key' holds ")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_columns_of_one_name_are_told_before_reading_and_while_reading(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    if name == "a.parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    params = files.Params(path=str(path))
    pin = files.resolve(params)
    with pytest.raises(SourceError, match=f"^{name} has 2 columns 'text', which may differ"):
        files.splits(params, pin, files.fetch(params, pin, tmp_path))
    batches, faults = read(path)
    assert batches == []
    assert [(fault.reason, fault.rest) for fault in faults] == [
        ("2 columns are named 'text'", True)
    ]


def test_columns_that_a_member_lacks_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.arrow").write_bytes(stream(TEXTS))
    asked = files.Params(path="unused", text_column="body")
    _, faults = read(tmp_path / "a.arrow", asked)
    assert [(fault.reason, fault.rest) for fault in faults] == [("no column 'body'", True)]


# Streams -----------------------------------------------------------------------------------------
def test_arrow_stream_cut_anywhere_gives_whole_batches_and_a_fault(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.arrow", stream(TEXTS)
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:-cut])
        batches, faults = read(path)
        found = rows_of(batches)
        assert found == named("a.arrow", TEXTS)[: len(found)]
        assert len(found) in {0, 5, 10, 12}
        assert [fault.rest for fault in faults] == [True]
        assert 0 <= faults[0].offset <= len(whole) - cut
    path.write_bytes(whole[:-8])
    batches, faults = read(path)
    assert len(rows_of(batches)) == 12
    assert faults == [Fault(None, len(whole) - 8, "no end of stream", rest=True)]


def test_arrow_file_cut_anywhere_gives_whole_batches_and_a_fault(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.arrow", stream(TEXTS, pa.ipc.new_file)
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:-cut])
        batches, faults = read(path)
        found = rows_of(batches)
        assert found == named("a.arrow", TEXTS)[: len(found)]
        assert [fault.rest for fault in faults] == [True]


def test_arrow_streams_that_are_joined_are_read_one_after_another(tmp_path: Path) -> None:
    path, one = tmp_path / "a.arrow", stream(TEXTS)
    old = stream(TEXTS, options=pa.ipc.IpcWriteOptions(use_legacy_format=True))
    path.write_bytes(old + one + one)
    batches, faults = read(path)
    assert (rows_of(batches), faults) == (named("a.arrow", [*TEXTS, *TEXTS, *TEXTS]), [])
    path.write_bytes(one + b"more")
    batches, faults = read(path)
    assert len(rows_of(batches)) == 12
    assert [(fault.offset, fault.rest) for fault in faults] == [(len(one), True)]


def test_arrow_file_behind_another_is_told(tmp_path: Path) -> None:
    path, one = tmp_path / "a.arrow", stream(TEXTS, pa.ipc.new_file)
    for new in (pa.ipc.new_file, pa.ipc.new_stream):
        path.write_bytes(one + stream(TEXTS, new))
        batches, faults = read(path)
        assert rows_of(batches) == named("a.arrow", TEXTS)
        assert [fault.rest for fault in faults] == [True]


# Bytes -------------------------------------------------------------------------------------------
TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.large_string()),
]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_batches_are_cut_by_the_bytes_of_all_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: pa.DataType
) -> None:
    monkeypatch.setattr(read_tables, "BATCH_BYTES", 100)
    texts = ["x" * 30, "", None, "y" * 250, *["z" * 20] * 9, "caf\u00e9"]
    table = pa.table({"text": pa.array(texts).cast(kind), "title": ["t" * 20] * len(texts)})
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    asked = files.Params(path="unused", title_column="title")
    batches, faults = read(path, asked)
    assert [row for _, row in rows_of(batches)] == [text for text in texts if text is not None]
    assert faults == [Fault(f"{name}#2", -1, "null text")]
    for batch in batches:
        held = sum(len(row["content"]) + len(row["title"]) for row in batch.to_pylist())
        assert held <= 100 or batch.num_rows == 1
    assert max(batch.num_rows for batch in batches) > 1


def test_texts_of_more_than_two_gib_in_one_batch_are_read_in_parts(tmp_path: Path) -> None:
    """One text that 1,100 rows share: the file has 2 MB, its texts have 2.3 GB."""
    text = "word " * 420_000
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 1100, pa.int32()), pa.array([text]))
    table = pa.table({"text": rows})
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    found = read_tables.arrow(
        "a.arrow", str(tmp_path / "a.arrow"), columns_of(PARAMS, "a.arrow"), Limits()
    )
    count = 0
    for batch in found:
        assert isinstance(batch, pa.RecordBatch)
        assert batch["content"].nbytes < BATCH_BYTES * 1.01
        assert batch["content"][0].as_buffer().size == len(text)
        count += batch.num_rows
    assert count == 1100


def test_texts_over_the_limit_are_told_and_take_no_place(tmp_path: Path) -> None:
    texts = ["a", "b" * 200, "c"]
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), tmp_path / "a.parquet")
    batches, faults = read(tmp_path / "a.parquet", record_bytes=100)
    assert rows_of(batches) == [("a.parquet#0", "a"), ("a.parquet#2", "c")]
    reason = "record larger than 100 bytes (limits.record_bytes)"
    assert faults == [Fault("a.parquet#1", -1, reason)]
