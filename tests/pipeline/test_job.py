"""Jobs: the stages in their order, and that every document is accounted for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_engine import InlineEngine, finish, job_of
from rich.console import Console
from tiny_workspace import make_workspace, new_root, recipe_of

from phloem.catalog.ledger import Balance, BalanceError
from phloem.catalog.manifest import Shard, commit
from phloem.catalog.runs import load_run, run_ids
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.job import balance
from phloem.pipeline.local import Failure
from phloem.pipeline.progress import Progress
from phloem.pipeline.record import Request
from phloem.pipeline.registry import load_registry
from phloem.pipeline.stage import STAGES, Task
from phloem.pipeline.workspace import load_workspace

COUNTS = st.integers(0, 1000)
PARTS = st.lists(st.tuples(st.sampled_from("abc"), COUNTS, COUNTS, COUNTS, COUNTS), max_size=12)


def _shard(source: str, **counts: int) -> Shard:
    return Shard("s", "k", (), {"source": source, **counts})


@given(PARTS)
def test_balance_adds_up_what_shards_say_of_each_source(
    parts: list[tuple[str, int, int, int, int]],
) -> None:
    """Of each part: records unreadable at ingest, then kept, dropped and quarantined later."""
    ingested = [_shard(s, read=sum(counts), quarantined=counts[0]) for s, *counts in parts]
    decided = [_shard(s, kept=k, dropped=d, quarantined=q) for s, _, k, d, q in parts]
    found = balance("abc", ingested, decided)
    assert list(found) == ["a", "b", "c"]
    for source, counts in found.items():
        own = [rest for name, *rest in parts if name == source]
        assert counts.read == sum(map(sum, own))
        assert counts.kept == sum(rest[1] for rest in own)
        assert counts.dropped == sum(rest[2] for rest in own)
        assert counts.quarantined == sum(rest[0] + rest[3] for rest in own)
        assert counts.holds


def test_balance_of_a_source_that_gave_nothing_is_there() -> None:
    assert balance(["silent"], [], []) == {"silent": Balance(0, 0, 0, 0)}


def test_balance_without_a_ledger_does_not_hold() -> None:
    found = balance(["a"], [_shard("a", read=3, quarantined=1)], [])
    assert found == {"a": Balance(3, 0, 0, 1)}
    assert not found["a"].holds


def test_steps_of_a_job_make_every_stage_and_lose_nothing(tmp_path: Path) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    job = job_of(folder, root)
    made = finish(job, Store(str(root)))
    assert set(made) == {*STAGES, "clean", "settled"}
    assert [stage for stage in made if stage in STAGES] == list(STAGES)
    found = balance(job.cards, made["ingest"], made["decide"])
    assert found == {"first": Balance(9, 6, 2, 1), "second": Balance(3, 1, 2, 0)}


class LossyEngine(InlineEngine):
    """Its `decide` counts one document less than it was given."""

    def run(
        self, stage: str, tasks: Sequence[Task], done: Callable[[Task, Sequence[Shard]], None]
    ) -> list[Failure]:
        def lose(task: Task, shards: Sequence[Shard]) -> None:
            for shard in shards if stage == "decide" else ():
                facts = {**shard.facts, "dropped": shard.facts["dropped"] - 1}
                commit(Store(self.root), replace(shard, facts=facts))
            done(task, shards)

        return super().run(stage, tasks, lose)


@contextmanager
def lossy(root: str, workers: int) -> Iterator[InlineEngine]:
    yield LossyEngine(root)


def test_run_that_loses_documents_fails_and_releases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    monkeypatch.setattr(running, "engine", lossy)
    workspace = load_workspace(folder)
    request = Request(recipe_of(folder), str(root), 1)
    with pytest.raises(BalanceError) as error:
        running.run(request, load_registry(workspace), workspace, Progress(Console(quiet=True)))
    assert "first: 9 read, but 6 kept + 1 dropped + 1 quarantined = 8" in str(error.value)
    assert "second: 3 read, but 1 kept + 1 dropped + 0 quarantined = 2" in str(error.value)
    store = Store(str(root))
    (run_id,) = run_ids(store)
    record = load_run(store, run_id)
    assert (record["status"], record["release"]) == ("failed", None)
    assert "does not balance" in record["error"]
    assert not (root / "releases").exists()
