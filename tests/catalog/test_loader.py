"""The loader: every token once, in an order that is a formula, whoever reads it."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import itertools
import json
import multiprocessing
import pickle
import subprocess
import sys
import types
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_root import fables

from phloem.catalog.handoff.loader import BLOCK, ReleaseTokens, as_torch, blend, permute
from phloem.catalog.manifest import Dataset, read_arrow
from phloem.catalog.release import make_release
from phloem.catalog.released import ReleaseError
from phloem.catalog.store import Store

LENGTH = 8
OPEN = Path("/proc/self/fd")


def _tokens(root: Any, **options: Any) -> ReleaseTokens:
    given_ = {"sequence_length": LENGTH, "seed": 7, **options}
    return ReleaseTokens(root.store, "first", **given_)


def _take(tokens: ReleaseTokens, count: int) -> list[list[int]]:
    return [sample["tokens"].tolist() for sample in itertools.islice(tokens, count)]


def _documents(root: Any) -> list[list[int]]:
    dataset = Dataset.load(root.store, root.record["datasets"]["tokenize"])
    found: list[list[int]] = []
    for shard in dataset.shards:
        table = read_arrow(root.store, shard.path("tokens.arrow")).read_all()
        found += table["tokens"].to_pylist()
    return found


def test_release_tokens_refuse_a_changed_manifest(fresh_root: Any) -> None:
    root = fresh_root
    release = make_release(root.store, root.run_id, name="first")
    name = release.datasets["tokenize"]["name"]
    whole = root.store.read_bytes(name)
    root.store.write_bytes(name, whole.replace(b'"vocab_size":', b'"vocab_size":1'))
    with pytest.raises(ReleaseError, match="see `phloem release verify first --root "):
        _tokens(root)
    root.store.write_bytes(name, whole)
    manifest = Dataset.load(root.store, name)
    facts = {**manifest.shards[0].facts, "vocab_size": 9}
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


@pytest.mark.parametrize("rows", [1, 7])
def test_tokens_do_not_depend_on_how_a_shard_s_batches_are_cut(
    released: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("phloem.catalog.manifest.BATCH_ROWS", rows)
    root = fables(tmp_path, filler=20)
    make_release(root.store, root.run_id, name="first")
    for length in (1, 5, 64, 10_000):
        ones, others = (
            _tokens(each, sequence_length=length, weights={}) for each in (released, root)
        )
        assert ones.sequences == others.sequences
        for number in range(min(ones.sequences, 2000)):
            one, other = ones.sample(number), others.sample(number)
            assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.skipif(not OPEN.is_dir(), reason="Linux alone shows a process's open files so")
def test_tokens_hold_no_file_open(released: Any) -> None:
    """A release may have more shards than a process may have files."""
    before = len(list(OPEN.iterdir()))
    tokens = _tokens(released, weights={})
    assert len(_pass(tokens)) == tokens.sequences
    assert len(list(OPEN.iterdir())) == before


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


def _pass(tokens: ReleaseTokens) -> list[list[int]]:
    return _take(tokens, 1000)  # far more than any has here


def test_limit_ends_the_iteration(released: Any) -> None:
    ranks = [_tokens(released, limit=7, rank=n, world_size=3) for n in range(3)]
    assert [len(list(rank)) for rank in ranks] == [3, 2, 2]
    assert [rank.state for rank in ranks] == [7, 7, 7]


@pytest.mark.parametrize("world_size", [1, 3])
def test_iterating_again_goes_on_with_the_next_pass(released: Any, world_size: int) -> None:
    whole = _take(_tokens(released), 21)
    ranks = [_tokens(released, limit=7, rank=n, world_size=world_size) for n in range(world_size)]
    for number in range(3):
        shares = [_pass(rank) for rank in ranks]
        given_ = [shares[n % world_size][n // world_size] for n in range(7)]
        assert given_ == whole[7 * number : 7 * number + 7]


def test_iteration_that_was_left_goes_on_and_ends_where_it_would_have(released: Any) -> None:
    whole = _pass(_tokens(released, limit=10))
    tokens = _tokens(released, limit=10)
    assert _take(tokens, 4) == whole[:4]
    assert tokens.state == 4
    resumed = _tokens(released, limit=10, state=tokens.state)
    assert _pass(resumed) == _pass(tokens) == whole[4:]


def test_pass_without_weights_holds_every_sequence_and_with_weights_never_ends(
    released: Any,
) -> None:
    tokens = _tokens(released, weights={})
    assert len(_pass(tokens)) == tokens.sequences == tokens.state
    weighted = _tokens(released, weights={"fables": 2, "manual": 1})
    assert len(_take(weighted, 3 * weighted.sequences)) == 3 * weighted.sequences


def _unpickled(data: bytes) -> ReleaseTokens:
    tokens = pickle.loads(data)  # noqa: S301 -- the test's own
    assert isinstance(tokens, ReleaseTokens)
    return tokens


def _same_in(context: str, tokens: ReleaseTokens) -> None:
    with multiprocessing.get_context(context).Pool(1) as pool:
        there = pool.apply(tokens.sample, (3,))
    here = tokens.sample(3)
    assert all(np.array_equal(there[name], here[name]) for name in here)


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_pickled_tokens_are_the_same_in_another_process(released: Any, context: str) -> None:
    _same_in(context, _tokens(released, weights={"fables": 3, "manual": 1}, limit=9))


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda tokens: _unpickled(pickle.dumps(tokens))]
)
@pytest.mark.parametrize("url", [None, "memory://{}"])
def test_copied_tokens_go_on_alike(
    built_root: Any,
    tmp_path: Path,
    url: str | None,
    again: Callable[[ReleaseTokens], ReleaseTokens],
) -> None:
    root = built_root.copy(url.format(uuid.uuid4().hex) if url else tmp_path / "root")
    make_release(root.store, root.run_id, name="first")
    tokens = _tokens(root, limit=30, rank=1, world_size=2, seed=3, weights={"manual": 1})
    _take(tokens, 5)
    copied = again(tokens)
    assert copied.state == tokens.state == 10
    assert _pass(copied) == _pass(tokens)


def test_pickled_tokens_are_small_however_large_the_release(
    fresh_root: Any, tmp_path: Path
) -> None:
    root = fables(tmp_path / "large", filler=200)
    for each in (fresh_root, root):
        make_release(each.store, each.run_id, name="first")
    few, many = _tokens(fresh_root), _tokens(root)
    assert many.release.tokens > 20 * few.release.tokens
    sizes = [len(pickle.dumps(tokens)) for tokens in (few, many)]
    assert max(sizes) < 2048
    roots = [len(each.store.root) for each in (few, many)]
    assert sizes[1] - roots[1] == sizes[0] - roots[0]


def _gone(root: Any) -> None:
    root.store.delete("releases/first")


def _another(root: Any) -> None:
    root.store.delete("releases/first")
    make_release(root.store, root.run_id, name="first", date="2026-01-01")


def _forged(root: Any) -> None:
    name = "releases/first/release.json"
    value = json.loads(root.store.read_bytes(name))
    root.store.write_bytes(name, json.dumps({**value, "mix": {"manual": 1.0}}).encode())


def _cut(root: Any) -> None:
    shard = Dataset.load(root.store, root.record["datasets"]["tokenize"]).shards[0]
    root.store.write_bytes(shard.path("tokens.arrow"), b"")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_gone, "no release 'first'"),
        (_another, "is not the one that was open"),
        (_forged, "do not agree"),
        (_cut, "is not whole"),
    ],
)
def test_pickled_tokens_of_a_release_that_changed_are_refused(
    fresh_root: Any, change: Callable[[Any], None], told: str
) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    pickled = pickle.dumps(_tokens(fresh_root))
    change(fresh_root)
    with pytest.raises(ReleaseError, match=told):
        _unpickled(pickled)


def test_pickled_tokens_of_a_relative_root_open_from_another_folder(
    fresh_root: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    monkeypatch.chdir(tmp_path)
    tokens = ReleaseTokens(Store("root"), "first", sequence_length=LENGTH, seed=7)
    pickled = pickle.dumps(tokens)
    monkeypatch.chdir("/")
    assert _take(_unpickled(pickled), 5) == _take(tokens, 5)


def test_tokens_of_a_large_vocabulary_are_read_as_they_are(large_vocabulary: Any) -> None:
    tokens = _tokens(large_vocabulary, weights={})
    seen = np.concatenate(
        [s["tokens"][s["loss_mask"] == 1] for s in itertools.islice(tokens, tokens.sequences)]
    )
    assert 200_000 <= seen.min() < seen.max() < 201_000
    assert len(seen) == tokens.release.tokens


def test_tokens_import_no_torch() -> None:
    code = (
        "import sys, phloem.catalog.handoff.loader; print([m for m in sys.modules if m == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
        ({"limit": 0}, "at least 1"),
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
    name = shard.path("tokens.arrow")
    fresh_root.store.write_bytes(name, fresh_root.store.read_bytes(name)[:-2])
    with pytest.raises(
        ReleaseError, match="is not whole; see `phloem release verify first --root "
    ):
        _tokens(fresh_root)


def _without(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "phloem.catalog.handoff.torch_tokens"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))  # so that it is as before, after
    del sys.modules[name]
    monkeypatch.setitem(sys.modules, module, None)


def test_as_torch_without_torch_says_what_to_install(
    released: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without("torch", monkeypatch)
    with pytest.raises(ImportError, match=r"requirements-torch\.lock"):
        as_torch(_tokens(released))


def test_as_torch_with_a_broken_torch_says_what_is_broken(
    released: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without("torch.utils.data", monkeypatch)
    for name in ("torch", "torch.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    with pytest.raises(ImportError, match=r"torch\.utils\.data"):
        as_torch(_tokens(released))


class Words(list[int]):
    """As far as a tensor of whole numbers is needed."""

    def share_memory_(self) -> Words:
        return self

    def tolist(self) -> list[int]:
        return list(self)


@pytest.fixture
def torch_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module over a stand-in for PyTorch; `test_torch.py` is about PyTorch itself."""
    _without("torch", monkeypatch)
    torch, utils, data = (types.ModuleType(n) for n in ("torch", "torch.utils", "torch.utils.data"))
    vars(torch).update(from_numpy=np.asarray, int64="int64", zeros=lambda n, dtype: Words([0] * n))
    vars(data).update(IterableDataset=object, get_worker_info=lambda: None)
    for module in (torch, utils, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return importlib.import_module("phloem.catalog.handoff.torch_tokens")


def _from_workers(module: Any, dataset: Any, first: int, workers: int) -> list[list[int]]:
    """A pass as a DataLoader puts it together: a batch of each worker in turn."""
    shares = []
    for worker in range(workers):
        module.get_worker_info = lambda worker=worker: SimpleNamespace(
            id=worker, num_workers=workers
        )
        module.current_process = lambda worker=worker: SimpleNamespace(
            name=f"SpawnProcess-3:{first + worker}"
        )
        # Each worker has a copy of its own, but for what is shared.
        copied = copy.copy(dataset)
        shares.append([sample["tokens"].tolist() for sample in copied])
    module.get_worker_info = lambda: None
    batches = [[share[n : n + 4] for n in range(0, len(share), 4)] for share in shares]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*batches, fillvalue=[]))
    return [row for batch in turns for row in batch]


def test_as_torch_gives_the_next_pass_each_time_whoever_its_workers_are(
    released: Any, torch_module: Any
) -> None:
    share = {"limit": 21, "world_size": 2, "rank": 1, "state": 3}
    dataset, same = as_torch(_tokens(released, **share), batch_size=4), _tokens(released, **share)
    assert len(dataset) == 9
    passes = [
        [sample["tokens"].tolist() for sample in dataset],
        _from_workers(torch_module, dataset, 1, 3),
        _from_workers(torch_module, dataset, 4, 2),
        [sample["tokens"].tolist() for sample in dataset],
        _from_workers(torch_module, dataset, 6, 5),
    ]
    assert passes == [_pass(same) for _ in range(5)]


def test_as_torch_workers_that_stay_count_the_passes_alike(
    released: Any, torch_module: Any
) -> None:
    dataset = as_torch(_tokens(released), batch_size=4)
    copies = [copy.copy(dataset) for _ in range(3)]
    places = [each._place(7) for _ in range(100) for each in copies]
    assert places == [place for place in range(100) for _ in copies]
    assert dataset._place(10) == 100


def test_as_torch_of_a_pass_that_never_ends_is_begun_once(released: Any, torch_module: Any) -> None:
    dataset = as_torch(_tokens(released))
    assert len(list(itertools.islice(dataset, 50))) == 50
    with pytest.raises(TypeError, match="open them with a limit"):
        len(dataset)
    with pytest.raises(ReleaseError, match="cannot be begun again; open it with a limit"):
        next(iter(dataset))
