"""Run a recipe: find all it names, do what is missing stage by stage, record it, release it."""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from phloem.catalog.ledger import check_balance
from phloem.catalog.manifest import Shard, canonical
from phloem.catalog.policy import admits, load_policy
from phloem.catalog.release import GateError, Release, make_release
from phloem.catalog.store import Store
from phloem.pipeline import fetch, ingest
from phloem.pipeline.job import Job, Outcome, Step, steps
from phloem.pipeline.local import Engine, Failure, engine
from phloem.pipeline.progress import Progress
from phloem.pipeline.recipe import Recipe
from phloem.pipeline.stage import StageError, made, missing
from phloem.pipeline.workspace import Workspace, enter
from phloem.reports.run_report import write_report
from phloem.sources.connector import Pin
from phloem.sources.source import LOCAL, Approval, Source, card_hash

Json = Any


class RunError(Exception):
    """A run that could not be finished: the message says what failed and what to do."""


@dataclass(frozen=True)
class Registry:
    """The sources that there are, and what people and machines said of them.

    Attributes:
        cards: By id.
        pins: What the lock files say each holds.
        approvals: By id.
        license_refs: Obligations of each LicenseRef.
    """

    cards: Mapping[str, Source]
    pins: Mapping[str, Pin]
    approvals: Mapping[str, Approval]
    license_refs: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Request:
    """What a user asked for.

    Attributes:
        recipe: What to make.
        root: URL of the root.
        workers: Processes on this machine.
        skip_unavailable: Leave out sources that this machine cannot have.
        release: Name of the release; made from what it holds if empty.
        date: Date that the release bears, ISO 8601; none if empty.
    """

    recipe: Recipe
    root: str
    workers: int
    skip_unavailable: bool = False
    release: str = ""
    date: str = ""


@dataclass
class Record:
    """The run record while it grows: `runs/<run id>.json`, outside every digest."""

    run_id: str
    value: dict[str, Json]
    stages: list[dict[str, Json]] = field(default_factory=list)

    def save(self, store: Store) -> None:
        """Write it under its name; a rerun of a run writes another."""
        store.write_bytes(f"runs/{self.run_id}.json", canonical({**self.value, "stages": self.stages}))


def prepare(
    store: Store,
    request: Request,
    registry: Registry,
    workspace: Workspace,
    told: Callable[[str], None],
) -> tuple[Job, dict[str, str]]:
    """A job with its sources admitted and fetched; the reason of each source left out.

    Raises:
        RunError: the policy does not admit a source.
        FetchError: a source or model cannot be had.
    """
    enter(workspace.folder)
    recipe = request.recipe
    policy = load_policy(recipe.policy, workspace.policies)
    cards = [registry.cards[source] for source in recipe.sources]
    refused = [
        f"{card.id}: {reason}"
        for card in cards
        if card.id != LOCAL
        for reason in admits(policy, source_facts(card, registry), registry.license_refs)
    ]
    if refused:
        msg = f"policy {policy.name} does not admit {len(refused)} of the sources: " + "; ".join(refused)
        raise RunError(msg)
    ops = tuple(recipe.bound_ops(workspace))
    models = fetch.models(store, ops, told)
    found, skipped = fetch.readings(
        store, cards, registry.pins, skip_unavailable=request.skip_unavailable, told=told
    )
    job = Job(recipe, workspace, tuple(found), ops, models, policy, registry.license_refs)
    return job, skipped


def source_facts(card: Source, registry: Registry) -> dict[str, Json]:
    """What the run record and the policy know of a source."""
    pin = registry.pins.get(card.id)
    approval = registry.approvals.get(card.id)
    return {
        "name": card.name,
        "summary": card.summary,
        "kind": card.kind,
        "languages": list(card.languages),
        "license": card.license.spdx,
        "attribution": card.license.attribution,
        "homepage": card.homepage,
        "custodian": card.custodian,
        "status": card.status,
        "evidence": card.evidence,
        "card": card_hash(card),
        "version": pin.version if pin else None,
        "files": [asdict(file) for file in pin.files] if pin else [],
        "approval": approval.model_dump(mode="json") if approval else None,
    }


def new_run_id() -> str:
    """Sortable by time, and unique."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


def begin_record(request: Request, registry: Registry) -> Record:
    """The record of a run that begins now."""
    run_id = new_run_id()
    recipe = request.recipe
    value = {
        "run_id": run_id,
        "recipe": {
            "name": recipe.name,
            "digest": recipe.digest,
            "spec": recipe.model_dump(mode="json"),
        },
        "started": _now(),
        "finished": None,
        "host": platform.node(),
        "runner": "local",
        "workers": request.workers,
        "status": "running",
        "error": None,
        "datasets": {},
        "sources": {
            source: source_facts(registry.cards[source], registry) for source in recipe.sources
        },
        "rules": [],
        "balance": {},
        "release": None,
        "skipped": {},
        "license_refs": {name: list(duties) for name, duties in registry.license_refs.items()},
    }
    return Record(run_id, value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def drive(job: Job, store: Store, worker: Engine, progress: Progress, record: Record) -> Outcome:
    """Do all steps of a job, each task at most once: what is there already is not done again.

    Raises:
        RunError: tasks failed; the others of their stage were still done.
        BalanceError: documents were lost.
    """
    going = steps(job, store)
    try:
        step = next(going)
        while True:
            step = going.send(_do(step, store, worker, progress, record))
    except StopIteration as end:
        outcome: Outcome = end.value
    check_balance(outcome.balance)
    return outcome


def _do(
    step: Step, store: Store, worker: Engine, progress: Progress, record: Record
) -> list[list[Shard]]:
    to_do = missing(store, step.tasks)
    shown = progress.begin(step.stage, step.tasks, to_do)
    cpu = worker.cpu_seconds
    failures = worker.run(step.stage, to_do, progress.add)
    progress.end()
    record.stages.append(
        {
            "stage": step.stage,
            "tasks": len(step.tasks),
            "cached": len(step.tasks) - len(to_do),
            "seconds": round(shown.seconds, 3),
            "cpu_seconds": round(worker.cpu_seconds - cpu, 3),
            "documents": shown.documents,
            "bytes": shown.bytes,
        }
    )
    if failures:
        raise RunError(_told(step.stage, failures, len(to_do)))
    found = [made(store, task) for task in step.tasks]
    lost = [task.label for task, shards in zip(step.tasks, found, strict=True) if shards is None]
    if lost:
        msg = f"stage {step.stage} lost shards after committing them: {', '.join(lost[:5])}; run again"
        raise StageError(msg)
    return [shards for shards in found if shards is not None]


def _told(stage: str, failures: Sequence[Failure], tried: int) -> str:
    lines = "; ".join(f"{failure.task.label}: {failure.reason}" for failure in failures[:10])
    more = f"; and {len(failures) - 10} more" if len(failures) > 10 else ""
    return (
        f"stage {stage}: {len(failures)} of {tried} tasks failed, the others are done: {lines}{more}."
        " Mend the cause and run again: only these are redone"
    )


@dataclass(frozen=True)
class Planned:
    """One stage as far as it can be known before it runs.

    Attributes:
        stage: Its name.
        tasks: How many tasks it has; None where that depends on stages before it.
        missing: How many of them are to be done.
        bytes: About how much those read.
    """

    stage: str
    tasks: int | None
    missing: int | None
    bytes: int


def plan(job: Job, store: Store) -> list[Planned]:
    """What a run would do: exact down to the first stage with work, unknown below it."""
    from phloem.pipeline.stage import STAGES

    going = steps(job, store)
    found: list[Planned] = []
    try:
        step = next(going)
        while True:
            to_do = missing(store, step.tasks)
            size = sum(task.bytes for task in to_do)
            found.append(Planned(step.stage, len(step.tasks), len(to_do), size))
            if to_do:
                break
            shards = [made(store, task) for task in step.tasks]
            step = going.send([each for each in shards if each is not None])
    except StopIteration:
        return found
    known = {planned.stage for planned in found}
    return found + [Planned(stage, None, None, 0) for stage in STAGES if stage not in known]


BYTES_PER_PACKED = 16


def disk_needed(job: Job, store: Store) -> int:
    """About how many bytes a run writes into the root for the sources that it has not read yet.

    Measured on the Debian documentation sources: text is about four times its compressed
    packages; ingest, clean and compose each hold it once, tokens and attributes as much again.
    """
    packed = 0
    for reading in job.readings:
        tasks = ingest.tasks(reading.card, reading.pin, reading.splits, reading.places)
        if missing(store, tasks):
            packed += sum(file.bytes for file in reading.pin.files)
    return BYTES_PER_PACKED * packed


def local_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def finish(record: Record, outcome: Outcome, job: Job, store: Store) -> None:
    """Write the manifests and put them into the record."""
    for stage, dataset in outcome.datasets.items():
        record.value["datasets"][stage] = dataset.save(store).name
    record.value["balance"] = {id_: asdict(b) for id_, b in outcome.balance.items()}
    record.value["rules"] = [rule.model_dump(mode="json") for rule in job.recipe.keep]
    record.value["source_rules"] = {
        id_: [rule.model_dump(mode="json") for rule in rules]
        for id_, rules in job.rules.items()
        if len(rules) > len(job.recipe.keep)
    }


@dataclass(frozen=True)
class Result:
    """What a run leaves to be looked at.

    Attributes:
        run_id: Names its record.
        release_file: Of its release, under the root; None for a user's own files.
        report: Its page, under the root.
        statement: The release in plain sentences, or why there is none.
        seconds: Wall time.
        cpu_seconds: CPU time of this process and of the workers' pipelines.
    """

    run_id: str
    release_file: str | None
    report: str | None
    statement: tuple[str, ...]
    seconds: float
    cpu_seconds: float


def _release(
    store: Store, record: Record, request: Request, registry: Registry, workspace: Workspace
) -> tuple[Release | None, GateError | None]:
    """Release what a run made; a gate that refuses is told after the report is written."""
    if LOCAL in request.recipe.sources:
        return None, None
    try:
        release = make_release(
            store, record.run_id, name=request.release, date=request.date,
            license_refs=registry.license_refs, policy_folders=workspace.policies,
        )
    except GateError as error:
        record.value |= {"status": "failed", "error": str(error)}
        return None, error
    record.value["release"] = release.name
    return release, None


UNRELEASED = (
    "Not released, and not to be: the text came from files that no source card describes.",
    "Write a card with its licence and evidence, and name it in a recipe, to make a release.",
)


def run(
    request: Request, registry: Registry, workspace: Workspace, progress: Progress
) -> Result:
    """Run a recipe to its release and report.

    Raises:
        RunError, FetchError, BalanceError, GateError: each with what to do.
    """
    began, cpu_began, cpu_seconds = time.monotonic(), time.process_time(), 0.0
    store = Store(request.root)
    record = begin_record(request, registry)
    try:
        job, skipped = prepare(store, request, registry, workspace, progress.say)
        record.value["skipped"] = skipped
        need, free = disk_needed(job, store), store.free_bytes()
        if free is not None and need > free:
            msg = f"the run may write {need / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free at {request.root}"
            raise RunError(msg)
        record.save(store)
        with progress, engine(request.root, request.workers) as worker:
            outcome = drive(job, store, worker, progress, record)
            record.value["peak_bytes"] = worker.peak_bytes
            cpu_seconds += worker.cpu_seconds
        finish(record, outcome, job, store)
        record.value["status"] = "done"
        record.save(store)
        release, refusal = _release(store, record, request, registry, workspace)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        record.value["status"] = "interrupted" if stopped else "failed"
        record.value["error"] = str(error) or type(error).__name__
        raise
    finally:
        record.value["finished"] = _now()
        record.save(store)
    report = write_report(store, record.run_id)
    if refusal is not None:
        raise refusal
    return Result(
        record.run_id,
        f"releases/{release.name}/release.json" if release else None,
        report,
        release.statement if release else UNRELEASED,
        time.monotonic() - began,
        cpu_seconds + time.process_time() - cpu_began,
    )
