"""Words and special characters as ROOTS counted them, in many scripts."""

from __future__ import annotations

import string

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.roots import roots, special_characters


def _counted(text: str | None) -> tuple[object, object]:
    words, share = roots(pa.record_batch({"text": pa.array([text], pa.string())})).arrays
    return words[0].as_py(), share[0].as_py()


def test_special_characters_are_those_of_the_published_code() -> None:
    table = special_characters()
    ascii_ones = string.punctuation + string.digits + string.whitespace
    assert all(table[ord(char)] for char in ascii_ones + "\u3000’…。、«»😀🌧♥★¨")
    assert not any(table[ord(char)] for char in string.ascii_letters + "éяअ我ಕ")
    assert table.sum() == 1599


@pytest.mark.parametrize(
    ("text", "words", "share"),
    [
        ("one two three", 3, 2 / 13),
        ("... 12 34 !?", 0, 1.0),
        ("don't stop-now", 2, 3 / 14),
        ("a\tb\nc\u2028d", 3, 2 / 7),
        ("سلام، دنیا", 2, 2 / 10),
        ("👍🏽 ok", 1, 3 / 5),
    ],
)
def test_roots_counts_words_and_special_characters(text: str, words: int, share: float) -> None:
    assert _counted(text) == (words, pytest.approx(share, abs=1e-4))


@given(st.lists(st.text(), max_size=4))
def test_roots_counts_what_its_reference_counts(texts: list[str]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert roots.reference is not None
    assert roots(batch).arrays == roots.reference(batch)
