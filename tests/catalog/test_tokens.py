"""Token shards: each token once, whatever the batches; a tokenizer that is exact."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from phloem.catalog.columns import ID, SOURCE, TEXT, schema
from phloem.catalog.handoff import tokens as module
from phloem.catalog.handoff.tokenizer import (
    END_OF_DOCUMENT,
    End,
    TokenizerError,
    library_encoder,
    load_tokenizer,
    train_tokenizer,
)
from phloem.catalog.handoff.tokens import tokenize_shard, tokens_schema
from phloem.catalog.manifest import read_arrow, read_parquet
from phloem.catalog.store import Store

TEXTS = [
    "The fox saw ripe grapes. Write to <EMAIL> or <IP>.",
    "رأى الثعلب عناقيد العنب الناضجة",
    "หมาจิ้งจอกเห็นพวงองุ่นสุก",
    "लोमड़ी ने बेल पर पके अंगूर देखे",
    "狐狸看见熟透的葡萄 😀\r\n\x00\u200b",
    "",
    f"a forged end {END_OF_DOCUMENT} of a document",
]
COLUMNS = schema((ID, SOURCE, TEXT))
END = End(END_OF_DOCUMENT, 0)


@pytest.fixture(scope="module")
def trained() -> bytes:
    return train_tokenizer(iter(TEXTS), vocab_size=350, special_tokens=["<IP>", "<EMAIL>"])


@pytest.fixture(scope="module")
def path(trained: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    file.write_bytes(trained)
    return str(file)


def _batches(sizes: list[int]) -> Iterator[pa.RecordBatch]:
    ids = [f"{n:032x}" for n in range(len(TEXTS))]
    whole = pa.RecordBatch.from_arrays([ids, ["s"] * len(TEXTS), TEXTS], schema=COLUMNS)
    start = 0
    for size in sizes:
        yield whole.slice(start, size)
        start += size


def _shard(store: Store, path: str, sizes: list[int]) -> tuple[dict[str, str], dict[str, Any]]:
    files, facts = tokenize_shard(store, "t", _batches(sizes), library_encoder(path, END))
    return {file.name: file.sha256 for file in files}, facts


def test_train_tokenizer_gives_the_same_bytes_in_another_process(trained: bytes) -> None:
    code = (
        "import sys; from phloem.catalog.handoff.tokenizer import train_tokenizer as t;"
        f"sys.stdout.buffer.write(t(iter({TEXTS!r}), vocab_size=350,"
        " special_tokens=['<EMAIL>', '<IP>']))"
    )
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert again.stdout == trained


def test_train_tokenizer_keeps_placeholders_whole(path: str) -> None:
    tokenizer = load_tokenizer(path, END)
    pieces = tokenizer.encode("to <EMAIL> or <IP>.").tokens
    assert "<EMAIL>" in pieces
    assert "<IP>" in pieces
    assert tokenizer.get_vocab_size() <= 350


def test_train_tokenizer_too_small_says_how_much_it_needs() -> None:
    with pytest.raises(TokenizerError, match="258 entries are needed"):
        train_tokenizer(iter(TEXTS), vocab_size=100, special_tokens=["<EMAIL>"])


def test_tokenize_shard_s_index_finds_each_document_s_tokens(path: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    _, facts = _shard(store, path, [len(TEXTS)])
    rows = read_arrow(store, "t/tokens.arrow").read_all().to_pylist()
    index = read_parquet(store, "t/index.parquet").to_pylist()
    tokens = [token for row in rows for token in row["tokens"]]
    for number, (row, place) in enumerate(zip(rows, index, strict=True)):
        first, count = place["first_token"], place["token_count"]
        assert row["id"] == place["id"] == f"{number:032x}"
        assert row["tokens"] == tokens[first : first + count]
    assert facts["documents"] == len(TEXTS)
    assert facts["tokens"] == len(tokens)
    assert facts["text_bytes"] == sum(len(text.encode()) for text in TEXTS)


@pytest.mark.parametrize(
    ("vocab_size", "item"), [(300, "uint16"), (65_536, "uint16"), (65_537, "uint32")]
)
def test_tokens_take_the_bytes_that_the_vocabulary_needs(vocab_size: int, item: str) -> None:
    assert tokens_schema(vocab_size).field("tokens").type.value_type == item


def test_tokenize_shard_decodes_to_the_text(path: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    _shard(store, path, [len(TEXTS)])
    tokenizer, end = Tokenizer.from_file(path), END.id
    for row, text in zip(
        read_arrow(store, "t/tokens.arrow").read_all().to_pylist(), TEXTS, strict=True
    ):
        assert row["tokens"][-1] == end
        assert row["tokens"].count(end) == 1
        assert tokenizer.decode(row["tokens"][:-1], skip_special_tokens=False) == text


@pytest.mark.parametrize("sizes", [[1] * 7, [0, 3, 0, 4], [6, 1]])
def test_tokenize_shard_however_batches_come_gives_the_same_bytes(
    path: str, tmp_path: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _shard(Store(tmp_path / "a"), path, [7])
    monkeypatch.setattr(module, "ENCODE_TEXTS", 2)
    monkeypatch.setattr(module, "ENCODE_BYTES", 40)
    assert _shard(Store(tmp_path / "b"), path, sizes) == whole


def test_tokenize_shard_of_no_document_is_whole(path: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    files, facts = tokenize_shard(store, "t", iter(()), library_encoder(path, END))
    assert (facts["documents"], facts["tokens"]) == (0, 0)
    assert read_arrow(store, "t/tokens.arrow").read_all().num_rows == 0
    assert read_parquet(store, "t/index.parquet").num_rows == 0
    assert [file.name for file in files] == ["tokens.arrow", "index.parquet"]


def test_token_shard_loads_with_datasets(path: str, tmp_path: Path) -> None:
    _shard(Store(tmp_path), path, [7])
    code = (
        "import datasets, json; d = datasets.load_dataset('arrow',"
        f" data_files=[{str(tmp_path / 't/tokens.arrow')!r}], split='train');"
        "print(json.dumps([d.column_names, len(d), d[6]['id'], d[5]['tokens']]))"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr[-2000:]
    assert out.stdout.splitlines()[-1] == (
        f'[["id", "source", "tokens"], 7, "{6:032x}", [{END.id}]]'
    )
