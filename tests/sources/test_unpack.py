"""Bounded decompression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.formats.unpack import (
    CHUNK,
    UnpackedReader,
    UnpackError,
    compression_of,
    unpack,
    unpack_all,
)
from phloem.sources.limits import Limits

PACK: dict[str, Callable[[bytes], bytes]] = {
    "bzip2": bz2.compress,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}
TEXT = "Wote wamezaliwa huru — यह सब, ทุกคน 🌍\n".encode() * 5000


@pytest.mark.parametrize("kind", PACK)
def test_unpack_several_members_give_all_bytes(kind: str) -> None:
    packed = PACK[kind](TEXT) + PACK[kind](b"") + PACK[kind](b"end")
    assert b"".join(unpack(io.BytesIO(packed), kind, Limits())) == TEXT + b"end"


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_unpack_output_that_fills_a_chunk_is_whole(kind: str, size: int) -> None:
    data = bytes(size)
    assert b"".join(unpack(io.BytesIO(PACK[kind](data)), kind, Limits())) == data


@pytest.mark.parametrize("kind", PACK)
def test_unpack_truncated_stream_gives_what_it_can_then_fails(kind: str) -> None:
    packed = PACK[kind](TEXT)[:-5]
    got: list[bytes] = []
    with pytest.raises(UnpackError, match=f"truncated {kind}") as error:
        got.extend(unpack(io.BytesIO(packed), kind, Limits()))
    assert TEXT.startswith(b"".join(got))
    assert error.value.offset == len(packed)


@pytest.mark.parametrize("kind", PACK)
def test_unpack_broken_stream_fails(kind: str) -> None:
    with pytest.raises(UnpackError, match="broken"):
        list(unpack(io.BytesIO(b"this is no archive at all"), kind, Limits()))


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(unpacked_ratio=20), r"more than 20 times its size \(limits\.unpacked_ratio\)"),
        (Limits(stream_bytes=2**20), r"more than 1048576 bytes \(limits\.stream_bytes\)"),
    ],
)
def test_unpack_bomb_stops_early_and_names_the_limit(kind: str, limits: Limits, said: str) -> None:
    packed = PACK[kind](bytes(8 * 2**20))
    got: list[bytes] = []
    with pytest.raises(UnpackError, match=said):
        got.extend(unpack(io.BytesIO(packed), kind, limits, free=2**20))
    assert sum(map(len, got)) <= 3 * 2**20
    raised = Limits(unpacked_ratio=10**6, stream_bytes=8 * 2**20)
    assert sum(map(len, unpack(io.BytesIO(packed), kind, raised, free=2**20))) == 8 * 2**20


def test_unpack_all_refuses_what_is_over_the_limit() -> None:
    limits = Limits(member_bytes=5, record_bytes=4)
    assert unpack_all(io.BytesIO(b"12345"), None, limits, "member_bytes") == b"12345"
    with pytest.raises(UnpackError, match=r"larger than 4 bytes \(limits\.record_bytes\)"):
        unpack_all(io.BytesIO(b"12345"), None, limits, "record_bytes")


def test_compression_of_goes_by_the_last_ending() -> None:
    assert compression_of("a.jsonl.GZ") == ("gzip", "a.jsonl")
    assert compression_of("a.txt") == (None, "a.txt")


def test_unpacked_reader_stream_that_breaks_gives_the_rest_and_stays_broken() -> None:
    packed = gzip.compress(TEXT, compresslevel=0)[:-5000]
    reader = UnpackedReader(unpack(io.BytesIO(packed), "gzip", Limits()))
    got = reader.read(len(TEXT) * 2)
    assert TEXT.startswith(got)
    assert len(got) > len(TEXT) - 100_000
    for _ in range(2):
        with pytest.raises(UnpackError, match="truncated gzip"):
            reader.read(1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(0, 40), max_size=20))
def test_unpacked_reader_reads_like_a_file(chunks: list[bytes], sizes: list[int]) -> None:
    reader, plain = UnpackedReader(iter(chunks)), io.BytesIO(b"".join(chunks))
    for size in [*sizes, -1]:
        assert reader.read(size) == plain.read(size)


FLUSHES = [zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]


@st.composite
def gzip_members(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A stream of members as writers of all kinds make them, and what is in it."""
    packed = text = b""
    for _ in range(draw(st.integers(1, 3))):
        level = draw(st.sampled_from([0, 1, 6, 9]))
        strategy = draw(
            st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED])
        )
        writer = zlib.compressobj(
            level, wbits=31, memLevel=draw(st.integers(1, 9)), strategy=strategy
        )
        for piece in draw(st.lists(st.binary(max_size=300), max_size=3)):
            data = piece * draw(st.sampled_from([1, 1, 3, 1000]))
            text += data
            packed += writer.compress(data) + writer.flush(draw(st.sampled_from(FLUSHES)))
        packed += writer.flush()
        packed += bytes(draw(st.integers(0, 9))) if text else b""
    return packed, text


def by_zlib(packed: bytes) -> tuple[bytes, bool]:
    """What is in a stream of gzip, and whether it is whole, by the library zlib."""
    got, rest = b"", packed
    while rest := rest.lstrip(b"\0") if got else rest:
        member = zlib.decompressobj(wbits=31)
        # Byte by byte, since an error takes with it all that the same call had made.
        for place in range(len(rest)):
            try:
                got += member.decompress(rest[place : place + 1])
            except zlib.error:
                return got, False
            if member.eof:
                break
        if not member.eof:
            return got, False
        rest = rest[place + 1 :]
    return got, True


def unpacked(packed: bytes) -> tuple[bytes, str | None]:
    got: list[bytes] = []
    try:
        got.extend(unpack(io.BytesIO(packed), "gzip", Limits()))
    except UnpackError as error:
        return b"".join(got), error.reason
    return b"".join(got), None


@settings(max_examples=200, deadline=None)
@given(gzip_members())
def test_unpack_gzip_of_any_writer_is_whole(made: tuple[bytes, bytes]) -> None:
    packed, text = made
    assert unpacked(packed) == (text, None)


@settings(max_examples=400, deadline=None)
@given(st.data(), gzip_members())
def test_unpack_gzip_that_was_changed_gives_what_zlib_gives_up_to_the_break(
    data: st.DataObject, made: tuple[bytes, bytes]
) -> None:
    packed = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(packed)) | st.integers(0, min(12, len(packed))))
        removed = data.draw(st.sampled_from([0, 1, 1, 4, len(packed)]))
        packed[at : at + removed] = data.draw(st.binary(max_size=12))
    expected, whole = by_zlib(bytes(packed))
    got, reason = unpacked(bytes(packed))
    if whole:
        assert (got, reason) == (expected, None)
    elif reason is None:  # an incomplete code, and a checksum that says that all is right
        assert got.startswith(expected)
    else:
        assert reason in {"broken gzip", "truncated gzip"}
        assert expected.startswith(got) or got.startswith(expected)


@pytest.mark.parametrize(
    "head",
    [
        b"\x1f\x8b\x08\x20",  # a flag that RFC 1952 reserves
        b"\x1f\x8b\x07\x00",  # another method
        b"\x1f\x9d",  # what `compress` writes
        b"no",
    ],
)
def test_unpack_gzip_what_is_no_header_is_broken(head: bytes) -> None:
    packed = gzip.compress(TEXT)
    assert unpacked(head) == (b"", "broken gzip")
    assert unpacked(packed + head) == (TEXT, "broken gzip")
    assert unpacked(head + packed[len(head) :]) == (b"", "broken gzip")


INPUT = 65536  # bytes that are read at a time


@pytest.mark.parametrize("behind", [b"\x1f\x8b\x07\0", b"\x1f\x8b\x08\xe0", b"plain text"])
@pytest.mark.parametrize("before", [1, 2, 3])
def test_unpack_gzip_header_that_input_cuts_is_looked_at_whole(behind: bytes, before: int) -> None:
    body = bytes(INPUT - 10 - 5 - 8 - before)  # its header, the head of its one block, its end
    size = len(body).to_bytes(2, "little")
    block = b"\x01" + size + bytes(byte ^ 0xFF for byte in size) + body
    end = zlib.crc32(body).to_bytes(4, "little") + len(body).to_bytes(4, "little")
    member = b"\x1f\x8b\x08" + bytes(7) + block + end
    assert len(member) == INPUT - before
    with pytest.raises(UnpackError, match="broken gzip"):
        list(unpack(io.BytesIO(member + behind + bytes(50)), "gzip", Limits()))


@pytest.mark.parametrize(
    ("log", "told"), [(31, None), (32, "zstd window of more than 2147483648 bytes")]
)
def test_unpack_zstd_reads_the_widest_window_and_names_a_wider_one(
    log: int, told: str | None
) -> None:
    # RFC 8878, 3.1.1: magic number, a frame without a content size, its window, one raw block.
    frame = b"\x28\xb5\x2f\xfd\0" + bytes([(log - 10) << 3]) + bytes([3 << 3 | 1, 0, 0]) + b"abc"
    if told is None:
        assert b"".join(unpack(io.BytesIO(frame), "zstd", Limits())) == b"abc"
        return
    with pytest.raises(UnpackError) as caught:
        list(unpack(io.BytesIO(frame), "zstd", Limits()))
    assert caught.value.reason == told


def test_unpack_xz_names_a_dictionary_that_is_too_large() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**29}]
    packed = lzma.compress(b"abc", filters=filters)
    with pytest.raises(UnpackError, match="xz window of more than 268435456 bytes"):
        list(unpack(io.BytesIO(packed), "xz", Limits()))
