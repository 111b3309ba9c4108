"""Scores are counted by hand here, and drawn again by the plainest bootstrap."""

from __future__ import annotations

import pytest

from phloem.pipeline.langid.scoring import (
    ENOUGH_BYTES,
    INSUFFICIENT,
    NOT_ONE,
    ONE_SOURCE,
    SCORED,
    confusions,
    score,
    wilson,
)
from phloem.pipeline.langid.texts import Text

ENOUGH = dict.fromkeys(["sw", "zu", "xh", "en"], ENOUGH_BYTES)


def pieces(languages, source="one"):
    return [
        Text(language, source, f"{source}-{place}", f"{language} {place}")
        for place, language in enumerate(languages)
    ]


def rows(found):
    return {row.language: row for row in found.rows}


def test_scores_are_as_counted_by_hand():
    # zu: 4 pieces, 3 called zu, 1 xh; xh: 2 pieces, 1 called xh, 1 zu; sw: 2, both right.
    found = score(
        pieces(["zu"] * 4 + ["xh"] * 2 + ["sw"] * 2),
        ["zu", "zu", "zu", "xh", "xh", "zu", "sw", "sw"],
        ENOUGH,
    )
    zu, xh, sw = (rows(found)[language] for language in ("zu", "xh", "sw"))
    assert (zu.precision, zu.recall, zu.f1.value) == (3 / 4, 3 / 4, 3 / 4)
    assert (xh.precision, xh.recall, xh.f1.value) == (1 / 2, 1 / 2, 1 / 2)
    assert (sw.precision, sw.recall, sw.f1.value) == (1, 1, 1)
    assert found.macro.value == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert (found.languages, found.pieces) == (3, 8)
    assert dict(zu.confused) == {"xh": 1}
    assert dict(sw.confused) == {}


def test_an_answer_is_compared_by_language():
    found = score(
        pieces(["sr-Latn", "zh-Hant", "sw"]), ["sr", "cmn", "swh"], {"sr": 10**5, "zh": 10**5}
    )
    assert {row.language: row.recall for row in found.rows} == {"sr": 1, "zh": 1, "sw": None}


def test_what_is_unknown_is_wrong_and_named():
    (row,) = score(pieces(["sw"] * 3), ["und", "und", "sw"], ENOUGH).rows
    assert (row.precision, row.recall, row.f1.value) == (1, 1 / 3, 1 / 2)
    assert dict(row.confused) == {"und": 2}


def test_a_language_that_nothing_is_called_has_no_precision():
    found = score(pieces(["zu", "xh"]), ["xh", "xh"], ENOUGH)
    assert rows(found)["zu"].precision is None
    assert rows(found)["zu"].f1.value == 0
    assert found.macro.value == pytest.approx((0 + 2 / 3) / 2)


def test_too_little_text_has_no_number_and_no_part_in_the_mean():
    found = score(pieces(["zu", "sw"]), ["xh", "sw"], {"sw": ENOUGH_BYTES, "zu": ENOUGH_BYTES - 1})
    zu = rows(found)["zu"]
    assert (zu.standing, zu.precision, zu.recall, zu.f1) == (INSUFFICIENT, None, None, None)
    assert (found.macro.value, found.languages) == (1, 1)


def test_one_source_has_a_number_but_no_part_in_the_mean():
    found = score(pieces(["zu", "sw"]), ["xh", "sw"], ENOUGH, one_source=["zu"])
    assert rows(found)["zu"].standing == ONE_SOURCE
    assert rows(found)["zu"].f1.value == 0
    assert rows(found)["sw"].standing == SCORED
    assert (found.macro.value, found.languages) == (1, 1)


def test_code_and_text_without_a_language_have_numbers_but_no_part_in_the_mean():
    found = score(pieces(["zxx", "und", "sw"]), ["en", "und", "sw"], ENOUGH)
    assert {row.language: (row.standing, row.recall) for row in found.rows} == {
        "zxx": (NOT_ONE, 0), "und": (NOT_ONE, 1), "sw": (SCORED, 1),
    }  # fmt: skip
    assert (found.macro.value, found.languages) == (1, 1)


def test_nothing_enough_has_no_mean():
    assert score(pieces(["zu"]), ["zu"], {}).macro is None
    assert score([], [], {}).rows == ()


def test_as_many_answers_as_pieces():
    with pytest.raises(ValueError, match="1 answers for 2 pieces"):
        score(pieces(["zu", "xh"]), ["zu"], ENOUGH)


def test_an_interval_holds_its_value_and_is_the_same_each_time():
    asked = pieces(["sw"] * 40 + ["zu"] * 40)
    answers = ["sw"] * 30 + ["zu"] * 10 + ["zu"] * 36 + ["xh"] * 4
    first, second = (score(asked, answers, ENOUGH) for _ in range(2))
    assert first == second
    for row in first.rows:
        assert row.f1.low < row.f1.value < row.f1.high
    assert first.macro.low < first.macro.value < first.macro.high


def test_pieces_of_one_document_are_drawn_together():
    """Forty pieces of four documents tell less than forty of forty."""
    answers = ["sw"] * 20 + ["zu"] * 20
    apart = pieces(["sw"] * 40)
    together = [Text("sw", "one", str(place // 10), "") for place in range(40)]
    (wide,) = score(together, answers, ENOUGH).rows
    (narrow,) = score(apart, answers, ENOUGH).rows
    assert wide.f1.high - wide.f1.low > narrow.f1.high - narrow.f1.low


def test_a_document_that_is_alone_is_drawn_each_time():
    (row,) = score([Text("sw", "one", "a", "")] * 4, ["sw", "sw", "sw", "zu"], ENOUGH).rows
    assert (row.f1.low, row.f1.high) == (row.f1.value, row.f1.value)


def test_confusions_are_counted_by_language():
    found = confusions(["zu", "zu", "xh"], ["zu", "xh", "xh"])
    assert found == {"zu": {"zu": 1, "xh": 1}, "xh": {"xh": 1}}


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    # Newcombe 1998, table I, method 3: the score interval without continuity correction.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_shares_have_the_interval_of_wilson(right, asked, low, high):
    found = wilson(right, asked)
    assert found.value == right / asked
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_nothing_asked_has_no_share():
    assert wilson(0, 0) is None
    assert wilson(5, 5).high == 1
