from __future__ import annotations

import random
import unicodedata

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.kernels.classes import CODE_POINTS, DIGIT, MARK, WORD, classes, lower
from phloem.filters.kernels.same_writing import nominating, verifying
from phloem.filters.minhash import (
    bands,
    jaccard,
    minhash,
    shingles,
    shingles_of,
    sketched,
    words_of,
)

PIECES = st.lists(
    st.sampled_from(
        [
            "word",
            "Word",
            "é",
            "12",
            "x3",
            "漢字",
            "ก\u0e34น",
            "한국",
            "क्या",
            "-",
            "…",
            "\u200c",
            "-1",
            "x-1",
            "漢-1",
            "\u22122",
            "مُحَمَّدٌ",
            "ـلا\ufefb",
            "\ufdf2",
            "עִבְרִית",
            "ＡＢ１",
            "ｶﾞ",
            "ガ",
            "Straße",
            "ſıİς",
            "exam-\nple",
            "co\u00ad\r\n  op",
            "漢-\n字",
            "9-\n",
            "⼀",
        ]
    ),
    max_size=25,
)
TEXT = st.one_of(PIECES.map(" ".join), PIECES.map("".join))


def _signatures(*texts: str | None) -> pa.Array:
    return minhash(pa.record_batch({"text": pa.array(list(texts), pa.string())})).arrays[0]


@settings(deadline=None, max_examples=150, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), TEXT, st.text(max_size=12)), max_size=4))
def test_minhash_and_shingles_equal_their_references(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.string())
    assert minhash.reference is not None
    wanted = minhash.reference(pa.record_batch({"text": array}))
    assert _signatures(*texts).equals(wanted[0])  # type: ignore[index]
    offsets, values = shingles(array)
    for row, text in enumerate(texts):
        own = values[offsets[row] : offsets[row + 1]].tolist()
        assert own == sorted(set(shingles_of(text or "", verifying(), signed=True)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP, 42 times!", ["don", "t", "stop", "00", "times"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("東京2024年", ["東", "京", "0000", "年"]),
        ("می\u200cخواهم", ["ميخواهم"]),
        ("Ünïcode ΣΑΣ", ["ünïcode", "σασ"]),
        ("exam-\n  ple well-\n", ["example", "well"]),
        ("1914-\n18, 漢-\n字", ["0000", "00", "漢", "字"]),
        ("... 👍", []),
    ],
)
def test_words_keep_marks_and_part_unspaced_scripts(text: str, words: list[str]) -> None:
    assert words_of(text, nominating()) == words


def test_signature_is_the_same_after_case_punctuation_and_digits() -> None:
    one, other = _signatures("In 2019, the CAT sat (down).", "in 1875 The cat -- sat down")
    assert one == other


def similarity(left: str, right: str) -> float:
    offsets, values = shingles(pa.array([left, right]))
    return jaccard(values[: offsets[1]], values[offsets[1] :])


@pytest.mark.parametrize(
    "line",
    [
        "{};{};{}\n",
        "In the year {} the town had {} people and {} houses. ",
        "سكن المدينة في عام {} نحو {} نسمة في {} بيتا. ",
        "वर्ष {} में नगर में {} लोग और {} घर थे। ",
        "{}年、町には{}人と{}軒の家があった。",
        "ในปี {} เมืองมีคน {} คน และบ้าน {} หลัง ",
        "0x{}, {}u, {}, ",
    ],
)
@pytest.mark.parametrize("zero", "0٠०０๐")
def test_texts_whose_numbers_differ_are_candidates_but_no_duplicates(line: str, zero: str) -> None:
    digits = {ord("0") + n: chr(ord(zero) + n) for n in range(10)}
    draw = random.Random(3)  # noqa: S311 - test data
    one, other = (
        "".join(line.format(*(draw.randint(1000, 9999) for _ in range(3))) for _ in range(30))
        for _ in range(2)
    )
    assert len(set(_signatures(one.translate(digits), other.translate(digits)))) == 1
    assert similarity(one.translate(digits), other.translate(digits)) < 0.7
    assert similarity(one, one.translate(digits)) == 1.0  # one number in two scripts


@pytest.mark.parametrize(
    ("left", "right"),
    [("Page 1", "Page 2"), ("x² + 1", "x³ + 1"), ("½ cup", "¼ cup"), ("በ፲፱፻", "በ፲፰፻"), ("Ⅳ", "Ⅸ")],
)
def test_short_texts_of_other_numbers_are_no_duplicates(left: str, right: str) -> None:
    assert similarity(left, right) == 0.0


@pytest.mark.parametrize("minus", "-\u2212")
@pytest.mark.parametrize(
    "line", ["{}{} °C, ", "x = {}{};\n", "気温{}{}度、", "({}{}) ", "दिन {}{} अंश "]
)
def test_texts_whose_numbers_have_another_sign_are_no_duplicates(minus: str, line: str) -> None:
    plus, less = (
        "".join(line.format(sign, number) for number in range(60)) for sign in ("", minus)
    )
    assert similarity(plus, less) < 0.1
    assert len(set(_signatures(plus, less))) == 1


def test_hyphens_that_are_no_signs_count_for_nothing() -> None:
    assert (
        similarity("the years 1914-18, COVID-19, A - 5", "the years 1914 18, COVID 19, A -- 5") == 1
    )


def test_each_decimal_digit_is_read_as_what_it_is_worth() -> None:
    for code in np.flatnonzero(classes() & DIGIT):
        assert chr(verifying().read_as[code]) == str(unicodedata.decimal(chr(code)))
        assert chr(nominating().read_as[code]) == "0"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("مُحَمَّدٌ رَسُولُ اللَّهِ وَالَّذِينَ مَعَهُ", "محمد رسول الله والذين معه"),
        ("السـلام عليـــكم ورحمة", "السلام عليكم ورحمة"),
        ("این کتاب خوبی است", "اين كتاب خوبي است"),
        ("ﻻ إﻟﻪ إﻻ ﷲ", "لا إله إلا الله"),
        ("على ذلك", "علي ذلك"),
        ("בְּרֵאשִׁית בָּרָא", "בראשית ברא"),
        ("שׁלום", "שלום"),
        ("ＡＢＣ ｄｅｆ １２３", "abc DEF 123"),
        ("ｶﾞｲﾄﾞﾎﾞｰｲ", "ガイドボーイ"),
        ("⼀⽇", "一日"),
        ("ﬁnal oﬃce", "final office"),
        ("ΟΔΟΣ", "οδος"),
        ("IŞIK İSTANBUL", "ışık i\u0307stanbul"),
        ("STRASSE", "Straße"),
        ("Congreſs", "Congress"),
        ("co\u00adop\u00aderate", "cooperate"),
        ("a docu-\n    ment of letters", "a document of letters"),
        ("☎\ufe0f call", "☎ call"),
    ],
)
def test_the_same_writing_is_one(left: str, right: str) -> None:
    assert similarity(left, right) == 1.0
    assert len(set(_signatures(left, right))) == 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("कि", "क"), ("हिंदी", "हिदी"), ("ที่", "ที"), ("ကို", "ကု"), ("ខ្មែរ", "ខមរ"), ("বাংলা", "বালা"),
        ("été", "ete"), ("ά", "α"), ("й", "и"), ("が", "か"), ("ق", "ف"), ("سأل", "سال"),
        ("ہ", "ه"), ("ދިވެހި", "ދވހ"), ("ქართული", "ქართულ"), ("2⁵", "2⁶"),
    ],
)  # fmt: skip
def test_letters_and_marks_that_make_other_words_are_read(left: str, right: str) -> None:
    assert similarity(left, right) == 0.0
    assert len(set(_signatures(left, right))) == 2


def test_no_mark_of_indic_scripts_and_their_neighbours_is_read_as_another() -> None:
    marks = np.flatnonzero(classes()[0x0900:0x1100] & MARK) + 0x0900  # Devanagari to Burmese
    assert len(marks) > 300
    for reading in (nominating(), verifying()):
        assert (reading.read_as[marks] == lower()[marks]).all()
        assert (reading.classes[marks] == classes()[marks]).all()


def test_what_is_read_is_read_as_it_stands() -> None:
    """Nothing that a code point is read as would itself be read as another, or passed over."""
    reading = verifying()
    codes = np.arange(CODE_POINTS)
    own = reading.read_as[(reading.classes & WORD > 0) & (reading.read_as < CODE_POINTS)]
    for said in (np.unique(own), np.unique(reading.spelt[reading.spelt > 0])):
        assert (reading.read_as[said] == said).all()
        assert (reading.classes[said] & WORD > 0).all()
    assert (reading.read_as[codes[:128]] < 128).all()  # the kernel's run of ASCII relies on it


def test_signature_differs_by_a_mark_alone() -> None:
    one, other = _signatures("कि का की", "क का की")
    assert one != other


def test_short_text_has_one_shingle_and_empty_text_no_signature() -> None:
    offsets, _ = shingles(pa.array(["two words", "a b c d e", "a b c d e f", "", None]))
    assert np.diff(offsets).tolist() == [1, 1, 2, 0, 0]
    assert _signatures("two words", "", None, "!?").is_valid().to_pylist() == [
        True,
        False,
        False,
        False,
    ]


def test_signature_holds_permutations_of_four_bytes() -> None:
    batch = pa.record_batch({"text": ["some words here"]})
    (array,) = minhash.bind({"permutations": 16}).__call__(batch).arrays
    assert len(array[0].as_py()) == 64


def _similar_pairs() -> list[tuple[str, str]]:
    draw = random.Random(5)  # noqa: S311 - test data
    vocabulary = [f"w{number}x" for number in range(4000)]
    pairs = []
    for rate in (0.01, 0.03, 0.06, 0.1, 0.2) * 12:
        words = draw.choices(vocabulary, k=300)
        edited = [draw.choice(vocabulary) if draw.random() < rate else word for word in words]
        pairs.append((" ".join(words), " ".join(edited)))
    return pairs


def test_estimate_is_close_to_the_true_jaccard_similarity() -> None:
    errors = []
    for left, right in _similar_pairs():
        one, other = (
            {tuple(words[n : n + 5]) for n in range(len(words) - 4)}
            for words in (left.split(), right.split())
        )
        # Digits are folded, so the words "w12x" and "w34x" are one: spell them out instead.
        true = len(one & other) / len(one | other)
        plain = pa.array([_letters(left), _letters(right)])
        offsets, values = shingles(plain)
        assert jaccard(values[: offsets[1]], values[offsets[1] :]) == pytest.approx(true)
        minima = [np.frombuffer(each.as_py(), "<u4") for each in _signatures(*plain.to_pylist())]
        errors.append((minima[0] == minima[1]).mean() - true)
    # Standard deviation sqrt(J (1 - J) / 112) <= 0.0473 each; the mean of 60 within three of its.
    assert abs(np.mean(errors)) < 3 * 0.0473 / 60**0.5
    assert np.std(errors) < 0.06


def _letters(text: str) -> str:
    return text.translate({48 + digit: 97 + digit for digit in range(10)})


@pytest.mark.parametrize(("permutations", "seed"), [(112, 1), (1, 1), (128, 7)])
def test_signature_is_datasketchs_own(permutations: int, seed: int) -> None:
    texts = [left for left, _ in _similar_pairs()[:5]] + ["two words", "संविधान सभा", "人人生而自由"]
    made = minhash.bind({"permutations": permutations, "seed": seed})
    ours = made(pa.record_batch({"text": pa.array(texts)})).arrays[0]
    for text, signature in zip(texts, ours.to_pylist(), strict=True):
        sketch = datasketch.MinHash(num_perm=permutations, seed=seed, hashfunc=int)
        sketch.update_batch([sketched(each) for each in shingles_of(text, nominating())])
        assert np.frombuffer(signature, "<u4").tolist() == sketch.hashvalues.tolist()


def test_bands_are_shared_by_equal_rows_of_the_signature_only() -> None:
    signatures = _signatures(
        "a b c d e f g", "A b, c d e f g", "quite another text altogether", None
    )
    found = bands(signatures, bands=14, rows=8)
    assert found.shape == (14, 4)
    assert found.dtype == np.int64
    assert (found[:, 0] == found[:, 1]).all()
    assert not (found[:, 0] == found[:, 2]).any()
    assert len(set(found[:, 0].tolist())) == 14
    assert not found[:, 3].any()
    assert (bands(signatures.slice(2), bands=14, rows=8) == found[:, 2:]).all()


def test_bands_longer_than_the_signature_are_refused() -> None:
    with pytest.raises(ValueError, match="117 permutations take 468 bytes; a signature has 448"):
        bands(_signatures("a b c d e f"), bands=20, rows=13)


def test_jaccard_of_ascending_arrays() -> None:
    one, other = np.array([1, 2, 3], np.uint64), np.array([2, 3, 4, 5], np.uint64)
    assert jaccard(one, other) == 0.4
    assert jaccard(one, one) == 1.0
    assert jaccard(one[:0], other[:0]) == 0.0
