"""Removals: each duplicate reaches the text file of its row, and that of the kept one."""

from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.manifest import Shard, read_parquet, write_parquet
from phloem.catalog.store import Store
from phloem.pipeline.stages.dedup import DUPLICATES
from phloem.pipeline.stages.removals import TOUCHED, RemovalsWork, of_files, run

Json = Any


def _losses(*rows: tuple[int, int, float, str, str]) -> pa.Table:
    names = DUPLICATES.names
    values = [dict(zip(names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(values, DUPLICATES)


def touched(found: pa.Table, files: list[tuple[str, int]]) -> list[tuple[int, pa.Table]]:
    """What the stage writes for each text file: the duplicates come in two files."""
    with TemporaryDirectory() as folder:
        store = Store(folder)
        halves = [found.slice(0, len(found) // 2), found.slice(len(found) // 2)]
        written = [
            write_parquet(store, "dedup/k", f"duplicates-{n:05d}.parquet", half)
            for n, half in enumerate(halves)
        ]
        refs = tuple(Shard("dedup", "k", (each,)).ref(each.name) for each in written)
        (shard,) = run(store, "k", RemovalsWork(key="k", duplicates=refs, files=tuple(files)))
        named = enumerate(of_files(shard, len(files)))
        return [(number, read_parquet(store, ref)) for number, ref in named if ref]


def test_removals_reach_their_files_and_name_other_sources() -> None:
    found = _losses((3, 0, 0.9, "b", "x"), (1, 0, 0.8, "a", "x"))
    first, second = touched(found, [("a", 2), ("c", 0), ("b", 2)])
    assert [number for number, _ in (first, second)] == [0, 2]
    assert first[1].to_pylist() == [
        {"row": 0, "duplicate_of": None, "similarity": None, "found_in": ["b"]},
        {"row": 1, "duplicate_of": "x", "similarity": 0.8, "found_in": []},
    ]
    assert second[1].to_pylist() == [
        {"row": 1, "duplicate_of": "x", "similarity": 0.9, "found_in": []}
    ]


def test_removals_of_no_duplicates_are_none() -> None:
    assert touched(_losses(), [("a", 2), ("b", 0)]) == []


def _reference(
    losses: list[tuple[Any, ...]], files: list[tuple[str, int]]
) -> list[dict[int, Json]]:
    """One dict a file, filled loss by loss."""
    places = [(n, row) for n, (_, rows) in enumerate(files) for row in range(rows)]
    found: list[dict[int, Json]] = [{} for _ in files]

    def entry(dense: int) -> tuple[int, Json]:
        number, row = places[dense]
        blank = {"row": row, "duplicate_of": None, "similarity": None, "found_in": []}
        return number, found[number].setdefault(row, blank)

    for row, winner, similarity, source, id_ in losses:
        entry(row)[1].update(duplicate_of=id_, similarity=similarity)
        number, kept = entry(winner)
        if source != files[number][0]:
            kept["found_in"] = sorted({*kept["found_in"], source})
    return found


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_removals_agree_with_a_readable_reference(
    files: list[tuple[str, int]], random: Any
) -> None:
    rows = sum(count for _, count in files)
    sources = [source for source, count in files for _ in range(count)]
    losers = [row for row in range(rows) if random.random() < 0.5]
    kept = [row for row in range(rows) if row not in losers]
    losses = [
        (row, winner, 0.75, sources[row], f"id-{winner}")
        for row in losers
        if kept and (winner := random.choice(kept)) is not None
    ]
    random.shuffle(losses)
    expected = [
        [by[row] for row in sorted(by) if by[row]["duplicate_of"] or by[row]["found_in"]]
        for by in _reference(losses, files)
    ]
    found = dict(touched(_losses(*losses), files))
    assert all(table.schema == TOUCHED for table in found.values())
    assert [found[n].to_pylist() if n in found else [] for n in range(len(files))] == expected
