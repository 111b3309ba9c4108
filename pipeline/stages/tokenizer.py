"""Tokenizer: the one that the recipe trains on its own text, or gives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from phloem.catalog.columns import ID, TEXT
from phloem.catalog.handoff.tokenizer import (
    END_OF_DOCUMENT,
    End,
    declared_end,
    facts_of,
    find_end,
    train_tokenizer,
)
from phloem.catalog.manifest import File, Kind, Ref, Shard, arrow_batches, commit, find
from phloem.catalog.store import Store
from phloem.pipeline.recipe import Tokenizer, Train
from phloem.pipeline.stage import Stage, StageError, Task, Work

Json = Any

FILE = "tokenizer.json"


TOKENIZER = Kind("tokenizer", {r"tokenizer\.json": None})


class TokenizerWork(Work):
    """The training of a tokenizer.

    Attributes:
        train: How.
        end: The token that ends a document.
        special: What personal data was replaced with: each is one token.
        texts: The composed text.
        text_bytes: Of text in them.
    """

    train: Train
    end: str
    special: tuple[str, ...]
    texts: tuple[Ref, ...]
    text_bytes: int


def task(composed: Sequence[Shard], train: Train, scrub: Mapping[str, str]) -> Task:
    """The one task that trains a tokenizer on a sample of the composed text."""
    special = sorted(set(scrub.values()))
    spec = {
        "train": train.model_dump(),
        "end": END_OF_DOCUMENT,
        "special": special,
        "tokenizers": version("tokenizers"),
    }
    key = TOKENIZER.key(spec, [shard.digest for shard in composed])
    work = TokenizerWork(
        train=train,
        end=END_OF_DOCUMENT,
        special=tuple(special),
        texts=tuple(shard.ref("text.arrow") for shard in composed),
        text_bytes=sum(shard.facts["bytes"] for shard in composed),
    )
    return STAGE.task(key, "train", work)


def run(store: Store, key: str, work: TokenizerWork) -> list[Shard]:
    """Train and commit `tokenizer.json`."""
    train = work.train
    share = min(1.0, train.sample_bytes / max(work.text_bytes, 1))
    texts = sample(store, work.texts, share)
    special = list(work.special)
    data = train_tokenizer(texts, vocab_size=train.vocab_size, special_tokens=special)
    end = End(work.end, 0)  # the trainer numbers special tokens first
    return [_commit_tokenizer(store, key, data, end, {"sample_share": round(share, 4)})]


def sample(store: Store, files: Sequence[Ref], share: float) -> Iterator[str]:
    """The texts whose id falls into a share of all ids: the same documents however they are cut."""
    limit = int(share * 2**32)
    for file in files:
        for batch in arrow_batches(store, file, [ID.name, TEXT.name]):
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
    key = TOKENIZER.key({"sha256": tokenizer.sha256, "end": asked}, [])
    known = find(store, TOKENIZER.name, key)
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
    sha256 = store.write_bytes(f"{TOKENIZER.name}/{key}/{FILE}", data)
    said = {**facts_of(end), **facts}
    return commit(store, Shard(TOKENIZER.name, key, (File(FILE, sha256, len(data)),), said))


STAGE = Stage("tokenizer", TokenizerWork, run, (TOKENIZER,), grows="once", tasks="one")
