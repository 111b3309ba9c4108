from __future__ import annotations

import unicodedata

import pytest

from phloem.filters import language_files
from phloem.filters.language_files import (
    UNLISTED,
    LanguageFileError,
    language_of,
    languages,
)

# Languages of BLOOM's corpus (ROOTS, arXiv 2303.03915, table 3) for which there must be a file.
BLOOM = [
    "ar",
    "as",
    "bm",
    "bn",
    "ca",
    "en",
    "es",
    "eu",
    "fon",
    "fr",
    "gu",
    "hi",
    "id",
    "ig",
    "kn",
    "lg",
    "ln",
    "ml",
    "mr",
    "ne",
    "nso",
    "ny",
    "or",
    "pa",
    "pt",
    "rn",
    "rw",
    "sn",
    "st",
    "sw",
    "ta",
    "te",
    "tn",
    "ts",
    "tum",
    "tw",
    "ur",
    "vi",
    "wo",
    "xh",
    "yo",
    "zh",
    "zh-Hant",
    "zu",
]


@pytest.mark.parametrize("tag", BLOOM)
def test_every_language_of_bloom_has_a_file(tag: str) -> None:
    assert tag in languages()


@pytest.mark.parametrize("tag", languages())
def test_language_file_is_composed_and_consistent(tag: str) -> None:
    one = languages()[tag]
    words = (*one.stop_words, *one.sentence_ends)
    assert all(unicodedata.is_normalized("NFC", word) for word in words)
    assert len(set(one.stop_words)) == len(one.stop_words)
    assert all(len(mark) == 1 for mark in one.sentence_ends)
    assert all(len(region) == 2 and region.isupper() for region in one.regions)
    if not one.spaced:  # words of several characters would never be met
        assert all(len(word) == 1 for word in one.stop_words)


def test_language_of_falls_back_to_shorter_tags_then_to_the_default() -> None:
    assert language_of("pt-BR").name == "Portuguese"
    assert language_of("zh-Hant-HK") is languages()["zh-Hant"]
    assert language_of("qqq") is UNLISTED
    assert language_of(None) is UNLISTED


def test_language_file_with_an_unknown_key_names_it(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xx.yaml").write_text("name: X\nscripts: Latn\n")  # type: ignore[operator]
    monkeypatch.setattr(language_files, "FOLDER", tmp_path)
    with pytest.raises(LanguageFileError, match=r"xx.yaml.*scripts"):
        languages.__wrapped__()
