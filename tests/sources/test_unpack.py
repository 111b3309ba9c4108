"""Bounded decompression."""

from __future__ import annotations

import gzip
import io
import lzma
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources import unpack as module
from phloem.sources.unpack import (
    CHUNK,
    UnpackedReader,
    UnpackError,
    compression_of,
    unpack,
    unpack_all,
)

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}
TEXT = "Wote wamezaliwa huru — यह सब, ทุกคน 🌍\n".encode() * 5000


@pytest.mark.parametrize("kind", PACK)
def test_unpack_several_members_give_all_bytes(kind: str) -> None:
    packed = PACK[kind](TEXT) + PACK[kind](b"") + PACK[kind](b"end")
    assert b"".join(unpack(io.BytesIO(packed), kind)) == TEXT + b"end"


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_unpack_output_that_fills_a_chunk_is_whole(kind: str, size: int) -> None:
    data = bytes(size)
    assert b"".join(unpack(io.BytesIO(PACK[kind](data)), kind)) == data


@pytest.mark.parametrize("kind", PACK)
def test_unpack_truncated_stream_gives_what_it_can_then_fails(kind: str) -> None:
    packed = PACK[kind](TEXT)[:-5]
    got: list[bytes] = []
    with pytest.raises(UnpackError, match=f"truncated {kind}") as error:
        got.extend(unpack(io.BytesIO(packed), kind))
    assert TEXT.startswith(b"".join(got))
    assert error.value.offset == len(packed)


@pytest.mark.parametrize("kind", PACK)
def test_unpack_broken_stream_fails(kind: str) -> None:
    with pytest.raises(UnpackError, match="broken"):
        list(unpack(io.BytesIO(b"this is no archive at all"), kind))


@pytest.mark.parametrize("kind", PACK)
def test_unpack_bomb_stops_early(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RATIO", 20)
    packed = PACK[kind](bytes(8 * 2**20))
    got: list[bytes] = []
    with pytest.raises(UnpackError, match="more than the bound"):
        got.extend(unpack(io.BytesIO(packed), kind, free=2**20))
    assert sum(map(len, got)) <= 3 * 2**20


def test_unpack_all_refuses_what_is_over_the_limit() -> None:
    assert unpack_all(io.BytesIO(b"12345"), None, 5) == b"12345"
    with pytest.raises(UnpackError, match="larger than 4 bytes"):
        unpack_all(io.BytesIO(b"12345"), None, 4)


def test_compression_of_goes_by_the_last_ending() -> None:
    assert compression_of("a.jsonl.GZ") == ("gzip", "a.jsonl")
    assert compression_of("a.txt") == (None, "a.txt")


def test_unpacked_reader_stream_that_breaks_gives_the_rest_and_stays_broken() -> None:
    packed = gzip.compress(TEXT, compresslevel=0)[:-5000]
    reader = UnpackedReader(unpack(io.BytesIO(packed), "gzip"))
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
