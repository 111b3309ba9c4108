"""JSON by orjson is JSON by Python's own parser: the same documents, the same faults."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.connector import Batches, Fault
from phloem.sources.connectors import files
from phloem.sources.formats import read_files, read_json, read_text, text_lines
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.read_text import parsed, parsed_exactly
from phloem.sources.limits import Limits
from phloem.sources.records import Record, batches

COLUMNS = Columns("text", "id", "lang", "title", "url", "text/plain")

# What parsers of JSON differ in, and what stands between its values.
PIECES = [
    *(b"NaN", b"-Infinity", b"1e400", b"-0", b"01", b"1.", b"-", b"true", b"True", b"null"),
    *(b"18446744073709551616", b"9" * 30, b"9" * 5000, b"9007199254740993.0", b"5e-324", b"1E+5"),
    *(b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *(b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\u0000", b"\\u 041", b"\\x41", b"\\/", b"\\"),
    *(b'"', b"'", b",", b":", b"{", b"}", b"[", b"]", b"//", b" ", b"\t", b"\r", b"\n", b"\n\n"),
    *(b"\0", b"\x0b", b"\x0c", b"\x1f", b"\x7f", b"\xc2\x85", b'"id"', b'"text"', b'"text":"a"'),
]
STRINGS = st.text(st.characters(exclude_categories=()), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """An object that may have a key more than once, written in one way or another."""
    keys = st.sampled_from(["text", "id", "lang", "title", "url"]) | STRINGS
    escaped = draw(st.booleans())
    pairs = [
        f"{json.dumps(key, ensure_ascii=escaped)}:{json.dumps(value, ensure_ascii=escaped)}"
        for key, value in draw(st.lists(st.tuples(keys, VALUES | STRINGS), max_size=6))
    ]
    return f"{{{','.join(pairs)}}}".encode("utf-8", "surrogatepass")


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Objects, put together as lines or as an array, some of them with pieces that do not fit."""
    first, between, last = draw(
        st.sampled_from([(b"", b"\n", b"\n"), (b"\xef\xbb\xbf", b"\r\n", b""), (b"[", b",", b"]")])
    )
    made = first + between.join(draw(st.lists(objects(), max_size=4))) + last
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=3)):
        at = draw(st.integers(0, len(made)))
        made = made[:at] + piece + made[at + draw(st.integers(0, 2)) :]
    return made


def outcome(found: Batches) -> list[Any]:
    """All that is read, in its order."""
    read: list[Any] = []
    for each in found:
        read += [each] if isinstance(each, Fault) else each.to_pylist()
    return read


def read_both(path: str) -> list[list[Any]]:
    lines = read_text.jsonl("a.jsonl", path, COLUMNS, (0, None), Limits())
    return [outcome(lines), outcome(read_json.json("a.json", path, COLUMNS, Limits()))]


def exactly(raw: bytes, _columns: Columns) -> Any:
    return parsed_exactly(raw)


def check_same(path: Path, made: bytes) -> list[list[Any]]:
    path.write_bytes(made)
    found = read_both(str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_text, "parsed", exactly)
        patch.setattr(read_json, "parsed", exactly)
        assert read_both(str(path)) == found
    return found


@settings(max_examples=400, deadline=None)
@given(texts())
def test_json_texts_are_read_as_by_the_parser_of_python(
    tmp_path_factory: pytest.TempPathFactory, made: bytes
) -> None:
    check_same(tmp_path_factory.getbasetemp() / "texts", made)


@pytest.mark.parametrize("piece", PIECES)
def test_json_each_hostile_piece_is_read_as_by_the_parser_of_python(
    tmp_path: Path, piece: bytes
) -> None:
    for line in (
        b'{"text":"a","id":%b}' % piece,
        b'{"text":"a%bb","id":1}' % piece,
        b'{"text":"a","id":{"in":[%b]}}' % piece,
        b'{"text":"a","id":2,"%b":"a"}' % piece,
        b'{"text":"a","id":3,"other":%b}' % piece,
        b'%b{"text":"a"}%b' % (piece, piece),
    ):
        check_same(tmp_path / "a", line)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (b"18446744073709551615", "18446744073709551615"),
        (b"18446744073709551616", "18446744073709551616"),
        (b"-9223372036854775809", "-9223372036854775809"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"[1e400, 99999999999999999999]", "[inf, 99999999999999999999]"),
        (b'{"a": 99999999999999999999}', "{'a': 99999999999999999999}"),
        (b"1.0", "1.0"),
        (b"-0", "0"),
        (b"NaN", "nan"),
    ],
)
def test_json_names_that_are_numbers_are_not_rounded(
    tmp_path: Path, number: bytes, name: str
) -> None:
    for found in check_same(tmp_path / "a", b'{"text":"a","id":%b}' % number):
        assert [row["native_id"] for row in found] == [name]


def test_json_nested_deeper_than_the_parser_of_python_goes_is_read() -> None:
    # Python's stops at about 990, less what called it: a run deeper in a program read less.
    assert parsed(b"[" * 1000 + b"]" * 1000, COLUMNS) is not None
    with pytest.raises((ValueError, RecursionError)):
        parsed(b"[" * 100_000 + b"]" * 100_000, COLUMNS)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=12) | st.just(b"\n") | st.just(b"x" * 30), max_size=8),
    st.integers(1, 40),
)
def test_lines_are_those_of_the_whole_however_it_comes(chunks: list[bytes], bound: int) -> None:
    limits = Limits(record_bytes=bound)
    whole = b"".join(chunks).split(b"\n")
    starts = [sum(len(line) + 1 for line in whole[:number]) for number in range(len(whole))]
    reason = f"record larger than {limits.told('record_bytes')}"
    expected = [
        (start, line) if len(line) <= bound else Fault(None, start, reason)
        for start, line in zip(starts, whole, strict=True)
    ]
    assert list(text_lines.lines_of(iter(chunks), limits)) == expected[: None if whole[-1] else -1]


def test_batches_of_records_have_every_column_in_its_place() -> None:
    fields = {name: f"its {name}" for name in Record._fields} | {"content": b"\xff\0"}
    (batch,) = batches(iter([Record(**fields)]))  # type: ignore[arg-type]
    assert isinstance(batch, pa.RecordBatch)
    renamed = {"language": "declared_language"}
    assert batch.to_pylist() == [{renamed.get(name, name): v for name, v in fields.items()}]


# Which form a file has, and what its bytes are in -------------------------------------------------
def read(path: Path, **limits: int) -> tuple[list[tuple[str, str]], list[tuple[int, str, bool]]]:
    """(native id, text) of each document of a file, and what gave none."""
    params = files.Params(path=str(path))
    pin = files.resolve(params)
    found = files.fetch(params, pin, path.parent)
    rows: list[tuple[str, str]] = []
    faults: list[tuple[int, str, bool]] = []
    for split in files.splits(params, pin, found):
        for batch in files.read(params, split, found, Limits(**limits)):
            if isinstance(batch, Fault):
                faults.append((batch.offset, batch.reason, batch.rest))
            else:
                columns = zip(
                    batch["native_id"].to_pylist(), batch["content"].to_pylist(), strict=True
                )
                rows += [(name, content.decode()) for name, content in columns]
    return rows, faults


A, B = '{"text": "सभी"}', '{"text": "二"}'
TEXTS = ["सभी", "二"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("content", "is_lines"),
    [
        (f"[{A}, {B}]", False),
        (f"[\n {A},\n {B}\n]\n", False),
        (f"\n\n  [{A},{B}]", False),
        (json.dumps([json.loads(A), json.loads(B)], indent=2), False),
        ("\n".join(json.dumps(json.loads(each), indent=1) for each in (A, B)), False),
        (f"{A[:-1]}\n}}{B}", False),
        (f"{A}\n{B}\n", True),
        (f"{A}\r\n\r\n{B}", True),
    ],
)
def test_files_that_end_in_json_are_read_as_they_begin(
    tmp_path: Path, content: str, is_lines: bool, encoding: str
) -> None:
    (tmp_path / "a.json").write_bytes(content.encode(encoding))
    rows, faults = read(tmp_path / "a.json")
    assert ([text for _, text in rows], faults) == (TEXTS, [])
    names = [name for name, _ in rows]
    assert names == ["a.json#0", "a.json#1"] if not is_lines else "@" in names[1]
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(content.encode(encoding)))
    assert [text for _, text in read(tmp_path / "a.json.gz")[0]] == TEXTS


def test_json_that_is_none_is_told_once_and_lines_one_by_one(tmp_path: Path) -> None:
    for content, texts, reasons in [
        ('{\n "data": [\n  {"text": "a"}\n ]\n}\n', [], ["no column 'text'"]),
        (f"[{A}, ", TEXTS[:1], ["truncated JSON"]),
        (f"[{A}]\n[{B}", TEXTS, ["truncated JSON"]),
        (f"[{A},\n{B[:-1]}", TEXTS[:1], ["truncated JSON"]),
        (f"[{A},\n{B},]", TEXTS, ["not JSON"]),
        (f"[{A},\n{B}]]", TEXTS, ["not JSON"]),
        (f"[{A},\n{B} {A}]", TEXTS, ["not JSON"]),
        (f"[{A},\n{{}},{{1}},{B}]", TEXTS[:1], ["no column 'text'", "not JSON"]),
        (f'[{{"a": {"[" * 5000}{"]" * 5000}}}, {A}]', TEXTS[:1], ["JSON nested too deep"]),
        (f'[7, "a\\"]", {A}]', TEXTS[:1], ["not a JSON object"] * 2),
        (f'{{"text": "a"\n{A}\n{B}\n', TEXTS, ["not JSON"]),
        ("", [], []),
        (" \n", [], []),
    ]:
        (tmp_path / "a.json").write_text(content, encoding="utf-8")
        rows, faults = read(tmp_path / "a.json")
        assert ([text for _, text in rows], [reason for _, reason, _ in faults]) == (texts, reasons)


@pytest.mark.parametrize(
    "content",
    [
        f"[{A}, {B}]",
        f"[\n {A},\n {B}\n]\n",
        f"[{A}]\n[{B}]\n",
        f"{A}{B}",
        f"{A} {B}\n",
        f"{A[:-1]}\n}}\n{B}",
    ],
)
def test_files_that_end_in_jsonl_and_are_no_lines_are_read_as_they_begin(
    tmp_path: Path, content: str
) -> None:
    for name in ("a.jsonl", "a.json"):
        (tmp_path / name).write_text(content, encoding="utf-8")
        rows, faults = read(tmp_path / name)
        assert ([text for _, text in rows], faults) == (TEXTS, [])
    (tmp_path / "a.jsonl").write_text(f"[1]\n{A}\n", encoding="utf-8")
    assert [text for _, text in read(tmp_path / "a.jsonl")[0]] == TEXTS[:1]


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES.map(lambda value: json.dumps(value, ensure_ascii=False)), max_size=5))
def test_json_values_of_an_array_are_those_that_the_parser_of_python_gives(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    """However the bytes come, and whatever stands in strings."""
    path = tmp_path_factory.getbasetemp() / "a.json"
    path.write_bytes(f"[{', '.join(values)}]".encode("utf-8", "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_json, "CHUNK", 1)
        source = read_json._Source(iter([bytes([byte]) for byte in path.read_bytes()]), Limits())
        found = [parsed_exactly(raw) for _, raw in read_json._values(source)]
    assert str(found) == str([parsed_exactly(v.encode("utf-8", "surrogatepass")) for v in values])


def test_json_array_is_held_value_by_value(tmp_path: Path) -> None:
    row = json.dumps({"text": "x" * 100_000})
    (tmp_path / "a.json").write_text(f"[{', '.join([row] * 600)}]")
    tracemalloc.start()
    for batch in read_json.json("a.json", str(tmp_path / "a.json"), COLUMNS, Limits()):
        assert isinstance(batch, pa.RecordBatch)
    assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    tracemalloc.stop()
    large = f"[{A}, {row}, {B}]"
    (tmp_path / "a.json").write_text(large, encoding="utf-8")
    rows, faults = read(tmp_path / "a.json", record_bytes=1000)
    reason = "record larger than 1000 bytes (limits.record_bytes)"
    assert ([text for _, text in rows], faults) == (
        TEXTS[:1],
        [(large.index(row) + len(A.encode()) - len(A), reason, True)],
    )


def test_json_lines_of_a_large_file_are_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text(f"{A}\n{B}\n" * 50, encoding="utf-8")
    whole = read(tmp_path / "a.json")
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 100)
    params = files.Params(path=str(tmp_path / "a.json"))
    pin = files.resolve(params)
    assert len(files.splits(params, pin, files.fetch(params, pin, tmp_path))) > 10
    assert read(tmp_path / "a.json") == whole
    (tmp_path / "a.json").write_bytes((f"{A}\n{B}\n" * 50).encode("utf-16"))
    assert read(tmp_path / "a.json") == whole


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-le", "utf-16-be", "utf-32-be"])
def test_wide_encodings_are_read_as_utf8(tmp_path: Path, encoding: str, mark: str) -> None:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_bytes((mark + text).encode(encoding))
        return tmp_path / name

    assert [text for _, text in read(write("a.jsonl", f"{A}\n{B}\n"))[0]] == TEXTS
    assert [text for _, text in read(write("a.csv", 'n,text\n1,"सभी"\n2,二\n'))[0]] == TEXTS
    assert [text for _, text in read(write("a.tsv", "n\ttext\n1\tसभी\n2\t二\n"))[0]] == TEXTS
    half = write("b.jsonl", f"{A}\n{B}\n")
    half.write_bytes(half.read_bytes()[:-1])
    assert [text for _, text in read(half)[0]] == TEXTS[:1]
    assert read(half)[1] == [(len(f"{A}\n".encode()), "not JSON", False)]


@pytest.mark.parametrize("digits", [4300, 4301, 50_000])
def test_a_number_of_any_length_stands_in_no_texts_way(tmp_path: Path, digits: int) -> None:
    number = "7" * digits
    rows = [
        f'{{"text": "a", "n": {number}}}',
        f'{{"text": "b", "n": -{number}}}',
        f'{{"text": {number}}}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    found, faults = read(tmp_path / "a.jsonl")
    assert [text for _, text in found] == ["a", "b"]
    assert [reason for _, reason, _ in faults] == ["text is no string"]
    value = parsed(f'{{"id": {number}}}'.encode(), COLUMNS)
    assert str(value["id"]) == number
