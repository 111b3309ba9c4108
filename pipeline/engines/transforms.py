"""The Beam graph: one pipeline a stage, `tasks | spread | fused ParDos | own writer`.

What crosses a shuffle is tasks, file records and packed blocks of numbers: never text.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from phloem.catalog.manifest import File, canonical
from phloem.catalog.store import Store
from phloem.pipeline.engines import batches
from phloem.pipeline.engines.build import require_same
from phloem.pipeline.engines.engine import note_failure, on_worker
from phloem.pipeline.engines.runners import local_options
from phloem.pipeline.reason import reason_of
from phloem.pipeline.stage import Shuffle, inputs_verified, made
from phloem.pipeline.stages import BY_NAME, run_task, task_of

batches.register()


class DoTask(beam.DoFn):
    """Do a task as one plain function: it reads committed shards and commits its own."""

    def __init__(self, root: str, built: str) -> None:
        """Keep the root's URL, and how the driver is built; the store is opened on the worker."""
        self.root, self.built = root, built

    def setup(self) -> None:
        """Open the root once a worker."""
        with _told(bool(self.built)):
            self.store = Store(self.root)

    def process(self, element: str) -> Iterator[str]:
        """Commit what the task makes, unless it is there; yields each shard's record.

        An error is noted on the root and goes no further: it would fail the tasks beside it, and
        take text of a document along into the runner's logs. Where the root takes no note, it
        must: nobody would hear of it.
        """
        try:
            if self.built:  # before all else: another Phloem may not know this task's model
                require_same(self.built)
            task = task_of(element)
            # A runner elsewhere may do a task again that has committed; here it was just asked.
            shards = (self.built and made(self.store, task)) or run_task(self.store, task)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            (kind, key), label = _said(element)
            told = on_worker(reason_of(error)) if self.built else error
            try:
                note_failure(self.store, (kind, key), label, told)
            except Exception as noting:
                if not self.built:
                    raise
                noting.__context__ = None  # that is the task's error, which is told first
                said = f"{reason_of(error)}; nor could that be noted: {reason_of(noting)}"
                raise on_worker(said) from None
            return
        for shard in shards:
            yield json.dumps(shard.to_json(), sort_keys=True)


@contextmanager
def _told(elsewhere: bool) -> Iterator[None]:
    """On a worker elsewhere, let an error through as one line that the driver can be shown."""
    try:
        yield
    except Exception as error:
        if not elsewhere:
            raise
        raise on_worker(reason_of(error)) from None


def _said(element: str) -> tuple[tuple[str, str], str]:
    """The first shard that a task makes, and its label, whatever its work is."""
    value = json.loads(element)
    kind, key = value["makes"][0]
    return (kind, key), value["label"]


class Each(beam.PTransform):
    """Tasks of a stage, in any order, become committed shards."""

    def __init__(self, root: str, built: str) -> None:
        """Work under this root, on workers that are built like this."""
        super().__init__()
        self.root, self.built = root, built

    def expand(self, pcoll: beam.PCollection[str]) -> beam.PCollection[str]:
        """Spread the tasks, do each."""
        spread = pcoll | "Spread" >> beam.Reshuffle().with_output_types(str)
        return spread | "Do" >> beam.ParDo(DoTask(self.root, self.built)).with_output_types(str)


class Grouped(beam.PTransform):
    """Tasks of a stage that groups what their parts give become committed shards."""

    def __init__(self, stage: str, root: str, built: str) -> None:
        """Do this stage under this root, on workers that are built like this."""
        super().__init__()
        self.stage, self.root, self.built = stage, root, built

    def expand(self, pcoll: beam.PCollection[str]) -> beam.PCollection[str]:
        """Read each part, group its blocks by range, write each range, commit each task's shard."""
        parts = ListParts(self.stage, self.root, self.built)
        blocks = ReadBlocks(self.stage, self.root, self.built)
        return (
            pcoll
            | "Parts" >> beam.ParDo(parts).with_output_types(str)
            | "Spread" >> beam.Reshuffle().with_output_types(str)
            | "Blocks" >> beam.ParDo(blocks).with_output_types(tuple[str, pa.RecordBatch])
            | "By range" >> beam.GroupByKey()
            | "Write"
            >> beam.ParDo(WriteRange(self.stage, self.root)).with_output_types(tuple[str, str])
            | "By key" >> beam.GroupByKey()
            | "Commit" >> beam.ParDo(CommitShard(self.stage, self.root)).with_output_types(str)
        )


def _shuffle(stage: str) -> Shuffle[Any, Any]:
    shuffle = BY_NAME[stage].shuffle
    if shuffle is None:
        raise ValueError(f"stage {stage} does not group: it is carried by Each")
    return shuffle


@contextmanager
def _opened(root: str, stage: str, key: str) -> Iterator[Store]:
    """The root, for a part of a shard; why the shard could not be made is left there, and raised.

    Of a part it must fail the whole pipeline: without the part the shard would be whole to look
    at. It is raised as one line, without text of a document, for the driver to be shown.
    """
    try:
        store = Store(root)
        with inputs_verified(store):
            yield store
    except Exception as error:  # noqa: BLE001 - whatever it is, it fails the pipeline
        told = on_worker(reason_of(error))
        with suppress(Exception):  # the root itself may be what failed
            note_failure(Store(root), (stage, key), key, told)
        raise told from None


class ListParts(beam.DoFn):
    """A task becomes its parts, which are spread."""

    def __init__(self, stage: str, root: str, built: str) -> None:
        """Keep the stage, the root's URL, and how the driver is built."""
        self.stage, self.root, self.built = stage, root, built

    def process(self, element: str) -> Iterator[str]:
        """Yield each part with the key of the shard that it is of."""
        (_, key), _ = _said(element)
        with _opened(self.root, self.stage, key):
            if self.built:
                require_same(self.built)
            work = task_of(element).work
            for part in _shuffle(self.stage).parts(work):
                yield canonical({"key": key, "part": part.model_dump(mode="json")}).decode()


class ReadBlocks(beam.DoFn):
    """One part of a task becomes blocks of numbers, keyed `key of the shard/range`."""

    def __init__(self, stage: str, root: str, built: str) -> None:
        """Keep the stage, the root's URL, and how the driver is built."""
        self.stage, self.root, self.built = stage, root, built

    def process(self, element: str) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield a block for each range of each shard, as far as it has rows."""
        given, shuffle = json.loads(element), _shuffle(self.stage)
        with _opened(self.root, self.stage, given["key"]) as store:
            if self.built:
                require_same(self.built)
            part = shuffle.part.model_validate(given["part"])
            for own, number, block in shuffle.blocks(store, part):
                yield f"{own}/{number}", block


class WriteRange(beam.DoFn):
    """All blocks of one range become one file."""

    def __init__(self, stage: str, root: str) -> None:
        """Keep the stage and the root's URL."""
        self.stage, self.root = stage, root

    def process(self, element: tuple[str, Iterable[pa.RecordBatch]]) -> Iterator[tuple[str, str]]:
        """Write the range; yields (key of the shard, file record)."""
        name, found = element
        key, _, number = name.rpartition("/")
        with _opened(self.root, self.stage, key) as store:
            file = _shuffle(self.stage).write(store, key, int(number), list(found))
        yield key, json.dumps(asdict(file), sort_keys=True)


class CommitShard(beam.DoFn):
    """All files of one task become its committed shard."""

    def __init__(self, stage: str, root: str) -> None:
        """Keep the stage and the root's URL."""
        self.stage, self.root = stage, root

    def process(self, element: tuple[str, Iterable[str]]) -> Iterator[str]:
        """Commit the shard; yields its record."""
        key, files = element
        records = [File(**json.loads(file)) for file in files]
        with _opened(self.root, self.stage, key) as store:
            shard = _shuffle(self.stage).commit(store, key, records)
        yield json.dumps(shard.to_json(), sort_keys=True)


def transform(stage: str, root: str, built: str) -> beam.PTransform:
    """What carries a stage's tasks to workers."""
    return Grouped(stage, root, built) if BY_NAME[stage].shuffle else Each(root, built)


def new_pipeline(options: PipelineOptions) -> beam.Pipeline:
    """A pipeline without its folder, which Beam removes for those alone that it runs itself."""
    pipeline = beam.Pipeline(options=options)
    Path(pipeline.local_tempdir).rmdir()
    return pipeline


@contextmanager
def temporary_in(folder: str) -> Iterator[None]:
    """What this process puts into the temporary folder meanwhile lies in this one.

    Beam leaves two folders of its own there for each pipeline that it prepares for another runner.
    """
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


def build(
    pipeline: beam.Pipeline, stage: str, root: str, tasks: Iterable[str], built: str = ""
) -> None:
    """Put one stage's tasks and its transform into a pipeline.

    Args:
        pipeline: Where to.
        stage: Name of the stage.
        root: URL of the root, as the workers reach it.
        tasks: As JSON text.
        built: What `engines.build.build` says of the driver, for workers that have an installation
            of their own; empty for others.
    """
    # Nothing is spread here: each stage spreads what it needs spread, once. On Spark a spread is a
    # `repartition`, dealt out by place in its input. What comes out of one has no order that holds,
    # so what a second one deals out differs from one attempt to the next ("indeterminate"): then
    # Spark cannot make again what a lost machine held, and gives up on the whole job.
    (
        pipeline
        | "Tasks" >> beam.Create(list(tasks), reshuffle=False).with_output_types(str)
        | stage.capitalize() >> transform(stage, root, built)
    )


# In this process ----------------------------------------------------------------------------------
_asked: list[str] = []
_records: list[str] = []


class Asked(beam.DoFn):
    """The tasks that this process was asked to do: a graph that is built once holds none."""

    def process(self, _: bytes) -> Iterator[str]:
        """Yield each task, as JSON text."""
        yield from _asked


class Told(beam.DoFn):
    """What came of them stays in this process, for whoever asked."""

    def process(self, element: str) -> None:
        """Keep the record of a shard."""
        _records.append(element)


@functools.cache
def _graph(root: str) -> beam_runner_api_pb2.Pipeline:
    """The graph of any stage where one process does all: whole tasks, and nothing is spread."""
    pipeline = new_pipeline(local_options())
    given = pipeline | "Begin" >> beam.Impulse()
    tasks = given | "Tasks" >> beam.ParDo(Asked()).with_output_types(str)
    done = tasks | "Do" >> beam.ParDo(DoTask(root, "")).with_output_types(str)
    _ = done | "Told" >> beam.ParDo(Told()).with_output_types(str)
    return pipeline.to_runner_api(default_environment=EmbeddedPythonEnvironment.default())


def run_here(root: str, tasks: Iterable[str]) -> list[str]:
    """Do tasks with Beam's local runner, in this process: the record of each shard, as JSON text.

    The graph takes 10 times as long to build as to run, so a process builds it once.
    """
    _asked[:], _records[:] = tasks, []
    FnApiRunner().run_via_runner_api(_graph(root), local_options())
    return list(_records)
