"""Each stage's graph runs on any runner, and a graph that would not is told what is wrong."""

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from phloem.pipeline.engines import batches
from phloem.pipeline.engines.dataflow.graph import (
    Graph,
    coder_of,
    faults,
    is_local,
    nodes,
    shuffles,
)
from phloem.pipeline.engines.transforms import build
from phloem.pipeline.stages import BY_NAME

OPTIONS = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
ROOT = "gs://bucket/root"
RESHUFFLE = "beam:transform:reshuffle:v1"


def _graph(stage: str, *works: Any) -> Graph:
    pipeline = beam.Pipeline(options=OPTIONS)
    build(pipeline, stage, ROOT, [json.dumps(work) for work in works])
    return pipeline.to_runner_api()


def _planted(transform: beam.PTransform) -> Graph:
    """A graph of named tasks and one more transform."""
    pipeline = beam.Pipeline(options=OPTIONS)
    texts = pipeline | "Tasks" >> beam.Create(["অ", "ب"]).with_output_types(str)
    _ = texts | transform
    return pipeline.to_runner_api()


# The stages ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", BY_NAME)
def test_graph_of_a_stage_has_no_fault(stage):
    assert faults(_graph(stage, {})) == []
    assert faults(_graph(stage, {"text": "ingest/k/text-00000.arrow"}, {"source": "أخبار"})) == []


def test_graph_of_bands_groups_hashes_by_range_and_files_by_band():
    assert shuffles(_graph("bands", {})) == [
        ("Bands/Spread", "str"),
        ("Bands/By range", "(str, RecordBatch)"),
        ("Bands/By key", "(str, str)"),
    ]


@pytest.mark.parametrize("stage", [name for name, stage in BY_NAME.items() if not stage.shuffle])
def test_graph_of_a_map_stage_shuffles_its_tasks_only(stage):
    (shuffle,) = shuffles(_graph(stage, {}))
    assert shuffle == (f"{stage.capitalize()}/Spread", "str")


@pytest.mark.parametrize("stage", BY_NAME)
def test_graph_spreads_once_and_nothing_that_has_no_order(stage):
    """A second `repartition` on Spark would make a lost machine the end of the whole job."""
    graph = _graph(stage, {}, {})
    (spread,) = (node for node, _ in nodes(graph) if node.spec.urn == RESHUFFLE)
    makers = [node for node, _ in nodes(graph)]
    above, seen = set(spread.inputs.values()), set()
    while more := [node for node in makers if not above.isdisjoint(node.outputs.values())]:
        makers = [node for node in makers if node not in more]
        seen |= {node.spec.urn for node in more}
        above |= {wanted for node in more for wanted in node.inputs.values()}
    assert "beam:transform:impulse:v1" in seen
    assert {RESHUFFLE, "beam:transform:group_by_key:v1"}.isdisjoint(seen)


def test_nodes_are_all_transforms_once():
    graph = _graph("bands", {}, {})
    assert sorted(node.unique_name for node, _ in nodes(graph)) == sorted(
        each.unique_name for each in graph.components.transforms.values()
    )


# What is wrong ------------------------------------------------------------------------------------
class Say(beam.DoFn):
    """Yields what it gets."""

    def __init__(self, place: str = "") -> None:
        self.place = place

    def process(self, element: str) -> Iterator[str]:
        yield element


SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", beam.coders.BytesCoder()))


class Remember(beam.DoFn):
    """Keeps a state."""

    def process(self, element: tuple[str, str], seen: Any = SEEN) -> Iterator[str]:
        seen.write(element[1].encode())
        yield element[1]


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    yield element, element


def _batches(element: str) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pydict({"text": [element]})


def test_fault_state_is_a_requirement():
    pairs = "Pair" >> beam.FlatMap(_pairs).with_output_types(tuple[str, str])
    found = faults(_planted(pairs | "Remember" >> beam.ParDo(Remember()).with_output_types(str)))
    assert "the graph requires beam:requirement:pardo:stateful:v1" in found[0]


def test_fault_elements_without_a_type_are_pickled():
    (fault,) = faults(_planted("Say" >> beam.ParDo(Say()).with_output_types(Any)))
    assert fault == "Say yields what is written by FastPrimitivesCoder: give it a type"


def test_fault_a_pair_of_untyped_things_is_pickled_too():
    pair = tuple[str, Any]
    (fault,) = faults(_planted("Say" >> beam.ParDo(Say()).with_output_types(pair)))
    assert fault == "Say yields what is written by FastPrimitivesCoder: give it a type"


def test_fault_text_crosses_a_shuffle():
    batches.register()
    made = "Texts" >> beam.FlatMap(_batches).with_output_types(pa.RecordBatch)
    (fault,) = faults(_planted(made | "Spread" >> beam.Reshuffle()))
    assert "Spread shuffles RecordBatch; what may cross is str, (str, RecordBatch)" in fault


def test_fault_group_by_a_number():
    keyed = "Key" >> beam.Map(lambda text: (len(text), text)).with_output_types(tuple[int, str])
    found = faults(_planted(keyed | "Group" >> beam.GroupByKey()))
    assert [each for each in found if "Group shuffles (int, str)" in each]


@pytest.mark.parametrize(
    ("transform", "name"),
    [
        (beam.ParDo(Say()).with_output_types(str), "ParDo(Say)"),
        (beam.FlatMap(_pairs).with_output_types(tuple[str, str]), "FlatMap(_pairs)"),
        (beam.Reshuffle().with_output_types(str), "Reshuffle"),
        ("Pair" >> beam.FlatMap(_pairs).with_output_types(tuple[str, str]) | beam.GroupByKey(),
         "GroupByKey"),
    ],
)  # fmt: skip
def test_fault_a_transform_that_nobody_named(transform, name):
    found = faults(_planted(transform))
    assert [each for each in found if f"{name} is not named" in each]


def test_fault_side_input():
    pipeline = beam.Pipeline(options=OPTIONS)
    texts = pipeline | "Tasks" >> beam.Create(["ქართული", "ไทย"]).with_output_types(str)
    other = pipeline | "Others" >> beam.Create(["中文"]).with_output_types(str)
    say = beam.Map(_beside, beam.pvalue.AsList(other)).with_output_types(str)
    _ = texts | "Beside" >> say
    found = faults(pipeline.to_runner_api())
    assert [each for each in found if each.startswith("Beside has side inputs")]


def _beside(text: str, others: list[str]) -> str:
    return text + "".join(others)


def test_fault_leaf_of_another_language():
    graph = _graph("filter", {})
    node = next(each for each, _ in nodes(graph) if each.unique_name == "Filter/Do")
    node.spec.urn = "beam:external:java:kafka:v1"
    (fault,) = faults(graph)
    assert fault == "Filter/Do is a beam:external:java:kafka:v1, which not every runner has"


@pytest.mark.parametrize("place", ["/srv/texts/corpus", "file:///data", "C:\\corpus"])
def test_fault_path_in_a_function(place):
    (fault,) = faults(_planted("Say" >> beam.ParDo(Say(place)).with_output_types(str)))
    assert fault == f"Say holds the path {place!r} of this machine"


def test_fault_path_in_a_task_however_deep():
    (fault,) = faults(_graph("ingest", {}, {"places": {"a": [{"path": "/srv/texts/a.jsonl"}]}}))
    assert fault == "Tasks holds the path '/srv/texts/a.jsonl' of this machine"


def test_fault_function_pickled_with_the_file_it_was_written_in():
    keep = "Keep" >> beam.Map(lambda text: text).with_output_types(str)
    found = faults(_planted(keep))
    assert [each for each in found if "Keep holds the path" in each and __file__ in each]


def test_fault_staged_file():
    graph = _graph("filter", {})
    staged = beam_runner_api_pb2.ArtifactFilePayload(path="/tmp/main_session")  # noqa: S108
    for environment in graph.components.environments.values():
        environment.dependencies.add(
            type_urn="beam:artifact:type:file:v1", type_payload=staged.SerializeToString()
        )
    assert faults(graph) == ["a file of this machine is staged: /tmp/main_session"]


def test_payload_that_is_packed_otherwise_is_no_silent_pass():
    graph = _graph("filter", {})
    node = next(each for each, _ in nodes(graph) if each.unique_name == "Filter/Do")
    payload = beam_runner_api_pb2.ParDoPayload.FromString(node.spec.payload)
    payload.do_fn.payload = b"not packed"
    node.spec.payload = payload.SerializeToString()
    with pytest.raises(ValueError, match="not known"):
        faults(graph)


def test_coder_of_reads_what_beam_nests():
    graph = _graph("bands", {})
    written = {
        coder_of(graph, each.coder_id) for each in graph.components.pcollections.values()
    }  # Reshuffle's own pairs of time and pane do not show
    assert "(str, [RecordBatch])" in written
    assert not [coder for coder in written if "Coder" in coder]


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("/srv/texts/x", True),
        ("file:///x", True),
        ("D:\\x", True),
        ("gs://bucket/x", False),
        ("ingest/key/text-00000.arrow", False),
        ("/", False),
        ("//div", False),
        (json.dumps({"a": "/srv"}), False),
        ("", False),
    ],
)
def test_is_local(text, local):
    assert is_local(text) is local
