"""Run a recipe: find all it names, do what is missing stage by stage, record it, release it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from phloem.catalog.assembly import STAGES as RELEASED
from phloem.catalog.bloom import NATURAL
from phloem.catalog.errors import PhloemError
from phloem.catalog.handoff.tokenizer import end_of
from phloem.catalog.ledger import check_balance
from phloem.catalog.manifest import Ref, Shard
from phloem.catalog.policy import LOCAL, admits, load_policy
from phloem.catalog.release import GateError, make_release
from phloem.catalog.released import Release
from phloem.catalog.rules import Rule
from phloem.catalog.store import Store
from phloem.filters.language_models import languages_unknown
from phloem.filters.op import Op
from phloem.pipeline.engines.engine import Engine, Failure, Opened
from phloem.pipeline.engines.local import open_pool
from phloem.pipeline.job import Job, LossError, Made, Step, balance, steps
from phloem.pipeline.plan import disk_needed, written_bytes
from phloem.pipeline.recipe import Recipe, RecipeError, check_rules
from phloem.pipeline.registry import fetch
from phloem.pipeline.registry.models import models as fetch_models
from phloem.pipeline.registry.registry import Registry, source_facts
from phloem.pipeline.registry.splits import splits_name
from phloem.pipeline.request import Request
from phloem.pipeline.stage import Task, already, note_committed, require_whole
from phloem.pipeline.stages.measure import chain, declared
from phloem.pipeline.stages.tokenizer import given_tokenizer
from phloem.pipeline.watch.account import Account, account_of
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.watch.record import Record, begin_record, note, now
from phloem.pipeline.watch.watch import stage_watched, task_done, watched
from phloem.pipeline.workspace import Workspace
from phloem.reports.run_report import write_report
from phloem.sources.cards.source import Source

Json = Any

TOLD = 10  # failures that an error names; the run's record counts all


class RunError(PhloemError):
    """A run that could not be finished: the message says what failed and what to do."""


def prepare(
    store: Store,
    request: Request,
    registry: Registry,
    workspace: Workspace,
    told: Callable[[str], None],
) -> tuple[Job, dict[str, str]]:
    """A job with its sources admitted and fetched; the reason of each source left out.

    A paused source is left out, as it may come back, and a recipe stands for longer than a pause;
    one that is withdrawn or proposed is refused: somebody has to take it out of the recipe.

    Raises:
        RunError: the policy does not admit a source, or all are paused.
        StageError, TokenizerError: the tokenizer that the recipe gives cannot be used.
        FetchError: a source or model cannot be had.
    """
    recipe = request.recipe
    policy = load_policy(recipe.policy, workspace.policies)
    named = [registry.cards[source] for source in recipe.sources]
    paused = {
        card.id: f"it is paused: {card.reason or 'its card does not say why'}"
        for card in named
        if card.status == "paused"
    }
    cards = [card for card in named if card.id not in paused]
    if not cards:
        msg = f"{len(paused)} of {len(named)} sources cannot be read: {_listed(paused)}"
        raise RunError(msg)
    refused = [
        f"{card.id}: {reason}"
        for card in cards
        if card.id != LOCAL
        for reason in admits(policy, source_facts(card, registry), registry.license_refs)
    ]
    if refused:
        msg = f"policy {policy.name} does not admit {len(refused)} of the sources: " + "; ".join(
            refused
        )
        raise RunError(msg)
    tokenizer = None
    if recipe.tokenizer.file:
        tokenizer = given_tokenizer(store, recipe.tokenizer)
        told(f"each document ends with {end_of(tokenizer.facts)} of {recipe.tokenizer.file}")
    ops = tuple(recipe.bound_ops(workspace))
    chains = [chain(card, ops, workspace.ops) for card in cards]
    _check_card_rules(recipe, cards, chains)
    every = [op for each in chains for op in each]
    models = fetch_models(store, every, told)
    _check_files(every, models, store)
    skips = request.skip_unavailable or recipe.on_unavailable == "skip"
    found, skipped = fetch.readings(
        store,
        cards,
        registry.pins,
        own=registry.own,
        skip_unavailable=skips,
        is_elsewhere=request.is_elsewhere,
        told=told,
    )
    for source, reason in paused.items():
        told(f"left out {source}: {reason}")
    undeclared = any(card.id == LOCAL and not declared(card) for card in cards)
    if undeclared and "language" in {op.name for op in ops}:
        told(_untold(next(op for op in ops if op.name == "language"), models, store))
    refs = registry.license_refs
    job = Job(recipe, workspace, tuple(found), ops, models, policy, refs, tokenizer)
    return job, {**paused, **skipped}


def _check_files(ops: Sequence[Op], models: Mapping[str, Ref], store: Store) -> None:
    """Raise the error of an op whose files are not what it needs."""
    for op in {op.name: op for op in ops if op.ready}.values():
        op.check_files({file.name: models[file.name].on_this_machine(store) for file in op.needs})


def _untold(op: Op, models: Mapping[str, Ref], store: Store) -> str:
    """What the language op cannot know of texts whose language nobody declared."""
    paths = {file.name: models[file.name].on_this_machine(store) for file in op.needs}
    lacking = languages_unknown(paths, bool(op.given), NATURAL)
    said = f"; of BLOOM's it does not know {', '.join(lacking)}" if lacking else ""
    return (
        f"no --language: each text's own language is told by a model{said}; a language that it does"
        " not know is given for another or as und"
    )


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{source}: {reason}" for source, reason in reasons.items())


def _check_card_rules(
    recipe: Recipe, cards: Sequence[Source], chains: Sequence[Sequence[Op]]
) -> None:
    """Raise RecipeError for keep rules of cards that cannot judge what this recipe measures."""
    faults = []
    for card, ops in zip(cards, chains, strict=True):
        try:
            own = [Rule.model_validate(rule) for rule in card.keep]
        except ValidationError as error:
            faults += [f"{card.id}: {fault['msg']}" for fault in error.errors()]
            continue
        if own:
            faults += [f"{card.id}: {each}" for each in check_rules([*recipe.keep, *own], ops)]
    if faults:
        msg = f"keep rules of cards do not fit the recipe {recipe.name}: " + "; ".join(faults)
        raise RecipeError(msg)


def drive(job: Job, store: Store, worker: Engine, progress: Progress, record: Record) -> None:
    """Do all steps of a job, each task at most once: what is there already is not done again.

    Whatever was made is in the record, though the run should fail: a report can be made of it.

    Raises:
        RunError: tasks failed; the others of their stage were still done.
        BalanceError: documents were lost.
        LossError: the policy's alarm went off.
    """
    shards: Made = {}
    before = {job.tokenizer.folder} if job.tokenizer else set()
    going = steps(job, store, shards)
    try:
        step = next(going)
        while True:
            step = going.send(_do(step, store, worker, progress, record, before))
    except StopIteration:
        pass
    finally:
        note(record, job, store, shards)
    # What was there already may have changed since: release and report are made of these.
    released = (shard for stage in RELEASED for shard in shards[stage])
    require_whole(store, (shard for shard in released if shard.folder in before))
    check_balance(balance(job.cards, shards["ingest"], shards["decide"]))


def _do(
    step: Step,
    store: Store,
    worker: Engine,
    progress: Progress,
    record: Record,
    before: set[str],
) -> list[list[Shard]]:
    """Do what is missing of a step; adds to `before` the folders of what was there."""
    there = already(store, step.tasks)
    found = there.shards
    to_do = there.to_do
    before.update(shard.folder for shards in found.values() for shard in shards)
    shown = progress.begin(step.stage, step.tasks, to_do)
    cpu = worker.cpu_seconds

    def done(task: Task, shards: Sequence[Shard]) -> None:
        found[task.makes] = list(shards)
        progress.add(task, shards)
        task_done(task, shards)

    with stage_watched(step.stage, shown.cached) as ended:
        failures = worker.run(step.stage, to_do, done)
        progress.end()
        record.stages.append(
            {
                "stage": step.stage,
                "tasks": len(step.tasks),
                "cached": shown.cached,
                "seconds": round(shown.seconds, 3),
                "cpu_seconds": round(worker.cpu_seconds - cpu, 3),
                "documents": shown.documents,
                "bytes": shown.bytes,
            }
        )
        ended(record.stages[-1], failures)
    if failures:
        raise RunError(told_failures(step.stage, failures, len(to_do)))
    if step.tasks and not there.is_noted:
        note_committed(store, step.tasks, found)
    return [found[task.makes] for task in step.tasks]


def told_failures(stage: str, failures: Sequence[Failure], tried: int) -> str:
    """What failed of a stage, for a person: each reason once, with the first few that it hit."""
    labels: dict[str, list[str]] = {}
    for each in failures:
        labels.setdefault(each.reason, []).append(each.task.label)
    told = [f"{_first(hit)}: {reason}" for reason, hit in labels.items()]
    more = f"; and {len(told) - TOLD} reasons more" if len(told) > TOLD else ""
    return (
        f"stage {stage}: {len(failures)} of {tried} tasks failed, the others are done:"
        f" {'; '.join(told[:TOLD])}{more}. Mend the cause and run again: only these are redone"
    )


def _first(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - TOLD} more" if len(labels) > TOLD else ""
    return ", ".join(labels[:TOLD]) + more


@dataclass(frozen=True)
class Result:
    """What a run leaves to be looked at.

    Attributes:
        run_id: Names its record.
        account: What it read, and what became of it.
        release_file: Of its release, under the root; None for a user's own files, and if refused.
        report: Its page, under the root.
        statement: The release in plain sentences, or why there is none; empty if refused.
        refusal: What the policy refused: the loss that stopped the run, or the release.
        seconds: Wall time.
        cpu_seconds: CPU time of this process and of the workers' pipelines.
    """

    run_id: str
    account: Account
    release_file: str | None
    report: str | None
    statement: tuple[str, ...]
    refusal: GateError | LossError | None
    seconds: float
    cpu_seconds: float

    @property
    def release(self) -> str | None:
        """Name of its release; None for a user's own files, and if refused."""
        return self.release_file and self.release_file.split("/")[1]


def _release(
    store: Store, record: Record, request: Request, registry: Registry, workspace: Workspace
) -> Release | None:
    """Release what a run made; None for a user's own files. Raises GateError if it may not be."""
    if LOCAL in request.recipe.sources:
        return None
    release = make_release(
        store,
        record.run_id,
        name=request.release,
        date=request.date,
        license_refs=registry.license_refs,
        policy_folders=workspace.policies,
    )
    record.value["release"] = release.name
    return release


def _check_disk(job: Job, store: Store) -> None:
    """Raise RunError, before anything runs, for what would not fit."""
    free = store.free_bytes()
    most = sum(written_bytes(file) for reading in job.readings for file in reading.pin.files)
    if free is None or most <= free:  # then it does not matter what is there already
        return
    need = disk_needed(job, store)
    if need > free:
        msg = (
            f"the run may write {need / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free at"
            f" {store.root}; free some, or choose another --root"
        )
        raise RunError(msg)


UNRELEASED = (
    "Not released, and not to be: the text came from files that no source card describes.",
    "Write a card with its licence and evidence, and name it in a recipe, to make a release.",
)


def require_read(account: Account, recipe: Recipe) -> None:
    """Raise RunError if no document was read."""
    if not account.empty:
        return
    where = "--input" if LOCAL in recipe.sources else f"the sources of {recipe.name}"
    if account.read:
        msg = f"no document was read: none of {account.read:,} records of {where} could be read"
    else:
        msg = f"no document was read: there is none in {where}"
    raise RunError(msg)


def _own_pool(request: Request) -> AbstractContextManager[Engine]:
    return open_pool(request.root, request.workers, request.recipe.limits)


@contextmanager
def _ending_noted(store: Store, record: Record) -> Iterator[None]:
    """Write down how a run ended, whatever ended it."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        record.value["status"] = "interrupted" if stopped else "failed"
        record.value["error"] = str(error) or type(error).__name__
        raise
    finally:
        record.value["finished"] = now()
        record.save(store)


def run(
    request: Request,
    registry: Registry,
    workspace: Workspace,
    progress: Progress,
    opened: Opened | None = None,
) -> Result:
    """Run a recipe to its release and report.

    Args:
        request: What to make.
        registry: The cards that it may read.
        workspace: The user's own parts.
        progress: Told of every stage and task.
        opened: Opens the engine that does the tasks; by default this machine's processes.

    What a policy refuses, once there is something to look at, is told with the result.

    Raises:
        RunError, FetchError, BalanceError: each with what to do.
    """
    began, cpu_began, cpu_seconds = time.monotonic(), time.process_time(), 0.0
    store = Store(request.root)
    record = begin_record(request, registry)
    record.save(store)  # before fetching, which may take hours
    release, refusal = None, None
    with watched(store, record, progress), _ending_noted(store, record):
        job, skipped = prepare(store, request, registry, workspace, progress.say)
        record.value |= {"skipped": skipped, "splits": splits_name(job.readings)}
        _check_disk(job, store)
        record.save(store)
        try:
            with progress, opened() if opened else _own_pool(request) as worker:
                drive(job, store, worker, progress, record)
                record.value["peak_bytes"] = worker.peak_bytes
                cpu_seconds += worker.cpu_seconds
            record.value["status"] = "done"
            record.save(store)
            release = _release(store, record, request, registry, workspace)
        except (GateError, LossError) as error:
            refusal = error
            record.value |= {"status": "failed", "error": str(error)}
    return Result(
        record.run_id,
        account_of(store, record.value),
        f"releases/{release.name}/release.json" if release else None,
        write_report(store, record.run_id),
        release.statement if release else () if refusal else UNRELEASED,
        refusal,
        time.monotonic() - began,
        cpu_seconds + time.process_time() - cpu_began,
    )
