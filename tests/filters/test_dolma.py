from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.dolma import dolma_quality

PIECES = [
    "the",
    "be,",
    "to",
    "#x",
    "…",
    "é",
    "漢字",
    "- a",
    "* ",
    "-",
    "12",
    "\n",
    "\r\n",
    "\u00a0",
]
MIXED = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
    st.text(max_size=20),
)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), MIXED), max_size=4))
def test_counts_equal_their_reference(texts: list[str | None]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert dolma_quality.reference is not None
    wanted = dolma_quality.reference(batch)
    for column, got, want in zip(
        dolma_quality.writes,
        dolma_quality(batch).arrays,
        wanted,  # type: ignore[arg-type]
        strict=True,
    ):
        assert got.to_pylist() == want.to_pylist(), column.name


def test_words_are_what_stands_between_spaces() -> None:
    batch = pa.record_batch({"text": pa.array(["The river, the ##, of it…\n* so to\n - no…"])})
    found = [array[0].as_py() for array in dolma_quality(batch).arrays]
    assert found == [11, 3.0, 0.2727, 0.7273, 3, 0.3333, 0.6667]
