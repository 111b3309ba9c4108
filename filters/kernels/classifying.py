"""Texts as vectors, and the labels of vectors, as fastText's supervised models have them."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR1714, PLR2004, SIM110 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, Strings

FNV, FNV_PRIME = 2166136261, 16777619  # FNV-1a in 32 bits, which fastText hashes by
NGRAM_FACTOR = 116049371  # that fastText hashes n-grams of words by
LOG_ADDED = 1e-5  # as in `fasttext_model`
PREFIX = np.frombuffer(b"__label__", np.uint8)
END = np.frombuffer(b"</s>", np.uint8)
LINE_BEGINS, LINE_ENDS = 0x3C, 0x3E  # < and > around each word
MASK = 0xFFFFFFFF

LANES = 8  # the length of every vector is a multiple of it
CACHED = 2**14  # words whose vectors are held while a batch is read: 1.5 MB at 16 dimensions
CACHED_BYTES = 24  # of the longest of them
WAITING = 64  # n-grams whose rows are added at once


class Tables(NamedTuple):
    """What a text is turned into a vector by.

    Attributes:
        rows: The vectors: of words first, then of n-grams.
        places: The row of each bucket of n-grams, or -1.
        kept: One bit for each bucket: whether it has a row.
        slots: Hash table of the dictionary, by FNV-1a: number of an entry, or -1.
        hashes: Of each entry.
        entries: All bytes of the entries.
        offsets: Where each begins, and the end.
        words: Entries that are words; the others are labels.
        minn: Characters of the shortest n-gram.
        maxn: Of the longest; 0: there are none.
        ngrams: Words of the longest n-gram of words.
    """

    rows: npt.NDArray[np.float32]
    places: npt.NDArray[np.int32]
    kept: npt.NDArray[np.uint64]
    slots: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint32]
    entries: Bytes
    offsets: Integers
    words: int
    minn: int
    maxn: int
    ngrams: int


class Tree(NamedTuple):
    """A binary tree: nodes below the number of labels are leaves, the last is the root."""

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]


def flags(places: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """One bit for each bucket: whether it has a row."""
    bits = np.packbits(places >= 0, bitorder="little")
    return np.frombuffer(bits.tobytes() + bytes(-len(bits) % 8), np.uint64)


def word_table(
    words: Sequence[bytes], labels: Sequence[bytes]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32], Bytes, Integers]:
    """`slots`, `hashes`, `entries` and `offsets` of `Tables`."""
    every = [*words, *labels]
    offsets = np.zeros(len(every) + 1, np.int64)
    np.cumsum([len(each) for each in every], out=offsets[1:])
    entries = np.frombuffer(b"".join(every), np.uint8)
    slots = np.full(1 << (2 * len(every)).bit_length(), -1, np.int32)
    hashes = np.zeros(len(every), np.uint32)
    fill(entries, offsets, slots, hashes)
    return slots, hashes, entries, offsets


@inlined
def hashed(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """FNV-1a of some bytes, each taken for a signed number."""
    found = np.uint64(FNV)
    for place in range(at, end):
        byte = np.uint64(data[place])
        if byte >= 0x80:
            byte |= np.uint64(0xFFFFFF00)
        found = ((found ^ byte) * np.uint64(FNV_PRIME)) & np.uint64(MASK)
    return found


@inlined
def same(one: Bytes, at: Scalar, other: Bytes, there: Scalar, size: Scalar) -> Scalar:
    """Whether some bytes of both are the same."""
    for place in range(size):
        if one[at + place] != other[there + place]:
            return False
    return True


@kernel
def fill(
    entries: Bytes,
    offsets: Integers,
    slots: npt.NDArray[np.int32],
    hashes: npt.NDArray[np.uint32],
) -> None:
    """Put every entry into the hash table; the first of two that are the same is found."""
    mask = len(slots) - 1
    for number in range(len(offsets) - 1):
        own = hashed(entries, offsets[number], offsets[number + 1])
        hashes[number] = own
        slot = np.int64(own) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@inlined
def found_entry(data: Bytes, at: Scalar, end: Scalar, own: Scalar, tables: Tables) -> Scalar:
    """The number of an entry of the dictionary, or -1."""
    mask = len(tables.slots) - 1
    slot = np.int64(own) & mask
    while True:
        number = tables.slots[slot]
        if number < 0:
            return np.int64(-1)
        begin = tables.offsets[number]
        size = tables.offsets[number + 1] - begin
        if (
            np.uint64(tables.hashes[number]) == own
            and size == end - at
            and same(data, at, tables.entries, begin, size)
        ):
            return np.int64(number)
        slot = (slot + 1) & mask


@inlined
def add(rows: npt.NDArray[np.float32], row: Scalar, total: npt.NDArray[np.float32]) -> None:
    """Add a row to a sum, eight numbers at once: the processor's vectors hold as many."""
    for at in range(0, len(total), LANES):
        first = total[at] + rows[row, at]
        second = total[at + 1] + rows[row, at + 1]
        third = total[at + 2] + rows[row, at + 2]
        fourth = total[at + 3] + rows[row, at + 3]
        fifth = total[at + 4] + rows[row, at + 4]
        sixth = total[at + 5] + rows[row, at + 5]
        seventh = total[at + 6] + rows[row, at + 6]
        eighth = total[at + 7] + rows[row, at + 7]
        total[at] = first
        total[at + 1] = second
        total[at + 2] = third
        total[at + 3] = fourth
        total[at + 4] = fifth
        total[at + 5] = sixth
        total[at + 6] = seventh
        total[at + 7] = eighth


@inlined
def bucket_of(own: Scalar, buckets: Scalar, inverse: Scalar) -> Scalar:
    """The bucket of an n-gram's hash: the remainder by their number."""
    # By way of a quotient that may be one too large or too small: a division of integers takes
    # longer than all else here.
    quotient = np.int64(np.float64(own) * inverse)
    place = np.int64(own) - quotient * buckets
    if place < 0:
        place += buckets
    elif place >= buckets:
        place -= buckets
    return place


@inlined
def add_all(
    waiting: Integers, number: Scalar, tables: Tables, total: npt.NDArray[np.float32]
) -> None:
    """Add the rows of some buckets. None of them waits for another, and no branch is guessed."""
    for each in range(number):
        waiting[each] = tables.places[waiting[each]]
    for each in range(number):
        add(tables.rows, waiting[each], total)


@inlined
def add_ngrams(
    word: Bytes,
    size: Scalar,
    tables: Tables,
    inverse: Scalar,
    waiting: Integers,
    total: npt.NDArray[np.float32],
) -> Scalar:
    """Add the n-grams of characters of a word with its marks around it; how many they were."""
    buckets = len(tables.places)
    added = 0
    number: Scalar = 0
    at = 0
    while at < size:
        if (word[at] & 0xC0) == 0x80:
            at += 1
            continue
        own = np.uint64(FNV)
        place = at
        chars = 0
        while place < size and chars < tables.maxn:
            while True:
                byte = np.uint64(word[place])
                if byte >= 0x80:
                    byte |= np.uint64(0xFFFFFF00)
                own = ((own ^ byte) * np.uint64(FNV_PRIME)) & np.uint64(MASK)
                place += 1
                if place >= size or (word[place] & 0xC0) != 0x80:
                    break
            chars += 1
            if chars >= tables.minn and not (chars == 1 and (at == 0 or place == size)):
                bucket = bucket_of(own, buckets, inverse)
                # Whether it is kept decides how far to go on, and is not asked.
                waiting[number] = bucket
                kept = (tables.kept[bucket >> 6] >> np.uint64(bucket & 63)) & np.uint64(1)
                number += np.int64(kept)
                if number == WAITING:
                    add_all(waiting, number, tables, total)
                    added += number
                    number = 0
        at += 1
    add_all(waiting, number, tables, total)
    return added + number


@kernel
def vectors(
    texts: Strings, tables: Tables, room: Bytes, out: npt.NDArray[np.float32], counts: Integers
) -> None:
    """Write the mean vector of each text, read as one line; NaN where it has nothing known.

    Args:
        texts: In UTF-8.
        tables: Of the model.
        room: As many bytes as the longest text has, and two.
        out: A row for each text, of zeros.
        counts: Of how many vectors each is the mean.
    """
    data, offsets, valid = texts
    dim = out.shape[1]
    inverse = 1.0 / len(tables.places)
    keys = np.zeros((CACHED, CACHED_BYTES), np.uint8)
    lengths = np.zeros(CACHED, np.uint8)
    sums = np.zeros((CACHED, dim), np.float32)
    numbers = np.zeros(CACHED, np.int32)
    alone = np.zeros((1, dim), np.float32)
    single = alone[0]
    waiting = np.zeros(WAITING, np.int64)
    before = np.zeros(max(tables.ngrams, 1), np.uint64)  # hashes of the last words
    end_hash = hashed(END, 0, len(END))
    end_entry = found_entry(END, 0, len(END), end_hash, tables)
    for row in range(len(valid)):
        total = out[row]
        at, end = offsets[row], offsets[row + 1]
        added = 0
        met = 0
        ended = not valid[row]
        is_null = ended
        while not ended:
            while at < end and (data[at] == 0x20 or data[at] == 0 or 9 <= data[at] <= 13):
                if data[at] == 10:
                    break
                at += 1
            if at >= end or data[at] == 10:
                ended = True
                own = end_hash
                if end_entry >= 0 and end_entry < tables.words:
                    add(tables.rows, end_entry, total)
                    added += 1
            else:
                begin = at
                own = np.uint64(FNV)
                while at < end:
                    byte = np.uint64(data[at])
                    if byte == 0x20 or byte == 0 or 9 <= byte <= 13:
                        break
                    if byte >= 0x80:
                        byte |= np.uint64(0xFFFFFF00)
                    own = ((own ^ byte) * np.uint64(FNV_PRIME)) & np.uint64(MASK)
                    at += 1
                size = at - begin
                slot = np.int64(own) & (CACHED - 1)
                if lengths[slot] == size and same(data, begin, keys[slot], 0, size):
                    add(sums, slot, total)
                    added += numbers[slot]
                elif size == len(END) and same(data, begin, END, 0, size):
                    ended = True
                    if end_entry >= 0 and end_entry < tables.words:
                        add(tables.rows, end_entry, total)
                        added += 1
                else:
                    entry = found_entry(data, begin, at, own, tables)
                    if entry >= tables.words or (
                        entry < 0
                        and size >= len(PREFIX)
                        and same(data, begin, PREFIX, 0, len(PREFIX))
                    ):
                        continue  # a label is no word
                    single[:] = 0
                    number = 0
                    if entry >= 0:
                        add(tables.rows, entry, single)
                        number += 1
                    if tables.maxn > 0:
                        room[0] = LINE_BEGINS
                        for place in range(size):
                            room[place + 1] = data[begin + place]
                        room[size + 1] = LINE_ENDS
                        number += add_ngrams(room, size + 2, tables, inverse, waiting, single)
                    add(alone, 0, total)
                    added += number
                    if size <= CACHED_BYTES:
                        lengths[slot] = size
                        for place in range(size):
                            keys[slot, place] = data[begin + place]
                        for place in range(dim):
                            sums[slot, place] = single[place]
                        numbers[slot] = number
            if tables.ngrams > 1:
                # Signed, as fastText holds the hashes of words.
                wide = own if own < 0x80000000 else own | np.uint64(0xFFFFFFFF00000000)
                added += add_word_ngrams(wide, met, before, tables, total)
                before[met % len(before)] = wide
                met += 1
        if added > 0:
            for place in range(dim):
                total[place] /= np.float32(added)
        if is_null or added == 0:
            total[:] = np.nan
            added = 0
        counts[row] = added


@inlined
def add_word_ngrams(
    own: Scalar,
    met: Scalar,
    before: npt.NDArray[np.uint64],
    tables: Tables,
    total: npt.NDArray[np.float32],
) -> Scalar:
    """Add the n-grams of words that end with this one; how many they were."""
    added = 0
    bucket = np.uint64(len(tables.places))
    for words in range(2, min(tables.ngrams, met + 1) + 1):
        found = before[(met - words + 1) % len(before)]
        for place in range(met - words + 2, met):
            found = found * np.uint64(NGRAM_FACTOR) + before[place % len(before)]
        found = found * np.uint64(NGRAM_FACTOR) + own
        row = tables.places[np.int64(found % bucket)]
        if row >= 0:
            add(tables.rows, np.int64(row), total)
            added += 1
    return added


@inlined
def logarithm(chance: Scalar) -> Scalar:
    """As fastText takes it, of nothing too."""
    return math.log(chance + LOG_ADDED)


@inlined
def right_chance(
    vector: npt.NDArray[np.float32], output: npt.NDArray[np.float32], node: Scalar
) -> Scalar:
    """The probability of the right branch of a node."""
    total = np.float32(0)
    for place in range(len(vector)):
        total += vector[place] * output[node, place]
    return 1.0 / (1.0 + math.exp(-np.float64(total)))


@kernel
def best(
    vectors_: npt.NDArray[np.float32],
    output: npt.NDArray[np.float32],
    tree: Tree,
    labels: Integers,
    chances: npt.NDArray[np.float64],
) -> None:
    """Write the most probable label of each vector, and its probability; NaN has none."""
    leaves = len(output)
    nodes = np.zeros(2 * leaves, np.int64)
    scores = np.zeros(2 * leaves, np.float64)
    for row in range(len(vectors_)):
        if math.isnan(vectors_[row, 0]):
            continue
        most = -math.inf
        nodes[0], scores[0] = len(tree.left) - 1, 0.0
        waiting = 1
        while waiting:
            waiting -= 1
            node, score = nodes[waiting], scores[waiting]
            if score < most:
                continue
            if tree.left[node] < 0:
                if score > most:
                    most = score
                    labels[row] = node
                continue
            right = right_chance(vectors_[row], output, node - leaves)
            to_left, to_right = score + logarithm(1.0 - right), score + logarithm(right)
            # The likelier one is looked at first, so that the other is often left out.
            first = to_left < to_right
            nodes[waiting] = tree.left[node] if first else tree.right[node]
            scores[waiting] = to_left if first else to_right
            nodes[waiting + 1] = tree.right[node] if first else tree.left[node]
            scores[waiting + 1] = to_right if first else to_left
            waiting += 2
        chances[row] = math.exp(most)


@kernel
def every(
    vectors_: npt.NDArray[np.float32],
    output: npt.NDArray[np.float32],
    tree: Tree,
    out: npt.NDArray[np.float64],
) -> None:
    """Write the probability of each label (columns) of each vector (rows) that is not NaN."""
    leaves = len(output)
    scores = np.zeros(len(tree.left), np.float64)
    for row in range(len(vectors_)):
        if math.isnan(vectors_[row, 0]):
            continue
        # A node's children were made before it.
        scores[len(scores) - 1] = 0.0
        for node in range(len(scores) - 1, leaves - 1, -1):
            right = right_chance(vectors_[row], output, node - leaves)
            scores[tree.left[node]] = scores[node] + logarithm(1.0 - right)
            scores[tree.right[node]] = scores[node] + logarithm(right)
        for leaf in range(leaves):
            out[row, leaf] = math.exp(scores[leaf])
