"""Arrow string arrays as numpy views, and the decoding of one code point."""

# ruff: noqa: PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares bytes with the numbers they are.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.filters.kernels import inlined

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Scalar = Any  # an integer whose width numba chooses


class Strings(NamedTuple):
    """The buffers of a string or binary array: row n is `data[offsets[n]:offsets[n + 1]]`.

    A kernel takes them as they are.

    Attributes:
        data: The bytes of all rows, and maybe more.
        offsets: Where each row begins in them, and the end.
        valid: Which rows are not null.
    """

    data: Bytes
    offsets: Integers
    valid: Flags

    @property
    def rows(self) -> Scalar:
        """How many rows there are, nulls too."""
        return len(self.valid)


def strings(array: pa.Array) -> Strings:
    """The buffers of a (large) string or binary array, sliced or not, without copying its bytes."""
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    rows = len(array)
    if offsets is None or offsets.size == 0:
        found = np.zeros(rows + 1, np.int64)
    else:
        kind: Any = np.int64 if wide else np.int32
        found = np.frombuffer(offsets, kind)[array.offset : array.offset + rows + 1]
    whole = np.frombuffer(b"" if data is None else data, np.uint8)
    whole.flags.writeable = False  # numba compiles once more for another kind of array
    valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    return Strings(whole, found.astype(np.int64), valid)


def to_strings(data: Bytes, offsets: Integers, valid: Flags, kind: pa.DataType) -> pa.Array:
    """An Arrow array of these buffers. Raises OverflowError where 32-bit offsets do not suffice."""
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    if not wide and offsets[-1] > np.iinfo(np.int32).max:
        msg = f"{offsets[-1]} bytes of text in one batch; at most {np.iinfo(np.int32).max} fit"
        raise OverflowError(msg)
    nulls = int(len(valid) - np.count_nonzero(valid))
    bits = pa.py_buffer(np.packbits(valid, bitorder="little")) if nulls else None
    places = offsets if wide else offsets.astype(np.int32)
    buffers = [bits, pa.py_buffer(places), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(valid), buffers, null_count=nulls)


def leads(wanted: Flags) -> Flags:
    """For each of the 256 bytes, whether the UTF-8 of a wanted code point begins with it.

    A kernel that asks it passes over most bytes without decoding them; bytes within a code point
    begin none.

    Args:
        wanted: One flag for each code point.
    """
    found = np.zeros(256, np.bool_)
    found[:0x80] = wanted[:0x80]
    found[0xC0:0xE0] = wanted[:0x800].reshape(32, 64).any(axis=1)
    found[0xC0:0xC2] = False  # what they would begin is ASCII
    found[0xE0:0xF0] = wanted[:0x10000].reshape(16, 0x1000).any(axis=1)
    found[0xE0] = wanted[0x800:0x1000].any()
    found[0xF0] = wanted[0x10000:0x40000].any()
    found[0xF1:0xF4] = wanted[0x40000:0x100000].reshape(3, 0x40000).any(axis=1)
    found[0xF4] = wanted[0x100000:].any()
    return found


def nullable(values: npt.NDArray[Any], valid: Flags, kind: pa.DataType) -> pa.Array:
    """Numbers as an Arrow array, null where not valid."""
    return pa.array(values, type=kind, mask=~valid)


@inlined
def width(first: Scalar) -> Scalar:
    """Bytes of the code point that begins with this byte; 1 for a byte that cannot begin one."""
    if first < 0xC0:
        return 1
    if first < 0xE0:
        return 2
    if first < 0xF0:
        return 3
    return 4


@inlined
def code_point(data: Bytes, at: Scalar, size: Scalar) -> Scalar:
    """The code point of `size` bytes at a place."""
    found = np.int64(data[at])
    if size == 2:
        found = ((found & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F)
    elif size == 3:
        found = (
            ((found & 0x0F) << 12)
            | ((np.int64(data[at + 1]) & 0x3F) << 6)
            | (np.int64(data[at + 2]) & 0x3F)
        )
    elif size == 4:
        found = (
            ((found & 0x07) << 18)
            | ((np.int64(data[at + 1]) & 0x3F) << 12)
            | ((np.int64(data[at + 2]) & 0x3F) << 6)
            | (np.int64(data[at + 3]) & 0x3F)
        )
        found = min(found, np.int64(0x10FFFF))
    return found


BLOCK = 32  # bytes that are looked at as one, in vector registers


@inlined
def ascii_end(data: Bytes, at: Scalar, end: Scalar) -> Scalar:
    """Where the blocks of nothing but ASCII that begin here end."""
    while at + BLOCK <= end:
        block = data[at : at + BLOCK]
        seen = np.uint8(0)
        for place in range(BLOCK):
            seen |= block[place]
        if seen >= 0x80:
            break
        at += BLOCK
    return at
