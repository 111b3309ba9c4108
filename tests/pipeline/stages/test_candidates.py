"""Bands and components, against a readable reference."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.columns import ID, schema
from phloem.catalog.manifest import Ref, Shard, read_parquet, write_arrow, write_parquet
from phloem.catalog.store import Store
from phloem.pipeline.stages import candidates
from phloem.pipeline.stages.bands import BLOCK, EDGES, edges
from phloem.pipeline.stages.candidates import MEMBERS, CandidatesWork, run
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


def _edge_file(store: Store, name: str, pairs: Sequence[tuple[int, int]]) -> Ref:
    joined = pa.table(list(zip(*pairs, strict=True)) or [[], []], schema=EDGES)
    edge = write_arrow(store, f"bands/{name}", "edges.arrow", EDGES, iter(joined.to_batches()))
    return Shard("bands", name, (edge,)).ref(edge.name)


def _candidates(
    store: Store,
    pairs: Sequence[tuple[int, int]],
    rows: Sequence[int],
    exact: Sequence[tuple[int, int]] = (),
) -> Shard:
    """What the stage writes of these edges among the documents of text files."""
    made = []
    for number, count in enumerate(rows):
        ids = [f"{number:016x}{row:016x}" for row in range(count)]
        table = pa.table(
            {column.name: ids if column is ID else [None] * count for column in HASHES}
        )
        file = write_parquet(store, f"clean/{number}", "hashes.parquet", table.cast(schema(HASHES)))
        made.append(f"clean/{number}/{file.name}")
    work = CandidatesWork(
        edges=(_edge_file(store, "all", pairs),),
        same=(_edge_file(store, "same", exact),),
        twice=(),
        rows=tuple(rows),
        hashes=tuple(made),
        texts=(),
        shared={},
    )
    (shard,) = run(store, "k", work)
    return shard


def test_members_are_written_by_row_and_a_range_holds_whole_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "RANGE_ROWS", 3)
    store = Store(tmp_path)
    pairs = [(0, 5), (5, 9), (1, 2), (3, 4), (6, 7), (8, 10), (10, 11), (11, 12)]
    shard = _candidates(store, [(9 * left, 9 * right) for left, right in pairs], [70, 2, 54])
    tables = [read_parquet(store, shard.ref(file.name)) for file in shard.files]
    found = [
        [(each["row"] // 9, each["component"] // 9, each["range"]) for each in table.to_pylist()]
        for table in tables
    ]
    assert found == [
        [(0, 0, 0), (1, 1, 1), (2, 1, 1), (3, 3, 1), (4, 3, 1), (5, 0, 0), (6, 6, 2), (7, 6, 2)],
        [],
        [(8, 8, 2), (9, 0, 0), (10, 8, 2), (11, 8, 2), (12, 8, 2)],
    ]
    assert shard.facts == {"documents": 126, "candidates": 13, "components": 5, "ranges": 3}


def test_members_know_the_first_of_their_text_and_whether_there_is_another(tmp_path: Path) -> None:
    """Rows 2, 3 and 70 hold one text; 5 resembles 2; 6 and 7 hold another one."""
    exact = [(2, 3), (2, 70), (6, 7)]
    shard = _candidates(Store(tmp_path), [*exact, (2, 5)], [90], exact)
    table = read_parquet(Store(tmp_path), shard.ref("members-00000.parquet"))
    assert table.schema == MEMBERS
    assert table["row"].to_pylist() == [2, 3, 5, 6, 7, 70]
    assert table["component"].to_pylist() == [2, 2, 2, 6, 6, 2]
    assert table["text"].to_pylist() == [2, 2, -1, 6, 6, 2]
    assert table["is_mixed"].to_pylist() == [True, True, True, False, False, True]


def test_no_component_is_no_file(tmp_path: Path) -> None:
    shard = _candidates(Store(tmp_path), [], [3])
    assert sum(file.rows or 0 for file in shard.files) == shard.facts["candidates"] == 0


def _reference(rows: int, pairs: list[tuple[int, int]]) -> list[set[int]]:
    """Components by merging sets until nothing changes."""
    groups = [{row} for row in range(rows)]
    for left, right in pairs:
        joined = next(g for g in groups if left in g) | next(g for g in groups if right in g)
        groups = [g for g in groups if not g & joined] + [joined]
    return sorted((g for g in groups if len(g) > 1), key=min)


PAIRS = st.tuples(st.integers(0, 199), st.integers(0, 199))


@given(st.lists(PAIRS, max_size=60))
def test_components_agree_with_merging_sets(pairs: list[tuple[int, int]]) -> None:
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    with TemporaryDirectory() as folder:
        shard = _candidates(Store(folder), pairs, [200])
        table = read_parquet(Store(folder), shard.ref("members-00000.parquet"))
    found: dict[int, set[int]] = {}
    for component, row in zip(
        table["component"].to_pylist(), table["row"].to_pylist(), strict=True
    ):
        found.setdefault(component, set()).add(row)
    assert sorted(found.values(), key=min) == _reference(200, pairs)
    assert all(root == min(members) for root, members in found.items())


def test_steps_of_union_find_grow_as_the_edges_of_a_chain() -> None:
    """Each look at a parent is counted: twice the chain, in the worst order, is twice the work."""

    class Counted(np.ndarray):
        looks = 0

        def __getitem__(self, place: Any) -> Any:
            Counted.looks += 1
            return super().__getitem__(place)

    looked = []
    for rows in (500, 1000):
        named = candidates.Named(rows)
        right = np.arange(rows - 1, 0, -1)
        candidates.mark(named.words, right - 1, right)
        parent = np.arange(named.close()).view(Counted)
        Counted.looks = 0
        candidates.union.py_func(parent, named.words, named.before, right - 1, right)
        looked.append(Counted.looks)
    assert looked[1] <= 2.2 * looked[0]
