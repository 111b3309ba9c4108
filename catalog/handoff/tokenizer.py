"""Tokenizers: one that is trained here or one that is given, and the token that ends a document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from phloem.catalog.errors import PhloemError
from phloem.catalog.nearest import nearest

Json = Any

END_OF_DOCUMENT = "<|endoftext|>"  # GPT-2's; what a tokenizer trained here ends documents with

# How vocabularies spell the end of a document, for a tokenizer that comes without a configuration:
# GPT-2 and Qwen; Llama 3; T5, Llama 2 and Mistral; Gemma; DeepSeek; Falcon 3, MPT and others.
# Ends of a turn of a chat, such as <|im_end|> or <|eot_id|>, are none, unless they are declared.
SPELLINGS = frozenset(
    {
        END_OF_DOCUMENT,
        "<|end_of_text|>",
        "</s>",
        "<eos>",
        "<|end▁of▁sentence|>",
        "<｜end▁of▁sentence｜>",
        "<EOS>",
        "[EOS]",
        "<|eos|>",
        "<|endofdocument|>",
    }
)

CONFIG = "tokenizer_config.json"  # beside a `tokenizer.json`, as `transformers` writes it
TOLD_TOKENS = 8  # special tokens that an error names
RARE = "\U00013000"  # EGYPTIAN HIEROGLYPH A001: a letter that vocabularies of text do not hold

Encoded = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""Tokens of all texts, one after the other, and where each begins; one place more than texts."""


class TokenizerError(PhloemError):
    """A tokenizer that cannot be used: the message says what it lacks."""


@dataclass(frozen=True)
class End:
    """The token that ends each document.

    Attributes:
        token: As the vocabulary spells it.
        id: Its number.
    """

    token: str
    id: int

    def __str__(self) -> str:
        """For a person."""
        return f"{self.token} ({self.id})"


@dataclass(frozen=True)
class Encoder:
    """What makes tokens of texts.

    Attributes:
        encode: Array of strings -> their tokens, `end` behind each text; a null is an empty text.
        end: The token at a document's end; no text has it inside.
        vocab_size: One more than the largest token of the vocabulary, added ones included.
    """

    encode: Callable[[pa.Array], Encoded]
    end: int
    vocab_size: int


def train_tokenizer(
    texts: Iterator[str], *, vocab_size: int, special_tokens: Sequence[str] = ()
) -> bytes:
    """Train a byte-level BPE tokenizer; the same texts give the same bytes of `tokenizer.json`.

    All 256 bytes are in the vocabulary, so no text is out of it (GPT-2, Radford et al. 2019, 2.2).

    Args:
        texts: Read once.
        vocab_size: Entries at most, the end of document and `special_tokens` included.
        special_tokens: Kept whole wherever they stand in a text, such as placeholders of PII.

    Raises:
        TokenizerError: `vocab_size` has no room for the bytes and these tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = sorted(set(special_tokens) - {END_OF_DOCUMENT})
    least = len(alphabet) + 1 + len(whole)
    if vocab_size < least:
        msg = f"a vocabulary of {vocab_size} is too small; {least} entries are needed at least"
        raise TokenizerError(msg)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(whole),
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Not "special" to the library: text may spell a placeholder, but never the end of a document.
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in whole])
    return tokenizer.to_str(pretty=False).encode()


def declared_end(path: str) -> str | None:
    """The `eos_token` of the `tokenizer_config.json` beside a tokenizer; None if there is none.

    Raises TokenizerError if that file cannot be read.
    """
    beside = Path(path).with_name(CONFIG)
    if not beside.is_file():
        return None
    try:
        told = json.loads(beside.read_bytes()).get("eos_token")
        token = told["content"] if isinstance(told, Mapping) else told  # as an AddedToken
    except (ValueError, AttributeError, KeyError, RecursionError):
        token = 0
    if token is not None and not isinstance(token, str):
        msg = (
            f"{beside} beside the tokenizer is no JSON object whose eos_token is a string; mend it"
        )
        raise TokenizerError(msg)
    return token or None


def find_end(path: str, asked: str | None = None) -> End:
    """The token that ends a document: the one asked for, else what the tokenizer itself declares.

    That is the `eos_token` of the `tokenizer_config.json` beside it, else its one special token
    that spells the end of a document (`SPELLINGS`). An ordinary entry of the vocabulary that only
    looks like one, such as Gemma's `</s>` (213), is never taken for it.

    Raises:
        TokenizerError: the file is no tokenizer, it has no such token, several could be it, or it
            is none that ends documents alone; or the tokenizer does not take every text.
    """
    tokenizer = _read(path)
    special = {
        token.content: number
        for number, token in tokenizer.get_added_tokens_decoder().items()
        if token.special
    }
    name = Path(path).name
    wanted = asked or declared_end(path)
    if wanted is not None:
        number = tokenizer.token_to_id(wanted)
        if number is not None:
            return _checked(End(wanted, number), tokenizer)
        by = "the recipe's tokenizer.end" if asked else f"eos_token of {CONFIG}"
        msg = f"{by} is {wanted!r}, which {name} does not hold; {nearest(wanted, special)}"
        raise TokenizerError(msg)
    found = [End(token, number) for token, number in special.items() if token in SPELLINGS]
    if len(found) == 1:
        return _checked(found[0], tokenizer)
    if found:
        lack = f"could end a document with {' or '.join(map(str, found))}"
    else:
        more = ", …" if len(special) > TOLD_TOKENS else ""
        lack = (
            "declares no token that ends a document; its special tokens are"
            f" {', '.join(list(special)[:TOLD_TOKENS]) or 'none'}{more}"
        )
    msg = f"{name} {lack}; name the one with tokenizer: {{end: …}} in the recipe"
    raise TokenizerError(msg)


def _checked(end: End, tokenizer: Tokenizer) -> End:
    """The end, if no text has it inside, and each can be taken. Raises TokenizerError."""
    _prepare(tokenizer, end)
    try:
        unknown = tokenizer.encode(RARE, add_special_tokens=False).ids
        spelt = _spelt(end, tokenizer)
    except Exception:  # noqa: BLE001 - the library raises nothing more particular
        unknown = spelt = []
    name = "tokenizer: {end: …} in the recipe"
    if not unknown:
        msg = (
            "the tokenizer has no token for characters that its vocabulary lacks, and would drop"
            " them or fail; give its model an unknown token, or byte_fallback"
        )
    elif end.id in unknown:
        msg = f"{end} stands for all that the vocabulary lacks; name another token with {name}"
    elif end.id in spelt:
        msg = f"{end} is a character that texts may hold; name a special token with {name}"
    else:
        return end
    raise TokenizerError(msg)


def _prepare(tokenizer: Tokenizer, end: End) -> None:
    """Have a tokenizer make the same tokens of a text each time, and of a whole one."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.model, models.BPE):
        tokenizer.model.dropout = None  # BPE-dropout is of training (Provilkov et al. 2020)
    tokenizer.add_special_tokens([AddedToken(end.token, normalized=False, special=True)])
    tokenizer.encode_special_tokens = True


def _read(path: str) -> Tokenizer:
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # noqa: BLE001 - the library raises nothing more particular
        msg = f"{path} is no tokenizer.json that the library `tokenizers` reads: {error}"
        raise TokenizerError(msg) from None


def facts_of(end: End) -> dict[str, Json]:
    """What a committed tokenizer says of the end of a document."""
    return {"end_token": end.token, "end_id": end.id}


def end_of(facts: Mapping[str, Json]) -> End:
    """The end of a document, out of what a committed tokenizer says."""
    return End(facts["end_token"], facts["end_id"])


def load_tokenizer(path: str, end: End) -> Tokenizer:
    """A tokenizer that takes the tokens that a text spells out for the text that they are.

    No document can forge the end of another, nor any other special token. Raises TokenizerError
    if its vocabulary has another token for `end`.
    """
    tokenizer = _read(path)
    if tokenizer.token_to_id(end.token) != end.id:
        msg = f"{path} has no token {end}: it is not the tokenizer that the end was found in"
        raise TokenizerError(msg)
    _prepare(tokenizer, end)
    return tokenizer


def library_encoder(path: str, end: End) -> Encoder:
    """The encoder of any `tokenizer.json`, by the library `tokenizers`.

    Raises TokenizerError if its vocabulary has another token for `end`.
    """
    tokenizer = load_tokenizer(path, end)

    def encode(texts: pa.Array) -> Encoded:
        given = texts.fill_null("").to_pylist()
        encodings = tokenizer.encode_batch_fast(given, add_special_tokens=False)
        rows = [
            np.asarray([*_without(end, encoding.ids, tokenizer), end.id], np.uint32)
            for encoding in encodings
        ]
        offsets = np.cumsum([0, *map(len, rows)])
        return np.concatenate([np.zeros(0, np.uint32), *rows]), offsets

    numbers = tokenizer.get_vocab(with_added_tokens=True).values()
    return Encoder(encode, end.id, max(numbers) + 1)  # numbers may have gaps, as those of GPT-4o


def _without(end: End, ids: Sequence[int], tokenizer: Tokenizer) -> Sequence[int]:
    """A text's tokens, with the end of a document that it spells cut into characters.

    A vocabulary that holds the end as an ordinary piece, as Unigram's do, makes it of such a text.
    """
    if end.id not in ids:
        return ids
    spelt = _spelt(end, tokenizer)
    return [one for number in ids for one in (spelt if number == end.id else (number,))]


def _spelt(end: End, tokenizer: Tokenizer) -> list[int]:
    """The tokens of the characters of an end's spelling."""
    return [token.id for char in end.token for token in tokenizer.model.tokenize(char)]
