"""Bands and components, against a readable reference."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.columns import ID, schema
from phloem.catalog.manifest import Shard, read_parquet, write_arrow, write_parquet
from phloem.catalog.store import Store
from phloem.pipeline.stages import candidates
from phloem.pipeline.stages.bands import BLOCK, EDGES, edges
from phloem.pipeline.stages.candidates import MEMBERS, CandidatesWork, _flatten, _union, run
from phloem.pipeline.stages.measure import HASHES


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


def _candidates(store: Store, pairs: list[tuple[int, int]], rows: int) -> Shard:
    """What the stage writes of these edges among so many documents."""
    joined = pa.table(list(zip(*pairs, strict=True)) or [[], []], schema=EDGES)
    edge = write_arrow(store, "bands/k", "edges-00000.arrow", EDGES, iter(joined.to_batches()))
    ids = [f"{row:032x}" for row in range(rows)]
    table = pa.table({column.name: ids if column is ID else [None] * rows for column in HASHES})
    hashes = write_parquet(store, "clean/k", "hashes.parquet", table.cast(schema(HASHES)))
    work = CandidatesWork(
        edges=(Shard("bands", "k", (edge,)).ref(edge.name),),
        same=(),
        twice=(),
        hashes=(Shard("clean", "k", (hashes,)).ref(hashes.name),),
        texts=(),
        shared={},
    )
    (shard,) = run(store, "k", work)
    return shard


def test_members_are_written_by_row_and_a_range_holds_whole_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "RANGE_ROWS", 3)
    monkeypatch.setattr(candidates, "MEMBER_ROWS", 8)
    store = Store(tmp_path)
    pairs = [(0, 5), (5, 9), (1, 2), (3, 4), (6, 7), (8, 10), (10, 11), (11, 12)]
    shard = _candidates(store, pairs, 14)
    found = [
        list(
            zip(
                *(read_parquet(store, shard.ref(file.name))[name].to_pylist() for name in names),
                strict=True,
            )
        )
        for file in shard.files
        for names in [("row", "component", "range")]
    ]
    assert found == [
        [(0, 0, 0), (1, 1, 1), (2, 1, 1), (3, 3, 1), (4, 3, 1), (5, 0, 0), (6, 6, 2), (7, 6, 2)],
        [(8, 8, 3), (9, 0, 0), (10, 8, 3), (11, 8, 3), (12, 8, 3)],
    ]
    assert shard.facts == {"documents": 14, "candidates": 13, "components": 5, "ranges": 4}
    assert [ref.path[-7:] for ref in candidates.of_rows(shard, 7, 2)] == ["parquet", "parquet"]
    assert len(candidates.of_rows(shard, 8, 6)) == 1
    assert candidates.of_rows(shard, 8, 0) == ()


def test_members_know_the_first_of_their_text_and_whether_there_is_another() -> None:
    """Rows 2, 3 and 9 hold one text; 5 resembles 2; 6 and 7 hold another one."""
    members = np.array([2, 3, 5, 6, 7, 9])
    parent, text = np.array([0, 0, 0, 3, 3, 0]), np.array([0, 0, -1, 3, 3, 0])
    table = candidates.components(members, parent, text)
    assert table.schema == MEMBERS
    assert table["text"].to_pylist() == [2, 2, -1, 6, 6, 2]
    assert table["is_mixed"].to_pylist() == [True, True, True, False, False, True]


def test_no_component_is_no_file(tmp_path: Path) -> None:
    shard = _candidates(Store(tmp_path), [], 3)
    assert sum(file.rows or 0 for file in shard.files) == shard.facts["candidates"] == 0


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
    _flatten(parent)
    shared = np.bincount(parent, minlength=20)[parent] > 1
    found: dict[int, set[int]] = {}
    for row in np.flatnonzero(shared):
        found.setdefault(int(parent[row]), set()).add(int(row))
    assert sorted(found.values(), key=min) == _reference(20, pairs)
    assert all(root == min(members) for root, members in found.items())
