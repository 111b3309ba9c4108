"""Files of every form that a reader knows, which hold the same texts; and what reads them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
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
LINES = (b"", *(f"{text}\n".encode() for text in TEXTS), b"")
PAIRS = (b"", *(f"{text}\nmore\n".encode() for text in TEXTS), b"")
PERCENT = (b"", *(f"{text}\n\nmore\n%\n".encode() for text in TEXTS), b"")
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
    Kind("lines.txt", LINES, ended=False, exact=False, given=(("documents", "line"),)),
    Kind("pairs.txt", PAIRS, ended=False, exact=False, given=(("documents", {"lines": 2}),)),
    Kind(
        "marks.txt", PERCENT, ended=False, exact=False, given=(("documents", {"separator": "%"}),)
    ),
    packed("lines.txt.gz", LINES, gzip.compress, given=(("documents", "line"),)),
    packed("pairs.txt.gz", PAIRS, gzip.compress, given=(("documents", {"lines": 2}),)),
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
