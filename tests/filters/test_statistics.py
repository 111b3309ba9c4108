from __future__ import annotations

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.statistics import ratio, statistics

WORDS = [
    "the",
    "The",
    "of",
    "é",
    "…",
    "...",
    "#",
    "- ",
    "• ",
    "\n",
    "  ",
    "漢",
    "字",
    "ก\u0e34",
    "x",
    "9aZ",
    "4",
    "٣",
    ".",
    "。",
    ")",
    "”",
    "α;",
    "ա:",
    "\u200f",
    "ฯ",
]
MIXED = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=30).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.text(max_size=20),
)


def _measures(text: str | None, language: str | None = "en") -> dict[str, object]:
    batch = pa.record_batch(
        {"text": pa.array([text], pa.string()), "language": pa.array([language], pa.string())}
    )
    arrays = statistics(batch).arrays
    names = [column.name for column in statistics.writes]
    return {name: array[0].as_py() for name, array in zip(names, arrays, strict=True)}


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    texts=st.lists(st.one_of(st.none(), MIXED), max_size=4),
    tag=st.sampled_from(["en", "zh", "th", None]),
)
def test_statistics_equal_their_reference(texts: list[str | None], tag: str | None) -> None:
    batch = pa.record_batch(
        {
            "text": pa.array(texts, pa.string()),
            "language": pa.array([tag] * len(texts), pa.string()),
        }
    )
    assert statistics.reference is not None
    wanted = statistics.reference(batch)
    for column, got, want in zip(statistics.writes, statistics(batch).arrays, wanted, strict=True):  # type: ignore[arg-type]
        assert got.to_pylist() == want.to_pylist(), column.name


@pytest.mark.parametrize(
    ("text", "words", "mean"),
    [
        ("one two-three don't", 3, 5.0),
        ("नमस्ते दुनिया", 2, 6.0),
        ("مرحبا بالعالم ٣", 3, 4.3333),
        ("我们说abc话", 5, 1.4),
        ("ภาษา", 4, 1.0),
        ("ที่นี่", 2, 3.0),
        ("한국어 문장", 2, 2.5),
        ("- | # …", 0, 0.0),
        ("👍🏽 ok", 1, 2.0),
    ],
)
def test_words_are_counted_by_script(text: str, words: int, mean: float) -> None:
    found = _measures(text)
    assert (found["word_count"], found["mean_word_chars"]) == (words, mean)


def test_lines_are_judged_by_their_ends() -> None:
    found = _measures(
        "- item\n\n• more …\n* x...\n-- no\n   \nA whole sentence that is longer than that.\n"
    )
    assert found["line_count"] == 5
    assert found["bullet_line_frac"] == 0.6
    assert found["ellipsis_line_frac"] == 0.4
    assert found["terminal_line_frac"] == 0.6
    assert found["short_line_frac"] == 0.8


@pytest.mark.parametrize(
    ("text", "tag", "count"),
    [
        ("The cat and THE dog of it", "en", 3),
        ("Der Hund und die Katze", "de-AT", 3),
        ("我们的书是好的", "zh-Hans", 3),
        ("यह किताब है और", "hi", 3),
        ("the of and", "und", None),
        ("the of and", "th", None),
        ("es de", "es", 1),
        ("de es", "de", 0),
    ],
)
def test_stop_words_are_those_of_the_language(text: str, tag: str, count: int | None) -> None:
    assert _measures(text, tag)["stop_word_count"] == count


@pytest.mark.parametrize(
    ("line", "ended"),
    [
        ("He went home.", True),
        ("“He went home.”", True),
        ("He went (home).", True),
        ("(He went home.)", True),
        ("« Il rentra. »", True),
        ("He went (home)", False),
        ("“A title”", False),
        ("Ingredients:", False),
        ("one; two;", False),
        ("and then…", True),
        ("他回家了。”", True),
        ("他回家了", False),
        ("वह घर गया।", True),
        ("Πού πήγε;", True),
        ("Նա տուն գնաց:", True),
        ("عاد إلى البيت؟\u200f", True),
        ("ወደ ቤት ሄደ።", True),
        ("သူအိမ်ပြန်သည်။", True),
    ],
)
def test_line_ends_are_those_of_sentences(line: str, ended: bool) -> None:
    assert _measures(line)["terminal_line_frac"] == float(ended)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("One.\nTwo", 2),
        ("It costs 3.14 at example.com", 1),
        ("他回家了。她没有！为什么？", 3),
        ("他说：“好。”她笑了。", 2),
        ("Wait... what? ... No.", 3),
        ("« Oui. » Non.", 2),
        ("# - ...", 0),
        ("", 0),
    ],
)
def test_sentences_are_counted_by_their_ends(text: str, count: int) -> None:
    assert _measures(text)["sentence_count"] == count


def test_signs_are_counted_each_alone() -> None:
    found = _measures("# one\n... two … # four\n")
    assert found["word_count"] == 3
    assert found["hash_word_ratio"] == found["ellipsis_word_ratio"] == 0.6667
    assert found["newline_word_ratio"] == 0.6667
    assert found["space_frac"] == 0.3043


def test_fractions_of_characters() -> None:
    found = _measures("AB cd 12 ٣")
    assert found["uppercase_frac"] == 0.5
    assert found["digit_frac"] == 0.4286
    assert found["text_bytes"] == 11


@given(part=st.integers(0, 10**9), whole=st.integers(1, 10**9))
def test_ratio_rounds_half_up_exactly(part: int, whole: int) -> None:
    got = ratio(np.array([part]), np.array([whole]))[0]
    assert round(got * 10000) == (Fraction(part, whole) * 10000 + Fraction(1, 2)).__floor__()


def test_stop_words_of_one_language_are_no_other_words_of_another() -> None:
    """Polish `pary` (pairs) once had the hash of a stop word under another tag."""
    batch = pa.RecordBatch.from_pydict({"text": ["dodać pary wyrazów"], "language": ["pl"]})
    place = [column.name for column in statistics.writes].index("stop_word_count")
    assert statistics(batch).arrays[place].to_pylist() == [0]
