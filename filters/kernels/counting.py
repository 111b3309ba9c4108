"""One pass over a text that counts characters, words and lines."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import DIGIT, FORMAT, LETTER, SPACE, UNSPACED, UPPER, WORD
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts.
CHARS, SPACES, LETTERS, UPPERS, DIGITS = 0, 1, 2, 3, 4
WORDS, WORD_CHARS, LONGEST, TOKENS, ALPHA_TOKENS, STOP_WORDS, SENTENCES = 5, 6, 7, 8, 9, 10, 11
LINES, BULLETS, ELLIPSES, TERMINALS, SHORTS = 12, 13, 14, 15, 16
HASHES, ELLIPSIS_SIGNS, NEWLINES = 17, 18, 19
COUNTS = 20

# Bits of the table of marks.
BULLET, ENDS, CLOSES = 1, 2, 4

ASCII = 0x80
NEWLINE, HASH, DOT, ELLIPSIS = 0x0A, 0x23, 0x2E, 0x2026
HYPHEN, ASTERISK = 0x2D, 0x2A
COLON, SEMICOLON = 0x3A, 0x3B

SHORT_LINE = 30  # characters; FineWeb (arXiv 2406.17557, section 3.6) calls such a line short


@inlined
def ends_sentence(marks: Bytes, code: Scalar, before: Scalar) -> bool:
    """Whether a sign behind another ends a sentence: a colon in Armenian, a semicolon in Greek."""
    if code == COLON:
        return bool(0x531 <= before <= 0x587)
    if code == SEMICOLON:
        return bool(0x370 <= before <= 0x3FF or 0x1F00 <= before <= 0x1FFF)
    return bool(marks[code] & ENDS)


@inlined
def _end_token(counts: Integers, chars: Scalar, alpha: bool) -> None:
    """Count a token: a word if it holds any letter, mark or digit."""
    counts[TOKENS] += 1
    counts[ALPHA_TOKENS] += alpha
    if chars > 0:
        counts[WORDS] += 1
        counts[WORD_CHARS] += chars
        counts[LONGEST] = max(counts[LONGEST], chars)


@inlined
def _find(slots: np.ndarray, bits: Bytes, wanted: np.uint64) -> Scalar:
    """The number of a stop word, or -1."""
    last = len(slots) - 1
    place = np.int64(wanted & np.uint64(last))
    while slots[place] != 0:
        if slots[place] == wanted:
            return np.int64(bits[place])
        place = (place + 1) & last
    return -1


@inlined
def _with_word(
    stops: np.uint64, word: np.uint64, language: np.uint64, slots: np.ndarray, bits: Bytes
) -> np.uint64:
    """The stop words that were met, with this word if it is one."""
    found = _find(slots, bits, mix(mix(word) ^ language))
    return stops | np.uint64(1) << np.uint64(found) if found >= 0 else stops


@inlined
def _ones(bits: np.uint64) -> Scalar:
    """How many bits are set."""
    found = 0
    while bits:
        bits &= bits - np.uint64(1)
        found += 1
    return found


@inlined
def _end_line(
    counts: Integers,
    marks: Bytes,
    first: Scalar,
    second_space: bool,
    last: Scalar,
    dots: Scalar,
    ended: bool,
    chars: Scalar,
) -> None:
    """Count a line that is not blank."""
    counts[LINES] += 1
    dashed = first in (HYPHEN, ASTERISK)
    counts[BULLETS] += second_space if dashed else marks[first] & BULLET > 0
    counts[ELLIPSES] += last == ELLIPSIS or dots >= 3
    counts[TERMINALS] += ended
    counts[SHORTS] += chars <= SHORT_LINE


@kernel
def count(
    texts: Strings,
    classes: Bytes,
    lower: np.ndarray,
    marks: Bytes,
    languages: np.ndarray,
    slots: np.ndarray,
    bits: Bytes,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        lower: Lower case of each code point.
        marks: BULLET, ENDS and CLOSES of each code point.
        languages: The hash of each text's language, 0 for none with stop words.
        slots: Open-addressed table of mixed hashes of language and stop word; 0 is empty.
        bits: The number of each stop word within its language, below 64.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        at, end = offsets[row], offsets[row + 1]
        language = languages[row]
        stops = np.uint64(0)
        in_token = unspaced = alpha = False
        ended = apart = worded = False  # a sentence; with no space to follow; with a word in it
        word_chars = 0
        word = BASIS
        first: Scalar = -1
        last: Scalar = -1
        second_space = False
        line_chars = pending = dots = tail = 0
        chars = spaces = letters = uppers = digits = 0
        hashes = ellipses = newlines = sentences = 0
        while at < end:
            code = np.int64(data[at])
            if code < ASCII:
                at += 1
            else:
                size = width(data[at])
                if at + size > end:
                    size = 1
                code = code_point(data, at, size)
                at += size
            flags = classes[code]
            chars += 1
            if flags & SPACE:
                spaces += 1
                dots = 0
                if in_token:
                    _end_token(counts, word_chars, alpha)
                    if language and word_chars:
                        stops = _with_word(stops, word, language, slots, bits)
                    in_token = unspaced = alpha = False
                    word_chars = 0
                    word = BASIS
                if ended and worded:
                    sentences += 1
                    worded = False
                if code == NEWLINE:
                    newlines += 1
                    if first >= 0:
                        _end_line(counts, marks, first, second_space, last, tail, ended, line_chars)
                    first = -1
                    line_chars = pending = tail = 0
                    second_space = ended = False
                elif first >= 0:
                    pending += 1
                continue
            in_token = True
            if first < 0:
                first = code
            second_space |= line_chars == 1 and pending > 0
            line_chars += pending + 1
            pending = 0
            if flags & WORD:
                starts = flags & UNSPACED or (unspaced and flags & (LETTER | DIGIT))
                if starts and word_chars > 0:
                    _end_token(counts, word_chars, alpha)
                    if language:
                        stops = _with_word(stops, word, language, slots, bits)
                    alpha = False
                    word_chars = 0
                    word = BASIS
                if flags & LETTER:
                    unspaced = bool(flags & UNSPACED)
                    alpha = True
                    letters += 1
                    uppers += flags & UPPER > 0
                elif flags & DIGIT:
                    unspaced = False
                    digits += 1
                word_chars += 1
                if language:
                    word = fold(word, lower[code])
                dots = 0
                sentences += ended and apart and worded
                worded = True
                ended = False
                if code < ASCII:  # no more of a run in ASCII begins a token or a line
                    begin = at
                    figures = digits
                    while at < end and data[at] < ASCII and classes[data[at]] & WORD:
                        code = np.int64(data[at])
                        uppers += classes[code] & UPPER > 0
                        digits += classes[code] & DIGIT > 0
                        word = fold(word, lower[code])
                        at += 1
                    run = at - begin
                    alpha |= run > digits - figures
                    letters += run - (digits - figures)
                    chars += run
                    word_chars += run
                    line_chars += run
                elif marks[code] & ENDS:  # a few are letters: ฯ
                    ended, apart = True, False
            else:
                if code == DOT:
                    dots += 1
                    ellipses += dots == 3
                else:
                    hashes += code == HASH
                    ellipses += code == ELLIPSIS
                    dots = 0
                if ends_sentence(marks, code, last):
                    ended = True
                    apart = bool(code >= ASCII and code != ELLIPSIS)
                elif not (marks[code] & CLOSES or flags & FORMAT):
                    ended = False
            last = code
            tail = dots
        if in_token:
            _end_token(counts, word_chars, alpha)
            if language and word_chars:
                stops = _with_word(stops, word, language, slots, bits)
        if first >= 0:
            _end_line(counts, marks, first, second_space, last, tail, ended, line_chars)
        counts[CHARS] = chars
        counts[SPACES] = spaces
        counts[LETTERS] = letters
        counts[UPPERS] = uppers
        counts[DIGITS] = digits
        counts[HASHES] = hashes
        counts[ELLIPSIS_SIGNS] = ellipses
        counts[NEWLINES] = newlines
        counts[SENTENCES] = sentences + worded  # the rest is one too, though no mark ends it
        counts[STOP_WORDS] = _ones(stops)
