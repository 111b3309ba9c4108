"""Tokenize: composed text becomes token shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version

from phloem.catalog.columns import ID, SOURCE, TEXT, schema
from phloem.catalog.handoff.tokenizer import End, end_of, library_encoder
from phloem.catalog.handoff.tokens import INDEX, tokenize_shard
from phloem.catalog.manifest import Kind, Ref, Shard, arrow_batches, commit
from phloem.catalog.store import Store
from phloem.filters import bpe
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.stages.tokenizer import FILE

TOKENIZE = Kind(
    "tokenize",
    {
        r"tokens\.arrow": None,  # its numbers have 16 or 32 bits, as the vocabulary asks
        r"index\.parquet": schema(INDEX),
        r"tokens\.(bin|idx)": None,  # of an earlier version
    },
    version=2,
)


class TokenizeWork(Work):
    """One composed shard.

    Attributes:
        source: Id of the card.
        text: The composed text.
        tokenizer: The `tokenizer.json`.
        end: The token that ends each document.
    """

    source: str
    text: Ref
    tokenizer: Ref
    end: End


def tasks(composed: Sequence[Shard], tokenizer: Shard) -> list[Task]:
    """One task for each composed shard."""
    made, end = [], end_of(tokenizer.facts)
    file = dataclasses.replace(tokenizer.ref(FILE), is_kept=True)
    for shard in composed:
        spec = {"tokenizers": version("tokenizers"), "bpe": bpe.VERSION}
        key = TOKENIZE.key(spec, [tokenizer.digest, shard.digest])
        source = shard.facts["source"]
        work = TokenizeWork(source=source, text=shard.ref("text.arrow"), tokenizer=file, end=end)
        made.append(STAGE.task(key, f"{source} {shard.key[:8]}", work))
    return made


def run(store: Store, key: str, work: TokenizeWork) -> list[Shard]:
    """Tokenize one composed shard."""
    path, end = work.tokenizer.on_this_machine(store), work.end
    columns = [ID.name, SOURCE.name, TEXT.name]
    files, facts = tokenize_shard(
        store,
        f"{TOKENIZE.name}/{key}",
        arrow_batches(store, work.text, columns),
        bpe.kernel_encoder(path, end) or library_encoder(path, end),
    )
    facts = {"source": work.source, **facts}
    return [commit(store, Shard(TOKENIZE.name, key, tuple(files), facts))]


STAGE = Stage("tokenize", TokenizeWork, run, (TOKENIZE,), grows="text", tasks="files")
