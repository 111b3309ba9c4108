"""The Beam graph: one PTransform a stage, each `tasks | spread | fused ParDos | own writer`.

What crosses a shuffle is tasks, file records and packed blocks of hashes: never text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from phloem.catalog.manifest import File
from phloem.catalog.store import Store
from phloem.pipeline.engines import batches
from phloem.pipeline.engines.build import require_same
from phloem.pipeline.engines.engine import note_failure
from phloem.pipeline.stage import Task, check_inputs, made, run_task
from phloem.pipeline.stages import candidates

batches.register()


class DoTask(beam.DoFn):
    """Do a task as one plain function: it reads committed shards and commits its own."""

    def __init__(self, root: str, built: str) -> None:
        """Keep the root's URL, and how the driver is built; the store is opened on the worker."""
        self.root, self.built = root, built

    def setup(self) -> None:
        """Open the root once a worker."""
        self.store = Store(self.root)

    def process(self, element: str) -> Iterator[str]:
        """Commit what the task makes, unless it is there; yields each shard's record.

        An error is noted on the root and goes no further: it would fail the tasks beside it, and
        take text of a document along into the runner's logs.
        """
        task = Task.from_json(element)
        try:
            if self.built:
                require_same(self.built)
            shards = made(self.store, task) or run_task(self.store, task)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            note_failure(self.store, task, error)
            return
        for shard in shards:
            yield json.dumps(shard.to_json(), sort_keys=True)


class DoTasks(beam.PTransform):
    """Tasks of one map stage, in any order, become committed shards."""

    def __init__(self, root: str, built: str) -> None:
        """Work under this root, on workers that are built like this."""
        super().__init__()
        self.root, self.built = root, built

    def expand(self, pcoll: beam.PCollection[str]) -> beam.PCollection[str]:
        """Spread the tasks, do each."""
        spread = pcoll | "Spread" >> beam.Reshuffle().with_output_types(str)
        return spread | "Do" >> beam.ParDo(DoTask(self.root, self.built)).with_output_types(str)


class Ingest(DoTasks):
    """Splits of sources become text files and quarantine rows."""


class Count(DoTasks):
    """Text files become counts of what stands in them, by hash."""


class Tally(DoTasks):
    """Counts of all files of a source become the hashes of what is frequent in it."""


class Measure(DoTasks):
    """Text files become cleaned text and attribute files."""


class Judge(DoTasks):
    """Attribute files become verdicts."""


class Elect(DoTasks):
    """Components become duplicates, each verified against its survivor."""


class Decide(DoTasks):
    """Verdicts and the election's outcome become the ledger."""


class Compose(DoTasks):
    """Text files and their ledger become the kept, scrubbed text."""


class TrainTokenizer(DoTasks):
    """A sample of the kept text becomes a tokenizer."""


class Tokenize(DoTasks):
    """Composed text becomes token shards."""


class Components(DoTasks):
    """Edges of all bands become components."""


class Nominate(beam.PTransform):
    """Bands of signatures become edges between rows that share a band's hash."""

    def __init__(self, root: str, built: str) -> None:
        """Work under this root, on workers that are built like this."""
        super().__init__()
        self.root, self.built = root, built

    def expand(self, pcoll: beam.PCollection[str]) -> beam.PCollection[str]:
        """Read each file's hashes, group them by range, write each range, commit each band."""
        return (
            pcoll
            | "Files" >> beam.FlatMap(_parts).with_output_types(str)
            | "Spread" >> beam.Reshuffle().with_output_types(str)
            | "Blocks"
            >> beam.ParDo(ReadBlocks(self.root, self.built)).with_output_types(
                tuple[str, pa.RecordBatch]
            )
            | "By range" >> beam.GroupByKey()
            | "Edges" >> beam.ParDo(WriteEdges(self.root)).with_output_types(tuple[str, str])
            | "By band" >> beam.GroupByKey()
            | "Commit" >> beam.ParDo(CommitBand(self.root)).with_output_types(str)
        )


def _parts(element: str) -> Iterator[str]:
    task = Task.from_json(element)
    for part in candidates.parts(task):
        yield json.dumps({**part, "key": task.work["key"]}, sort_keys=True)


@contextmanager
def _noted(store: Store, key: str) -> Iterator[None]:
    """Leave on the root why a band could not be made, and let the error go on.

    Of a part of a band it must fail the whole pipeline: without the part the band would be whole to
    look at. But no runner tells the driver more of an error than its kind.
    """
    try:
        yield
    except Exception as error:
        note_failure(store, Task("bands", (("bands", key),), key, 0, None), error)
        raise


class ReadBlocks(beam.DoFn):
    """One file of one band becomes blocks of hashes and rows, keyed `band key/range`."""

    def __init__(self, root: str, built: str) -> None:
        """Keep the root's URL, and how the driver is built."""
        self.root, self.built = root, built

    def process(self, element: str) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield a block for each range that has rows; an empty one keeps an empty band alive."""
        part, store = json.loads(element), Store(self.root)
        with _noted(store, part["key"]):
            if self.built:
                require_same(self.built)
            check_inputs(store, part)
            empty = pa.RecordBatch.from_pylist([], schema=candidates.BLOCK)
            yield f"{part['key']}/0", empty
            for number, block in candidates.blocks(store, part):
                yield f"{part['key']}/{number}", block


class WriteEdges(beam.DoFn):
    """All blocks of one range become one file of edges."""

    def __init__(self, root: str) -> None:
        """Keep the root's URL."""
        self.root = root

    def process(self, element: tuple[str, Iterable[pa.RecordBatch]]) -> Iterator[tuple[str, str]]:
        """Write the range's edges; yields (band key, file record)."""
        name, found = element
        key, _, number = name.rpartition("/")
        store = Store(self.root)
        with _noted(store, key):
            edges = candidates.edges(list(found))
            file = candidates.write_edges(store, key, int(number), edges)
        yield key, json.dumps(asdict(file), sort_keys=True)


class CommitBand(beam.DoFn):
    """All files of one band become its committed shard."""

    def __init__(self, root: str) -> None:
        """Keep the root's URL."""
        self.root = root

    def process(self, element: tuple[str, Iterable[str]]) -> Iterator[str]:
        """Commit the band; yields its record."""
        key, files = element
        records = [File(**json.loads(file)) for file in files]
        store = Store(self.root)
        with _noted(store, key):
            shard = candidates.commit_band(store, key, records)
        yield json.dumps(shard.to_json(), sort_keys=True)


TRANSFORMS: dict[str, type[beam.PTransform]] = {
    "ingest": Ingest,
    "count": Count,
    "tally": Tally,
    "measure": Measure,
    "bands": Nominate,
    "candidates": Components,
    "filter": Judge,
    "dedup": Elect,
    "decide": Decide,
    "compose": Compose,
    "tokenizer": TrainTokenizer,
    "tokenize": Tokenize,
}


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
            of their own; empty for this machine's processes.
    """
    (
        pipeline
        | "Tasks" >> beam.Create(list(tasks)).with_output_types(str)
        | stage.capitalize() >> TRANSFORMS[stage](root, built)
    )


def run_pipeline(stage: str, root: str, tasks: Iterable[str], options: PipelineOptions) -> None:
    """Run one stage's tasks as a Beam pipeline on this machine and wait for its end."""
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, stage, root, tasks)
