from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.repetition import repetition

PARTS = ["a", "b", "ab ", " ", "\n", "\n\n", "\n \n", "\t", "漢", "字", "é", ".", "\r", "\u2028"]
# Spaces, and what begins as they do; phrases that recur with other words around them.
PARTS += ["\u00a0", "©", "“", "\u3000", "ぁ", "c d e f g h i j k l ", "e f g h i ", "\nc d e f g"]
# Words of eight bytes and about, characters that stand in words unseen, letters beside others.
PARTS += ["abcdefg", "abcdefgh", "Z9", "\u00ad", "\u200d", "ж", "\u0301", "ไ", "ท\u0e31", "_", "😀"]
TEXT = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)


def _measures(text: str) -> dict[str, float]:
    arrays = repetition(pa.record_batch({"text": [text]})).arrays
    names = [column.name for column in repetition.writes]
    return {name: array[0].as_py() for name, array in zip(names, arrays, strict=True)}


@settings(deadline=None, max_examples=500, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), TEXT), max_size=4))
def test_repetition_equals_its_reference(texts: list[str | None]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert repetition.reference is not None
    wanted = repetition.reference(batch)
    for column, got, want in zip(repetition.writes, repetition(batch).arrays, wanted, strict=True):  # type: ignore[arg-type]
        assert got.to_pylist() == want.to_pylist(), column.name


def test_repeated_lines_and_paragraphs_count_from_the_second_on() -> None:
    text = "यह पंक्ति\n  यह पंक्ति\nअलग\n\nother\n\nother"
    found = _measures(text)
    assert found["dup_line_frac"] == 0.4
    assert found["dup_paragraph_frac"] == 0.3333
    assert found["dup_paragraph_char_frac"] == round(5 / len(text), 4)


def test_top_ngram_counts_all_occurrences_and_only_repeated_ones() -> None:
    found = _measures("to be or not to be")
    assert found["top_2gram_char_frac"] == round(8 / 13, 4)
    assert found["top_3gram_char_frac"] == 0.0


@pytest.mark.parametrize("text", ["one two three four five six " * 2, "ภาษาไท" * 2])
def test_repeated_ngrams_are_jumped_over_once(text: str) -> None:
    assert _measures(text)["dup_6gram_char_frac"] == 0.5


def test_words_are_those_of_minhash_whatever_their_bytes() -> None:
    words = [chr(code) * count for code in range(1, 0x250) for count in (1, 3, 8, 9)]
    words += ["co\u00adoperation", "naïveté", "абвгдежз", "𐌰𐌱𐌲𐌳", "漢字x9", "x漢", "ท\u0e31\u200dx"]
    texts = [f"{one} b {one} b {two} b" for one, two in itertools.pairwise(words)]
    batch = pa.record_batch({"text": texts})
    assert repetition.reference is not None
    wanted = repetition.reference(batch)
    assert [array.to_pylist() for array in repetition(batch).arrays] == [
        array.to_pylist()
        for array in wanted  # type: ignore[union-attr]
    ]


def test_a_long_text_of_one_word_and_one_of_lines_fit_their_tables() -> None:
    texts = ["a " * 5000, "a\n" * 5000, "a\n\n" * 3001, "漢" * 3000, "\n" * 1000, "ab" * 4000]
    batch = pa.record_batch({"text": texts})
    assert repetition.reference is not None
    wanted = repetition.reference(batch)
    assert [array.to_pylist() for array in repetition(batch).arrays] == [
        array.to_pylist()
        for array in wanted  # type: ignore[union-attr]
    ]


def test_fractions_never_pass_one() -> None:
    assert max(_measures("x " * 500).values()) <= 1
