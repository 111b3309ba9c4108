"""Reading web archives: WARC (ISO 28500) with pages, and WET with the text of pages."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fastwarc.stream_io import BrotliReader
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from phloem.sources.connector import Fault
from phloem.sources.formats.unpack import (
    UnpackedReader,
    UnpackError,
    compression_of,
    unpack,
    unpack_all,
)
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

WANTED = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
"""Media types of pages that are documents."""

_KINDS = {"warc": WarcRecordType.response, "wet": WarcRecordType.conversion}
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?!\d)")
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
    that is cut, too large or broken is a fault.
    """
    with Path(path).open("rb") as file:
        stream: Any = UnpackedReader(unpack(file, compression_of(name)[0], limits))
        try:
            # Nothing is unpacked or parsed in there: what it finds is bounded and checked here.
            for found in ArchiveIterator(stream, parse_http=False, stream_detect=False):
                try:
                    record = _record(found, pages, limits)
                except _BadError as bad:
                    yield Fault(bad.native_id, found.stream_pos, bad.reason, rest=bad.rest)
                    if bad.rest:
                        return
                    continue
                if record is not None:
                    yield record
        except UnpackError as error:
            yield Fault(None, error.offset, error.reason, rest=True)
        except (OSError, ValueError):
            yield Fault(None, stream.tell(), "broken WARC header", rest=True)


class _BadError(Exception):
    """A wanted record that gives no document, or a place where no record can be made out."""

    def __init__(self, native_id: str | None, reason: str, *, rest: bool = False) -> None:
        super().__init__(reason)
        self.native_id = native_id
        self.reason = reason
        self.rest = rest


def _record(found: WarcRecord, pages: Pages, limits: Limits) -> Record | None:
    """A record as a document; None if it is none. Raises _BadError."""
    kind = found.record_type
    if kind == WarcRecordType.continuation:
        raise _BadError(None, "record in segments")
    if not found.headers.get("WARC-Type"):
        raise _BadError(None, "broken WARC header")
    if kind != _KINDS[pages.kind]:
        return None
    url = (found.headers.get("WARC-Target-URI") or "").strip("<> ")
    if not url:
        raise _BadError(None, "record without an address")
    native_id = f"{url}@{found.headers.get('WARC-Date')}" if pages.dated else url
    if not pages.wants(url):
        return None
    block = _block(found, native_id, limits)
    if pages.kind == "wet":
        return Record(native_id, block, "text/plain", url=url)
    return _page(native_id, url, block, limits)


def _block(found: WarcRecord, native_id: str, limits: Limits) -> bytes:
    """The content of a record. Raises _BadError if it is not all there, or too much."""
    if found.content_length > limits.record_bytes:
        raise _BadError(native_id, f"record larger than {limits.told('record_bytes')}")
    block = found.reader.read(found.content_length)
    if len(block) < found.content_length:
        raise _BadError(native_id, "truncated record", rest=True)
    if found.headers.get("WARC-Truncated"):
        raise _BadError(native_id, "record that the crawler cut off")
    return block


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
    status = _STATUS.match(block)
    ends = [end for end in (block.find(b"\r\n\r\n"), block.find(b"\n\n")) if end >= 0]
    if status is None or not ends:
        return None, {}, b""
    end = min(ends)
    body = end + (4 if block.startswith(b"\r\n\r\n", end) else 2)
    lines = [line.decode("latin-1").partition(":") for line in block[:end].split(b"\n")[1:]]
    return int(status[1]), {k.strip().lower(): v.strip() for k, _, v in lines}, block[body:]


def _charset(declared: str) -> str:
    """The charset of a media type as a parameter: extractors say which labels mean something."""
    found = _CHARSET.search(declared)
    return f"; charset={found[1].lower()}" if found else ""


def _decoded(body: bytes, headers: Mapping[str, str], limits: Limits) -> bytes:
    """A body without its transfer and content encodings.

    Raises UnpackError, OSError, ValueError or zlib.error for one that is not encoded so.
    """
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    for encoding in reversed(headers.get("content-encoding", "").lower().split(",")):
        body = _unpacked(body, encoding.strip(), limits)
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
    while True:
        end = body.index(b"\r\n", place, place + 1024)
        size = int(body[place:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        place = end + 2 + size + 2
        if size < 0 or place > len(body):
            raise ValueError
        parts.append(body[end + 2 : place - 2])
