"""Reading web archives: WARC (ISO 28500) with pages, and WET with the text of pages."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from fastwarc.stream_io import BrotliReader

from phloem.sources.connector import Fault
from phloem.sources.formats.unpack import (
    UnpackError,
    compression_of,
    dictionary_of,
    next_member,
    unpack,
    unpack_all,
)
from phloem.sources.formats.warc_records import Fields, Framed, framed
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

WANTED = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
"""Media types of pages that are documents."""

_LISTS = frozenset({"transfer-encoding", "content-encoding"})  # of what was done, in order

_KINDS = {"warc": "response", "wet": "conversion"}
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?!\d)")
# Answers such as 100 Continue, before the one that they announce.
_INTERIM = re.compile(rb"(?:HTTP/\d\.\d 1\d\d[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*+\r?\n)++(?=HTTP/)")
_FOLD = re.compile(rb"\r?\n[ \t]+")  # a line that goes on with the field before it
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_OK = 200


@dataclass(frozen=True)
class Pages:
    """Which records of an archive are documents.

    Attributes:
        kind: ``warc`` or ``wet``.
        include: Globs over addresses.
        exclude: Globs of addresses that are left out all the same.
        dated: Whether names hold the date of the capture, as an address may be there twice.
    """

    kind: str
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    dated: bool = False

    def wants(self, url: str) -> bool:
        """Whether an address is included and not excluded."""
        inside = any(fnmatchcase(url, glob) for glob in self.include)
        return inside and not any(fnmatchcase(url, glob) for glob in self.exclude)


@batched
def warc(name: str, path: str, pages: Pages, limits: Limits) -> Records:
    """The pages of an archive, each as its host sent it, or its text of a WET.

    A document is an answer with status 200 of a media type in `WANTED`. All else is none and is
    passed over: redirects, errors, images, and what crawlers note about themselves. A wanted record
    that is cut, too large or broken is a fault; so is every record, wanted or not, whose length is
    not what it says, and it stands for a rest, as nobody knows what it took with it. Where one of
    many members of gzip or zstd breaks, what follows is read from the next that begins a record.
    """
    kind = compression_of(name)[0]
    begun, base = 0, 0
    place: int | None = 0
    dictionary = None
    asked = partial(_asked, pages)
    with Path(path).open("rb") as file:
        while place is not None:
            file.seek(begun := place)
            place = None
            try:
                if kind == "zstd" and begun == 0:
                    dictionary = dictionary_of(file, limits)
                    file.seek(0)
                chunks = unpack(file, kind, limits, dictionary=dictionary)
                for found in framed(chunks, asked, limits, base):
                    base = found.offset
                    yield from _found(found, pages, limits)
            except UnpackError as error:
                yield Fault(None, begun + error.offset, error.reason, rest=True)
                if error.member is not None:  # no limit was met
                    after = begun + error.member + 1
                    place = next_member(file, kind, after, b"WARC/", limits, dictionary=dictionary)


def _found(found: Framed | Fault, pages: Pages, limits: Limits) -> Records:
    """What an archive's record gives: a document, a fault, or nothing."""
    if isinstance(found, Fault):
        yield found
        return
    if found.wrong:
        yield Fault(_named(found.fields, pages), found.offset, found.wrong, rest=True)
        return
    try:
        record = _record(found, pages, limits)
    except _BadError as bad:
        yield Fault(bad.native_id, found.offset, bad.reason)
        return
    if record is not None:
        yield record


class _BadError(Exception):
    """A wanted record that gives no document."""

    def __init__(self, native_id: str | None, reason: str) -> None:
        super().__init__(reason)
        self.native_id = native_id
        self.reason = reason


def _url(fields: Fields) -> str:
    return fields.get("warc-target-uri", "").strip("<> ")


def _asked(pages: Pages, fields: Fields) -> bool:
    """Whether a record may hold a document, by its head."""
    url = _url(fields)
    return _kind(fields) == _KINDS[pages.kind] and bool(url) and pages.wants(url)


def _kind(fields: Fields) -> str:
    return fields.get("warc-type", "").lower()


def _named(fields: Fields, pages: Pages) -> str | None:
    """The native id of the page that a record holds; None if it holds none that is asked for."""
    if not _asked(pages, fields):
        return None
    url = _url(fields)
    return f"{url}@{fields.get('warc-date')}" if pages.dated else url


def _record(found: Framed, pages: Pages, limits: Limits) -> Record | None:
    """A record as a document; None if it is none. Raises _BadError."""
    fields = found.fields
    kind = _kind(fields)
    if not kind:
        raise _BadError(None, "broken WARC header")
    if kind == "continuation":
        raise _BadError(None, "record in segments")
    if _url(fields).startswith("dns:"):  # how a crawler found a host
        return None
    if kind == _KINDS[pages.kind] and not _url(fields):
        raise _BadError(None, "record without an address")
    native_id = _named(fields, pages)
    if native_id is None:
        return None
    if found.block is None:
        raise _BadError(native_id, f"record larger than {limits.told('record_bytes')}")
    if fields.get("warc-segment-number"):
        raise _BadError(native_id, "record in segments")
    if fields.get("warc-truncated"):
        raise _BadError(native_id, "record that the crawler cut off")
    if pages.kind == "wet":
        return Record(native_id, found.block, "text/plain", url=_url(fields))
    return _page(native_id, _url(fields), found.block, limits)


def _page(native_id: str, url: str, block: bytes, limits: Limits) -> Record | None:
    """An HTTP response as a document; None if it is none. Raises _BadError."""
    status, headers, body = _response(block)
    if status is None:
        raise _BadError(native_id, "no HTTP response")
    declared = headers.get("content-type", "")
    media_type = declared.partition(";")[0].strip().lower()
    if status == _OK and not media_type:
        raise _BadError(native_id, "page without a media type")
    if status != _OK or media_type not in WANTED:
        return None
    try:
        content = _decoded(body, headers, limits)
    except UnpackError as error:
        raise _BadError(native_id, f"page {error.reason}") from None
    except (OSError, ValueError, zlib.error):
        raise _BadError(native_id, "page that is not encoded as it says") from None
    return Record(native_id, content, media_type + _charset(declared), url=url)


def _response(block: bytes) -> tuple[int | None, Mapping[str, str], bytes]:
    """Status, headers by lower-case name, and body of an HTTP response; no status if it is none."""
    interim = _INTERIM.match(block)
    block = block[interim.end() :] if interim else block
    status = _STATUS.match(block)
    ends = [end for end in (block.find(b"\r\n\r\n"), block.find(b"\n\n")) if end >= 0]
    if status is None or not ends:
        return None, {}, b""
    end = min(ends)
    body = end + (4 if block.startswith(b"\r\n\r\n", end) else 2)
    headers: dict[str, str] = {}
    for line in _FOLD.sub(b" ", block[:end]).split(b"\n")[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        both = name in _LISTS and name in headers  # one list (RFC 9110, 5.3)
        headers[name] = f"{headers[name]},{value}" if both else value
    return int(status[1]), headers, block[body:]


def _charset(declared: str) -> str:
    """The charset of a media type as a parameter: extractors say which labels mean something."""
    found = _CHARSET.search(declared)
    return f"; charset={found[1].lower()}" if found else ""


def _decoded(body: bytes, headers: Mapping[str, str], limits: Limits) -> bytes:
    """A body without its transfer and content encodings.

    Raises UnpackError, OSError, ValueError or zlib.error for one that is not encoded so.
    """
    done = [
        headers.get(name, "").lower().split(",")
        for name in ("content-encoding", "transfer-encoding")
    ]
    for encoding in reversed([each.strip() for coded in done for each in coded]):
        body = _unchunked(body) if encoding == "chunked" else _unpacked(body, encoding, limits)
    return body


def _unpacked(body: bytes, encoding: str, limits: Limits) -> bytes:
    most = limits.record_bytes
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip", "zstd"}:
        kind = "zstd" if encoding == "zstd" else "gzip"
        return unpack_all(io.BytesIO(body), kind, limits, "record_bytes")
    if encoding == "deflate":  # with zlib's header as RFC 9110 has it, or without as some send it
        wrapped = body[:1] == b"\x78"
        stream: Any = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        content: bytes = stream.decompress(body, most + 1)
        if len(content) <= most and not stream.eof:
            raise UnpackError("truncated deflate", 0)
    elif encoding == "br":
        content = BrotliReader(io.BytesIO(body)).read(most + 1)
    else:
        raise UnpackError("in an encoding that is not known", 0)
    if len(content) > most:
        raise UnpackError(f"larger than {limits.told('record_bytes')}", 0)
    return content


def _unchunked(body: bytes) -> bytes:
    """The chunks of a body (RFC 9112, 7.1). Raises ValueError if it breaks off."""
    parts: list[bytes] = []
    place = 0
    while head := _CHUNK.match(body, place):
        size = int(head[1], 16)
        if size == 0:
            return b"".join(parts)
        place = head.end() + size
        parts.append(body[head.end() : place])
        if not body.startswith(b"\r\n", place):
            break
        place += 2
    raise ValueError
