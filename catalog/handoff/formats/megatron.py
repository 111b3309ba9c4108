"""Megatron-LM's indexed datasets: a `.bin` of tokens and an `.idx` that says where documents lie.

Layout after `megatron/core/datasets/indexed_dataset.py`; all numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from phloem.catalog.errors import PhloemError
from phloem.catalog.handoff.tokens import Part, batches
from phloem.catalog.manifest import BATCH_ROWS
from phloem.catalog.store import Writing

SUFFIXES = (".bin", ".idx")

HEADER = b"MMIDIDX\x00\x00"
VERSION = 1
CODES = {"uint16": 8, "int32": 4}  # of Megatron's DType; it has no uint32
SMALL_VOCABULARY = 65_500  # DType.optimal_dtype: below it a token takes two bytes
HEAD_BYTES = len(HEADER) + 8 + 1 + 8 + 8


class FormatError(PhloemError, ValueError):
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


def parse_index(data: Any) -> tuple[np.dtype[Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(token type, lengths, documents) of the bytes of an `.idx` file. Raises FormatError."""
    data = memoryview(data)
    if data[: len(HEADER)] != HEADER or len(data) < HEAD_BYTES:
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


def read_indexed(index: Any, tokens: Any) -> Indexed:
    """The bytes of a `.bin` by those of its `.idx`. Raises FormatError if they do not fit."""
    dtype, lengths, documents = parse_index(index)
    need = int(lengths.sum(dtype=np.int64)) * dtype.itemsize
    size = memoryview(tokens).nbytes
    if size != need:
        msg = f"Megatron tokens of {size} bytes; their index asks for {need}"
        raise FormatError(msg)
    return Indexed(np.frombuffer(tokens, dtype), lengths, documents)


def write(part: Part, create: Callable[[str], AbstractContextManager[Writing]]) -> None:
    """Write a part as one sequence a document."""
    dtype = token_dtype(part.vocab_size)
    lengths = []
    with create(".bin") as out:
        for batch in batches(part.data):
            column = batch["tokens"]
            out.write(np.ascontiguousarray(column.flatten().to_numpy(), dtype))
            lengths.append(column.value_lengths().to_numpy())
    with create(".idx") as out:
        out.write(index_bytes(np.concatenate(lengths), dtype))


def read(opened: Callable[[str], pa.Buffer]) -> Iterator[pa.RecordBatch]:
    """The documents of a part. Raises FormatError for what is no such pair."""
    indexed = read_indexed(opened(".idx"), opened(".bin"))
    ends = np.cumsum(indexed.lengths, dtype=np.int64)
    if not np.array_equal(indexed.documents, np.arange(len(ends) + 1)):
        msg = "Megatron index with documents of several sequences, or of none"
        raise FormatError(msg)
    for row in range(0, len(ends), BATCH_ROWS):
        bounds = np.append(ends[row - 1] if row else 0, ends[row : row + BATCH_ROWS])
        tokens = pa.array(indexed.tokens[bounds[0] : bounds[-1]])
        column = pa.LargeListArray.from_arrays(pa.array(bounds - bounds[0]), tokens)
        yield pa.RecordBatch.from_arrays([column], names=["tokens"])
