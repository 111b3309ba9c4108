"""One pass over a text that measures how much of it repeats."""

# ruff: noqa: PLR0913, PLR0917 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import SPACE
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.shingling import MULTIPLIER, words
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]

# Columns of the counts.
CHARS, LINES, DUP_LINES, DUP_LINE_CHARS = 0, 1, 2, 3
PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS = 4, 5, 6
WORD_CHARS, TOP, REPEATED = 7, 8, 11  # three top n-grams (2-4), then six repeated (5-10)
COUNTS = 17
TOP_SIZES = (2, 3, 4)
REPEATED_SIZES = (5, 6, 7, 8, 9, 10)

NEWLINE = 0x0A


@inlined
def _mask(count: Scalar) -> Scalar:
    """The last place of a table for so many keys: a power of two, at most half full."""
    places = np.int64(4)
    while places < 2 * count:
        places *= 2
    return places - 1


@inlined
def _place(keys: Hashes, stamps: Numbers, stamp: Scalar, last: Scalar, key: np.uint64) -> Scalar:
    """Where a key lies in the open-addressed table, or the free place for it."""
    place = np.int64(key & np.uint64(last))
    while stamps[place] == stamp and keys[place] != key:
        place = (place + 1) & last
    return place


@inlined
def _segments(
    data: Bytes,
    start: Scalar,
    end: Scalar,
    classes: Bytes,
    keys: Hashes,
    stamps: Numbers,
    stamp: Scalar,
    last: Scalar,
    breaks: Scalar,
    counts: Integers,
    first: Scalar,
) -> Scalar:
    """Count segments and their second and later occurrences; returns the text's characters.

    A segment is what stands between `breaks` or more line feeds with only spaces between them,
    without the spaces at its ends; blank ones do not count.
    """
    at, feeds, seen = start, 0, BASIS
    chars = length = pending = 0
    gap = BASIS
    while at <= end:
        code = np.int64(NEWLINE)
        if at < end:
            size = width(data[at])
            if at + size > end:
                size = 1
            code = code_point(data, at, size)
            at += size
            chars += 1
        else:
            at += 1
            feeds = breaks
        if classes[code] & SPACE:
            pending += 1
            feeds += code == NEWLINE
            gap = fold(gap, code)
            if feeds >= breaks:
                if length > 0:
                    key = mix(seen)
                    place = _place(keys, stamps, stamp, last, key)
                    counts[first] += 1
                    if stamps[place] == stamp:
                        counts[first + 1] += 1
                        counts[first + 2] += length
                    stamps[place] = stamp
                    keys[place] = key
                length = 0
                seen = BASIS
            continue
        if length > 0 and pending > 0:
            seen = (seen ^ gap) * MULTIPLIER
            length += pending
        pending = 0
        feeds = 0
        gap = BASIS
        seen = fold(seen, code)
        length += 1
    return chars


@inlined
def _gram(hashes: Hashes, start: Scalar, size: Scalar) -> np.uint64:
    """The hash of an n-gram."""
    key = np.uint64(0)
    for number in range(start, start + size):
        key = (key + hashes[number]) * MULTIPLIER
    return mix(key)


@inlined
def _top(
    hashes: Hashes,
    sums: Integers,
    count: Scalar,
    size: Scalar,
    keys: Hashes,
    stamps: Numbers,
    times: Integers,
    stamp: Scalar,
    last: Scalar,
) -> Scalar:
    """Characters of the most frequent n-gram, all its occurrences; 0 if none occurs twice."""
    most: Scalar = np.int64(1)
    found = np.int64(0)
    for start in range(count - size + 1):
        key = _gram(hashes, start, size)
        place = _place(keys, stamps, stamp, last, key)
        if stamps[place] != stamp:
            stamps[place] = stamp
            keys[place] = key
            times[place] = 0
        times[place] += 1
        often = times[place]
        chars = (sums[start + size] - sums[start]) * often
        if often > most or (often == most and often > 1 and chars > found):
            most = often
            found = chars
    return found


@inlined
def _repeated(
    hashes: Hashes,
    sums: Integers,
    count: Scalar,
    size: Scalar,
    keys: Hashes,
    stamps: Numbers,
    stamp: Scalar,
    last: Scalar,
) -> Scalar:
    """Characters in n-grams seen before; after one, the search goes on behind it."""
    found = np.int64(0)
    start = 0
    while start < count - size + 1:
        key = _gram(hashes, start, size)
        place = _place(keys, stamps, stamp, last, key)
        if stamps[place] == stamp:
            found += sums[start + size] - sums[start]
            start += size
        else:
            stamps[place] = stamp
            keys[place] = key
            start += 1
    return found


@kernel
def repeats(
    texts: Strings,
    classes: Bytes,
    lower: Numbers,
    keys: Hashes,
    stamps: Numbers,
    times: Integers,
    hashes: Hashes,
    sums: Integers,
    chars: Integers,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        lower: Lower case of each code point.
        keys: A table of a power of two places, at least twice the bytes of the longest text.
        stamps: Zeros, as long: which use of the table a place belongs to.
        times: As long: how often a key was seen.
        hashes: As long as the longest text: word hashes.
        sums: One longer: characters before each word.
        chars: As long: word lengths.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    stamp = np.uint32(0)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        start, end = offsets[row], offsets[row + 1]
        feeds = 0
        for at in range(start, end):
            feeds += data[at] == NEWLINE
        last = _mask(feeds + 1)
        if stamp > np.uint32(0xFFFFFF00):
            stamps[:] = 0
            stamp = np.uint32(0)
        stamp += np.uint32(1)
        counts[CHARS] = _segments(
            data, start, end, classes, keys, stamps, stamp, last, 1, counts, LINES
        )
        stamp += np.uint32(1)
        _segments(data, start, end, classes, keys, stamps, stamp, last, 2, counts, PARAGRAPHS)
        count = words(data, start, end, classes, lower, True, False, hashes, chars)
        last = _mask(count)
        sums[0] = 0
        for number in range(count):
            hashes[number] = mix(hashes[number])
            sums[number + 1] = sums[number] + chars[number]
        counts[WORD_CHARS] = sums[count]
        for number in range(len(TOP_SIZES)):
            stamp += np.uint32(1)
            counts[TOP + number] = _top(
                hashes, sums, count, TOP_SIZES[number], keys, stamps, times, stamp, last
            )
        for number in range(len(REPEATED_SIZES)):
            stamp += np.uint32(1)
            counts[REPEATED + number] = _repeated(
                hashes, sums, count, REPEATED_SIZES[number], keys, stamps, stamp, last
            )
