"""What the commands do: each a thin call into the packages, with its errors told in one line."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from phloem.catalog.handoff.tokens import TokenizerError
from phloem.catalog.ledger import BalanceError
from phloem.catalog.manifest import Dataset
from phloem.catalog.policy import PolicyError
from phloem.catalog.release import GateError, ReleaseError
from phloem.catalog.release import list_releases as releases
from phloem.catalog.release import verify_release as verify
from phloem.catalog.runs import ViewError, newest_run
from phloem.catalog.store import MissingError, Store
from phloem.catalog.story import explain as story_of
from phloem.catalog.views import connect
from phloem.filters.op import OpError
from phloem.filters.op import ops as known_ops
from phloem.pipeline import run as running
from phloem.pipeline.fetch import FetchError
from phloem.pipeline.plan import disk_needed, plan
from phloem.pipeline.progress import Progress
from phloem.pipeline.recipe import Recipe, RecipeError, load_recipe
from phloem.pipeline.record import Request
from phloem.pipeline.registry import (
    Registry,
    card_of,
    lint_all,
    load_registry,
    local_registry,
    lock,
)
from phloem.pipeline.runners import RunnerError, check_runner
from phloem.pipeline.stage import StageError
from phloem.pipeline.workspace import Workspace, WorkspaceError, find_workspace
from phloem.sources.connector import SourceError

Json = Any

WRONG_USE = (RecipeError, RunnerError, WorkspaceError, ViewError)
FAILED = (
    BalanceError,
    FetchError,
    GateError,
    MissingError,
    OpError,
    PolicyError,
    ReleaseError,
    SourceError,
    StageError,
    TokenizerError,
    running.RunError,
)

PIPE_WIDTH = 240

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


@contextmanager
def told() -> Iterator[None]:
    """Say an error in one line on stderr and exit with its code; anything else is a bug."""
    try:
        yield
    except WRONG_USE as error:
        _say(error)
        raise typer.Exit(2) from None
    except FAILED as error:
        _say(error)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        err.print("interrupted: run the same command again, what is done is not done again")
        raise typer.Exit(1) from None


def _say(error: Exception) -> None:
    err.print(f"error: {error}", markup=False, highlight=False)


def listing(rows: Sequence[Mapping[str, Json]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or as a JSON list."""
    if as_json:
        sys.stdout.write(json.dumps(list(rows), ensure_ascii=False, indent=1, default=str) + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    # A pipe has no width: what reads it wants whole cells.
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _request(
    asked: str,
    root: str,
    workers: int | None,
    input_: str | None,
    text_column: str,
    language: str,
    *,
    skip_unavailable: bool,
    release: str = "",
    date: str = "",
) -> tuple[Request, Registry, Workspace]:
    """What a run or a plan needs, found and checked."""
    workspace = find_workspace()
    registry = load_registry(workspace)
    recipe = load_recipe(asked, workspace, sorted(registry.cards))
    if input_ is not None:
        registry = local_registry(registry, input_, text_column, language)
        recipe = _local(recipe)
    elif not recipe.sources:
        raise RecipeError(f"{recipe.name} names no sources; give your own with --input")
    request = Request(
        recipe, root, workers or running.local_workers(), skip_unavailable, release, date
    )
    return request, registry, workspace


def _local(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"sources": ("local",), "mix": {}})


def run_recipe(
    recipe: str,
    *,
    root: str,
    workers: int | None,
    runner: str,
    input_: str | None,
    text_column: str,
    language: str,
    skip_unavailable: bool,
    release: str,
    date: str,
) -> None:
    """Run a recipe, then say where its report and release lie."""
    with told():
        check_runner(runner)
        request, registry, workspace = _request(
            recipe,
            root,
            workers,
            input_,
            text_column,
            language,
            skip_unavailable=skip_unavailable,
            release=release,
            date=date,
        )
        result = running.run(request, registry, workspace, Progress(out))
    out.print(f"run      {result.run_id} in {result.seconds:.1f} s", highlight=False)
    out.print(f"report   {_place(root, result.report)}", highlight=False)
    out.print(f"release  {_place(root, result.release_file)}", highlight=False)
    for line in result.statement:
        out.print(f"         {line}", markup=False, highlight=False)


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
    as_json: bool,
) -> None:
    """Print what a run would do."""
    with told():
        request, registry, workspace = _request(
            recipe, root, None, input_, text_column, language, skip_unavailable=skip_unavailable
        )
        store = Store(root)
        job, _ = running.prepare(store, request, registry, workspace, err.print)
        planned = plan(job, store)
        need = disk_needed(job, store)
    rows = [
        {
            "stage": each.stage,
            "tasks": "at most all" if each.tasks is None else each.tasks,
            "cached": "" if each.missing is None else (each.tasks or 0) - each.missing,
            "to do": "unknown until the stage before is done"
            if each.missing is None
            else each.missing,
            "MB": round(each.bytes / 1e6, 1),
        }
        for each in planned
    ]
    listing(rows, ["stage", "tasks", "cached", "to do", "MB"], as_json=as_json)
    if not as_json:
        free = store.free_bytes()
        there = "" if free is None else f", {free / 1e9:.1f} GB free"
        out.print(f"disk needed: at most {need / 1e9:.2f} GB{there}", highlight=False)


def explain_document(
    document: str, *, root: str, run_id: str | None, excerpt: bool, as_json: bool
) -> None:
    """Print one document's story."""
    from phloem.reports.explain import render_story

    with told():
        story = story_of(Store(root), document, run_id)
        text = render_story(story, excerpt=excerpt)
    if as_json:
        shown = story if excerpt else dataclasses.replace(story, excerpt="")
        value = json.dumps(dataclasses.asdict(shown), ensure_ascii=False, indent=1, default=str)
        sys.stdout.write(value + "\n")
    else:
        sys.stdout.write(text.rstrip() + "\n")


def make_report(*, root: str, run_id: str | None) -> None:
    """Write a run's report."""
    from phloem.reports.run_report import write_report

    with told():
        store = Store(root)
        name = write_report(store, run_id or newest_run(store))
    out.print(_place(root, name), highlight=False)


def run_bench(data: Path, *, names: Sequence[str], repeat: int, peers: bool, as_json: bool) -> None:
    """Measure ops and the whole run."""
    from phloem.pipeline.bench import COLUMNS, bench

    with told():
        rows = bench(data, names=names, repeat=repeat, peers=peers)
    listing(rows, COLUMNS, as_json=as_json)


def measured_run(root: str, input_: str) -> float:
    """CPU seconds of the quickstart recipe on files of one's own, with one worker."""
    request, registry, workspace = _request(
        "quickstart", root, 1, input_, "text", "und", skip_unavailable=False
    )
    return running.run(request, registry, workspace, Progress(Console(quiet=True))).cpu_seconds


def list_ops(*, as_json: bool) -> None:
    """Print the ops."""
    with told():
        workspace = find_workspace()
        rows = [
            {
                "op": op.name,
                "kind": op.kind,
                "version": op.version,
                "reads": [column.name for column in op.reads],
                "writes": [column.name for column in op.writes],
                "parameters": op.defaults,
                "does": (op.function.__doc__ or "").strip().split("\n")[0],
            }
            for op in known_ops(workspace.ops).values()
        ]
    listing(rows, ["op", "kind", "version", "reads", "writes", "does"], as_json=as_json)


def check_ops(names: Sequence[str], *, root: str) -> None:
    """Hold ops to their contract; exit 1 if one breaks it."""
    from phloem.filters.contract import breaches
    from phloem.pipeline.models import models

    with told():
        workspace = find_workspace()
        known = known_ops(workspace.ops)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise OpError(f"no op named {unknown[0]!r}; there are {', '.join(known)}")
        chosen = [known[name] for name in names or known]
        store = Store(root)
        paths = {
            name: store.local_path(place)
            for name, place in models(store, chosen, err.print).items()
        }
        broken = False
        for op in chosen:
            faults = breaches(op, paths)
            broken = broken or bool(faults)
            out.print(f"{'FAIL' if faults else 'ok  '} {op.name}", highlight=False)
            for fault in faults:
                out.print(f"     {fault}", markup=False, highlight=False)
    if broken:
        raise typer.Exit(1)


def list_sources(*, as_json: bool) -> None:
    """Print the cards."""
    with told():
        registry = load_registry(find_workspace())
    rows = [
        {
            "id": card.id,
            "status": card.status,
            "kind": card.kind,
            "languages": list(card.languages) if as_json else _first(card.languages),
            "license": card.license.spdx,
            "connector": card.access.connector,
            "version": registry.pins[card.id].version if card.id in registry.pins else None,
            "name": card.name,
        }
        for card in registry.cards.values()
    ]
    columns = ["id", "status", "kind", "languages", "license", "connector", "version", "name"]
    listing(rows, columns, as_json=as_json)


SHOWN = 5  # languages of a card in a table


def _first(values: Sequence[str]) -> list[str]:
    more = [f"and {len(values) - SHOWN} more"] if len(values) > SHOWN else []
    return [*values[:SHOWN], *more]


def show_source(source: str, *, as_json: bool) -> None:
    """Print one card."""
    with told():
        registry = load_registry(find_workspace())
        card = card_of(registry, source)
        pin = registry.pins.get(source)
        approval = registry.approvals.get(source)
    value = {
        **card.model_dump(mode="json"),
        "locked": pin.to_json() if pin else None,
        "approval": approval.model_dump(mode="json") if approval else None,
    }
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
        return
    for name, field in value.items():
        shown = json.dumps(field, ensure_ascii=False) if isinstance(field, (dict, list)) else field
        out.print(f"{name:16}{'' if shown is None else shown}", markup=False, highlight=False)


def lint_sources(*, as_json: bool) -> None:
    """Print what is wrong with the cards; exit 1 if anything must be fixed."""
    with told():
        findings = lint_all(find_workspace())
    rows = [dataclasses.asdict(finding) for finding in findings]
    if as_json or rows:
        listing(rows, list(rows[0]) if rows else [], as_json=as_json)
    if not as_json:
        errors = sum(row["kind"] == "error" for row in rows)
        out.print(f"{errors} errors, {len(rows) - errors} hints", highlight=False)
    if any(row["kind"] == "error" for row in rows):
        raise typer.Exit(1)


def lock_sources(sources: Sequence[str]) -> None:
    """Lock sources and say what changed."""
    with told():
        for line in lock(find_workspace(), sources):
            out.print(line, markup=False, highlight=False)


def list_datasets(*, root: str, as_json: bool) -> None:
    """Print the datasets."""
    with told():
        store = Store(root)
        found = [Dataset.load(store, name) for name in store.list("datasets")]
    rows = [
        {
            "stage": dataset.stage,
            "key": dataset.key,
            "digest": dataset.digest[:12],
            "shards": len(dataset.shards),
            "MB": round(sum(shard.bytes for shard in dataset.shards) / 1e6, 2),
            "recipe": dataset.spec.get("recipe"),
        }
        for dataset in found
    ]
    listing(rows, ["stage", "key", "digest", "shards", "MB", "recipe"], as_json=as_json)


def query_catalog(sql: str, *, root: str, run_id: str | None, as_json: bool) -> None:
    """Print the rows of a query."""
    import duckdb

    with told():
        connection = connect(Store(root), run_id)
        try:
            result = connection.execute(sql)
            columns = [column[0] for column in result.description or []]
            rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
        except duckdb.Error as error:
            _say(error)
            raise typer.Exit(2) from None
    listing(rows, columns, as_json=as_json)


def list_releases(*, root: str, as_json: bool) -> None:
    """Print the releases."""
    with told():
        found = releases(Store(root))
    rows = [
        {
            "name": release.name,
            "date": release.date,
            "recipe": release.recipe,
            "policy": release.policy,
            "sources": len(release.sources),
        }
        for release in found
    ]
    listing(rows, ["name", "date", "recipe", "policy", "sources"], as_json=as_json)


def verify_release(name: str, *, root: str, as_json: bool) -> None:
    """Print what of a release does not hold; exit 1 if anything."""
    with told():
        findings = verify(Store(root), name)
    rows = [dataclasses.asdict(finding) for finding in findings]
    if as_json or rows:
        listing(rows, list(rows[0]) if rows else [], as_json=as_json)
    if not as_json:
        out.print(
            f"{name}: {len(rows)} faults" if rows else f"{name}: whole, every byte as released"
        )
    if rows:
        raise typer.Exit(1)
