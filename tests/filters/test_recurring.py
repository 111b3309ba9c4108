from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.kernels import recurring as kernel
from phloem.filters.kernels.hashing import mixed
from phloem.filters.kernels.shingling import MULTIPLIER
from phloem.filters.op import Op, find_op
from phloem.filters.recurring import longest_repeat, roots_repetition

PARTS = [
    "a",
    "b",
    "ab",
    " ",
    "\n",
    "\t",
    "漢",
    "字",
    "é",
    ".",
    "1",
    "😀",
    "To ",
    "to be, or not ",
    "\u00a0",
]
LONG = st.lists(st.sampled_from(PARTS), max_size=80).map("".join)
TEXT = st.one_of(st.none(), LONG, st.text(max_size=30), LONG.map(lambda text: text + "|" + text))
FEW = find_op("roots_repetition", {"chars": 3, "words": 2})


@pytest.mark.parametrize("op", [longest_repeat, roots_repetition, FEW], ids=lambda op: op.name)
def test_kernels_equal_their_references(op: Op) -> None:
    @settings(deadline=None, max_examples=300, derandomize=True)
    @given(texts=st.lists(TEXT, max_size=4))
    def equal(texts: list[str | None]) -> None:
        batch = pa.record_batch({"text": pa.array(texts, pa.string())})
        assert op.reference is not None
        wanted = op.reference(batch, **op.params)
        for column, got, want in zip(op.writes, op(batch).arrays, wanted, strict=True):  # type: ignore[arg-type]
            assert got.to_pylist() == want.to_pylist(), column.name

    equal()


def _values(op: Op, text: str) -> list[float]:
    return [array[0].as_py() for array in op(pa.record_batch({"text": [text]})).arrays]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32, 100, 5000])
def test_a_passage_that_stands_twice_is_the_longest_repeat(length: int) -> None:
    passage = "".join(chr(0x4E00 + number) for number in range(length))
    text = f"{passage}x{passage}y"
    assert _values(longest_repeat, text) == [round(length / len(text) + 1e-9, 4)]


def test_the_longest_repeat_may_overlap_itself() -> None:
    assert _values(longest_repeat, "ab" * 5000) == [0.9998]


def test_a_text_of_different_characters_repeats_nothing() -> None:
    text = "".join(chr(0x4E00 + number) for number in range(20_000))
    assert _values(longest_repeat, text) == [0.0]
    assert _values(roots_repetition, text) == [0.0, 0.0]


def test_a_text_whose_polynomial_hashes_are_equal_repeats_nothing_it_should_not() -> None:
    # Words of Thue and Morse have equal polynomial hashes modulo 2^64 from 2^11 letters on.
    word, other = "a", "b"
    for _ in range(12):
        word, other = word + other, other + word
    text = f"{word}x{other}y"
    found = _values(longest_repeat, text)[0] * len(text)
    assert found < len(word) * 0.8


def test_roots_counts_the_square_root_of_different_runs() -> None:
    # Ten different runs, one of them three times and nine twice; three of the ten count.
    chars, _ = _values(roots_repetition, "abcdefghij" * 3)
    assert chars == round((3 + 2 + 2) / 21, 4)


def test_roots_words_lose_signs_and_digits_and_case() -> None:
    _, words = _values(roots_repetition, "One, two three four five! (one) two 3 three. FOUR five 1")
    assert words == 0.3333


def test_hashes_tell_runs_of_the_thue_morse_sequence_apart() -> None:
    signs = ["ab"[number.bit_count() % 2] for number in range(4096)]
    other = ["ba"[number.bit_count() % 2] for number in range(4096)]
    hashes = [pow_sum(signs, int(kernel.PRIME)), pow_sum(other, int(kernel.PRIME))]
    assert hashes[0] != hashes[1]
    assert pow_sum(signs, 2**64) == pow_sum(other, 2**64)
    batch = pa.record_batch({"text": ["".join(signs + other)]})
    assert longest_repeat.reference is not None
    assert list(longest_repeat(batch).arrays) == longest_repeat.reference(batch)


def pow_sum(signs: list[str], modulus: int) -> int:
    """The hash of a run in plain Python."""
    found = 0
    for sign in signs:
        found = (found * int(MULTIPLIER) + mixed(ord(sign) + 1)) % modulus
    return found


def test_powers_are_those_of_whole_numbers() -> None:
    found = np.empty(500, np.uint64)
    kernel.powers_of(found)
    prime = int(kernel.PRIME)
    assert found.tolist() == [pow(int(MULTIPLIER), power, prime) for power in range(500)]
