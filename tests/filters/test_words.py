"""Eight bytes at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.kernels import inlined
from phloem.filters.kernels.words import EIGHT, load, zero_bytes


@inlined
def loaded(data, at):
    return load(data, at)


@inlined
def counted(word):
    return zero_bytes(word)


@given(data=st.binary(min_size=8, max_size=40), at=st.integers(0, 32))
def test_load_gives_eight_bytes_from_any_place(data: bytes, at: int) -> None:
    at = min(at, len(data) - EIGHT)
    expected = int.from_bytes(data[at : at + EIGHT], "little")
    assert loaded(np.frombuffer(data, np.uint8), at) == expected


@given(data=st.lists(st.sampled_from([0, 0, 0, 1, 128, 255]), min_size=8, max_size=8).map(bytes))
def test_zero_bytes_counts_those_before_the_first_other(data: bytes) -> None:
    word = np.uint64(int.from_bytes(data, "little"))
    assert counted(word) == len(data) - len(data.lstrip(b"\0"))
