"""What a document of plain text is: the same however the file is cut, packed or put away."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from phloem.sources.connector import Fault, Json
from phloem.sources.connectors import files
from phloem.sources.formats import read_files, read_plain
from phloem.sources.limits import Limits

SAID = ["Wote", "huru.", "ƐN BƐ", "ทุกคน", "人人", "%", " % ", "%%", "</doc>", "", " \t", "a\r"]
ENDS: list[tuple[Json, Callable[[int, str], bool]]] = [
    ("line", lambda _, __: True),
    ({"lines": 1}, lambda _, __: True),
    ({"lines": 3}, lambda number, _: number % 3 == 0),
    ({"lines": 7}, lambda number, _: number % 7 == 0),
]
MARKS: list[tuple[Json, str]] = [
    ("paragraph", ""),
    ({"separator": "%"}, "%"),
    ({"separator": "</doc>"}, "</doc>"),
]


def read(folder: Path, name: str, documents: Json, **limits: int) -> list[tuple[str, str]]:
    """The native id and text of each document of a file, and each fault's place and reason."""
    params = files.Params(path=str(folder / name), documents=documents)
    pin = files.resolve(params)
    held = files.fetch(params, pin, folder)
    found: list[tuple[str, str]] = []
    for split in files.splits(params, pin, held):
        for each in files.read(params, split, held, Limits(**limits)):
            if isinstance(each, Fault):
                found.append((f"fault@{each.offset}", each.reason))
            else:
                found += [(row["native_id"], row["content"].decode()) for row in each.to_pylist()]
    return found


def reference(lines: list[str], documents: Json) -> list[tuple[int, str]]:
    """Where each document begins, and its text, told as simply as can be."""
    mark, ends = dict_of(MARKS, documents), dict_of(ENDS, documents)
    groups: list[list[tuple[int, str]]] = [[]]
    at = 0
    for number, line in enumerate(lines, start=1):
        if mark is not None and line.strip() == mark:
            groups.append([])
        else:
            groups[-1].append((at, line))
            if ends is not None and ends(number, line):
                groups.append([])
        at += len(line.encode()) + 1
    return [
        (group[0][0], "\n".join(line for _, line in group))
        for group in groups
        if any(line.strip() for _, line in group)
    ]


def dict_of(pairs: Any, documents: Json) -> Any:
    return next((value for said, value in pairs if said == documents), None)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.sampled_from(SAID), max_size=24),
    size=st.integers(1, 60),
    documents=st.sampled_from([said for said, _ in [*ENDS, *MARKS]]),
    ended=st.booleans(),
)
def test_documents_are_those_of_the_reference_wherever_a_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    size: int,
    documents: Json,
    ended: bool,
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    content = ("\n".join(lines) + "\n" * ended).encode()
    (folder / "a.txt").write_bytes(content)
    (folder / "a.txt.gz").write_bytes(gzip.compress(content))
    with tarfile.open(folder / "b.tar", "w") as archive:
        member = tarfile.TarInfo("in/a.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    said = content.decode()
    there = (said if "\n" in said else said.replace("\r", "\n")).split("\n")
    expected = reference(there if there[-1] else there[:-1], documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_files, "SPLIT_BYTES", size)
        for name, stem in (
            ("a.txt", "a.txt"),
            ("a.txt.gz", "a.txt.gz"),
            ("b.tar", "b.tar/in/a.txt"),
        ):
            told = [(f"{stem}@{at}", text) for at, text in expected]
            assert read(folder, name, documents) == told


@pytest.mark.parametrize("documents", [{"lines": 2}, {"separator": "%"}, "line"])
@pytest.mark.parametrize("size", [5, 30, 2**20])
def test_documents_that_are_too_large_or_hold_such_a_line_are_one_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: Json, size: int
) -> None:
    monkeypatch.setattr(read_files, "SPLIT_BYTES", size)
    mark = "%\n" if documents == {"separator": "%"} else ""
    parts = ["ab\ncd\n", "x" * 40 + "\nef\n", "1234567890\n1234567890\n", "gh\nij\n"]
    (tmp_path / "a.txt").write_bytes(mark.join(parts).encode())
    found = read(tmp_path, "a.txt", documents, record_bytes=16)
    large = [name for name, reason in found if "larger than" in reason]
    if documents == "line":
        assert large == ["fault@6"]
        assert [text for name, text in found if name not in large] == [
            *("ab", "cd", "ef", "1234567890", "1234567890", "gh", "ij"),
        ]
    else:
        assert large == [f"fault@{6 + len(mark)}", f"fault@{50 + 2 * len(mark)}"]
        assert [text for name, text in found if name not in large] == ["ab\ncd", "gh\nij"]


def test_documents_of_lines_are_cut_where_they_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(300_000)))
    cuts = read_plain.bounds(str(path), read_plain.Lines(lines=7), 2**19)
    content = path.read_bytes()
    assert len(cuts) == 4
    assert [content[:at].count(b"\n") % 7 for at in cuts] == [0] * 4
    assert all(content[at - 1 : at] == b"\n" for at in cuts[1:])


def test_documents_of_utf_16_are_lines_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 9)
    (tmp_path / "a.txt").write_bytes("Wote\nหนึ่ง\nhuru\n".encode("utf-16"))
    assert [text for _, text in read(tmp_path, "a.txt", {"lines": 2})] == ["Wote\nหนึ่ง", "huru"]


def test_documents_of_a_file_with_carriage_returns_alone_are_lines_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_files, "SPLIT_BYTES", 9)
    content = "Wote\rหนึ่ง\r\rhuru\r".encode()
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(content))
    for name in ("a.txt", "b.txt.gz"):
        assert [text for _, text in read(tmp_path, name, "line")] == ["Wote", "หนึ่ง", "huru"]
        assert [text for _, text in read(tmp_path, name, "paragraph")] == ["Wote\nหนึ่ง", "huru"]
        assert [text for _, text in read(tmp_path, name, "file")] == [content.decode()]


@pytest.mark.parametrize(
    "documents", ["lines", {"lines": 0}, {"separator": ""}, {"separator": "a\nb"}, {"rows": 3}, 5]
)
def test_documents_of_no_known_kind_are_refused(documents: Json) -> None:
    with pytest.raises(ValidationError, match="documents"):
        files.Params(path="a.txt", documents=documents)
