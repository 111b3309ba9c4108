"""What a filter must drop: rubbish of many kinds, made of real text by a seed."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from phloem.filters.kernels.classes import LETTER, MARK, UNSPACED, classes

Maker = Callable[[random.Random, list[str]], str]
"""Rubbish out of the words of a sound text."""

_MISREAD = "01|!~^_@5$%6"
_LINES = 60
_MISSING, _MISTAKEN = 0.1, 0.125  # of the letters of a text that cannot be decoded; of a scan


def _is_unspaced(words: list[str]) -> bool:
    unspaced = sum(bool(classes()[ord(char)] & UNSPACED) for word in words for char in word)
    return unspaced > len(words)


def _letters(words: list[str]) -> list[str]:
    """The different letters of some words, marks among them."""
    flags = LETTER | MARK
    return sorted({char for word in words for char in word if classes()[ord(char)] & flags})


def _join(words: list[str], chosen: list[str]) -> str:
    return ("" if _is_unspaced(words) else " ").join(chosen)


def _bare(words: list[str]) -> list[str]:
    """Words without signs, those that are left."""
    kept = (
        "".join(char for char in word if char.isalnum() or classes()[ord(char)] & MARK)
        for word in words
    )
    return [word for word in kept if word] or ["x"]


def mash(drawn: random.Random, words: list[str]) -> str:
    """Keys hit at random, of the text's own letters."""
    letters = _letters(words) or ["x"]
    made = ["".join(drawn.choices(letters, k=drawn.randint(2, 10))) for _ in range(150)]
    return " ".join(made)


def menu(drawn: random.Random, words: list[str]) -> str:
    """Entries of a menu, one to three words a line."""
    bare = _bare(words)
    return "\n".join(
        _join(words, drawn.choices(bare, k=drawn.randint(1, 3))) for _ in range(_LINES)
    )


def keywords(drawn: random.Random, words: list[str]) -> str:
    """A list for search engines: a few words in every order, between commas."""
    few = drawn.sample(_bare(words), k=min(8, len(_bare(words))))
    return ", ".join(_join(words, drawn.choices(few, k=drawn.randint(2, 3))) for _ in range(_LINES))


def doorway(drawn: random.Random, words: list[str]) -> str:
    """A page for each town: one sentence, in which a word changes."""
    start = drawn.randrange(max(len(words) - 12, 1))
    sentence = words[start : start + 12]
    names = drawn.choices(_bare(words), k=20)
    return "\n".join(_join(words, [*sentence[:5], name, *sentence[5:]]) for name in names)


def encoded(drawn: random.Random, words: list[str]) -> str:
    """The text in base64 (RFC 4648), between two of its lines."""
    lines = base64.encodebytes(" ".join(words).encode() + drawn.randbytes(900)).decode()
    return _join(words, words[:10]) + "\n" + lines


def log(drawn: random.Random, words: list[str]) -> str:
    """Lines that a machine wrote, each with a word or two of the text."""
    bare = _bare(words)
    return "\n".join(
        f"2026-01-{drawn.randint(10, 28)} {drawn.randint(10, 23)}:{drawn.randint(10, 59)}:07,"
        f"{drawn.randint(100, 999)} INFO [{drawn.randrange(4096):03x}]"
        f" 10.0.{drawn.randrange(256)}.7"
        f" {drawn.choice(bare)}={drawn.randrange(10**6)} {drawn.choice(bare)}"
        for _ in range(_LINES)
    )


def table(drawn: random.Random, words: list[str]) -> str:
    """Rows of numbers with a word before them."""
    bare = _bare(words)
    return "\n".join(
        f"{drawn.choice(bare)}\t" + "\t".join(f"{drawn.random() * 1000:.2f}" for _ in range(6))
        for _ in range(30)
    )


def misread_bytes(drawn: random.Random, words: list[str]) -> str:
    """UTF-8 read as Latin-1 (ISO 8859-1): mojibake; of ASCII, that of quotes and dashes."""
    typeset = [word + drawn.choice(("’", "”", "–", "")) for word in words]
    return " ".join(typeset).encode().decode("latin-1").replace("\x85", " ")


def undecoded(drawn: random.Random, words: list[str]) -> str:
    """U+FFFD in place of one letter in ten."""
    return re.sub(
        r"\w", lambda m: "\ufffd" if drawn.random() < _MISSING else m[0], _join(words, words)
    )


def scan(drawn: random.Random, words: list[str]) -> str:
    """A bad scan: one letter in eight read as a digit or a sign."""
    return re.sub(
        r"\w",
        lambda m: drawn.choice(_MISREAD) if drawn.random() < _MISTAKEN else m[0],
        _join(words, words),
    )


def salad(drawn: random.Random, words: list[str]) -> str:
    """The words of the text, without signs, in any order."""
    return _join(words, drawn.sample(_bare(words), k=len(_bare(words))))


def shuffled(drawn: random.Random, words: list[str]) -> str:
    """The words of the text in any order, each with the signs that stood beside it."""
    return _join(words, drawn.sample(words, k=len(words)))


def placeholder(drawn: random.Random, words: list[str]) -> str:
    """One sentence that stands for a text that was never written, again and again."""
    sentence = _join(words, words[: drawn.randint(6, 12)])
    return "\n".join([sentence] * 20)


def broken_lines(drawn: random.Random, words: list[str]) -> str:
    """The text with a line end behind every word or two."""
    lines, at = [], 0
    while at < len(words):
        step = drawn.randint(1, 2)
        lines.append(_join(words, words[at : at + step]))
        at += step
    return "\n".join(lines)


MAKERS: Mapping[str, Maker] = MappingProxyType({
    "base64": encoded,
    "broken lines": broken_lines,
    "doorway page": doorway,
    "keyboard mash": mash,
    "keyword list": keywords,
    "log": log,
    "menu": menu,
    "mojibake": misread_bytes,
    "placeholder": placeholder,
    "scan": scan,
    "shuffled words": shuffled,
    "table of numbers": table,
    "U+FFFD": undecoded,
    "word salad": salad,
})  # fmt: skip


def words_of_text(text: str) -> list[str]:
    """The runs between spaces; where there are no spaces between words, every two letters."""
    runs = text.replace("\u1361", " ").split()  # Ethiopic wordspace
    if not _is_unspaced(runs):
        return runs
    return [run[place : place + 2] for run in runs for place in range(0, len(run), 2)]


def rubbish(kind: str, text: str, seed: int) -> str:
    """Rubbish of a kind out of a sound text, the same for the same seed.

    Args:
        kind: Of `MAKERS`.
        text: Of 100 words or more.
        seed: Of what is drawn.
    """
    drawn = random.Random(f"{seed} {kind} {text}")  # noqa: S311 - nothing is kept secret by it
    return MAKERS[kind](drawn, words_of_text(text))
