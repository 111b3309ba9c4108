"""Token shards: composed text in, tokens for every trainer out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import ID, SOURCE, TEXT, Column, schema
from phloem.catalog.handoff.megatron import index_bytes, token_dtype
from phloem.catalog.handoff.tokenizer import Encoder
from phloem.catalog.manifest import File, rechunk, write_parquet
from phloem.catalog.store import Store, Writing

Json = Any

ENCODE_TEXTS = 512  # texts handed to the tokenizer at once; bounds the encodings in memory
ENCODE_BYTES = 4 * 2**20  # and their bytes

FIRST_TOKEN = Column("first_token", pa.int64(), "Place of the document's first token in the shard.")
TOKEN_COUNT = Column("token_count", pa.int64(), "Tokens, the end-of-document token included.")
INDEX = (ID, SOURCE, FIRST_TOKEN, TOKEN_COUNT)


@dataclass
class _Totals:
    """What has been written so far."""

    lengths: list[np.ndarray[Any, Any]] = field(default_factory=list)
    names: list[pa.RecordBatch] = field(default_factory=list)
    tokens: int = 0
    text_bytes: int = 0


def tokenize_shard(
    store: Store, folder: str, batches: Iterator[pa.RecordBatch], encoder: Encoder
) -> tuple[list[File], dict[str, Json]]:
    """Write the token files of one composed shard.

    `tokens.arrow` holds a row a document (id, source, tokens), `tokens.bin` and `tokens.idx` the
    same tokens as Megatron reads them, `index.parquet` which document a token belongs to. Each
    document ends with the end-of-document token.

    Args:
        store: The root.
        folder: Where the files go.
        batches: Of id, source and text; however they are cut, the same bytes come out.
        encoder: What makes the tokens.

    Returns:
        The files, and facts: documents, tokens, text_bytes, vocab_size, token_type.
    """
    dtype = token_dtype(encoder.vocab_size)
    totals = _Totals()
    layout = tokens_schema(dtype)
    with ExitStack() as stack:
        arrow = stack.enter_context(store.create(f"{folder}/tokens.arrow"))
        binary = stack.enter_context(store.create(f"{folder}/tokens.bin"))
        with pa.ipc.new_file(pa.PythonFile(arrow, "w"), layout) as writer:
            for batch in _encoded(encoder, batches, dtype, totals):
                writer.write_batch(batch.cast(layout))
                _write_binary(binary, batch, dtype, totals)
    lengths = np.concatenate([np.zeros(0, np.int64), *totals.lengths])
    index = index_bytes(lengths, dtype)
    files = [
        File("tokens.arrow", arrow.sha256, arrow.bytes, len(lengths)),
        File("tokens.bin", binary.sha256, binary.bytes),
        File("tokens.idx", store.write_bytes(f"{folder}/tokens.idx", index), len(index)),
        write_parquet(store, folder, "index.parquet", _index(totals, lengths)),
    ]
    facts = {
        "documents": len(lengths),
        "tokens": totals.tokens,
        "text_bytes": totals.text_bytes,
        "vocab_size": encoder.vocab_size,
        "token_type": dtype.name,
    }
    return files, facts


def tokens_schema(dtype: np.dtype[Any]) -> pa.Schema:
    """Of `tokens.arrow`: id, source, and tokens as uint16, or uint32 for a large vocabulary."""
    item = pa.uint16() if dtype.itemsize == 2 else pa.uint32()  # noqa: PLR2004
    return schema((ID, SOURCE)).append(pa.field("tokens", pa.list_(item)))


def _encoded(
    encoder: Encoder,
    batches: Iterator[pa.RecordBatch],
    dtype: np.dtype[Any],
    totals: _Totals,
) -> Iterator[pa.RecordBatch]:
    """Token batches of few texts each, cut back to the bounds that the rows alone decide."""
    columns = [ID.name, SOURCE.name, TEXT.name]
    item = tokens_schema(dtype).field("tokens").type.value_type
    for batch in rechunk(handed.select(columns) for handed in batches):
        parts = [_encode(encoder, part, item, totals) for part in _pieces(batch)]
        yield parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    sizes = pa.compute.binary_length(batch[TEXT.name]).fill_null(0).to_numpy()
    start, size = 0, 0
    for row, row_bytes in enumerate(sizes):
        size += row_bytes
        if row + 1 - start == ENCODE_TEXTS or size >= ENCODE_BYTES:
            yield batch.slice(start, row + 1 - start)
            start, size = row + 1, 0
    if start < batch.num_rows:
        yield batch.slice(start)


def _encode(
    encoder: Encoder, batch: pa.RecordBatch, item: pa.DataType, totals: _Totals
) -> pa.RecordBatch:
    texts = batch[TEXT.name]
    values, offsets = encoder.encode(texts)
    totals.text_bytes += pa.compute.sum(pa.compute.binary_length(texts)).as_py() or 0
    tokens = pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), pa.array(values.astype(str(item)), item)
    )
    return pa.RecordBatch.from_arrays(
        [batch[ID.name], batch[SOURCE.name], tokens], names=[ID.name, SOURCE.name, "tokens"]
    )


def _write_binary(
    out: Writing, batch: pa.RecordBatch, dtype: np.dtype[Any], totals: _Totals
) -> None:
    column = batch["tokens"]
    values = column.flatten().to_numpy()
    out.write(np.ascontiguousarray(values.astype(dtype)).tobytes())
    totals.lengths.append(column.value_lengths().to_numpy().astype(np.int64))
    totals.names.append(batch.select([ID.name, SOURCE.name]))
    totals.tokens += len(values)


def _index(totals: _Totals, lengths: np.ndarray[Any, Any]) -> pa.Table:
    names = pa.Table.from_batches(totals.names, schema((ID, SOURCE)))
    ends = np.cumsum(lengths)
    columns: Mapping[str, Any] = {
        ID.name: names[ID.name],
        SOURCE.name: names[SOURCE.name],
        FIRST_TOKEN.name: pa.array(ends - lengths, pa.int64()),
        TOKEN_COUNT.name: pa.array(lengths, pa.int64()),
    }
    return pa.table([columns[column.name] for column in INDEX], schema=schema(INDEX))
