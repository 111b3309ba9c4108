"""What the commands that work do: run, plan, explain, report and bench, each a thin call."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from phloem.catalog.advice import command
from phloem.catalog.errors import UseError
from phloem.catalog.policy import LOCAL
from phloem.catalog.runs import newest_run
from phloem.catalog.store import Store
from phloem.catalog.story import explain as story_of
from phloem.pipeline import run as running
from phloem.pipeline.cli.console import (
    find_root,
    listing,
    note,
    open_root,
    out,
    print_json,
    put,
    told,
)
from phloem.pipeline.engines.runners import DATAFLOW, SPARK, check_planned, check_runner
from phloem.pipeline.engines.spark.engine import open_spark
from phloem.pipeline.engines.spark.options import Spark
from phloem.pipeline.job import Job, steps
from phloem.pipeline.plan import disk_needed, plan
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import OwnFiles, Request, find_request
from phloem.pipeline.share import WHOLE, Share, parse_share, run_share
from phloem.pipeline.watch.account import Account, account_lines
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import find_workspace
from phloem.sources.cards.lock import locked

Json = Any

UNKNOWN = "?"
TOLD_FAULTS = 5  # of a stage's graph; the rest are in --json


def run_recipe(
    recipe: str,
    *,
    asked: Sequence[str],
    root: str,
    workers: int | None,
    runner: str,
    spark: Spark,
    input_: str | None,
    text_column: str,
    language: str,
    skip_unavailable: bool,
    release: str,
    date: str,
    stage: str | None,
    share: str | None,
) -> None:
    """Run a recipe and say where its report and release lie; or do a share of one stage."""
    with told():
        runner = check_runner(runner)
        spark = _spark(spark, runner, workers, stage)
        part = _part(stage, share, release, date)
        open_root(root)
        request, registry, workspace = find_request(
            recipe,
            root,
            workers=workers,
            own=None if input_ is None else OwnFiles(input_, text_column, language),
            skip_unavailable=skip_unavailable,
            release=release,
            date=date,
            asked=asked,
        )
        if stage and part:
            shared = run_share(request, registry, workspace, Progress(out), stage, part)
            put(f"share    {part} of {stage}: {shared.tasks} tasks, {shared.cached} cached")
            put(f"others   {shared.others} tasks of {stage} are missing still")
            if shared.account:
                _put_account(shared.account, root)
                _check_read(shared.account, request, whole=part == WHOLE)
            return
        request = dataclasses.replace(request, runner=runner)
        opened = None
        if runner == SPARK:
            limits, modules = request.recipe.limits, workspace.ops
            opened = functools.partial(open_spark, root, spark, limits, modules)
        result = running.run(request, registry, workspace, Progress(out), opened)
        put(f"run      {result.run_id} in {result.seconds:.1f} s")
        put(f"report   {_place(root, result.report)}")
        put(f"release  {_place(root, result.release_file)}")
        for line in result.statement:
            put(f"         {line}")
        _put_account(result.account, root)
        if result.refusal:
            raise result.refusal
        _check_read(result.account, request, whole=True)


def _put_account(account: Account, root: str) -> None:
    query = command("catalog", "query", "select * from quarantine", root=root)
    first, *others = account_lines(account, query)
    put(f"read     {first}")
    for line in others:
        put(f"         {line}")


def _check_read(account: Account, request: Request, *, whole: bool) -> None:
    """Raise RunError if no document was read; of one share of several the run itself judges."""
    if not account.empty or not whole:
        return
    own = LOCAL in request.recipe.sources
    where = "--input" if own else f"the sources of {request.recipe.name}"
    if account.read:
        msg = f"no document was read: none of {account.read:,} records of {where} could be read"
    else:
        msg = f"no document was read: there is none in {where}"
    raise running.RunError(msg)


def _spark(spark: Spark, runner: str, workers: int | None, stage: str | None) -> Spark:
    """What is asked of Spark, checked before anything runs.

    Raises UseError or RunnerError for options that do not go together.
    """
    if runner != SPARK:
        if spark != Spark():
            raise UseError(
                f"options of Spark were given, but the runner is {runner}: --runner spark"
            )
        return spark
    if stage is not None:
        raise UseError("--stage does its share on this machine: leave out --runner spark")
    spark = dataclasses.replace(spark, cores=workers)
    spark.check()
    return spark


def _part(stage: str | None, share: str | None, release: str, date: str) -> Share | None:
    """The share that is asked for, if any. Raises UseError for options that do not go together."""
    if stage is None:
        if share is not None:
            raise UseError("--share is of one stage: name it with --stage")
        return None
    if release or date:
        raise UseError("--stage makes no release: give --release and --date to the run after it")
    return parse_share(share) if share is not None else WHOLE


def _place(root: str, name: str | None) -> str:
    return "none" if name is None else f"{root.rstrip('/')}/{name}"


def show_plan(
    recipe: str,
    *,
    root: str,
    input_: str | None,
    text_column: str,
    language: str,
    skip_unavailable: bool,
    runner: str,
    cost: bool,
    prices: Path | None,
    as_json: bool,
) -> None:
    """Print what a run would do, and if asked what a runner makes of it and what it costs."""
    with told():
        planned_for = check_planned(runner)
        store = open_root(root)
        request, registry, workspace = find_request(
            recipe,
            root,
            own=None if input_ is None else OwnFiles(input_, text_column, language),
            skip_unavailable=skip_unavailable,
        )
        job, skipped = running.prepare(store, request, registry, workspace, note)
        planned = plan(job, store)
        need, free = disk_needed(job, store), store.free_bytes()
        checked = _dry_run(job, store) if planned_for == DATAFLOW else []
        estimate = _estimate(job, store, prices) if cost or prices else None
    rows = [
        {
            "stage": each.stage,
            "tasks": each.tasks,
            "cached": None if each.tasks is None else each.tasks - (each.missing or 0),
            "to_do": each.missing,
            "MB": None if each.tasks is None else round(each.bytes / 1e6, 1),
        }
        for each in planned
    ]
    if as_json:
        found = {"stages": rows, "disk_needed": need, "disk_free": free, "left_out": dict(skipped)}
        if checked:
            found["dataflow"] = checked
        if estimate:
            found["cost"] = estimate
        print_json(found)
    else:
        shown = [
            {key: UNKNOWN if value is None else value for key, value in r.items()} for r in rows
        ]
        listing(shown, list(rows[0]), as_json=False)
        if skipped:  # why was told as it was found
            put(f"left out: {', '.join(skipped)}")
        if any(row["tasks"] is None for row in rows):
            put(f"{UNKNOWN}: depends on what the stages before it make")
        there = "" if free is None else f", {free / 1e9:.1f} GB free"
        put(f"disk needed: about {need / 1e9:.2f} GB{there}")
        _put_dry_run(checked)
        _put_estimate(estimate)
    if any(each["faults"] for each in checked):
        raise typer.Exit(1)


def _dry_run(job: Job, store: Store) -> list[dict[str, Json]]:
    """What the Dataflow runner makes of each stage; of the first, with its real tasks."""
    from phloem.pipeline.engines.dataflow.dry_run import Settings, check_all

    first = next(steps(job, store, {}))
    return [dataclasses.asdict(each) for each in check_all({first.stage: first.tasks}, Settings())]


def _put_dry_run(checked: Sequence[Json]) -> None:
    if not checked:
        return
    put("\ndry run for Dataflow: what would be sent, checked; nothing was sent")
    rows = [
        {**each, "shuffles": [name for name, _ in each["shuffles"]], "ok": not each["faults"]}
        for each in checked
    ]
    listing(rows, ["stage", "tasks", "transforms", "shuffles", "ok"], as_json=False)
    for each in checked:
        for fault in each["faults"][:TOLD_FAULTS]:
            put(f"{each['stage']}: {fault}")
        if len(each["faults"]) > TOLD_FAULTS:
            put(f"{each['stage']}: and {len(each['faults']) - TOLD_FAULTS} more")


def _estimate(job: Job, store: Store, prices: Path | None) -> dict[str, Json]:
    """What a whole run of a job takes, from nothing, with all that the numbers stand on."""
    from phloem.pipeline.bench import cost

    try:
        rented = cost.load_prices(prices or cost.PRICES)
    except cost.PricesError as error:
        raise UseError(str(error)) from None
    run = cost.measured()
    size, known = cost.size_of(job, store, run)
    return {
        "size": {**dataclasses.asdict(size), "known": known},
        "stages": [dataclasses.asdict(each) for each in cost.costs(size, rented, run)],
        "memory": [dataclasses.asdict(each) for each in cost.held(size, run)],
        "prices": rented.model_dump(),
        "measured": {"date": run.date, "machine": run.machine, "sample": run.sample},
    }


def _put_estimate(estimate: Json) -> None:
    if not estimate:
        return
    from phloem.pipeline.bench import cost

    size, prices = estimate["size"], estimate["prices"]
    about = "" if size["known"] else "about "
    put(
        f"\ncost of a run from nothing: {about}{size['text_bytes'] / 1e6:,.1f} MB of text in"
        f" {about}{size['documents']:,} documents, on up to {prices['workers']} machines"
        f" {prices['machine']}"
    )
    rows = cost.rows_of([cost.Cost(**each) for each in estimate["stages"]], prices["currency"])
    listing(rows, list(rows[0]), as_json=False)
    for held in sorted(estimate["memory"], key=lambda each: -each["bytes"])[:2]:
        size_held = f"{held['bytes'] / 1e9:,.3f} GB"
        put(f"memory of one process: {held['step']} ({held['where']}), {size_held}")
    put(f"scaled from: {estimate['measured']['sample']}; {estimate['measured']['machine']}")
    put(f"prices of {prices['date']}: {prices['note'].strip()}")


def explain_document(
    document: str, *, root: str, run_id: str | None, excerpt: bool, as_json: bool
) -> None:
    """Print one document's story."""
    from phloem.reports.explain import render_story

    with told():
        story = story_of(find_root(root), document, run_id)
        text = render_story(story, excerpt=excerpt)
    if as_json:
        print_json(dataclasses.asdict(story if excerpt else dataclasses.replace(story, excerpt="")))
    else:
        sys.stdout.write(text.rstrip() + "\n")


def make_report(*, root: str, run_id: str | None) -> None:
    """Write a run's report."""
    from phloem.reports.run_report import write_report

    with told():
        store = find_root(root)
        name = write_report(store, run_id or newest_run(store))
    put(_place(root, name))


def make_registry_page(*, root: str) -> None:
    """Write the page of the registry."""
    from phloem.pipeline.registry.page import write_registry

    with told():
        workspace = find_workspace()
        seen = locked(workspace.sources)
        name = write_registry(open_root(root), load_registry(workspace), seen)
    put(_place(root, name))


def run_bench(data: Path, *, names: Sequence[str], repeat: int, peers: bool, as_json: bool) -> None:
    """Measure ops and the whole run."""
    from phloem.pipeline.bench.ops import COLUMNS, bench

    with told():
        rows = bench(data, names=names, repeat=repeat, peers=peers)
    listing(rows, COLUMNS, as_json=as_json)


def run_bench_engine(data: Path, *, sizes: Sequence[int], as_json: bool) -> None:
    """Measure the engine."""
    from phloem.pipeline.bench.engine import COLUMNS, bench_engine

    with told():
        rows = []
        for row in bench_engine(data, sizes_mb=sizes):
            note(f"{row['row']}: {row['wall s']} s")
            rows.append(row)
    listing(rows, COLUMNS, as_json=as_json)


def run_bench_chain(data: Path, *, peers: Mapping[str, str], repeat: int, as_json: bool) -> None:
    """Measure chains, and how often they decide alike."""
    from phloem.pipeline.bench.chain import COLUMNS, bench_chain

    with told():
        rows = []
        for row in bench_chain(data, peers=peers, repeat=repeat, told=note):
            note(f"{row['row']}: {row['says']}")
            rows.append(row)
    listing(rows, COLUMNS, as_json=as_json)
