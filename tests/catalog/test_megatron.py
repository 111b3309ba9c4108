"""Megatron's format, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog.handoff.formats.megatron import (
    FormatError,
    index_bytes,
    parse_index,
    read_indexed,
    token_dtype,
)

# What Megatron-LM's own _IndexWriter writes for [[1, 2, 3], [4, 5], [6]] as uint16.
DOCUMENTS = [[1, 2, 3], [4, 5], [6]]
GOLDEN_BIN = "010002000300040005000600"
GOLDEN_IDX = (
    "4d4d494449445800000100000000000000080300000000000000040000000000000003000000020000000100"
    "0000000000000000000006000000000000000a00000000000000000000000000000001000000000000000200"
    "0000000000000300000000000000"
)


def test_index_of_the_golden_documents_is_megatrons() -> None:
    lengths = np.array([len(document) for document in DOCUMENTS])
    data = index_bytes(lengths, np.dtype("<u2"))
    assert data.hex() == GOLDEN_IDX
    assert len(data) == 102


def test_read_indexed_reads_the_golden_files() -> None:
    indexed = read_indexed(bytes.fromhex(GOLDEN_IDX), bytes.fromhex(GOLDEN_BIN))
    assert [indexed.sequence(n).tolist() for n in range(3)] == DOCUMENTS
    assert indexed.documents.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("vocab_size", "name"),
    [(256, "uint16"), (65_499, "uint16"), (65_500, "int32"), (250_680, "int32")],
)
def test_token_dtype_is_uint16_below_65500(vocab_size: int, name: str) -> None:
    assert token_dtype(vocab_size).name == name


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=30), st.sampled_from(["<u2", "<i4"]))
def test_parse_index_reads_what_was_written(lengths: list[int], dtype: str) -> None:
    data = index_bytes(np.array(lengths, dtype=np.int64), np.dtype(dtype))
    found, read, documents = parse_index(data)
    assert (found, read.tolist()) == (np.dtype(dtype), lengths)
    assert documents.tolist() == list(range(len(lengths) + 1))
    assert len(data) == 34 + 12 * len(lengths) + 8 * (len(lengths) + 1)


@pytest.mark.parametrize(
    ("place", "byte", "told"),
    [(0, 0, "does not begin"), (9, 2, "version 2"), (17, 99, "type 99"), (18, 9, "ask for")],
)
def test_parse_index_of_a_broken_header_says_what_is_wrong(
    place: int, byte: int, told: str
) -> None:
    data = bytearray.fromhex(GOLDEN_IDX)
    data[place] = byte
    with pytest.raises(FormatError, match=told):
        parse_index(bytes(data))


def test_parse_index_with_a_gap_is_refused() -> None:
    data = bytearray.fromhex(GOLDEN_IDX)
    data[34 + 12 + 8] = 8
    with pytest.raises(FormatError, match="without a gap"):
        parse_index(bytes(data))


def test_read_indexed_of_cut_tokens_says_both_sizes() -> None:
    with pytest.raises(FormatError, match="of 11 bytes; their index asks for 12"):
        read_indexed(bytes.fromhex(GOLDEN_IDX), bytes.fromhex(GOLDEN_BIN)[:-1])
