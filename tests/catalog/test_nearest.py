"""What is said of a name that nobody knows."""

from __future__ import annotations

from phloem.catalog.nearest import nearest


def test_nearest_name_that_is_near_is_asked_for() -> None:
    assert nearest("statistic", {"nfc", "statistics"}) == "did you mean statistics?"


def test_nearest_without_one_lists_what_there_is_in_order() -> None:
    assert nearest("qqqq", {"b", "a", "c"}) == "there are a, b, c"
    assert nearest("qqqq", []) == "there are none"


def test_nearest_of_many_names_lists_the_first() -> None:
    said = nearest("qqqq", [f"{number:03d}" for number in range(300)])
    assert said.startswith("there are 000, 001,")
    assert said.endswith(", 019 and 280 more")
