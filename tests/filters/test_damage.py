from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.damage import MOJIBAKE_FRAC, REPLACEMENT_FRAC, ZAWGYI_FRAC
from phloem.filters.statistics import statistics
from phloem.filters.unicode import nfc, whitespace

ROOT = Path(__file__).parents[2]
UDHR = ROOT / "sources" / "bundled" / "udhr.jsonl.gz"
DAMAGE = (REPLACEMENT_FRAC, MOJIBAKE_FRAC, ZAWGYI_FRAC)

# What the measures look for, whole and cut.
HARD = st.lists(
    st.one_of(
        st.sampled_from("ÃÂßàâðЯВР€™š»°©µ\ufffd a"),
        st.sampled_from("ကဿ\u1031\u1039\u103b\u103a\u102d\uaa60း"),
        st.characters(codec="utf-8"),
    )
).map("".join)


@cache
def _declarations() -> dict[str, str]:
    with gzip.open(UDHR, "rt", encoding="utf-8") as lines:
        return {row["language"]: row["text"] for row in map(json.loads, lines)}


@cache
def _bounds() -> dict[str, float]:
    """What `quickstart` allows of each."""
    recipe = yaml.safe_load((ROOT / "pipeline" / "recipes" / "quickstart.yaml").read_text())
    names = {column.name for column in DAMAGE}
    return {rule["column"]: rule["max"] for rule in recipe["keep"] if rule["column"] in names}


def _damage(*texts: str) -> list[tuple[float, ...]]:
    """What a run measures of each text, behind its rewrites."""
    array = pa.array(list(texts), pa.string())
    for rewrite in (nfc, whitespace):
        array = rewrite(pa.record_batch({"text": array})).arrays[0]
    batch = pa.record_batch({"text": array, "language": pa.nulls(len(texts), pa.string())})
    names = [column.name for column in statistics.writes]
    columns = dict(zip(names, statistics(batch).arrays, strict=True))
    return list(zip(*(columns[column.name].to_pylist() for column in DAMAGE), strict=True))


def _as_zawgyi(text: str) -> str:
    """Burmese as Zawgyi writes it: the vowel E and the medial RA before the letter, and the signs
    of Unicode from the asat on one code point lower."""

    def seen(found: re.Match[str]) -> str:
        letter, signs = found[1], found[2]
        first = "\u1031" * ("\u1031" in signs) + "\u103b" * ("\u103c" in signs)
        lowered = {0x103A: "\u1039", 0x103B: "\u103a", 0x103D: "\u103c", 0x103E: "\u103d"}
        return first + letter + re.sub("[\u1031\u103c]", "", signs).translate(lowered)

    return re.sub("([\u1000-\u1021])([\u103a-\u103e\u1031]*)", seen, text)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), HARD), max_size=4))
def test_damage_equals_its_reference(texts: list[str | None]) -> None:
    batch = pa.record_batch(
        {
            "text": pa.array(texts, pa.string()),
            "language": pa.nulls(len(texts), pa.string()),
        }
    )
    assert statistics.reference is not None
    for got, wanted in zip(statistics(batch).arrays, statistics.reference(batch), strict=True):  # type: ignore[arg-type]
        assert got.equals(wanted)


def test_damage_of_sound_texts_in_every_language_is_none() -> None:
    assert set(_damage(*_declarations().values())) == {(0, 0, 0)}


@pytest.mark.parametrize(
    "text",
    [
        "„Spaß“, »Größe«, MENÜ – „Ö“",
        "« Café », dit-il, à 5 °C : l’été…",
        "à «, Å“, Ä–, 2×“",
        "Сила Р, т. е. «Я»… № 5 — Рівне",
        "ကျေးဇူးတင်ပါတယ်။ မြန်မာ ၂ ဦး၊ တက္ကသိုလ်",
        "ၵၢၼ်ႁူမ်ႈႁဵတ်း ၶေႃႈ",  # Shan
    ],
)
def test_damage_of_marks_beside_letters_is_none(text: str) -> None:
    assert _damage(text) == [(0, 0, 0)]


@pytest.mark.parametrize(
    "language", ["fr", "de", "es", "pl", "vi", "tr", "ru", "el", "he", "hi", "ja"]
)
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_damage_of_utf8_read_as_a_western_encoding_is_beyond_the_rule(
    language: str, encoding: str
) -> None:
    broken = _declarations()[language].encode().decode(encoding, "replace")
    assert _damage(broken)[0][1] > _bounds()[MOJIBAKE_FRAC.name]


@pytest.mark.parametrize("language", ["fr", "pl", "ru", "el", "ar", "vi"])
def test_damage_of_utf8_read_as_windows_1251_is_beyond_the_rule(language: str) -> None:
    broken = _declarations()[language].encode().decode("cp1251", "replace")
    assert _damage(broken)[0][1] > _bounds()[MOJIBAKE_FRAC.name]


@pytest.mark.parametrize(
    ("language", "letter"), [("fr", "é"), ("de", "ä"), ("tr", "ı"), ("ru", "о")]
)
def test_damage_of_letters_that_were_lost_is_beyond_the_rule(language: str, letter: str) -> None:
    broken = _declarations()[language].replace(letter, "\ufffd")
    assert _damage(broken)[0][0] > _bounds()[REPLACEMENT_FRAC.name]


def test_damage_of_one_lost_letter_on_a_page_is_within_the_rule() -> None:
    page = _declarations()["en"][:1000] + "\ufffd"
    assert 0 < _damage(page)[0][0] < _bounds()[REPLACEMENT_FRAC.name]


def test_damage_of_zawgyi_is_beyond_the_rule() -> None:
    declaration = _declarations()["my"]
    replaced, mojibake, zawgyi = _damage(_as_zawgyi(declaration))[0]
    assert (replaced, mojibake) == (0, 0)
    assert zawgyi > 2 * _bounds()[ZAWGYI_FRAC.name]
