"""Deduplication: every removal is verified against a kept document, and chains drop nothing."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_engine import finish, job_of
from tiny_workspace import ARTICLES, add_source, change_recipe, make_workspace, new_root

from phloem.catalog.manifest import read_parquet
from phloem.catalog.store import Store
from phloem.filters.minhash import jaccard
from phloem.pipeline import settling
from phloem.pipeline.settling import RECORD, Candidate, duplicates, rare_shingles, said, settled


def _candidate(row: int, bands: tuple[int, ...], text_hash: str = "", rank: int = 0) -> Candidate:
    own = (text_hash or f"h{row}").encode()
    return Candidate(row, f"id{row}", "s", own, (rank, 0, 0, 0, b"", f"{row}"), bands)


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
    monkeypatch.setattr(settling, "jaccard", lambda *pair: compared.append(pair) or jaccard(*pair))
    frequent = range(100)
    sets = [[*frequent, *range(1000 + 300 * row, 1300 + 300 * row)] for row in range(200)]
    sets.append([*sets[7][:-5], 1, 7_000_000])  # and this is one
    group = [_candidate(row, (1,), rank=row) for row in range(len(sets))]
    hashes = {row: _shingles(*sorted(set(members))) for row, members in enumerate(sets)}
    ((loser, winner, score),) = duplicates(group, hashes, 0.7)
    assert (loser.row, winner.row) == (200, 7)
    assert score > 0.9
    assert len(compared) == 1


# Of records ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Held:
    """A document of one component, and the text that it holds."""

    text: int
    eligible: bool
    rank: int


TEXTS = st.lists(st.frozensets(st.integers(0, 14), min_size=1), min_size=1, max_size=6)
HELD = st.lists(
    st.builds(Held, st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12
)


def _records(
    texts: Sequence[frozenset[int]], bands: Sequence[Sequence[int]], held: Sequence[Held]
) -> list[pa.RecordBatch]:
    """As the parts give them, one block a document: the first of a text lends what all share."""
    first: dict[int, int] = {}
    for row, each in enumerate(held):
        first.setdefault(each.text, row)
    blocks = []
    for row, each in enumerate(held):
        lends = first[each.text] == row
        if not (each.eligible or lends):
            continue
        value = {
            "component": 0,
            "row": row,
            "text": first[each.text],
            "is_eligible": each.eligible,
            "id": f"id{row}",
            "source": "s",
            "license_rank": each.rank,
            "priority": 0,
            "worth": None,
            "text_bytes": 1,
            "text_hash": bytes([each.text]),
            "bands": np.array(bands[each.text], "<u4").tobytes() if lends else b"",
            "shingles": np.array(sorted(texts[each.text]), "<u8").tobytes() if lends else b"",
        }
        schema = RECORD.with_metadata(said("exact", 0.5))
        blocks.append(pa.RecordBatch.from_pylist([value], schema))
    return blocks or [pa.RecordBatch.from_pylist([], RECORD.with_metadata(said("exact", 0.5)))]


def _plain(
    texts: Sequence[frozenset[int]], bands: Sequence[Sequence[int]], held: Sequence[Held]
) -> list[tuple[int, int, float]]:
    """Each against all that are kept, from best to worst, with whole sets."""
    kept: list[int] = []
    found = []
    ranked = sorted(
        (each.rank, each.text, f"id{row}", row) for row, each in enumerate(held) if each.eligible
    )
    for *_, row in ranked:
        own = held[row].text
        scores = {
            other: len(texts[own] & texts[held[other].text])
            / len(texts[own] | texts[held[other].text])
            for other in kept
            if set(zip(range(2), bands[own], strict=True))
            & set(zip(range(2), bands[held[other].text], strict=True))
        }
        equal = [other for other in kept if held[other].text == own]
        best = max(scores, key=lambda other: (scores[other], -other), default=None)
        if equal:
            found.append((row, equal[0], 1.0))
        elif best is not None and scores[best] >= 0.5:
            found.append((row, best, round(scores[best], 4)))
        else:
            kept.append(row)
    return sorted(found)


@given(
    TEXTS, st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=6, max_size=6), HELD, st.data()
)
def test_records_settle_as_whole_documents_would(
    texts: list[frozenset[int]],
    bands: list[tuple[int, int]],
    held: list[Held],
    data: st.DataObject,
) -> None:
    held = [replace(each, text=each.text % len(texts)) for each in held]
    blocks = data.draw(st.permutations(_records(texts, bands, held)))
    found = sorted((row, other, score) for row, other, score, *_ in settled(blocks))
    assert found == _plain(texts, bands, held)


@pytest.mark.parametrize("shape", ["copies", "chain", "forms"])
def test_work_grows_as_the_documents_of_one_component(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparisons and looks at kept documents, of so many and of twice as many."""
    counted = [0]

    def one(*pair: np.ndarray) -> float:
        counted[0] += 1
        return jaccard(*pair)

    def near(self: Any, candidate: Candidate, rare: Sequence[int]) -> list[Candidate]:
        counted[0] += len(rare) + sum(len(self.by_shingle.get(each, ())) for each in rare)
        return whole(self, candidate, rare)

    whole = settling._Kept.near
    monkeypatch.setattr(settling, "jaccard", one)
    monkeypatch.setattr(settling._Kept, "near", near)
    shingles = {
        "copies": lambda _: range(50),
        "chain": lambda n: range(10 * n, 10 * n + 50),
        "forms": lambda n: [*range(50), *range(1000 + 60 * n, 1060 + 60 * n)],
    }[shape]
    work = []
    for documents in (1000, 2000):
        counted[0] = 0
        texts = [frozenset(shingles(n)) for n in range(documents if shape != "copies" else 1)]
        held = [Held(n % len(texts), True, n) for n in range(documents)]
        group = [_candidate(n, (1,), f"t{each.text}", n) for n, each in enumerate(held)]
        hashes = {n: _shingles(*sorted(texts[each.text])) for n, each in enumerate(held)}
        assert list(duplicates(group, hashes, 0.5)) or shape == "forms"
        work.append(counted[0])
    assert work[1] <= 2.2 * work[0] + 10


# In a run ----------------------------------------------------------------------------------------
LONG = " ".join(ARTICLES["en"].split() * 3)


def _ledger(tmp_path: Path, dedup: str, documents: list[dict[str, str]]) -> dict[str, Any]:
    """Each document's reason and similarity, by its native id, in the order of the documents."""
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    add_source(folder, "third", documents)
    change_recipe(folder, "[first, second]", "[third]")
    change_recipe(folder, "dedup: {bands: 14, rows: 8, jaccard: 0.7}", f"dedup: {dedup}")
    made: dict[str, Any] = {}
    finish(job_of(folder, root), Store(root), made)
    (shard,) = made["decide"]
    rows = read_parquet(Store(root), shard.ref("ledger.parquet")).to_pylist()
    names = [document["id"] for document in documents]
    return {name: (row["reason"], row["similarity"]) for name, row in zip(names, rows, strict=True)}


@pytest.mark.parametrize("verify", ["exact", "signature", "none"])
def test_removals_are_verified_as_the_recipe_says(tmp_path: Path, verify: str) -> None:
    words = LONG.split()
    near, other = " ".join([*words[:-2], "quite", "otherwise"]), " ".join(reversed(words))
    documents = [
        {"id": name, "text": text, "lang": "en"}
        for name, text in (
            ("a", f"{LONG} And so on."),
            ("b", near),
            ("c", other),
            ("d", f"{near}!"),
        )
    ]
    found = _ledger(tmp_path, f"{{bands: 28, rows: 4, jaccard: 0.7, verify: {verify}}}", documents)
    assert [found[name][0] for name in "abcd"] == [None, "duplicate", None, "duplicate"]
    similarity = found["b"][1]
    if verify == "none":
        assert similarity is None
    else:
        assert 0.7 <= similarity < 1


def test_a_threshold_of_signatures_is_that_of_their_estimate() -> None:
    def record(row: int, minima: list[int]) -> pa.RecordBatch:
        own = [place << 32 | value for place, value in enumerate(minima)]
        value = {
            "component": 0, "row": row, "text": row, "is_eligible": True, "id": f"{row}",
            "source": "s", "license_rank": row, "priority": 0, "worth": None, "text_bytes": 1,
            "text_hash": bytes([row]), "bands": np.array([1], "<u4").tobytes(),
            "shingles": np.array(own, "<u8").tobytes(),
        }  # fmt: skip
        return pa.RecordBatch.from_pylist([value], RECORD.with_metadata(said("signature", 0.7)))

    first = [*range(10)]
    for equal, similarity in ((7, 0.7), (6, None), (10, 1.0)):
        other = [*range(equal), *range(100, 110 - equal)]
        found = list(settled([record(0, first), record(1, other)]))
        assert [score for _, _, score, *_ in found] == ([similarity] if similarity else [])


def test_the_one_that_stays_is_the_one_that_the_recipe_prefers(tmp_path: Path) -> None:
    texts = {"long": f"{LONG} and more of it", "figures": f"{LONG} 12 345"}
    documents = [{"id": name, "text": text, "lang": "en"} for name, text in texts.items()]
    by_length = _ledger(tmp_path / "a", "{bands: 28, rows: 4}", documents)
    assert [by_length[name][0] for name in texts] == [None, "duplicate"]
    chosen = "{bands: 28, rows: 4, prefer: digit_frac}"
    by_digits = _ledger(tmp_path / "b", chosen, documents)
    assert [by_digits[name][0] for name in texts] == ["duplicate", None]


def test_which_text_stays_depends_on_no_name_and_no_place(tmp_path: Path) -> None:
    texts = [f"{LONG} {word}" for word in ("alpha", "gamma", "delta")]
    kept = set()
    for number, order in enumerate(((0, 1, 2), (2, 1, 0), (1, 2, 0))):
        documents = [
            {"id": f"{number}{place}", "text": texts[one], "lang": "en"}
            for place, one in enumerate(order)
        ]
        found = _ledger(tmp_path / f"{number}", "{bands: 28, rows: 4}", documents)
        (stays,) = [one for one, name in zip(order, found, strict=True) if not found[name][0]]
        kept.add(stays)
    assert len(kept) == 1
