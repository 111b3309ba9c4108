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
    """The eight bytes from a place of an array of bytes on, the first in the lowest bits."""
    return data[at : at + EIGHT].view(np.uint64)[0]


@inlined
def zero_bytes(word: Scalar) -> Scalar:
    """How many of the first bytes of a word are 0."""
    if word == np.uint64(0):
        return EIGHT
    return _PLACES[((word & (~word + np.uint64(1))) * _SPREAD) >> np.uint64(58)]
