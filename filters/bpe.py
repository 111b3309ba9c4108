"""Byte-level BPE as GPT-2 made it, equal to the library `tokenizers` and many times as fast."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from phloem.catalog.handoff.tokenizer import END_OF_DOCUMENT, Encoded, Encoder, End
from phloem.catalog.plain import Json
from phloem.filters.kernels import merging as k
from phloem.filters.kernels.classes import read_runs
from phloem.filters.kernels.hashing import mixed
from phloem.filters.kernels.utf8 import strings
from phloem.filters.kernels.words import EIGHT

VERSION = 1  # raised when a text gets other tokens

CLASSES = Path(k.__file__).with_name("bpe_classes.txt")

# What a `tokenizer.json` must say for its tokens to be made here, by the part and the field.
_PLAIN: Mapping[str, Mapping[str, Sequence[Json]]] = {
    "model": {
        "type": ("BPE",),
        "dropout": (None,),
        "continuing_subword_prefix": (None, ""),
        "end_of_word_suffix": (None, ""),
        "ignore_merges": (None, False),
    },
    "pre_tokenizer": {"type": ("ByteLevel",), "add_prefix_space": (False,), "use_regex": (True,)},
}


def kernel_encoder(path: str, end: End) -> Encoder | None:
    """The encoder of a `tokenizer.json` whose tokens the kernel makes; None for another kind.

    That is byte-level BPE with GPT-2's expression and all 256 bytes in the vocabulary; no text is
    normalized first, added tokens stand for themselves, and no merge makes the `end`.
    """
    return _encoder(Path(path).read_bytes(), end)


@functools.lru_cache(maxsize=1)
def _encoder(content: bytes, end: End) -> Encoder | None:
    """One for each tokenizer of a process: it keeps what it learnt of pieces."""
    found = _tables(content, end)
    if found is None:
        return None
    tables, vocab_size = found
    memory = k.no_memory()

    def encode(texts: pa.Array) -> Encoded:
        given = strings(texts)
        first, last = int(given.offsets[0]), int(given.offsets[-1])
        kinds = np.empty(last - first + EIGHT, np.uint8)
        k.mark(given.data, first, last, bpe_classes(), kinds)
        out = np.empty(last - first + given.rows + 1, np.uint32)
        offsets = np.zeros(given.rows + 1, np.int64)
        k.encode(given, kinds, tables, memory, out, offsets)
        return out[: offsets[-1]], offsets

    return Encoder(encode, end.id, vocab_size)


def compile_kernel() -> None:
    """Compile the kernel ahead of the first text, with a vocabulary of single bytes."""
    chars = [*byte_chars(), END_OF_DOCUMENT]
    told = {
        "model": {"type": "BPE", "vocab": dict(zip(chars, range(257), strict=True)), "merges": []},
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
    }
    encoder = _encoder(json.dumps(told).encode(), End(END_OF_DOCUMENT, 256))
    if encoder is not None:
        encoder.encode(pa.array(["a"]))


def _tables(content: bytes, end: End) -> tuple[k.Tables, int] | None:
    """The tables of a `tokenizer.json`, and how many tokens it has.

    None if the kernel does not make its tokens.
    """
    told = json.loads(content)
    if told.get("normalizer") or any(
        (told.get(part) or {}).get(field) not in values
        for part, fields in _PLAIN.items()
        for field, values in fields.items()
    ):
        return None
    model, tokens = told["model"], told.get("added_tokens") or []
    vocab: dict[str, int] = model["vocab"]
    ids = [vocab.get(char) for char in byte_chars()]
    plain = [token for token in tokens if not _stays_text(token, end)]
    if None in ids or any(
        token.get(field)
        for token in plain
        for field in ("single_word", "lstrip", "rstrip", "normalized")
    ):
        return None
    whole = vocab | {token["content"]: token["id"] for token in tokens}
    if whole.get(end.token) != end.id or end.id in ids or _renumbered(content, tokens):
        return None
    merges = [part.split(" ") if isinstance(part, str) else part for part in model["merges"]]
    try:
        numbers = [(vocab[left], vocab[right], vocab[left + right]) for left, right in merges]
    except KeyError:
        return None  # the library says what is wrong with it
    left, right, merged = np.array(numbers, np.int32).reshape(-1, 3).T.copy()
    if end.id in merged:
        return None  # a text can spell it: the library's encoder cuts it up again
    pairs, ranks = _pair_table(left, right)
    added = _added(tokens, end)
    data = b"".join(content for content, _ in added)
    begins = np.zeros(256, np.bool_)
    begins[[content[0] for content, _ in added]] = True
    tables = k.Tables(
        byte_ids=np.array(ids, np.int32),
        pairs=pairs,
        ranks=ranks,
        merged=merged,
        # Where two merges make one token, only the heap merges in the library's order.
        short=k.SHORT if len(set(merged.tolist())) == len(merged) else 1,
        begins=begins,
        added=np.frombuffer(data, np.uint8),
        added_offsets=np.cumsum([0, *(len(content) for content, _ in added)]).astype(np.int64),
        added_ids=np.array([number for _, number in added], np.int32),
        end_id=end.id,
    )
    return tables, max(whole.values()) + 1


def _renumbered(content: bytes, tokens: Sequence[Json]) -> bool:
    """Whether the library gives added tokens other numbers, as where these leave a gap."""
    library = Tokenizer.from_buffer(content)
    return any(library.token_to_id(token["content"]) != token["id"] for token in tokens)


def _stays_text(token: Json, end: End) -> bool:
    """Whether an added token is not made of a text that spells it: special ones, and the end."""
    return bool(token.get("special")) or token["content"] == end.token


def _added(tokens: Sequence[Json], end: End) -> list[tuple[bytes, int]]:
    """Added tokens and their ids, the longest first; `TEXT` for those that stay text."""
    found = [
        (token["content"].encode(), k.TEXT if _stays_text(token, end) else token["id"])
        for token in tokens
        if token["content"] and not token.get("normalized")
    ]
    return sorted(found, key=lambda each: (-len(each[0]), each[0]))


def _pair_table(
    left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """An open-addressed table of pairs and their ranks, at most a quarter full.

    Of equal pairs the last counts.
    """
    size = 1 << max(4, (4 * len(left)).bit_length())
    keys, ranks = np.full(size, k.FREE), np.full(size, k.NEVER, np.int32)
    wanted = left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)
    wanted, rest = np.unique(wanted[::-1], return_index=True)
    own = (len(left) - 1 - rest).astype(np.int32)
    places = np.array([mixed(key) & (size - 1) for key in wanted.tolist()], np.int64)
    rest = np.arange(len(wanted))
    while len(rest):  # all at once: the first takes a free place, the others try the next
        free = rest[keys[places[rest]] == k.FREE]
        taken = free[np.unique(places[free], return_index=True)[1]]
        keys[places[taken]], ranks[places[taken]] = wanted[taken], own[taken]
        rest = np.setdiff1d(rest, taken)
        places[rest] = (places[rest] + 1) % size
    return keys, ranks


@functools.cache
def byte_chars() -> list[str]:
    """The character that stands for each byte in a vocabulary (GPT-2, encoder.py).

    Printable characters of Latin-1 stand for themselves, the other bytes for U+0100 and on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


@functools.cache
def bpe_classes() -> npt.NDArray[np.uint8]:
    """What each code point is to GPT-2's expression, as `tokenizers` reads it.

    Kept in `kernels/bpe_classes.txt`, so that tokens do not change with the version of Unicode that
    an installed library knows. `python tests/support/code_points.py` asks the library and rewrites
    it.
    """
    _, starts, kinds = read_runs(CLASSES)
    table = np.repeat(np.array(list(map(int, kinds)), np.uint8), np.diff(starts))
    table.flags.writeable = False
    return table
