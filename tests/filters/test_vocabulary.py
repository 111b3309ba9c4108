from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.vocabulary import logarithms, vocabulary

WORDS = [
    "the",
    "The",
    "NATO",
    "I",
    "é",
    "É",
    "\n",
    "  ",
    "漢",
    "字",
    "ก\u0e34",
    "x9",
    "4",
    "-",
    "—",
]
MIXED = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=40).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
    st.text(max_size=20),
)


def _measures(*texts: str | None) -> list[list[float | None]]:
    batch = pa.record_batch({"text": pa.array(list(texts), pa.string())})
    return [array.to_pylist() for array in vocabulary(batch).arrays]


@settings(deadline=None, max_examples=300, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), MIXED), max_size=4))
def test_vocabulary_equals_its_reference(texts: list[str | None]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert vocabulary.reference is not None
    wanted = [array.to_pylist() for array in vocabulary.reference(batch)]  # type: ignore[union-attr]
    assert _measures(*texts) == wanted


def test_logarithms_are_those_of_the_library() -> None:
    numbers = np.arange(1, 1 << 16)
    assert np.abs(logarithms()[1:] / (1 << 26) - np.log2(numbers)).max() < 1e-7
    assert logarithms()[1] == 0
    assert logarithms()[2] == 1 << 26


@settings(deadline=None, max_examples=100, derandomize=True)
@given(words=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=200))
def test_entropy_is_that_of_the_counts(words: list[str]) -> None:
    shares = [count / len(words) for count in Counter(words).values()]
    wanted = -sum(share * math.log(share) for share in shares)
    assert _measures(" ".join(words))[2][0] == pytest.approx(wanted, abs=1e-4)


def test_a_word_more_often_than_the_table_has_counts_has_its_entropy_still() -> None:
    text = "a " * 200_000 + "b " * 200_000
    assert _measures(text)[2][0] == pytest.approx(math.log(2), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "median"),
    [("a bb ccc", 2.0), ("a bb", 1.5), ("don't", 4.0), ("नमस्ते", 6.0), ("x" * 5000, 1023.0)],
)
def test_median_is_of_letters_marks_and_digits(text: str, median: float) -> None:
    assert _measures(text)[0] == [median]


def test_words_in_capitals_have_two_letters() -> None:
    assert _measures("I saw NATO and U2 and ÉTÉ and ΑΒΓ", "I A B")[3] == [0.3333, 0.0]
