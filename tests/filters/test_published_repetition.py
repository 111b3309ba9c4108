"""Repetition as published programs count it: kernels against references, and what those print."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.op import Op
from phloem.filters.published_repetition import datatrove_repetition, dolma_repetition

PARTS = [
    "a",
    "b",
    "ab ",
    " ",
    "\n",
    "\n\n",
    "\n \n",
    "\t",
    "漢",
    "é",
    ".",
    "\r",
    "\u2028",
    "\u1361",
]
PARTS += ["\u00a0", "\u3000", "😀", "don't ", "c d e f g h i j k l ", "e f g h i ", "\nc d e f g"]
TEXT = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)
BOTH = pytest.mark.parametrize("op", [datatrove_repetition, dolma_repetition], ids=lambda o: o.name)


def _values(op: Op, text: str) -> list[float]:
    return [array[0].as_py() for array in op(pa.record_batch({"text": [text]})).arrays]


@BOTH
def test_kernels_equal_their_references(op: Op) -> None:
    @settings(deadline=None, max_examples=300, derandomize=True)
    @given(texts=st.lists(st.one_of(st.none(), TEXT), max_size=4))
    def equal(texts: list[str | None]) -> None:
        batch = pa.record_batch({"text": pa.array(texts, pa.string())})
        assert op.reference is not None
        wanted = op.reference(batch)
        for column, got, want in zip(op.writes, op(batch).arrays, wanted, strict=True):  # type: ignore[arg-type]
            assert got.to_pylist() == want.to_pylist(), column.name

    equal()


@BOTH
@pytest.mark.parametrize(
    "text", ["a " * 4000, "a\n" * 4000, "\n" * 999, "a\n\n" * 3000, "漢" * 3000]
)
def test_texts_of_one_word_fit_their_tables(op: Op, text: str) -> None:
    assert op.reference is not None
    wanted = op.reference(pa.record_batch({"text": [text]}))
    assert _values(op, text) == [array[0].as_py() for array in wanted]  # type: ignore[union-attr]


# Printed by datatrove 0.10.1's own functions, divided as its filter divides.
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "to be\n\nto be\n\nto",
            (0.3333, 0.3125, 0.3333, 0.3125, 0.625, 1.0, 0.6875, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        (
            "a b c d e f\na b c d e f\na b c d e f\n",
            (
                0.0,
                0.0,
                0.5,
                0.6111,
                0.25,
                0.4167,
                0.5833,
                0.2778,
                0.3333,
                0.1944,
                0.2222,
                0.25,
                0.2778,
            ),
        ),
        (
            "I don't know. You do n't know. We do not, and that's it.",
            (0.0, 0.0, 0.0, 0.0, 0.2143, 0.3929, 0.4643, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        ("a a a a", (0.0, 0.0, 0.0, 0.0, 1.2857, 1.4286, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        (" x \n\n x \n", (0.0, 0.0, 0.3333, 0.3333, 0.3333, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        (
            "ab c d e f. a bc d e f.",
            (0.0, 0.0, 0.0, 0.0, 0.2609, 0.5217, 0.3478, 0.3043, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
    ],
)
def test_datatrove_prints_the_same(text: str, wanted: tuple[float, ...]) -> None:
    assert _values(datatrove_repetition, text) == [*wanted]


def test_dolma_counts_the_first_of_what_recurs() -> None:
    found = _values(dolma_repetition, "a b c d e f\n" * 3)
    assert found[:2] == [0.75, 1.8333]  # three lines of four, 33 characters with 18 between spaces
    assert found[5] == 1.0  # every 5-gram occurs twice
    assert found[8] == 0.9091  # ten of eleven 8-grams do


def test_dolma_divides_overlapping_ngrams_by_the_characters_of_words() -> None:
    assert _values(dolma_repetition, "a a a a")[2:4] == [1.5, 1.5]
