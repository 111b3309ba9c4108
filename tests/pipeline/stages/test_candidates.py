"""Bands and components, against a readable reference."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from phloem.pipeline.stages.bands import BLOCK, edges
from phloem.pipeline.stages.candidates import _shared, _union


def _block(pairs: list[tuple[int, int]]) -> pa.RecordBatch:
    rows = [{"hash": hash_, "row": row} for hash_, row in pairs]
    return pa.RecordBatch.from_pylist(rows, schema=BLOCK)


def test_edges_of_one_group_start_at_its_first_row() -> None:
    found = edges([_block([(7, 4), (9, 1)]), _block([(7, 2), (7, 8), (-3, 5)])])
    assert found.to_pylist() == [{"row": 2, "other": 4}, {"row": 2, "other": 8}]


def test_edges_of_no_rows_are_none() -> None:
    assert edges([_block([])]).num_rows == 0


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 30)), unique_by=lambda p: p[1]))
def test_edges_do_not_depend_on_the_order_of_blocks(pairs: list[tuple[int, int]]) -> None:
    one = edges([_block(pairs)])
    other = edges([_block([pair]) for pair in reversed(pairs)] or [_block([])])
    assert one.equals(other)


def _reference(rows: int, pairs: list[tuple[int, int]]) -> list[set[int]]:
    """Components by merging sets until nothing changes."""
    groups = [{row} for row in range(rows)]
    for left, right in pairs:
        joined = next(g for g in groups if left in g) | next(g for g in groups if right in g)
        groups = [g for g in groups if not g & joined] + [joined]
    return sorted((g for g in groups if len(g) > 1), key=min)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_union_find_agrees_with_merging_sets(pairs: list[tuple[int, int]]) -> None:
    parent = np.arange(20, dtype=np.int64)
    if pairs:
        left, right = np.array(pairs, dtype=np.int64).T.copy()
        _union(parent, left, right)
    shared = _shared(parent)
    found: dict[int, set[int]] = {}
    for row in np.flatnonzero(shared):
        found.setdefault(int(parent[row]), set()).add(int(row))
    assert sorted(found.values(), key=min) == _reference(20, pairs)
    assert all(root == min(members) for root, members in found.items())
