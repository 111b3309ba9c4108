"""Eight bytes at once, where a loop over single bytes would guess wrong at each end."""

from __future__ import annotations

import numpy as np

from phloem.filters.kernels import inlined
from phloem.filters.kernels.utf8 import Bytes, Scalar

EIGHT = 8  # bytes of a word

# Times a power of two, each begins with six other bits (a de Bruijn sequence).
_SPREAD = np.uint64(0x022FDD63CC95386D)
_PLACES = np.zeros(64, np.int64)
for _place in range(64):
    _PLACES[(int(_SPREAD) << _place & (2**64 - 1)) >> 58] = _place // EIGHT


@inlined
def load(data: Bytes, at: Scalar) -> Scalar:
    """The eight bytes from a place of an array of bytes on, the first in the lowest bits.

    Written so that LLVM makes one load of it: places without a sign are not looked at for whether
    they count from the end.
    """
    place = np.uint64(at)
    return (
        np.uint64(data[place])
        | np.uint64(data[place + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[place + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[place + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[place + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[place + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[place + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[place + np.uint64(7)]) << np.uint64(56)
    )


@inlined
def zero_bytes(word: Scalar) -> Scalar:
    """How many of the first bytes of a word are 0."""
    if word == np.uint64(0):
        return EIGHT
    return _PLACES[((word & (~word + np.uint64(1))) * _SPREAD) >> np.uint64(58)]
