"""Deduplication: every removal is verified against a kept document, and chains drop nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.minhash import jaccard
from phloem.pipeline.stages import dedup
from phloem.pipeline.stages.dedup import (
    Candidate,
    duplicates,
    rare_shingles,
)


def _candidate(row: int, bands: tuple[int, ...], text_hash: str = "", rank: int = 0) -> Candidate:
    own = text_hash or f"h{row}"
    return Candidate(row, f"id{row}", "s", own, (rank, 0, 0, f"{row}"), bands)


def _shingles(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def test_duplicates_keeps_the_end_of_a_chain_that_resembles_no_kept_document() -> None:
    """A ~ B and B ~ C, but A and C differ: B goes, C stays."""
    a, b, c = (_candidate(row, (1,)) for row in range(3))
    hashes = {0: _shingles(1, 2, 3, 4), 1: _shingles(2, 3, 4, 5), 2: _shingles(3, 4, 5, 6)}
    dropped = list(duplicates([c, b, a], hashes, 0.6))
    assert [(loser.row, winner.row, score) for loser, winner, score in dropped] == [(1, 0, 0.6)]


def test_duplicates_prefers_the_better_rank_whatever_the_order_given() -> None:
    better, worse = _candidate(5, (1,), rank=0), _candidate(2, (1,), rank=1)
    hashes = {5: _shingles(1, 2), 2: _shingles(1, 2)}
    for group in ([better, worse], [worse, better]):
        ((loser, winner, score),) = duplicates(group, hashes, 0.7)
        assert (loser.row, winner.row, score) == (2, 5, 1.0)


def test_duplicates_without_a_shared_band_drops_nothing() -> None:
    left, right = _candidate(0, (1,)), _candidate(1, (2,))
    hashes = {0: _shingles(1, 2), 1: _shingles(1, 2)}
    assert list(duplicates([left, right], hashes, 0.7)) == []


def test_duplicates_drops_one_text_held_twice_without_any_signature() -> None:
    left, right = _candidate(0, (), "same"), _candidate(1, (), "same")
    ((loser, winner, score),) = duplicates([left, right], {}, 1.0)
    assert (loser.row, winner.row, score) == (1, 0, 1.0)


@given(st.lists(st.frozensets(st.integers(0, 8), min_size=1), min_size=2, max_size=8))
def test_duplicates_leave_documents_that_differ_from_all_kept(
    sets: list[frozenset[int]],
) -> None:
    group = [_candidate(row, (1,)) for row in range(len(sets))]
    hashes = {row: _shingles(*sorted(members)) for row, members in enumerate(sets)}
    dropped = {loser.row: winner.row for loser, winner, _ in duplicates(group, hashes, 0.5)}
    kept = [row for row in range(len(sets)) if row not in dropped]
    assert not set(dropped.values()) & set(dropped)
    for row, winner in dropped.items():
        assert jaccard(hashes[row], hashes[winner]) >= 0.5
    for place, row in enumerate(kept):
        assert all(jaccard(hashes[row], hashes[other]) < 0.5 for other in kept[:place])


@given(
    st.lists(st.frozensets(st.integers(0, 40), max_size=30), min_size=2, max_size=8),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.75, 0.9, 1.0]),
)
def test_rare_shingles_are_shared_by_all_that_reach_the_threshold(
    sets: list[frozenset[int]], threshold: float
) -> None:
    hashes = [_shingles(*sorted(members)) for members in sets]
    rare = rare_shingles(hashes, threshold)
    for one, other in itertools.combinations(range(len(sets)), 2):
        if jaccard(hashes[one], hashes[other]) >= threshold:
            assert set(rare[one]) & set(rare[other])


def test_duplicates_compares_no_texts_that_share_only_what_is_frequent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reports of one form with other numbers are one component, and none is a duplicate."""
    compared = []
    monkeypatch.setattr(dedup, "jaccard", lambda *pair: compared.append(pair) or jaccard(*pair))
    frequent = range(100)
    sets = [[*frequent, *range(1000 + 300 * row, 1300 + 300 * row)] for row in range(200)]
    sets.append([*sets[7][:-5], 1, 7_000_000])  # and this is one
    group = [_candidate(row, (1,), rank=row) for row in range(len(sets))]
    hashes = {row: _shingles(*sorted(set(members))) for row, members in enumerate(sets)}
    ((loser, winner, score),) = duplicates(group, hashes, 0.7)
    assert (loser.row, winner.row) == (200, 7)
    assert score > 0.9
    assert len(compared) == 1
