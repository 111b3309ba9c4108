"""What a run would do: exact as far as it can be known, and no further."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from inline_engine import finish, job_of
from tiny_workspace import FIRST, add_source, change_recipe, make_workspace, new_root

from phloem.catalog.manifest import Shard
from phloem.catalog.store import Store
from phloem.pipeline.plan import BYTES_PER_PLAIN, Planned, disk_needed, plan, written_bytes
from phloem.pipeline.recipe import Tokenizer
from phloem.sources.connector import PinnedFile

Done = tuple[Path, Path]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A workspace and its root, all stages done. Do not change them: copy."""
    top = tmp_path_factory.mktemp("plan")
    folder, root = make_workspace(top / "workspace"), new_root(top / "root")
    finish(job_of(folder, root), Store(root), {})
    return folder, root


@pytest.fixture
def copied(done: Done, tmp_path: Path) -> Done:
    """A copy to change."""
    return tuple(Path(shutil.copytree(path, tmp_path / path.name)) for path in done)  # type: ignore[return-value]


def _written(*paths: Path) -> int:
    return BYTES_PER_PLAIN * sum(path.stat().st_size for path in paths)


def test_plan_of_a_fresh_root_knows_the_first_stage_only(done: Done, tmp_path: Path) -> None:
    folder, _ = done
    job, store = job_of(folder, new_root(tmp_path / "root")), Store(tmp_path / "root")
    first, *others = plan(job, store)
    files = [folder / "first.jsonl", folder / "second.jsonl"]
    assert first == Planned("ingest", 2, 2, sum(path.stat().st_size for path in files))
    assert others == [Planned(stage, None, None, 0) for stage in job.stages[1:]]
    assert disk_needed(job, store) == _written(*files)
    assert {path.name for path in (tmp_path / "root").iterdir()} == {"fetched"}


@pytest.mark.parametrize(
    ("name", "times"), [("a.jsonl", 4), ("b.txt", 4), ("c.jsonl.gz", 12), ("d.deb", 12)]
)
def test_written_bytes_of_packed_files_are_more(name: str, times: int) -> None:
    assert written_bytes(PinnedFile(name, "0" * 64, 10)) == 10 * times


def test_plan_of_a_finished_root_has_nothing_to_do(done: Done) -> None:
    folder, root = done
    job = job_of(folder, root)
    planned = plan(job, Store(root))
    assert [each.stage for each in planned] == list(job.stages)
    assert {(each.missing, each.bytes) for each in planned} == {(0, 0)}
    assert all(each.tasks for each in planned)
    assert disk_needed(job, Store(root)) == 0


def test_plan_after_one_more_source_needs_room_for_that_one(copied: Done) -> None:
    folder, root = copied
    add_source(folder, "third", FIRST[:2])
    change_recipe(folder, "[first, second]", "[first, second, third]")
    job = job_of(folder, root)
    first, second, *_ = plan(job, Store(root))
    assert (first.tasks, first.missing) == (3, 1)
    assert first.bytes == (folder / "third.jsonl").stat().st_size
    assert second.missing is None
    assert disk_needed(job, Store(root)) == _written(folder / "third.jsonl")


def test_plan_after_a_moved_threshold_is_exact_down_to_the_filter(copied: Done) -> None:
    folder, root = copied
    change_recipe(folder, "min: {default: 5,", "min: {default: 2,")
    job = job_of(folder, root)
    known = [each.missing for each in plan(job, Store(root))]
    assert known[:5] == [0, 0, 0, 0, 2]
    assert set(known[5:]) == {None}
    assert disk_needed(job, Store(root)) == 0


def test_plan_after_a_file_was_cut_remakes_its_shard(copied: Done) -> None:
    folder, root = copied
    victim = next(root.glob("compose/*/text.arrow"))
    victim.write_bytes(victim.read_bytes()[:-1])
    planned = {each.stage: each.missing for each in plan(job_of(folder, root), Store(root))}
    assert planned["compose"] == 1
    assert planned["tokenizer"] is None


def test_plan_with_a_given_tokenizer_trains_none(done: Done, tmp_path: Path) -> None:
    folder, _ = done
    job = job_of(folder, new_root(tmp_path / "root"))
    recipe = job.recipe.model_copy(update={"tokenizer": Tokenizer(file="t.json", sha256="0" * 64)})
    given = dataclasses.replace(job, recipe=recipe, tokenizer=Shard("tokenizer", "0" * 32, ()))
    planned = plan(given, Store(tmp_path / "root"))
    assert [each.stage for each in planned] == [name for name in job.stages if name != "tokenizer"]
