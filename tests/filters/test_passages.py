from __future__ import annotations

import itertools
import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.kernels import reading
from phloem.filters.kernels.classes import DIGIT, FORMAT, LETTER, MARK, NUMBER, SPACE, classes
from phloem.filters.kernels.utf8 import strings
from phloem.filters.passages import CHARS, PLACES, _kinds, read, words

CODE = set(string.punctuation) - set(",/*!?'-")
JOINERS = "\u200c\u200d"


def _is(char: str, flags: int) -> bool:
    return bool(classes()[ord(char)] & flags)


def _is_letter(char: str) -> bool:
    return char in JOINERS or _is(char, LETTER | MARK)


def _is_figure(char: str) -> bool:
    return _is(char, DIGIT | NUMBER)


def _is_gap(char: str) -> bool:
    return char == "\0" or _is(char, SPACE)


def _lower(char: str) -> str:
    low = char.lower()[0]
    return low if len(low.encode()) <= len(char.encode()) else char


def _word(word: str) -> tuple[str, str]:
    """What is read of what stands between two gaps, and what kind of thing it is."""
    known = [place for place, char in enumerate(word) if _is_letter(char) or _is_figure(char)]
    if not known:
        return "", "code" if word.isascii() else "figures"
    core = word[known[0] : known[-1] + 1]
    if word.isascii() and len(word) >= 40:
        return "", "figures"
    if not any(map(_is_letter, core)):
        return "", "figures"
    pairs = [(char, after) for char, after in itertools.pairwise(core) if char in CODE]
    signs = [char for char, after in pairs if not (char in '.:;)"' and "A" <= after <= "Z")]
    if word.isascii() and signs:
        return "", "code"
    if word.isascii() and any(map(_is_figure, core)):
        return "", "figures"
    out = ""
    for char in core:
        is_sign = char.isascii() and not char.isalnum() and char not in "'-"
        if _is_figure(char) or is_sign:
            out += "" if not out or out[-1] == " " else " "
        elif char in JOINERS or not _is(char, FORMAT):
            out += _lower(char)
    return out, "words"


def _words(text: str) -> str:
    """The readable reference of `words`."""
    lines = []
    for line in text.split("\n"):
        marked = "".join("\n" if _is_gap(char) else char for char in line)
        found = [(part, *_word(part)) for part in marked.split("\n") if part]
        code = sum(len(part.encode()) for part, _, kind in found if kind == "code")
        kept = [word for _, word, kind in found if kind == "words"]
        if code <= sum(_core_bytes(part) for part, _, kind in found if kind == "words"):
            lines.append(" ".join(kept))
    return " ".join(line for line in lines if line)


def _core_bytes(word: str) -> int:
    known = [place for place, char in enumerate(word) if _is_letter(char) or _is_figure(char)]
    return len(word[known[0] : known[-1] + 1].encode())


LETTERS = st.sampled_from(
    "aZéÉßЖжİẞ字あक्षाไعَ۱٣٠1½ \n\t\u00a0\u1361\0,.;:!?'\"-_/\\|<>[]{}()=+*&^%$#@~`’。、"
    "\u200c\u200d\u200e\u00ad🙂"
)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(
    st.lists(
        st.one_of(st.none(), st.text(st.one_of(LETTERS, st.characters(codec="utf-8")))), max_size=4
    )
)
def test_words_are_those_of_the_reference(texts: list[str | None]) -> None:
    found = words(pa.array(texts, pa.string())).to_pylist()
    assert found == [_words(text or "") for text in texts]


ENGLISH = "All human beings are born free and equal in dignity and rights. "
TAMIL = "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர். "


def test_a_long_text_is_read_at_several_places_and_a_short_one_whole() -> None:
    long = ENGLISH * 40 + "\n" + TAMIL * 400 + "\n" + ENGLISH * 40
    found = read(pa.array([long, ENGLISH, None, "", "12"]))
    assert found.first.tolist() == [0, PLACES, PLACES + 1, PLACES + 1, PLACES + 1, PLACES + 1]
    lines = found.lines.to_pylist()
    assert all(len(line) <= CHARS + 32 for line in lines)
    assert lines[PLACES] == ENGLISH.lower().strip(" .")
    assert [line.isascii() for line in lines[:PLACES]] == [True] + [False] * 7
    assert found.text_scripts == ["Taml", "Latn", "Zyyy", "Zyyy", "Zyyy"]


def test_passages_begin_with_a_line_or_a_word() -> None:
    paragraphs = [f"{word} " * 30 for word in ("eins", "zwei", "drei", "vier", "fünf", "sechs")]
    found = read(pa.array(["\n".join(paragraphs)]), places=8, chars=160).lines.to_pylist()
    assert {word for line in found for word in line.split()} == {
        "eins",
        "zwei",
        "drei",
        "vier",
        "fünf",
        "sechs",
    }  # none is cut
    assert sum(len(set(line.split())) == 1 for line in found) >= 4


@pytest.mark.parametrize("size", [0, 1, 249, 250, 251, 1999, 2000, 2001, 100_000])
@pytest.mark.parametrize("char", ["a", "字", "🙂", "\n", "é ", "a\n", "\u0301"])
def test_any_size_of_any_character_is_read_within_bounds(char: str, size: int) -> None:
    text = char * size
    found = read(pa.array([text, "end"]))
    assert found.first[-1] == len(found.lines)
    assert found.lines[-1].as_py() == "end"
    assert found.first[1] <= PLACES
    read_chars = sum(map(len, found.lines.to_pylist()[:-1]))
    assert read_chars <= min(len(text), PLACES * (CHARS + 32))
    if char in {"字", "é "}:
        assert read_chars >= min(len(text), PLACES * CHARS) * 0.9 - 1


@pytest.mark.parametrize(
    "data",
    ["Ⱥ".encode(), "ȺȾ".encode() * 300, b"\xaa" * 300, b"a \xc3", b"\xf0", bytes(range(256)) * 20],
    ids=["longer in lower case", "many", "stray", "cut", "begun", "all"],
)
def test_no_bytes_take_more_room_than_they_have(data: bytes) -> None:
    offsets = np.array([0, len(data)], np.int64)
    texts = pa.Array.from_buffers(pa.large_string(), 1, [None, *map(pa.py_buffer, (offsets, data))])
    room = np.full(2 * len(data) + 8, 7, np.uint8)
    bounds, first = np.zeros(PLACES + 1, np.int64), np.zeros(2, np.int64)
    seen = reading.Read(*(np.zeros(1, np.int64) for _ in reading.Read._fields))
    scripts = np.zeros(PLACES, np.int64)
    out = room[: len(data)]
    reading.passages(strings(texts), _kinds(), PLACES, CHARS, out, bounds, first, seen, scripts)
    assert (room[len(data) :] == 7).all()


@pytest.mark.parametrize(
    ("text", "code", "figures"),
    [
        (ENGLISH * 20, 0.0, 0.0),
        ("def f(x):\n    return x[0] + y.z\n" * 20, 1.0, 0.0),
        ("<p class='a'>Tere</p>\n" * 20, 1.0, 0.0),
        ("Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6\n" * 20, 0.0, 1.0),
        ("1.5\t2.5\t-3\n" * 20, 0.0, 1.0),
        ("=== ** 12 -- :: {} 7\n" * 20, 0.0, 1.0),
        ("http://example.org/a?b=c " * 20, 1.0, 0.0),
    ],
)
def test_code_and_figures_are_told_from_prose(text: str, code: float, figures: float) -> None:
    found = read(pa.array([text]))
    assert abs(found.code_frac[0] - code) <= 0.25
    assert abs(found.figure_frac[0] - figures) <= 0.25
