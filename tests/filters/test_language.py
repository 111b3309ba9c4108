from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from phloem.catalog.tags import TagError
from phloem.filters.language import STRONG, language, weigh, weigh_code
from phloem.filters.language_models import Model, is_known, load, possible, tag_of
from phloem.filters.op import OpError, find_op

TEXTS = {
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
}
KIKUYU = "Andũ othe maciarĩtwo marĩ na wĩathi na maiganaine gĩtĩo-inĩ na kĩhooto-inĩ kĩao."
KNOWN = frozenset({"en", "de", "fr", "zh", "nb"})


def _row(path: str, text: str | None, *declared: str) -> tuple[object, ...]:
    columns = [pa.array([text], pa.string()), pa.array([list(declared)], pa.list_(pa.string()))]
    batch = pa.record_batch(columns, names=["text", "declared_languages"])
    return tuple(array[0].as_py() for array in language(batch, {"lid.176.ftz": path}).arrays[:4])


def _mixed(path: str, text: str | None, *declared: str) -> tuple[object, ...]:
    columns = [pa.array([text], pa.string()), pa.array([list(declared)], pa.list_(pa.string()))]
    batch = pa.record_batch(columns, names=["text", "declared_languages"])
    return tuple(array[0].as_py() for array in language(batch, {"lid.176.ftz": path}).arrays[4:])


@pytest.mark.parametrize("tag", TEXTS)
def test_language_of_plain_text_is_found(lid_path: str, tag: str) -> None:
    found, score, detected, basis = _row(lid_path, TEXTS[tag])
    assert (found, detected, basis) == (tag, tag, "model")
    assert isinstance(score, float)
    assert 0.5 < score <= 1
    assert score == round(score, 4)


def test_language_keeps_the_finer_declared_tag(lid_path: str) -> None:
    assert _row(lid_path, TEXTS["zh"], "zh-Hant")[0] == "zh-Hant"


def test_language_unknown_to_the_model_is_kept_as_declared(lid_path: str) -> None:
    found, score, detected, basis = _row(lid_path, KIKUYU, "ki")
    assert (found, score, basis) == ("ki", None, "declared")
    assert detected not in (None, "ki")


def test_language_contradicting_the_declared_one_prevails_when_sure(lid_path: str) -> None:
    assert _row(lid_path, TEXTS["de"], "fr")[0] == "de"


def test_language_of_code_is_kept_and_of_no_letters_unknown(lid_path: str) -> None:
    assert _row(lid_path, "for (int i = 0;;) { x[i] = 1; }", "zxx")[:2] == ("zxx", None)
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
    assert alone[1] < 0.5
    assert _row(lid_path, WEAK[tag], tag) == (tag, None, tag, "declared")
    assert _row(lid_path, WEAK[tag], "de") == ("de", None, tag, "declared")
    assert _row(lid_path, WEAK[tag], tag, "de")[:2] == (tag, None)
    assert _row(lid_path, WEAK[tag], tag, "ki") == ("ki", None, tag, "declared")


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
        ([(0.99, "de")], ["ig"], ("de", 0.99, "model")),
        ([(0.79, "de")], ["ig"], ("ig", None, "declared")),
        ([(0.7, "de")], ["ig", "en"], ("ig", None, "declared")),
        ([(0.6, "en")], ["ig", "en"], ("en", 0.6, "model")),
        ([(0.9, "yue")], ["zh-Hant"], ("zh-Hant", 0.9, "model")),
        ([(0.7, "nb")], ["no"], ("no", 0.7, "model")),
        ([(0.7, "nn")], ["no"], ("no", 0.7, "model")),
        ([(0.3, "de")], [], ("de", 0.3, "model")),
        ([], ["en", "fr"], ("und", None, "none")),
    ],
)
def test_weigh_chooses_between_model_and_declared(
    ranked: list[tuple[float, str]], declared: list[str], wanted: tuple[object, ...]
) -> None:
    found = weigh(ranked, declared, KNOWN, 0.5)
    assert (found.language, found.score, found.basis) == wanted


@pytest.mark.parametrize(
    ("ranked", "others", "code", "signs", "figures", "wanted"),
    [
        ([(0.9, "en")], [], 0.5, 0.0, 0.1, ("zxx", "declared")),
        ([(0.9, "en")], [], 0.01, 0.0, 0.1, ("en", "model")),
        ([(0.4, "en")], [], 0.01, 0.0, 0.1, ("zxx", "declared")),
        ([(0.9, "en")], [], 0.01, 0.0, 0.7, ("und", "none")),
        ([], [], 0.0, 0.0, 1.0, ("und", "none")),
        ([(0.9, "en")], [], 0.0, 0.09, 0.09, ("zxx", "declared")),
        ([], [], 0.9, 0.0, 0.1, ("zxx", "declared")),
        ([(0.9, "en")], ["en"], 0.5, 0.0, 0.1, ("zxx", "declared")),
        ([(0.9, "en")], ["en"], 0.01, 0.0, 0.1, None),
    ],
)
def test_weigh_code_lets_code_in_and_nothing_else(
    ranked: list[tuple[float, str]],
    others: list[str],
    code: float,
    signs: float,
    figures: float,
    wanted: tuple[str, str] | None,
) -> None:
    found = weigh_code(ranked, others, code, signs, figures)
    assert (found and (found.language, found.basis)) == wanted


@pytest.mark.parametrize("tag", ["de", "hi", "ar", "th", "zh"])
def test_language_is_that_of_the_text_and_not_of_its_head(lid_path: str, tag: str) -> None:
    english = "All human beings are born free and equal in dignity and rights. " * 24
    text = english + "\n\n" + (TEXTS[tag] + " ") * 200
    assert _row(lid_path, text)[0] == tag
    assert _row(lid_path, text, tag)[:1] == (tag,)
    second, fraction = _mixed(lid_path, text, tag)
    assert second == "en"
    assert fraction in {0.125, 0.25, 0.375}
    assert _mixed(lid_path, TEXTS[tag] * 60, tag) == (None, 0.0)


def test_language_of_capitals_is_the_same(lid_path: str) -> None:
    text = TEXTS["de"] * 3
    assert _row(lid_path, text.upper().replace("SS", "ß")) == _row(lid_path, text)


def test_language_never_is_one_that_the_script_is_not_written_for(lid_path: str) -> None:
    # U+16A0 and on: runes, which no label has; and Japanese, which no Latin text is in.
    assert _row(lid_path, "ᚠᚢᚦᚬᚱᚴ ᚼᚾᛁᛅᛋ ᛏᛒᛘᛚᛦ")[2] is None
    tags = ("ja", "en", "zh", "sr", "sr-Latn", "ko", "ku")
    assert possible("Latn", tags).tolist() == [False, True, False, True, True, False, True]
    assert possible("Hani", tags).tolist() == [True, False, True, False, False, True, False]
    assert possible("Zyyy", tags).tolist() == [False] * 7


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎤᏂᏁᎬᎢ", "chr"),
        ("ꕙꔤ ꕙꔤ ꕙꔤ", "vai"),
    ],
)
def test_language_of_a_script_of_its_own_needs_no_model(
    lid_path: str, text: str, wanted: str
) -> None:
    assert _row(lid_path, text) == (wanted, None, None, "script")


@pytest.mark.parametrize(
    ("text", "declared", "wanted"),
    [
        (TEXTS["de"] * 5, "zxx", "de"),
        ("Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6\n" * 20, "zxx", "und"),
        ("2019\t1.5\t17\n2020\t1.7\t19\n" * 20, "zxx", "und"),
        ("def f(x):\n    return x[0] + self.y\n" * 20, "zxx", "zxx"),
        ("x[i] = self.y[j](k) + z.w\n" * 20, "", "zxx"),
        ("timeout = never\nretries = many\nhost = local\n" * 20, "zxx", "zxx"),
        ("def f(x):\n    return x[0] + self.y\n" * 20, "zxx-Latn", "zxx"),
    ],
)
def test_zxx_is_code_and_no_open_door(lid_path: str, text: str, declared: str, wanted: str) -> None:
    assert _row(lid_path, text, *filter(None, [declared]))[0] == wanted


@pytest.mark.parametrize("text", [TEXTS["ar"], TEXTS["de"]])
def test_a_strong_answer_contradicts_a_language_that_no_model_knows(
    lid_path: str, text: str
) -> None:
    found, score, detected, basis = _row(lid_path, text * 4, "ki")
    assert found == detected != "ki"
    assert (basis, float(str(score)) >= STRONG) == ("model", True)


@pytest.mark.parametrize(
    ("declared", "wanted"), [("cmn", "zh"), ("zho", "zh"), ("zh_Hant", "zh-Hant")]
)
def test_language_is_given_in_the_one_form_of_its_tag(
    lid_path: str, declared: str, wanted: str
) -> None:
    assert _row(lid_path, TEXTS["zh"], declared)[0] == wanted


@pytest.mark.parametrize(
    ("text", "declared", "wanted"),
    [
        ("til lik betaling for likt arbeid.\n\nEnhver som arbeider har", ["nb", "nn"], "nb"),
        ("sredstava uz pravične i povoljne uvjete rada za sve", ["bs", "hr"], "bs"),
    ],
)
def test_of_several_declared_the_likeliest_is_taken_below_the_bound_of_near_ones(
    lid_path: str, text: str, declared: list[str], wanted: str
) -> None:
    found, score, detected, _ = _row(lid_path, text, *declared)
    assert (found, score) == (wanted, None)
    assert detected not in declared


def test_a_declaration_counts_once_and_that_it_is_unknown_not_at_all(lid_path: str) -> None:
    weak, alone = WEAK["ca"], _row(lid_path, WEAK["ca"])
    assert alone[0] == "ca"
    for tag in ("und", "und-Latn"):
        assert _row(lid_path, weak, tag) == alone
        assert _row(lid_path, weak, tag, "fr") == _row(lid_path, weak, "fr")
    assert _row(lid_path, weak, "akk", "AKK") == _row(lid_path, weak, "akk")
    assert _row(lid_path, "12 345", "en", "eng") == ("en", None, None, "declared")


BAD = {
    "empty": "",
    "one letter": "a",
    "a line of a million": "字" * 1_000_000,
    "emoji": "🙂🙃" * 500,
    "NUL": "\0" * 50 + TEXTS["de"],
    "bidi": "\u202e" + TEXTS["ar"] + "\u2066\u2069",
    "zero-width": "\u200b".join(TEXTS["de"]),
    "marks alone": "\u0301" * 300,
    "noncharacters": "\ufffe\uffff" * 30,
    "mixed": TEXTS["de"] + TEXTS["zh"] + TEXTS["hi"] + TEXTS["ar"],
}


@pytest.mark.parametrize("name", BAD)
def test_language_of_bad_input_is_defined(lid_path: str, name: str) -> None:
    found, score, detected, basis = _row(lid_path, BAD[name])
    assert isinstance(found, str)
    assert (found == "und") == (basis == "none")
    assert score is None or 0 <= float(str(score)) <= 1
    wanted = {"empty": "und", "emoji": "und", "NUL": "de", "bidi": "ar", "zero-width": "de"}
    assert found == wanted.get(name, found)
    assert _row(lid_path, BAD[name], "sw")[0] in {"sw", detected}


def test_labels_of_any_scheme_are_tags() -> None:
    assert tag_of("__label__als") == "gsw"
    assert tag_of("__label__eng_Latn") == "en"
    assert tag_of("__label__srp_Latn") == "sr-Latn"
    assert tag_of("__label__zho_Hans") == "zh-Hans"
    with pytest.raises(TagError, match="no language tag"):
        tag_of("__label__sports")


def test_given_model_that_names_no_languages_is_named_before_the_work() -> None:
    own = Path(__file__).parents[2] / "filters" / "models" / "sample-quality.bin"
    bound = find_op("language", {"model": {"path": "sports.bin", "sha256": "ab" * 32}})
    said = r"op language: sports.bin is no model of languages: '[a-z]+' is no language tag"
    with pytest.raises(OpError, match=said):
        bound.check_files({"ab" * 32: str(own)})


def _among(lid_path: str, texts: list[str], among: list[str]) -> list[tuple[str, float]]:
    batch = pa.record_batch(
        {
            "text": pa.array(texts),
            "declared_languages": pa.array([[]] * len(texts), pa.list_(pa.string())),
        }
    )
    bound = find_op("language", {"among": among})
    language_, score, *_ = bound(batch, {file.name: lid_path for file in bound.needs}).arrays
    return list(zip(language_.to_pylist(), score.to_pylist(), strict=True))


def test_only_languages_that_are_asked_for_are_answered(lid_path: str) -> None:
    texts = ["Hvor er bogen", "Kje je knjiga, ki sem jo bral?", "Где книга?"]
    asked = ["da", "nb", "sl", "hr"]
    every, some = _among(lid_path, texts, []), _among(lid_path, texts, asked)
    assert [language for language, _ in some] == ["da", "sl", "und"]  # none of these is Cyrillic
    assert all(new >= old for (_, new), (_, old) in zip(some[:2], every[:2], strict=True))
    assert [language for language, _ in _among(lid_path, texts, ["rus", "sv"])] == [
        "sv",
        "sv",
        "ru",
    ]


def test_languages_that_are_asked_for_are_looked_at_before_the_work(lid_path: str) -> None:
    for among, said in ((["English"], "among: 'English' is no"), (["xx", "tlh"], "xx")):
        bound = find_op("language", {"among": among})
        with pytest.raises(OpError, match=said):
            bound.check_files({file.name: lid_path for file in bound.needs})


def test_what_encompasses_a_known_language_is_known() -> None:
    known = frozenset({"nb", "arz", "tw"})
    assert [is_known(tag, known) for tag in ("no", "ar", "ak", "fat", "nn", "ig")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Vsichki hora se razhdat svobodni i ravni po dostoinstvo i prava", "bg-Latn"),
        ("oloi anthropoi gennountai eleftheroi kai isoi stin axioprepeia", "el-Latn"),
    ],
)
def test_a_declared_script_that_no_label_is_of_is_unknown(
    lid_path: str, text: str, tag: str
) -> None:
    assert _row(lid_path, text, tag)[:2] == (tag, None)
    assert _row(lid_path, TEXTS["de"], tag)[0] == "de"
    known = frozenset({"hi", "zh", "sr", "ja", "bg", "uz"})
    tags = ("hi-Latn", "zh-Latn", "zh-Hant", "zh-TW", "sr-Latn", "ja-Hira", "bg-BG", "uz-AF")
    assert [is_known(each, known) for each in tags] == [False, False, *[True] * 6]


def test_model_is_loaded_once_and_lists_what_it_knows(lid_path: str) -> None:
    model = load(lid_path)
    assert load(lid_path) is model
    assert isinstance(model, Model)
    assert {"en", "sw", "yo", "nb", "gsw"} <= model.known
    assert not {"ig", "ha", "zxx", "wo"} & model.known
