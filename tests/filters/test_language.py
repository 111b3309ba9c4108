from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.kernels.classes import SPACE, classes
from phloem.filters.language import Model, language, lines_of, load, primary, tag_of, weigh

TEXTS = {
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
}
IGBO = "A mụrụ mmadụ nile n'ohere nakwa nha anya ugwu na ikike."
KNOWN = frozenset({"en", "de", "fr", "zh", "nb"})


def _row(path: str, text: str | None, *declared: str) -> tuple[object, ...]:
    columns = [pa.array([text], pa.string()), pa.array([list(declared)], pa.list_(pa.string()))]
    batch = pa.record_batch(columns, names=["text", "declared_languages"])
    return tuple(array[0].as_py() for array in language(batch, {"lid.176.ftz": path}).arrays)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    texts=st.lists(
        st.one_of(
            st.none(),
            st.text(
                st.one_of(
                    st.sampled_from("a\n\0\t\u00a0\u1361\u2028\u3000é字🙂"),
                    st.characters(codec="utf-8"),
                )
            ),
        ),
        max_size=4,
    ),
    chars=st.integers(0, 20),
)
def test_line_is_the_first_characters_with_spaces_for_what_separates_words(
    texts: list[str | None], chars: int
) -> None:
    wanted = [
        text
        and "".join(
            " " if char == "\0" or classes()[ord(char)] & SPACE else char for char in text[:chars]
        )
        for text in texts
    ]
    assert lines_of(pa.array(texts, pa.string()), chars).to_pylist() == wanted


@pytest.mark.parametrize("tag", TEXTS)
def test_language_of_plain_text_is_found(lid_path: str, tag: str) -> None:
    found, score, detected, basis = _row(lid_path, TEXTS[tag])
    assert (found, detected, basis) == (tag, tag, "model")
    assert isinstance(score, float)
    assert 0.8 < score <= 1
    assert score == round(score, 4)


def test_language_keeps_the_finer_declared_tag(lid_path: str) -> None:
    assert _row(lid_path, TEXTS["zh"], "zh-Hant")[0] == "zh-Hant"


def test_language_unknown_to_the_model_is_kept_as_declared(lid_path: str) -> None:
    found, score, detected, basis = _row(lid_path, IGBO, "ig")
    assert (found, score, basis) == ("ig", None, "declared")
    assert detected not in (None, "ig")


def test_language_contradicting_the_declared_one_prevails_when_sure(lid_path: str) -> None:
    assert _row(lid_path, TEXTS["de"], "fr")[0] == "de"


def test_language_of_code_is_kept_and_of_no_letters_unknown(lid_path: str) -> None:
    assert _row(lid_path, "for (int i = 0;;) {}", "zxx")[:2] == ("zxx", None)
    assert _row(lid_path, "1234 !?") == ("und", None, None, "none")
    assert _row(lid_path, "", "sw") == ("sw", None, None, "declared")
    assert _row(lid_path, None, "sw") == (None, None, None, None)


AMHARIC = "የሰው፡ልጅ፡ሁሉ፡ሲወለድ፡ነጻና፡በክብርና፡በመብትም፡እኩልነት፡ያለው፡ነው።"


@pytest.mark.parametrize(
    ("tag", "text", "separators"),
    [
        ("am", AMHARIC.replace("፡", " "), "፡"),
        ("de", TEXTS["de"], "\u00a0\u2009\u3000\u2028\x85\x1c\x00\t"),
        ("ar", TEXTS["ar"], "\u00a0\u202f\u2029"),
        ("hi", TEXTS["hi"], "\u2003\x0b\x1f"),
    ],
)
def test_language_is_the_same_whatever_separates_words(
    lid_path: str, tag: str, text: str, separators: str
) -> None:
    plain = _row(lid_path, text)
    assert plain[0] == tag
    for separator in separators:
        assert _row(lid_path, text.replace(" ", separator)) == plain


# Articles of the Universal Declaration of Human Rights that the model rightly but weakly names.
WEAK = {
    "ca": "Ningú no serà sotmès a tortures ni a penes o tractes cruels, inhumans o degradants.",
    "cy": "Ni ddylid priodi ond o lwyr fodd y ddau sy’n golygu gwneud hynny.",
    "jv": "Saben uwong nduweni hak ingatase hak bebas ngumpul lan gawe paguyuban tanpa anane"
    " rudapeksan.",
}


@pytest.mark.parametrize("tag", WEAK)
def test_language_a_weak_model_that_agrees_leaves_a_text_no_worse_off(
    lid_path: str, tag: str
) -> None:
    alone = _row(lid_path, WEAK[tag])
    assert alone[:1] + alone[2:] == (tag, tag, "model")
    assert isinstance(alone[1], float)
    assert alone[1] < 0.3
    assert _row(lid_path, WEAK[tag], tag) == (tag, None, tag, "declared")
    assert _row(lid_path, WEAK[tag], "de") == ("de", None, tag, "declared")
    assert _row(lid_path, WEAK[tag], tag, "de")[:2] == (tag, None)
    assert _row(lid_path, WEAK[tag], tag, "ig") == ("ig", None, tag, "declared")


def test_language_reads_only_the_sample_and_over_line_ends(lid_path: str) -> None:
    text = (TEXTS["de"] + "\r\n") * 40 + TEXTS["th"] * 200
    assert _row(lid_path, text)[0] == "de"


@pytest.mark.parametrize(
    ("ranked", "declared", "wanted"),
    [
        ([(0.4, "de"), (0.3, "en"), (0.2, "fr")], ["fr", "en"], ("en", None, "model")),
        ([(0.4, "en")], ["fr", "en"], ("en", None, "model")),
        ([(0.4, "de")], ["fr", "en"], ("und", None, "none")),
        ([(0.27, "fr")], ["fr"], ("fr", None, "declared")),
        ([(0.5, "fr")], ["fr"], ("fr", 0.5, "model")),
        ([(0.09, "en")], ["ig", "en"], ("ig", None, "declared")),
        ([(0.09, "en")], ["en", "ig"], ("ig", None, "declared")),
        ([(0.49, "en"), (0.4, "fr")], ["en", "fr", "ig"], ("ig", None, "declared")),
        ([(0.09, "en")], ["bm", "en", "ig"], ("und", None, "none")),
        ([(0.9, "en")], ["ig", "en"], ("en", 0.9, "model")),
        ([(0.9, "de"), (0.1, "en")], ["fr", "en"], ("de", 0.9, "model")),
        ([(0.4, "de"), (0.1, "fr")], ["fr"], ("fr", None, "declared")),
        ([(0.3, "de")], ["en", "ig"], ("ig", None, "declared")),
        ([(0.3, "de")], ["bm", "ig"], ("und", None, "none")),
        ([(0.99, "de")], ["ig"], ("ig", None, "declared")),
        ([(0.7, "nb")], ["no"], ("no", 0.7, "model")),
        ([(0.3, "de")], [], ("de", 0.3, "model")),
        ([], ["en", "fr"], ("und", None, "none")),
    ],
)
def test_weigh_chooses_between_model_and_declared(
    ranked: list[tuple[float, str]], declared: list[str], wanted: tuple[object, ...]
) -> None:
    found = weigh(ranked, declared, KNOWN, 0.5)
    assert (found.language, found.score, found.basis) == wanted


def test_tags_compare_by_language() -> None:
    assert primary("zh-Hant-TW") == primary("cmn") == "zh"
    assert primary("fil") == "tl"
    assert tag_of("__label__als") == "gsw"
    assert primary("als") == "sq"  # ISO 639-3 als is Tosk Albanian, not Wikipedia's Alemannic


def test_model_is_loaded_once_and_lists_what_it_knows(lid_path: str) -> None:
    model = load(lid_path)
    assert load(lid_path) is model
    assert isinstance(model, Model)
    assert {"en", "sw", "yo", "nb", "gsw"} <= model.known
    assert not {"ig", "ha", "zxx", "wo"} & model.known
