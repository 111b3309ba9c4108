"""A job: its steps in order, the account of its documents, the alarm that stops it."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_engine import InlineEngine, finish, job_of
from tiny_workspace import (
    ARTICLES,
    add_source,
    change_recipe,
    make_workspace,
    new_root,
    run_tiny,
    write_jsonl,
)

from phloem.catalog.ledger import Balance, BalanceError, check_balance
from phloem.catalog.manifest import Shard, commit
from phloem.catalog.store import Store
from phloem.pipeline import job as module
from phloem.pipeline import run as running
from phloem.pipeline.engines.engine import Failure
from phloem.pipeline.job import Job, LossError, Made, balance, dataset
from phloem.pipeline.stage import Task
from phloem.pipeline.stages import BY_NAME, KINDS
from phloem.sources.cards.source import local_card
from phloem.sources.limits import Limits

EXTRA = {"clean"}  # `measure` makes them


@pytest.fixture
def job(tmp_path: Path) -> tuple[Job, Store, Path]:
    """The job of a tiny workspace, its empty root, and the workspace."""
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    return job_of(folder, root), Store(root), folder


def _ingested(source: str, read: int, quarantined: int = 0, rests: int = 0) -> Shard:
    facts = {"source": source, "read": read, "quarantined": quarantined, "rests": rests}
    return Shard("ingest", f"{source}{read}", (), facts)


def _decided(source: str, kept: int, dropped: int, quarantined: int = 0) -> Shard:
    facts = {"source": source, "kept": kept, "dropped": dropped, "quarantined": quarantined}
    facts |= {"reasons": {}}
    return Shard("decide", f"{source}{kept}", (), facts)


def test_steps_run_every_stage_once_and_balance(job: tuple[Job, Store, Path]) -> None:
    given, store, _ = job
    made: Made = {}
    assert finish(given, store, made) == list(given.stages)
    assert set(made) == {*given.stages, *EXTRA}
    assert set(BY_NAME) - set(given.stages) == {"count", "tally"}  # no op counts the texts
    counts = balance(given.cards, made["ingest"], made["decide"])
    assert counts == {"first": Balance(9, 6, 2, 1), "second": Balance(3, 1, 2, 0)}
    check_balance(counts)
    assert all(
        Store(store.root).exists(shard.folder) for shards in made.values() for shard in shards
    )


def test_steps_stop_after_decide_where_a_source_kept_nothing(tmp_path: Path) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    add_source(folder, "third", [{"id": "x", "text": "kurz", "lang": "de"}])
    change_recipe(folder, "[first, second]", "[first, second, third]")
    made: Made = {}
    with pytest.raises(LossError, match=r"policy quickstart stops the run: third: none of 1 "):
        finish(job_of(folder, root), Store(root), made)
    assert made["decide"]
    assert "compose" not in made


def test_a_source_that_others_took_is_told_by_whom(tmp_path: Path) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    copies = [
        {"id": f"{tag}{n}", "text": f"{ARTICLES[tag]}{' ' * n}", "lang": tag}
        for tag, count in (("en", 3), ("hi", 1))
        for n in range(count)
    ]
    add_source(folder, "third", copies)
    change_recipe(folder, "[first, second]", "[first, second, third]")
    made: Made = {}
    with pytest.raises(LossError, match="third: none of 4 was kept") as told:
        finish(job_of(folder, root), Store(root), made)
    names = re.search(r"4 are near duplicates, of (\w{32}) for 3, (\w{32}) for 1;", str(told.value))
    assert names, str(told.value)
    assert f"phloem explain {names[1]} --root" in str(told.value)


COUNTS = st.integers(0, 1000)
PARTS = st.lists(st.tuples(st.sampled_from("abc"), COUNTS, COUNTS, COUNTS, COUNTS), max_size=12)


@given(PARTS)
def test_balance_adds_up_what_shards_say_of_each_source(
    parts: list[tuple[str, int, int, int, int]],
) -> None:
    """Of each part: records unreadable at ingest, then kept, dropped and quarantined later."""
    ingested = [_ingested(source, sum(counts), counts[0]) for source, *counts in parts]
    decided = [_decided(source, *counts) for source, _, *counts in parts]
    found = balance("cba", ingested, decided)
    assert list(found) == ["a", "b", "c"]  # silent ones too
    for source, counts in found.items():
        own = [rest for name, *rest in parts if name == source]
        assert counts.read == sum(map(sum, own))
        assert counts.kept == sum(rest[1] for rest in own)
        assert counts.dropped == sum(rest[2] for rest in own)
        assert counts.quarantined == sum(rest[0] + rest[3] for rest in own)
        assert counts.holds


def test_balance_of_a_lost_document_does_not_hold() -> None:
    found = balance(["a"], [_ingested("a", 5, 1)], [_decided("a", 2, 1)])
    assert not found["a"].holds


class LossyEngine(InlineEngine):
    """Its `decide` counts one document less than it was given."""

    def run(
        self, stage: str, tasks: Sequence[Task], done: Callable[[Task, Sequence[Shard]], None]
    ) -> list[Failure]:
        def lose(task: Task, shards: Sequence[Shard]) -> None:
            if stage == "decide":
                (shard,) = shards
                facts = {**shard.facts, "dropped": shard.facts["dropped"] - 1}
                shards = [commit(Store(self.root), dataclasses.replace(shard, facts=facts))]
            done(task, shards)

        return super().run(stage, tasks, lose)


@contextmanager
def lossy(root: str, workers: int, limits: Limits) -> Iterator[InlineEngine]:
    del workers, limits
    yield LossyEngine(root)


def test_run_that_loses_documents_fails_and_releases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    monkeypatch.setattr(running, "open_pool", lossy)
    with pytest.raises(BalanceError) as told:
        run_tiny(folder, root, workers=1)
    assert "first: 9 read, but 6 kept + 1 dropped + 1 quarantined = 8" in str(told.value)
    assert "second: 3 read, but 1 kept + 1 dropped + 0 quarantined = 2" in str(told.value)
    (record,) = (json.loads(path.read_bytes()) for path in (root / "runs").iterdir())
    assert (record["status"], record["release"]) == ("failed", None)
    assert record["error"] == str(told.value)
    assert not (root / "releases").exists()


@pytest.mark.parametrize(
    ("ingested", "decided", "said"),
    [
        (_ingested("second", 0), _decided("second", 0, 0), "second: nothing was read"),
        (_ingested("second", 7), _decided("second", 0, 7), "second: none of 7 was kept"),
        (_ingested("second", 200, 90), _decided("second", 110, 0), "second: 90 of 200 are in"),
        (_ingested("second", 5, 1, 1), _decided("second", 4, 0), "second: the rest of 1 streams"),
    ],
)
def test_check_loss_names_source_and_reason(
    job: tuple[Job, Store, Path], ingested: Shard, decided: Shard, said: str
) -> None:
    made = {
        "ingest": [_ingested("first", 2), ingested],
        "decide": [_decided("first", 2, 0), decided],
    }
    with pytest.raises(LossError) as told:
        module._check_loss(job[0], Store("a root"), made)
    assert said in str(told.value)
    assert "first" not in str(told.value)
    assert "`phloem report --root 'a root'` shows what each rule took" in str(told.value)


def test_check_loss_of_ones_own_files_stops_nothing(job: tuple[Job, Store, Path]) -> None:
    given, _, folder = job
    write_jsonl(folder / "mine.jsonl", [])
    card = local_card(str(folder / "mine.jsonl"), text_column="text", languages=("und",))
    reading = dataclasses.replace(given.readings[0], card=card)
    own = dataclasses.replace(given, readings=(reading,))
    made = {"ingest": [_ingested("local", 3, 3, 1)], "decide": [_decided("local", 0, 0)]}
    module._check_loss(own, Store("a root"), made)


def test_rules_of_a_source_end_with_those_of_its_card(job: tuple[Job, Store, Path]) -> None:
    given, _, _ = job
    own = {"name": "long", "column": "word_count", "min": 9}
    reading = given.readings[1]
    card = reading.card.model_copy(update={"keep": (own,)})
    changed = dataclasses.replace(
        given, readings=(given.readings[0], dataclasses.replace(reading, card=card))
    )
    names = {id_: [rule.name for rule in rules] for id_, rules in changed.rules.items()}
    assert names == {
        "first": ["too_short", "language_unsure"],
        "second": ["too_short", "language_unsure", "long"],
    }
    assert dataset(changed, "decide", []).spec == {"recipe": "tiny", "rules": names}


def test_dataset_of_every_kind_says_what_of_the_recipe_bears_on_it(
    job: tuple[Job, Store, Path],
) -> None:
    given, _, _ = job
    specs = {kind.name: dataset(given, kind.name, []).spec for kind in KINDS}
    assert {spec["recipe"] for spec in specs.values()} == {"tiny"}
    assert specs["clean"]["ops"] == specs["measure"]["ops"] == [op.identity for op in given.ops]
    assert specs["dedup"]["dedup"] == {
        "bands": 14,
        "rows": 8,
        "jaccard": 0.7,
        "verify": "exact",
        "prefer": None,
    }
    assert specs["compose"]["scrub"] == dict(given.recipe.scrub)
