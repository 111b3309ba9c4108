"""Every reader accounts for every byte: what it read, and from where on it did not."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from phloem.sources.connector import Fault, Pin, PinnedFile, SourceError
from phloem.sources.connectors import files
from phloem.sources.formats import read_files, read_warc
from phloem.sources.formats.read_warc import Pages
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.unpack import unpack
from phloem.sources.limits import Limits

SCRIPTS = ["Wote wamezaliwa huru.", "كل الناس أحرار", "सभी मनुष्य", "ทุกคน", "人人生而自由", "🌍 שלום"]
TEXTS = [f"{n} {SCRIPTS[n % 6]} {n**50}" for n in range(24)]


def _jsonl(text: str) -> bytes:
    return json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"


def _row(text: str, mark: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=mark, quoting=csv.QUOTE_ALL).writerow(["x", f"{text}\nand more"])
    return out.getvalue().encode()


def _warc(text: str, kind: str = "response") -> bytes:
    body = text.encode()
    if kind == "response":
        body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    said = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://ex.org/\r\n"
    return f"{said}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def _arrow(new: Any) -> bytes:
    out, table = io.BytesIO(), pa.table({"text": TEXTS})
    with new(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": TEXTS})
    pq.write_table(table, out, row_group_size=5, write_page_checksum=True)
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, text in enumerate(TEXTS):
            archive.writestr(f"{number}.txt", text)
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, text in enumerate(TEXTS):
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@dataclass(frozen=True)
class Kind:
    """A form of file that holds the texts.

    Attributes:
        name: Of the file.
        pieces: Its bytes: what stands before the first record, and each record; or all of it.
        ended: Whether it has a mark of its end, without which it was cut.
        exact: Whether a record that is cut cannot be taken for a shorter one.
        joined: Whether two files, one behind the other, are one.
        given: Parameters of the card.
    """

    name: str
    pieces: tuple[bytes, ...]
    ended: bool = True
    exact: bool = True
    joined: bool = True
    given: tuple[tuple[str, Any], ...] = ()

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


JSONL = (b"", *map(_jsonl, TEXTS), b"")
CSV = (b"id,text\r\n", *map(_row, TEXTS), b"")
TSV = (b"id\ttext\r\n", *(_row(text, "\t") for text in TEXTS), b"")
BLOCKS = (b"", *(f"{text}\nmore\n\n".encode() for text in TEXTS), b"")
WARC = (b"", *map(_warc, TEXTS), b"")
WET = (b"", *(_warc(text, "conversion") for text in TEXTS), b"")
XML = (b"<d>", *(f"<row>{escape(text)}</row>".encode() for text in TEXTS), b"</d>")
ARRAY = (b"[", *(_jsonl(text) + b"," for text in TEXTS[:-1]), _jsonl(TEXTS[-1]), b"]")
ZSTD = zstandard.ZstdCompressor(write_checksum=True)


def packed(
    name: str, pieces: tuple[bytes, ...], pack: Callable[[bytes], bytes], **more: Any
) -> Kind:
    """In a stream of three members."""
    third = len(pieces) // 3
    parts = pieces[:third], pieces[third : 2 * third], pieces[2 * third :]
    return Kind(name, tuple(pack(b"".join(part)) for part in parts), **more)


KINDS = [
    Kind("a.jsonl", JSONL, ended=False),
    Kind("a.csv", CSV, ended=False),
    Kind("a.tsv", TSV, ended=False),
    Kind("a.txt", BLOCKS, ended=False, exact=False, given=(("documents", "paragraph"),)),
    Kind("whole.txt", ("\n".join(TEXTS).encode(),), ended=False, exact=False),
    Kind("a.json", ARRAY, given=(("format", "json"),)),
    Kind("a.parquet", (_parquet(),), joined=False),
    Kind("a.arrow", (_arrow(pa.ipc.new_file),), joined=False),
    Kind("stream.arrow", (_arrow(pa.ipc.new_stream),)),
    Kind("a.zip", (_zip(),), joined=False),
    Kind("a.tar", (_tar(),)),
    Kind("a.tar.gz", (gzip.compress(_tar()),)),
    Kind("a.warc", WARC, ended=False),
    packed("a.warc.gz", WARC, gzip.compress),
    Kind("members.warc.gz", (b"", *map(gzip.compress, WARC[1:-1]), b""), ended=False),
    Kind("members.warc.zst", (b"", *map(ZSTD.compress, WARC[1:-1]), b""), ended=False),
    Kind("a.wet", WET, ended=False),
    Kind("a.xml", XML, joined=False),
    packed("a.xml.bz2", XML, bz2.compress, joined=False),
    packed("a.jsonl.gz", JSONL, gzip.compress),
    packed("a.jsonl.bz2", JSONL, bz2.compress),
    packed("a.jsonl.xz", JSONL, lzma.compress),
    packed("a.jsonl.zst", JSONL, ZSTD.compress),
    packed("a.json.gz", ARRAY, gzip.compress),
    packed("a.csv.gz", CSV, gzip.compress),
    packed("a.txt.gz", BLOCKS, gzip.compress, given=(("documents", "paragraph"),)),
    packed("whole.txt.gz", BLOCKS, gzip.compress),
]


def read(kind: Kind, content: bytes, folder: Path) -> tuple[list[str], list[Fault]]:
    """The documents that a file of this kind gives, and the faults."""
    path = folder / kind.name
    path.write_bytes(content)
    try:
        found = list(_found(kind, content, path))
    except SourceError:  # it is refused as a whole, by its name
        return [], [Fault(None, 0, "refused", rest=True)]
    texts: list[str] = []
    for each in found:
        if not isinstance(each, Fault):
            texts += [row["content"].decode("utf-8", "replace") for row in each.to_pylist()]
    return texts, [each for each in found if isinstance(each, Fault)]


def _found(kind: Kind, content: bytes, path: Path) -> Iterator[pa.RecordBatch | Fault]:
    if ".xml" in kind.name:
        chunks = unpack(
            io.BytesIO(content), "bzip2" if kind.name.endswith("bz2") else None, Limits()
        )
        for each in elements(chunks, "row", Limits()):
            text = "" if isinstance(each, Fault) else each[1].text or ""
            yield (
                each
                if isinstance(each, Fault)
                else pa.RecordBatch.from_pydict({"content": [text.encode()]})
            )
    elif ".warc" in kind.name or ".wet" in kind.name:
        pages = Pages("wet" if ".wet" in kind.name else "warc")
        yield from read_warc.warc(kind.name, str(path), pages, Limits())
    else:
        params = files.Params(path=str(path), **dict(kind.given))
        pin = Pin("1", (PinnedFile(kind.name, "0" * 64, len(content)),))
        for split in read_files.splits(params, pin, {kind.name: str(path)}):
            yield from read_files.read(params, split, {kind.name: str(path)}, Limits())


def unread(kind: Kind, faults: list[Fault], size: int) -> int | None:
    """From which byte on something was not read; None if all was.

    Of a record in a packed stream that is the byte of what is unpacked.
    """
    places = [fault.offset for fault in faults if fault.rest]
    packed = kind.name.endswith((".gz", ".zst", ".bz2", ".xz"))
    assert packed or all(place <= size for place in places)
    return max(0, min(places)) if places else None


def starts(kind: Kind) -> list[int]:
    """Where each record begins, and the last one ends, of a file whose pieces are records."""
    if len(kind.pieces) != len(TEXTS) + 2:
        return []
    return [sum(map(len, kind.pieces[:number])) for number in range(1, len(TEXTS) + 2)]


def whole_texts(kind: Kind, folder: Path) -> list[str]:
    texts, faults = read(kind, kind.content, folder)
    assert faults == []
    return texts


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whole_file_gives_all_its_texts(tmp_path: Path, kind: Kind) -> None:
    found = whole_texts(kind, tmp_path)
    assert len(found) == (1 if kind.name.startswith("whole") else len(TEXTS))
    assert all(text in held for text, held in zip(TEXTS, found, strict=False))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_that_is_cut_is_read_up_to_what_is_told_as_unread(tmp_path: Path, kind: Kind) -> None:
    content, texts, begins = kind.content, whole_texts(kind, tmp_path), starts(kind)
    ends = {sum(map(len, kind.pieces[:number])) for number in range(len(kind.pieces))}
    drawn = random.Random(kind.name).sample(range(1, len(content)), 40)  # noqa: S311 - no secret
    for size in sorted({*drawn, *range(len(content) - 30, len(content)), *begins[1:-1]}):
        found, faults = read(kind, content[:size], tmp_path)
        place = unread(kind, faults, size)
        told = sum(fault.records for fault in faults)
        # What was read is what stands there, up to the cut.
        if found != texts[: len(found)]:
            assert not kind.ended
            assert found[:-1] == texts[: len(found) - 1]
            assert texts[len(found) - 1].startswith(found[-1].rstrip("\ufffd\n"))
            assert not kind.exact or found[-1].strip() == texts[len(found) - 1].strip()
        # All records that are whole before the place were read, and all that begin were met.
        end = size if place is None else place
        assert len(found) >= sum(stop <= end for stop in begins[1:])
        if place is None:
            assert len(found) + told >= sum(at < size for at in begins[:-1])
            assert not kind.ended or size in ends or told == len(texts) == 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_with_damage_loses_no_record_without_telling(tmp_path: Path, kind: Kind) -> None:
    content, texts, begins = kind.content, whole_texts(kind, tmp_path), starts(kind)
    draw = random.Random(kind.name)  # noqa: S311 - no secret
    for _ in range(60):
        at, lost = draw.randrange(len(content)), draw.choice([0, 1, 4, 700])
        new = draw.randbytes(draw.choice([0, 1, 4]))
        changed = content[:at] + new + content[at + lost :]
        found, faults = read(kind, changed, tmp_path)
        place = unread(kind, faults, len(changed))
        told = sum(fault.records for fault in faults)
        if not begins:
            assert place is not None or len(found) + told >= len(texts) or not kind.ended
            continue
        hit = {
            number
            for number, (start, stop) in enumerate(pairwise(begins))
            if start <= at + lost and at <= stop
        }
        held = "\n".join(found)
        missing = [n for n, text in enumerate(texts) if text not in held and n not in hit]
        if place is None:
            assert told >= len(missing)
        else:  # all that is whole before the place was read
            assert [n for n in missing if begins[n + 1] <= min(place, at)] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_behind_another_is_read_or_told(tmp_path: Path, kind: Kind) -> None:
    texts = whole_texts(kind, tmp_path)
    found, faults = read(kind, kind.content + kind.content, tmp_path)
    place = unread(kind, faults, 2 * len(kind.content))
    assert (place is None) == kind.joined
    if kind.joined:
        assert faults == []
        assert len(found) >= 2 * len(texts) or len(texts) == 1
        assert set(texts) <= set(found) or len(texts) == 1
    found, faults = read(kind, kind.content + b"\x01\x02 no record", tmp_path)
    assert faults or not kind.exact


def test_file_that_grows_or_shrinks_while_it_is_read_is_told(tmp_path: Path) -> None:
    for kind in KINDS[:3]:
        path = tmp_path / kind.name
        for changed in (kind.content * 2, b"".join(kind.pieces[:-4])):
            path.write_bytes(kind.content)
            params = files.Params(path=str(path))
            pin = files.resolve(params)
            fetched = files.fetch(params, pin, tmp_path)
            (split,) = files.splits(params, pin, fetched)
            path.write_bytes(changed)
            faults = [
                each
                for each in files.read(params, split, fetched, Limits())
                if isinstance(each, Fault)
            ]
            assert [(fault.offset, fault.rest, fault.file) for fault in faults] == [
                (min(len(changed), len(kind.content)), True, kind.name)
            ]


def test_file_that_is_written_while_it_is_read_is_told(tmp_path: Path) -> None:
    """Though it has as many bytes as before."""
    for kind in KINDS[:3]:
        path = tmp_path / kind.name
        path.write_bytes(kind.content)
        params = files.Params(path=str(path))
        pin = files.resolve(params)
        fetched = files.fetch(params, pin, tmp_path)
        (split,) = files.splits(params, pin, fetched)
        found = files.read(params, split, fetched, Limits())
        assert isinstance(next(found), pa.RecordBatch)
        path.write_bytes(kind.content[::-1])
        assert list(found)[-1] == Fault(
            None, 0, "file that was written while it was read", rest=True, file=kind.name
        )
