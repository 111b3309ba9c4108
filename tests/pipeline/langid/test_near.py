"""Bounds of near languages, on counts that can be checked by eye."""

from __future__ import annotations

import yaml

from phloem.filters.language import NEVER, near
from phloem.pipeline.langid.near import near_bounds, written
from phloem.pipeline.langid.texts import Text


def _pieces(tag: str, number: int) -> list[Text]:
    return [Text(tag, "a", f"{tag}-{each}", "text") for each in range(number)]


def test_the_bound_is_what_all_but_a_hundredth_of_the_texts_stay_below() -> None:
    pieces = [*_pieces("xh", 100), *_pieces("zu", 100), *_pieces("ss", 10)]
    wrong = [("zu", 0.97), ("zu", 0.81), ("zu", 0.62), ("zu", 0.4), ("und", None)]
    answers = [
        *wrong, *[("xh", 0.9)] * 95,
        ("xh", 0.999), ("xh", 0.995), *[("zu", 0.9)] * 98,
        *[("zu", 0.9)] * 10,
    ]  # fmt: skip
    # One Xhosa text of a hundred may be lost, the surest; Swazi has too few to say anything.
    assert near_bounds(pieces, answers) == {"xh": {"zu": 0.82}, "zu": {"xh": NEVER}}


def test_one_language_under_two_tags_is_not_near_itself() -> None:
    assert near_bounds(_pieces("zh-Hant", 50), [("yue", 0.9)] * 50) == {}


def test_bounds_are_written_as_they_are_read() -> None:
    bounds = {"nb": {"no": 0.9, "da": NEVER}, "no": {"nn": 0.55}}
    assert yaml.safe_load(written(bounds)) == bounds


def test_the_measured_bounds_are_more_than_usual() -> None:
    assert all(0.5 < bound <= NEVER for others in near().values() for bound in others.values())
