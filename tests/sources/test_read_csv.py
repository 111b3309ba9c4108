"""Reading CSV whose quotes or ends of lines are damaged: no row is lost without being told."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from csv import QUOTE_ALL, QUOTE_MINIMAL, writer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from phloem.sources.connector import Fault, Pin, SourceError
from phloem.sources.connectors import files
from phloem.sources.formats import read_csv
from phloem.sources.formats.formats import columns_of
from phloem.sources.limits import Limits

PARAMS = files.Params(path="unused")
CLOSED_LATER = "quote closed lines later, amid text"


def read(
    folder: Path, content: bytes, name: str = "a.csv", **limits: int
) -> tuple[list[tuple[str, bytes]], list[Fault]]:
    """The (native id, text) of each row of a file, and its faults."""
    (folder / name).write_bytes(content)
    found = list(read_csv.csv(name, str(folder / name), columns_of(PARAMS, name), Limits(**limits)))
    rows = [row for batch in found if not isinstance(batch, Fault) for row in batch.to_pylist()]
    faults = [each for each in found if isinstance(each, Fault)]
    return [(row["native_id"], row["content"]) for row in rows], faults


def told(faults: list[Fault]) -> list[tuple[int, str, bool]]:
    return [(fault.offset, fault.reason, fault.rest) for fault in faults]


HEAD = b"id,text\n1,one\n"
AT = len(HEAD)
SEVERAL: dict[str, tuple[bytes, str]] = {
    "to the end": (b'2,"two\n3,three\n4,four\n', "quote never closed"),
    "in the last row": (b'2,"two\n', "quote never closed"),
    "in the last bytes": (b'2,"', "quote never closed"),
    "to the next quote": (b'2,"two\n3,three\n4,"four"\n5,five\n', CLOSED_LATER),
    "of a row of two lines": (b'2,"two\nlines"x\n3,three\n', CLOSED_LATER),
    "and fields too many": (
        b'2,"two\n3,",three"\n4,four\n',
        "3 fields over several lines where the header has 2",
    ),
    "and fields too few": (
        b'"2,two\n3,three"\n4,four\n',
        "1 fields over several lines where the header has 2",
    ),
    "with NUL bytes": (b'2,"t\0wo\n3,three\n4,"\0four"\n', CLOSED_LATER),
    "of bytes that are no UTF-8": (b'2,"t\xffwo\n3,three\n', "quote never closed"),
}


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("name", SEVERAL)
def test_wrong_row_of_several_lines_stands_for_the_rest(
    tmp_path: Path, name: str, ends: bytes
) -> None:
    rest, reason = SEVERAL[name]
    content = (HEAD + rest).replace(b"\n", ends)
    rows, faults = read(tmp_path, content)
    at = len(HEAD.replace(b"\n", ends))
    assert [text for _, text in rows] == [b"one"]
    assert told(faults) == [(at, reason, True)]
    assert [fault.native_id for fault in faults] == [f"a.csv@{at}"]


def test_carriage_returns_that_may_end_rows_stand_for_the_rest(tmp_path: Path) -> None:
    rows, faults = read(tmp_path, HEAD + b"2,two\r3,three\r4,four\n5,five\n")
    assert [text for _, text in rows] == [b"one", b"five"]
    assert told(faults) == [(AT, "carriage return outside quotes", True)]


def test_one_carriage_return_costs_its_own_line_alone(tmp_path: Path) -> None:
    """As `csv.writer` writes a field that holds one, where lines end in newlines."""
    lines = [b"%d,text %d\n" % (n, n) for n in range(3, 1000)]
    rows, faults = read(tmp_path, HEAD + b"2,10%\r50%\r100% done\n" + b"".join(lines))
    assert len(rows) == 1 + len(lines)
    assert told(faults) == [(AT, "carriage return outside quotes", True)]
    opened = b'2,10%\r50%,"text\n' + b"".join(lines)
    rows, faults = read(tmp_path, HEAD + opened)
    assert [text for _, text in rows] == [b"one"]
    assert told(faults) == [(AT, "carriage return outside quotes", True)]


@pytest.mark.parametrize("head", [b"id,text", b'id,text\n1,a\n2,"b" c'])
def test_carriage_returns_without_end_take_one_look(tmp_path: Path, head: bytes) -> None:
    """A million took hours: each was looked at from each of those before it."""
    rows, faults = read(tmp_path, head + b"\r" * 1_000_000 + b"\n3,c\n")
    assert len(rows) + len(faults) >= 1


@pytest.mark.parametrize("mark", [b"\t", b";"])
def test_quote_never_closed_is_told_whatever_the_delimiter(tmp_path: Path, mark: bytes) -> None:
    content = (HEAD + b'2,"two\n3,three\n').replace(b",", mark)
    rows, faults = read(tmp_path, content, "a.tsv")
    assert [text for _, text in rows] == [b"one"]
    assert told(faults) == [(AT, "quote never closed", True)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b'2,"two" or "three"\n', "text after a closing quote"),
        (b'2,"5" wide"\n', "text after a closing quote"),
        (b"2,two,too\n", "3 fields where the header has 2"),
        (b"2\n", "1 fields where the header has 2"),
    ],
)
def test_wrong_row_of_one_line_is_one_record_and_reading_goes_on(
    tmp_path: Path, wrong: bytes, reason: str
) -> None:
    rows, faults = read(tmp_path, HEAD + wrong + b'3,"three\nlines"\n')
    assert [text for _, text in rows] == [b"one", b"three\nlines"]
    assert told(faults) == [(AT, reason, False)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'id,"text\n1,one\n2,two\n', "quote never closed"),
        (b'id,"text\n1,"one"\n2,two\n', CLOSED_LATER),
        (b'id,"text"s\ntext,id\n2,two\n', "text after a closing quote"),
        (b'id,"text\n1,one"\n2,two\n', "header over several lines without column 'text'"),
        (b"x" * 400 + b",text\n1,one\n", "record larger than 300 bytes (limits.record_bytes)"),
    ],
)
def test_wrong_header_stands_for_the_whole_file(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    rows, faults = read(tmp_path, content, record_bytes=300)
    assert rows == []
    assert told(faults) == [(0, reason, True)]
    read_csv.check_columns("a.csv", str(tmp_path / "a.csv"), columns_of(PARAMS, "a.csv"))


def test_column_of_two_lines_is_a_column_and_a_missing_one_is_still_an_error(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, b'"the\nid",text\n1,one\n') == ([("a.csv@14", b"one")], [])
    read(tmp_path, b"id,texts\n1,one\n")
    with pytest.raises(SourceError, match="did you mean texts"):
        read_csv.check_columns("a.csv", str(tmp_path / "a.csv"), columns_of(PARAMS, "a.csv"))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_lines_end_as_the_first_one_does_and_fields_keep_their_own(
    tmp_path: Path, end: bytes
) -> None:
    lines = [b"id,text", b"1,one", b'2,"two\rlines\nand\r\nmore"', b"", b"3,three"]
    for last in (end, b""):
        rows, faults = read(tmp_path, end.join(lines) + last)
        assert [text for _, text in rows] == [b"one", b"two\rlines\nand\r\nmore", b"three"]
        assert faults == []
        assert rows[-1][0] == f"a.csv@{len(end.join(lines)) - len(lines[-1])}"


@pytest.mark.parametrize(
    "long",
    [
        b'2,"' + b"x" * 400 + b'"\n',
        b'2,"two\n' + b"x" * 400 + b'\nlines"\n',
        b'2,"' + b"two\n" * 100 + b'"\n',
        b'2,"two\n' + b"x" * 200 + b"\n" + b"x" * 200 + b"\n",
    ],
    ids=["line", "line of a row", "row", "open"],
)
def test_row_over_the_limit_gives_no_part_of_it_and_stands_for_the_rest(
    tmp_path: Path, long: bytes
) -> None:
    rows, faults = read(tmp_path, HEAD + long + b"3,three\n", record_bytes=300)
    assert [text for _, text in rows] == [b"one"]
    assert told(faults) == [(AT, "record larger than 300 bytes (limits.record_bytes)", True)]


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}
MANY = HEAD + b'2,"two\n' + b"".join(b"%d,line of text %d\n" % (n, n**5) for n in range(9999))


@pytest.mark.parametrize("ending", PACKERS)
def test_stream_that_breaks_in_an_open_quote_is_one_fault_that_names_the_row(
    tmp_path: Path, ending: str
) -> None:
    packed = PACKERS[ending](MANY)
    rows, faults = read(tmp_path, packed, f"a.csv{ending}")
    assert [text for _, text in rows] == [b"one"]
    assert told(faults) == [(AT, "quote never closed", True)]
    rows, faults = read(tmp_path, packed[: len(packed) * 2 // 3], f"a.csv{ending}")
    assert [fault.reason.partition(" ")[0] for fault in faults] == ["truncated"]
    assert faults[0].rest
    if rows:  # a bzip2 block may give nothing of what it holds
        assert (rows[0][1], faults[0].native_id) == (b"one", f"a.csv{ending}@{AT}")


def archive(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, content in members.items():
                out.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_open_quote_in_a_member_leaves_the_other_members(tmp_path: Path, name: str) -> None:
    members = {"x.csv": HEAD, "y.csv": MANY, "z.csv": HEAD}
    params = files.Params(path=str(archive(tmp_path / name, members)))
    pin: Pin = files.resolve(params)
    fetched = files.fetch(params, pin, tmp_path)
    rows: list[Any] = []
    faults = []
    for split in files.splits(params, pin, fetched):
        for found in files.read(params, split, fetched, Limits()):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    assert [row["native_id"] for row in rows] == [f"{name}/{m}@8" for m in members]
    assert told(faults) == [(AT, "quote never closed", True)]
    assert [fault.file for fault in faults] == [f"{name}/y.csv"]


# Any one quote more or less ----------------------------------------------------------------------
# Texts begin and end with a letter, as most do: a quote that closes before a delimiter or at the
# end of a line by chance makes rows that are well-formed, and no reader can know.
WORDS = st.text("ab,;\n\r\"' ü", max_size=12).map(lambda text: f"t{text}t")


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int, bytes]], int]:
    """A file with a quote more or less; (start, end, text) of its rows; number of the damaged."""
    texts = draw(st.lists(WORDS, min_size=1, max_size=6))
    end, delimiter = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(",;\t"))
    style = draw(st.sampled_from([QUOTE_ALL, QUOTE_MINIMAL]))
    out = io.StringIO()
    put = writer(out, delimiter=delimiter, quoting=style, lineterminator=end)
    put.writerow(["id", "text"])
    spans = []
    for number, text in enumerate(texts):
        start = len(out.getvalue().encode())
        put.writerow([f"r{number}", text])
        spans.append((start, len(out.getvalue().encode()), text.encode()))
    content = out.getvalue().encode()
    place = draw(st.integers(spans[0][0], len(content) - 1))
    quotes = [n for n in range(spans[0][0], len(content)) if content[n : n + 1] == b'"']
    if quotes and draw(st.booleans()):
        place = draw(st.sampled_from(quotes))
        changed, by = content[:place] + content[place + 1 :], -1
    else:
        changed, by = content[:place] + b'"' + content[place:], 1
    hit = next(n for n, span in enumerate(spans) if span[0] <= place < span[1])
    moved = [
        (start + by * (n > hit), stop + by * (n >= hit), text)
        for n, (start, stop, text) in enumerate(spans)
    ]
    return changed, moved, hit


@settings(max_examples=500, deadline=None)
@given(given_file=damaged())
def test_one_quote_more_or_less_loses_no_other_row_without_telling(
    tmp_path_factory: pytest.TempPathFactory,
    given_file: tuple[bytes, list[tuple[int, int, bytes]], int],
) -> None:
    content, spans, hit = given_file
    rows, faults = read(tmp_path_factory.mktemp("csv"), content)
    texts = {int(native_id.partition("@")[2]): text for native_id, text in rows}
    rests = [fault.offset for fault in faults if fault.rest]
    # A rest behind which something was met is that of a line with a carriage return alone.
    met = [*texts, *(fault.offset for fault in faults)]
    unread = [rest for rest in rests if rest == max(met)]
    for number, (start, end, text) in enumerate(spans):
        if number == hit:
            continue
        whole = texts.pop(start, None)
        told_of = any(start <= rest < end for rest in rests) or any(r < end for r in unread)
        assert whole == text or (whole is None and told_of)
    begin, end, _ = spans[hit]
    assert all(begin <= place < end for place in texts)  # no garbage but what the hit row gives


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.tsv", b"text\na, b\nc; d\n", [b"a, b", b"c; d"]),
        ("a.tsv.gz", gzip.compress(b"text\na, b\n", mtime=0), [b"a, b"]),
        ("a.tsv", b"text\ta, b, and c\nx, y\t1\n", [b"x, y"]),
        ("a.tsv", b"id,text\n1,x\n", [b"x"]),
        ("a.csv", b'text,"a;b;c\td\te\tf"\nx,1\n', [b"x"]),
        ("a.csv", b"text\nx; y\n", [b"x; y"]),
    ],
)
def test_delimiter_is_told_by_the_name_and_by_the_header_outside_quotes(
    tmp_path: Path, name: str, content: bytes, texts: list[bytes]
) -> None:
    rows, faults = read(tmp_path, content, name)
    assert ([text for _, text in rows], faults) == (texts, [])


# Without a header --------------------------------------------------------------------------------

SENTENCES = (
    b'1\tfra\tBonjour, Tom, \xc3\xa7a va ?\n2\teng\t"Hello," he said, "Tom."\n3\tswh\tWote; huru\n'
)


def headless(folder: Path, name: str, content: bytes, **params: Any) -> tuple[Any, list[Fault]]:
    (folder / name).write_bytes(content)
    held = files.Params(path="unused", columns=["id", "lang", "text"], id_column="id", **params)
    read_csv.check_columns(name, str(folder / name), columns_of(held, name))
    found = list(read_csv.csv(name, str(folder / name), columns_of(held, name), Limits()))
    rows = [row for batch in found if not isinstance(batch, Fault) for row in batch.to_pylist()]
    return (
        [(row["native_id"], row["content"].decode()) for row in rows],
        [each for each in found if isinstance(each, Fault)],
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.csv.gz"])
def test_csv_without_a_header_has_the_columns_that_the_card_names(
    tmp_path: Path, name: str
) -> None:
    content = gzip.compress(SENTENCES) if name.endswith("gz") else SENTENCES
    assert headless(tmp_path, name, content, quotes=False) == (
        [
            ("1", "Bonjour, Tom, ça va ?"),
            ("2", '"Hello," he said, "Tom."'),
            ("3", "Wote; huru"),
        ],
        [],
    )


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_csv_without_a_header_is_parted_by_what_gives_so_many_columns(
    tmp_path: Path, mark: str
) -> None:
    others = {",": "a; b; c", "\t": "a, b; c", ";": "a, b, c"}[mark]
    content = f'1{mark}en{mark}"{others}"\n2{mark}sw{mark}Wote\n'.encode()
    assert headless(tmp_path, "a.csv", content) == ([("1", others), ("2", "Wote")], [])


def test_csv_without_a_header_tells_rows_of_another_number(tmp_path: Path) -> None:
    rows, faults = headless(tmp_path, "a.csv", b"1,en,one\n2,en\n3,en,three\n")
    assert rows == [("1", "one"), ("3", "three")]
    assert told(faults) == [(9, "2 fields where `columns` names 3", False)]
    with pytest.raises(SourceError, match="first row has 2 fields, and `columns` names 3"):
        headless(tmp_path, "a.csv", b"1,one\n")
    assert headless(tmp_path, "a.csv", b"") == ([], [])


def test_csv_columns_that_lack_or_repeat_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="'text' is not there"):
        files.Params(path="a.csv", columns=["id", "sentence"])
    with pytest.raises(ValidationError, match="'id' stands there twice"):
        files.Params(path="a.csv", columns=["id", "id", "text"])


def test_csv_without_a_header_in_a_packed_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "sentences.tar.bz2", "w:bz2") as archive:
        member = tarfile.TarInfo("sentences.csv")
        member.size = len(SENTENCES)
        archive.addfile(member, io.BytesIO(SENTENCES))
    params = files.Params(
        path=str(tmp_path / "sentences.tar.bz2"),
        format="csv",
        columns=["id", "lang", "text"],
        quotes=False,
        id_column="id",
    )
    pin = files.resolve(params)
    held = files.fetch(params, pin, tmp_path)
    (split,) = files.splits(params, pin, held)
    (batch,) = files.read(params, split, held, Limits())
    assert isinstance(batch, pa.RecordBatch)
    assert batch.column("native_id").to_pylist() == ["1", "2", "3"]
