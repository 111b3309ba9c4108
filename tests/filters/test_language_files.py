from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from phloem.filters import language_files
from phloem.filters.language_files import (
    UNLISTED,
    LanguageFileError,
    derived_bounds,
    language_of,
    languages,
)
from phloem.filters.op import ops

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


BOUNDS_OF_CYRILLIC = """
derived:
  date: 2026-01-31
  texts: [udhr]
  documents: 200
  method: quantiles
  versions: {statistics: %d}
bounds:
  mean_word_chars: {min: 3.5, max: 9.25}
"""


def with_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    (folder / "und-Cyrl.yaml").write_text(BOUNDS_OF_CYRILLIC % version)
    monkeypatch.setattr(language_files, "BOUNDS", folder)
    monkeypatch.setattr(language_files, "bounds", language_files.bounds.__wrapped__)


def test_derived_bounds_are_those_of_the_column_and_side_by_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bounds(tmp_path, monkeypatch, ops()["statistics"].version)
    assert derived_bounds("mean_word_chars", "min") == {"und-Cyrl": 3.5}
    assert derived_bounds("mean_word_chars", "max") == {"und-Cyrl": 9.25}


def test_derived_bounds_of_another_version_of_the_op_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bounds(tmp_path, monkeypatch, ops()["statistics"].version - 1)
    with pytest.raises(LanguageFileError, match=r"^.*und-Cyrl.*statistics.*derive them anew$"):
        derived_bounds("mean_word_chars", "min")


def test_derived_bounds_that_nobody_derived_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bounds(tmp_path, monkeypatch, ops()["statistics"].version)
    with pytest.raises(LanguageFileError, match="no min of 'digit_frac'"):
        derived_bounds("digit_frac", "min")


def test_a_bounds_file_that_says_too_little_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bounds(tmp_path, monkeypatch, 1)
    (tmp_path / "xx.yaml").write_text("bounds: {digit_frac: {least: 1}}\n")
    with pytest.raises(LanguageFileError, match=r"(?s)xx.yaml.*derived.*least"):
        derived_bounds("mean_word_chars", "min")
