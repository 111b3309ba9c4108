"""One pass over a text that measures how much of it repeats."""

# ruff: noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import FORMAT, LETTER, MARK, SPACE, UNSPACED, WORD
from phloem.filters.kernels.hashing import BASIS, PRIME, mix
from phloem.filters.kernels.shingling import MULTIPLIER
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings, code_point, width
from phloem.filters.kernels.words import EIGHT, load, zero_bytes

Hashes = npt.NDArray[np.uint64]

# Columns of the counts.
CHARS, LINES, DUP_LINES, DUP_LINE_CHARS = 0, 1, 2, 3
PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS = 4, 5, 6
WORD_CHARS, TOP, REPEATED = 7, 8, 11  # three top n-grams (2-4), then six repeated (5-10)
COUNTS = 17
TOP_SIZES = (2, 3, 4)
REPEATED_SIZES = (5, 6, 7, 8, 9, 10)

# Kinds of bytes: one that begins no space, and one that may.
PLAIN, SPACES = 0, 1

ASCII, NEWLINE = 0x80, 0x0A
OF_PARAGRAPHS = PRIME  # that no paragraph has the hash of a line: one table holds both

# Of eight bytes at once: each one's highest bit and the other seven.
HIGHS, LOWS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
ONES = np.uint64(0x0101010101010101)
FEEDS, CASE = np.uint64(NEWLINE) * ONES, np.uint64(0x20) * ONES
# Added to bytes of seven bits, these set the highest of each from a character on, or behind one.
FROM_A, BEHIND_Z = np.uint64(0x80 - ord("a")) * ONES, np.uint64(0x7F - ord("z")) * ONES
FROM_0, BEHIND_9 = np.uint64(0x80 - ord("0")) * ONES, np.uint64(0x7F - ord("9")) * ONES

SIEVE = 4  # counters for each key at least: so one in five at most falls on that of another
STAMP = np.uint64(32)  # bits below the stamp of a table's entry
SEEN = np.uint64(1 << 31)  # of an n-gram that the search for repeated ones came by
TIMES = SEEN - np.uint64(1)


@inlined
def some(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """The eight bytes from a place on; those behind the end are 0."""
    if at + EIGHT <= end:
        return load(data, at)
    found = np.uint64(0)
    for place in range(end - at):
        found |= np.uint64(data[at + place]) << np.uint64(8 * place)
    return found


@inlined
def absorb(seen: np.uint64, word: Scalar) -> np.uint64:
    """The hash of what was seen and of eight bytes more; one to one in each of both."""
    seen = (seen ^ word) * MULTIPLIER
    return seen ^ (seen >> np.uint64(29))


@inlined
def hash_of(data: Bytes, start: Scalar, end: Scalar) -> np.uint64:
    """The hash of bytes, to be mixed."""
    seen = BASIS
    for at in range(start, end, EIGHT):
        seen = absorb(seen, some(data, at, end))
    return absorb(seen, np.uint64(end - start))


@inlined
def table_end(count: Scalar) -> Scalar:
    """The last place of a table for so many keys: a power of two, at most half full."""
    places = np.int64(4)
    while places < 2 * count:
        places *= 2
    return places - 1


@inlined
def place_of(table: Hashes, stamp: np.uint64, last: Scalar, key: np.uint64) -> Scalar:
    """Where a key lies in the open-addressed table, or the free place for it.

    An entry is the key and, behind it, the stamp of the table's use with what is noted of the key.
    """
    place = np.int64(key & np.uint64(last))
    while table[2 * place + 1] >> STAMP == stamp and table[2 * place] != key:
        place = (place + 1) & last
    return 2 * place


@inlined
def known(table: Hashes, stamp: np.uint64, last: Scalar, key: np.uint64) -> bool:
    """Whether the table held a key before; it does now."""
    place = place_of(table, stamp, last, key)
    before = table[place + 1] >> STAMP == stamp
    table[place] = key
    table[place + 1] = stamp << STAMP
    return bool(before)


@inlined
def chars_of(data: Bytes, start: Scalar, end: Scalar) -> Scalar:
    """Code points: bytes that do not continue one."""
    text = data[start:end]
    found = 0
    for place in range(len(text)):
        found += text[place] & 0xC0 != 0x80
    return found


@inlined
def _last_space(data: Bytes, start: Scalar, end: Scalar, classes: Bytes, firsts: Bytes) -> Scalar:
    """Where the spaces at an end begin; something else stands before them."""
    while end > start:
        at = end - 1
        while at > start and data[at] & 0xC0 == 0x80:
            at -= 1
        if firsts[data[at]] == PLAIN or not classes[code_point(data, at, end - at)] & SPACE:
            break
        end = at
    return end


@inlined
def _segments(
    data: Bytes,
    start: Scalar,
    end: Scalar,
    classes: Bytes,
    firsts: Bytes,
    table: Hashes,
    stamp: np.uint64,
    last: Scalar,
    counts: Integers,
) -> None:
    """Count lines and paragraphs, and the second and later occurrences of each.

    A line is what stands between line feeds, a paragraph what stands between two or more with only
    spaces between them, both without the spaces at their ends; blank ones do not count. Bytes are
    hashed: into a line's hash, and the hashes of lines and of what parts them into a paragraph's.
    """
    at = stop = paragraph_start = start  # `stop` is behind the last character that is no space
    paragraph = BASIS
    in_paragraph = False
    while True:
        feeds = 0
        while at < end and firsts[data[at]] != PLAIN:
            size = width(data[at])
            if at + size > end:
                size = 1
            code = code_point(data, at, size)
            if not classes[code] & SPACE:
                break
            feeds += code == NEWLINE
            at += size
        if in_paragraph and (feeds > 1 or at >= end):
            counts[PARAGRAPHS] += 1
            if known(table, stamp, last, mix(paragraph)):
                counts[DUP_PARAGRAPHS] += 1
                counts[DUP_PARAGRAPH_CHARS] += chars_of(data, paragraph_start, stop)
            in_paragraph = False
        if at >= end:
            break
        if in_paragraph:
            paragraph = absorb(paragraph, hash_of(data, stop, at))
        else:
            in_paragraph, paragraph_start, paragraph = True, at, OF_PARAGRAPHS
        line_start, line = at, BASIS
        while True:
            read = some(data, at, end)
            other = read ^ FEEDS
            ahead = zero_bytes(~((other & LOWS) + LOWS | other | LOWS))
            ahead = min(ahead, end - at)
            if ahead < EIGHT:
                break
            line = absorb(line, read)
            at += EIGHT
        if ahead > 0:
            line = absorb(line, read & ((np.uint64(1) << np.uint64(8 * ahead)) - np.uint64(1)))
            at += ahead
        line = absorb(line, np.uint64(at - line_start))
        stop = _last_space(data, line_start, at, classes, firsts)
        key = mix(line if stop == at else hash_of(data, line_start, stop))
        counts[LINES] += 1
        if known(table, stamp, last, key):
            counts[DUP_LINES] += 1
            counts[DUP_LINE_CHARS] += chars_of(data, line_start, stop)
        paragraph = absorb(paragraph, key)


@inlined
def spelt_words(
    data: Bytes, start: Scalar, end: Scalar, classes: Bytes, out: Hashes, sums: Integers
) -> Scalar:
    """The hashes of a text's words and the characters before each; returns how many there are.

    Words are those of `shingling.words`, each code point as itself. Eight bytes are looked at
    together; a word's bytes, without those of format characters, are hashed eight by eight.

    Args:
        data: UTF-8 bytes.
        start: Where the text begins.
        end: Where it ends.
        classes: Flags of each code point.
        out: Room for one hash more than the text has pairs of bytes.
        sums: Room for one number more: characters of all words before a word.
    """
    found = 0
    chars = sums[0] = np.int64(0)
    unspaced = False
    seen, part, filled = BASIS, np.uint64(0), 0  # of the word: its eights, what is left, of bytes
    at = start
    while at < end:
        size = more = 0  # bytes of the word that are next, and characters
        starts = ends = False
        read = np.uint64(0)
        if data[at] < ASCII:
            read = some(data, at, end)
            plain = read & LOWS
            letter = plain | CASE
            is_word = ((letter + FROM_A) & ~(letter + BEHIND_Z)) | (
                (plain + FROM_0) & ~(plain + BEHIND_9)
            )
            size = more = zero_bytes(~(is_word & ~read) & HIGHS)
            starts = size > 0 and unspaced
            unspaced = False
            at += size
            if size < EIGHT:
                behind = read >> np.uint64(8 * size)
                read &= (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
                ends = behind & np.uint64(0xFF) < np.uint64(ASCII)
                at += ends
        else:
            size = width(data[at])
            if at + size > end:
                size = 1
            flags = classes[code_point(data, at, size)]
            if flags & WORD:
                more = 1
                starts = bool(flags & UNSPACED or (unspaced and not flags & MARK))
                if flags & LETTER:
                    unspaced = bool(flags & UNSPACED)
                elif not flags & MARK:
                    unspaced = False
                for place in range(size):
                    read |= np.uint64(data[at + place]) << np.uint64(8 * place)
            elif not flags & FORMAT:
                ends = True
                unspaced = False
            at += size
        if starts and chars > sums[found]:
            out[found] = mix(absorb(seen, part))
            found += 1
            sums[found] = chars
            seen, part, filled = BASIS, np.uint64(0), 0
        if more > 0:
            chars += more
            part |= read << np.uint64(8 * filled)
            filled += size
            if filled >= EIGHT:
                seen = absorb(seen, part)
                filled -= EIGHT
                part = read >> np.uint64(8 * (size - filled)) if filled > 0 else np.uint64(0)
        if ends and chars > sums[found]:
            out[found] = mix(absorb(seen, part))
            found += 1
            sums[found] = chars
            seen, part, filled = BASIS, np.uint64(0), 0
    if chars > sums[found]:
        out[found] = mix(absorb(seen, part))
        found += 1
        sums[found] = chars
    return found


@inlined
def recurring(keys: Hashes, count: Scalar, sieve: Bytes, starts: Integers) -> Scalar:
    """Note the numbers of keys that may occur twice, and of few that do not; how many these are.

    Neither pass waits for what the memory holds, so that the processor works at many keys at once.
    """
    last = np.uint64(SIEVE // 2 * (table_end(count) + 1) - 1)
    room = sieve[: np.int64(last) + 1]
    room[:] = 0
    for number in range(count):
        place = (keys[number] >> np.uint64(24)) & last
        times = sieve[place]
        sieve[place] = times + (times < 2)
    kept = 0
    for number in range(count):
        starts[kept] = number
        kept += sieve[(keys[number] >> np.uint64(24)) & last] > 1
    return kept


@inlined
def _grams(
    hashes: Hashes,
    sums: Integers,
    count: Scalar,
    table: Hashes,
    stamp: np.uint64,
    sieve: Bytes,
    grams: Hashes,
    starts: Integers,
    places: Integers,
    counts: Integers,
) -> np.uint64:
    """Measure top and repeated n-grams of each size; returns the last stamp that was used.

    Only what recurs is measured, and an n-gram that recurs is made of two shorter ones that do: of
    each size, those alone are looked at that begin where such stand one behind the other.
    """
    for start in range(count - 1):
        grams[start] = (hashes[start] * MULTIPLIER + hashes[start + 1]) * MULTIPLIER
    left = recurring(grams, max(count - 1, 0), sieve, starts)
    for size in range(TOP_SIZES[0], REPEATED_SIZES[-1] + 1):
        if size > TOP_SIZES[0]:
            kept = 0
            for number in range(left - 1):
                start = starts[number]
                follows = starts[number + 1] == start + 1
                starts[kept] = start
                kept += follows
            left = kept
            for number in range(left):
                start = starts[number]
                grams[start] = (grams[start] + hashes[start + size - 1]) * MULTIPLIER
        if left <= 0:
            break
        stamp += np.uint64(1)
        last = table_end(left)
        most: Scalar = np.uint64(1)
        found = np.int64(0)
        for number in range(left):
            start = starts[number]
            key = mix(grams[start])
            place = place_of(table, stamp, last, key)
            entry = table[place + 1]
            if entry >> STAMP != stamp:
                table[place] = key
                entry = stamp << STAMP
            entry += np.uint64(1)
            table[place + 1] = entry
            places[number] = place + 1
            often = entry & TIMES
            if size < REPEATED_SIZES[0] and often > np.uint64(1) and often >= most:
                chars = (sums[start + size] - sums[start]) * np.int64(often)
                if often > most or chars > found:
                    most = often
                    found = chars
        kept = free = 0
        for number in range(left):
            start, place = starts[number], places[number]
            entry = table[place]
            if entry & TIMES == np.uint64(1):
                continue
            starts[kept] = start
            kept += 1
            if size >= REPEATED_SIZES[0] and start >= free:
                if entry & SEEN:  # the search goes on behind it
                    found += sums[start + size] - sums[start]
                    free = start + size
                else:
                    table[place] = entry | SEEN
        left = kept
        counts[TOP + size - TOP_SIZES[0]] = found
    return stamp


@kernel
def repeats(
    texts: Strings,
    classes: Bytes,
    firsts: Bytes,
    table: Hashes,
    sieve: Bytes,
    hashes: Hashes,
    grams: Hashes,
    room: Integers,
    out: Integers,
) -> None:
    """Fill one row of counts for each valid text.

    Args:
        texts: In UTF-8.
        classes: Flags of each code point.
        firsts: PLAIN or SPACES of each byte.
        table: Zeros, two for each place of `table_end` for one key more than the longest text has
            bytes.
        sieve: As many bytes as `table` has places.
        hashes: One more than the longest text has pairs of bytes: word hashes.
        grams: As long: the hashes of the n-grams that begin at a word.
        room: Three rows, one longer: characters before a word, and what recurs.
        out: Zeros, one row a text, COUNTS columns.
    """
    data, offsets, valid = texts
    sums, starts, places = room[0], room[1], room[2]
    stamp = np.uint64(0)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts = out[row]
        start, end = offsets[row], offsets[row + 1]
        feeds = 0
        for at in range(start, end):
            feeds += data[at] == NEWLINE
        if stamp > np.uint64(0xFFFFFF00):
            table[:] = 0
            stamp = np.uint64(0)
        stamp += np.uint64(1)
        counts[CHARS] = chars_of(data, start, end)
        last = table_end(min(2 * feeds + 2, end - start + 1))  # no more lines and paragraphs
        _segments(data, start, end, classes, firsts, table, stamp, last, counts)
        count = spelt_words(data, start, end, classes, hashes, sums)
        counts[WORD_CHARS] = sums[count]
        stamp = _grams(hashes, sums, count, table, stamp, sieve, grams, starts, places, counts)
