"""Passes over texts that measure repetition as published programs do."""

# ruff: noqa: C901, PLR0913, PLR0917 - a kernel is one flat loop
# over arrays that are handed to it one by one.

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import SPACE
from phloem.filters.kernels.hashing import mix
from phloem.filters.kernels.repeating import (
    NEWLINE,
    STAMP,
    TIMES,
    Hashes,
    chars_of,
    hash_of,
    known,
    place_of,
    recurring,
    table_end,
)
from phloem.filters.kernels.shingling import MULTIPLIER
from phloem.filters.kernels.tokens import Rules, tokenize
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width

# Columns of the counts.
CHARS, WORD_CHARS = 0, 1
PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS = 2, 3, 4
LINES, DUP_LINES, DUP_LINE_CHARS = 5, 6, 7
TOP, REPEATED, IN_GRAMS = 8, 11, 17  # the last: characters of all n-grams, of dolma
COUNTS = 23
TOP_SIZES = (2, 3, 4)
REPEATED_SIZES = (5, 6, 7, 8, 9, 10)


@inlined
def count_key(table: Hashes, stamp: np.uint64, last: Scalar, key: np.uint64) -> Scalar:
    """Count a key in the table; the place of its count."""
    place = place_of(table, stamp, last, key)
    if table[place + 1] >> STAMP != stamp:
        table[place] = key
        table[place + 1] = stamp << STAMP
    table[place + 1] += np.uint64(1)
    return place + 1


@inlined
def sequences(hashes: Hashes, count: Scalar, size: Scalar, keys: Hashes) -> Scalar:
    """The keys of the runs of so many words; how many there are."""
    found = max(count - size + 1, 0)
    for start in range(found):
        gram = np.uint64(0)
        for number in range(start, start + size):
            gram = (gram + hashes[number]) * MULTIPLIER
        keys[start] = mix(gram)
    return found


@inlined
def _top(
    keys: Hashes,
    found: Scalar,
    size: Scalar,
    sums: Integers,
    table: Hashes,
    stamp: np.uint64,
    sieve: Bytes,
    starts: Integers,
    places: Integers,
) -> tuple[Scalar, Scalar]:
    """The first of the most frequent n-grams: its characters, and how often it occurs."""
    if found == 0:
        return np.int64(0), np.int64(0)
    left = recurring(keys, found, sieve, starts)
    last = table_end(left)
    for number in range(left):
        places[number] = count_key(table, stamp, last, keys[starts[number]])
    most, first = np.int64(1), np.int64(0)
    for number in range(left):
        often = np.int64(table[places[number]] & TIMES)
        if often > most:
            most, first = often, starts[number]
    return sums[first + size] - sums[first], most


@inlined
def _split(
    data: Bytes,
    start: Scalar,
    end: Scalar,
    least: Scalar,
    table: Hashes,
    stamp: np.uint64,
    last: Scalar,
    counts: Integers,
    column: Scalar,
) -> None:
    """Count what stands between so many line feeds, and what stood before, and its characters."""
    begin = at = start
    while True:
        feeds = 0
        while at + feeds < end and data[at + feeds] == NEWLINE:
            feeds += 1
        if at >= end or feeds >= least:
            counts[column] += 1
            if known(table, stamp, last, mix(hash_of(data, begin, at))):
                counts[column + 1] += 1
                counts[column + 2] += chars_of(data, begin, at)
            begin = at + feeds
        if at >= end:
            break
        at += max(feeds, 1)


@inlined
def _is_space(data: Bytes, at: Scalar, size: Scalar, classes: Bytes) -> bool:
    """Whether a code point is a space to Python's `str.isspace`: the Ethiopic wordspace is none."""
    code = code_point(data, at, size)
    return bool(classes[code] & SPACE) and code != 0x1361  # noqa: PLR2004


@inlined
def _stripped(data: Bytes, start: Scalar, end: Scalar, classes: Bytes) -> tuple[Scalar, Scalar]:
    """Where a text begins and ends without the spaces around it."""
    while start < end and _is_space(data, start, width(data[start]), classes):
        start += width(data[start])
    while end > start:
        at = end - 1
        while at > start and data[at] & 0xC0 == 0x80:  # noqa: PLR2004
            at -= 1
        if not _is_space(data, at, end - at, classes):
            break
        end = at
    return start, end


@inlined
def _feeds(data: Bytes, start: Scalar, end: Scalar) -> Scalar:
    found = 0
    for at in range(start, end):
        found += data[at] == NEWLINE
    return found


@kernel
def datatrove_repeats(
    texts: Strings,
    classes: Bytes,
    rules: Rules,
    values: Hashes,
    powers: Hashes,
    table: Hashes,
    sieve: Bytes,
    hashes: Hashes,
    room: Integers,
    cut: Bytes,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text, as datatrove counts.

    N-grams are the same if their tokens are so when they are joined: by spaces, where the most
    frequent is sought, and by nothing, where it is what stood before. For these the hash of a run
    of bytes is a polynomial, that of a longer one without that of its beginning.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        rules: Of tokens.
        values: A number for each byte.
        powers: Of `MULTIPLIER`, one more than the longest text has bytes.
        table: Zeros, four for each byte of the longest text and more.
        sieve: Half as many bytes.
        hashes: Three rows, each as long as the longest text and longer.
        room: Six rows, as long.
        cut: As long.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    begins, ends, starts, places = room[0], room[1], room[2], room[3]
    sums, sizes = room[4], room[5]
    own, before, keys = hashes[0], hashes[1], hashes[2]
    stamp = np.uint64(0)
    for row in range(len(valid)):
        start, end = offsets[row], offsets[row + 1]
        if not valid[row] or start == end:
            continue
        if stamp > np.uint64(0xFFFFFF00):
            table[:] = 0
            stamp = np.uint64(0)
        counts = out[row]
        counts[CHARS] = chars_of(data, start, end)
        last = table_end(_feeds(data, start, end) + 2)
        stamp += np.uint64(1)
        low, high = _stripped(data, start, end, classes)
        _split(data, low, high, 2, table, stamp, last, counts, PARAGRAPHS)
        stamp += np.uint64(1)
        _split(data, start, end, 1, table, stamp, last, counts, LINES)
        count = tokenize(data, start, end, rules, room[2], room[3], cut, begins, ends)
        before[0] = seen = np.uint64(0)
        sums[0] = sizes[0] = 0
        for number in range(count):
            chars = 0
            for at in range(begins[number], ends[number]):
                seen = seen * MULTIPLIER + values[data[at]]
                chars += data[at] & 0xC0 != 0x80  # noqa: PLR2004
            size = ends[number] - begins[number]
            own[number] = mix(seen - before[number] * powers[size])
            before[number + 1] = seen
            sizes[number + 1] = sizes[number] + size
            sums[number + 1] = sums[number] + chars
        counts[WORD_CHARS] = sums[count]
        for place in range(len(TOP_SIZES)):
            size = TOP_SIZES[place]
            stamp += np.uint64(1)
            found = sequences(own, count, size, keys)
            chars, often = _top(keys, found, size, sums, table, stamp, sieve, starts, places)
            counts[TOP + place] = (chars + size - 1) * often
        for place in range(len(REPEATED_SIZES)):
            size = REPEATED_SIZES[place]
            stamp += np.uint64(1)
            found = max(count - size + 1, 0)
            for number in range(found):
                bytes_of = sizes[number + size] - sizes[number]
                keys[number] = mix(before[number + size] - before[number] * powers[bytes_of])
            left = recurring(keys, found, sieve, starts)
            last = table_end(left)
            free = 0
            for candidate in range(left):
                number = starts[candidate]
                if number >= free and known(table, stamp, last, keys[number]):
                    counts[REPEATED + place] += sums[number + size] - sums[number]
                    free = number + size


@kernel
def dolma_repeats(
    texts: Strings,
    classes: Bytes,
    table: Hashes,
    sieve: Bytes,
    hashes: Hashes,
    room: Integers,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text, as dolma counts.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        table: Zeros, four for each byte of the longest text and more.
        sieve: Half as many bytes.
        hashes: Two rows, each as long as the longest text and longer.
        room: Three rows, as long.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    starts, places, sums = room[0], room[1], room[2]
    own, keys = hashes[0], hashes[1]
    stamp = np.uint64(0)
    for row in range(len(valid)):
        start, end = offsets[row], offsets[row + 1]
        if not valid[row] or start == end:
            continue
        if stamp > np.uint64(0xFFFFFF00):
            table[:] = 0
            stamp = np.uint64(0)
        counts = out[row]
        counts[CHARS] = chars_of(data, start, end)
        last = table_end(_feeds(data, start, end) + 2)
        stamp += np.uint64(1)
        begin = start
        for at in range(start, end + 1):
            if at < end and data[at] != NEWLINE:
                continue
            counts[LINES] += 1
            key = mix(hash_of(data, begin, at))
            often = table[count_key(table, stamp, last, key)] & TIMES
            if often > np.uint64(1):  # at the second, the first counts too
                added = 2 if often == np.uint64(2) else 1
                counts[DUP_LINES] += added
                counts[DUP_LINE_CHARS] += added * chars_of(data, begin, at)
            begin = at + 1
        count = _spaced(data, start, end, classes, own, sums)
        counts[WORD_CHARS] = sums[count]
        for place in range(len(TOP_SIZES)):
            size = TOP_SIZES[place]
            stamp += np.uint64(1)
            found = sequences(own, count, size, keys)
            chars, often = _top(keys, found, size, sums, table, stamp, sieve, starts, places)
            counts[TOP + place] = chars * often
        for place in range(len(REPEATED_SIZES)):
            size = REPEATED_SIZES[place]
            stamp += np.uint64(1)
            found = sequences(own, count, size, keys)
            for number in range(found):
                counts[IN_GRAMS + place] += sums[number + size] - sums[number]
            left = recurring(keys, found, sieve, starts)
            last = table_end(left)
            for candidate in range(left):
                places[candidate] = count_key(table, stamp, last, keys[starts[candidate]])
            for candidate in range(left):
                if table[places[candidate]] & TIMES > np.uint64(1):
                    number = starts[candidate]
                    counts[REPEATED + place] += sums[number + size] - sums[number]


@inlined
def _spaced(
    data: Bytes, start: Scalar, end: Scalar, classes: Bytes, out: Hashes, sums: Integers
) -> Scalar:
    """The hashes of what stands between spaces and the characters before each; how many it is."""
    found = 0
    sums[0] = 0
    begin = at = start
    while True:
        size = min(width(data[at]), end - at) if at < end else 0
        if size == 0 or _is_space(data, at, size, classes):
            if at > begin:
                out[found] = mix(hash_of(data, begin, at))
                found += 1
                sums[found] = sums[found - 1] + chars_of(data, begin, at)
            begin = at + size
        if size == 0:
            break
        at += size
    return found


def byte_values() -> Hashes:
    """A number for each byte, by which runs of bytes are hashed."""
    return np.array([int(mix(np.uint64(byte + 1))) for byte in range(256)], np.uint64)


def powers_of(count: int) -> Hashes:
    """The first powers of `MULTIPLIER`, modulo 2^64."""
    found = np.full(count, MULTIPLIER, np.uint64)
    found[:1] = 1
    return np.multiply.accumulate(found)
