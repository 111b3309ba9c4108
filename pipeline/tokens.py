"""Tokens: a tokenizer trained on the kept text if the recipe asks for one, and token shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from phloem.catalog.columns import ID, SOURCE, TEXT
from phloem.catalog.handoff.tokens import library_encoder, tokenize_shard, train_tokenizer
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
    ((stage, key),) = task.makes
    train = Train.model_validate(work["train"])
    total = sum(size for _, size in work["texts"])
    share = min(1.0, train.sample_bytes / max(total, 1))
    texts = sample(store, [name for name, _ in work["texts"]], share)
    data = train_tokenizer(texts, vocab_size=train.vocab_size, special_tokens=work["special"])
    return [_commit_tokenizer(store, stage, key, data, {"sample_share": round(share, 4)})]


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
    """Commit the `tokenizer.json` that a recipe names. Raises StageError if its hash differs."""
    key = shard_key("tokenizer", {"sha256": tokenizer.sha256}, [])
    known = find(store, "tokenizer", key)
    if known is not None:
        return known
    path = Path(tokenizer.file or "")
    if not path.is_file():
        msg = f"the recipe's tokenizer {tokenizer.file} is not there"
        raise StageError(msg)
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != tokenizer.sha256:
        msg = (
            f"tokenizer {tokenizer.file} has sha256 {sha256}, the recipe says {tokenizer.sha256};"
            " use the file that it names, or change the recipe"
        )
        raise StageError(msg)
    return _commit_tokenizer(store, "tokenizer", key, data, {})


def _commit_tokenizer(
    store: Store, stage: str, key: str, data: bytes, facts: Mapping[str, Json]
) -> Shard:
    sha256 = store.write_bytes(f"{stage}/{key}/{TOKENIZER}", data)
    return commit(store, Shard(stage, key, (File(TOKENIZER, sha256, len(data)),), facts))


def tasks(composed: Sequence[Shard], tokenizer: Shard) -> list[Task]:
    """One task for each composed shard."""
    made = []
    for shard in composed:
        spec = {"tokenizers": version("tokenizers"), "bpe": bpe.VERSION}
        key = shard_key("tokenize", spec, [tokenizer.digest, shard.digest])
        work = {
            "source": shard.facts["source"],
            "text": shard.path("text.arrow"),
            "tokenizer": tokenizer.path(TOKENIZER),
        }
        label = f"{shard.facts['source']} {shard.key[:8]}"
        made.append(Task("tokenize", (("tokenize", key),), label, shard.facts["bytes"], work))
    return made


def run_tokenize(store: Store, task: Task) -> list[Shard]:
    """Tokenize one composed shard.

    Raises TokenizerError if the tokenizer has no end-of-document token.
    """
    work = task.work
    path = store.local_path(work["tokenizer"])
    ((stage, key),) = task.makes
    reader = read_arrow(store, work["text"])
    batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    columns = [ID.name, SOURCE.name, TEXT.name]
    files, facts = tokenize_shard(
        store,
        f"{stage}/{key}",
        (batch.select(columns) for batch in batches),
        bpe.kernel_encoder(path) or library_encoder(path),
    )
    return [commit(store, Shard(stage, key, tuple(files), {"source": work["source"], **facts}))]
