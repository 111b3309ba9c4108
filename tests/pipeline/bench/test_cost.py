"""What a run costs: scaled from one measured run, by the sizes that the code really has."""

import dataclasses
import gc
import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from inline_engine import finish, job_of
from tiny_workspace import make_workspace, new_root
from typer.testing import CliRunner

from phloem.catalog.manifest import File, Shard
from phloem.catalog.store import Store
from phloem.pipeline.bench import cost
from phloem.pipeline.bench.cost import PRICES, Prices, PricesError, Size, costs, held, load_prices
from phloem.pipeline.cli.app import app
from phloem.pipeline.docs import scale as docs_scale
from phloem.pipeline.job import Job, Made, steps
from phloem.pipeline.recipe import load_recipe
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.stage import StageError, Task
from phloem.pipeline.stages import BY_NAME, candidates
from phloem.pipeline.workspace import Workspace

RUN = cost.measured()
ITSELF = Size(RUN.text_bytes, RUN.documents, counted_bytes=RUN.text_bytes)
ROOTS = docs_scale.sizes()["ROOTS"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Store, Made]:
    """A small job, all stages done, and its shards. Do not change it."""
    top = tmp_path_factory.mktemp("cost")
    root = new_root(top / "root")
    job, store, made = job_of(make_workspace(top / "workspace"), root), Store(str(root)), {}
    finish(job, store, made)
    return job, store, made


def _by_stage(size: Size, prices: Prices | None = None) -> dict[str, cost.Cost]:
    return {each.stage: each for each in costs(size, prices or load_prices(), RUN)}


# Scaling ------------------------------------------------------------------------------------------
def test_costs_of_the_measured_run_are_what_it_took():
    waiting = load_prices().read_mb_second * 1e6
    found = _by_stage(ITSELF)
    assert list(found) == list(BY_NAME)
    for stage in BY_NAME:
        seconds = RUN.cpu_seconds[stage] + RUN.read_bytes[stage] / waiting
        assert found[stage].core_hours == pytest.approx(seconds / 3600), stage


def test_costs_of_text_that_is_not_counted_have_no_count():
    whole, half, none = (
        _by_stage(dataclasses.replace(ROOTS, counted_bytes=ROOTS.text_bytes * part // 2))
        for part in (2, 1, 0)
    )
    assert half["count"].core_hours == pytest.approx(whole["count"].core_hours / 2, rel=1e-3)
    assert half["count"].tasks == pytest.approx(whole["count"].tasks / 2, rel=1e-3)
    assert {"count", "tally"} & none.keys() == set()
    assert [each.tasks for each in (whole["tally"], half["tally"])] == [1, 1]
    assert whole["measure"] == half["measure"] == none["measure"]


def test_costs_of_twice_the_text_are_twice_those_of_map_stages():
    once, twice = _by_stage(ROOTS), _by_stage(Size(2 * ROOTS.text_bytes, 2 * ROOTS.documents))
    for stage in ("ingest", "measure", "filter", "decide", "compose", "tokenize", "bands"):
        assert twice[stage].core_hours == pytest.approx(2 * once[stage].core_hours, rel=1e-3)
        assert twice[stage].tasks == pytest.approx(2 * once[stage].tasks, rel=1e-3)
    assert twice["bands"].shuffle_bytes == pytest.approx(2 * once["bands"].shuffle_bytes, rel=1e-3)


def test_costs_of_longer_documents_spare_the_stages_that_count_documents():
    short, long = _by_stage(ROOTS), _by_stage(Size(ROOTS.text_bytes, ROOTS.documents // 2))
    assert long["measure"].core_hours == short["measure"].core_hours
    assert long["filter"].core_hours == pytest.approx(short["filter"].core_hours / 2, rel=1e-3)


def test_costs_of_html_are_dearer_to_ingest_and_alike_after():
    plain, html = _by_stage(ROOTS), _by_stage(dataclasses.replace(ROOTS, html=True))
    assert html.pop("ingest").core_hours > 5 * plain.pop("ingest").core_hours
    assert html == plain


def test_costs_shuffle_half_of_the_text():
    """Most of it are the shingles of nominated documents, 8 bytes a word of theirs."""
    assert sum(each.shuffle_bytes for each in costs(ROOTS, load_prices(), RUN)) < (
        ROOTS.text_bytes * 0.6
    )


def test_hours_of_one_task_do_not_shrink_with_machines():
    few, many = (
        _by_stage(ROOTS, load_prices().model_copy(update={"workers": n})) for n in (1, 500)
    )
    for stage in ("candidates", "tokenizer"):
        assert few[stage].hours == many[stage].hours
        assert many[stage].workers == 1
    assert few["measure"].hours == pytest.approx(500 * many["measure"].hours)


def test_tasks_that_settle_and_share_out_are_listed_once_and_name_each_file_once():
    once, twice = ROOTS, Size(2 * ROOTS.text_bytes, 2 * ROOTS.documents)
    for stage in ("candidates", "dedup", "removals"):
        listed = [cost.listed_bytes(stage, size, RUN) for size in (once, twice)]
        assert listed[1] <= 2 * listed[0]


# Prices and energy --------------------------------------------------------------------------------
FLAT: dict[str, Any] = {
    "date": "2026-01-01",
    "note": "invented, to be summed by hand",
    "currency": "EUR",
    "vcpu_hour": 1,
    "memory_gb_hour": 0.5,
    "disk_gb_hour": 0.25,
    "shuffled_gb": 10,
    "machine": "imagined",
    "workers": 1,
    "vcpus": 2,
    "memory_gb": 4,
    "disk_gb": 8,
    "read_mb_second": 1e9,
    "energy": {"note": "", "min_watts": 1, "max_watts": 5, "memory_watts_gb": 0.5, "pue": 2},
}


def test_price_and_energy_summed_by_hand():
    """A machine costs 2 x 1 + 4 x 0.5 + 8 x 0.25 = 6 an hour, and draws 2 x 1 + 4 x 0.5 W idle."""
    measure = _by_stage(ROOTS, Prices.model_validate(FLAT))["measure"]
    machine_hours = measure.core_hours / 2
    assert measure.price == pytest.approx(6 * machine_hours + 10 * measure.shuffle_bytes / 1e9)
    watts = 4 * machine_hours + (5 - 1) * measure.core_hours
    assert measure.kwh == pytest.approx(watts * 2 / 1000, rel=1e-4)


def test_prices_of_the_project_say_that_they_are_assumptions():
    prices = load_prices()
    assert "assumption, set your own" in prices.note
    assert "Cloud Carbon Footprint" in prices.energy.note


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vcpu_hour": -1}, "vcpu_hour"),
        ({"workers": 0}, "workers"),
        ({"gpu_hour": 3}, "gpu_hour"),
        ({"energy": {**FLAT["energy"], "pue": 0.5}}, "energy.pue"),
    ],
)
def test_prices_that_cannot_be_are_told_by_name(tmp_path, change, told):
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(FLAT | change))
    with pytest.raises(PricesError, match=told):
        load_prices(path)


@pytest.mark.parametrize("text", ["", "[", "- 1"])
def test_prices_that_are_no_file_of_prices_are_told(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(PricesError, match=str(path)):
        load_prices(path)
    with pytest.raises(PricesError, match="cannot be read"):
        load_prices(tmp_path / "missing.yaml")


# Sizes of the code's own rows ---------------------------------------------------------------------
def _peak(do: Callable[[], Any]) -> tuple[int, int]:
    """Bytes that a call leaves and that it holds at its height; what it returns is kept for it."""
    gc.collect()
    tracemalloc.start()
    kept = do()
    gc.collect()
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return left, peak


def _hex(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_memory_of_candidates_is_what_a_row_and_a_member_take():
    rows, joined = 640_000, 100_000

    def join() -> list[Any]:
        named = candidates.Named(rows)
        ends = np.arange(joined, dtype=np.int64)
        candidates.mark(named.words, ends, ends)
        parent = np.arange(named.close(), dtype=np.int32)
        text, number = np.full_like(parent, -1), np.zeros_like(parent)
        is_mixed = np.zeros(len(parent), np.bool_)
        candidates.settle(parent, text, number, is_mixed, 1000)
        return [named.words, named.before, parent, text, number, is_mixed]

    candidates.compile_kernels()
    held_bytes = sum(array.nbytes for array in join())
    assert held_bytes == pytest.approx(cost.NAMED_BYTES * rows + cost.TREE_BYTES * joined, rel=0.1)


def test_memory_of_the_driver_is_what_its_records_take(tiny):
    _, _, made = tiny
    file = File("minhash.parquet", _hex(0), 2_071_614, 5083)
    record = Shard("measure", _hex(1)[:32], (file,), {"source": "a-source", "documents": 5083})
    text = json.dumps(record.to_json())
    left, _ = _peak(lambda: [Shard.from_json(json.loads(text)) for _ in range(2000)])
    assert left / 2000 == pytest.approx(cost.SHARD_BYTES, rel=0.25)
    of_files = ("ingest", "clean", "measure", "filter", "decide", "compose", "tokenize")
    files = len(made["clean"])
    # The small recipe measures with two ops less than `quickstart`.
    assert sum(len(made[stage]) for stage in of_files) == (cost.SHARDS_OF_FILE - 2) * files


def _tasks(tiny: tuple[Job, Store, Made]) -> Iterator[Task]:
    job, store, _ = tiny
    going = steps(job, store, {})
    step = next(going)
    try:
        while True:
            yield from step.tasks
            step = going.send([_found(store, task) for task in step.tasks])
    except StopIteration:
        return


def _found(store: Store, task: Task) -> list[Shard]:
    shards = cost.made(store, task)
    assert shards is not None
    return shards


def test_bytes_of_tasks_are_about_what_the_code_writes(tiny):
    """Paths of this machine and a recipe's rules make them longer or shorter, by a half or so."""
    for task in _tasks(tiny):
        said = RUN.task_bytes[task.stage] + 2 * RUN.file_bytes.get(task.stage, 0)
        if task.stage != "filter":  # it lists the rules, of which `quickstart` has many more
            assert len(task.to_json()) == pytest.approx(said, rel=0.6), task.stage


def test_measured_run_is_of_the_recipe_that_the_estimates_are_for():
    recipe = load_recipe("quickstart", Workspace(), sorted(load_registry(Workspace()).cards))
    assert recipe.dedup is not None
    assert recipe.dedup.bands == RUN.bands
    assert set(RUN.cpu_seconds) == set(RUN.read_bytes) == set(RUN.task_bytes) == set(BY_NAME)
    measuring = [op for op in recipe.bound_ops(Workspace()) if op.kind != "rewrite"]
    assert len(measuring) == cost.OPS


def test_held_grows_with_documents():
    small, large = (
        {each.step: each.bytes for each in held(Size(n * 10**9, n * 10**6), RUN)} for n in (1, 100)
    )
    assert all(large[step] >= 50 * small[step] for step in small if "settle" not in step)
    (step,) = (each for each in small if "settle" in each)  # a range has a size of its own
    assert large[step] == small[step]


# Of a job -----------------------------------------------------------------------------------------
def test_size_of_a_finished_job_is_known(tiny):
    job, store, made = tiny
    size, known = cost.size_of(job, store, RUN)
    assert known
    assert size.documents == sum(shard.facts["documents"] for shard in made["ingest"])
    assert not size.html
    assert size.text_bytes == sum(
        file.bytes for shard in made["ingest"] for file in shard.files if "text-" in file.name
    )


def test_size_of_a_fresh_job_is_guessed_from_what_is_packed(tiny, tmp_path):
    job, _, _ = tiny
    size, known = cost.size_of(job, Store(str(tmp_path)), RUN)
    packed = sum(file.bytes for reading in job.readings for file in reading.pin.files)
    assert not known
    assert size.html
    assert size.text_bytes == cost.TEXT_PER_PACKED * packed


def test_size_of_nothing_is_refused(tiny, tmp_path):
    job, _, _ = tiny
    with pytest.raises(StageError, match="no document"):
        cost.size_of(dataclasses.replace(job, readings=()), Store(str(tmp_path)), RUN)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `phloem plan tiny` with more arguments, in a small workspace."""
    monkeypatch.chdir(make_workspace(tmp_path / "workspace"))
    root = new_root(tmp_path / "root")
    return lambda *more: CliRunner().invoke(app, ["plan", "tiny", "--root", str(root), *more])


def test_plan_cost_shows_every_stage_and_what_it_stands_on(plan):
    done = plan("--cost")
    assert done.exit_code == 0, done.output
    assert all(stage in done.stdout for stage in set(BY_NAME) - {"count", "tally"})
    assert "tally" not in done.stdout  # no op of the recipe counts the texts
    assert "set your own" in done.stdout
    assert "memory of one process" in done.stdout


def test_plan_cost_as_json_and_with_prices_of_ones_own(plan, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(FLAT))
    done = plan("--prices", str(path), "--json")
    assert done.exit_code == 0, done.output
    estimate = json.loads(done.stdout)["cost"]
    assert estimate["prices"]["currency"] == "EUR"
    assert [row["stage"] for row in estimate["stages"]] == [
        stage for stage in BY_NAME if stage not in ("count", "tally")
    ]
    assert all(row["price"] > 0 and row["kwh"] > 0 for row in estimate["stages"])


def test_plan_cost_refuses_prices_that_cannot_be(plan, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("vcpu_hour: free")
    done = plan("--prices", str(path))
    assert done.exit_code == 2
    assert f"start from a copy of {PRICES}" in " ".join(done.output.split())


def test_plan_without_cost_says_nothing_of_it(plan):
    assert "cost" not in json.loads(plan("--json").stdout)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.0123, "0.012"), (1.25, "1.2"), (12.4, "12"), (123456.7, "123,457")],
)
def test_short_keeps_two_digits_or_whole_numbers(value, shown):
    assert cost.short(value) == shown
