"""One digest, however the work is shared out, cut up and computed."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faults import outcome, started
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from tiny_workspace import run_tiny

from phloem.catalog import manifest
from phloem.catalog.manifest import Dataset, read_arrow
from phloem.catalog.store import Store
from phloem.catalog.views import connect
from phloem.pipeline.engines import local
from phloem.pipeline.stage import Task
from phloem.sources import records

World = tuple[Path, Path, dict[str, Any]]


@pytest.mark.fault(
    fault="one worker instead of two",
    promise="the same bytes",
)
@pytest.mark.beam
@pytest.mark.nightly
def test_one_worker_alone_changes_no_byte(world: World, fresh: Path) -> None:
    folder, root, before = world
    assert outcome(fresh, run_tiny(folder, fresh, workers=1)) == outcome(root, before)


@pytest.mark.beam
@pytest.mark.usefixtures("local_only")
@pytest.mark.fault(
    fault="four workers instead of two, and tasks in another order, each in a pipeline of its own",
    promise="the same bytes",
)
def test_four_workers_and_another_order_change_no_byte(
    world: World, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, before = world
    chosen = random.Random(7)  # noqa: S311 - an order, no secret

    def shuffled(tasks: Sequence[Task], workers: int) -> list[list[Task]]:
        del workers
        return [[task] for task in chosen.sample(list(tasks), len(tasks))]

    monkeypatch.setattr(local, "waves", shuffled)
    assert outcome(fresh, run_tiny(folder, fresh, workers=4)) == outcome(root, before)


def _tokens(root: Path, record: dict[str, Any]) -> dict[str, list[int]]:
    """The tokens of every document."""
    store = Store(str(root))
    found = {}
    for shard in Dataset.load(store, record["datasets"]["tokenize"]).shards:
        table = read_arrow(store, shard.path("tokens.arrow")).read_all()
        found |= dict(zip(table["id"].to_pylist(), table["tokens"].to_pylist(), strict=True))
    return found


@pytest.mark.nightly
@pytest.mark.usefixtures("local_only")
@pytest.mark.fault(
    fault="sources are read in batches of seven documents instead of thousands",
    promise="the same bytes: the writer cuts its batches by the rows alone",
)
def test_batches_of_the_reader_change_no_byte(
    world: World, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, before = world
    monkeypatch.setattr(records, "BATCH_ROWS", 7)
    assert outcome(fresh, run_tiny(folder, fresh)) == outcome(root, before)


@pytest.mark.usefixtures("local_only")
@pytest.mark.fault(
    fault="files are written, and so measured, in batches of another size",
    promise="every measure, verdict and token is the same, only the cuts in the files differ",
)
def test_batches_of_files_change_no_verdict_and_no_token(
    world: World, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, before = world
    monkeypatch.setattr(manifest, "BATCH_ROWS", 50)
    monkeypatch.setattr(manifest, "BATCH_BYTES", 20_000)
    record = run_tiny(folder, fresh)
    assert record["balance"] == before["balance"]
    assert outcome(fresh, record)["ingest"] != outcome(root, before)["ingest"]
    decided = "select id, verdict, reason, value, failed_rules from decisions order by id"
    one, two = (connect(Store(str(each))).execute(decided).fetchall() for each in (fresh, root))
    assert one == two
    assert _tokens(fresh, record) == _tokens(root, before)


@pytest.mark.nightly
@pytest.mark.beam
@pytest.mark.fault(
    fault="a processor that lacks the vector instructions of this one",
    promise="the same bytes",
)
def test_features_of_the_processor_change_no_byte(world: World, fresh: Path) -> None:
    folder, root, before = world
    lacking = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    if not lacking:
        pytest.skip("numpy uses nothing of this processor beyond its baseline")
    with started(folder, fresh, environment={"NPY_DISABLE_CPU_FEATURES": " ".join(lacking)}) as run:
        assert run.ended() == 0, run.said()
    assert outcome(fresh, run.record()) == outcome(root, before)


@pytest.mark.beam
@pytest.mark.nightly
@pytest.mark.fault(
    fault="kernels compiled for a generic processor instead of this one",
    promise="the same bytes",
)
def test_kernels_for_any_processor_change_no_byte(
    world: World, fresh: Path, tmp_path: Path
) -> None:
    folder, root, before = world
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    environment = {**generic, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    with started(folder, fresh, environment=environment) as run:
        assert run.process.wait(600) == 0, run.said()
    assert outcome(fresh, run.record()) == outcome(root, before)
