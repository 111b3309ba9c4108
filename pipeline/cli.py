"""The command line. It imports typer only: what a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="phloem",
    help="Governed training tokens from hand-chosen text sources: gathered with permission,"
    " filtered in the open, reproducible to the byte.",
    epilog="Exit codes: 0 done, 1 the run or check failed, 2 wrong use."
    " Start with: phloem run quickstart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
ops_app = typer.Typer(
    help="The ops: functions that measure or rewrite documents.", no_args_is_help=True
)
sources_app = typer.Typer(
    help="The registry: one card a source, and its lock.", no_args_is_help=True
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
        "--root", envvar="PHLOEM_ROOT", help="Folder or object-store URL that holds everything."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RunId = Annotated[
    str | None, typer.Option("--run", help="Run to look at; the newest finished one if not given.")
]
Recipe = Annotated[
    str, typer.Argument(help="A recipe's name, as in pipeline/recipes, or the path of one.")
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="Read your own files instead of the recipe's sources: a path, glob or URL of jsonl,"
        " parquet, arrow or txt. The output cannot be released until a real card names it.",
    ),
]
TextColumn = Annotated[
    str, typer.Option("--text-column", help="Column of --input that holds the text.")
]
Language = Annotated[
    str, typer.Option("--language", help="BCP-47 tag of --input, und if it is not known.")
]
SkipUnavailable = Annotated[
    bool,
    typer.Option("--skip-unavailable", help="Go on without sources that this machine cannot read."),
]

ROOT = "phloem-data"


@app.command()
def run(
    recipe: Recipe,
    root: Root = ROOT,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Worker processes; all cores by default.")
    ] = None,
    runner: Annotated[
        str, typer.Option("--runner", help="Engine that schedules: local.")
    ] = "local",
    input_: Input = None,
    text_column: TextColumn = "text",
    language: Language = "und",
    skip_unavailable: SkipUnavailable = False,
    release: Annotated[
        str, typer.Option("--release", help="Name of the release; by default recipe and digest.")
    ] = "",
    date: Annotated[
        str,
        typer.Option("--date", help="Date that the release bears, YYYY-MM-DD; none by default."),
    ] = "",
) -> None:
    """Run a recipe: do what is missing, and make its release and its report.

    Interrupt it at any moment and run it again: finished splits are not redone.

    [bold]phloem run quickstart[/bold]
    [bold]phloem run quickstart --input 'texts/*.jsonl' --text-column body --language sw[/bold]
    """
    from phloem.pipeline import commands

    commands.run_recipe(
        recipe,
        root=root,
        workers=workers,
        runner=runner,
        input_=input_,
        text_column=text_column,
        language=language,
        skip_unavailable=skip_unavailable,
        release=release,
        date=date,
    )


@app.command()
def plan(
    recipe: Recipe,
    root: Root = ROOT,
    input_: Input = None,
    text_column: TextColumn = "text",
    language: Language = "und",
    skip_unavailable: SkipUnavailable = False,
    json: Json = False,
) -> None:
    """Show what a run would do: what is cached, what is missing, the disk that it needs.

    Sources are fetched if need be; nothing is computed.
    """
    from phloem.pipeline import commands

    commands.show_plan(
        recipe,
        root=root,
        input_=input_,
        text_column=text_column,
        language=language,
        skip_unavailable=skip_unavailable,
        as_json=json,
    )


@app.command()
def explain(
    document: Annotated[str, typer.Argument(help="A document's id, or its first digits.")],
    root: Root = ROOT,
    run_id: RunId = None,
    excerpt: Annotated[
        bool, typer.Option("--excerpt", help="Show the beginning of its text, PII masked.")
    ] = False,
    json: Json = False,
) -> None:
    """Tell one document's whole story, from its source card to its tokens."""
    from phloem.pipeline import commands

    commands.explain_document(document, root=root, run_id=run_id, excerpt=excerpt, as_json=json)


@app.command()
def report(root: Root = ROOT, run_id: RunId = None) -> None:
    """Write a run's report, one HTML page, and say where it lies."""
    from phloem.pipeline import commands

    commands.make_report(root=root, run_id=run_id)


@app.command()
def bench(
    data: Annotated[
        Path, typer.Option("--data", help="Folder of jsonl.gz files with id, text, lang.")
    ],
    op: Annotated[
        list[str] | None, typer.Option("--op", help="Only these rows; all by default.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Best of so many passes.")] = 3,
    peers: Annotated[
        bool, typer.Option("--peers", help="Measure the peers that are installed, in the same run.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure every op and the whole run, in MB of text per CPU second."""
    from phloem.pipeline import commands

    commands.run_bench(data, names=op or [], repeat=repeat, peers=peers, as_json=json)


@ops_app.command("list")
def ops_list(json: Json = False) -> None:
    """List the ops, with what each reads and writes."""
    from phloem.pipeline import commands

    commands.list_ops(as_json=json)


@ops_app.command("check")
def ops_check(
    name: Annotated[list[str] | None, typer.Argument(help="Ops to check; all by default.")] = None,
    root: Root = ROOT,
) -> None:
    """Hold ops to their contract: examples, splitting, nulls, slices, determinism, docs."""
    from phloem.pipeline import commands

    commands.check_ops(name or [], root=root)


@sources_app.command("list")
def sources_list(json: Json = False) -> None:
    """List the source cards."""
    from phloem.pipeline import commands

    commands.list_sources(as_json=json)


@sources_app.command("show")
def sources_show(
    source: Annotated[str, typer.Argument(help="A card's id.")], json: Json = False
) -> None:
    """Show one card, what the lock file says of it, and its approval."""
    from phloem.pipeline import commands

    commands.show_source(source, as_json=json)


@sources_app.command("lint")
def sources_lint(json: Json = False) -> None:
    """Check every card against every rule; all faults of all cards at once."""
    from phloem.pipeline import commands

    commands.lint_sources(as_json=json)


@sources_app.command("lock")
def sources_lock(
    source: Annotated[
        list[str] | None, typer.Argument(help="Ids; all active cards by default.")
    ] = None,
) -> None:
    """Ask the providers what the sources hold now, and write it to sources.lock."""
    from phloem.pipeline import commands

    commands.lock_sources(source or [])


@catalog_app.command("datasets")
def catalog_datasets(root: Root = ROOT, json: Json = False) -> None:
    """List the datasets that the root holds."""
    from phloem.pipeline import commands

    commands.list_datasets(root=root, as_json=json)


@catalog_app.command("query")
def catalog_query(
    sql: Annotated[str, typer.Argument(help="DuckDB SQL over the views.")],
    root: Root = ROOT,
    run_id: RunId = None,
    json: Json = False,
) -> None:
    """Query the catalog with SQL.

    Views: sources, runs, datasets, shards, decisions, quarantine, duplicates, measures, releases.

    [bold]phloem catalog query "select reason, count(*) from decisions group by all"[/bold]
    """
    from phloem.pipeline import commands

    commands.query_catalog(sql, root=root, run_id=run_id, as_json=json)


@release_app.command("list")
def release_list(root: Root = ROOT, json: Json = False) -> None:
    """List the releases that the root holds."""
    from phloem.pipeline import commands

    commands.list_releases(root=root, as_json=json)


@release_app.command("verify")
def release_verify(
    name: Annotated[str, typer.Argument(help="The release's name.")],
    root: Root = ROOT,
    json: Json = False,
) -> None:
    """Hash every file of a release again, and compare."""
    from phloem.pipeline import commands

    commands.verify_release(name, root=root, as_json=json)


def main() -> None:
    """Run the command line: the console script."""
    app()


if __name__ == "__main__":
    main()
