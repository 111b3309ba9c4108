"""The token that ends a document, in small vocabularies made as those of the field are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_tokenizers import KINDS, added, byte_level, saved, unigram
from tokenizers import Tokenizer, models, pre_tokenizers

from phloem.catalog.handoff.tokenizer import (
    CONFIG,
    END_OF_DOCUMENT,
    End,
    TokenizerError,
    declared_end,
    find_end,
    library_encoder,
    load_tokenizer,
    train_tokenizer,
)
from phloem.filters.bpe import kernel_encoder

Json = Any


@pytest.mark.parametrize("kind", KINDS)
def test_find_end_takes_the_special_token_that_spells_it(kind: str, tmp_path: Path) -> None:
    tokenizer, token = KINDS[kind]
    path = saved(tokenizer, tmp_path)
    assert find_end(path) == End(token, tokenizer.token_to_id(token))


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_ends_each_text_once_whatever_it_spells(kind: str, tmp_path: Path) -> None:
    tokenizer, token = KINDS[kind]
    path = saved(tokenizer, tmp_path)
    end = find_end(path)
    texts = pa.array(
        [token, f"a {token}", "", None, f"{token}{token} </s> <eos> {END_OF_DOCUMENT}"]
    )
    values, offsets = library_encoder(path, end).encode(texts)
    assert (values == end.id).sum() == len(texts)
    assert (values[offsets[1:] - 1] == end.id).all()
    ours = kernel_encoder(path, end)
    assert (ours is not None) == (tokenizer.normalizer is None and kind != "unigram")
    if ours is not None:
        assert ours.encode(texts)[0].tolist() == values.tolist()
        assert ours.vocab_size == library_encoder(path, end).vocab_size


def test_encoder_text_that_spells_a_unigram_end_keeps_its_characters(tmp_path: Path) -> None:
    path = saved(unigram(), tmp_path)
    values, _ = library_encoder(path, find_end(path)).encode(pa.array(["a</s>b"]))
    assert [Tokenizer.from_file(path).id_to_token(number) for number in values] == [
        *("▁", "a", "<", "/", "s", ">", "b"),
        "</s>",
    ]


@pytest.mark.parametrize("eos", ["<|im_end|>", {"content": "<|im_end|>", "special": True}])
def test_find_end_a_configuration_beside_it_says_what_ends(eos: Json, tmp_path: Path) -> None:
    tokenizer, _ = KINDS["qwen"]
    path = saved(tokenizer, tmp_path, {"eos_token": eos, "pad_token": "<|endoftext|>"})
    assert find_end(path) == End("<|im_end|>", tokenizer.token_to_id("<|im_end|>"))


@pytest.mark.parametrize("config", [{}, {"eos_token": None}, {"bos_token": "<bos>"}])
def test_find_end_a_configuration_that_names_none_leaves_it_to_the_tokenizer(
    config: Json, tmp_path: Path
) -> None:
    assert find_end(saved(KINDS["gemma"][0], tmp_path, config)) == End("<eos>", 1)


@pytest.mark.parametrize(
    "config", ["[]", "{", "[" * 100_000, '{"eos_token": 3}', '{"eos_token": {"id": 1}}']
)
def test_declared_end_of_a_broken_configuration_is_an_error(config: str, tmp_path: Path) -> None:
    path = saved(KINDS["gemma"][0], tmp_path)
    (tmp_path / CONFIG).write_text(config, encoding="utf-8")
    with pytest.raises(TokenizerError, match="eos_token is a string"):
        declared_end(path)


def test_find_end_what_is_asked_for_goes_before_all(tmp_path: Path) -> None:
    path = saved(KINDS["qwen"][0], tmp_path, {"eos_token": "<|im_end|>"})
    assert find_end(path, "<|endoftext|>") == End("<|endoftext|>", 257)


@pytest.mark.parametrize(
    ("asked", "config", "said"),
    [
        ("<|endoftxt|>", {}, r"the recipe's tokenizer.end is '<\|endoftxt\|>', which tokenizer"),
        (None, {"eos_token": "<|end|>"}, r"eos_token of tokenizer_config.json is '<\|end\|>'"),
    ],
)
def test_find_end_of_no_token_that_there_is_names_the_nearest(
    asked: str | None, config: Json, said: str, tmp_path: Path
) -> None:
    path = saved(KINDS["qwen"][0], tmp_path, config)
    with pytest.raises(TokenizerError, match=f"{said}.*did you mean '?<"):
        find_end(path, asked)


def test_find_end_an_ordinary_entry_is_none(tmp_path: Path) -> None:
    """A vocabulary of web text holds `</s>` as it holds `<br>`."""
    path = saved(byte_level(["<|sep|>"], ["</s>", "<eos>"]), tmp_path)
    with pytest.raises(TokenizerError, match=r"special tokens are <\|sep\|>; name the one with"):
        find_end(path)
    added_too = byte_level(["<pad>"])
    added_too.add_tokens(added("</s>", special=False))
    with pytest.raises(TokenizerError, match="declares no token that ends a document"):
        find_end(saved(added_too, tmp_path))


def test_find_end_of_several_asks_which(tmp_path: Path) -> None:
    path = saved(byte_level(["</s>", "<|endoftext|>"]), tmp_path)
    with pytest.raises(TokenizerError, match=r"</s> \(256\) or <\|endoftext\|> \(257\); name"):
        find_end(path)
    assert find_end(path, "</s>") == End("</s>", 256)


def test_find_end_an_ordinary_entry_that_is_asked_for_is_never_made_of_a_text(
    tmp_path: Path,
) -> None:
    path = saved(byte_level([], ["</", "/>", "<//>"]), tmp_path)
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    told["model"]["merges"] = ["< /", "/ >", "</ />"]
    Path(path).write_text(json.dumps(told), encoding="utf-8")
    end = find_end(path, "<//>")
    texts = pa.array(["x<//>y", "<//>"])
    assert Tokenizer.from_file(path).encode("<//>").ids == [end.id]  # as the library has it
    values, _ = library_encoder(path, end).encode(texts)
    assert (values == end.id).sum() == len(texts)
    assert kernel_encoder(path, end) is None


def test_find_end_of_what_stands_for_the_unknown_is_refused(tmp_path: Path) -> None:
    """Each word that the vocabulary lacks would end a document, or be spelt like its end."""
    vocab = {"</s>": 0, "the": 1, "<": 2, "/": 3, "s": 4, ">": 5}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="</s>"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(added("</s>"))
    with pytest.raises(
        TokenizerError, match=r"</s> \(0\) stands for all that the vocabulary lacks"
    ):
        find_end(saved(tokenizer, tmp_path))


@pytest.mark.parametrize(
    "model",
    [
        models.WordLevel({"a": 0, "</s>": 1}, unk_token="[UNK]"),  # noqa: S106 - no password
        models.Unigram([("a", -1.0), ("</s>", 0.0)], None, False),
        models.BPE(vocab={"a": 0, "</s>": 1, "<": 2}, merges=[]),  # drops what it does not know
    ],
)
def test_find_end_of_a_tokenizer_that_takes_not_every_text_is_refused(
    model: Any, tmp_path: Path
) -> None:
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(added("</s>"))
    with pytest.raises(TokenizerError, match="has no token for characters that its vocabulary"):
        find_end(saved(tokenizer, tmp_path))


def test_encoder_gives_a_text_the_same_tokens_each_time(tmp_path: Path) -> None:
    """A tokenizer of BPE-dropout is saved with the share of merges that its training left out."""
    path = tmp_path / "tokenizer.json"
    path.write_bytes(train_tokenizer(iter(["hello hello"] * 9), vocab_size=300))
    told = json.loads(path.read_bytes())
    texts = pa.array(["hello hello hello"])
    end = find_end(str(path))
    wanted = library_encoder(str(path), end).encode(texts)[0].tolist()
    told["model"]["dropout"] = 0.5
    path.write_text(json.dumps(told), encoding="utf-8")
    encoder = library_encoder(str(path), end)
    assert [encoder.encode(texts)[0].tolist() for _ in range(20)] == [wanted] * 20


@pytest.mark.parametrize(("number", "word"), [(70_000, "foo"), (301, "hello")])
def test_kernel_leaves_tokens_that_the_library_numbers_anew_to_it(
    number: int, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(train_tokenizer(iter(["hello hello"] * 9), vocab_size=300))
    told = json.loads(path.read_bytes())
    like = {**told["added_tokens"][0], "special": False}
    told["added_tokens"].append({**like, "id": number, "content": word})
    path.write_text(json.dumps(told), encoding="utf-8")
    end = find_end(str(path))
    assert kernel_encoder(str(path), end) is None
    values, _ = library_encoder(str(path), end).encode(pa.array([word]))
    assert values.tolist() == [Tokenizer.from_file(str(path)).token_to_id(word), end.id]


def test_find_end_a_character_is_refused(tmp_path: Path) -> None:
    path = saved(KINDS["gpt-2"][0], tmp_path)
    with pytest.raises(TokenizerError, match="is a character that texts may hold"):
        find_end(path, "!")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "What"}}'])
def test_find_end_of_what_is_no_tokenizer_is_an_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    with pytest.raises(TokenizerError, match=r"is no tokenizer\.json that the library"):
        find_end(str(file))


def test_load_tokenizer_with_the_end_of_another_is_refused(tmp_path: Path) -> None:
    path = saved(KINDS["gemma"][0], tmp_path)
    with pytest.raises(TokenizerError, match=r"has no token <eos> \(213\)"):
        load_tokenizer(path, End("<eos>", 213))


def test_encoder_numbers_with_gaps_count_to_the_largest(tmp_path: Path) -> None:
    """As GPT-4o's, whose 200,000 entries go up to 200,018: tokens must fit their type."""
    path = saved(byte_level(["<|endoftext|>"]), tmp_path)
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    told["model"]["vocab"]["<|endoftext|>"] = told["added_tokens"][0]["id"] = 70_000
    Path(path).write_text(json.dumps(told), encoding="utf-8")
    end = find_end(path)
    for encoder in (library_encoder(path, end), kernel_encoder(path, end)):
        assert encoder is not None
        assert encoder.vocab_size == 70_001


def test_train_tokenizer_ends_documents_with_its_first_token(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(train_tokenizer(iter(["a text"]), vocab_size=300, special_tokens=["<IP>"]))
    assert find_end(str(path)) == End(END_OF_DOCUMENT, 0)
