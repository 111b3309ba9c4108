"""Google Cloud Dataflow as far as it goes without an account: its options, and a dry run.

The dry run builds each stage's graph as it would be sent, with Beam's own Dataflow runner, sends
nothing, and checks what that runner made of the graph. It needs the extra `dataflow`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from phloem.catalog.store import Store
from phloem.pipeline.engines.dataflow.graph import Graph, faults, nodes, shuffles
from phloem.pipeline.engines.runners import DATAFLOW, RunnerError, check_planned
from phloem.pipeline.engines.transforms import build, temporary_in
from phloem.pipeline.job import Job, steps
from phloem.pipeline.stage import Task
from phloem.pipeline.stages import STAGES

STAND_IN = "{}"  # for a task: a dry run hands none out

REQUEST_BYTES = 20_000_000
"""Of a job's request, which holds its tasks: the limit that Dataflow documents."""

# A bucket of fewer than three letters makes Beam try to create one, for minutes.
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/|$)")


@dataclass(frozen=True)
class Settings:
    """Where and with what a job runs. The defaults name nothing real: a dry run sends nothing.

    Attributes:
        project: Project that is billed.
        region: Where its machines stand.
        bucket: URL under which Dataflow keeps its own files, `gs://…`.
        image: Container image with this very Phloem and its models, as `Containerfile` makes it.
        machine: Machine type of the workers.
        workers: Most machines at once.
        root: URL of the root, `gs://…`.
    """

    project: str = "dry-run"
    region: str = "us-central1"
    bucket: str = "gs://phloem-dry-run/dataflow"
    image: str = "phloem:dry-run"
    machine: str = "n2-standard-4"
    workers: int = 16
    root: str = "gs://phloem-dry-run/root"


@dataclass(frozen=True)
class Checked:
    """What the dry run of a stage found.

    Attributes:
        stage: Its name.
        tasks: How many tasks stand in the graph.
        transforms: How many transforms of ours.
        shuffles: (transform, type of what crosses) of each shuffle.
        request_bytes: Of the graph as it would be sent.
        faults: What keeps it from running there; empty if nothing does.
    """

    stage: str
    tasks: int
    transforms: int
    shuffles: tuple[tuple[str, str], ...]
    request_bytes: int
    faults: tuple[str, ...]


def options(settings: Settings, stage: str) -> list[str]:
    """Beam's options for one stage's job.

    The container holds all that a worker needs: nothing is installed when one starts, and nothing
    of this machine is staged.

    Raises:
        RunnerError: a place is none on Cloud Storage. Beam would try to make a bucket for it.
    """
    for name in ("bucket", "root"):
        url = getattr(settings, name)
        if not _BUCKET.match(url):
            msg = f"Dataflow's {name} is {url!r}; give a place on Cloud Storage: gs://name/folder"
            raise RunnerError(msg)
    return [
        "--runner=DataflowRunner",
        f"--project={settings.project}",
        f"--region={settings.region}",
        f"--temp_location={settings.bucket}/temp",
        f"--staging_location={settings.bucket}/staging",
        f"--job_name=phloem-{stage.replace('_', '-')}",
        "--sdk_location=container",
        f"--sdk_container_image={settings.image}",
        "--no_save_main_session",  # all that is pickled is importable
        "--experiments=disable_logging_submission_environment",  # it stages a file of this machine
        f"--machine_type={settings.machine}",
        f"--max_num_workers={settings.workers}",
    ]


def dry_run(stage: str, tasks: Sequence[str], settings: Settings) -> Graph:
    """The graph of a stage's tasks as Beam's Dataflow runner would send it; nothing is sent.

    Raises:
        RunnerError: the extra is not installed, or a setting cannot be.
    """
    check_planned(DATAFLOW)
    dry = [*options(settings, stage), "--dry_run=True", "--no_auth"]
    with _offline(), TemporaryDirectory(prefix="phloem-") as folder, temporary_in(folder):
        pipeline = beam.Pipeline(options=PipelineOptions(dry))
        build(pipeline, stage, settings.root, tasks)
        return pipeline.run().job.proto_pipeline


def check(stage: str, tasks: Sequence[Task], settings: Settings) -> Checked:
    """Dry-run one stage, and look for what would keep it from running on the service.

    Args:
        stage: Its name.
        tasks: Its tasks; if none are known, one of no work stands for them.
        settings: Where it would run.
    """
    texts = [task.to_json() for task in tasks] or [STAND_IN]
    graph = dry_run(stage, texts, settings)
    size = len(graph.SerializeToString())
    found = faults(graph)
    if size > REQUEST_BYTES:
        found.append(
            f"its {len(texts)} tasks make a request of {size / 1e6:.0f} MB; Dataflow takes"
            f" {REQUEST_BYTES / 1e6:.0f}"
        )
    own = [node for node, given in nodes(graph) if not given and node.spec.urn]
    return Checked(stage, len(texts), len(own), tuple(shuffles(graph)), size, tuple(found))


def check_all(known: dict[str, Sequence[Task]], settings: Settings) -> list[Checked]:
    """Dry-run every stage, each with its tasks where they are known."""
    return [check(stage.name, known.get(stage.name, ()), settings) for stage in STAGES]


def check_job(job: Job, store: Store) -> list[Checked]:
    """Dry-run every stage of a job: its first with the tasks that a run would do."""
    first = next(steps(job, store, {}))
    return check_all({first.stage: first.tasks}, Settings())


@contextmanager
def _offline() -> Iterator[None]:
    """Keep Google's client from asking this machine's network whether it is one of theirs."""
    before = os.environ.get("NO_GCE_CHECK")
    os.environ["NO_GCE_CHECK"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NO_GCE_CHECK"]
        else:
            os.environ["NO_GCE_CHECK"] = before
