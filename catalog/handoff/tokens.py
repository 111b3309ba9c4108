"""Token shards: composed text in, tokens out, each of which is stored once.

What a trainer wants them as is made from them when it is asked for: see `formats`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import ID, SOURCE, TEXT, Column, schema
from phloem.catalog.handoff.tokenizer import Encoder
from phloem.catalog.manifest import File, rechunk, write_parquet
from phloem.catalog.store import Store

Json = Any

TOKENS, DOCUMENTS = "tokens.arrow", "index.parquet"  # the files of a token shard

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
    text_bytes: int = 0


def tokenize_shard(
    store: Store, folder: str, batches: Iterator[pa.RecordBatch], encoder: Encoder
) -> tuple[list[File], dict[str, Json]]:
    """Write the token files of one composed shard.

    `tokens.arrow` holds a row a document (id, source, tokens), as a loader maps it; the small
    `index.parquet` which document a token belongs to. Each document ends with the end-of-document
    token.

    Args:
        store: The root.
        folder: Where the files go.
        batches: Of id, source and text; however they are cut, the same bytes come out.
        encoder: What makes the tokens.

    Returns:
        The files, and facts: documents, tokens, text_bytes, vocab_size.
    """
    totals = _Totals()
    layout = tokens_schema(encoder.vocab_size)
    with (
        store.create(f"{folder}/{TOKENS}") as arrow,
        pa.ipc.new_file(pa.PythonFile(arrow, "w"), layout) as writer,
    ):
        for batch in _encoded(encoder, batches, totals):
            writer.write_batch(batch.cast(layout))
            totals.lengths.append(batch["tokens"].value_lengths().to_numpy().astype(np.int64))
            totals.names.append(batch.select([ID.name, SOURCE.name]))
    lengths = np.concatenate([np.zeros(0, np.int64), *totals.lengths])
    files = [
        File(TOKENS, arrow.sha256, arrow.bytes, len(lengths)),
        write_parquet(store, folder, DOCUMENTS, _index(totals, lengths)),
    ]
    facts = {
        "documents": len(lengths),
        "tokens": int(lengths.sum()),
        "text_bytes": totals.text_bytes,
        "vocab_size": encoder.vocab_size,
    }
    return files, facts


def tokens_schema(vocab_size: int) -> pa.Schema:
    """Of `tokens.arrow`: id, source, and tokens as uint16, or uint32 for a large vocabulary."""
    item = pa.uint16() if vocab_size <= 2**16 else pa.uint32()
    return schema((ID, SOURCE)).append(pa.field("tokens", pa.list_(item)))


def _encoded(
    encoder: Encoder, batches: Iterator[pa.RecordBatch], totals: _Totals
) -> Iterator[pa.RecordBatch]:
    """Token batches of few texts each, cut back to the bounds that the rows alone decide."""
    columns = [ID.name, SOURCE.name, TEXT.name]
    item = tokens_schema(encoder.vocab_size).field("tokens").type.value_type
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


def _index(totals: _Totals, lengths: np.ndarray[Any, Any]) -> pa.Table:
    names = pa.Table.from_batches(totals.names, schema((ID, SOURCE)))
    ends = np.cumsum(lengths)
    columns = [*names.columns, pa.array(ends - lengths), pa.array(lengths)]
    return pa.table(columns, schema=schema(INDEX))


@dataclass(frozen=True)
class Part:
    """One token shard of a release, as an export reads it.

    Attributes:
        name: What the files that are made of it are called, without what they end in.
        data: The bytes of its `tokens.arrow`, mapped, each as released.
        documents: How many.
        vocab_size: One more than the largest token of the vocabulary.
    """

    name: str
    data: pa.Buffer
    documents: int
    vocab_size: int


def batches(file: pa.Buffer | pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow file."""
    reader = pa.ipc.open_file(file)
    return (reader.get_batch(number) for number in range(reader.num_record_batches))
