from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.contract import breaches
from phloem.filters.op import find_op

PROSE = find_op("prose", {})

ALPHABET = "aBcé 1²!.,-'\n。你我กา़िкЖ\u200d\u200b\u0301—(…|!\"ა"


def measured(text: str) -> dict[str, float | None]:
    values = PROSE(pa.record_batch({"text": [text]})).arrays
    return {
        column.name: array[0].as_py() for column, array in zip(PROSE.writes, values, strict=True)
    }


def test_prose_keeps_the_contract() -> None:
    assert breaches(PROSE, {}) == []


@given(st.lists(st.text(ALPHABET, max_size=60), max_size=4))
def test_prose_agrees_with_its_reference(texts: list[str]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert PROSE.reference is not None
    assert PROSE(batch).arrays == PROSE.reference(batch)


@given(st.text(max_size=200))
def test_prose_agrees_with_its_reference_on_any_text(text: str) -> None:
    batch = pa.record_batch({"text": pa.array([text], pa.string())})
    assert PROSE.reference is not None
    assert PROSE(batch).arrays == PROSE.reference(batch)
