"""JSON by orjson is JSON by Python's own parser: the same documents, the same faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.connector import Batches, Fault
from phloem.sources.formats import read_json, read_text
from phloem.sources.formats.read_text import Columns, parsed, parsed_exactly
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
    reason = f"record larger than {bound} bytes (limits.record_bytes)"
    expected = [
        (start, line) if len(line) <= bound else Fault(None, start, reason)
        for start, line in zip(starts, whole, strict=True)
    ]
    assert list(read_text.lines_of(iter(chunks), limits)) == expected[: None if whole[-1] else -1]


def test_batches_of_records_have_every_column_in_its_place() -> None:
    fields = {name: f"its {name}" for name in Record._fields} | {"content": b"\xff\0"}
    (batch,) = batches(iter([Record(**fields)]))  # type: ignore[arg-type]
    assert isinstance(batch, pa.RecordBatch)
    renamed = {"language": "declared_language"}
    assert batch.to_pylist() == [{renamed.get(name, name): v for name, v in fields.items()}]
