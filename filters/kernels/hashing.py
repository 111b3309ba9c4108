"""The 64-bit hash that words and shingles share."""

from __future__ import annotations

from typing import Any

import numpy as np

from phloem.filters.kernels import inlined

# FNV-1a (draft-eastlake-fnv-17, section 5): offset basis and prime of 64 bits.
BASIS = np.uint64(0xCBF29CE484222325)
PRIME = np.uint64(0x100000001B3)
# Finaliser of MurmurHash3 (Appleby 2011, fmix64).
MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
SHIFT = np.uint64(33)

MASK = 2**64 - 1


@inlined
def fold(seen: np.uint64, code: Any) -> np.uint64:
    """The hash of a word with one more code point (FNV-1a over code points, not bytes)."""
    return (seen ^ np.uint64(code)) * PRIME


@inlined
def mix(value: np.uint64) -> np.uint64:
    """Spread 64 bits over 64 bits, one to one."""
    value ^= value >> SHIFT
    value *= MIX_1
    value ^= value >> SHIFT
    value *= MIX_2
    value ^= value >> SHIFT
    return value


def word_hash(word: str) -> int:
    """The hash of a word, as the kernels make it, in plain Python."""
    seen = int(BASIS)
    for char in word:
        seen = (seen ^ ord(char)) * int(PRIME) & MASK
    return seen


def mixed(value: int) -> int:
    """`mix` in plain Python."""
    value ^= value >> 33
    value = value * int(MIX_1) & MASK
    value ^= value >> 33
    value = value * int(MIX_2) & MASK
    return value ^ (value >> 33)
