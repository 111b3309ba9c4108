"""Pieces are drawn evenly, by nothing that tells languages, and each time alike."""

from __future__ import annotations

from collections import Counter

import pytest

from phloem.pipeline.langid import tiers
from phloem.pipeline.langid.declared import cards_of, is_kept_as, kept_by_card
from phloem.pipeline.langid.scoring import ENOUGH_BYTES
from phloem.pipeline.langid.texts import Text

SW = "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. Wote wamejaliwa akili na dhamiri. "
ZH = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"


def numbered(language, source, sentence, number):
    """A document whose sentences all differ."""
    text = "\n".join(f"{sentence}{place}" for place in range(number))
    return Text(language, source, f"{source}-{language}", text)


def test_lines_of_three_languages_are_nobodys():
    texts = [
        Text(tag, "one", tag, f"Firefox\n{tag} only\nshared by two" if tag != "fr" else "Firefox")
        for tag in ("sw", "zu", "fr")
    ]
    assert [(each.language, each.text) for each in tiers.translated(texts)] == [
        ("sw", "sw only\nshared by two"),
        ("zu", "zu only\nshared by two"),
    ]


def test_one_language_by_two_tags_is_one():
    texts = [Text(tag, "one", tag, "linha") for tag in ("pt", "pt-BR", "pt-PT")]
    assert len(list(tiers.translated(texts))) == 3


@pytest.mark.parametrize(
    ("tag", "usual"),
    [
        ("sr", True), ("sr-Latn", False), ("uz-Cyrl", False), ("zh-Hant", True), ("zh", True),
        ("be-Latn", False), ("pt-BR", True), ("kok-Latn", False), ("hi", True),
    ],
)  # fmt: skip
def test_scripts_are_usual_or_not(tag, usual):
    assert tiers.is_usual(tag) is usual


def test_programs_speak_for_a_language_without_prose_alone():
    prose = Text("sw", "udhr", "a", "x" * ENOUGH_BYTES)
    little = Text("zu", "udhr", "b", "x" * (ENOUGH_BYTES - 1))
    menus = [Text(tag, "menus", tag, "x") for tag in ("sw", "zu", "xh")]
    found = tiers.prose_first([prose, little, *menus], {"menus"})
    assert [(text.language, text.source) for text in found] == [
        ("sw", "udhr"), ("zu", "udhr"), ("zu", "menus"), ("xh", "menus"),
    ]  # fmt: skip


@pytest.mark.parametrize("sentence", [SW, ZH])
def test_stretches_are_all_of_a_document_and_pieces_are_of_one(sentence):
    document = numbered("sw", "one", sentence, 400)
    found = tiers.stretches([document], 1000)
    assert max(len(each.text) for each in found) <= tiers.STRETCH
    whole = sorted(found, key=lambda each: int(each.document.split()[1]))
    assert "".join("".join(each.text.split()) for each in whole) == "".join(document.text.split())
    pieces = tiers.cut(found, 100, 50)
    assert len(pieces) == 50
    texts = {each.document: each.text for each in found}
    assert all(piece.text in texts[piece.document] for piece in pieces)
    assert all(45 <= len(piece.text) <= 100 for piece in pieces)


def test_pieces_are_drawn_evenly_over_sources_and_alike_each_time():
    texts = [numbered("sw", "much", SW, 900), numbered("sw", "little", SW.upper(), 2)]
    found = tiers.cut(texts, 50, 20)
    assert found == tiers.cut(reversed(texts), 50, 20)
    assert Counter(piece.source for piece in found) == {"much": 17, "little": 3}
    assert len({piece.text for piece in found}) == 20


def test_tiers_hold_what_they_say():
    texts = [numbered("sw", "one", SW, 100), numbered("zh", "one", ZH, 200)]
    texts += [numbered("en", "one", "All human beings are born free and equal. ", 300)]
    code = [numbered("zxx", "code", "fn main() { let x = 1; }\n", 50)]
    clean = tiers.clean(tiers.stretches(texts), tiers.stretches(code), 10)
    assert [tier.name for tier in clean] == ["300 characters", "100 characters"]
    for tier in clean:
        found = Counter(piece.language for piece in tier.pieces)
        assert found["sw"] == found["zh"] == found["en"] == 10
        assert found["zxx"]
        assert found["und"]
        unknown = "".join(piece.text for piece in tier.pieces if piece.language == "und")
        assert not any(char.isalpha() for char in unknown)
    hard = {tier.name: tier.pieces for tier in tiers.hard(texts, [], texts, 10)}
    assert {piece.language for piece in hard["capitals"]} == {"sw", "en"}  # zh has none
    assert all(piece.text == piece.text.upper() for piece in hard["capitals"])
    assert hard["no diacritics"] == hard["unusual script"] == ()  # nothing is changed, or there
    assert all(piece.text.startswith("All human") or "born" in piece.text[:200]
               for piece in hard["English head"])  # fmt: skip
    assert {piece.language for piece in hard["English head"]} == {"sw", "zh"}


def test_cousins_are_counted_in_their_group():
    pieces = [Text(tag, "one", "a", "") for tag in ("zu", "zu", "xh", "sw", "rn")]
    tables = dict(tiers.cousins(pieces, ["zu", "xh", "en", "sw", "rw"]))
    # Of rn and rw there is one alone: no table.
    assert tables == {
        ("zu", "xh"): {
            "zu": {"zu": 1, "xh": 1, "other": 0},
            "xh": {"zu": 0, "xh": 0, "other": 1},
        }
    }


def test_cards_say_the_language_alone_with_another_or_a_wrong_one():
    assert cards_of("sw") == {
        "no card": [], "right card": ["sw"], "right, with another": ["sw", "en"],
        "wrong: fr": ["fr"], "wrong: ts": ["ts"], "wrong: ki": ["ki"],
    }  # fmt: skip
    assert "wrong: fr" not in cards_of("fr")
    assert cards_of("en")["right, with another"] == ["en", "fr"]


def test_a_weak_score_is_dropped_and_none_is_kept():
    assert is_kept_as(("sw", None), "sw")
    assert is_kept_as(("swh", 0.3), "sw")
    assert not is_kept_as(("sw", 0.29), "sw")
    assert not is_kept_as(("en", 1.0), "sw")


def test_what_is_kept_is_counted_by_card():
    pieces = [Text("sw", "one", "a", "strong"), Text("sw", "one", "b", "weak")]

    def ask(texts, declared):
        """A model that knows strong text, and believes any card of a weak one."""
        return [
            ("sw", 0.9) if text == "strong" else ((*tags, "und")[0], None)
            for text, tags in zip(texts, declared, strict=True)
        ]

    (row,) = kept_by_card(pieces, ask)
    assert (row.language, row.pieces) == ("sw", 2)
    assert row.right == {
        "no card": 1, "right card": 2, "right, with another": 2,
        "wrong: fr": 1, "wrong: ts": 1, "wrong: ki": 1,
    }  # fmt: skip
