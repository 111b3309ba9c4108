"""Words of a text as hashes; MinHash signatures and shingles made of them."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR0917 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.classes import (
    CODE_POINTS,
    DIGIT,
    FORMAT,
    LETTER,
    MARK,
    UNSPACED,
    WORD,
)
from phloem.filters.kernels.hashing import BASIS, fold, mix
from phloem.filters.kernels.same_writing import Reading
from phloem.filters.kernels.utf8 import Bytes, Flags, Integers, Scalar, Strings, code_point, width

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]

ASCII = 0x80
HYPHEN, MINUS = 0x2D, 0x2212
SOFT_HYPHEN, HYPHEN_ALONE = 0xAD, 0x2010
NEWLINE, RETURN, BLANK, TAB = 0x0A, 0x0D, 0x20, 0x09
UPPER = np.uint64(32)
SPREAD_1, SPREAD_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)  # MurmurHash3, 32 bits
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd (Knuth, TAOCP 3, 6.4)


@inlined
def line_end(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """Where the next line begins, behind its blanks, if a line ends here; else the same place."""
    stop = at
    if stop < end and data[stop] == RETURN:
        stop += 1
    if stop >= end or data[stop] != NEWLINE:
        return at
    stop += 1
    while stop < end and data[stop] in (BLANK, TAB):
        stop += 1
    return stop


@inlined
def words(
    data: Bytes, start: Scalar, end: Scalar, reading: Reading, signed: bool, out: Hashes
) -> Scalar:
    """The hashes of a text's words; returns how many there are.

    A word is a run of letters, marks and digits; format characters in it are passed over, and a
    hyphen behind a letter at a line's end. A letter of a script without spaces begins a new word,
    and ends the one before.

    Args:
        data: UTF-8 bytes.
        start: Where the text begins.
        end: Where it ends.
        reading: What each code point counts as.
        signed: Whether a minus before a digit, and behind no letter or digit, belongs to it.
        out: Room for as many hashes as the text has bytes.
    """
    classes, read_as, spelt = reading
    found = 0
    unspaced = minus = inside = lettered = False
    word = BASIS
    at = start
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
        if flags & WORD:
            starts = flags & UNSPACED or (unspaced and not flags & MARK)
            if starts and inside:
                out[found] = word
                found += 1
                word = BASIS
            inside = True
            if flags & LETTER:
                unspaced = bool(flags & UNSPACED)
            elif not flags & MARK:
                unspaced = False
            lettered = bool(flags & (LETTER | MARK)) and not unspaced
            if minus and flags & DIGIT:
                word = fold(word, HYPHEN)
            minus = False
            value = read_as[code]
            if value < CODE_POINTS:
                word = fold(word, value)
            else:
                for letter in spelt[value - CODE_POINTS]:
                    if letter:
                        word = fold(word, letter)
            if code < ASCII:  # no more of a run in ASCII begins a word, or follows a minus
                while at < end and data[at] < ASCII and classes[data[at]] & WORD:
                    word = fold(word, read_as[data[at]])
                    at += 1
                lettered = bool(classes[data[at - 1]] & LETTER)
            continue
        if lettered and code in (HYPHEN, SOFT_HYPHEN, HYPHEN_ALONE):
            stop = line_end(data, at, end)
            if stop > at:
                at = stop
                continue
        if not flags & FORMAT:
            minus = signed and code in (HYPHEN, MINUS) and (not inside or unspaced)
            if inside:
                out[found] = word
                found += 1
                word = BASIS
            unspaced = inside = lettered = False
    if inside:
        out[found] = word
        found += 1
    return found


@inlined
def shingle(hashes: Hashes, count: Scalar, ngram: int, out: Hashes) -> Scalar:
    """The hashes of all runs of `ngram` words; of all words, if there are fewer. Returns how many.

    A run's hash is the mixed polynomial of its words' hashes, rolled along. They are left mixed.
    """
    if count == 0:
        return 0
    size = min(ngram, count)
    leaving = MULTIPLIER
    for _ in range(size):
        leaving *= MULTIPLIER
    rolling = np.uint64(0)
    found = 0
    for place in range(count):
        hashes[place] = mix(hashes[place])
        rolling = (rolling + hashes[place]) * MULTIPLIER
        if place >= size:
            rolling -= hashes[place - size] * leaving
        if place >= size - 1:
            out[found] = mix(rolling)
            found += 1
    return found


@inlined
def spread(shingle: np.uint64) -> np.uint32:
    """The upper half of a hash, by the finalizer of MurmurHash3 (Appleby, public domain)."""
    value = np.uint32(shingle >> UPPER)
    value = np.uint32((value ^ (value >> np.uint32(16))) * SPREAD_1)
    value = np.uint32((value ^ (value >> np.uint32(13))) * SPREAD_2)
    return np.uint32(value ^ (value >> np.uint32(16)))


@kernel
def signatures(
    texts: Strings,
    reading: Reading,
    ngram: int,
    factors: Numbers,
    terms: Numbers,
    room: Hashes,
    out: Numbers,
    some: Flags,
) -> None:
    """The least value of each permutation over a text's shingles; rows of no word are left alone.

    Args:
        texts: In UTF-8.
        reading: What each code point counts as.
        ngram: Words in a shingle.
        factors: Odd factor of each permutation.
        terms: Term of each permutation.
        room: Two rows, each as long as the longest text.
        out: One row a text, one column a permutation.
        some: Set for each text that holds a word.
    """
    data, offsets, valid = texts
    permutations = len(factors)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        count = words(data, offsets[row], offsets[row + 1], reading, False, room[0])
        count = shingle(room[0], count, ngram, room[1])
        if count == 0:
            continue
        some[row] = True
        least = out[row]
        least[:] = np.uint32(0xFFFFFFFF)
        upper = room[1]
        last = count - 1
        for place in range(0, count, 4):  # each least is read and written once for four shingles
            one = spread(upper[place])
            two = spread(upper[min(place + 1, last)])
            three = spread(upper[min(place + 2, last)])
            four = spread(upper[min(place + 3, last)])
            for number in range(permutations):
                factor, term = factors[number], terms[number]
                first = min(np.uint32(one * factor + term), np.uint32(two * factor + term))
                second = min(np.uint32(three * factor + term), np.uint32(four * factor + term))
                least[number] = min(least[number], first, second)


@kernel
def all_shingles(
    texts: Strings,
    reading: Reading,
    ngram: int,
    room: Hashes,
    bounds: Integers,
    out: Hashes,
) -> None:
    """The different shingles of each text, ascending, one text after the other.

    Args:
        texts: In UTF-8.
        reading: What each code point counts as.
        ngram: Words in a shingle.
        room: Two rows, each as long as the longest text.
        bounds: One more than there are texts: where each text's shingles begin, and the end.
        out: Room for as many shingles as there are bytes.
    """
    data, offsets, valid = texts
    end = 0
    for row in range(len(valid)):
        bounds[row] = end
        if not valid[row]:
            continue
        count = words(data, offsets[row], offsets[row + 1], reading, True, room[0])
        count = shingle(room[0], count, ngram, room[1])
        ordered = np.sort(room[1, :count])
        for place in range(count):
            if place == 0 or ordered[place] != ordered[place - 1]:
                out[end] = ordered[place]
                end += 1
    bounds[len(valid)] = end


@kernel
def common(left: Hashes, right: Hashes) -> Scalar:
    """How many values two ascending arrays share."""
    one = other = found = 0
    while one < len(left) and other < len(right):
        if left[one] == right[other]:
            found += 1
            one += 1
            other += 1
        elif left[one] < right[other]:
            one += 1
        else:
            other += 1
    return found


@kernel
def band_hashes(minima: Numbers, valid: Flags, out: Integers) -> None:
    """The hash of each signature's minima in a band; 0 where there is no signature."""
    for row in range(len(valid)):
        if valid[row]:
            seen = mix(np.uint64(1))
            for value in minima[row]:
                seen = mix(seen ^ np.uint64(value)) * MULTIPLIER
            out[row] = np.int64(seen)
