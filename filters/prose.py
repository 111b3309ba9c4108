"""Prose: what sound text of any language is made of, and rubbish is not."""

from __future__ import annotations

import functools
import itertools
from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import prosaic as k
from phloem.filters.kernels.classes import (
    CODE_POINTS,
    DIGIT,
    FORMAT,
    LETTER,
    MARK,
    SPACE,
    UNSPACED,
    UPPER,
    WORD,
    classes,
    lower,
)
from phloem.filters.kernels.utf8 import Flags, Integers, nullable, strings
from phloem.filters.language_files import languages
from phloem.filters.op import op
from phloem.filters.statistics import ratio

NOISY_WORD_FRAC = Column(
    "noisy_word_frac",
    pa.float64(),
    "Fraction of words with digits or signs between letters, or several inner capitals, 0-1.",
)
WORDS_PER_STRETCH = Column(
    "words_per_stretch", pa.float64(), "Words between punctuation or line ends, on the mean."
)
FRAGMENT_WORD_FRAC = Column(
    "fragment_word_frac",
    pa.float64(),
    "Fraction of words in lines of at most four that end without punctuation, 0-1.",
)
LOWER_START_FRAC = Column(
    "lower_start_frac",
    pa.float64(),
    "Fraction of ends of sentences, taken as four if fewer, before a small letter, 0-1.",
)
TYPE_TOKEN_RATIO = Column(
    "type_token_ratio",
    pa.float64(),
    "Different words per word in stretches of 100 words, on the mean; of all if there are fewer.",
)
LETTER_PAIR_RATIO = Column(
    "letter_pair_ratio",
    pa.float64(),
    "How much oftener two letter pairs are the same than if letters were drawn one by one;"
    " null below 100 pairs.",
)

JOINERS = "'’ʼ-‐‑.·/:_@\\&"  # between the letters of words, names, addresses and paths

ODD = "|!~^$%*+=#{}"  # that no writing without spaces has between two of its letters

_FEW_ENDS = 4  # an abbreviation is no broken sentence
_FEW_PAIRS = 100  # of fewer the ratio says little: its standard error is above a tenth
_GEORGIAN = range(0x10D0, 0x1100)  # has capitals, but no sentence begins with one


@functools.cache
def _signs() -> npt.NDArray[np.uint8]:
    """END, JOINER, SMALL and ODD of every code point."""
    table = np.zeros(CODE_POINTS, np.uint8)
    # In Greek a semicolon ends a question, in Armenian a colon a statement; elsewhere neither does.
    ends = {mark for one in languages().values() for mark in one.sentence_ends} - set("…;:")
    for chars, bit in ((ends, k.END), (JOINERS, k.JOINER), (ODD, k.ODD)):
        table[[ord(char) for char in chars]] |= bit
    small = lower()[np.flatnonzero(classes() & UPPER)]
    table[small[(classes()[small] & UPPER) == 0]] |= k.SMALL
    table[list(_GEORGIAN)] &= 255 - k.SMALL
    return table


def _columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    """The columns of `prose` out of its counts."""
    one = counts.T
    words = one[k.WORDS]
    columns = [
        (ratio(one[k.NOISY], words), NOISY_WORD_FRAC),
        (ratio(words, one[k.STRETCHES]), WORDS_PER_STRETCH),
        (ratio(one[k.FRAGMENTS], words), FRAGMENT_WORD_FRAC),
        (ratio(one[k.LOWER_STARTS], np.maximum(one[k.ENDS], _FEW_ENDS)), LOWER_START_FRAC),
        (ratio(one[k.WINDOW_TYPES], one[k.WINDOW_WORDS]), TYPE_TOKEN_RATIO),
    ]
    arrays = [nullable(values, valid, column.type) for values, column in columns]
    known = valid & (one[k.PAIRS] >= _FEW_PAIRS) & (one[k.SAME_LETTERS] > 0)
    return [*arrays, nullable(_pair_ratio(one), known, LETTER_PAIR_RATIO.type)]


def _pair_ratio(one: Integers) -> npt.NDArray[np.float64]:
    """The coincidence of pairs over that of letters, squared, to 1e-4."""
    letters, pairs = (one[number].astype(np.float64) for number in (k.LETTERS, k.PAIRS))
    same, same_pairs = (one[n].astype(np.float64) for n in (k.SAME_LETTERS, k.SAME_PAIRS))
    single = same / np.maximum(letters * (letters - 1), 1)
    double = same_pairs / np.maximum(pairs * (pairs - 1), 1)
    found: npt.NDArray[np.float64] = np.round(double / np.where(single > 0, single**2, 1), 4)
    return found


def _has(char: str, flags: int) -> bool:
    return bool(classes()[ord(char)] & flags)


def _tokens(line: str) -> list[tuple[str, bool]]:
    """Tokens as `statistics` cuts them, and whether a space follows behind a letter unspaced."""
    found: list[tuple[str, bool]] = []
    for run in "".join(" " if _has(char, SPACE) else char for char in line).split(" "):
        token, unspaced = "", False
        for char in run:
            starts = _has(char, UNSPACED) or (unspaced and _has(char, LETTER | DIGIT))
            if starts and any(_has(each, WORD) for each in token):
                found.append((token, False))
                token = ""
            if _has(char, LETTER | DIGIT):
                unspaced = _has(char, UNSPACED)
            if not _has(char, FORMAT):
                token += char
        found += [(token, unspaced)] if token else []
    return found


def _has_loose_mark(token: str) -> bool:
    """Whether a mark stands behind a digit or an odd sign, with a letter somewhere before it."""
    held: list[str] | None = None  # since the last letter
    for char in token:
        if _has(char, LETTER):
            held = []
        elif held and _has(char, MARK):
            if not any(_signs()[ord(each)] & k.JOINER for each in held):
                return True
        elif held is not None and not _has(char, MARK):
            held.append(char)
    return False


def _is_noisy(token: str) -> bool:
    """Whether digits or odd signs stand between letters, or capitals behind small ones twice."""
    places = [place for place, char in enumerate(token) if _has(char, LETTER)]
    odd, shifts = _has_loose_mark(token), 0
    for left, right in itertools.pairwise(places):
        between = [char for char in token[left + 1 : right] if not _has(char, MARK)]
        odd |= bool(between) and not any(_signs()[ord(char)] & k.JOINER for char in between)
        shifts += bool(_signs()[ord(token[left])] & k.SMALL) and _has(token[right], UPPER)
    return odd or shifts > 1


def _is_odd(token: str) -> bool:
    """Whether an odd sign follows a letter of a script without spaces."""
    tail = itertools.takewhile(lambda char: not _has(char, WORD), reversed(token))
    is_unspaced = any(_has(char, UNSPACED) for char in token)
    return is_unspaced and any(_signs()[ord(char)] & k.ODD for char in tail)


def _count_one(text: str) -> list[int]:
    counts = [0] * k.COUNTS
    words: list[str] = []
    letters: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for line in text.split("\n"):
        own = _count_line(_tokens(line), counts)
        words += ["".join(chr(lower()[ord(c)]) for c in token if _has(c, WORD)) for token in own]
        for token in own:
            told = [
                int(lower()[ord(char)]) % k.LETTERS_KNOWN if _has(char, LETTER | MARK) else None
                for char in token
            ]
            letters.update(each for each in told if each is not None)
            pairs.update(
                (one, other)
                for one, other in itertools.pairwise(told)
                if one is not None and other is not None
            )
    whole = len(words) - len(words) % k.WINDOW or len(words)
    segments = [words[start : start + k.WINDOW] for start in range(0, whole, k.WINDOW)]
    counts[k.WORDS] = len(words)
    counts[k.WINDOW_WORDS] = whole
    counts[k.WINDOW_TYPES] = sum(len(set(segment)) for segment in segments)
    counts[k.LETTERS], counts[k.PAIRS] = letters.total(), pairs.total()
    counts[k.SAME_LETTERS] = sum(n * (n - 1) for n in letters.values())
    counts[k.SAME_PAIRS] = sum(n * (n - 1) for n in pairs.values())
    return counts


def _count_line(tokens: list[tuple[str, bool]], counts: list[int]) -> list[str]:
    """Add what a line has to the counts; its words."""
    stretch = weight = 0
    ended = False
    found = []
    for token, parted in tokens:
        is_word = [_has(char, WORD) for char in token]
        if not is_word[0] and stretch:
            counts[k.STRETCHES] += 1
            stretch = 0
        if any(is_word):
            found.append(token)
            stretch += 1
            weight += 1 if any(_has(char, UNSPACED) for char in token) else 2
            counts[k.NOISY] += _is_noisy(token) or (not parted and _is_odd(token))
            begin = token[is_word.index(True)]
            small = bool(_signs()[ord(begin)] & k.SMALL)
            if ended and (small or _has(begin, UPPER)):
                counts[k.ENDS] += 1
                counts[k.LOWER_STARTS] += small
        if stretch and (not is_word[-1] or parted):
            counts[k.STRETCHES] += 1
            stretch = 0
        tail = itertools.takewhile(lambda char: not _has(char, WORD), reversed(token))
        ends = any(_signs()[ord(char)] & k.END for char in tail)
        ends &= sum(_has(char, LETTER) for char in token) >= k.WHOLE
        ended = ends or (ended and not any(is_word))
    counts[k.STRETCHES] += stretch > 0
    if found and weight <= k.FRAGMENT and _has(tokens[-1][0][-1], WORD):
        counts[k.FRAGMENTS] += len(found)
    return found


def _prose_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python, token by token."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        if text is not None:
            counts[row] = _count_one(text)
    return _columns(counts, np.array([text is not None for text in texts], np.bool_))


@op(
    reads=[TEXT],
    writes=[
        NOISY_WORD_FRAC,
        WORDS_PER_STRETCH,
        FRAGMENT_WORD_FRAC,
        LOWER_START_FRAC,
        TYPE_TOKEN_RATIO,
        LETTER_PAIR_RATIO,
    ],
    data=["languages", "kernels/categories.txt"],
    examples=[
        ("We came. we saw, and left.", (0.0, 2.0, 0.0, 0.25, 0.8333, None)),
        ("Home\nAbout us\nRecogn!t!on of aBcDe", (0.3333, 2.0, 1.0, 0.0, 1.0, None)),
        ("你好，世界。", (0.0, 2.0, 0.0, 0.0, 1.0, None)),
        ("", (0.0, 0.0, 0.0, 0.0, 0.0, None)),
    ],
    reference=_prose_reference,
)
def prose(batch: pa.RecordBatch) -> list[pa.Array]:
    """Measure what sound text of any language is made of: whole words, stretches, lines, sentences.

    Words are those of `statistics`. A scan's errors, encoded data and misread bytes put digits and
    signs between letters (Taghva et al. 2001, on garbage strings); lists and menus stand in short
    lines; shuffled words lose their sentences; keyword lists say few words again and again (mean
    segmental type-token ratio, Johnson 1944); typed at random, letters do not depend on one
    another, as they do in every language (the index of coincidence of pairs, Friedman 1922).
    What is usual differs by language and script: bounds are derived (`language_files.bounds`).
    """
    texts = strings(batch[TEXT.name])
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.measure(texts, classes(), lower(), _signs(), counts)
    return _columns(counts, texts.valid)
