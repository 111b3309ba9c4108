"""Byte-level BPE by the kernel: the tokens of the library `tokenizers`, or none at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from code_points import classes_of_library
from hypothesis import example, given
from hypothesis import strategies as st

from phloem.catalog.handoff.tokenizer import (
    END_OF_DOCUMENT,
    Encoder,
    End,
    library_encoder,
    train_tokenizer,
)
from phloem.filters import bpe
from phloem.filters.kernels import merging as k
from phloem.filters.kernels.classes import CODE_POINTS

TEXTS = [
    "The fox saw ripe grapes, didn't it? They'll say it's sour; we've seen 'em, I'd say.",
    "رأى الثعلب عناقيد العنب الناضجة وقال إنها حامضة",
    "หมาจิ้งจอกเห็นพวงองุ่นสุก แต่มันบอกว่าเปรี้ยว",
    "लोमड़ी ने बेल पर पके अंगूर देखे और कहा कि वे खट्टे हैं",
    "狐狸看见熟透的葡萄，却说它们是酸的。狐狸看见熟透的葡萄 😀👩‍👩‍👧",
    "ཝ་མོས་རྒུན་འབྲུམ་སྨིན་པ་མཐོང་། ኀበ፡ቀበሮ፡ ½ ² Ⅷ ٣٤ 一二",
    "def f(x):\n\treturn  x ** 2   # twice\r\n\n\n  \u3000\u00a0\u2028 end  ",
    "",
]
END = End(END_OF_DOCUMENT, 0)
PLACEHOLDERS = ["<IP>", "<EMAIL>", "<EMAIL", "ü>"]


@pytest.fixture(scope="module")
def trained() -> bytes:
    return train_tokenizer(iter(TEXTS * 3), vocab_size=700, special_tokens=PLACEHOLDERS)


@pytest.fixture(scope="module")
def path(trained: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    file.write_bytes(trained)
    return str(file)


@pytest.fixture(scope="module")
def both(path: str) -> tuple[Encoder, Encoder]:
    ours = bpe.kernel_encoder(path, END)
    assert ours is not None
    return ours, library_encoder(path, END)


def rows(encoder: Encoder, texts: pa.Array) -> list[list[int]]:
    values, offsets = encoder.encode(texts)
    assert (offsets[0], offsets[-1]) == (0, len(values))
    return [part.tolist() for part in np.split(values, offsets[1:-1])] if len(texts) else []


def test_bpe_real_text_of_many_scripts_gets_the_tokens_of_the_library(
    both: tuple[Encoder, Encoder],
) -> None:
    ours, library = both
    texts = pa.array([*TEXTS, *(text * 9 for text in TEXTS), *("".join(TEXTS).split(" "))])
    assert rows(ours, texts) == rows(library, texts)
    assert (ours.end, ours.vocab_size) == (library.end, library.vocab_size)


PARTS = st.sampled_from(
    [
        *TEXTS,
        *PLACEHOLDERS,
        END_OF_DOCUMENT,
        *"'s 're 'll 'VE ' '' 'm ''s < \u200b \x00".split(" "),
        *(" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\x1c", "\x85", "a" * 200),
    ]
)
TEXT = st.lists(st.one_of(st.text(max_size=8), PARTS), max_size=6).map("".join)


@given(texts=st.lists(st.one_of(st.none(), TEXT), max_size=4))
@example(texts=[f"a {END_OF_DOCUMENT}<EMAIL>> ü> <IP> <EMAIL", None, " <IP>  <IP>", "\ud7ff\uf8ff"])
def test_bpe_any_text_gets_the_tokens_of_the_library(
    both: tuple[Encoder, Encoder], texts: list[str | None]
) -> None:
    ours, library = both
    array = pa.array(texts, pa.string())
    assert rows(ours, array) == rows(library, array)


def test_bpe_however_texts_are_cut_and_sliced_gives_the_same(both: tuple[Encoder, Encoder]) -> None:
    ours, _ = both
    for kind in (pa.string(), pa.large_string()):
        whole = pa.array([None, *TEXTS, None], kind)
        found = rows(ours, whole)
        assert [row for n in range(len(whole)) for row in rows(ours, whole.slice(n, 1))] == found
        assert rows(ours, whole.slice(2, 5)) == found[2:7]
        assert rows(ours, whole.slice(0, 0)) == []


def test_bpe_long_pieces_go_through_the_heap(both: tuple[Encoder, Encoder]) -> None:
    ours, library = both
    word = "".join(TEXTS[4].split()) + "grapes"
    letters = "".join(char for char in word if char.isalpha())
    texts = pa.array([letters * times for times in (1, 2, 3, 10, 500)] + ["=" * 97, " " * 5000])
    assert max(len(text) for text in texts.to_pylist()) > k.SHORT
    assert rows(ours, texts) == rows(library, texts)


def test_bpe_pieces_are_forgotten_when_there_is_no_room(
    both: tuple[Encoder, Encoder], trained: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(k, "PIECE_BYTES", 70)
    monkeypatch.setattr(k, "PIECE_TOKENS", 40)
    monkeypatch.setattr(k, "PLACES", 64)
    monkeypatch.setattr(k, "LINES", 16)
    small = bpe._encoder.__wrapped__(trained, END)
    assert small is not None
    assert rows(small, pa.array(TEXTS * 2)) == rows(both[1], pa.array(TEXTS * 2))


def changed(trained: bytes, part: str | None, **fields: Any) -> bytes:
    told = json.loads(trained)
    if part is None:
        told |= fields
    else:
        told[part] |= fields
    return json.dumps(told).encode()


def test_bpe_two_merges_that_make_one_token_are_done_in_the_order_of_the_library(
    tmp_path: Path,
) -> None:
    """`(a, bc)` and `(ab, c)` both make `abc`."""
    whole = ["ab", "bc", "abc", "ca", "abca", "bcab"]
    vocab = {token: n for n, token in enumerate([*bpe.byte_chars(), *whole, END_OF_DOCUMENT])}
    orders = [["a b", "ab c", "b c", "a bc", "c a", "abc a", "bc ab"]]
    orders += [orders[0][::-1], sorted(orders[0]), ["b c", "a b", "a bc", "ab c", "c a", "ab ca"]]
    texts = pa.array(["abcabcab", "bcabca" * 7, "cabcab" * 40, "abc bca cab"])
    for merges in orders:
        told = json.loads(train_tokenizer(iter(TEXTS), vocab_size=300))
        told["model"] |= {"vocab": vocab, "merges": merges}
        told["added_tokens"][0]["id"] = vocab[END_OF_DOCUMENT]
        file = tmp_path / "tokenizer.json"
        file.write_text(json.dumps(told))
        end = End(END_OF_DOCUMENT, vocab[END_OF_DOCUMENT])
        ours = bpe.kernel_encoder(str(file), end)
        assert ours is not None
        assert rows(ours, texts) == rows(library_encoder(str(file), end), texts)


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("model", {"type": "WordPiece"}),
        ("model", {"dropout": 0.1}),
        ("model", {"end_of_word_suffix": "</w>"}),
        ("model", {"ignore_merges": True}),
        ("pre_tokenizer", {"add_prefix_space": True}),
        ("pre_tokenizer", {"use_regex": False}),
        ("pre_tokenizer", {"type": "Whitespace"}),
        (None, {"pre_tokenizer": None}),
        (None, {"normalizer": {"type": "NFC"}}),
        (None, {"added_tokens": []}),
    ],
)
def test_bpe_another_kind_of_tokenizer_is_left_to_the_library(
    trained: bytes, part: str | None, fields: dict[str, Any]
) -> None:
    assert bpe._encoder(changed(trained, None), END) is not None
    told = changed(trained, part, **fields)
    if fields == {"added_tokens": []}:
        told = told.replace(END_OF_DOCUMENT.encode(), b"<|other|>")
    assert bpe._encoder(told, END) is None


@pytest.mark.parametrize("flag", ["single_word", "lstrip", "rstrip", "normalized"])
def test_bpe_added_tokens_that_take_more_than_themselves_are_left_to_the_library(
    trained: bytes, flag: str
) -> None:
    told = json.loads(trained)
    told["added_tokens"][-1][flag] = True
    assert bpe._encoder(json.dumps(told).encode(), END) is None


def test_bpe_kernel_is_compiled_for_the_arrays_that_it_gets(both: tuple[Encoder, Encoder]) -> None:
    bpe.compile_kernel()
    known = len(k.encode.dispatcher.signatures)
    rows(both[0], pa.array(TEXTS))
    assert len(k.encode.dispatcher.signatures) == known == 1


def test_bpe_classes_are_those_of_the_library() -> None:
    """At both ends of every run; `code_points.py` writes the whole table."""
    table = bpe.bpe_classes()
    begins = np.flatnonzero(np.diff(table)) + 1
    near = sorted({0, *begins.tolist(), *(begins - 1).tolist(), CODE_POINTS - 1})
    codes = [code for code in near if not 0xD800 <= code < 0xE000]
    assert table[codes].tolist() == classes_of_library(codes)


def test_bpe_bytes_stand_for_the_characters_of_the_library() -> None:
    from tokenizers import pre_tokenizers

    assert sorted(bpe.byte_chars()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str
    for code in (0, 0x20, 0x7F, 0x41, 0xAD, 0xE9, 0x4E00, 0x1F600):
        expected = "".join(bpe.byte_chars()[byte] for byte in chr(code).encode())
        assert cut(chr(code))[0][0] == expected
