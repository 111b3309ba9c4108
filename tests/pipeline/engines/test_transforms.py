"""The Beam graph: what may flow in it, and that it does what the plain functions do."""

import json
import platform
import re
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor
from eager import eager
from inline_engine import finish, job_of
from tiny_workspace import make_workspace, new_root

from phloem.catalog.columns import schema
from phloem.catalog.manifest import Ref, Shard, read_arrow, write_parquet
from phloem.catalog.store import Store
from phloem.filters.op import find_op
from phloem.pipeline.engines import transforms
from phloem.pipeline.engines.batches import RecordBatchCoder
from phloem.pipeline.engines.build import build as build_of_this
from phloem.pipeline.engines.engine import WorkerError, noted_reason
from phloem.pipeline.engines.transforms import build, run_here, transform
from phloem.pipeline.job import steps
from phloem.pipeline.stage import Task, made
from phloem.pipeline.stages import BY_NAME, bands, run_task
from phloem.pipeline.stages.measure import HASHES

LOCAL = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
PORTABLE = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]

ALLOWED = {
    "beam:transform:impulse:v1",
    "beam:transform:pardo:v1",
    "beam:transform:group_by_key:v1",
    "beam:transform:flatten:v1",
    "beam:transform:reshuffle:v1",
}


def _pipeline(stage: str) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=PipelineOptions(LOCAL))
    build(pipeline, stage, "memory://graph", ["{}"])
    return pipeline


@pytest.mark.parametrize("stage", BY_NAME)
def test_graph_needs_nothing_that_a_portable_runner_lacks(stage: str) -> None:
    proto = _pipeline(stage).to_runner_api()
    assert list(proto.requirements) == []
    leaves = {
        each.spec.urn
        for each in proto.components.transforms.values()
        # A composite that hands its input on as it is has no parts, and runs nothing.
        if not each.subtransforms and set(each.inputs.values()) != set(each.outputs.values())
    }
    assert leaves <= ALLOWED


@pytest.mark.parametrize("stage", BY_NAME)
def test_graph_has_a_typed_coder_on_every_collection_of_ours(stage: str) -> None:
    """Beam's own Impulse and the keys of its Reshuffle are bytes and small numbers."""

    class Typed(PipelineVisitor):
        def __init__(self) -> None:
            self.untyped: list[str] = []

        def visit_value(self, value: Any, producer_node: Any) -> None:
            own = "Spread/" not in producer_node.full_label
            if own and value.element_type in {None, Any, beam.typehints.Any}:
                self.untyped.append(producer_node.full_label)

    visitor = Typed()
    _pipeline(stage).visit(visitor)
    create = [label for label in visitor.untyped if label.startswith("Tasks/")]
    assert visitor.untyped == create


def test_coder_writes_a_slice_without_its_parent() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["x" * 1000] * 1000})
    coder = RecordBatchCoder()
    encoded = coder.encode(batch.slice(500, 3))
    assert len(encoded) < 10_000
    assert coder.decode(encoded).equals(batch.slice(500, 3))
    assert coder.estimate_size(batch) == batch.nbytes


def test_coder_is_the_one_that_beam_uses() -> None:
    assert isinstance(beam.coders.registry.get_coder(pa.RecordBatch), RecordBatchCoder)


def _signatures(store: Store, texts: list[list[str]]) -> tuple[Ref, ...]:
    """Files of signatures, as the stage `measure` writes them."""
    op = find_op("minhash", {})
    found = []
    for number, column in enumerate(texts):
        batch = pa.RecordBatch.from_pydict({"text": column})
        table = pa.table({"minhash": op(batch).arrays[0]})
        file = write_parquet(store, f"measure/{number}", "minhash.parquet", table)
        found.append(Ref(f"measure/{number}/{file.name}", file.sha256, file.bytes, file.rows))
    return tuple(found)


TEXTS = [
    ["the quick brown fox jumps over the lazy dog", "人人生而自由，在尊严和权利上一律平等", ""],
    ["the quick brown fox jumps over the lazy dog", "something else that stands quite alone"],
    ["人人生而自由，在尊严和权利上一律平等"],
]


def _bands(store: Store, ranges: int, *numbers: int) -> Task:
    """A task of these bands, over the same files of signatures."""
    own = tuple(bands.Band(number=number, key=f"k{number}") for number in numbers)
    files = _signatures(store, TEXTS)
    work = bands.BandsWork(bands=own, rows=8, ranges=ranges, signatures=files)
    return Task("bands", tuple(("bands", band.key) for band in own), "bands", work)


# Without a runner ---------------------------------------------------------------------------------
def test_transforms_of_a_whole_job_commit_what_its_functions_make(tmp_path: Path) -> None:
    folder = make_workspace(tmp_path / "workspace")
    plain_root, root = new_root(tmp_path / "plain"), new_root(tmp_path / "root")
    expected: dict[str, list[Shard]] = {}
    finish(job_of(folder, plain_root), Store(plain_root), expected)
    store, found = Store(root), {}
    going = steps(job_of(folder, root), store, found)
    step = next(going)
    with suppress(StopIteration):
        while True:
            carrying = transform(step.stage, str(root), "")
            told = eager(carrying, [task.to_json() for task in step.tasks])
            committed = [made(store, task) for task in step.tasks]
            assert sorted(told) == sorted(
                json.dumps(shard.to_json(), sort_keys=True)
                for shards in committed
                for shard in shards
            )
            step = going.send(committed)
    assert found == expected
    assert found.keys() >= {"ingest", "bands", "dedup", "tokenize"}


def test_a_task_that_fails_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    root = new_root(tmp_path / "root")
    store = Store(root)
    first, second = next(steps(job_of(make_workspace(tmp_path / "w"), root), store, {})).tasks
    Path(tmp_path / "w" / "first.jsonl").unlink()
    (told,) = eager(transform("ingest", str(root), ""), [first.to_json(), second.to_json()])
    (shard,) = made(store, second)
    assert json.loads(told) == shard.to_json()
    assert made(store, first) is None
    assert "first.jsonl is gone since it was listed" in noted_reason(store, first)
    assert noted_reason(store, second) is None


@pytest.mark.parametrize("stage", BY_NAME)
def test_a_worker_built_otherwise_makes_nothing_and_says_why(stage: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    task = replace(
        _bands(store, 1, 3), stage=stage, makes=((stage, "k3"),)
    )  # whose work it may not know
    other = json.dumps({**json.loads(build_of_this()), "pyarrow": "1.0"})
    carrying = transform(stage, str(tmp_path), other)
    if BY_NAME[stage].shuffle:  # a part must fail its whole pipeline
        with pytest.raises(WorkerError, match=f"^on worker {platform.node()}: .* pyarrow"):
            eager(carrying, [task.to_json()])
    else:
        assert eager(carrying, [task.to_json()]) == []
    noted = noted_reason(store, task) or ""
    assert re.match(f"on worker {platform.node()}: .* pyarrow", noted)
    assert made(store, task) is None


class ChokedError(Exception):
    """What a library raises, with what it choked on."""


TEXT = "Lieber Ödön, dies ist privat"


@pytest.mark.parametrize("stage", ["tally", "bands"])
@pytest.mark.parametrize("opens", [True, False])
def test_a_worker_elsewhere_that_can_leave_no_note_raises_one_line_without_text(
    stage: str, opens: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choke(*_: object) -> None:
        raise ChokedError(TEXT)

    task = replace(_bands(Store(tmp_path), 1, 3), stage=stage, makes=((stage, "k3"),))
    monkeypatch.setattr(transforms, "note_failure" if opens else "Store", choke)
    if opens:
        monkeypatch.setattr(transforms, "require_same", choke)
    with pytest.raises(WorkerError) as error:
        eager(transform(stage, str(tmp_path), build_of_this()), [task.to_json()])
    told = "".join(traceback.format_exception(error.value))
    assert f"on worker {platform.node()}: ChokedError at " in told
    assert TEXT not in told


@pytest.mark.parametrize("ranges", [1, 2, 7])
def test_bands_of_any_ranges_are_what_the_plain_function_writes(
    ranges: int, tmp_path: Path
) -> None:
    plain, store = Store(tmp_path / "plain"), Store(tmp_path / "eager")
    expected = run_task(plain, _bands(plain, ranges, 3, 5))
    task = _bands(store, ranges, 3, 5).to_json()
    found = [json.loads(told) for told in eager(transform("bands", store.root, ""), [task])]
    assert found == [shard.to_json() for shard in expected]
    alone = [run_task(plain, _bands(plain, ranges, number))[0] for number in (3, 5)]
    assert alone == expected  # which bands are taken together changes no byte


# Through Beam -------------------------------------------------------------------------------------
def _portable(root: str, tasks: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(PORTABLE)) as pipeline:
        build(pipeline, "bands", root, tasks)


@pytest.mark.beam
@pytest.mark.parametrize("run", [run_here, _portable], ids=["local", "portable"])
def test_bands_through_beam_are_what_the_plain_function_writes(
    run: Callable[[str, list[str]], None], tmp_path: Path
) -> None:
    plain, beamed = Store(tmp_path / "plain"), Store(tmp_path / "beamed")
    (expected,) = run_task(plain, _bands(plain, 2, 3))
    task = _bands(beamed, 2, 3)
    run(str(tmp_path / "beamed"), [task.to_json()])
    found = json.loads(beamed.read_bytes("bands/k3/shard.json"))
    assert found["facts"] == {"edges": 2}
    assert found["files"] == expected.to_json()["files"]
    edges = [
        tuple(pair.values())
        for file in found["files"]
        for pair in read_arrow(beamed, f"bands/k3/{file['name']}").read_all().to_pylist()
    ]
    assert sorted(edges) == [(0, 3), (1, 5)]


def test_whole_texts_leave_empty_ones_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [
        {"id": str(n), "text_hash": hash_, "text_bytes": size, "clean_fault": None}
        for n, (hash_, size) in enumerate([("ab" * 16, 5), ("00" * 16, 0)] * 2)
    ]
    table = pa.Table.from_pylist(rows, schema(HASHES))
    file = write_parquet(store, "clean/0", "hashes.parquet", table)
    ref = Ref("clean/0/hashes.parquet", file.sha256, file.bytes, 4)
    band = bands.Band(number=bands.EXACT, key="k")
    work = bands.BandsWork(bands=(band,), rows=None, ranges=1, hashes=(ref,))
    (shard,) = bands.run(store, "k", work)
    assert shard.facts["edges"] == 1
