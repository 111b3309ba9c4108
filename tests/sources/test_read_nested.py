"""Columns inside columns, and what a record says of its licence, in every format that has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phloem.catalog.licenses import PUBLIC_DOMAIN, UNKNOWN_LICENSE
from phloem.sources.connector import Fault, Pin, PinnedFile, SourceError
from phloem.sources.connectors import files
from phloem.sources.formats import read_files
from phloem.sources.formats.stated_license import stated
from phloem.sources.limits import Limits

Rows = list[dict[str, Any]]


def _parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


def _arrow(path: Path, rows: Rows) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(path, table.schema) as out:
        out.write_table(table, max_chunksize=2)


def _jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False))


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "a.parquet": _parquet,
    "a.arrow": _arrow,
    "a.jsonl": _jsonl,
    "a.json": _json,
}
every_format = pytest.mark.parametrize("name", WRITERS)


def read(path: Path, **params: Any) -> tuple[Rows, list[Fault]]:
    """The documents of a file, and the faults."""
    held = files.Params(path=str(path), **params)
    pin, place = Pin("1", (PinnedFile(path.name, "0" * 64, path.stat().st_size),)), str(path)
    found = [
        each
        for split in read_files.splits(held, pin, {path.name: place})
        for each in read_files.read(held, split, {path.name: place}, Limits())
    ]
    rows = [row for each in found if not isinstance(each, Fault) for row in each.to_pylist()]
    return rows, [each for each in found if isinstance(each, Fault)]


PAIRS: Rows = [
    {"id": 1, "translation": {"sw": "Wote wamezaliwa huru.", "en": "All", "of": {"by": "Amina"}}},
    {"id": 2, "translation": {"sw": "Ɔwɔ", "en": None, "of": None}},
    {"id": 3, "translation": {"sw": None, "en": "Nobody", "of": {"by": None}}},
    {"id": 4, "translation": {"sw": "सभी मनुष्य", "en": "", "of": {"by": "ทุกคน"}}},
]


@every_format
def test_nested_text_is_had_by_its_path(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, PAIRS)
    rows, faults = read(
        tmp_path / name,
        text_column="translation.sw",
        id_column="id",
        title_column="translation.of.by",
    )
    assert [(row["native_id"], row["content"].decode(), row["title"]) for row in rows] == [
        ("1", "Wote wamezaliwa huru.", "Amina"),
        ("2", "Ɔwɔ", None),
        ("4", "सभी मनुष्य", "ทุกคน"),
    ]
    assert [fault.native_id for fault in faults] == ["3"]


@every_format
def test_nested_text_in_what_is_null_is_a_fault_and_the_others_stay(
    tmp_path: Path, name: str
) -> None:
    WRITERS[name](tmp_path / name, [{"a": {"b": "one"}}, {"a": None}, {"a": {"b": "two"}}])
    rows, faults = read(tmp_path / name, text_column="a.b")
    assert [row["content"] for row in rows] == [b"one", b"two"]
    assert len(faults) == 1


@every_format
def test_nested_a_column_of_that_very_name_comes_first(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"a": {"b": "inside"}, "a.b": "itself"}])
    assert [row["content"] for row in read(tmp_path / name, text_column="a.b")[0]] == [b"itself"]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl"])
def test_nested_path_that_is_misspelt_is_told_with_the_nearest(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, PAIRS)
    with pytest.raises(SourceError, match=r"no column 'translation.sv'.*translation\.sw"):
        read(tmp_path / name, text_column="translation.sv")
    with pytest.raises(SourceError, match=r"no column 'translation.sw.x'"):
        read(tmp_path / name, text_column="translation.sw.x")


def test_nested_columns_alone_are_read_of_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _parquet(tmp_path / "a.parquet", PAIRS)
    asked: list[list[str]] = []
    batches = pq.ParquetFile.iter_batches

    def seen(self: Any, size: int, groups: list[int], columns: list[str]) -> Any:
        found = list(batches(self, size, groups, columns))
        asked.extend([field.name for field in each.schema.field(0).type] for each in found)
        return found

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", seen)
    read(tmp_path / "a.parquet", text_column="translation.sw")
    assert asked == [["sw"], ["sw"]]


def test_nested_columns_of_a_table_that_is_damaged_raise_nothing(tmp_path: Path) -> None:
    _arrow(tmp_path / "a.arrow", PAIRS * 9)
    content = (tmp_path / "a.arrow").read_bytes()
    for at in range(8, len(content), 61):
        (tmp_path / "b.arrow").write_bytes(content[:at] + b"\xff\x7f" + content[at + 2 :])
        try:
            read(tmp_path / "b.arrow", text_column="translation.sw", title_column="translation.en")
        except SourceError:
            continue


BY = "https://creativecommons.org/licenses/by/4.0/"
SAID = {
    "CC-BY-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-sa 3.0": "CC-BY-SA-3.0",
    " CC BY  4.0": "CC-BY-4.0",
    "CC BY NC ND 4.0": "CC-BY-NC-ND-4.0",
    "CC BY-SA": UNKNOWN_LICENSE,
    "CC BY 3.0 US": UNKNOWN_LICENSE,
    "CC BY 4.0, MIT": UNKNOWN_LICENSE,
    "CC BY SA NC 4.0": UNKNOWN_LICENSE,
    "MIT OR apache-2.0": "MIT OR Apache-2.0",
    "GPL-2.0+": "GPL-2.0-or-later",
    BY: "CC-BY-4.0",
    "http://creativecommons.org/licenses/by-nc-nd/3.0/deed.es": "CC-BY-NC-ND-3.0",
    f"Creative Commons - Attribution - {BY}": "CC-BY-4.0",
    f"<a href='{BY}'>": "CC-BY-4.0",
    "creativecommons.org/publicdomain/zero/1.0": "CC0-1.0",
    "https://creativecommons.org/licenses/by/3.0/us/": UNKNOWN_LICENSE,
    f"{BY} or https://creativecommons.org/licenses/by-nc/4.0/": UNKNOWN_LICENSE,
    "Public Domain": PUBLIC_DOMAIN,
    " public-domain": PUBLIC_DOMAIN,
    "In the public domain": PUBLIC_DOMAIN,
    "Public Domain in the USA": UNKNOWN_LICENSE,
    "not public domain": UNKNOWN_LICENSE,
    "Public Domain, MIT": UNKNOWN_LICENSE,
    "LicenseRef-public-domain": UNKNOWN_LICENSE,
    "MIT AND LicenseRef-scancode-public-domain": UNKNOWN_LICENSE,
    "All rights reserved": UNKNOWN_LICENSE,
    "MIT License": UNKNOWN_LICENSE,
    "https://example.org/licenses/by/4.0/": UNKNOWN_LICENSE,
    "(" * 3000: UNKNOWN_LICENSE,
    "MIT OR " * 999 + "MIT": UNKNOWN_LICENSE,
    "": UNKNOWN_LICENSE,
}


@pytest.mark.parametrize("said", [*SAID, None])
def test_license_is_an_spdx_expression_an_address_or_unknown(said: str | None) -> None:
    assert stated(said) == (SAID[said] if said is not None else UNKNOWN_LICENSE)


@every_format
def test_license_of_each_record_is_that_of_its_column(tmp_path: Path, name: str) -> None:
    said = ["cc-by-4.0", f"Creative Commons - Attribution - {BY}", "Public Domain", None]
    rows = [{"text": f"text {n}", "metadata": {"license": each}} for n, each in enumerate(said)]
    WRITERS[name](tmp_path / name, rows)
    found, faults = read(tmp_path / name, license_column="metadata.license")
    expected = ["CC-BY-4.0", "CC-BY-4.0", PUBLIC_DOMAIN, UNKNOWN_LICENSE]
    assert [row["license"] for row in found] == expected
    assert faults == []
    assert [row["license"] for row in read(tmp_path / name)[0]] == [None] * 4


def test_license_of_a_csv_row_is_that_of_its_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,terms\none,CC0-1.0\ntwo,\nthree,mine\n")
    found, _ = read(tmp_path / "a.csv", license_column="terms")
    assert [row["license"] for row in found] == ["CC0-1.0", UNKNOWN_LICENSE, UNKNOWN_LICENSE]
    with pytest.raises(SourceError, match="no column 'term'"):
        read(tmp_path / "a.csv", license_column="term")


@every_format
def test_license_may_stand_in_a_column_that_is_named_twice(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"text": "one", "url": BY}])
    found, _ = read(tmp_path / name, license_column="url", url_column="url")
    assert [(row["license"], row["url"]) for row in found] == [("CC-BY-4.0", BY)]


POEMS: Rows = [
    {"id": 1, "by": {"lines": ["床前明月光，", "疑是地上霜。"]}},
    {"id": 2, "by": {"lines": []}},
    {"id": 3, "by": {"lines": ["ꓡꓲꓢꓴ", "", "Ɛyɛ\nyiye"]}},
    {"id": 4, "by": {"lines": None}},
    {"id": 5, "by": {"lines": ["मनुष्य", None]}},
]


@every_format
def test_a_text_that_is_a_list_of_strings_has_them_as_its_lines(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, POEMS)
    rows, faults = read(tmp_path / name, text_column="by.lines", id_column="id")
    assert {row["native_id"]: row["content"].decode() for row in rows} == {
        "1": "床前明月光，\n疑是地上霜。",
        "2": "",
        "3": "ꓡꓲꓢꓴ\n\nƐyɛ\nyiye",
    }
    assert [fault.native_id for fault in faults] == ["4", "5"]


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.large_string()), pa.large_list(pa.string()), pa.large_list(pa.large_string())],
)
def test_lists_of_any_width_are_put_together(tmp_path: Path, kind: pa.DataType) -> None:
    lines = pa.array([["ɖò", "nùkún"], None, ["mɛ"]], kind)
    with pa.ipc.new_file(tmp_path / "a.arrow", pa.schema({"text": kind})) as out:
        out.write_table(pa.table({"text": lines}))
    rows, (fault,) = read(tmp_path / "a.arrow")
    assert [row["content"].decode() for row in rows] == ["ɖò\nnùkún", "mɛ"]
    assert fault.reason == "null text"


def test_lists_whose_places_lie_are_a_fault_and_lead_nowhere_outside(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    _arrow(path, [{"text": ["Watu", "wote"]}, {"text": ["huru"]}])
    places = np.array([0, 2, 3], np.int32).tobytes()  # of the two lists among the three strings
    whole = path.read_bytes()
    assert whole.count(places) == 1
    for wrong in ([0, 2, 900_000], [0, 3, 1], [-5, 2, 3]):
        path.write_bytes(whole.replace(places, np.array(wrong, np.int32).tobytes()))
        rows, faults = read(path)
        assert rows == []
        assert {fault.reason for fault in faults} == {"broken Arrow file"}
