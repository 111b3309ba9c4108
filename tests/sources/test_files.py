"""The connector for files."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import lzma
import struct
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.clients import paths
from phloem.sources.connector import Fault, GoneError, Pin, SourceError
from phloem.sources.connectors import files
from phloem.sources.formats import read_files, text_lines
from phloem.sources.limits import Limits

TEXTS = ["Wote wamezaliwa huru.", "كل الناس أحرار", "सभी मनुष्य", "ทุกคน", "人人生而自由", "🌍", ""]


def read_all(
    params: files.Params, folder: Path, **limits: int
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Resolve, fetch, split and read: the rows and the faults."""
    pin = files.resolve(params)
    fetched = files.fetch(params, pin, folder)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in files.splits(params, pin, fetched):
        assert json.loads(json.dumps(split.spec)) == split.spec
        for found in files.read(params, split, fetched, Limits(**limits)):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


def contents(rows: list[dict[str, Any]]) -> list[str]:
    return [row["content"].decode() for row in rows]


def jsonl(*records: Any) -> bytes:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()


def test_jsonl_every_column_is_taken(tmp_path: Path) -> None:
    record = {"text": "सभी", "key": 7, "lang": "hi", "head": "एक", "link": "https://example.org/1"}
    (tmp_path / "a.jsonl").write_bytes(jsonl(record))
    params = files.Params(
        path=str(tmp_path / "a.jsonl"),
        id_column="key",
        language_column="lang",
        title_column="head",
        url_column="link",
    )
    ((row,), faults) = read_all(params, tmp_path)
    assert faults == []
    assert row["native_id"] == "7"
    assert row["declared_language"] == "hi"
    assert (row["title"], row["url"]) == ("एक", "https://example.org/1")
    assert row["media_type"] == "text/plain"


def test_jsonl_bad_lines_are_faults_and_the_others_stay(tmp_path: Path) -> None:
    good = jsonl({"text": "good"})
    bad = [
        b"not json\n",
        b'{"other": 1}\n',
        b'{"text": null}\n',
        b'{"text": 3}\n',
        b"[1]\n",
        b"[" * 100_000 + b"\n",
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b"\n".join([b"".join(bad), good]))
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.jsonl")), tmp_path)
    assert contents(rows) == ["good", "good"]
    assert [fault.reason for fault in faults] == [
        "not JSON",
        "no column 'text'",
        "null text",
        "text is no string",
        "not a JSON object",
        "JSON nested too deep",
    ]
    assert faults[0].offset == 3 + len(good)
    assert faults[0].native_id == f"a.jsonl@{3 + len(good)}"


def test_jsonl_bytes_that_are_not_utf8_stay(tmp_path: Path) -> None:
    lines = b'{"text": "caf\xe9 \xff"}\n{"text": "lone \\ud800"}\n{"text": "a\\u00e9"}\n'
    (tmp_path / "a.jsonl").write_bytes(lines)
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.jsonl")), tmp_path)
    assert faults == []
    assert [row["content"] for row in rows] == [b"caf\xe9 \xff", b"lone \xed\xa0\x80", b"a\xc3\xa9"]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("broken", [0, 3, 6])
def test_jsonl_member_that_breaks_loses_no_other(tmp_path: Path, suffix: str, broken: int) -> None:
    pack = (
        gzip.compress if suffix == "gz" else zstandard.ZstdCompressor(write_checksum=True).compress
    )
    members = [bytearray(pack(jsonl({"text": f"{text} {n}"}) * 50)) for n, text in enumerate(TEXTS)]
    members[broken][len(members[broken]) // 2] ^= 0xFF
    path = tmp_path / f"a.jsonl.{suffix}"
    path.write_bytes(b"".join(members))
    rows, faults = read_all(files.Params(path=str(path)), tmp_path)
    whole = [f"{text} {n}".encode() for n, text in enumerate(TEXTS) if n != broken]
    found = Counter(row["content"] for row in rows)
    assert {text: found[text] for text in whole} == dict.fromkeys(whole, 50)
    assert len({row["native_id"] for row in rows}) == len(rows)
    start = sum(map(len, members[:broken]))
    (fault,) = faults
    assert fault.rest
    assert start <= fault.offset <= start + len(members[broken])
    assert fault.reason in {"broken gzip", "broken zstd", "truncated gzip"}


def test_jsonl_member_that_begins_within_a_line_is_joined_to_nothing(tmp_path: Path) -> None:
    data = jsonl(*({"text": f"{n} {'{' * 9}"} for n in range(90)))
    cuts = [0, 300, 900, 1500, len(data)]  # as bgzip cuts, wherever a block is full
    members = [bytearray(gzip.compress(data[a:b])) for a, b in itertools.pairwise(cuts)]
    members[1][len(members[1]) // 2] ^= 0xFF
    (tmp_path / "a.jsonl.gz").write_bytes(b"".join(members))
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.jsonl.gz")), tmp_path)
    assert set(contents(rows)) <= {f"{n} {'{' * 9}" for n in range(90)}
    assert any(fault.rest for fault in faults)


def test_jsonl_truncated_gzip_gives_good_records_and_one_fault(tmp_path: Path) -> None:
    whole = jsonl(*({"text": f"{number} {'x' * number}"} for number in range(2000)))
    packed = gzip.compress(whole)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.jsonl.gz")), tmp_path)
    assert 0 < len(rows) < 2000
    assert contents(rows) == [f"{number} {'x' * number}" for number in range(len(rows))]
    reason, name = "truncated gzip", "a.jsonl.gz"
    assert faults == [Fault(None, len(packed) // 2, reason, rest=True, file=name)]


def test_files_empty_ones_give_nothing(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.txt", "c.jsonl.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    assert read_all(files.Params(path=str(tmp_path)), tmp_path) == ([], [])


def test_jsonl_document_of_one_long_line_is_whole(tmp_path: Path) -> None:
    text = "ก" * 2_000_000
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(jsonl({"text": text}, {"text": "b"})))
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.jsonl.zst")), tmp_path)
    assert (contents(rows) == [text, "b"], faults) == (True, [])


def test_lines_over_the_limit_are_faults_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one\n" + b"x" * 50 + b"\ntwo\n" + b"y" * 30)
    with path.open("rb") as file:
        found = list(text_lines.lines(file, None, Limits(record_bytes=10)))
    assert [line for line in found if not isinstance(line, Fault)] == [(0, b"one"), (55, b"two")]
    assert [f.offset for f in found if isinstance(f, Fault)] == [4, 59]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.sampled_from(["", "a", "ทุกคน", "x" * 30, "\r", " "]), max_size=12),
    size=st.integers(1, 40),
    ends=st.booleans(),
    kind=st.sampled_from(["jsonl", "txt"]),
    most=st.sampled_from([9, 2**20]),
)
def test_files_split_anywhere_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    size: int,
    ends: bool,
    kind: str,
    most: int,
) -> None:
    folder = tmp_path_factory.mktemp("split")
    lines = [json.dumps({"text": text}) if kind == "jsonl" and text else text for text in texts]
    (folder / f"a.{kind}").write_bytes("\n".join(lines).encode() + (b"\n" if ends else b""))
    params = files.Params(path=str(folder / f"a.{kind}"), documents="paragraph")
    whole = read_all(params, folder, record_bytes=most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_files, "SPLIT_BYTES", size)
        assert read_all(params, folder, record_bytes=most) == whole


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_txt_blank_line_across_the_bound_of_two_splits_loses_no_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    (tmp_path / "a.txt").write_bytes(f"one{end} \t{end}two{end}".encode())
    params = files.Params(path=str(tmp_path / "a.txt"), documents="paragraph")
    for size in range(1, 16):
        monkeypatch.setattr(read_files, "SPLIT_BYTES", size)
        assert [text.strip() for text in contents(read_all(params, tmp_path)[0])] == ["one", "two"]


def test_txt_block_that_cannot_be_read_whole_is_no_document(tmp_path: Path) -> None:
    lines = [f"line {n} {n**7}\n" for n in range(4000)]
    packed = gzip.compress(("one\n\n" + "".join(lines)).encode())
    (tmp_path / "a.txt.gz").write_bytes(packed[: len(packed) // 2])
    params = files.Params(path=str(tmp_path / "a.txt.gz"), documents="paragraph")
    rows, faults = read_all(params, tmp_path)
    assert (contents(rows), [fault.rest for fault in faults]) == (["one"], [True])
    (tmp_path / "b.txt").write_bytes(b"one\n\ntwo\n" + b"x" * 200 + b"\nlines\n\nthree\n")
    params = files.Params(path=str(tmp_path / "b.txt"), documents="paragraph")
    rows, faults = read_all(params, tmp_path, record_bytes=100)
    assert (contents(rows), len(faults)) == (["one", "three"], 1)


def test_files_split_parts_and_names_are_unique(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 64)
    (tmp_path / "a.jsonl").write_bytes(jsonl(*({"text": text * 3} for text in TEXTS)))
    (tmp_path / "b.txt").write_bytes(b"short")
    (tmp_path / "c.txt").write_bytes(b"short too")
    params = files.Params(path=[str(tmp_path / "a.jsonl"), str(tmp_path / "*.txt")])
    pin = files.resolve(params)
    splits = files.splits(params, pin, files.fetch(params, pin, tmp_path))
    assert len({split.name for split in splits}) == len(splits) > 2
    assert [split.spec["parts"] for split in splits[-2:]] == [
        [["b.txt", 0, None]],
        [["c.txt", 0, None]],
    ]
    assert splits[0].files == ("a.jsonl",)
    assert [split.files for split in splits[-2:]] == [("b.txt",), ("c.txt",)]


def test_parquet_row_groups_keep_row_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"body": [*TEXTS, None], "lang": ["sw"] * 8})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    params = files.Params(
        path=str(tmp_path / "a.parquet"), text_column="body", language_column="lang"
    )
    rows, faults = read_all(params, tmp_path)
    assert contents(rows) == TEXTS
    assert [row["native_id"] for row in rows] == [f"a.parquet#{row}" for row in range(7)]
    assert faults == [Fault("a.parquet#7", -1, "null text", file="a.parquet")]
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 1)
    assert read_all(params, tmp_path) == (rows, faults)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_arrow_files_and_streams_of_any_string_are_read(
    tmp_path: Path, stream: bool, kind: pa.DataType
) -> None:
    table = pa.table({"text": pa.array(TEXTS, pa.string()).cast(kind)})
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.arrow")), tmp_path)
    assert (contents(rows), faults) == (TEXTS, [])
    assert rows[4]["native_id"] == "a.arrow#4"


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_tables_that_are_broken_are_one_fault(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PAR1 no table")
    rows, faults = read_all(files.Params(path=str(tmp_path / name)), tmp_path)
    assert rows == []
    assert [(fault.reason.split()[0], fault.rest) for fault in faults] == [("broken", True)]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_tables_names_that_are_not_utf8_are_mended_and_texts_stay(
    tmp_path: Path, name: str
) -> None:
    raw = pa.array([b"caf\xe9", "ทุกคน".encode()])
    column = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    table = pa.table({"text": column, "key": column})
    if name == "a.parquet":
        pq.write_table(table, tmp_path / name)
    else:
        with pa.ipc.new_file(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    rows, faults = read_all(files.Params(path=str(tmp_path / name), id_column="key"), tmp_path)
    assert faults == []
    assert [row["content"] for row in rows] == raw.to_pylist()
    assert [row["native_id"] for row in rows] == ["caf\ufffd", "ทุกคน"]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["a.parquet", "a.arrow", "a.jsonl"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4))),
)
def test_files_with_any_bytes_changed_raise_nothing_but_source_errors(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("changed") / name
    table = pa.table({"text": [*TEXTS, None], "key": [f"ก{n}" for n in range(8)]})
    if name == "a.parquet":
        pq.write_table(table, path)
    elif name == "a.arrow":
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_bytes(jsonl(*table.to_pylist()))
    content = bytearray(path.read_bytes())
    for place, new in changes:
        start = int(place * len(content))
        content[start : start + len(new)] = new
    path.write_bytes(content)
    try:
        rows, faults = read_all(files.Params(path=str(path), id_column="key"), path.parent)
    except SourceError:
        return
    assert rows or faults or not content


def test_arrow_offsets_outside_the_file_are_a_fault(tmp_path: Path) -> None:
    offsets = pa.py_buffer(struct.pack("<3i", 0, 2**30, 6))
    column = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abcdef")])
    table = pa.table({"text": column})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.arrow")), tmp_path)
    assert rows == []
    assert faults == [Fault(None, 128, "broken Arrow file", rest=True, file="a.arrow")]


def test_txt_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n\ntwo \xff\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("ทุกคน".encode())[:-3])
    rows, faults = read_all(files.Params(path=str(tmp_path / "*.txt*")), tmp_path)
    assert [(row["native_id"], row["content"]) for row in rows] == [("a.txt", b"one\n\ntwo \xff\n")]
    assert [(fault.native_id, fault.reason) for fault in faults] == [("b.txt.gz", "truncated gzip")]


def test_text_column_misspelt_is_told_before_reading(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl({"content": "x"}))
    pq.write_table(pa.table({"content": ["x"], "n": [1]}), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        params = files.Params(path=str(tmp_path / name), text_column="contents")
        with pytest.raises(SourceError, match="did you mean content"):
            read_all(params, tmp_path)
    with pytest.raises(SourceError, match="must hold strings"):
        read_all(files.Params(path=str(tmp_path / "b.parquet"), text_column="n"), tmp_path)


def test_resolve_nothing_there_or_unknown_format_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file matches"):
        files.resolve(files.Params(path=str(tmp_path / "*.jsonl")))
    (tmp_path / "a.xyz").write_bytes(b"")
    with pytest.raises(SourceError, match="give `format`"):
        files.resolve(files.Params(path=str(tmp_path / "a.xyz")))


def test_fetch_changed_or_lost_file_is_an_error(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"x")
    params = files.Params(path=str(tmp_path / "*.txt"))
    pin = files.resolve(params)
    (tmp_path / "a.txt").write_bytes(b"y")
    with pytest.raises(SourceError, match=r"a\.txt has sha256 .* is locked"):
        files.fetch(params, pin, tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(GoneError, match=r"such as a\.txt; .* lock them again"):
        files.fetch(params, pin, tmp_path)
    (tmp_path / "b.txt").unlink()
    with pytest.raises(SourceError, match=f"no file matches {tmp_path}"):
        files.fetch(params, pin, tmp_path)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(
        st.tuples(st.lists(st.sampled_from("abกé"), max_size=2), st.sampled_from("xyz"))
    ),
    path=st.sampled_from(["**/*.txt", "*/*.txt", "a/**", ["a/**", "**/x.txt"], "a/"]),
)
def test_files_a_further_one_renames_none_and_is_told_as_unlocked(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[tuple[list[str], str]],
    path: str | list[str],
) -> None:
    folder = tmp_path_factory.mktemp("names")
    params = files.Params(
        path=[f"{folder}/{each}" for each in ([path] if isinstance(path, str) else path)]
    )
    pin = Pin("1", ())
    for inner in [
        "a/0.txt",
        "a/x.txt",
        *("/".join([*folders, f"{n}.txt"]) for folders, n in names),
    ]:
        (folder / inner).parent.mkdir(parents=True, exist_ok=True)
        (folder / inner).write_text(inner)
        if inner == "a/0.txt":  # one of two patterns may match nothing yet
            continue
        told = set(files.unlocked(params, pin))
        before, pin = pin, files.resolve(params)
        assert told == {file.name for file in pin.files} - {file.name for file in before.files}
        assert set(before.files) <= set(pin.files)
        assert files.unlocked(params, pin) == []
    found = files.fetch(params, pin, folder)
    assert all(f"{folder}/{Path(place).read_text()}" == place for place in found.values())


def test_files_of_addresses_are_not_looked_for_while_a_run_reads() -> None:
    params = files.Params(path=["https://example.org/a.txt", "/nowhere/*.txt"])
    assert files.unlocked(params, Pin("1", ())) == []


def test_fetch_object_of_a_store_is_copied_into_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "STORES", ("memory",))
    with fsspec.open("memory://bucket/a.jsonl", "wb") as file:
        file.write(jsonl({"text": "far"}))
    params = files.Params(path="memory://bucket/*.jsonl")
    pin = files.resolve(params)
    assert pin.files[0].url == "memory:///bucket/a.jsonl"
    fetched = files.fetch(params, pin, tmp_path)
    assert Path(fetched["a.jsonl"]).is_relative_to(tmp_path)
    assert contents(read_all(params, tmp_path)[0]) == ["far"]


@pytest.mark.parametrize(("name", "documents"), [("udhr", 117), ("prose", 612)])
def test_bundled_texts_are_all_read(tmp_path: Path, name: str, documents: int) -> None:
    params = files.Params(
        path=f"bundled/{name}.jsonl.gz", id_column="id", language_column="language"
    )
    rows, faults = read_all(params, tmp_path)
    assert (len(rows), faults) == (documents, [])
    assert len({row["native_id"] for row in rows}) == documents


def csv_file(path: Path, text: str, pack: Any = None) -> files.Params:
    content = text.encode("utf-8", "surrogateescape")
    path.write_bytes(pack(content) if pack else content)
    return files.Params(path=str(path), text_column="body", id_column="key", title_column="head")


def test_csv_rows_are_documents_whatever_their_quotes(tmp_path: Path) -> None:
    text = 'key,head,body\r\n7,एक,"two\nlines, and ""quotes"""\r\n\r\n,,ทุกคน\r\n'
    rows, faults = read_all(csv_file(tmp_path / "a.csv", f"\ufeff{text}"), tmp_path)
    assert faults == []
    assert contents(rows) == ['two\nlines, and "quotes"', "ทุกคน"]
    at = len(f"\ufeff{text}".encode()) - len(",,ทุกคน\r\n".encode())
    assert [row["native_id"] for row in rows] == ["7", f"a.csv@{at}"]
    assert rows[0]["title"] == "एक"
    assert rows[1]["title"] is None


@pytest.mark.parametrize(("name", "mark"), [("a.tsv", "\t"), ("a.csv", ";"), ("a.csv.gz", ",")])
def test_csv_delimiter_is_that_of_the_header(tmp_path: Path, name: str, mark: str) -> None:
    text = "".join(mark.join(row) + "\n" for row in [("key", "head", "body"), ("1", "h", "ก")])
    params = csv_file(tmp_path / name, text, gzip.compress if name.endswith("gz") else None)
    assert contents(read_all(params, tmp_path)[0]) == ["ก"]


def test_csv_bad_rows_are_faults_and_the_others_stay(tmp_path: Path) -> None:
    text = 'key,head,body\n1,h,one\n2,h\n3,"h"x,three\n4,h,caf\udce9\n5,h,f,g\n6,h,six\n'
    rows, faults = read_all(csv_file(tmp_path / "a.csv", text), tmp_path)
    assert [row["content"] for row in rows] == [b"one", b"caf\xe9", b"six"]
    assert [(fault.offset, fault.reason) for fault in faults] == [
        (22, "2 fields where the header has 3"),
        (26, "text after a closing quote"),
        (text.encode("utf-8", "surrogateescape").index(b"5,"), "4 fields where the header has 3"),
    ]
    assert [fault.native_id for fault in faults][1] == "a.csv@26"


def test_csv_truncated_gzip_gives_whole_rows_and_one_fault(tmp_path: Path) -> None:
    text = "key,head,body\n" + "".join(f'{n},h,"{"x" * n}\n{n}"\n' for n in range(1500))
    packed = gzip.compress(text.encode())
    params = csv_file(tmp_path / "a.csv.gz", text, lambda _: packed[: len(packed) // 2])
    rows, faults = read_all(params, tmp_path)
    assert 0 < len(rows) < 1500
    assert contents(rows) == [f"{'x' * n}\n{n}" for n in range(len(rows))]
    (fault,) = faults
    assert (fault.offset, fault.reason) == (len(packed) // 2, "truncated gzip")
    assert (fault.rest, fault.file) == (True, "a.csv.gz")


@pytest.mark.parametrize("end", ["x\n" * 400, "x" * 800])
def test_csv_quote_that_nothing_closes_is_one_fault(tmp_path: Path, end: str) -> None:
    text = f'key,head,body\n1,h,one\n2,h,"{end}'
    params = csv_file(tmp_path / "a.csv", text)
    rows, faults = read_all(params, tmp_path, record_bytes=500)
    assert contents(rows) == ["one"]
    assert [fault.reason for fault in faults] == [
        "record larger than 500 bytes (limits.record_bytes)"
    ]
    rows, faults = read_all(params, tmp_path)
    assert (contents(rows), [f.reason for f in faults]) == (["one"], ["quote never closed"])


def test_csv_misspelt_column_is_told_before_reading(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\nx,1\n")
    with pytest.raises(SourceError, match="has no column 'texts'; did you mean text"):
        read_all(files.Params(path=str(tmp_path / "a.csv"), text_column="texts"), tmp_path)


MEMBERS = {
    "talks/sw/a.txt": b"Wote wamezaliwa huru.",
    "talks/th/b.html": "<p>ทุกคน".encode(),
    "talks/c.txt.gz": gzip.compress("सभी".encode()),
    "talks/d.jsonl": jsonl({"text": "人人"}, {"text": "生而"}),
    "talks/e.csv": "text\nأحرار\n".encode(),
    "talks/none.bin": b"\0",
}


def archive(path: Path, members: dict[str, bytes] = MEMBERS) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for name, content in members.items():
                out.writestr(name, content)
        return path
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("talks/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
    pack: Any = {".gz": gzip.compress, ".tgz": gzip.compress, ".xz": lzma.compress}.get(path.suffix)
    pack = bz2.compress if path.suffix == ".tbz2" else pack
    pack = zstandard.compress if path.suffix == ".zst" else pack
    path.write_bytes(pack(data.getvalue()) if pack else data.getvalue())
    return path


@pytest.mark.parametrize(
    "name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.tar.zst", "a.tbz2"]
)
def test_archives_members_are_documents_and_tables_rows(tmp_path: Path, name: str) -> None:
    params = files.Params(
        path=str(archive(tmp_path / name)),
        exclude=["*.bin"],
        languages={"*/sw/*": "sw", "*.csv": "ar", f"{name}/*/b.html": "th"},
    )
    rows, faults = read_all(params, tmp_path)
    assert faults == []
    found = {row["native_id"]: row for row in rows}
    assert {key: row["content"].decode() for key, row in found.items()} == {
        f"{name}/talks/sw/a.txt": "Wote wamezaliwa huru.",
        f"{name}/talks/th/b.html": "<p>ทุกคน",
        f"{name}/talks/c.txt.gz": "सभी",
        f"{name}/talks/d.jsonl@0": "人人",
        f"{name}/talks/d.jsonl@19": "生而",
        f"{name}/talks/e.csv@5": "أحرار",
    }
    kinds = {row["media_type"] for row in rows}
    assert kinds == {"text/plain", "text/html"}
    tags = {key.rpartition("/")[2]: row["declared_language"] for key, row in found.items()}
    assert tags == {
        "a.txt": "sw",
        "b.html": "th",
        "c.txt.gz": None,
        "d.jsonl@0": None,
        "d.jsonl@19": None,
        "e.csv@5": "ar",
    }


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_archives_hidden_files_are_read_where_a_card_asks_for_them(
    tmp_path: Path, name: str
) -> None:
    own = dict.fromkeys(["./a.txt", "b/./c.txt", "d/e.f.txt"], b"Wote")
    hidden = dict.fromkeys(
        [".DS_Store", "__MACOSX/._a.txt", "./.git/x.txt", "b/._c.txt", "_SUCCESS"], b"x"
    )
    path = str(archive(tmp_path / name, own | hidden))
    rows, faults = read_all(files.Params(path=path), tmp_path)
    assert (contents(rows), faults) == (["Wote"] * len(own), [])
    rows, faults = read_all(files.Params(path=path, exclude=[]), tmp_path)
    assert (len(rows), faults) == (len(own | hidden), [])


def test_archives_given_format_and_media_type_hold_for_all_members(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"x/a": b"text\none\n", "x/b.dat": b"text\ntwo\n"})
    rows, faults = read_all(files.Params(path=str(path), format="csv"), tmp_path)
    assert (contents(rows), faults) == (["one", "two"], [])
    path = archive(tmp_path / "b.zip", {"a.xml": b"<a/>", "b.html": b"<b/>"})
    rows, _ = read_all(files.Params(path=str(path), media_type="application/xml"), tmp_path)
    assert {row["media_type"] for row in rows} == {"application/xml"}
    odd = archive(tmp_path / "c.zip").rename(tmp_path / "14019287")
    rows, _ = read_all(files.Params(path=str(odd), format="zip", include=["*.txt"]), tmp_path)
    assert contents(rows) == ["Wote wamezaliwa huru."]


def test_archives_zip_split_anywhere_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"m/{n}.txt": TEXTS[n % 7].encode() * 3 for n in range(20)}
    params = files.Params(path=str(archive(tmp_path / "a.zip", members)))
    whole = read_all(params, tmp_path)
    assert len(whole[0]) == 20
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 30)
    pin = files.resolve(params)
    assert len(files.splits(params, pin, files.fetch(params, pin, tmp_path))) > 5
    assert read_all(params, tmp_path) == whole


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_archives_hostile_members_are_faults_and_leave_no_trace(tmp_path: Path, name: str) -> None:
    members = {
        "../slip.txt": b"x",
        "/abs.txt": b"x",
        "C:\\win.txt": b"x",
        "good.txt": b"good",
        "big.txt": b"x" * 5000,
        "inner.zip": b"PK\x05\x06" + bytes(18),
        "line.jsonl": b'{"text": "' + b"y" * 900 + b'"}\n{"text": "short"}\n',
    }
    params = files.Params(path=str(archive(tmp_path / name, members)))
    rows, faults = read_all(params, tmp_path, member_bytes=2000, record_bytes=500)
    assert contents(rows) == ["good", "short"]
    assert sorted(fault.reason for fault in faults) == [
        "archive in an archive",
        "member larger than 2000 bytes (limits.member_bytes)",
        *["member path leaves the archive"] * 3,
        "record larger than 500 bytes (limits.record_bytes)",
    ]
    assert not (tmp_path.parent / "slip.txt").exists()


def test_archives_members_that_are_encrypted_or_of_no_known_kind_are_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": b"a", "b.txt": b"b"})
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    rows, faults = read_all(files.Params(path=str(path)), tmp_path)
    assert contents(rows) == ["b"]
    assert [(fault.native_id, fault.reason) for fault in faults] == [
        ("a.zip/a.txt", "member encrypted")
    ]
    path = tmp_path / "b.tar"
    with tarfile.open(path, "w") as out:
        for kind, name in ((tarfile.REGTYPE, "a.txt"), (b"Z", "b.txt"), (b"7", "c.txt")):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, 5
            out.addfile(info, io.BytesIO(name.encode()))
    rows, faults = read_all(files.Params(path=str(path)), tmp_path)
    assert contents(rows) == ["a.txt", "c.txt"]
    assert [(fault.native_id, fault.reason) for fault in faults] == [
        ("b.tar/b.txt", "member of a kind that is not known")
    ]


@pytest.mark.parametrize("size", ["-5", "abc", "1.5", "1_0", ""])
def test_archives_sizes_that_are_none_are_a_rest_and_no_empty_document(
    tmp_path: Path, size: str
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as out:
        for name, headers in (("a.txt", {}), ("b.txt", {"size": size}), ("c.txt", {})):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = 5, headers
            out.addfile(info, io.BytesIO(name.encode()))
    rows, faults = read_all(files.Params(path=str(tmp_path / "a.tar")), tmp_path)
    assert contents(rows) == ["a.txt"]
    assert [(fault.offset, fault.reason, fault.rest) for fault in faults] == [
        (1024, "broken tar header", True)
    ]


@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        ("gzip", gzip.compress),
        ("bzip2", bz2.compress),
        ("xz", lzma.compress),
        ("zstd", zstandard.compress),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt", "a.tar"])
def test_files_that_are_packed_untold_say_so_once(
    tmp_path: Path, name: str, kind: str, pack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 10)
    (tmp_path / name).write_bytes(pack(jsonl({"text": "a"}) * 50))
    rows, faults = read_all(files.Params(path=str(tmp_path / name)), tmp_path)
    assert rows == []
    reason = f"{kind}, which its name does not say"
    assert [(fault.offset, fault.reason, fault.rest) for fault in faults] == [(0, reason, True)]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    rows, faults = read_all(files.Params(path=str(tmp_path / f"{name}.gz")), tmp_path)
    assert rows == []
    assert [(fault.offset, fault.reason, fault.rest) for fault in faults] == [(0, reason, True)]
    (tmp_path / name).write_bytes(b"")
    assert read_all(files.Params(path=str(tmp_path / name)), tmp_path)[0] == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_archives_bomb_stops_at_the_limit(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / name, {f"{n}.txt": bytes(2**20) for n in range(80)})
    rows, faults = read_all(files.Params(path=str(path)), tmp_path, stream_bytes=10 * 2**20)
    assert len(rows) <= 10
    assert faults[-1].rest
    assert all("limits.stream_bytes" in fault.reason for fault in faults)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_archives_truncated_give_what_they_can_and_one_fault(tmp_path: Path, name: str) -> None:
    members = {f"{n}.txt": f"{n} {'ทุกคน' * n}".encode() for n in range(60)}
    path = archive(tmp_path / name, members)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    rows, faults = read_all(files.Params(path=str(path)), tmp_path)
    assert contents(rows) == [content.decode() for content in members.values()][: len(rows)]
    assert faults[-1].rest
    assert len(faults) <= 2  # the member that was cut, and all after it


def test_files_languages_and_endings_tell_of_single_files(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<p>x")
    (tmp_path / "b.jsonl").write_bytes(jsonl({"text": "one", "l": "fr"}, {"text": "two"}))
    (tmp_path / "c").write_bytes(b"<a/>")
    pq.write_table(pa.table({"text": ["three"]}), tmp_path / "d.parquet")
    params = files.Params(
        path=[str(tmp_path / name) for name in ("a.html", "b.jsonl")],
        language_column="l",
        languages={"*": "sw"},
    )
    rows, _ = read_all(params, tmp_path)
    assert [(row["media_type"], row["declared_language"]) for row in rows] == [
        ("text/html", "sw"),
        ("text/plain", "fr"),
        ("text/plain", "sw"),
    ]
    params = files.Params(path=str(tmp_path / "d.parquet"), languages={"*.parquet": "sw"})
    assert read_all(params, tmp_path)[0][0]["declared_language"] == "sw"
    params = files.Params(path=str(tmp_path / "c"), media_type="application/xml")
    assert read_all(params, tmp_path)[0][0]["media_type"] == "application/xml"


def test_json_arrays_are_rows_and_lists_of_strings_texts(tmp_path: Path) -> None:
    value = [
        {"id": 1, "title": "關雎", "lines": ["關關雎鳩", "在河之洲"]},
        {"id": 2, "lines": "caf\udce9"},
        {"lines": None},
        {"lines": ["x", 3]},
        {},
        7,
    ]
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text))
    given = {"format": "json", "text_column": "lines", "id_column": "id", "title_column": "title"}
    params = files.Params(path=str(tmp_path / "a.json.gz"), **given)
    rows, faults = read_all(params, tmp_path)
    assert [(row["native_id"], row["content"], row["title"]) for row in rows] == [
        ("1", "關關雎鳩\n在河之洲".encode(), "關雎"),
        ("2", b"caf\xe9", None),
    ]
    assert [(fault.native_id, fault.reason) for fault in faults] == [
        ("a.json.gz#2", "text is no string"),
        ("a.json.gz#3", "text is no string"),
        ("a.json.gz#4", "no column 'lines'"),
        ("a.json.gz#5", "not a JSON object"),
    ]
    path = archive(
        tmp_path / "b.zip", {"x/a.json": text, "x/b.json": b"[", "x/c.json": b"[" * 99999}
    )
    rows, faults = read_all(files.Params(path=str(path), **given), tmp_path)
    assert len(rows) == 2
    assert [fault.reason for fault in faults[-2:]] == ["truncated JSON", "truncated JSON"]
    rows, faults = read_all(params, tmp_path, record_bytes=50)
    assert (rows, [fault.rest for fault in faults]) == ([], [True])
