"""What recurs in a text: its longest substring that does, and runs of characters and words."""

# ruff: noqa: PLR0913, PLR0917 - a kernel is one flat loop
# over arrays that are handed to it one by one.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import LETTER, MARK
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.published_grams import count_key, sequences
from phloem.filters.kernels.repeating import (
    SEEN,
    STAMP,
    TIMES,
    Hashes,
    place_of,
    recurring,
    table_end,
)
from phloem.filters.kernels.shingling import MULTIPLIER, Numbers
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts.
CHARS, LONGEST = 0, 1
CHAR_GRAMS, TOP_CHAR_GRAMS, WORD_GRAMS, DUP_WORD_GRAMS = 0, 1, 2, 3

PRIME = np.uint64(2**61 - 1)
"""Hashes of runs are taken modulo this. Modulo 2^64 those of many runs of the Thue-Morse sequence
are one, whatever they are multiplied by (Pachocki and Radoszewski 2013)."""

HIGH, LOW = np.uint64(31), np.uint64(2**31 - 1)  # halves of a factor
MIDDLE, LOW_MIDDLE = np.uint64(30), np.uint64(2**30 - 1)  # of what their products add to

FIRST_LENGTH = 16  # code points that are tried first: in most texts of some pages so many recur
SEPARATORS = (0x20, 0x0A, 0x09)  # between ROOTS' words


@inlined
def _reduced(value: np.uint64) -> np.uint64:
    """A number modulo PRIME."""
    found = (value >> np.uint64(61)) + (value & PRIME)
    return found - PRIME if found >= PRIME else found


@inlined
def _times(one: np.uint64, other: np.uint64) -> np.uint64:
    """The product of two numbers below PRIME, modulo PRIME."""
    high, low = one >> HIGH, one & LOW
    other_high, other_low = other >> HIGH, other & LOW
    middle = low * other_high + high * other_low
    found = high * other_high * np.uint64(2) + low * other_low
    return _reduced(found + (middle >> MIDDLE) + ((middle & LOW_MIDDLE) << HIGH))


@inlined
def _run(before: Hashes, start: Scalar, length: Scalar, power: np.uint64) -> np.uint64:
    """The hash of a run."""
    beginning = _times(np.uint64(before[start]), power)
    return mix(_reduced(before[start + length] + PRIME - beginning))


@kernel
def powers_of(out: Hashes) -> None:
    """Fill with the first powers of `MULTIPLIER`, modulo PRIME."""
    power, factor = np.uint64(1), _reduced(MULTIPLIER)
    for place in range(len(out)):
        out[place] = power
        power = _times(power, factor)


@inlined
def _read(data: Bytes, start: Scalar, end: Scalar, codes: Integers, before: Hashes) -> Scalar:
    """The code points of a text and the hash of those before each; returns how many there are.

    The hash of a run is a polynomial of its code points' hashes, that of a longer run without that
    of its beginning.
    """
    found = 0
    factor = _reduced(MULTIPLIER)
    before[0] = seen = np.uint64(0)
    at = start
    while at < end:
        size = min(width(data[at]), end - at)
        code = code_point(data, at, size)
        codes[found] = code
        seen = _reduced(_times(seen, factor) + _reduced(mix(np.uint64(code + 1))))
        found += 1
        before[found] = seen
        at += size
    return found


@inlined
def _equal(codes: Integers, one: Scalar, other: Scalar, length: Scalar) -> bool:
    """Whether two runs of so many code points are the same."""
    place = 0
    while place < length and codes[one + place] == codes[other + place]:
        place += 1
    return bool(place == length)


@inlined
def _recurs(
    codes: Integers,
    before: Hashes,
    count: Scalar,
    length: Scalar,
    power: np.uint64,
    starts: Integers,
    left: Scalar,
    table: Hashes,
    stamp: np.uint64,
    sieve: Bytes,
    keys: Hashes,
    room: Integers,
    kept: Integers,
) -> Scalar:
    """Where those runs of a length begin that recur; how many, 0 if no two are the same for sure.

    Args:
        codes: The text's code points.
        before: The hash of those before each.
        count: How many code points there are.
        length: Of a run.
        power: Of `MULTIPLIER` modulo PRIME, to the length.
        starts: Where runs begin that may recur, ascending.
        left: How many of these there are.
        table: Of first occurrences.
        stamp: Of the table's use.
        sieve: Room for counters.
        keys: Room for as many hashes.
        room: Two rows, each as long.
        kept: Filled.
    """
    while left > 0 and starts[left - 1] + length > count:
        left -= 1
    for number in range(left):
        start = starts[number]
        keys[number] = _run(before, start, length, power)
    numbers, places = room[0], room[1]
    left = recurring(keys, left, sieve, numbers)
    last = table_end(left)
    sure = False
    for number in range(left):
        start = starts[numbers[number]]
        place = place_of(table, stamp, last, keys[numbers[number]])
        entry = table[place + 1]
        if entry >> STAMP != stamp:
            table[place] = keys[numbers[number]]
            table[place + 1] = (stamp << STAMP) | np.uint64(start)
        else:
            table[place + 1] = entry | SEEN
            sure = sure or _equal(codes, np.int64(entry & TIMES), start, length)
        places[number] = place + 1
    found = 0
    for number in range(left):
        kept[found] = starts[numbers[number]]
        found += (table[places[number]] & SEEN) != np.uint64(0)
    return found if sure else 0


@kernel
def longest_repeats(
    texts: Strings,
    powers: Hashes,
    table: Hashes,
    sieve: Bytes,
    hashes: Hashes,
    room: Integers,
    out: Integers,
) -> None:
    """The code points of each text, and those of its longest substring that occurs twice.

    What recurs at a length is looked for among what recurs at a shorter one: first at lengths that
    double, then halfway between the last that recurs and the first that does not. Hashes tell what
    may be the same; a length counts if two runs of it are, code point by code point.

    Args:
        texts: In UTF-8.
        powers: Of `MULTIPLIER` modulo PRIME, one more than the longest text has bytes.
        table: Zeros, four for each byte of the longest text and more.
        sieve: Half as many bytes.
        hashes: Two rows, each as long as the longest text and longer.
        room: Five rows, as long.
        out: Zeros, one row a text: CHARS and LONGEST.
    """
    data, offsets, valid = texts
    before, keys = hashes[0], hashes[1]
    codes, both = room[0], room[3:]
    stamp = np.uint64(0)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        if stamp > np.uint64(0xFFFFFF00):
            table[:] = 0
            stamp = np.uint64(0)
        count = _read(data, offsets[row], offsets[row + 1], codes, before)
        own = 0  # the row of `both` that holds what recurs at the length `low`
        for start in range(count):
            both[own, start] = start
        left = count
        low, high, length = np.int64(0), np.int64(count), np.int64(FIRST_LENGTH)
        while low + 1 < high:  # no substring as long as the text occurs twice
            length = min(length, high - 1)
            stamp += np.uint64(1)
            found = _recurs(
                codes,
                before,
                count,
                length,
                powers[length],
                both[own],
                left,
                table,
                stamp,
                sieve,
                keys,
                room[1:3],
                both[1 - own],
            )
            if found > 0:
                own, left, low = 1 - own, found, length
            else:
                high = length
            length = 2 * low if high == count and low > 0 else (low + high) // 2
        out[row, CHARS] = count
        out[row, LONGEST] = low


@inlined
def _roots_words(
    codes: Integers, count: Scalar, classes: Bytes, lower: Numbers, out: Hashes
) -> Scalar:
    """The hashes of ROOTS' words; how many there are."""
    found = 0
    begin = at = 0
    while True:
        apart = at == count or codes[at] in SEPARATORS
        if apart:
            low, high = begin, at
            while low < high and not classes[codes[low]] & (LETTER | MARK):
                low += 1
            while high > low and not classes[codes[high - 1]] & (LETTER | MARK):
                high -= 1
            word = BASIS
            for place in range(low, high):
                word = fold(word, lower[codes[place]])
            if high > low:
                out[found] = mix(word)
                found += 1
            begin = at + 1
        if at == count:
            break
        at += 1
    return found


@kernel
def roots_repeats(
    texts: Strings,
    classes: Bytes,
    lower: Numbers,
    chars: int,
    words: int,
    power: np.uint64,
    table: Hashes,
    sieve: Bytes,
    hashes: Hashes,
    room: Integers,
    out: Integers,
) -> None:
    """Count runs of characters and words, and those that recur, as ROOTS counts them.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        lower: Lower case of each code point.
        chars: Characters in a run.
        words: Words in a run.
        power: Of `MULTIPLIER` modulo PRIME, to the characters in a run.
        table: Zeros, four for each byte of the longest text and more.
        sieve: Half as many bytes.
        hashes: Two rows, each as long as the longest text and longer.
        room: Three rows, as long.
        out: Zeros, one row a text: CHAR_GRAMS, TOP_CHAR_GRAMS, WORD_GRAMS, DUP_WORD_GRAMS.
    """
    data, offsets, valid = texts
    before, keys = hashes[0], hashes[1]
    codes, starts, places = room[0], room[1], room[2]
    stamp = np.uint64(0)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        if stamp > np.uint64(0xFFFFFF00):
            table[:] = 0
            stamp = np.uint64(0)
        count = _read(data, offsets[row], offsets[row + 1], codes, before)
        found = max(count - chars + 1, 0)
        for start in range(found):
            keys[start] = _run(before, start, chars, power)
        left = recurring(keys, found, sieve, starts)
        last = table_end(left)
        stamp += np.uint64(1)
        for number in range(left):
            places[number] = count_key(table, stamp, last, keys[starts[number]])
        recur = in_recur = np.int64(0)  # different ones that recur, and all occurrences of these
        for number in range(left):
            times = np.int64(table[places[number]] & TIMES)
            if times > 1 and not table[places[number]] & SEEN:
                table[places[number]] |= SEEN
                starts[recur] = times
                recur += 1
                in_recur += times
        different = found - in_recur + recur
        most: Scalar = min(np.int64(np.sqrt(different)), np.int64(recur))
        ordered = np.sort(starts[:recur])
        out[row, CHAR_GRAMS] = found
        out[row, TOP_CHAR_GRAMS] = ordered[recur - most :].sum()
        count = _roots_words(codes, count, classes, lower, before)
        found = sequences(before, count, words, keys)
        left = recurring(keys, found, sieve, starts)
        last = table_end(left)
        stamp += np.uint64(1)
        for number in range(left):
            places[number] = count_key(table, stamp, last, keys[starts[number]])
        out[row, WORD_GRAMS] = found
        for number in range(left):
            out[row, DUP_WORD_GRAMS] += table[places[number]] & TIMES > np.uint64(1)
