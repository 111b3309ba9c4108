r"""Byte-level BPE: texts into pieces, pieces into bytes, and bytes merged into tokens.

The pieces are those of GPT-2's expression, one of these in turn (Radford et al. 2019, encoder.py):
``'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``
"""

# ruff: noqa: PLR0912, PLR0913, PLR0915, PLR0917, PLR1714, PLR2004, C901 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.hashing import BASIS, MIX_1, MIX_2, fold, mix
from phloem.filters.kernels.utf8 import Bytes, Flags, Integers, Scalar, Strings, code_point, width
from phloem.filters.kernels.words import EIGHT, load, zero_bytes

Numbers = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]
Tokens = npt.NDArray[np.uint32]

OTHER, LETTER, NUMBER, SPACE = 0, 1, 2, 3
"""What a code point is to the expression."""

NEVER = np.int32(2**31 - 1)  # the rank of two tokens that do not merge
FREE = np.uint64(2**64 - 1)  # a place in the table of merges that holds none
TEXT = -1  # the id of an added token that stays text

# Up to so many bytes the least rank is looked for by going over all; beyond, in a heap.
SHORT = 96

# A line of the nearest memory holds a short piece and its tokens: what it is, its bytes in three
# words, and its tokens in four, two in each. One line of a processor's cache has as many.
LINE = 8
LINES = 1 << 19  # of which half are used
LINE_BYTES = 24
LINE_TOKENS = 8
_KEY, _HELD = 1, 4  # words of a line where its bytes and its tokens begin
_COUNT = np.uint64(8)  # bit of the first word where the number of tokens begins
_LOW = np.uint64(2**32 - 1)
_ALL = np.uint64(2**64 - 1)
_EACH = np.uint64(0x0101010101010101)  # times a byte: that byte eight times

# What is known of other pieces: half of so many, of at most so many bytes each.
PLACES = 1 << 18
KNOWN_BYTES = 63
PIECE_BYTES = 1 << 23
PIECE_TOKENS = 1 << 21

_LENGTH_BITS = 6  # of a piece's bytes and of its tokens
_TOKEN_BITS = 24  # of the place of its first token
_LENGTHS = np.int64((1 << _LENGTH_BITS) - 1)
_TOKENS = np.int64((1 << _TOKEN_BITS) - 1)
_BYTES_SHIFT = np.int64(_LENGTH_BITS)
_TOKEN_SHIFT = np.int64(2 * _LENGTH_BITS)
_PIECE_SHIFT = np.int64(2 * _LENGTH_BITS + _TOKEN_BITS)


class Tables(NamedTuple):
    """A tokenizer as `encode` reads it.

    Attributes:
        byte_ids: The token of each byte.
        pairs: Open-addressed table of left << 32 | right.
        ranks: The rank of these two tokens' merge.
        merged: The token that each rank makes.
        short: Bytes of a piece up to which no heap is used; `SHORT` at most.
        begins: Whether an added token begins with a byte.
        added: The bytes of all added tokens, the longest first.
        added_offsets: Where each begins; one more than tokens.
        added_ids: Their ids; TEXT for what stays text.
        end_id: The token at a document's end.
    """

    byte_ids: Numbers
    pairs: Hashes
    ranks: Numbers
    merged: Numbers
    short: int
    begins: Flags
    added: Bytes
    added_offsets: Integers
    added_ids: Numbers
    end_id: int


class Memory(NamedTuple):
    """What is known of pieces seen before.

    Attributes:
        lines: Of short pieces, open-addressed: see `LINE`.
        hashes: Of other known pieces, open-addressed.
        known: Of each, the places of its bytes and tokens, and how many there are.
        known_bytes: The bytes of known pieces.
        known_tokens: Their tokens.
        used: How many pieces, bytes and tokens are known, and how many lines.
    """

    lines: Hashes
    hashes: Hashes
    known: Integers
    known_bytes: Bytes
    known_tokens: Tokens
    used: Integers


def no_memory() -> Memory:
    """Room for pieces, with none in it."""
    lines = np.zeros(LINE * (LINES + 1), np.uint64)
    start = -lines.ctypes.data % (LINE * EIGHT) // EIGHT  # no line lies across two of the cache
    return Memory(
        lines[start : start + LINE * LINES],
        np.zeros(PLACES, np.uint64),
        np.zeros(PLACES, np.int64),
        np.zeros(PIECE_BYTES, np.uint8),
        np.zeros(PIECE_TOKENS, np.uint32),
        np.zeros(4, np.int64),
    )


@kernel
def mark(data: Bytes, start: Scalar, end: Scalar, classes: Bytes, kinds: Bytes) -> None:
    """Write the class of each code point to all of its bytes' places, counted from `start`.

    `kinds` has room for eight more: a word is read from any place.
    """
    at = start
    while at < end:
        first = data[at]
        if first < 0x80:
            kinds[at - start] = classes[first]
            at += 1
            continue
        size = width(first)
        kind = classes[code_point(data, at, size)]
        for place in range(at, min(at + size, end)):
            kinds[place - start] = kind
        at += size


@inlined
def _piece_end(data: Bytes, kinds: Bytes, start: Scalar, at: Scalar, end: Scalar) -> Scalar:
    """Where the piece ends that begins at a place of a text that ends at another."""
    first = data[at]
    if first == 0x27 and at + 1 < end:  # an apostrophe
        second = data[at + 1]
        if second == 0x73 or second == 0x74 or second == 0x6D or second == 0x64:  # s t m d
            return at + 2
        if at + 2 < end:
            third = data[at + 2]
            if (second == 0x72 or second == 0x76) and third == 0x65:  # re ve
                return at + 3
            if second == 0x6C and third == 0x6C:  # ll
                return at + 3
    place = at
    if first == 0x20 and at + 1 < end and kinds[at + 1 - start] != SPACE:
        place += 1
    kind = kinds[place - start]
    same = np.int64(EIGHT)
    while same == EIGHT and place < end:
        same = zero_bytes(load(kinds, place - start) ^ (_EACH * np.uint64(kind)))
        place += same
    place = min(place, end)
    if kind != SPACE or place == end:
        return place
    last = place - 1
    while data[last] & 0xC0 == 0x80:
        last -= 1
    return place if last == at else last  # the last space belongs to what follows


@inlined
def _merge_of(left: Scalar, right: Scalar, pairs: Hashes, ranks: Numbers) -> Scalar:
    """The rank of two tokens; NEVER if they do not merge."""
    key = (np.uint64(left) << np.uint64(32)) | np.uint64(right)
    mask = np.uint64(len(pairs) - 1)
    place = mix(key) & mask
    while pairs[place] != FREE:
        if pairs[place] == key:
            return ranks[place]
        place = (place + np.uint64(1)) & mask
    return NEVER


@inlined
def _merge_short(
    data: Bytes,
    at: Scalar,
    end: Scalar,
    byte_ids: Numbers,
    pairs: Hashes,
    ranks: Numbers,
    merged: Numbers,
    found: Numbers,
    out: Tokens,
    first: Scalar,
) -> Scalar:
    """Merge the bytes of a piece into `out`; the place behind. `found` is work space."""
    count = end - at
    for place in range(count):
        out[first + place] = byte_ids[data[at + place]]
    for place in range(count - 1):
        found[place] = _merge_of(out[first + place], out[first + place + 1], pairs, ranks)
    while count > 1:
        least, where = NEVER, -1
        for place in range(count - 1):
            if found[place] < least:
                least, where = found[place], place
        if where < 0:
            break
        count -= 1
        token = first + where
        out[token] = merged[least]
        for place in range(where + 1, count):
            out[first + place] = out[first + place + 1]
            found[place - 1] = found[place]
        if where + 1 < count:
            found[where] = _merge_of(out[token], out[token + 1], pairs, ranks)
        if where > 0:
            found[where - 1] = _merge_of(out[token - 1], out[token], pairs, ranks)
    return first + count


@inlined
def _push(heap: Integers, size: Scalar, entry: Scalar) -> Scalar:
    child = size
    while child > 0:
        parent = (child - 1) >> 1
        if heap[parent] <= entry:
            break
        heap[child] = heap[parent]
        child = parent
    heap[child] = entry
    return size + 1


@inlined
def _pop(heap: Integers, size: Scalar) -> Scalar:
    """Take the least entry off; the size that is left."""
    size -= 1
    entry = heap[size]
    parent = 0
    child = 1
    while child < size:
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= entry:
            break
        heap[parent] = heap[child]
        parent = child
        child = 2 * parent + 1
    heap[parent] = entry
    return size


@kernel
def merge_long(
    data: Bytes,
    at: Scalar,
    end: Scalar,
    byte_ids: Numbers,
    pairs: Hashes,
    ranks: Numbers,
    merged: Numbers,
    out: Tokens,
    first: Scalar,
) -> Scalar:
    """Merge as `_merge_short` does, with a heap of merges, and tokens that know their neighbours.

    An entry is stale, and left out, if its two tokens do not make what they made when it was put
    into the heap: the rule of the library, which matters where two merges make one token.
    """
    count = end - at
    tokens = np.empty(count, np.int32)
    before = np.empty(count, np.int32)
    after = np.empty(count, np.int32)
    heap = np.empty(3 * count + 3, np.int64)
    size = 0
    for place in range(count):
        tokens[place] = byte_ids[data[at + place]]
        before[place] = place - 1
        after[place] = place + 1
    after[count - 1] = -1
    for place in range(count - 1):
        rank = _merge_of(tokens[place], tokens[place + 1], pairs, ranks)
        if rank != NEVER:
            size = _push(heap, size, (np.int64(rank) << np.int64(32)) | np.int64(place))
    while size > 0:
        entry = heap[0]
        size = _pop(heap, size)
        place = entry & np.int64(0xFFFFFFFF)
        made = merged[entry >> np.int64(32)]
        if tokens[place] < 0 or after[place] < 0:
            continue
        right = after[place]
        rank = _merge_of(tokens[place], tokens[right], pairs, ranks)
        if rank == NEVER or merged[rank] != made:
            continue
        tokens[place] = made
        tokens[right] = -1
        after[place] = after[right]
        if after[place] >= 0:
            before[after[place]] = place
            rank = _merge_of(made, tokens[after[place]], pairs, ranks)
            if rank != NEVER:
                size = _push(heap, size, (np.int64(rank) << np.int64(32)) | np.int64(place))
        if before[place] >= 0:
            rank = _merge_of(tokens[before[place]], made, pairs, ranks)
            if rank != NEVER:
                entry = (np.int64(rank) << np.int64(32)) | np.int64(before[place])
                size = _push(heap, size, entry)
    for place in range(count):
        if tokens[place] >= 0:
            out[first] = tokens[place]
            first += 1
    return first


@inlined
def _next_added(
    data: Bytes,
    at: Scalar,
    end: Scalar,
    begins: Flags,
    added: Bytes,
    added_offsets: Integers,
    added_ids: Numbers,
) -> Any:
    """The place and number of the next added token; (end, -1) if there is none.

    Tokens are listed from the longest to the shortest. One that stays text still hides those that
    begin inside it.
    """
    while at < end:
        if not begins[data[at]]:
            at += 1
            continue
        length = 1
        for number in range(len(added_ids)):
            start = added_offsets[number]
            size = added_offsets[number + 1] - start
            if at + size > end:
                continue
            same = True
            for place in range(size):
                if data[at + place] != added[start + place]:
                    same = False
                    break
            if same:
                if added_ids[number] != TEXT:
                    return at, number
                length = size
                break
        at += length
    return end, -1


@inlined
def _hash(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """The hash of a piece; never 0, which is an empty place."""
    seen = BASIS
    for place in range(at, end):
        seen = fold(seen, data[place])
    return mix(seen) | np.uint64(1)


@inlined
def _first_bytes(data: Bytes, at: Scalar, size: Scalar) -> Scalar:
    """A word of the first `size` bytes from a place on, eight at most, and zeros behind them."""
    word = load(data, at)
    return word if size >= EIGHT else word & (_ALL >> np.uint64(64 - 8 * size))


@kernel
def _merge(
    data: Bytes,
    at: Scalar,
    end: Scalar,
    byte_ids: Numbers,
    pairs: Hashes,
    ranks: Numbers,
    merged: Numbers,
    short: Scalar,
    found: Numbers,
    out: Tokens,
    first: Scalar,
) -> Scalar:
    """Merge the bytes of a piece into `out`; the place behind its tokens."""
    if end - at > short:
        return merge_long(data, at, end, byte_ids, pairs, ranks, merged, out, first)
    return _merge_short(data, at, end, byte_ids, pairs, ranks, merged, found, out, first)


@inlined
def _line_of(lines: Hashes, size: Scalar, key_1: Scalar, key_2: Scalar, key_3: Scalar) -> Scalar:
    """The place of a short piece's line, or of the free one where it would be."""
    seen = mix(key_1 ^ (key_2 * MIX_1) ^ (key_3 * MIX_2))
    line: Scalar = np.int64(seen & np.uint64(len(lines) // LINE - 1)) * LINE
    while lines[line] != np.uint64(0):
        other = (lines[line] & np.uint64(0xFF)) ^ np.uint64(size)
        other |= lines[line + _KEY] ^ key_1
        other |= lines[line + _KEY + 1] ^ key_2
        other |= lines[line + _KEY + 2] ^ key_3
        if other == np.uint64(0):
            break
        line += LINE
        if line == len(lines):
            line = 0
    return line


@inlined
def _slot_of(
    data: Bytes,
    at: Scalar,
    size: Scalar,
    seen: Scalar,
    hashes: Hashes,
    known: Integers,
    known_bytes: Bytes,
) -> Scalar:
    """The slot of a piece with this hash, or the free one where it would be."""
    mask = np.uint64(len(hashes) - 1)
    slot = (seen >> np.uint64(1)) & mask
    while hashes[slot] != np.uint64(0):
        length = (known[slot] >> _BYTES_SHIFT) & _LENGTHS
        if hashes[slot] == seen and length == size:
            start = known[slot] >> _PIECE_SHIFT
            place = 0
            while place < size and known_bytes[start + place] == data[at + place]:
                place += 1
            if place == size:
                break
        slot = (slot + np.uint64(1)) & mask
    return slot


@inlined
def _keep_line(
    lines: Hashes,
    place: Scalar,
    size: Scalar,
    first: Scalar,
    second: Scalar,
    third: Scalar,
    used: Integers,
    out: Tokens,
    start: Scalar,
    made: Scalar,
) -> None:
    """Know a short piece and its tokens from now on; forget all where there is no room."""
    if used[3] >= len(lines) // LINE // 2:
        lines[:] = np.uint64(0)
        used[3] = 0
        return
    lines[place] = np.uint64(size) | (np.uint64(made) << _COUNT)
    lines[place + _KEY] = first
    lines[place + _KEY + 1] = second
    lines[place + _KEY + 2] = third
    for number in range(made):
        token = np.uint64(out[start + number])
        if number & 1:
            lines[place + _HELD + number // 2] |= token << np.uint64(32)
        else:
            lines[place + _HELD + number // 2] = token
    used[3] += 1


@inlined
def _keep(
    data: Bytes,
    at: Scalar,
    size: Scalar,
    seen: Scalar,
    slot: Scalar,
    hashes: Hashes,
    known: Integers,
    known_bytes: Bytes,
    known_tokens: Tokens,
    used: Integers,
    out: Tokens,
    first: Scalar,
    made: Scalar,
) -> None:
    """Know a piece and its tokens from now on; forget all others where there is no room."""
    full = used[0] >= len(hashes) // 2 or used[1] + size > len(known_bytes)
    if full or used[2] + made > len(known_tokens):
        hashes[:] = np.uint64(0)
        used[:3] = 0
        slot = (seen >> np.uint64(1)) & np.uint64(len(hashes) - 1)
    hashes[slot] = seen
    lengths = (np.int64(size) << _BYTES_SHIFT) | np.int64(made)
    known[slot] = (used[1] << _PIECE_SHIFT) | (used[2] << _TOKEN_SHIFT) | lengths
    for place in range(size):
        known_bytes[used[1] + place] = data[at + place]
    for place in range(made):
        known_tokens[used[2] + place] = out[first + place]
    used[0] += 1
    used[1] += size
    used[2] += made


@kernel
def encode(
    texts: Strings, kinds: Bytes, tables: Tables, memory: Memory, out: Tokens, out_offsets: Integers
) -> None:
    """Tokens of each text, with the end behind them, into `out` and `out_offsets`.

    Args:
        texts: Of which those that are not valid count as empty.
        kinds: The class that each byte from the first text on belongs to, as `mark` wrote it.
        tables: Of the tokenizer.
        memory: Of pieces seen before, kept between calls.
        out: Room for a token a byte, one a text, and one more.
        out_offsets: Where the tokens of each text begin; one more than texts.
    """
    data, offsets, valid = texts
    byte_ids, pairs, ranks, merged, short, begins, added, added_offsets, added_ids, end_id = tables
    lines, hashes, known, known_bytes, known_tokens, used = memory
    found = np.empty(SHORT, np.int32)
    count = 0
    out_offsets[0] = 0
    for row in range(len(valid)):
        at = offsets[row]
        end = offsets[row + 1] if valid[row] else at
        number = 0
        while number >= 0:
            stop, number = _next_added(data, at, end, begins, added, added_offsets, added_ids)
            while at < stop:
                last = _piece_end(data, kinds, offsets[0], at, stop)
                size = last - at
                if size == 1:
                    out[count] = byte_ids[data[at]]
                    count += 1
                    at = last
                    continue
                line: Scalar = -1  # the place of the line that this piece may have
                key_1 = key_2 = key_3 = np.uint64(0)
                if size <= LINE_BYTES and at + LINE_BYTES <= len(data):
                    key_1 = _first_bytes(data, at, size)
                    if size > EIGHT:
                        key_2 = _first_bytes(data, at + EIGHT, size - EIGHT)
                        if size > 2 * EIGHT:
                            key_3 = _first_bytes(data, at + 2 * EIGHT, size - 2 * EIGHT)
                    line = _line_of(lines, size, key_1, key_2, key_3)
                    told = lines[line]
                    if told != np.uint64(0):
                        # Two tokens at once: whether there is a second is no matter here.
                        made: Scalar = np.int64(told >> _COUNT)
                        held = lines[line + _HELD]
                        out[count] = np.uint32(held & _LOW)
                        out[count + 1] = np.uint32(held >> np.uint64(32))
                        for place in range(2, made):
                            held = lines[line + _HELD + place // 2]
                            out[count + place] = np.uint32(
                                (held >> np.uint64(32 * (place & 1))) & _LOW
                            )
                        count += made
                        at = last
                        continue
                if size > KNOWN_BYTES:
                    count = _merge(
                        data, at, last, byte_ids, pairs, ranks, merged, short, found, out, count
                    )
                else:
                    seen = _hash(data, at, last)
                    slot = _slot_of(data, at, size, seen, hashes, known, known_bytes)
                    if hashes[slot] == np.uint64(0):
                        made = _merge(
                            data, at, last, byte_ids, pairs, ranks, merged, short, found, out, count
                        )
                        if line >= 0 and made - count <= LINE_TOKENS:
                            _keep_line(
                                lines,
                                line,
                                size,
                                key_1,
                                key_2,
                                key_3,
                                used,
                                out,
                                count,
                                made - count,
                            )
                        else:
                            _keep(
                                data,
                                at,
                                size,
                                seen,
                                slot,
                                hashes,
                                known,
                                known_bytes,
                                known_tokens,
                                used,
                                out,
                                count,
                                made - count,
                            )
                        count = made
                    else:
                        start = (known[slot] >> _TOKEN_SHIFT) & _TOKENS
                        made = known[slot] & _LENGTHS
                        for place in range(made):
                            out[count + place] = known_tokens[start + place]
                        count += made
                at = last
            if number >= 0:
                out[count] = added_ids[number]
                count += 1
                at = stop + added_offsets[number + 1] - added_offsets[number]
        out[count] = end_id
        count += 1
        out_offsets[row + 1] = count
