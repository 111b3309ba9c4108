from __future__ import annotations

import pytest

from phloem.catalog.bloom import NATURAL
from phloem.catalog.tags import (
    TagError,
    agree,
    canonical,
    language_of_script,
    lookup,
    primary,
    script,
)
from phloem.filters.language_files import languages


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("cmn", "zh"),
        ("zho", "zh"),
        ("chi", "zh"),
        ("jpn", "ja"),
        ("eng", "en"),
        ("swh", "sw"),
        ("swa", "sw"),
        ("tha", "th"),
        ("ENG", "en"),
        ("eng_Latn", "en"),
        ("srp_Latn", "sr-Latn"),
        ("zh_tw", "zh-TW"),
        ("zh-cmn-Hans", "zh-Hans"),
        ("zh-min-nan", "nan"),
        ("pt-br", "pt-BR"),
        ("iw", "he"),
        ("mo", "ro"),
        ("sh", "sr-Latn"),
        ("bs-Latn", "bs"),
        ("arb", "ar"),
        ("npi", "ne"),
        ("fas", "fa"),
        ("i-klingon", "tlh"),
        ("en-US-u-ca-buddhist", "en-US"),
        ("TW-gh", "tw-GH"),
        ("prs", "prs"),
        ("kmr", "kmr"),
        ("fil", "fil"),
        ("tl", "tl"),
        ("tgl", "tl"),
        ("twi", "tw"),
        ("aka", "ak"),
        ("en-x-foo", "en"),
        ("be-x-old", "be"),
        ("yue", "yue"),
        ("und", "und"),
        ("zxx", "zxx"),
        ("es-419", "es-419"),
        ("de-1996", "de-1996"),
    ],
)
def test_a_tag_has_one_form(tag: str, wanted: str) -> None:
    assert canonical(tag) == wanted
    assert canonical(wanted) == wanted


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("English", "did you mean en (english)?"),
        ("swahili", "sw"),
        ("xx", "did you mean"),
        ("un", "did you mean zun"),  # a region's subtag, and no language's
        ("zh-Hnas", "did you mean"),
        ("sw-KEE", "did you mean sw"),
        ("", "such are sw and zh-Hant"),
        ("-", "such are sw and zh-Hant"),
        ("x-foo", "no language tag"),
        ("en us", "no language tag"),
        ("é", "no language tag"),
        ("q" * 300, "no language tag"),
        ("en\n", "no language tag"),
        ("<b>", "no language tag"),
    ],
)
def test_what_is_no_tag_is_told_with_the_nearest(tag: str, said: str) -> None:
    with pytest.raises(TagError) as error:
        canonical(tag)
    assert said in str(error.value)
    assert len(str(error.value)) < 150
    assert "\n" not in str(error.value)


def test_tags_compare_by_language() -> None:
    assert primary("zh-Hant-TW") == primary("cmn") == "zh"
    assert primary("fil") == primary("tl") == "tl"
    assert primary("no") == primary("nb") == "nb"
    assert primary("als") == "sq"  # ISO 639-3 als is Tosk Albanian, not Wikipedia's Alemannic
    assert primary("nonsense-tag") == "nonsense"


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("zh", "yue", True),
        ("zh-Hant", "yue", True),
        ("yue", "wuu", False),
        ("ar", "arz", True),
        ("ak", "tw", True),
        ("ak", "fat", True),
        ("no", "nn", True),
        ("nb", "nn", False),
        ("ms", "id", False),
        ("sr", "hr", False),
        ("sr-Latn", "sr-Cyrl", True),
        ("ku", "kmr", True),
        ("pt-BR", "pt-PT", True),
        ("und", "en", False),
    ],
)
def test_tags_agree_within_a_language_and_with_what_encompasses_it(
    one: str, other: str, wanted: bool
) -> None:
    assert agree(one, other) is wanted
    assert agree(other, one) is wanted


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("zh-Hant-TW", ("zh-Hant-TW", "zh-Hant", "zh")),
        ("yue-HK", ("yue-HK", "yue", "zh")),
        ("tw", ("tw", "ak")),
        ("id", ("id",)),
        ("fil", ("fil", "tl")),
        ("no", ("no", "nb")),
        ("cmn", ("zh",)),
        ("nonsense", ("nonsense",)),
    ],
)
def test_lookup_goes_from_the_finest_tag_to_the_macrolanguage(
    tag: str, wanted: tuple[str, ...]
) -> None:
    assert lookup(tag) == wanted


def test_script_is_the_named_one_or_the_usual_one() -> None:
    assert [script(tag) for tag in ("sr", "sr-Latn", "am", "dz", "bm")] == [
        "Cyrl",
        "Latn",
        "Ethi",
        "Tibt",
        "Latn",
    ]
    assert [language_of_script(each) for each in ("Cher", "Mtei", "Thaa")] == ["chr", "mni", "dv"]


@pytest.mark.parametrize("tag", [*languages(), *NATURAL])
def test_the_projects_own_tags_are_in_their_one_form(tag: str) -> None:
    assert canonical(tag) == tag
