"""The Beam graph: what may flow in it, and that it does what the plain functions do."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor

from phloem.catalog.columns import schema
from phloem.catalog.manifest import Ref, read_arrow, write_parquet
from phloem.catalog.store import Store
from phloem.filters.op import find_op
from phloem.pipeline.engines.batches import RecordBatchCoder
from phloem.pipeline.engines.transforms import build, run_pipeline
from phloem.pipeline.stages import BY_NAME, bands, run_task
from phloem.pipeline.stages.measure import HASHES

pytestmark = pytest.mark.beam

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


@pytest.mark.parametrize("options", [LOCAL, PORTABLE], ids=["local", "portable"])
def test_bands_through_beam_writes_what_the_plain_function_writes(
    options: list[str], tmp_path: Path
) -> None:
    plain, beamed = Store(tmp_path / "plain"), Store(tmp_path / "beamed")
    tasks = []
    for store in (plain, beamed):
        files = _signatures(store, TEXTS)
        work = bands.BandsWork(band=3, rows=8, ranges=2, key="k", files=files)
        tasks.append(bands.STAGE.task("k", "band 3", work))
    (expected,) = run_task(plain, tasks[0])
    run_pipeline("bands", str(tmp_path / "beamed"), [tasks[1].to_json()], PipelineOptions(options))
    found = json.loads(beamed.read_bytes("bands/k/shard.json"))
    assert found["facts"] == {"edges": 2}
    assert found["files"] == expected.to_json()["files"]
    edges = [
        tuple(pair.values())
        for file in found["files"]
        for pair in read_arrow(beamed, f"bands/k/{file['name']}").read_all().to_pylist()
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
    work = bands.BandsWork(band=bands.EXACT, rows=None, ranges=1, key="k", files=(ref,))
    (shard,) = bands.run(store, "k", work)
    assert shard.facts["edges"] == 1
