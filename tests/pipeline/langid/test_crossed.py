"""No model is asked of the articles that it was trained on."""

from __future__ import annotations

import pytest

from phloem.pipeline.langid.crossed import fold, in_one_source, without_fold
from phloem.pipeline.langid.scoring import ENOUGH_BYTES
from phloem.pipeline.langid.texts import Text

LINES = [f"Ibara ya {number}" for number in range(31)]
UDHR = Text("sw", "udhr", "a", "\n".join(LINES))


@pytest.mark.parametrize("folds", [2, 3, 5, 31])
def test_folds_part_a_text(folds):
    parts = [fold(UDHR, number, folds).text.split("\n") for number in range(folds)]
    assert [line for part in parts for line in part] == LINES
    assert {len(part) for part in parts} <= {31 // folds, 31 // folds + 1}


@pytest.mark.parametrize("number", range(5))
def test_a_model_is_trained_on_the_other_folds_and_on_all_else(number):
    other = Text("sw", "menus", "b", "\n".join(LINES))
    rest, same = without_fold([UDHR, other], number, 5)
    asked = fold(UDHR, number, 5).text.split("\n")
    assert not set(asked) & set(rest.text.split("\n"))
    assert sorted([*asked, *rest.text.split("\n")]) == sorted(LINES)
    assert same == other


def test_one_source_is_the_declaration_and_little_else():
    enough = "x" * ENOUGH_BYTES
    texts = [
        UDHR,
        Text("fon", "udhr", "c", "x"), Text("fon", "menus", "d", enough[1:]),
        Text("zu", "udhr", "e", "x"), Text("zu", "menus", "f", enough),
        Text("kab", "menus", "g", "x"),
    ]  # fmt: skip
    assert in_one_source(texts, []) == {"sw", "fon"}
    assert in_one_source(texts, [Text("swh", "news", "h", enough)]) == {"fon"}
