"""Text is spoiled in the ways that it says, by its own letters, and each time alike."""

from __future__ import annotations

import unicodedata

import pytest

from phloem.pipeline.langid.noise import as_scanned, spliced, unmarked, with_typos

TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights. " * 4,
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах. " * 4,
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। " * 4,
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。" * 8,
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. " * 4,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("spoil", [with_typos, as_scanned])
def test_text_is_spoiled_alike_each_time_and_otherwise_by_another_seed(spoil, text):
    assert spoil(text, 1) == spoil(text, 1)
    if spoil is with_typos:
        assert spoil(text, 1) != text
        assert spoil(text, 1) != spoil(text, 2)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_typos_are_of_the_texts_own_letters(text):
    spoilt = with_typos(text, 1)
    assert set(spoilt) <= set(text)
    assert 0.9 * len(text) < len(spoilt) < 1.1 * len(text)


def test_about_a_letter_in_twenty_is_mistyped():
    text = "abcdefghijklmnopqrst " * 500
    words = zip(text.split(), with_typos(text, 1).split(), strict=False)
    # Of words of twenty letters 1 - .95 ** 20 = 64 % hold one; a swap with the blank parts two.
    changed = sum(before != after for before, after in words) / 500
    assert 0.5 < changed < 0.75


def test_a_scan_takes_letters_for_each_other_and_loses_spaces():
    spoilt = as_scanned(TEXTS["en"], 1)
    assert spoilt != TEXTS["en"]
    assert spoilt.count(" ") < TEXTS["en"].count(" ")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Žluťoučký kůň úpěl ďábelské ódy", "Zlutoucky kun upel dabelske ody"),
        ("Gbogbo ènìyàn ni a bí ní òmìnira", "Gbogbo eniyan ni a bi ni ominira"),
        ("Gbɛtɔ́ bǐ wɛ̌ nɔ́ jɔ̀ ɖò", "Gbeto bi we no jo do"),
        ("Tất cả mọi người sinh ra đều được tự do", "Tat ca moi nguoi sinh ra deu duoc tu do"),
        ("Zażółć gęślą jaźń", "Zazolc gesla jazn"),
        ("Straße, ævi, ðað", "Strasse, aevi, dad"),
        ("plain", "plain"),
        ("Всё ещё й", "Всё ещё й"),  # of another script: й is no и with a mark
        ("सभी मनुष्यों", "सभी मनुष्यों"),  # marks that are vowels
    ],
)
def test_latin_letters_lose_their_marks_and_no_others(text, plain):
    assert unmarked(text) == unicodedata.normalize("NFC", plain)


def test_two_texts_are_spliced_by_share():
    found = spliced("a" * 300, "b" * 300, 300, 2 / 3)
    assert (found.count("a"), found.count("b")) == (200, 100)
