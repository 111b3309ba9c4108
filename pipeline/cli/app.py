"""The command line. It imports typer only: what a command needs is imported when it runs."""

from __future__ import annotations

from datetime import date as calendar_date
from pathlib import Path
from typing import Annotated

import typer

from phloem.catalog.advice import ROOT, ROOT_VARIABLE

app = typer.Typer(
    name="phloem",
    help="Governed training tokens from hand-chosen text sources: gathered with permission,"
    " filtered in the open, reproducible to the byte."
    "\n\nStart with [bold]phloem run quickstart[/bold]: it says where its report and its release"
    " lie. Every document then has its story: see [bold]phloem explain --help[/bold]."
    "\n\nOps, cards, recipes and policies of your own are found through the nearest"
    " [bold]phloem.toml[/bold], in this folder or above it.",
    epilog="Exit codes: 0 done, 1 the run or check failed, 2 wrong use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
ops_app = typer.Typer(
    help="Ops: functions that measure or rewrite documents.", no_args_is_help=True
)
sources_app = typer.Typer(
    help="Where text comes from: one card a source, and what is locked of it.",
    no_args_is_help=True,
)
catalog_app = typer.Typer(help="What was made, from what, and why.", no_args_is_help=True)
release_app = typer.Typer(help="What a trainer may read.", no_args_is_help=True)
app.add_typer(ops_app, name="ops")
app.add_typer(sources_app, name="sources")
app.add_typer(catalog_app, name="catalog")
app.add_typer(release_app, name="release")

Root = Annotated[
    str,
    typer.Option(
        "--root",
        envvar=ROOT_VARIABLE,
        help="Folder or object-store URL that holds all that runs fetch and make.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for another program to read.")]
RunId = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="Id of the run to look at, as `phloem run` prints it; by default the newest run that"
        " came to its decisions.",
    ),
]
Recipe = Annotated[
    str,
    typer.Argument(help="A recipe's name, such as quickstart or debian, or a YAML file's path."),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="Read your own files instead of the recipe's sources: a path, folder, glob or URL."
        " Their names end in .jsonl, .parquet, .arrow or .txt, and may go on with .gz, .xz or .zst."
        " What comes out is not released: for that, write a source card.",
    ),
]
TextColumn = Annotated[
    str,
    typer.Option("--text-column", help="Column or JSON key of --input that holds the text."),
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


def _iso_date(given: str) -> str:
    """A date as typed, checked before anything runs."""
    try:
        right = not given or calendar_date.fromisoformat(given).isoformat() == given
    except ValueError:
        right = False
    if not right:
        raise typer.BadParameter(f"{given!r} is no date; write it as 2026-01-31")
    return given


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
            callback=_iso_date,
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
    from phloem.pipeline.cli import commands
    from phloem.pipeline.cli.console import typed
    from phloem.pipeline.engines.spark.options import Spark

    commands.run_recipe(
        recipe,
        asked=typed(context),
        root=root,
        workers=workers,
        runner=runner,
        spark=Spark(
            spark_master,
            job_server_jar,
            job_endpoint,
            worker_pool,
            worker_image,
            tuple(spark_conf or ()),
        ),
        input_=input_,
        text_column=text_column,
        language=language,
        skip_unavailable=skip_unavailable,
        release=release,
        date=date,
        stage=stage,
        share=share,
    )


@app.command()
def plan(
    recipe: Recipe,
    root: Root = ROOT,
    input_: Input = None,
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
    json: Json = False,
) -> None:
    """Show what a run would do: what is cached, what is missing, the disk that it needs.

    Sources and models are fetched if need be; nothing is computed.
    How much a stage has to do is known once the stages before it are done.

    [bold]phloem plan quickstart[/bold]
    [bold]phloem plan quickstart --cost[/bold]
    [bold]phloem plan quickstart --runner dataflow[/bold]
    """
    from phloem.pipeline.cli import commands

    commands.show_plan(
        recipe,
        root=root,
        input_=input_,
        text_column=text_column,
        language=language,
        skip_unavailable=skip_unavailable,
        runner=runner,
        cost=cost,
        prices=prices,
        as_json=json,
    )


@app.command()
def explain(
    document: Annotated[
        str,
        typer.Argument(help="A document's id, or as many of its first digits as tell it apart."),
    ],
    root: Root = ROOT,
    run_id: RunId = None,
    excerpt: Annotated[
        bool,
        typer.Option("--excerpt", help="Show the beginning of its text, personal data masked."),
    ] = False,
    json: Json = False,
) -> None:
    """Tell one document's whole story, from its source card to its tokens.

    Ids are in the view decisions: here of documents that were dropped, and why.

    [bold]phloem catalog query "select id, reason from decisions where verdict = 'dropped'"[/bold]
    """
    from phloem.pipeline.cli import commands

    commands.explain_document(document, root=root, run_id=run_id, excerpt=excerpt, as_json=json)


@app.command()
def report(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[run|registry]",
            help="A run's report, or what the registry holds: all cards, to search and to read.",
        ),
    ] = "run",
    root: Root = ROOT,
    run_id: RunId = None,
) -> None:
    """Write a run's report again, or a page of the registry, and say where it lies.

    Each is one HTML page that needs no network: open it in a browser, or send it to somebody.

    [bold]phloem report[/bold]
    [bold]phloem report registry[/bold]
    """
    from phloem.pipeline.cli import commands

    if what not in ("run", "registry"):
        raise typer.BadParameter(f"{what!r} is no report; there are run and registry")
    if what == "registry":
        commands.make_registry_page(root=root)
        return
    commands.make_report(root=root, run_id=run_id)


@app.command()
def status(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Id of a run; by default the newest."),
    ] = None,
    root: Root = ROOT,
    json: Json = False,
) -> None:
    """Say what a run does now, from another terminal or machine that sees its root.

    [bold]phloem status[/bold]
    """
    from phloem.pipeline.cli import operations

    operations.show_status(run_id, root=root, as_json=json)


@app.command()
def gc(
    root: Root = ROOT,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what is found; without it, it is only shown.")
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than",
            min=0,
            metavar="DAYS",
            help="Leave alone what was written within so many days.",
        ),
    ] = 1.0,
    json: Json = False,
) -> None:
    """Show or delete what no run, manifest or release names any more.

    To give up a run, delete its record runs/ID.json first: what other runs and releases share
    with it stays.

    [bold]phloem gc[/bold]
    [bold]phloem gc --yes[/bold]
    """
    from phloem.pipeline.cli import operations

    operations.collect_garbage(root=root, yes=yes, older_than=older_than, as_json=json)


@app.command()
def doctor(root: Root = ROOT, json: Json = False) -> None:
    """Say what works on this machine and what would not, and how to mend it.

    Exit code 1 only if no run at all would work.
    """
    from phloem.pipeline.cli import operations

    operations.show_doctor(root=root, as_json=json)


@app.command()
def bench(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            exists=True,
            file_okay=False,
            help="Folder of .jsonl.gz files; each line has id, text and, if known, lang.",
        ),
    ],
    what: Annotated[
        str,
        typer.Argument(
            metavar="[ops|engine|chain]",
            help="Every op and a whole run; or what Beam adds to a plain loop, what a second worker"
            " gains, and how time and memory grow with the corpus; or a whole chain beside those of"
            " other makers, and how often both decide alike.",
        ),
    ] = "ops",
    op: Annotated[
        list[str] | None,
        typer.Option(
            "--op", help="Measure this op only, or 'tokenize' or 'whole run'; again for more."
        ),
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="Passes, of which the best counts.")
    ] = 3,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Measure other makers' tools that are installed, on the same text in the same"
            " run: only such ratios count, since machines drift.",
        ),
    ] = False,
    size: Annotated[
        list[int] | None,
        typer.Option(
            "--size",
            min=1,
            help="MB of text that the engine is measured on; again for more. By default 10, 100 and"
            " 1000, which needs 15 GB of disk.",
        ),
    ] = None,
    datatrove: Annotated[
        str | None,
        typer.Option(
            "--datatrove",
            metavar="PYTHON",
            help="For chain: interpreter of an environment with datatrove[processing,io].",
        ),
    ] = None,
    dolma: Annotated[
        str | None,
        typer.Option(
            "--dolma",
            metavar="PYTHON",
            help="For chain: interpreter of an environment with dolma, measured too.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure ops and the whole run, the engine, or chains, in MB of text per CPU second.

    [bold]phloem bench --data texts --op statistics --peers[/bold]
    [bold]phloem bench chain --data texts --datatrove other/bin/python[/bold]
    """
    from phloem.pipeline.cli import commands

    if what not in ("ops", "engine", "chain"):
        raise typer.BadParameter(f"{what!r} is nothing to measure; there are ops, engine and chain")
    if what == "chain":
        if datatrove is None:
            raise typer.BadParameter("chain needs --datatrove PYTHON, an interpreter that has it")
        peers_of = {"datatrove": datatrove} | ({"dolma": dolma} if dolma else {})
        commands.run_bench_chain(data, peers=peers_of, repeat=repeat, as_json=json)
        return
    if what == "engine":
        commands.run_bench_engine(data, sizes=size or [10, 100, 1000], as_json=json)
        return
    commands.run_bench(data, names=op or [], repeat=repeat, peers=peers, as_json=json)


@ops_app.command("list")
def ops_list(json: Json = False) -> None:
    """List the ops, with the columns that each reads and writes; parameters are in --json."""
    from phloem.pipeline.cli import listings

    listings.list_ops(as_json=json)


@ops_app.command("check")
def ops_check(
    name: Annotated[list[str] | None, typer.Argument(help="Names of ops; all by default.")] = None,
    root: Root = ROOT,
) -> None:
    """Hold ops to their contract: examples, splitting, nulls, slices, determinism, docs.

    Run it on an op of your own before a recipe names it.

    [bold]phloem ops check statistics[/bold]
    """
    from phloem.pipeline.cli import listings

    listings.check_ops(name or [], root=root)


@sources_app.command("list")
def sources_list(json: Json = False) -> None:
    """List the source cards: the project's, and those of your phloem.toml."""
    from phloem.pipeline.cli import listings

    listings.list_sources(as_json=json)


@sources_app.command("show")
def sources_show(
    source: Annotated[str, typer.Argument(help="A card's id.")], json: Json = False
) -> None:
    """Show one card, what the lock file says of it, and its approval."""
    from phloem.pipeline.cli import listings

    listings.show_source(source, as_json=json)


@sources_app.command("lint")
def sources_lint(json: Json = False) -> None:
    """Check every card against every rule; all faults of all cards at once.

    Errors must be mended, and give exit code 1; hints need not.
    """
    from phloem.pipeline.cli import listings

    listings.lint_sources(as_json=json)


@sources_app.command("new")
def sources_new(
    id_: Annotated[
        str, typer.Option("--id", help="Kebab-case, names the work; the card's file name.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="As its makers call it.")] = "",
    summary: Annotated[
        str,
        typer.Option(
            "--summary",
            help="What the texts are, who made them, which part is taken, why it was chosen.",
        ),
    ] = "",
    homepage: Annotated[str, typer.Option("--homepage", help="Where a reader finds it.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="What its texts are, such as news; see sources/README.md.")
    ] = "",
    languages: Annotated[
        str,
        typer.Option("--languages", help="BCP-47 tags with commas between; zxx for code."),
    ] = "",
    license_: Annotated[
        str,
        typer.Option("--license", help="SPDX expression; LicenseRef-unknown if nobody has looked."),
    ] = "",
    connector: Annotated[
        str, typer.Option("--connector", help="What reads it, such as pypi.")
    ] = "",
    params: Annotated[
        str,
        typer.Option("--params", help="The connector's parameters as YAML: {packages: [nltk]}."),
    ] = "",
    custodian: Annotated[
        str, typer.Option("--custodian", help="Who makes it and answers for it.")
    ] = "",
    personal_data: Annotated[
        str, typer.Option("--personal-data", help="none, incidental or personal.")
    ] = "",
    personal_note: Annotated[
        str, typer.Option("--personal-note", help="Whose data it is, and where, if personal.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="What is missing before it can be read.")
    ] = "",
) -> None:
    """Propose a source: write its card of twelve fields, and lint it at once.

    What is not given is asked for on a terminal. The card goes into the first
    card folder of your phloem.toml, else into sources/entries.

    [bold]phloem sources new[/bold]
    """
    from phloem.pipeline.cli import sources_commands

    sources_commands.new_source(
        {
            "id": id_,
            "name": name,
            "summary": summary,
            "homepage": homepage,
            "kind": kind,
            "languages": languages,
            "license": license_,
            "connector": connector,
            "params": params,
            "custodian": custodian,
            "personal_data": personal_data,
            "personal_note": personal_note,
            "reason": reason,
        }
    )


@sources_app.command("approve")
def sources_approve(
    source: Annotated[str, typer.Argument(help="A card's id.")],
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            exists=True,
            dir_okay=False,
            help="Your SSH key; a public one if an agent holds the private one.",
        ),
    ],
    role: Annotated[
        str, typer.Option("--role", help="In which you answer for it, such as data steward.")
    ],
    basis: Annotated[str, typer.Option("--basis", help="What the decision rests on.")],
    date: Annotated[
        str,
        typer.Option("--date", callback=_iso_date, help="Of the decision; by default today."),
    ] = "",
) -> None:
    """Sign a card as it stands, so that policies that ask for approval read it.

    The key must be in allowed_signers beside the approvals: in the card folder
    of your phloem.toml, else in sources/approvals. A changed card needs a new one.

    [bold]phloem sources approve udhr --key ~/.ssh/id --role steward --basis 'Read it all.'[/bold]
    """
    from phloem.pipeline.cli import sources_commands

    sources_commands.approve_source(source, key=key, role=role, basis=basis, day=date)


@sources_app.command("stats")
def sources_stats(json: Json = False) -> None:
    """Count the cards: by status, kind, connector, licence and language, and BLOOM's languages.

    The columns are the parts of the headline: active and read where only package indexes are
    reached, active and read with a network, proposed, and closed: paused, withdrawn or unreadable.
    """
    from phloem.pipeline.cli import sources_commands

    sources_commands.show_stats(as_json=json)


@sources_app.command("check-links")
def sources_check_links(
    source: Annotated[
        list[str] | None, typer.Argument(help="Ids of cards; all active ones by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask whether the links of cards still answer; exit code 1 if one leads nowhere.

    Homepages, terms and what connectors read, one request a host at a time,
    no address inside your network. It needs the open network.
    """
    from phloem.pipeline.cli import sources_commands

    sources_commands.check_links(source or [], as_json=json)


@sources_app.command("lock")
def sources_lock(
    source: Annotated[
        list[str] | None, typer.Argument(help="Ids of cards; all active ones by default.")
    ] = None,
    root: Root = ROOT,
) -> None:
    """Ask the providers what the sources hold now, and write it to sources.lock.

    A run reads what is locked and nothing else. Lock a card after you wrote it,
    or when its provider no longer serves what is locked. Of what package indexes
    serve, a sample is read into the root and its languages are written too.

    [bold]phloem sources lock nltk-howto[/bold]
    """
    from phloem.pipeline.cli import listings

    listings.lock_sources(source or [], root=root)


@sources_app.command("sample")
def sources_sample(
    source: Annotated[list[str] | None, typer.Argument(help="Ids of cards, active or not.")] = None,
    all_available: Annotated[
        bool,
        typer.Option(
            "--all-available",
            help="All active cards that this machine can have without the open network: a row"
            " each.",
        ),
    ] = False,
    documents: Annotated[
        int, typer.Option("--documents", min=1, help="About how many of each source.")
    ] = 200,
    root: Root = ROOT,
    out: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="Write an HTML page with all of it too."),
    ] = None,
    json: Json = False,
) -> None:
    """Look at a few documents of a source: languages, lengths, personal data, what is kept.

    They are drawn by a hash of their ids from all of its parts and measured as
    a run would; what the newest run holds already is told. A source whose
    languages are not as declared is marked. Exit code 1 if a source gave none.

    [bold]phloem sources sample nltk-howto[/bold]
    [bold]phloem sources sample --all-available --out samples.html[/bold]
    """
    from phloem.pipeline.cli import review_commands

    review_commands.sample_sources(
        source or [],
        all_available=all_available,
        documents=documents,
        root=root,
        out=out,
        as_json=json,
    )


@sources_app.command("review")
def sources_review(
    base_head: Annotated[
        str,
        typer.Argument(
            metavar="BASE..HEAD",
            help="Two commits of the repository that this folder is in, a base and a head; with"
            " three dots, what happened since they parted.",
        ),
    ],
    samples: Annotated[
        int, typer.Option("--samples", min=0, help="Cards that are fetched and sampled at most.")
    ] = 5,
    root: Root = ROOT,
) -> None:
    """Review what a branch does to the registry, as Markdown for its pull request.

    Of the branch it reads cards, approvals and the lock file as git holds them,
    and fetches through the clients of package indexes alone. Exit code 1 if a
    rule finds an error in what the branch touches.

    [bold]phloem sources review main...HEAD[/bold]
    """
    from phloem.pipeline.cli import review_commands

    review_commands.review_branch(base_head, samples=samples, root=root)


@catalog_app.command("datasets")
def catalog_datasets(root: Root = ROOT, json: Json = False) -> None:
    """List the datasets that the root holds: one a stage and recipe, made of shared shards."""
    from phloem.pipeline.cli import listings

    listings.list_datasets(root=root, as_json=json)


@catalog_app.command("query")
def catalog_query(
    sql: Annotated[str, typer.Argument(help="A query in DuckDB's SQL.")],
    root: Root = ROOT,
    run_id: RunId = None,
    json: Json = False,
) -> None:
    """Query the catalog with SQL.

    Views: sources, runs, datasets, shards, decisions, quarantine, duplicates,
    measures, releases. Those of documents show one run. No view holds text.

    [bold]phloem catalog query "describe decisions"[/bold]
    [bold]phloem catalog query "select reason, count(*) from decisions group by all"[/bold]
    """
    from phloem.pipeline.cli import listings

    listings.query_catalog(sql, root=root, run_id=run_id, as_json=json)


@release_app.command("list")
def release_list(root: Root = ROOT, json: Json = False) -> None:
    """List the releases that the root holds."""
    from phloem.pipeline.cli import listings

    listings.list_releases(root=root, as_json=json)


@release_app.command("verify")
def release_verify(
    name: Annotated[str, typer.Argument(help="A release's name, as in `phloem release list`.")],
    root: Root = ROOT,
    json: Json = False,
) -> None:
    """Hash every file of a release again, and compare; exit code 1 if one is not as released."""
    from phloem.pipeline.cli import listings

    listings.verify_release(name, root=root, as_json=json)


def main() -> None:
    """Run the command line: the console script."""
    from phloem.pipeline import logs

    logs.set_up()
    app()
