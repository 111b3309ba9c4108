"""Plans: exact down to the first stage with work, and no disk asked for what is there."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from inline_engine import finish, job_of
from tiny_workspace import change_recipe, make_workspace, new_root

from phloem.catalog.store import Store
from phloem.pipeline.plan import BYTES_PER_PACKED, Planned, disk_needed, plan
from phloem.pipeline.recipe import Tokenizer
from phloem.pipeline.stage import STAGES

Place = tuple[Path, Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A workspace and a root in which everything is made: without Beam."""
    top = tmp_path_factory.mktemp("plan")
    folder, root = make_workspace(top / "workspace"), new_root(top / "root")
    finish(job_of(folder, root), Store(str(root)))
    return folder, root


def _unknown(found: list[Planned]) -> list[str]:
    assert all(each.bytes == 0 for each in found if each.tasks is None)
    assert all((each.tasks is None) == (each.missing is None) for each in found)
    return [each.stage for each in found if each.tasks is None]


def test_plan_of_a_fresh_root_is_exact_for_the_first_stage_only(
    place: Place, tmp_path: Path
) -> None:
    root = new_root(tmp_path)
    job = job_of(place[0], root)
    first, *rest = plan(job, Store(str(root)))
    packed = sum(file.bytes for reading in job.readings for file in reading.pin.files)
    assert first == Planned("ingest", 2, 2, packed)
    assert _unknown(rest) == list(STAGES[1:])
    assert disk_needed(job, Store(str(root))) == BYTES_PER_PACKED * packed
    assert sorted(path.name for path in root.iterdir()) == ["fetched"]


def test_plan_of_a_finished_root_has_nothing_to_do(place: Place) -> None:
    folder, root = place
    job, store = job_of(folder, root), Store(str(root))
    found = plan(job, store)
    assert [each.stage for each in found] == list(STAGES)
    assert all(each.tasks and (each.missing, each.bytes) == (0, 0) for each in found)
    assert disk_needed(job, store) == 0


def test_plan_of_a_moved_threshold_begins_with_its_stage(
    place: Place, request: pytest.FixtureRequest
) -> None:
    folder, root = place
    old, new = "min: {default: 5,", "min: {default: 2,"
    change_recipe(folder, old, new)
    request.addfinalizer(lambda: change_recipe(folder, new, old))
    job, store = job_of(folder, root), Store(str(root))
    *done, judge = [each for each in plan(job, store) if each.tasks is not None]
    assert [each.stage for each in done] == ["ingest", "measure", "bands", "nominate"]
    assert all(each.missing == 0 for each in done)
    assert (judge.stage, judge.tasks, judge.missing) == ("judge", 2, 2)
    assert disk_needed(job, store) == 0


def test_plan_of_a_root_that_lost_a_shard_makes_that_one(place: Place, tmp_path: Path) -> None:
    folder, root = place
    store = Store(str(root))
    lost = min(root.glob("ingest/*/shard.json"))
    text = lost.read_bytes()
    lost.unlink()
    try:
        job = job_of(folder, root)
        (first, *rest), need = plan(job, store), disk_needed(job, store)
    finally:
        lost.write_bytes(text)
    assert (first.stage, first.tasks, first.missing) == ("ingest", 2, 1)
    assert _unknown(rest) == list(STAGES[1:])
    assert need > 0


def test_plan_with_a_given_tokenizer_trains_none(place: Place, tmp_path: Path) -> None:
    folder, root = place
    (given,) = root.glob("tokenizer/*/tokenizer.json")
    sha256 = hashlib.sha256(given.read_bytes()).hexdigest()
    job = job_of(folder, new_root(tmp_path))
    tokenizer = Tokenizer(file=str(given), sha256=sha256)
    job = replace(job, recipe=job.recipe.model_copy(update={"tokenizer": tokenizer}))
    stages = [each.stage for each in plan(job, Store(str(tmp_path)))]
    assert stages == [stage for stage in STAGES if stage != "tokenizer"]
