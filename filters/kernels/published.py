"""What datatrove's filters count, in one pass over a text's tokens and one over its lines."""

# ruff: noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares signs with the numbers they are.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import LETTER
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.marking import (
    PLACEHOLDERS,
    POLICY_LINES,
    SCRIPT_LINES,
    Phrases,
    lower_byte,
    stands,
)
from phloem.filters.kernels.tokens import (
    BREAK,
    PUNCTUATION,
    SIGN,
    SPACE,
    STOP,
    TERMINAL,
    Rules,
    tokenize,
)
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts of Gopher's and FineWeb's filters.
CHARS, TOKENS, WORDS, WORD_CHARS, ALPHA_TOKENS, STOP_WORDS = 0, 1, 2, 3, 4, 5
HASHES, ELLIPSES, BREAKS, BULLET_LINES, ELLIPSIS_LINES = 6, 7, 8, 9, 10
LINES, TERMINAL_LINES, SHORT_LINES, DUP_LINE_CHARS, NEWLINES = 11, 12, 13, 14, 15
COUNTS = 16

# Columns of the counts of C4's filter.
ALL_LINES, KEPT_LINES, SENTENCES, PLACEHOLDER_LINES, BRACE_LINES = 0, 1, 2, 3, 4
C4_COUNTS = 5

SHORT_LINE = 30  # FineWebQualityFilter: short_line_length
LONG_WORD, LINE_WORDS = 1000, 3  # C4QualityFilter: max_word_length, min_words_per_line

ASCII = 0x80
NEWLINE, RETURN, HASH, DASH, DOT, BULLET, ELLIPSIS = 0x0A, 0x0D, 0x23, 0x2D, 0x2E, 0x2022, 0x2026
OPEN, CLOSE, BRACE = 0x5B, 0x5D, 0x7B
ENDS = (0x2E, 0x3F, 0x21, 0x22, 0x27)  # C4QualityFilter: . ? ! " '


@inlined
def _next(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """The code point at a place, and its bytes."""
    code = np.int64(data[at])
    if code < ASCII:
        return code, 1
    size = width(data[at])
    if at + size > end:
        size = 1
    return code_point(data, at, size), size


@inlined
def _count_token(
    data: Bytes,
    begin: Scalar,
    end: Scalar,
    classes: Bytes,
    rules: Rules,
    stop_words: Integers,
    counts: Integers,
) -> Scalar:
    """Count a token; the bit of the stop word that it is, else 0."""
    alpha = sound = False
    chars = 0
    at = begin
    packed: Scalar = np.int64(1)  # so that a NUL at the beginning counts
    while at < end:
        code, size = _next(data, at, end)
        alpha |= bool(classes[code] & LETTER)
        sound |= not rules.classes[code] & SIGN
        packed = packed << 8 | data[at]
        chars += 1
        at += size
    counts[ALPHA_TOKENS] += alpha
    if sound:
        counts[WORDS] += 1
        counts[WORD_CHARS] += chars
    if end - begin <= 4:
        for number in range(len(stop_words)):
            if stop_words[number] == packed:
                return 1 << number
    return 0


@inlined
def _count_lines(
    data: Bytes,
    begin: Scalar,
    end: Scalar,
    rules: Rules,
    slots: np.ndarray,
    counts: Integers,
) -> None:
    """Count the lines of Gopher's filter, at any break, and FineWeb's, at line feeds alone."""
    size = 1
    while size < 2 * counts[NEWLINES] + 2:
        size *= 2
    slots[:size] = 0
    chars: Scalar = 0
    dots = 0
    first: Scalar = -1  # of Gopher's line, no space
    ended = False
    whole: Scalar = np.int64(0)  # characters of Gopher's line
    line_chars: Scalar = np.int64(0)  # of FineWeb's
    seen = BASIS
    last: Scalar = 0
    blank = True
    run = 0
    at = begin
    while at <= end:
        code, wide = (_next(data, at, end)) if at < end else (np.int64(-1), 1)
        own = np.uint16(0) if code < 0 else rules.classes[code]
        if code < 0 or own & BREAK:
            if code >= 0 or whole > 0:
                counts[BREAKS] += 1
                counts[BULLET_LINES] += first in (BULLET, DASH)
                counts[ELLIPSIS_LINES] += ended
            first = -1
            ended = False
            whole = 0
            dots = 0
            if code == RETURN and at + 1 < end and data[at + 1] == NEWLINE:
                # one break of two signs; the first is the last of FineWeb's line
                chars += 1
                line_chars += 1
                seen = fold(seen, code)
                last = code
                run = 0
                at += 1
                code = np.int64(NEWLINE)
        elif own & SPACE:
            whole += 1
            dots = 0
        else:
            whole += 1
            first = code if first < 0 else first
            dots = dots + 1 if code == DOT else 0
            ended = code == ELLIPSIS or dots >= 3
            blank = False
        if code < 0 or code == NEWLINE:
            if not blank:
                counts[LINES] += 1
                counts[TERMINAL_LINES] += (rules.classes[last] & TERMINAL) > 0
                counts[SHORT_LINES] += line_chars <= SHORT_LINE
                counts[DUP_LINE_CHARS] += line_chars if _stood(slots, size - 1, seen) else 0
            line_chars = 0
            seen = BASIS
            blank = True
            run = 0
        else:
            line_chars += 1
            seen = fold(seen, code)
            last = code
            counts[HASHES] += code == HASH
            run = run + 1 if code == DOT else 0
            counts[ELLIPSES] += code == ELLIPSIS or (run > 0 and run % 3 == 0)
        chars += code >= 0
        at += wide
    counts[CHARS] = chars


@inlined
def _stood(slots: np.ndarray, last: Scalar, line: np.uint64) -> bool:
    """Whether a line stood before; it is noted."""
    key = mix(line)
    key = key if key != np.uint64(0) else np.uint64(1)
    place = np.int64(key & np.uint64(last))
    while slots[place] != np.uint64(0):
        if slots[place] == key:
            return True
        place = (place + 1) & last
    slots[place] = key
    return False


@kernel
def count_quality(
    texts: Strings,
    classes: Bytes,
    rules: Rules,
    stop_words: Integers,
    numbers: Integers,
    cut: Bytes,
    slots: np.ndarray,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        rules: Of the tokens.
        stop_words: Of at most four letters of ASCII: a byte of 1 and its bytes.
        numbers: Room for four numbers of each byte of the longest text.
        cut: Room for one of them.
        slots: Room for a table of the lines: a power of two, at least twice as many.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        begin, end = offsets[row], offsets[row + 1]
        begins, ends = numbers[2], numbers[3]
        found = tokenize(data, begin, end, rules, numbers[0], numbers[1], cut, begins, ends)
        met = np.int64(0)
        for number in range(found):
            met |= _count_token(
                data, begins[number], ends[number], classes, rules, stop_words, counts
            )
        counts[TOKENS] = found
        for number in range(len(stop_words)):
            counts[STOP_WORDS] += met >> number & 1
        newlines = 0
        for at in range(begin, end):
            newlines += data[at] == NEWLINE
        counts[NEWLINES] = newlines
        _count_lines(data, begin, end, rules, slots, counts)


@inlined
def _citation(data: Bytes, at: Scalar, end: Scalar, marks: Bytes, sizes: Integers) -> Scalar:
    """The bytes of a citation that begins at a bracket: `[12]`, `[]`, or one of the marks."""
    stop = at + 1
    while stop < end and (0x30 <= data[stop] <= 0x39):
        stop += 1
    if stop < end and data[stop] == CLOSE:
        return stop + 1 - at
    for number in range(len(sizes)):
        size = sizes[number]
        if at + size <= end:
            same = True
            for place in range(size):
                same &= data[at + place] == marks[number, place]
            if same:
                return size
    return 0


@inlined
def _phrases(line: Bytes, size: Scalar, phrases: Phrases) -> Scalar:
    """Which kinds of phrase stand in a line: a bit for each column of `marking`."""
    letters, sizes, anchors, kinds = phrases
    found = 0
    for at in range(size):
        byte = lower_byte(line[at])
        for number in range(len(sizes)):
            first = at - anchors[number]
            if first < 0 or letters[number, anchors[number]] != byte:
                continue
            if stands(line, first, size, letters[number], sizes[number]):
                found |= 1 << kinds[number]
    return found


@inlined
def _sentences(
    data: Bytes, begins: Integers, ends: Integers, found: Scalar, rules: Rules
) -> Scalar:
    """The sentences of tokens: one begins behind an end and the punctuation that follows it."""
    sentences = 1
    stopped = False
    for number in range(found):
        at, end = begins[number], ends[number]
        code, size = _next(data, at, end)
        stop = at + size == end and rules.classes[code] & STOP
        punctuation = True
        while at < end:
            code, size = _next(data, at, end)
            punctuation &= bool(rules.classes[code] & PUNCTUATION)
            at += size
        if stopped and not punctuation and not stop:
            sentences += 1
            stopped = False
        elif stop:
            stopped = True
    return sentences


@kernel
def count_c4(
    texts: Strings,
    rules: Rules,
    marks: Bytes,
    mark_sizes: Integers,
    phrases: Phrases,
    numbers: Integers,
    cut: Bytes,
    line: Bytes,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        rules: Of the tokens.
        marks: A citation a row, beside those that are a number in brackets.
        mark_sizes: Of each.
        phrases: What a line is looked through for.
        numbers: Room for four numbers of each byte of the longest text.
        cut: Room for one of them.
        line: Room for the bytes of the longest line.
        out: Zeros, one row a text, C4_COUNTS columns.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            size = 0  # bytes of the line without citations
            words = longest = chars = 0
            kept = 0  # of these bytes, up to the last that is no space
            begun = False
            cited = at
            while at < end:
                code, wide = _next(data, at, end)
                own = rules.classes[code]
                if own & BREAK:
                    wide = (
                        2 if code == RETURN and at + 1 < end and data[at + 1] == NEWLINE else wide
                    )
                    at += wide
                    break
                if own & SPACE:
                    chars = 0
                else:
                    begun = True
                    words += chars == 0
                    chars += 1
                    longest = max(longest, chars)
                if code == OPEN and at >= cited:
                    cited = at + _citation(data, at, end, marks, mark_sizes)
                if begun and at >= cited:
                    for place in range(wide):
                        line[size + place] = data[at + place]
                    size += wide
                if not own & SPACE:
                    kept = size
                at += wide
            size = kept
            counts[ALL_LINES] += 1
            if longest > LONG_WORD or size == 0 or line[size - 1] not in ENDS:
                continue
            trails = size >= 3 and line[size - 1] == line[size - 2] == line[size - 3] == DOT
            if trails or words < LINE_WORDS:
                continue
            found = _phrases(line, size, phrases)
            counts[PLACEHOLDER_LINES] += found >> PLACEHOLDERS & 1
            if found >> SCRIPT_LINES & 1:
                continue
            braced = False
            for place in range(size):
                braced |= line[place] == BRACE
            counts[BRACE_LINES] += braced
            if found >> POLICY_LINES & 1:
                continue
            begins, ends = numbers[2], numbers[3]
            tokens = tokenize(line, 0, size, rules, numbers[0], numbers[1], cut, begins, ends)
            counts[SENTENCES] += _sentences(line, begins, ends, tokens, rules)
            counts[KEPT_LINES] += 1
