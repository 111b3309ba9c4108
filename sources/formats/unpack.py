"""Bounded decompression: gzip, xz and zstd streams that say where they break and never flood.

gzip is read by isal, which is more than twice as fast as zlib and gives the same bytes. Of a stream
that breaks, the two may differ in the last chunk that they hand on, and in whether they call it
broken or truncated; and isal takes codes of distances that are not complete, where the checksum
says that all bytes are right.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO, cast

import zstandard
from isal import isal_zlib

from phloem.sources import progress
from phloem.sources.limits import Limits

CHUNK = 2**20
"""Bytes handed on at a time."""

FREE_BYTES = 64 * 2**20
"""Output that is never refused for its ratio: it fits memory, and small files of one repeated
character are no attack."""

_HEAD = 4  # bytes of a gzip member that say whether it is one
_GZIP_ERROR = cast("type[Exception]", isal_zlib.error)  # its types call it an instance
# Of what came before, a stream may refer to so much, which is held as far as it is filled: the most
# that zstd writes, by --long=31, and four times as much as xz does by -9.
_WINDOWS = {"zstd": 2**31, "xz": 2**28}
_NEEDS_MORE = ("too much memory", "memory usage limit")  # as the two say it
_ZSTD_INPUT = 4096  # an RLE block gives 128 KiB for 4 bytes, so this yields at most 128 MiB at once


class UnpackError(Exception):
    """A stream that cannot be unpacked further.

    Attributes:
        reason: Short, without content: ``truncated gzip``.
        offset: Byte of the packed stream from which on it was not read.
        member: Where the member or frame begins that is cut or broken; None beyond a limit.
    """

    def __init__(self, reason: str, offset: int, member: int | None = None) -> None:
        """Say what broke and where."""
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset
        self.member = member


@dataclass(frozen=True)
class _Codec:
    """How to unpack one kind of stream.

    Attributes:
        name: For messages.
        start: Makes a decompressor for one member or frame, out of its first bytes.
        step: (decompressor, input, most bytes wanted) -> (output, input not used yet).
        errors: What the library raises for broken input.
        input: Bytes of input at a time.
    """

    name: str
    start: Callable[[bytes], Any]
    step: Callable[[Any, bytes, int], tuple[bytes, bytes]]
    errors: tuple[type[Exception], ...]
    input: int = 65536


def _gzip_start(head: bytes) -> Any:
    """What unpacks a member with this head. Raises isal's error if it is none, by RFC 1952, 2.3.1.

    isal itself passes over flags that are reserved, and takes what is short for cut off.
    """
    if (len(head) >= 2 and head[:2] != b"\x1f\x8b") or (  # noqa: PLR2004 - as many as are looked at
        len(head) >= _HEAD and (head[2] != 8 or head[3] & 0xE0)  # noqa: PLR2004
    ):
        raise _GZIP_ERROR("no gzip header")
    return isal_zlib.decompressobj(wbits=31)


def _gzip_step(decompressor: Any, data: bytes, limit: int) -> tuple[bytes, bytes]:
    out = decompressor.decompress(data, limit)
    return out, decompressor.unconsumed_tail


def _lzma_step(decompressor: Any, data: bytes, limit: int) -> tuple[bytes, bytes]:
    # The lzma module keeps what it did not use and wants it back as nothing.
    return decompressor.decompress(data, limit), b""


def _zstd_start(_head: bytes, dictionary: bytes | None = None) -> Any:
    held = None if dictionary is None else zstandard.ZstdCompressionDict(dictionary)
    return zstandard.ZstdDecompressor(
        dict_data=held, max_window_size=_WINDOWS["zstd"]
    ).decompressobj()


def _zstd_step(decompressor: Any, data: bytes, limit: int) -> tuple[bytes, bytes]:
    del limit  # bounded by the size of the input
    return decompressor.decompress(data), b""


_CODECS = {
    "gzip": _Codec("gzip", _gzip_start, _gzip_step, (_GZIP_ERROR,)),
    "bzip2": _Codec(
        "bzip2", lambda _: bz2.BZ2Decompressor(), _lzma_step, (OSError, EOFError, ValueError)
    ),
    "xz": _Codec(
        "xz",
        lambda _: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOWS["xz"]),
        _lzma_step,
        (lzma.LZMAError, EOFError),
    ),
    "zstd": _Codec(
        "zstd",
        _zstd_start,
        _zstd_step,
        (zstandard.ZstdError,),
        _ZSTD_INPUT,
    ),
}

_DICTIONARY = b"\x5d\x2a\x4d\x18"  # of a skippable frame; its length and a dictionary follow
_MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}  # of a member, of a frame

_FIRST = 65536  # bytes of a file that say what it is

# How streams of each kind begin; of lz4 too, which is not unpacked.
_BEGINS = re.compile(
    rb"(?P<gzip>\x1f\x8b\x08)|(?P<zstd>\x28\xb5\x2f\xfd)|(?P<xz>\xfd7zXZ\0)"
    rb"|(?P<bzip2>BZh[1-9]1AY&SY)|(?P<lz4>\x04\x22\x4d\x18)"
)

PACKINGS = frozenset(_BEGINS.groupindex)
"""The kinds that `packed_as` knows."""

SUFFIXES = {".bz2": "bzip2", ".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
"""File name endings of the streams that can be unpacked."""


# What an address may ask behind an ending, as whoever saved it keeps it: a.jsonl.gz?download=true.
_QUERY = re.compile(r"(?<=\w)\?([^./]*|[^/]*=.*)$")


def without_query(name: str) -> str:
    """A name without what an address asks behind it, if an ending stands before that."""
    path = _QUERY.sub("", name)
    return path if "." in path.rpartition("/")[2] else name


def compression_of(name: str) -> tuple[str | None, str]:
    """(kind of compression or None, the name without its ending and without a query)."""
    name = without_query(name)
    lower = name.lower()
    for suffix, kind in SUFFIXES.items():
        if lower.endswith(suffix):
            return kind, name[: -len(suffix)]
    return None, name


def dictionary_of(file: BinaryIO, limits: Limits) -> bytes | None:
    """The dictionary that a stream of zstd begins with, and that all its frames need; None if none.

    It may be packed itself (https://iipc.github.io/warc-specifications/specifications/warc-zstd).

    Raises UnpackError for one that is cut, broken or larger than `limits.record_bytes`.
    """
    if file.read(len(_DICTIONARY)) != _DICTIONARY:
        return None
    size = int.from_bytes(file.read(4), "little")
    if size > limits.record_bytes:
        raise UnpackError(f"zstd dictionary larger than {limits.told('record_bytes')}", 0)
    content = file.read(size)
    is_packed = content.startswith(_MAGIC["zstd"])
    return unpack_all(io.BytesIO(content), "zstd" if is_packed else None, limits, "record_bytes")


def first_bytes(file: BinaryIO, compression: str | None) -> bytes:
    """The first bytes of what a file holds, as far as it can be unpacked; it is then read anew."""
    head = b""
    with suppress(UnpackError):
        for chunk in (
            [file.read(_FIRST)] if compression is None else unpack(file, compression, Limits())
        ):
            head += chunk
            if len(head) >= _FIRST:
                break
    file.seek(0)  # some systems open a file again where its reader has got to
    return head[:_FIRST]


def packed_as(head: bytes) -> str | None:
    """How a file is packed that begins so; None if it is not, as far as its first bytes tell."""
    found = _BEGINS.match(head)
    return found and found.lastgroup


def unpack(
    file: BinaryIO,
    compression: str | None,
    limits: Limits,
    *,
    free: int = FREE_BYTES,
    dictionary: bytes | None = None,
) -> Iterator[bytes]:
    """The bytes of a stream, in chunks; every member or frame of it, one after another.

    Args:
        file: Read from where it stands to its end.
        compression: ``gzip``, ``xz``, ``zstd`` or None.
        limits: How much may come out, of a packed stream.
        free: Bytes of output that are not held to `limits.unpacked_ratio`.
        dictionary: That all frames of zstd need, where they need one.

    Raises:
        UnpackError: the stream is truncated, broken, or unpacks to more than the limits, after
            all that came before it was handed on.
    """
    if compression is None:
        yield from _plain(file)
        return
    codec = _codec(compression, dictionary)
    read = made = begun = 0
    member: Any = None
    data, more = b"", False  # input not used yet; whether output is held back inside
    while True:
        if not data and not more:
            data = file.read(codec.input)
            read += len(data)
            if not data:
                break
        if member is None:
            data = data.lstrip(b"\0") if made else data  # padding between streams and after them
            if not data:
                continue
            rest = b"" if len(data) >= _HEAD else file.read(codec.input)
            data, read = data + rest, read + len(rest)
            begun = read - len(data)
        try:
            member = member or codec.start(data)
            out, rest = codec.step(member, data, CHUNK)
        except codec.errors as error:
            raise UnpackError(_reason(codec.name, error), read - len(data), begun) from None
        data = rest
        more = len(out) == CHUNK or not getattr(member, "needs_input", True)
        if member.eof:
            data, member, more = member.unused_data, None, False
        made += len(out)
        _check_bounds(codec.name, read - len(data), made, limits, free)
        yield out
    if member is not None:
        raise UnpackError(f"truncated {codec.name}", read, begun)


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        progress.step()
        yield chunk


def _codec(compression: str, dictionary: bytes | None) -> _Codec:
    codec = _CODECS[compression]
    start = partial(_zstd_start, dictionary=dictionary)
    return codec if dictionary is None else replace(codec, start=start)


def _reason(name: str, error: Exception) -> str:
    if name in _WINDOWS and any(each in str(error).lower() for each in _NEEDS_MORE):
        return f"{name} window of more than {_WINDOWS[name]} bytes"
    if "dictionary" in str(error).lower():
        return f"{name} with a dictionary that is not there"
    return f"broken {name}"


def _check_bounds(name: str, read: int, made: int, limits: Limits, free: int) -> None:
    progress.step()
    reason = excess(read, made, limits, free=free)
    if reason:
        raise UnpackError(f"{name} {reason}", read)


def next_member(
    file: BinaryIO,
    compression: str | None,
    start: int,
    head: bytes,
    limits: Limits,
    *,
    dictionary: bytes | None = None,
) -> int | None:
    """Where the next member or frame begins whose content begins so; None if none does.

    Args:
        file: A packed stream.
        compression: As in `unpack`.
        start: Byte of the file from which on it is looked for.
        head: First bytes of what is packed.
        limits: How much may come out.
        dictionary: As in `unpack`.
    """
    magic = _MAGIC.get(compression or "")
    while magic:
        file.seek(start)
        data = file.read(CHUNK)
        place = data.find(magic)
        if place < 0 and len(data) < CHUNK:
            return None
        # The end of a chunk may cut it off.
        start += place if place >= 0 else len(data) - len(magic) + 1
        if place >= 0:
            file.seek(start)
            try:
                chunks = unpack(file, compression, limits, dictionary=dictionary)
                if next(chunks, b"").startswith(head):
                    return start
            except UnpackError:
                pass
            start += 1
    return None


def excess(read: int, made: int, limits: Limits, *, free: int = FREE_BYTES) -> str | None:
    """Why so many bytes out of so many are too many; None if they are not."""
    if made > limits.stream_bytes:
        return f"unpacks to more than {limits.told('stream_bytes')}"
    if made > max(free, limits.unpacked_ratio * read):
        ratio = limits.unpacked_ratio
        return f"unpacks to more than {ratio} times its size (limits.unpacked_ratio)"
    return None


def unpack_all(file: BinaryIO, compression: str | None, limits: Limits, name: str) -> bytes:
    """All bytes of a stream. Raises UnpackError if they are more than the limit of this name."""
    most: int = getattr(limits, name)
    parts: list[bytes] = []
    size = 0
    for chunk in unpack(file, compression, limits, free=most):
        size += len(chunk)
        if size > most:
            raise UnpackError(f"larger than {limits.told(name)}", file.tell())
        parts.append(chunk)
    return b"".join(parts)


class Part:
    """The next bytes of a file, and no more."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Read so many from where the file stands."""
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of what is left."""
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


class UnpackedReader:
    """A read-only stream over chunks, as far as `tarfile` needs one.

    A stream that breaks gives all that came before; from then on, every read raises UnpackError.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Read from these chunks, in order."""
        self._chunks = chunks
        self._rest = b""
        self._broken: UnpackError | None = None
        self._place = 0

    def tell(self) -> int:
        """Bytes read so far."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        parts = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            chunk = self._next()
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        if size < 0:
            size = len(data)
        self._rest = data[size:]
        if self._broken and size and not data:
            raise self._broken
        self._place += len(data) - len(self._rest)
        return data[:size]

    def _next(self) -> bytes | None:
        try:
            return next(self._chunks, None)
        except UnpackError as error:
            self._broken = error
            return None
