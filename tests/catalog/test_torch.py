"""The loader under PyTorch itself, on a processor: skipped where that is not installed."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_root import fables

from phloem.catalog.handoff.loader import ReleaseTokens, as_torch
from phloem.catalog.release import make_release
from phloem.catalog.released import ReleaseError

torch = pytest.importorskip("torch", reason="needs PyTorch: `make torch` tests with it")
DataLoader = torch.utils.data.DataLoader

# More workers than this machine has cores are asked for on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

README = Path(__file__).resolve().parents[2] / "catalog" / "README.md"
LENGTH = 8
FIELDS = ("tokens", "loss_mask", "position_ids", "source_id")
CONTEXTS = ("fork", "spawn", "forkserver")


def _workers(context: str, number: int, *, persistent: bool = False) -> Any:
    options = {
        "num_workers": number,
        "multiprocessing_context": context,
        "persistent_workers": persistent,
    }
    return pytest.param(options, id=f"{context}-{number}{'-persistent' * persistent}")


NO_WORKERS = pytest.param({"num_workers": 0}, id="none")
FORKED = [_workers("fork", 1), _workers("fork", 3)]
WORKERS = [  # seconds each, but for those that are forked: each imports PyTorch
    NO_WORKERS,
    *(_workers(context, number) for context in CONTEXTS for number in (1, 3)),
    *(_workers(context, 3, persistent=True) for context in CONTEXTS),
]
LEFT = [
    NO_WORKERS,
    *FORKED,
    *(_workers(context, 3, persistent=True) for context in ("fork", "spawn")),
    _workers("forkserver", 3),
]


def _tokens(root: Any, **options: Any) -> ReleaseTokens:
    given_ = {"sequence_length": LENGTH, "seed": 7, **options}
    return ReleaseTokens(root.store, "first", **given_)


def _rows(batches: Any, name: str = "tokens") -> list[Any]:
    return [row for batch in batches for row in batch[name].tolist()]


def _whole(root: Any, count: int, **options: Any) -> list[list[int]]:
    return [s["tokens"].tolist() for s in itertools.islice(_tokens(root, **options), count)]


def _loader(tokens: ReleaseTokens, batch_size: int = 4, **options: Any) -> Any:
    return DataLoader(as_torch(tokens, batch_size=batch_size), batch_size=batch_size, **options)


# Order ------------------------------------------------------------------------------------------
def _gives_the_order(root: Any, batch_size: int, options: dict[str, Any]) -> None:
    share = {"limit": 21, "world_size": 2, "rank": 1}
    loader = _loader(_tokens(root, **share), batch_size, **options)
    alike = _tokens(root, **share)
    passes = [_rows(loader) for _ in range(3)]
    assert passes == [[s["tokens"].tolist() for s in alike] for _ in range(3)]
    assert passes[0] != passes[1] != passes[2]


@pytest.mark.parametrize("options", WORKERS)
def test_loader_gives_the_order_of_the_tokens_pass_by_pass(
    released: Any, options: dict[str, Any]
) -> None:
    _gives_the_order(released, 4, options)


@pytest.mark.parametrize("options", [NO_WORKERS, *FORKED])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_loader_gives_the_same_order_in_other_batches(
    released: Any, options: dict[str, Any], batch_size: int
) -> None:
    _gives_the_order(released, batch_size, options)


@pytest.mark.parametrize("options", LEFT)
def test_loader_that_is_left_begins_the_next_pass(released: Any, options: dict[str, Any]) -> None:
    """Workers read ahead of what the trainer had, and some may not have begun at all."""
    whole = _whole(released, 80)
    loader = _loader(_tokens(released, limit=40), **options)
    assert _rows(itertools.islice(loader, 3)) == whole[:12]
    assert _rows(loader) == whole[40:]
    resumed = _tokens(released, limit=40, state=12)
    assert _rows(_loader(resumed, 7)) == whole[12:40]


def test_loaders_of_one_dataset_share_its_passes(released: Any) -> None:
    dataset, whole = as_torch(_tokens(released, limit=20), batch_size=4), _whole(released, 60)
    passes = [_rows(DataLoader(dataset, batch_size=4, num_workers=n)) for n in (0, 2, 0)]
    assert passes == [whole[:20], whole[20:40], whole[40:]]


@pytest.mark.parametrize("options", [NO_WORKERS, *FORKED])
def test_loader_in_batches_that_the_dataset_was_not_told_of_gives_all_the_same(
    released: Any, options: dict[str, Any]
) -> None:
    loader = DataLoader(as_torch(_tokens(released, limit=40)), batch_size=4, **options)
    passes = [_rows(loader) for _ in range(2)]
    whole = _whole(released, 80)
    assert [sorted(each) for each in passes] == [sorted(whole[:40]), sorted(whole[40:])]


def test_loader_of_every_rank_gives_all_samples(released: Any) -> None:
    ranks = [_tokens(released, limit=24, rank=n, world_size=3) for n in range(3)]
    shares = [_rows(_loader(rank, num_workers=1)) for rank in ranks]
    assert [shares[n % 3][n // 3] for n in range(24)] == _whole(released, 24)


@pytest.mark.parametrize("options", [NO_WORKERS, *FORKED])
def test_loader_of_weighted_tokens_never_ends_and_is_begun_once(
    released: Any, options: dict[str, Any]
) -> None:
    tokens = _tokens(released)
    loader = _loader(tokens, **options)
    assert len(_rows(itertools.islice(loader, 200))) == 800 > 3 * tokens.sequences
    with pytest.raises(TypeError, match="open them with a limit"):
        len(loader)
    with pytest.raises(ReleaseError, match="cannot be begun again"):
        next(iter(loader))


def test_loader_without_weights_gives_every_sequence_once_a_pass(released: Any) -> None:
    tokens = _tokens(released, weights={})
    loader = _loader(tokens, num_workers=1)
    assert len(loader) == -(-tokens.sequences // 4)
    passes = [_rows(loader) for _ in range(2)]
    assert [len(each) for each in passes] == [tokens.sequences] * 2
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(_rows(tokens_of(tokens)))
    assert passes[0] != passes[1]


def tokens_of(tokens: ReleaseTokens) -> list[dict[str, Any]]:
    """Every sequence as a batch of one."""
    return [{"tokens": s["tokens"][None]} for s in map(tokens.sample, range(tokens.sequences))]


# Samples ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [8, 64, 10_000])
def test_batches_hold_what_samples_hold(released: Any, length: int) -> None:
    """In windows smaller than a document, larger than one, and larger than any shard."""
    tokens = _tokens(released, sequence_length=length, limit=6)
    (batch,) = _loader(tokens, 6)
    types = dict.fromkeys(FIELDS, torch.int64) | {"loss_mask": torch.uint8}
    assert {name: value.dtype for name, value in batch.items()} == types
    assert {tuple(batch[name].shape) for name in FIELDS[:3]} == {(6, length)}
    for row, sample in enumerate(map(tokens.sample, range(6))):
        for name in ("tokens", "loss_mask"):
            assert (batch[name][row].numpy() == sample[name]).all()
        assert batch["source_id"][row] == sample["source_id"]
        positions = batch["position_ids"][row].numpy()
        bounds = np.append(np.flatnonzero(positions == 0), length)
        assert bounds.tolist() == sample["cu_seqlens"].tolist()
        assert (np.diff(positions)[positions[1:] != 0] == 1).all()


def test_batches_of_a_large_vocabulary_hold_its_tokens(large_vocabulary: Any) -> None:
    loader = _loader(_tokens(large_vocabulary, weights={}))
    assert all(batch["tokens"][batch["loss_mask"] == 1].min() >= 200_000 for batch in loader)


# Processes ----------------------------------------------------------------------------------------
def test_dataset_pickles_small_and_again(released: Any, tmp_path: Path) -> None:
    root = fables(tmp_path, filler=200)
    make_release(root.store, root.run_id, name="first")
    dataset = as_torch(_tokens(root, limit=8))
    assert len(pickle.dumps(dataset)) < 4096
    again = dataset
    for _ in range(2):  # the second time before it has opened anything
        again = pickle.loads(pickle.dumps(again))  # noqa: S301 -- the test's own
    copied = copy.deepcopy(dataset)
    whole = [sample["tokens"].tolist() for sample in dataset]
    assert [sample["tokens"].tolist() for sample in again] == whole
    assert [sample["tokens"].tolist() for sample in copied] == whole


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_worker_that_finds_no_release_tells_the_trainer(fresh_root: Any, context: str) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    loader = _loader(_tokens(fresh_root), num_workers=1, multiprocessing_context=context)
    fresh_root.store.delete("releases/first")
    with pytest.raises(ReleaseError, match="no release 'first'"):
        next(iter(loader))


# As written ---------------------------------------------------------------------------------------
def test_training_as_the_readme_shows_it_learns(
    released: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "phloem-data").symlink_to(released.store.root)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 -- the page's own code
    losses = names["losses"]
    assert len(losses) == 2 * len(names["loader"])
    assert names["saved"] == 2 * names["tokens"].sequences
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
