"""Whether texts are in one of BLOOM's languages, by their tags."""

import pytest

from phloem.catalog.bloom import NATURAL, PROGRAMMING, in_language


@pytest.mark.parametrize(
    ("tag", "tags", "inside"),
    [
        ("pt", ["pt-BR"], True),
        ("pt", ["en", "pt"], True),
        ("st", ["sto", "nso"], False),
        ("zh-Hans", ["zh"], True),
        ("zh-Hant", ["zh"], True),
        ("zh-Hans", ["zh-Hant", "zh-TW"], False),
        ("zh-Hant", ["zh-TW"], True),
        ("ak", ["fat"], True),
        ("tw", ["ak"], False),
        ("sw", [], False),
    ],
)
def test_language_is_found_by_its_tags(tag: str, tags: list[str], inside: bool) -> None:
    assert in_language(tag, tags) == inside


def test_languages_are_as_many_as_bloom_had() -> None:
    assert (len(NATURAL), len(PROGRAMMING)) == (46, 13)
    assert all(in_language(tag, [tag]) for tag in NATURAL)
