"""Small vocabularies, made as those of the field are: GPT-2, Llama 3, Gemma, Qwen, Mistral, T5."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from phloem.catalog.handoff.tokenizer import CONFIG

ENTRIES = 100
LETTERS = [chr(code) for code in range(0x21, 0x7F)]


def vocabulary(first: Sequence[str], last: Sequence[str] = ()) -> dict[str, int]:
    """A hundred entries: these first and last, between them characters."""
    between = [char for char in LETTERS if char not in first][: ENTRIES - len(first) - len(last)]
    tokens = [*first, *between, *last]
    tokens += [f"<unused{number}>" for number in range(ENTRIES - len(tokens))]
    return {token: number for number, token in enumerate(tokens)}


def added(*tokens: str, special: bool = True) -> list[AddedToken]:
    """Tokens that are found in a text before all others."""
    return [AddedToken(token, normalized=False, special=special) for token in tokens]


def byte_level(specials: Sequence[str], ordinary: Sequence[str] = ()) -> Tokenizer:
    """As GPT-2, Llama 3 and Qwen: special tokens come behind the vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*alphabet, *ordinary])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(added(*specials))
    return tokenizer


def sentence_piece(specials: Sequence[str], ordinary: Sequence[str] = ()) -> Tokenizer:
    """BPE as SentencePiece makes it, as of Gemma and Mistral: special tokens come first."""
    vocab = vocabulary([*specials, "▁"], ordinary)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.add_special_tokens(added(*specials))
    return tokenizer


def unigram() -> Tokenizer:
    """As T5: `</s>` is a piece, and the best one for a text that spells it."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(char, -3.0) for char in LETTERS[: ENTRIES - 4]]
    tokenizer = Tokenizer(models.Unigram(pieces, 2, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(added("<pad>", "</s>", "<unk>"))
    return tokenizer


# How each ends documents.
KINDS = {
    "gpt-2": (byte_level(["<|endoftext|>"]), "<|endoftext|>"),
    "llama-3": (
        byte_level(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], ["</s>"]),
        "<|end_of_text|>",
    ),
    "gemma": (sentence_piece(["<pad>", "<eos>", "<bos>", "<unk>"], ["</s>"]), "<eos>"),
    "qwen": (
        byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["</s>"]),
        "<|endoftext|>",
    ),
    "mistral": (sentence_piece(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]), "</s>"),
    "unigram": (unigram(), "</s>"),
}


def saved(tokenizer: Tokenizer, folder: Path, config: Any = None) -> str:
    """Write a `tokenizer.json`, and beside it its configuration if there is one; its path."""
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    if config is not None:
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return str(path)
