"""Megatron-LM's indexed dataset: a `.bin` of tokens and an `.idx` that says where documents lie.

Layout after `megatron/core/datasets/indexed_dataset.py`; all numbers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phloem.catalog.errors import PhloemError

HEADER = b"MMIDIDX\x00\x00"
VERSION = 1
CODES = {"uint16": 8, "int32": 4}  # of Megatron's DType; it has no uint32
SMALL_VOCABULARY = 65_500  # DType.optimal_dtype: below it a token takes two bytes
HEAD_BYTES = len(HEADER) + 8 + 1 + 8 + 8


class FormatError(PhloemError):
    """A file that is no Megatron index, or does not fit its tokens."""


@dataclass(frozen=True)
class Indexed:
    """An index that was read, over tokens that stay mapped.

    Attributes:
        tokens: All tokens in order, a view of the `.bin` file.
        lengths: Tokens of each sequence, int32.
        documents: First sequence of each document, and at the end the number of sequences, int64.
    """

    tokens: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]
    documents: np.ndarray[Any, Any]

    def sequence(self, number: int) -> np.ndarray[Any, Any]:
        """The tokens of one sequence."""
        start = int(self.lengths[:number].sum(dtype=np.int64))
        return self.tokens[start : start + int(self.lengths[number])]


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """uint16 if the vocabulary has fewer than 65,500 entries, else int32."""
    return np.dtype("<u2" if vocab_size < SMALL_VOCABULARY else "<i4")


def index_bytes(lengths: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bytes:
    """The `.idx` file for one sequence a document.

    Args:
        lengths: Tokens of each document, end-of-document included.
        dtype: Of the tokens in the `.bin` file: uint16 or int32.
    """
    count = len(lengths)
    pointers = np.zeros(count, dtype="<i8")
    np.cumsum(lengths[:-1], out=pointers[1:], dtype=np.int64)
    pointers *= dtype.itemsize
    head = np.array([VERSION], "<u8").tobytes() + bytes([CODES[dtype.name]])
    counts = np.array([count, count + 1], "<u8").tobytes()
    documents = np.arange(count + 1, dtype="<i8")
    body = lengths.astype("<i4").tobytes() + pointers.tobytes() + documents.tobytes()
    return HEADER + head + counts + body


def parse_index(data: bytes) -> tuple[np.dtype[Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(token type, lengths, documents) of an `.idx` file. Raises FormatError."""
    if not data.startswith(HEADER) or len(data) < HEAD_BYTES:
        msg = "no Megatron index: it does not begin with MMIDIDX"
        raise FormatError(msg)
    version = int(np.frombuffer(data, "<u8", 1, 9)[0])
    names = {code: name for name, code in CODES.items()}
    name = names.get(data[17])
    if version != VERSION or name is None:
        msg = f"Megatron index of version {version}, token type {data[17]}; read are 1 and {names}"
        raise FormatError(msg)
    sequences, documents = (int(n) for n in np.frombuffer(data, "<u8", 2, 18))
    want = HEAD_BYTES + 12 * sequences + 8 * documents
    if len(data) != want:
        msg = f"Megatron index of {len(data)} bytes; its counts ask for {want}"
        raise FormatError(msg)
    lengths = np.frombuffer(data, "<i4", sequences, HEAD_BYTES)
    places = np.frombuffer(data, "<i8", documents, HEAD_BYTES + 12 * sequences)
    dtype = np.dtype(name).newbyteorder("<")
    if sequences:
        pointers = np.frombuffer(data, "<i8", sequences, HEAD_BYTES + 4 * sequences)
        ends = np.cumsum(lengths, dtype=np.int64) * dtype.itemsize
        if pointers[0] != 0 or not np.array_equal(pointers[1:], ends[:-1]):
            msg = "Megatron index whose sequences do not follow one another without a gap"
            raise FormatError(msg)
    return dtype, lengths, places


def read_indexed(index: Path, tokens: Path) -> Indexed:
    """Map a `.bin` by its `.idx`. Raises FormatError if they do not fit."""
    dtype, lengths, documents = parse_index(index.read_bytes())
    need = int(lengths.sum(dtype=np.int64)) * dtype.itemsize
    size = tokens.stat().st_size
    if size != need:
        msg = f"{tokens.name} has {size} bytes; its index asks for {need}"
        raise FormatError(msg)
    mapped = np.memmap(tokens, dtype, "r") if size else np.zeros(0, dtype)
    return Indexed(mapped, lengths, documents)
