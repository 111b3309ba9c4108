"""`phloem run` and `phloem plan`: do what a recipe asks for, or show what there is to do."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phloem.catalog.advice import ROOT, command
from phloem.catalog.errors import UseError
from phloem.pipeline.cli.console import listing, note, out, print_json, put
from phloem.pipeline.cli.options import AsJson, Root, iso_date, open_root, place, typed

if TYPE_CHECKING:
    from phloem.pipeline.engines.spark.options import Spark
    from phloem.pipeline.request import OwnFiles
    from phloem.pipeline.share import Share
    from phloem.pipeline.watch.account import Account

Json = Any

app = typer.Typer()

Recipe = Annotated[
    str,
    typer.Argument(help="A recipe's name, such as quickstart or debian, or a YAML file's path."),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="Read your own files instead of the recipe's sources: a path, folder, glob or URL;"
        " again for more."
        " Their names end in .jsonl, .json, .csv, .parquet, .arrow or .txt; text may go on with"
        " .gz, .xz, .bz2 or .zst. A path that is there is read as it is; a folder stands for all"
        " below it, but for what is no data, such as README and _SUCCESS, which is told."
        " What comes out is not released: for that, write a source card.",
    ),
]
TextColumn = Annotated[
    str,
    typer.Option("--text-column", help="Column or JSON key of --input that holds the text."),
]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format of --input, where names do not tell: jsonl, json, csv, parquet, arrow, txt,"
        " zip or tar.",
    ),
]
Language = Annotated[
    str,
    typer.Option("--language", help="BCP-47 tag of the text of --input; und: nobody knows."),
]
SkipUnavailable = Annotated[
    bool,
    typer.Option(
        "--skip-unavailable",
        help="Go on without sources that this machine cannot have, for want of a network, of the"
        " client that fetches them or of the locked version, as a recipe with on_unavailable: skip"
        " does; report and release name them. Other bytes than locked stop every run.",
    ),
]

UNKNOWN = "?"
TOLD_FAULTS = 5  # of a stage's graph; the rest are in --json


@app.command()
def run(
    context: typer.Context,
    recipe: Recipe,
    root: Root = ROOT,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Worker processes, or cores of the cluster; by default all. Their number changes"
            " no byte.",
        ),
    ] = None,
    runner: Annotated[
        str,
        typer.Option(
            "--runner",
            help="What does the work: local, the processes of this machine, or spark, a cluster;"
            " see docs/spark.md.",
        ),
    ] = "local",
    spark_master: Annotated[
        str,
        typer.Option("--spark-master", help="Of the cluster: spark://host:port, or local[N]."),
    ] = "",
    job_server_jar: Annotated[
        str,
        typer.Option(
            "--job-server-jar",
            help="Beam's Spark job server, to be started with spark-submit of SPARK_HOME or PATH: a"
            " jar's path, or Maven's group:artifact:version.",
        ),
    ] = "",
    job_endpoint: Annotated[
        str,
        typer.Option(
            "--job-endpoint",
            help="host:port of a job server that runs already, in place of master and jar.",
        ),
    ] = "",
    worker_pool: Annotated[
        str,
        typer.Option(
            "--worker-pool",
            help="host:port at which each executor finds Python workers, such as localhost:50000;"
            " a cluster on this machine alone needs none.",
        ),
    ] = "",
    worker_image: Annotated[
        str,
        typer.Option(
            "--worker-image",
            help="Container image of Beam's Python SDK with Phloem, in place of --worker-pool.",
        ),
    ] = "",
    spark_conf: Annotated[
        list[str] | None,
        typer.Option(
            "--spark-conf",
            help="A setting of Spark's, such as spark.executor.memory=2g; again for more.",
        ),
    ] = None,
    input_: Input = None,
    file_format: FileFormat = None,
    text_column: TextColumn = "text",
    language: Language = "und",
    skip_unavailable: SkipUnavailable = False,
    release: Annotated[
        str,
        typer.Option(
            "--release",
            help="Name of the release: lower-case letters, digits and ._-; by default the recipe's"
            " name and the digest of what it holds.",
        ),
    ] = "",
    date: Annotated[
        str,
        typer.Option(
            "--date",
            callback=iso_date,
            help="Date that the release bears, YYYY-MM-DD; by default none, so that the same"
            " inputs give the same bytes on any day.",
        ),
    ] = "",
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            help="Do this stage and no other, as a job of a batch queue; make no release.",
        ),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            "--share",
            metavar="K/N",
            help="Do share K of N of the stage: N processes that see one root do all of it.",
        ),
    ] = None,
) -> None:
    """Run a recipe: do what is missing, and make its release and its report.

    Interrupt it at any moment and run it again: what is done is not done again,
    and what comes out is the same to the byte.

    [bold]phloem run quickstart[/bold]
    [bold]phloem run quickstart --skip-unavailable[/bold]
    [bold]phloem run quickstart --input 'texts/*.jsonl' --text-column body --language sw[/bold]
    [bold]phloem run quickstart --stage measure --share 2/4[/bold]
    """
    from phloem.pipeline.engines.runners import SPARK, check_runner
    from phloem.pipeline.launch import load_ahead

    runner = check_runner(runner)
    if runner != SPARK:
        load_ahead(root)

    from phloem.pipeline import run as running
    from phloem.pipeline.engines.spark.engine import open_spark
    from phloem.pipeline.engines.spark.options import Spark
    from phloem.pipeline.request import find_request
    from phloem.pipeline.share import WHOLE, run_share
    from phloem.pipeline.watch.progress import Progress

    settings = tuple(spark_conf or ())
    spark = Spark(spark_master, job_server_jar, job_endpoint, worker_pool, worker_image, settings)
    if runner != SPARK and spark != Spark():
        raise UseError(f"options of Spark were given, but the runner is {runner}: --runner spark")
    if runner == SPARK:
        spark = _checked(spark, workers, stage)
    part = _part(stage, share, release, date)
    open_root(root)
    request, registry, workspace = find_request(
        recipe,
        root,
        workers=workers,
        own=_own(input_, file_format, text_column, language),
        skip_unavailable=skip_unavailable,
        release=release,
        date=date,
        asked=typed(context),
    )
    if stage and part:
        shared = run_share(request, registry, workspace, Progress(out), stage, part)
        put(f"share    {part} of {stage}: {shared.tasks} tasks, {shared.cached} cached")
        put(f"others   {shared.others} tasks of {stage} are missing still")
        if shared.account:
            _put_account(shared.account, root)
            if part == WHOLE:  # of one share of several the run itself judges
                running.require_read(shared.account, request.recipe)
        return
    is_elsewhere = runner == SPARK and not spark.sees_this_machine()
    request = dataclasses.replace(request, runner=runner, is_elsewhere=is_elsewhere)
    limits = request.recipe.limits
    opened = (
        functools.partial(open_spark, root, spark, limits, workspace.ops)
        if runner == SPARK
        else None
    )
    result = running.run(request, registry, workspace, Progress(out), opened)
    put(f"run      {result.run_id} in {result.seconds:.1f} s")
    put(f"report   {place(root, result.report)}")
    put(f"release  {place(root, result.release_file)}")
    for line in result.statement:
        put(f"         {line}")
    _put_account(result.account, root)
    if result.refusal:
        raise result.refusal
    running.require_read(result.account, request.recipe)


def _own(
    paths: list[str] | None, file_format: str | None, text_column: str, language: str
) -> OwnFiles | None:
    """The files that --input names, if it is given."""
    from phloem.pipeline.request import OwnFiles

    if not paths and (file_format, text_column, language) != (None, "text", "und"):
        msg = "--format, --text-column and --language are of --input: name the files with it"
        raise UseError(msg)
    if not paths:
        return None
    # One by itself is locked as it ever was.
    return OwnFiles(paths[0] if len(paths) == 1 else paths, text_column, language, file_format)


def _checked(spark: Spark, workers: int | None, stage: str | None) -> Spark:
    """What is asked of Spark. Raises UseError or RunnerError for what does not go together."""
    if stage is not None:
        raise UseError("--stage does its share on this machine: leave out --runner spark")
    spark = dataclasses.replace(spark, cores=workers)
    spark.check()
    return spark


def _part(stage: str | None, share: str | None, release: str, date: str) -> Share | None:
    """The share that is asked for, if any. Raises UseError for options that do not go together."""
    from phloem.pipeline.share import WHOLE, parse_share

    if stage is None:
        if share is not None:
            raise UseError("--share is of one stage: name it with --stage")
        return None
    if release or date:
        raise UseError("--stage makes no release: give --release and --date to the run after it")
    return parse_share(share) if share is not None else WHOLE


def _put_account(account: Account, root: str) -> None:
    from phloem.pipeline.watch.account import account_lines

    query = command("catalog", "query", "select * from quarantine", root=root)
    first, *others = account_lines(account, query)
    put(f"read     {first}")
    for line in others:
        put(f"         {line}")


@app.command()
def plan(
    recipe: Recipe,
    root: Root = ROOT,
    input_: Input = None,
    file_format: FileFormat = None,
    text_column: TextColumn = "text",
    language: Language = "und",
    skip_unavailable: SkipUnavailable = False,
    runner: Annotated[
        str,
        typer.Option(
            "--runner",
            help="Where it would run: local, or dataflow, which adds a dry run of every stage's"
            " graph and checks what would be sent.",
        ),
    ] = "local",
    cost: Annotated[
        bool,
        typer.Option(
            "--cost",
            help="Add what the whole run would take on rented machines: hours, what is read and"
            " shuffled, money, energy, and the memory of what one process does alone.",
        ),
    ] = False,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            help="YAML file of machines and prices for --cost; by default the project's own"
            " assumptions, pipeline/bench/costs/prices.yaml, to copy and change.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do: what is cached, what is missing, the disk that it needs.

    Sources and models are fetched if need be; nothing is computed.
    How much a stage has to do is known once the stages before it are done.

    [bold]phloem plan quickstart[/bold]
    [bold]phloem plan quickstart --cost[/bold]
    [bold]phloem plan quickstart --runner dataflow[/bold]
    """
    from phloem.pipeline import plan as planning
    from phloem.pipeline.bench.estimate import estimate_of
    from phloem.pipeline.engines.runners import DATAFLOW, check_planned
    from phloem.pipeline.request import find_request
    from phloem.pipeline.run import prepare

    planned_for = check_planned(runner)
    store = open_root(root)
    own = _own(input_, file_format, text_column, language)
    asked = find_request(recipe, root, own=own, skip_unavailable=skip_unavailable)
    job, skipped = prepare(store, *asked, note)
    planned = planning.plan(job, store)
    need, free = planning.disk_needed(job, store), store.free_bytes()
    checked: list[dict[str, Json]] = []
    if planned_for == DATAFLOW:
        from phloem.pipeline.engines.dataflow.dry_run import check_job

        checked = [dataclasses.asdict(each) for each in check_job(job, store)]
    estimate = estimate_of(job, store, prices) if cost or prices else None
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
            found["cost"] = estimate.to_json()
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
        if estimate:
            put(f"\n{estimate.head()}")
            table = estimate.rows()
            listing(table, list(table[0]), as_json=False)
            for line in estimate.notes():
                put(line)
    if any(each["faults"] for each in checked):
        raise typer.Exit(1)


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
