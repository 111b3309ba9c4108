"""Tokens: the tokenizer that the recipe trains or gives, and token shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from phloem.catalog.columns import ID, SOURCE, TEXT
from phloem.catalog.handoff.tokenizer import (
    END_OF_DOCUMENT,
    End,
    declared_end,
    end_of,
    facts_of,
    find_end,
    library_encoder,
    train_tokenizer,
)
from phloem.catalog.handoff.tokens import tokenize_shard
from phloem.catalog.manifest import File, Shard, commit, find, read_arrow
from phloem.catalog.store import Store
from phloem.filters import bpe
from phloem.pipeline.recipe import Tokenizer, Train
from phloem.pipeline.stage import StageError, Task, shard_key

Json = Any

TOKENIZER = "tokenizer.json"


def train_task(composed: Sequence[Shard], train: Train, scrub: Mapping[str, str]) -> Task:
    """The one task that trains a tokenizer on a sample of the composed text."""
    spec = {
        "train": train.model_dump(),
        "end": END_OF_DOCUMENT,
        "special": sorted(set(scrub.values())),
        "tokenizers": version("tokenizers"),
    }
    key = shard_key("tokenizer", spec, [shard.digest for shard in composed])
    work = {
        **spec,
        "texts": [[shard.path("text.arrow"), shard.facts["bytes"]] for shard in composed],
    }
    size = min(train.sample_bytes, sum(shard.facts["bytes"] for shard in composed))
    return Task("tokenizer", (("tokenizer", key),), "train", size, work)


def run_train(store: Store, task: Task) -> list[Shard]:
    """Train and commit `tokenizer.json`."""
    work = task.work
    ((_, key),) = task.makes
    train = Train.model_validate(work["train"])
    total = sum(size for _, size in work["texts"])
    share = min(1.0, train.sample_bytes / max(total, 1))
    texts = sample(store, [name for name, _ in work["texts"]], share)
    data = train_tokenizer(texts, vocab_size=train.vocab_size, special_tokens=work["special"])
    end = End(work["end"], 0)  # the trainer numbers special tokens first
    return [_commit_tokenizer(store, key, data, end, {"sample_share": round(share, 4)})]


def sample(store: Store, names: Sequence[str], share: float) -> Iterator[str]:
    """The texts whose id falls into a share of all ids: the same documents however they are cut."""
    limit = int(share * 2**32)
    for name in names:
        reader = read_arrow(store, name)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            ids = batch[ID.name].to_pylist()
            chosen = [row for row, value in enumerate(ids) if int(value[:8], 16) < limit]
            yield from batch[TEXT.name].take(pa.array(chosen, pa.int64())).to_pylist()


def given_tokenizer(store: Store, tokenizer: Tokenizer) -> Shard:
    """Commit the `tokenizer.json` that a recipe names, with the token that ends documents.

    Raises:
        StageError: it is not there, or its hash differs.
        TokenizerError: it has no token that ends a document, or several could.
    """
    path = Path(tokenizer.file or "")
    asked = tokenizer.end or declared_end(str(path))
    key = shard_key("tokenizer", {"sha256": tokenizer.sha256, "end": asked}, [])
    known = find(store, "tokenizer", key)
    if known is not None:
        return known
    if not path.is_file():
        msg = f"the recipe's tokenizer {tokenizer.file} is not there; sought as {path.absolute()}"
        raise StageError(msg)
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != tokenizer.sha256:
        msg = (
            f"tokenizer {tokenizer.file} has sha256 {sha256}, the recipe says {tokenizer.sha256};"
            " use the file that it names, or change the recipe"
        )
        raise StageError(msg)
    return _commit_tokenizer(store, key, data, find_end(str(path), tokenizer.end), {})


def _commit_tokenizer(
    store: Store, key: str, data: bytes, end: End, facts: Mapping[str, Json]
) -> Shard:
    sha256 = store.write_bytes(f"tokenizer/{key}/{TOKENIZER}", data)
    said = {**facts_of(end), **facts}
    return commit(store, Shard("tokenizer", key, (File(TOKENIZER, sha256, len(data)),), said))


def tasks(composed: Sequence[Shard], tokenizer: Shard) -> list[Task]:
    """One task for each composed shard."""
    made, end = [], end_of(tokenizer.facts)
    for shard in composed:
        spec = {"tokenizers": version("tokenizers"), "bpe": bpe.VERSION}
        key = shard_key("tokenize", spec, [tokenizer.digest, shard.digest])
        work = {
            "source": shard.facts["source"],
            "text": shard.path("text.arrow"),
            "tokenizer": tokenizer.path(TOKENIZER),
            "end": [end.token, end.id],
        }
        label = f"{shard.facts['source']} {shard.key[:8]}"
        made.append(Task("tokenize", (("tokenize", key),), label, shard.facts["bytes"], work))
    return made


def run_tokenize(store: Store, task: Task) -> list[Shard]:
    """Tokenize one composed shard."""
    work = task.work
    path, end = store.local_path(work["tokenizer"]), End(*work["end"])
    ((stage, key),) = task.makes
    reader = read_arrow(store, work["text"])
    batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    columns = [ID.name, SOURCE.name, TEXT.name]
    files, facts = tokenize_shard(
        store,
        f"{stage}/{key}",
        (batch.select(columns) for batch in batches),
        bpe.kernel_encoder(path, end) or library_encoder(path, end),
    )
    return [commit(store, Shard(stage, key, tuple(files), {"source": work["source"], **facts}))]
