"""Files that strangers make to hang or to fill whoever reads them: each small, by its name."""

import bz2
import functools
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

FINE = "Всё хорошо 👋🏽"
MIB = 2**20


def _zip(members: Mapping[str, str | bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def _page(markup: str) -> bytes:
    return _zip({"a.html": f"<p>{FINE}</p>", "b.html": markup, "c.html": f"<p>{FINE}</p>"})


def _claims() -> bytes:
    """3,000 members whose directory says 40 MB each."""
    data = bytearray(_zip({f"{number}.txt": FINE for number in range(3000)}))
    place = -1
    while (place := data.find(b"PK\1\2", place + 1)) >= 0:
        data[place + 24 : place + 28] = struct.pack("<I", 40_000_000)
    return bytes(data)


def _overlapping_zip() -> bytes:
    """A thousand entries of the directory for one member."""
    data = _zip({"a.txt": "x" * 2**17})
    at, end = data.find(b"PK\1\2"), data.find(b"PK\5\6")
    entries = b"".join(data[at:end].replace(b"a.txt", b"%05d" % number) for number in range(1000))
    tail = bytearray(data[end:])
    tail[8:20] = struct.pack("<HHII", 1000, 1000, len(entries), at)
    return data[:at] + entries + bytes(tail)


def _tar(members: Sequence[tuple[str, bytes, dict[str, str]]]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, headers in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), headers
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def _huge_member() -> bytes:
    info = tarfile.TarInfo("a.txt")
    info.size = 2**62
    return info.tobuf(tarfile.GNU_FORMAT)


def _parquet(table: pa.Table) -> bytes:
    held = io.BytesIO()
    pq.write_table(table, held)
    return held.getvalue()


def _arrow(table: pa.Table) -> bytes:
    held = io.BytesIO()
    with pa.ipc.new_file(held, table.schema) as file:
        file.write_table(table)
    return held.getvalue()


def _said_again() -> pa.Table:
    """A text of a mebibyte, two thousand times, by a number of 4 bytes each."""
    indices = pa.array([0] * 2000, pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * MIB]))
    return pa.table({"text": text})


def catalogue(count: int) -> bytes:
    """A catalogue of gettext whose messages are all the same bytes, which are most of the file."""
    head = 28 + 16 * count
    text = b"x" * 500_000
    entries = struct.pack("<II", len(text), head) * (2 * count)
    return struct.pack("<IIIIIII", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 28) + entries + text


FILES: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "zip that claims": ("a.zip", _claims),
    "zip of one member a thousand times": ("a.zip", _overlapping_zip),
    "tar header of 2^62 bytes": ("a.tar", _huge_member),
    "packed tar header of 2^62 bytes": ("a.tar.gz", lambda: gzip.compress(_huge_member())),
    "tar of many members": (
        "a.tar", lambda: _tar([(f"{n}.txt", b"", {}) for n in range(5_000)]),
    ),
    "tar of long headers": (
        "a.tar", lambda: _tar([("a.txt", b"x", {"comment": "y" * 15_000})] * 500),
    ),
    "empty gzip members": (
        "a.txt.gz", lambda: gzip.compress(b"") * 30_000 + gzip.compress(FINE.encode()),
    ),
    "empty bzip2 streams": (
        "a.txt.bz2", lambda: bz2.compress(b"") * 30_000 + bz2.compress(FINE.encode()),
    ),
    "empty xz streams": (
        "a.txt.xz", lambda: lzma.compress(b"") * 10_000 + lzma.compress(FINE.encode()),
    ),
    "zstd frames that are skipped": (
        "a.txt.zst",
        lambda: struct.pack("<II", 0x184D2A50, 0) * 30_000 + zstandard.compress(FINE.encode()),
    ),
    "gzip of zeros": ("a.txt.gz", lambda: gzip.compress(bytes(200 * MIB), 9)),
    "deep JSON line": ("a.jsonl", lambda: b"[" * 2_000_000 + b'\n{"text": "fine"}\n'),
    "deep JSON": ("a.json", lambda: b"[" * 2_000_000),
    "number of a million digits": (
        "a.jsonl", lambda: b'{"n": ' + b"9" * 1_000_000 + b', "text": "a"}\n{"text": "b"}\n',
    ),
    "quote that stays open": ("a.csv", lambda: b'text\nfine\n"' + b"a,\n" * 500_000),
    "row of many cells": ("a.csv", lambda: b"text\nfine\n" + b"," * 3_000_000 + b"\n"),
    "header of many columns": ("a.csv", lambda: b",".join([b"c"] * 300_000) + b",text\nfine\n"),
    "Parquet that says a text again": ("a.parquet", lambda: _parquet(_said_again())),
    "Arrow that says a text again": ("a.arrow", lambda: _arrow(_said_again())),
    "Arrow of nulls": ("a.arrow", lambda: _arrow(pa.table({"text": pa.nulls(2**31 - 1)}))),
    "lines without an end": ("a.txt", lambda: b"\n" * 10_000_000 + b"fine"),
    "elements in elements": ("a.zip", lambda: _page("<div>" * 200_000)),
    "bold in bold": ("a.zip", lambda: _page("<b>" * 1_000_000)),
    "tables in tables": ("a.zip", lambda: _page("<table><tr><td>" * 30_000)),
    "lists in lists": ("a.zip", lambda: _page("<ul><li>" * 50_000)),
    "comments that stay open": ("a.zip", lambda: _page("<!--" * 500_000)),
    "references": ("a.zip", lambda: _page("&amp;" * 500_000)),
    "attributes": (
        "a.zip", lambda: _page("<p " + "".join(f"a{n}=1 " for n in range(20_000)) + ">"),
    ),
    "signs that open tags": ("a.zip", lambda: _page("<" * 1_000_000)),
    "formulas in formulas": ("a.zip", lambda: _page("<math>" * 50_000)),
    "elements that adopt": ("a.zip", lambda: _page("<i><b><u><a>" * 5_000 + "<p>" * 500)),
}  # fmt: skip
"""Of each kind of file: its name, and what makes it."""

MARKUP: Mapping[str, tuple[str, Callable[[], str]]] = {
    "templates in templates": ("text/x-wiki", lambda: "{{a|" * 50_000),
    "templates that close": ("text/x-wiki", lambda: "}}" * 200_000),
    "links in links": ("text/x-wiki", lambda: "[[a|" * 100_000),
    "tables of wikitext": ("text/x-wiki", lambda: "{|\n|\n" * 50_000),
    "quotes of wikitext": ("text/x-wiki", lambda: "'''''" * 200_000),
    "notes that stay open": ("text/x-wiki", lambda: "<ref>" * 100_000),
    "noinclude in noinclude": ("text/x-wiki", lambda: "<noinclude>" * 50_000),
    "equal signs": ("text/x-wiki", lambda: "=" * 500_000),
    "sections in sections": ("application/jats+xml", lambda: "<article><body>" + "<sec>" * 100_000),
    "entities of entities": (
        "application/jats+xml",
        lambda: "<!DOCTYPE a ["
        + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
        + '<!ENTITY e0 "x">]><article><body><p>&e11;</p></body></article>',
    ),
    "attributes of JATS": (
        "application/jats+xml",
        lambda: "<article "
        + "".join(f'a{n}="1" ' for n in range(20_000))
        + "><body><p>x</p></body></article>",
    ),
    "steps in steps": ("application/mallard+xml", lambda: "<page>" + "<steps><item>" * 100_000),
    "brackets of messages": (
        "application/x-mediawiki-messages+json", lambda: '{"a":' + "[" * 500_000,
    ),
    "messages that overlap": (
        "application/x-gettext-translation", lambda: catalogue(2_000).decode("latin-1"),
    ),
}  # fmt: skip
"""Of each kind of markup: its media type, and what makes it."""


@functools.cache
def file_of(kind: str) -> tuple[str, bytes]:
    """Name and bytes of a hostile file."""
    name, make = FILES[kind]
    return name, make()
