"""The kernel of spaCy's English rules against its reference, and both against spaCy."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.kernels import kernel
from phloem.filters.kernels.tokens import Rules, cases, english_rules, tokenize
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar
from phloem.filters.tokens import english_tokens

PIECES = [
    *["don't", "Im", "cannot", "a.m.", "U.S.", "e.g.", "he", "'s", "’s", "n't", ":)", "8)", "c."],
    *[
        ".",
        "..",
        "...",
        "…",
        ",",
        ":",
        "-",
        "--",
        "—",
        "/",
        "@",
        "(",
        ")",
        '"',
        "'",
        "+",
        "$",
        "US$",
    ],
    *["http://", "www.", "a.org", "x.co.uk", ":80", "/p?q=1", "km", "m²", "%", "€", "°", "C"],
    *["5", "12", "A", "AB", "é", "É", "я", "漢", "。", "한", "ก", "🙂", "\u200d", "\u0301"],
    *[" ", "\n", "\u00a0", "\u3000", "word", "Word", "Mr", "co", "dont", "X", "McD", "!", "?", ";"],
]
MIXED = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    st.text(max_size=20),
)


@kernel
def _tokenize(  # noqa: PLR0917 - all that the kernel takes
    data: Bytes,
    rules: Rules,
    codes: Integers,
    places: Integers,
    cut: Bytes,
    begins: Integers,
    ends: Integers,
) -> Scalar:
    return tokenize(data, 0, len(data), rules, codes, places, cut, begins, ends)


def _tokens(text: str) -> list[str]:
    data = np.frombuffer(text.encode(), np.uint8)
    room = len(data) + 1
    codes, places, begins, ends = (np.empty(room, np.int64) for _ in range(4))
    cut = np.empty(room + 1, np.uint8)
    found = _tokenize(data, english_rules(), codes, places, cut, begins, ends)
    spans = zip(begins[:found].tolist(), ends[:found].tolist(), strict=True)
    return [data[begin:end].tobytes().decode() for begin, end in spans]


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(text=MIXED)
def test_tokens_equal_their_reference(text: str) -> None:
    assert _tokens(text) == english_tokens(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop.", "Do n't stop ."),
        ("He's here (e.g. at 5km).", "He 's here ( e.g. at 5 km ) ."),
        ("US$5, 50% and 10am", "US$ 5 , 50 % and 10 am"),
        ("well-known and/or x,y", "well - known and/or x , y"),
        ("See http://a.org/b-c, me@x.co.", "See http://a.org/b-c , me@x.co ."),
        ("end.Start U.S. Mr. X...", "end . Start U.S. Mr. X ..."),
        ("vitamin-c. hello:)", "vitamin - c. hello :)"),
        ("cannot gonna Im", "can not gon na I m"),
        ("你好。世界", "你好。世界"),
        ("«Да», сказал", "« Да » , сказал"),
        ("L<http://a-b.org/c-d> x.y@a-b.org", "L < http://a - b.org / c - d > x.y@a-b.org"),
        ("", ""),
    ],
)
def test_tokens_are_those_of_spacy(text: str, tokens: str) -> None:
    assert _tokens(text) == tokens.split()


def test_no_exception_ends_with_a_sign_that_is_cut_off_unseen() -> None:
    texts = ["".join(parts) for parts, _ in cases()]
    assert [text for text in texts if text[-1] in ",!?;" and text[:-1].isalpha()] == []


def _declarations() -> dict[str, str]:
    path = Path(__file__).parents[2] / "sources" / "bundled" / "udhr.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {row["language"]: row["text"] for row in map(json.loads, lines)}


def test_tokens_of_real_text_in_every_language_are_those_of_spacy() -> None:
    """Where spaCy is installed (the extra `ner`); no token of the declarations differs."""
    tokenizer = pytest.importorskip("spacy").blank("en").tokenizer
    texts = _declarations()
    assert len(texts) >= 40
    for language, text in texts.items():
        wanted = [token.text for token in tokenizer(text) if token.text.strip()]
        assert _tokens(text) == wanted, language


def test_tokens_of_real_text_in_every_language_are_those_of_the_reference() -> None:
    for language, text in _declarations().items():
        assert _tokens(text) == english_tokens(text), language
