"""What datatrove counts: kernels against their references, and cases read out of its code."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.datatrove import datatrove_c4, datatrove_quality
from phloem.filters.op import Op, find_op

PIECES = [
    *[
        "the",
        "of",
        "and",
        "The",
        "word",
        "It is so.",
        "don't",
        "e.g.",
        "a.b",
        "x,y",
        "é",
        "漢",
        "।",
    ],
    *[".", "...", "…", "?", "!", '"', "'", ")", "#", "- ", "• ", "{", "[1]", "[edit]", "[x]"],
    *[
        "lorem ipsum",
        "JavaScript",
        "use cookies",
        "terms of use",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        "\x0b",
    ],
    *["\u2028", "\u00a0", " ", "  ", "x" * 31, "y" * 1001],
]
MIXED = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
    st.text(max_size=20),
)


def _measures(op: Op, text: str) -> dict[str, object]:
    batch = pa.record_batch({"text": pa.array([text], pa.string())})
    arrays = op(batch).arrays
    names = [column.name.removeprefix("datatrove_") for column in op.writes]
    return {name: array[0].as_py() for name, array in zip(names, arrays, strict=True)}


@pytest.mark.parametrize("op", [datatrove_quality, datatrove_c4], ids=lambda op: op.name)
def test_counts_equal_their_reference(op: Op) -> None:
    @settings(deadline=None, max_examples=500, derandomize=True)
    @given(texts=st.lists(st.one_of(st.none(), MIXED), max_size=4))
    def check(texts: list[str | None]) -> None:
        batch = pa.record_batch({"text": pa.array(texts, pa.string())})
        assert op.reference is not None
        wanted = op.reference(batch)
        for column, got, want in zip(op.writes, op(batch).arrays, wanted, strict=True):  # type: ignore[arg-type]
            assert got.to_pylist() == want.to_pylist(), column.name

    check()


def test_punctuation_is_a_token_and_no_word() -> None:
    found = _measures(datatrove_quality, "Yes, we (all) can't.")
    assert found["word_count"] == 5
    assert found["alpha_word_frac"] == 0.5556
    assert found["mean_word_chars"] == 2.6


@pytest.mark.parametrize("name", ["datatrove_quality", "dolma_quality"])
def test_a_word_behind_a_nul_is_no_stop_word(name: str) -> None:
    op = find_op(name, {})
    batch = pa.record_batch({"text": ["\0of \0\0the that", "of the that"]})
    (place,) = (n for n, column in enumerate(op.writes) if column.name.endswith("stop_word_count"))
    assert op.reference is not None
    assert op(batch).arrays[place].to_pylist() == [1, 3]
    assert op.reference(batch)[place].to_pylist() == [1, 3]


def test_blank_lines_are_lines_of_gopher_and_not_of_fineweb() -> None:
    found = _measures(datatrove_quality, "• a\n\n- b\n...\n")
    assert found["bullet_line_frac"] == 0.5
    assert found["ellipsis_line_frac"] == 0.25
    assert found["terminal_line_frac"] == 0.3333


def test_a_space_or_a_quotation_mark_behind_the_end_hides_it_from_fineweb() -> None:
    assert _measures(datatrove_quality, "One. \n“Two.”\nThree.")["terminal_line_frac"] == 0.3333


def test_lines_that_c4_drops_have_no_sentences() -> None:
    text = "Menu\nThis line is kept. It has two.\nThis one trails off...\nBy JavaScript it is so."
    found = _measures(datatrove_c4, text)
    assert found["c4_sentence_count"] == 2
    assert found["c4_line_frac"] == 0.25


def test_a_citation_at_the_end_hides_no_full_stop_unless_a_space_is_between() -> None:
    assert _measures(datatrove_c4, "It is known.[12]")["c4_sentence_count"] == 1
    assert _measures(datatrove_c4, "It is known. [12]")["c4_sentence_count"] == 0
