"""Rewrites of bytes, and the check that spares them."""

# ruff: noqa: PLR0913, PLR0917 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.filters.kernels import kernel
from phloem.filters.kernels.utf8 import (
    BLOCK,
    Bytes,
    Flags,
    Integers,
    Strings,
    ascii_end,
    code_point,
    to_strings,
    width,
)

BLANKSPACE = 0x20

UNSETTLED = 255  # a code point that NFC may change


@kernel
def settled(texts: Strings, combining: Bytes, unsure: Flags, out: Flags) -> None:
    """Mark each text that is in normal form C for certain (quick check of UAX #15, section 9).

    Args:
        texts: In UTF-8.
        combining: Canonical combining class of each code point, UNSETTLED for No and Maybe.
        unsure: The bytes that begin a code point whose class is not 0.
        out: Set for each text that needs no work.
    """
    data, offsets, valid = texts
    for row in range(len(valid)):
        if not valid[row]:
            out[row] = True
            continue
        at, end = offsets[row], offsets[row + 1]
        last = np.int64(0)
        behind = np.int64(-1)  # the place behind the code point whose class is `last`
        fine = True
        while at < end and fine:
            at = ascii_end(data, at, end)
            stop = min(at + BLOCK, end)
            while at < stop:
                if not unsure[data[at]]:
                    at += 1
                    continue
                size = width(data[at])
                if at + size > end:
                    size = 1
                kind = np.int64(combining[code_point(data, at, size)])
                if kind == UNSETTLED or (kind and behind == at and last > kind):
                    fine = False
                    break
                at += size
                if kind:
                    last = kind
                    behind = at
        out[row] = fine


@kernel
def spliced(
    texts: Strings,
    first: Integers,
    starts: Integers,
    ends: Integers,
    words: npt.NDArray[np.int64],
    pool: Bytes,
    pool_offsets: Integers,
    out: Bytes,
    bounds: Integers,
) -> None:
    """Write every text with its spans replaced.

    Args:
        texts: In UTF-8.
        first: Row n's spans are numbers `first[n]` to `first[n + 1]`; ascending, not overlapping.
        starts: Where each span begins, from its text's beginning.
        ends: Where each span ends.
        words: The number of each span's replacement.
        pool: The bytes of the replacements.
        pool_offsets: Where each replacement begins in them, and the end.
        out: Room for all of it.
        bounds: One more than there are texts: where each begins in `out`, and the end.
    """
    data, offsets, valid = texts
    to = 0
    for row in range(len(valid)):
        bounds[row] = to
        if not valid[row]:
            continue
        at = offsets[row]
        for span in range(first[row], first[row + 1]):
            for place in range(at, offsets[row] + starts[span]):
                out[to] = data[place]
                to += 1
            word = words[span]
            for place in range(pool_offsets[word], pool_offsets[word + 1]):
                out[to] = pool[place]
                to += 1
            at = offsets[row] + ends[span]
        for place in range(at, offsets[row + 1]):
            out[to] = data[place]
            to += 1
    bounds[len(valid)] = to


def with_words(
    texts: Strings,
    rows: Integers,
    starts: Integers,
    ends: Integers,
    words: Integers,
    pool: Sequence[bytes],
    kind: pa.DataType,
) -> pa.Array:
    """The texts with each span replaced by a word.

    Args:
        texts: In UTF-8.
        rows: The text of each span, ascending.
        starts: Where each span begins, from its text's beginning.
        ends: Where each span ends; they do not overlap.
        words: The number of what stands for each span.
        pool: What may stand for one.
        kind: The Arrow type of the texts.
    """
    sizes = np.array([len(word) for word in pool], np.int64)
    room = int(texts.offsets[-1] - texts.offsets[0]) + int(sizes[words].sum())
    out, bounds = np.empty(room, np.uint8), np.zeros(texts.rows + 1, np.int64)
    first = np.searchsorted(rows, np.arange(texts.rows + 1))
    data = np.frombuffer(b"".join(pool), np.uint8)
    places = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    spliced(texts, first, starts, ends, words, data, places, out, bounds)
    return to_strings(out[: bounds[-1]], bounds, texts.valid, kind)
