"""One pass over a text that counts what prose is made of: stretches, lines, letters in pairs."""

# ruff: noqa: C901, PLR0912, PLR0915 - a kernel is one flat loop
# over arrays that are handed to it one by one.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import DIGIT, FORMAT, LETTER, MARK, SPACE, UNSPACED, UPPER, WORD
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts.
WORDS, NOISY, STRETCHES, FRAGMENTS, ENDS, LOWER_STARTS = 0, 1, 2, 3, 4, 5
WINDOW_WORDS, WINDOW_TYPES, LETTERS, PAIRS, SAME_LETTERS, SAME_PAIRS = 6, 7, 8, 9, 10, 11
COUNTS = 12

# Bits of the table of signs.
END, JOINER, SMALL, ODD = 1, 2, 4, 8

NEWLINE, SMALL_A, SMALL_Z, ASCII = 0x0A, 0x61, 0x7A, 0x80
WINDOW = 100  # words; the segments of the mean segmental type-token ratio (Johnson 1944)
SLOTS = 256  # of a window's words
LETTERS_KNOWN = 128  # letters are told apart by their last seven bits: those of a block are
WHOLE = 3  # letters from which on a word with a full stop is no abbreviation, and no number
FRAGMENT = 8  # a line of four words, or of eight letters of a script without spaces


@inlined
def _is_new(slots: np.ndarray, wanted: np.uint64) -> bool:
    """Put a word's hash, which is not 0, into a table unless it is there; whether it was not."""
    place = np.int64(wanted & np.uint64(SLOTS - 1))
    while slots[place] != 0:
        if slots[place] == wanted:
            return False
        place = (place + 1) & (SLOTS - 1)
    slots[place] = wanted
    return True


@kernel
def measure(
    texts: Strings,
    classes: Bytes,
    lower: np.ndarray,
    signs: Bytes,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        lower: Lower case of each code point.
        signs: END, JOINER, SMALL and ODD of each code point.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    slots = np.zeros(SLOTS, np.uint64)
    single = np.zeros(LETTERS_KNOWN, np.int64)
    pairs = np.zeros(LETTERS_KNOWN * LETTERS_KNOWN, np.int64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        at, end = offsets[row], offsets[row + 1]
        slots[:] = 0
        single[:] = 0
        pairs[:] = 0
        window = types = full_words = full_types = 0
        words = noisy = stretches = fragments = ends = lower_starts = 0
        stretch = line = weight = 0
        line_marked = ended = False
        # Of the token: its word characters, case shifts, first letter's case, and what it holds.
        chars = letters = shifts = first = 0
        word = BASIS
        opens = marked = tail_end = tail_odd = unspaced = odd = joined = was_small = is_noisy = (
            False
        )
        before: Scalar = -1
        while at <= end:
            size = 1
            code: Scalar = NEWLINE
            if at < end:
                code = np.int64(data[at])
                if code >= ASCII:
                    size = width(data[at])
                    if at + size > end:
                        size = 1
                    code = code_point(data, at, size)
            at += size
            flags = classes[code]
            is_space = flags & SPACE > 0
            starts = flags & UNSPACED or (unspaced and flags & (LETTER | DIGIT))
            if (is_space and (chars or marked)) or (starts and chars > 0):  # a token ends
                if opens and stretch:
                    stretches += 1
                    stretch = 0
                if chars:
                    words += 1
                    line += 1
                    stretch += 1
                    weight += 1 if unspaced else 2
                    noisy += is_noisy or shifts > 1 or (tail_odd and unspaced and not is_space)
                    if ended and first:
                        ends += 1
                        lower_starts += first == 1
                    window += 1
                    types += _is_new(slots, mix(word) | np.uint64(1))
                    if window == WINDOW:
                        full_words += window
                        full_types += types
                        window = types = 0
                        slots[:] = 0
                if stretch and (marked or (unspaced and is_space)):
                    stretches += 1
                    stretch = 0
                ended = (tail_end and letters >= WHOLE) or (ended and chars == 0)
                line_marked = marked
                chars = letters = shifts = first = 0
                word = BASIS
                opens = marked = tail_end = tail_odd = odd = joined = was_small = is_noisy = False
                before = -1
            if is_space:
                unspaced = False
                if code == NEWLINE:
                    if stretch:
                        stretches += 1
                        stretch = 0
                    if line and not line_marked and weight <= FRAGMENT:
                        fragments += line
                    line = weight = 0
                    line_marked = ended = False
                continue
            if flags & WORD:
                if flags & LETTER:
                    small = bool(signs[code] & SMALL)
                    upper = bool(flags & UPPER)
                    if chars == 0:
                        first = 1 if small else 2 * upper
                    is_noisy |= letters > 0 and odd and not joined
                    shifts += was_small and upper
                    unspaced = bool(flags & UNSPACED)
                    letters += 1
                    odd = joined = False
                    was_small = small
                elif flags & MARK:
                    is_noisy |= odd and not joined and letters > 0
                else:
                    odd = True
                    if flags & DIGIT:
                        unspaced = False
                if flags & (LETTER | MARK):
                    letter = np.int64(lower[code]) & (LETTERS_KNOWN - 1)
                    single[letter] += 1
                    if before >= 0:
                        pairs[before * LETTERS_KNOWN + letter] += 1
                    before = letter
                else:
                    before = -1
                chars += 1
                marked = tail_end = tail_odd = False
                word = fold(word, lower[code])
                if flags & LETTER and code < ASCII:  # small letters of ASCII only go on with it
                    while at < end and SMALL_A <= data[at] <= SMALL_Z:
                        letter = np.int64(data[at])
                        single[letter] += 1
                        pairs[before * LETTERS_KNOWN + letter] += 1
                        before = letter
                        word = fold(word, letter)
                        letters += 1
                        chars += 1
                        was_small = True
                        at += 1
            elif not flags & FORMAT:
                opens |= chars == 0
                odd = marked = True
                joined |= bool(signs[code] & JOINER)
                tail_end |= bool(signs[code] & END)
                tail_odd |= bool(signs[code] & ODD)
                before = -1
        if full_words == 0:
            full_words, full_types = window, types
        counts[WORDS] = words
        counts[NOISY] = noisy
        counts[STRETCHES] = stretches
        counts[FRAGMENTS] = fragments
        counts[ENDS] = ends
        counts[LOWER_STARTS] = lower_starts
        counts[WINDOW_WORDS] = full_words
        counts[WINDOW_TYPES] = full_types
        for n in single:
            counts[LETTERS] += n
            counts[SAME_LETTERS] += n * (n - 1)
        for n in pairs:
            counts[PAIRS] += n
            counts[SAME_PAIRS] += n * (n - 1)
