"""The loader: every token once, in an order that is a formula, whoever reads it."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog.handoff.loader import BLOCK, ReleaseTokens, as_torch, blend, permute
from phloem.catalog.handoff.megatron import read_indexed
from phloem.catalog.manifest import Dataset
from phloem.catalog.release import ReleaseError, make_release

LENGTH = 8


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from handmade_root import build_root

    root = build_root(tmp_path_factory.mktemp("root"), filler=20)
    make_release(root.store, root.run_id, name="first")
    return root


def _tokens(root: Any, **options: Any) -> ReleaseTokens:
    given_ = {"sequence_length": LENGTH, "seed": 7, **options}
    return ReleaseTokens(root.store, "first", **given_)


def _take(tokens: ReleaseTokens, count: int) -> list[list[int]]:
    return [sample["tokens"].tolist() for sample in itertools.islice(tokens, count)]


def _documents(root: Any) -> list[list[int]]:
    dataset = Dataset.load(root.store, root.record["datasets"]["tokenize"])
    found: list[list[int]] = []
    for shard in dataset.shards:
        paths = [root.store.local_path(shard.path(name)) for name in ("tokens.idx", "tokens.bin")]
        indexed = read_indexed(*(Path(path) for path in paths))
        found += [indexed.sequence(n).tolist() for n in range(len(indexed.lengths))]
    return found


def test_release_tokens_refuse_a_changed_manifest(tmp_path: Path) -> None:
    from handmade_root import build_root

    root = build_root(tmp_path)
    release = make_release(root.store, root.run_id, name="first")
    name = release.datasets["tokenize"]["name"]
    whole = root.store.read_bytes(name)
    root.store.write_bytes(name, whole.replace(b'"uint16"', b'"int32"'))
    with pytest.raises(ReleaseError, match="see `phloem release verify first --root "):
        _tokens(root)
    root.store.write_bytes(name, whole)
    manifest = Dataset.load(root.store, name)
    facts = {**manifest.shards[0].facts, "token_type": "int32"}
    shards = (dataclasses.replace(manifest.shards[0], facts=facts), *manifest.shards[1:])
    dataclasses.replace(manifest, shards=shards).save(root.store)
    with pytest.raises(ReleaseError, match="do not agree"):
        _tokens(root)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.binary(max_size=8))
def test_permute_is_a_permutation(size: int, key: bytes) -> None:
    assert sorted(permute(place, size, key) for place in range(size)) == list(range(size))


def test_permute_depends_on_its_key_and_is_the_same_everywhere() -> None:
    first = [permute(place, 10, b"0") for place in range(10)]
    assert first == [permute(place, 10, b"0") for place in range(10)]
    assert first != [permute(place, 10, b"1") for place in range(10)]
    assert first == GOLDEN_PERMUTATION


GOLDEN_PERMUTATION = [1, 4, 8, 3, 7, 6, 2, 0, 9, 5]


def _megatron(weights: list[float], size: int) -> list[int]:
    """build_blending_indices, as Megatron-LM has it."""
    counts, chosen = [0] * len(weights), []
    for place in range(size):
        errors = [w * max(place, 1) - n for w, n in zip(weights, counts, strict=True)]
        source = errors.index(max(errors))
        chosen.append(source)
        counts[source] += 1
    return chosen


def test_blend_is_megatrons() -> None:
    weights = np.array([0.5, 0.125, 0.375])
    sources, ranks, counts = blend(weights, 64)
    assert sources.tolist() == _megatron(weights.tolist(), 64)
    assert counts.tolist() == [32, 8, 24]
    for source in range(3):
        assert ranks[sources == source].tolist() == list(range(counts[source]))


def test_tokens_without_weights_come_once_an_epoch(released: Any) -> None:
    tokens = _tokens(released, weights={})
    samples = list(itertools.islice(tokens, tokens.sequences))
    seen = sorted(s["tokens"][: s["loss_mask"].sum()].tolist() for s in samples)
    expected = []
    dataset = Dataset.load(released.store, released.record["datasets"]["tokenize"])
    documents = iter(_documents(released))
    for shard in dataset.shards:
        flat = list(itertools.chain(*itertools.islice(documents, shard.facts["documents"])))
        expected += [flat[start : start + LENGTH] for start in range(0, len(flat), LENGTH)]
    assert seen == sorted(expected)


def test_tokens_of_the_next_epoch_come_in_another_order(released: Any) -> None:
    tokens = _tokens(released, weights={})
    first, second = _take(tokens, tokens.sequences), _take(tokens, tokens.sequences)
    assert first != second
    assert sorted(first) == sorted(second)


def test_tokens_depend_on_the_seed_alone(released: Any) -> None:
    assert _take(_tokens(released), 50) == _take(_tokens(released), 50)
    assert _take(_tokens(released), 50) != _take(_tokens(released, seed=8), 50)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_tokens_do_not_depend_on_the_world_size(released: Any, world_size: int) -> None:
    whole = _take(_tokens(released), 60)
    ranks = [_tokens(released, rank=n, world_size=world_size) for n in range(world_size)]
    shares = [_take(rank, 60 // world_size) for rank in ranks]
    assert [shares[n % world_size][n // world_size] for n in range(60)] == whole


def test_tokens_resume_from_an_integer_with_another_world_size(released: Any) -> None:
    whole = _take(_tokens(released), 60)
    before = _tokens(released, world_size=2)
    _take(before, 10)
    assert before.state == 20
    assert _take(_tokens(released, state=before.state), 40) == whole[20:]


def test_tokens_far_ahead_start_at_once(released: Any) -> None:
    tokens = _tokens(released, state=10**12)
    assert len(_take(tokens, 3)) == 3


@pytest.mark.parametrize("weights", [None, {"fables": 2, "manual": 1}, {"manual": 5}])
def test_tokens_follow_the_weights(released: Any, weights: dict[str, float] | None) -> None:
    tokens = _tokens(released, weights=weights)
    found = [sample["source_id"] for sample in itertools.islice(tokens, 300)]
    manual = found.count(tokens.sources.index("manual"))
    assert manual == (300 if weights == {"manual": 5} else 100)


def test_cu_seqlens_are_the_documents_bounds(released: Any) -> None:
    tokens = _tokens(released, sequence_length=64)
    for sample in itertools.islice(tokens, 40):
        bounds, used = sample["cu_seqlens"], int(sample["loss_mask"].sum())
        assert bounds.dtype == np.int32
        assert (bounds[0], bounds[-1]) == (0, 64)
        assert (np.diff(bounds) > 0).all()
        ends = np.flatnonzero(sample["tokens"][:used] == tokens.end) + 1
        inside = sorted({*ends.tolist(), used} - {64})
        assert bounds[1:-1].tolist() == inside


def test_padding_is_masked(released: Any) -> None:
    tokens = _tokens(released, sequence_length=10_000, weights={})
    sample = tokens.sample(0)
    used = int(sample["loss_mask"].sum())
    assert 0 < used < 10_000
    assert (sample["tokens"][used:] == tokens.end).all()
    assert not sample["loss_mask"][used:].any()


def test_limit_ends_the_iteration(released: Any) -> None:
    shares = [len(list(_tokens(released, limit=7, rank=n, world_size=3))) for n in range(3)]
    assert shares == [3, 2, 2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"weights": {"fabels": 1}}, "did you mean fables"),
        ({"weights": {"fables": -1}}, "not negative"),
        ({"weights": {"fables": float("nan")}}, "not negative"),
        ({"weights": {"fables": 0}}, "no tokens to draw from"),
        ({"weights": {"fables": 1, "manual": 1e-9}}, f"below 1/{BLOCK}"),
        ({"rank": 2, "world_size": 2}, "ranks count from 0"),
        ({"sequence_length": 0}, "at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    released: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ReleaseError, match=told):
        _tokens(released, **options)


def test_cut_token_file_is_refused_before_training(fresh_root: Any) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    shard = Dataset.load(fresh_root.store, fresh_root.record["datasets"]["tokenize"]).shards[0]
    name = shard.path("tokens.bin")
    fresh_root.store.write_bytes(name, fresh_root.store.read_bytes(name)[:-2])
    with pytest.raises(
        ReleaseError, match="is not whole; see `phloem release verify first --root "
    ):
        _tokens(fresh_root)


def test_as_torch_without_torch_says_what_to_install(
    released: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"requirements-torch\.lock"):
        as_torch(_tokens(released))


def test_as_torch_workers_share_out_batches_in_order(
    released: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for PyTorch, which tests do not install: what a DataLoader asks of it."""
    torch, utils, data = (types.ModuleType(n) for n in ("torch", "torch.utils", "torch.utils.data"))
    worker: list[Any] = [None]
    torch.from_numpy = lambda array: array  # type: ignore[attr-defined]
    data.IterableDataset = object  # type: ignore[attr-defined]
    data.get_worker_info = lambda: worker[0]  # type: ignore[attr-defined]
    for module in (torch, utils, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    batches: dict[int, list[list[int]]] = {}
    for number in range(3):
        worker[0] = types.SimpleNamespace(id=number, num_workers=3)
        samples = as_torch(_tokens(released, limit=24, world_size=2, rank=1), batch_size=2)
        own = [sample["tokens"].tolist() for sample in samples]
        batches |= {3 * n + number: own[2 * n : 2 * n + 2] for n in range(len(own) // 2)}
    in_order = [tokens for number in sorted(batches) for tokens in batches[number]]
    assert in_order == _take(_tokens(released, world_size=2, rank=1), 12)


def test_as_torch_with_torch_loads_tensors(released: Any) -> None:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(as_torch(_tokens(released, limit=4)), batch_size=None)
    assert [sample["tokens"].tolist() for sample in loader] == _take(_tokens(released), 4)
