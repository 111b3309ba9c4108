"""The lines of a file, packed or not, in any encoding of Unicode, from any byte to any byte."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from phloem.sources.connector import Fault
from phloem.sources.formats.unpack import UnpackError, compression_of, next_member, unpack
from phloem.sources.limits import Limits

BOM = b"\xef\xbb\xbf"

_WIDE = (  # the longer first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = 4  # bytes of the longest of these
_HEAD = 2**16  # bytes, of which one ends a line
_ZEROS = {  # by a one for each of the first bytes that is zero
    b"\0\1\1\1": "utf-32-le",
    b"\1\1\1\0": "utf-32-be",
    b"\0\1\0\1": "utf-16-le",
    b"\1\0\1\0": "utf-16-be",
}

Line = tuple[int, bytes] | Fault
Span = tuple[int, int | None]  # first byte, and the one after the last; None for the file's end


def lines(file: BinaryIO, compression: str | None, limits: Limits) -> Iterator[Line]:
    """The lines of a file from where it stands, as `lines_of`; of UTF-16, those of its UTF-8."""
    start = file.tell()
    chunks = unpack(file, compression, limits)
    return lines_of(chunks if start else in_utf8(chunks), limits, start)


def in_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a file from its start; in UTF-8 if it begins as UTF-16 or UTF-32 does.

    What these cannot say, such as half a character at the end, becomes U+FFFD.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _MARK:
            break
    mark, name = _wide(head)
    if not name:
        yield from chain([head] if head else [], chunks)
        return
    decoder = codecs.getincrementaldecoder(name)("replace")
    for chunk in chain([head[len(mark) :]], chunks):
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def at_newlines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a file, with newlines for carriage returns if these alone end its lines."""
    first = next(chunks, b"")
    returns = _has_returns(first)
    for chunk in chain([first] if first else [], chunks):
        yield chunk.replace(b"\r", b"\n") if returns else chunk


def _has_returns(head: bytes) -> bool:
    return b"\r" in head and b"\n" not in head


def is_rewritten(path: str) -> bool:
    """Whether a file that is not packed is no UTF-8 with newlines, and so is read from its start.

    Such begin as UTF-16 or UTF-32 do, or have carriage returns alone.
    """
    with Path(path).open("rb") as file:
        head = file.read(_HEAD)
    return bool(_wide(head[:_MARK])[1]) or _has_returns(head)


def _wide(head: bytes) -> tuple[bytes, str]:
    """The mark that bytes begin with, and the encoding; nothing if they are neither.

    Without a mark, two characters of ASCII tell, as JSON and names of columns begin with (RFC 4627,
    3): of each, one byte is none.
    """
    zeros = bytes(not byte for byte in head[:_MARK])
    told = (b"", _ZEROS.get(zeros, ""))
    return next((each for each in _WIDE if head.startswith(each[0])), told)


def lines_of(chunks: Iterator[bytes], limits: Limits, base: int = 0) -> Iterator[Line]:
    """(offset, line without its newline) of each line of a stream; offsets are of unpacked bytes.

    A line longer than `limits.record_bytes` is a fault and is passed over; a stream that breaks
    gives the lines that were whole, then a fault with the byte offset in the packed stream.
    """
    try:
        yield from _whole_lines(chunks, limits, base)
    except UnpackError as error:
        yield Fault(None, error.offset, error.reason, rest=True)


def _whole_lines(chunks: Iterator[bytes], limits: Limits, base: int) -> Iterator[Line]:
    """As `lines_of`, but raises UnpackError where the stream breaks."""
    rest: list[bytes] = []  # of a line that begins in a chunk before
    start, size = base, 0
    for chunk in chunks:
        at = 0
        # Not `split`, which looks at each byte by itself.
        while (end := chunk.find(b"\n", at)) >= 0:
            size += end - at
            if size > limits.record_bytes:
                yield Fault(None, start, too_large(limits))
            else:
                yield start, b"".join([*rest, chunk[at:end]]) if rest else chunk[at:end]
            start += size + 1
            at, rest, size = end + 1, [], 0
        size += len(chunk) - at
        # What is over the limit is only counted.
        rest = [*rest, chunk[at:]] if size <= limits.record_bytes else []
    if size > limits.record_bytes:
        yield Fault(None, start, too_large(limits))
    elif size:
        yield start, b"".join(rest)


def member_lines(path: str, kind: str, begins: bytes, limits: Limits) -> Iterator[Line]:
    """The lines of a packed file; where a member breaks, on from the next that begins so.

    A broken member is a fault that stands for a rest. Offsets behind it go on from the last line
    that came whole, as nobody knows how much is lost.

    Args:
        path: Of the file.
        kind: How it is packed; only of gzip and zstd is another member found.
        begins: First bytes of a line with which a member may begin.
        limits: How long a line may be, and how much may come out.
    """
    place: int | None = 0
    base = 0
    with Path(path).open("rb") as file:
        while place is not None:
            file.seek(begun := place)
            place = None
            chunks = unpack(file, kind, limits)
            try:
                for line in _whole_lines(at_newlines(in_utf8(chunks)), limits, base):
                    base = line.offset if isinstance(line, Fault) else line[0] + len(line[1])
                    base += 1
                    yield line
            except UnpackError as error:
                yield Fault(None, begun + error.offset, error.reason, rest=True)
                if error.member is not None:  # no limit was met
                    place = next_member(file, kind, begun + error.member + 1, begins, limits)


def too_large(limits: Limits) -> str:
    """Why a record gives no document."""
    return f"record larger than {limits.told('record_bytes')}"


def lines_between(path: str, name: str, span: Span, limits: Limits) -> Iterator[Line]:
    """The lines of a file that begin in a span."""
    start, end = span
    with Path(path).open("rb") as file:
        if start:
            file.seek(start - 1)  # a line that begins at `start` follows a newline there
            found: Iterator[Line] = islice(lines(file, None, limits), 1, None)
        else:
            chunks = in_utf8(unpack(file, compression_of(name)[0], limits))
            found = lines_of(at_newlines(chunks), limits)
        for line in found:
            at = line.offset if isinstance(line, Fault) else line[0]
            if end is not None and at >= end:
                return
            yield line
