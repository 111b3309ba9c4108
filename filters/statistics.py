"""Text statistics: counts and ratios that quality rules compare with thresholds."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import LANGUAGE, TEXT, TEXT_BYTES, WORD_COUNT, Column
from phloem.filters.damage import (
    MOJIBAKE_FRAC,
    REPLACEMENT_FRAC,
    ZAWGYI_FRAC,
    count_damage,
    damage_firsts,
    damage_parts,
)
from phloem.filters.kernels import counting as k
from phloem.filters.kernels import damaging
from phloem.filters.kernels.classes import (
    CODE_POINTS,
    DIGIT,
    FORMAT,
    LETTER,
    SPACE,
    UNSPACED,
    UPPER,
    WORD,
    classes,
    lower,
    sentence_ends,
)
from phloem.filters.kernels.hashing import mixed, word_hash
from phloem.filters.kernels.utf8 import Flags, Integers, nullable, strings
from phloem.filters.language_files import language_of, languages
from phloem.filters.op import op

CHAR_COUNT = Column("char_count", pa.int64(), "Code points.")
MEAN_WORD_CHARS = Column(
    "mean_word_chars", pa.float64(), "Letters, marks and digits per word; 0 without words."
)
LONGEST_WORD_CHARS = Column(
    "longest_word_chars", pa.int64(), "Letters, marks and digits of the longest word."
)
LINE_COUNT = Column("line_count", pa.int64(), "Lines that are not blank.")
SENTENCE_COUNT = Column(
    "sentence_count",
    pa.int64(),
    "Sentences: what ends with a sentence's end and holds a word, and the rest.",
)
HASH_WORD_RATIO = Column("hash_word_ratio", pa.float64(), "Signs '#' per word; 0 without words.")
ELLIPSIS_WORD_RATIO = Column(
    "ellipsis_word_ratio", pa.float64(), "Signs '…' and '...' per word; 0 without words."
)
NEWLINE_WORD_RATIO = Column(
    "newline_word_ratio", pa.float64(), "Line feeds per word; 0 without words."
)
BULLET_LINE_FRAC = Column(
    "bullet_line_frac", pa.float64(), "Fraction of lines that begin with a bullet, 0-1."
)
ELLIPSIS_LINE_FRAC = Column(
    "ellipsis_line_frac", pa.float64(), "Fraction of lines that end with '…' or '...', 0-1."
)
TERMINAL_LINE_FRAC = Column(
    "terminal_line_frac", pa.float64(), "Fraction of lines that end with a sentence's end, 0-1."
)
SHORT_LINE_FRAC = Column(
    "short_line_frac", pa.float64(), "Fraction of lines of at most 30 characters, 0-1."
)
ALPHA_WORD_FRAC = Column(
    "alpha_word_frac", pa.float64(), "Fraction of tokens that hold a letter, 0-1."
)
STOP_WORD_COUNT = Column(
    "stop_word_count",
    pa.int64(),
    "Different stop words of the document's language; null where none are listed for it.",
)
DIGIT_FRAC = Column(
    "digit_frac", pa.float64(), "Decimal digits per character that is not a space, 0-1."
)
UPPERCASE_FRAC = Column("uppercase_frac", pa.float64(), "Upper-case letters per letter, 0-1.")
SPACE_FRAC = Column("space_frac", pa.float64(), "Spaces and line ends per character, 0-1.")

# Signs that begin a list item: NeMo Curator's twelve, less the dash forms that also begin speech;
# hyphen and asterisk count where a space follows (`--option` begins no item).
BULLETS = "•‣⁃∙○●◦▪▫■□▶"
# What may stand behind the mark that ends a sentence: quotation marks and brackets that close, „…“
# among them. By itself none ends one (C4 counts the quotation mark: arXiv 1910.10683, 2.2).
CLOSERS = "\"'”“’‘»›«‹)]）］」』｣】〕》〉"
# Signs of some language that end a sentence in its own script alone: `ends_sentence`.
_ELSEWHERE = ":;；"

_MAX_STOP_WORDS = 64  # one bit each


def ratio(part: Integers, whole: Integers) -> npt.NDArray[np.float64]:
    """Part / whole to four decimals, half up, in integers: the same on every machine; 0 for x/0."""
    safe = np.maximum(whole, 1)
    rounded = (20000 * part + safe) // (2 * safe)
    return np.where(whole > 0, rounded, 0) / 10000


@functools.cache
def _marks() -> npt.NDArray[np.uint8]:
    """BULLET, ENDS and CLOSES of every code point."""
    table = np.zeros(CODE_POINTS, np.uint8)
    listed = {mark for one in languages().values() for mark in one.sentence_ends}
    ends = sentence_ends() + "".join(listed - set(CLOSERS) - set(_ELSEWHERE))
    for chars, bit in ((BULLETS, k.BULLET), (ends, k.ENDS), (CLOSERS, k.CLOSES)):
        table[[ord(char) for char in chars]] |= bit
    return table


def _stop_words(tag: str | None) -> list[str]:
    """A language's stop words as they are compared: lower case, word characters only."""
    table, lowered = classes(), lower()
    words = (
        "".join(chr(lowered[ord(char)]) for char in word if table[ord(char)] & WORD)
        for word in language_of(tag).stop_words
    )
    return list(dict.fromkeys(words))[:_MAX_STOP_WORDS]


def _tag_hash(tag: str) -> int:
    """The hash of a language: of no word, lest a word that is a tag cancels it.

    Mixed, as the word's is before the two meet: FNV-1a alone keeps differences, and those of two
    words and of two tags may cancel.
    """
    return mixed(word_hash(f"language {tag}"))


@functools.cache
def _stop_table() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Every stop word of every language in one open-addressed table."""
    entries = [
        (mixed(mixed(word_hash(word)) ^ _tag_hash(tag)), number)
        for tag in languages()
        for number, word in enumerate(_stop_words(tag))
    ]
    size = 1 << (4 * len(entries)).bit_length()
    slots, bits = np.zeros(size, np.uint64), np.zeros(size, np.uint8)
    for key, number in entries:
        place = key & (size - 1)
        while slots[place]:
            place = (place + 1) & (size - 1)
        slots[place], bits[place] = key, number
    return slots, bits


def _listed(tag: str | None) -> str | None:
    """The tag of the language file that holds the stop words of a tag; None if there are none."""
    one = language_of(tag)
    if not one.stop_words:
        return None
    return next(known for known, other in languages().items() if other is one)


def _language_hashes(array: pa.Array) -> npt.NDArray[np.uint64]:
    """The hash of each row's language, 0 where it has no stop words."""
    coded = array.dictionary_encode()
    tags = [_listed(tag) for tag in coded.dictionary.to_pylist()]
    hashes = [_tag_hash(tag) if tag else 0 for tag in tags]
    numbers = np.asarray(coded.indices.fill_null(len(hashes)), np.int64)
    return np.array([*hashes, 0], np.uint64)[numbers]


def _columns(
    counts: Integers, damage: Integers, size: Integers, known: Flags, valid: Flags
) -> list[pa.Array]:
    """The columns of `statistics` out of its counts."""
    one = counts.T
    lines, words, marks = one[k.LINES], one[k.WORDS], one[k.CHARS] - one[k.SPACES]
    columns: list[tuple[npt.NDArray[np.generic], Column]] = [
        (size, TEXT_BYTES),
        (one[k.CHARS], CHAR_COUNT),
        (words, WORD_COUNT),
        (ratio(one[k.WORD_CHARS], words), MEAN_WORD_CHARS),
        (one[k.LONGEST], LONGEST_WORD_CHARS),
        (lines, LINE_COUNT),
        (one[k.SENTENCES], SENTENCE_COUNT),
        (ratio(one[k.HASHES], words), HASH_WORD_RATIO),
        (ratio(one[k.ELLIPSIS_SIGNS], words), ELLIPSIS_WORD_RATIO),
        (ratio(one[k.NEWLINES], words), NEWLINE_WORD_RATIO),
        (ratio(one[k.BULLETS], lines), BULLET_LINE_FRAC),
        (ratio(one[k.ELLIPSES], lines), ELLIPSIS_LINE_FRAC),
        (ratio(one[k.TERMINALS], lines), TERMINAL_LINE_FRAC),
        (ratio(one[k.SHORTS], lines), SHORT_LINE_FRAC),
        (ratio(one[k.ALPHA_TOKENS], one[k.TOKENS]), ALPHA_WORD_FRAC),
        (ratio(one[k.DIGITS], marks), DIGIT_FRAC),
        (ratio(one[k.UPPERS], one[k.LETTERS]), UPPERCASE_FRAC),
        (ratio(one[k.SPACES], one[k.CHARS]), SPACE_FRAC),
    ]
    arrays = [nullable(values, valid, column.type) for values, column in columns]
    arrays.append(nullable(one[k.STOP_WORDS], valid & known, STOP_WORD_COUNT.type))
    kinds = (damaging.REPLACED, damaging.MOJIBAKE, damaging.ZAWGYI)
    arrays += [nullable(ratio(damage.T[kind], marks), valid, pa.float64()) for kind in kinds]
    return arrays


def _statistics_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python: one text at a time, one rule at a time."""
    texts, tags = (batch[column.name].to_pylist() for column in (TEXT, LANGUAGE))
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    damage = np.zeros((len(texts), damaging.KINDS), np.int64)
    size = np.zeros(len(texts), np.int64)
    for row, (text, tag) in enumerate(zip(texts, tags, strict=True)):
        if text is not None:
            counts[row] = _count_one(text, _stop_words(tag))
            damage[row] = count_damage(text)
            size[row] = len(text.encode())
    known = np.array([bool(language_of(tag).stop_words) for tag in tags], np.bool_)
    valid = np.array([text is not None for text in texts], np.bool_)
    return _columns(counts, damage, size, known, valid)


def _has(char: str, flags: int) -> bool:
    return bool(classes()[ord(char)] & flags)


def tokens_of(text: str) -> list[str]:
    """Runs between spaces, cut before a letter of an unspaced script, and after one."""
    found: list[str] = []
    for run in "".join(" " if _has(char, SPACE) else char for char in text).split(" "):
        token, unspaced = "", False
        for char in run:
            starts = _has(char, UNSPACED) or (unspaced and _has(char, LETTER | DIGIT))
            if starts and any(_has(each, WORD) for each in token):
                found.append(token)
                token = ""
            if _has(char, LETTER | DIGIT):
                unspaced = _has(char, UNSPACED)
            token += char
        found += [token] if token else []
    return found


def _count_one(text: str, stop_words: list[str]) -> list[int]:
    counts = [0] * k.COUNTS
    letters = [char for char in text if _has(char, LETTER)]
    counts[k.CHARS] = len(text)
    counts[k.SPACES] = sum(_has(char, SPACE) for char in text)
    counts[k.LETTERS] = len(letters)
    counts[k.UPPERS] = sum(_has(char, UPPER) for char in letters)
    counts[k.DIGITS] = sum(_has(char, DIGIT) for char in text)
    tokens = tokens_of(text)
    words = ["".join(char for char in token if _has(char, WORD)) for token in tokens]
    words = [word for word in words if word]
    counts[k.TOKENS] = len(tokens)
    counts[k.ALPHA_TOKENS] = sum(any(_has(char, LETTER) for char in each) for each in tokens)
    counts[k.WORDS] = len(words)
    counts[k.WORD_CHARS] = sum(map(len, words))
    counts[k.LONGEST] = max(map(len, words), default=0)
    runs = "".join(char if char == "." else " " for char in text).split()
    counts[k.HASHES] = text.count("#")
    counts[k.ELLIPSIS_SIGNS] = text.count("…") + sum("..." in run for run in runs)
    counts[k.NEWLINES] = text.count("\n")
    counts[k.SENTENCES] = sum(any(_has(char, WORD) for char in each) for each in _sentences(text))
    lowered = {"".join(chr(lower()[ord(char)]) for char in word) for word in words}
    counts[k.STOP_WORDS] = len(lowered & set(stop_words))
    _count_lines(text, counts)
    return counts


def _ends(text: str, place: int) -> bool:
    """Whether the sign at a place ends a sentence."""
    if text[place] in _ELSEWHERE:
        before = next((char for char in reversed(text[:place]) if not _has(char, SPACE)), "")
    if text[place] == ":":
        return "\u0531" <= before <= "\u0587"
    if text[place] == ";":
        return "\u0370" <= before <= "\u03ff" or "\u1f00" <= before <= "\u1fff"
    return bool(_marks()[ord(text[place])] & k.ENDS)


def _closes(char: str) -> bool:
    return bool(_marks()[ord(char)] & k.CLOSES) or _has(char, FORMAT)


def _is_ended(line: str) -> bool:
    """Whether a line ends with a sentence's end: a mark, and what closes behind it."""
    places = [at for at, char in enumerate(line) if not (_closes(char) or _has(char, SPACE))]
    return bool(places) and _ends(line, places[-1])


def _sentences(text: str) -> list[str]:
    """The text cut behind each sentence's end: a mark and what closes behind it.

    A space must follow, unless the mark is of a script that needs none.
    """
    cuts = [0]
    for place in range(len(text)):
        if not _ends(text, place):
            continue
        after = place + 1
        while after < len(text) and _closes(text[after]):
            after += 1
        mark = text[place]
        apart = ord(mark) >= k.ASCII and mark != "…" and not _has(mark, WORD)
        if after == len(text) or _has(text[after], SPACE) or (apart and _has(text[after], WORD)):
            cuts.append(after)
    return [text[first:end] for first, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _count_lines(text: str, counts: list[int]) -> None:
    marks = _marks()
    for raw in text.split("\n"):
        line = "".join(" " if _has(char, SPACE) else char for char in raw).strip(" ")
        if not line:
            continue
        counts[k.LINES] += 1
        listed = line[1:2] == " " if line[0] in "-*" else marks[ord(line[0])] & k.BULLET > 0
        counts[k.BULLETS] += bool(listed)
        counts[k.ELLIPSES] += line.endswith(("…", "..."))
        counts[k.TERMINALS] += _is_ended(line)
        counts[k.SHORTS] += len(line) <= k.SHORT_LINE


@op(
    reads=[TEXT, LANGUAGE],
    writes=[
        TEXT_BYTES,
        CHAR_COUNT,
        WORD_COUNT,
        MEAN_WORD_CHARS,
        LONGEST_WORD_CHARS,
        LINE_COUNT,
        SENTENCE_COUNT,
        HASH_WORD_RATIO,
        ELLIPSIS_WORD_RATIO,
        NEWLINE_WORD_RATIO,
        BULLET_LINE_FRAC,
        ELLIPSIS_LINE_FRAC,
        TERMINAL_LINE_FRAC,
        SHORT_LINE_FRAC,
        ALPHA_WORD_FRAC,
        DIGIT_FRAC,
        UPPERCASE_FRAC,
        SPACE_FRAC,
        STOP_WORD_COUNT,
        REPLACEMENT_FRAC,
        MOJIBAKE_FRAC,
        ZAWGYI_FRAC,
    ],
    version=5,
    data=["languages", "kernels/categories.txt", "kernels/sentence_ends.txt"],
    examples=[
        (
            ("The end of the line...\n- 3 apples", "en"),
            (
                *(33, 33, 7, 3.1429, 6, 2, 2, 0.0, 0.1429, 0.1429, 0.5, 0.5, 0.5, 1.0, 0.75),
                *(0.0385, 0.0476, 0.2121, 2, 0, 0, 0),
            ),
        ),
        (
            ("你好。", "und"),
            (
                *(9, 3, 2, 1.0, 1, 1, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
                *(0.0, 0.0, 0.0, None, 0, 0, 0),
            ),
        ),
        (
            ("Ã©tÃ© \ufffd", "fr"),
            (
                *(13, 7, 1, 3.0, 3, 1, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.5),
                *(0.0, 0.6667, 0.1429, 0, 0.1667, 0.3333, 0),
            ),
        ),
        (
            ("", "en"),
            (0, 0, 0, 0.0, 0, 0, *[0.0] * 12, 0, 0, 0, 0),
        ),
    ],
    reference=_statistics_reference,
)
def statistics(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count characters, words and lines, for Gopher's and FineWeb's quality rules.

    A token is a run between spaces; where a script puts no spaces between words (Han, kana, Thai,
    Lao, Khmer, Myanmar, Tibetan …; UAX #14 classes SA and ID) each letter with its marks is one,
    whatever the document's language. A word is a token with a letter, mark or digit, so for these
    scripts `word_count` counts characters and `mean_word_chars` is near 1. A line is what stands
    between line feeds and is not blank. A sentence ends with a mark of Unicode's property
    Sentence_Terminal (UAX #29) or of the language files, and what closes behind it; a bracket by
    itself ends none. Abbreviations are not told from sentences. Ratios are integers divided and
    rounded to 1e-4. Damage is counted by what sound text does not hold (`damage.py`); a rule drops
    what holds too much of it.

    The measures are those of Gopher (Rae et al. 2021, arXiv 2112.11446, A1.1: words, mean length,
    '#' and ellipses each alone, bullets, lines with ellipses, words with a letter, different stop
    words) and FineWeb (arXiv 2406.17557, 3.6: line ends, short lines, line feeds per word).
    """
    texts = strings(batch[TEXT.name])
    hashes = _language_hashes(batch[LANGUAGE.name])
    slots, bits = _stop_table()
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.count(texts, classes(), lower(), _marks(), hashes, slots, bits, counts)
    damage = np.zeros((texts.rows, damaging.KINDS), np.int64)
    damaging.damage(texts, damage_parts(), damage_firsts(), damage)
    return _columns(counts, damage, np.diff(texts.offsets), hashes != 0, texts.valid)
