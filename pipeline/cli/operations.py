"""What the commands that look after a root and a machine do: gc, status and doctor."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from typing import Any

import typer

from phloem.catalog.errors import UseError
from phloem.catalog.gc import DAY_SECONDS, GcError, NoRootError, Waste, delete, layout, named, waste
from phloem.filters.op import ops
from phloem.pipeline.cli.console import find_root, listing, note, print_json, put, say, told
from phloem.pipeline.cli.doctor import examine
from phloem.pipeline.stages import FORMER, KINDS
from phloem.pipeline.watch.status import lines, rate, seconds_left, status
from phloem.pipeline.workspace import find_workspace

Json = Any

WASTE = ("kind", "where", "count", "files", "MB", "reason")
STAGES = ("stage", "tasks", "cached", "finished", "documents", "MB", "MB/s", "seconds", "left")
CHECKS = ("works", "what", "found", "mend")


def collect_garbage(*, root: str, yes: bool, older_than: float, as_json: bool) -> None:
    """Print what nothing names; delete it if so asked."""
    now, age = time.time(), older_than * DAY_SECONDS
    with told():
        store = find_root(root)
        workspace = find_workspace()
        models = {file.sha256 for op in ops(workspace.ops).values() for file in op.files}
        try:
            where = layout((*KINDS, *FORMER))
            kept = named(store, where, models, older_than=age, now=now)
            found = waste(store, where, kept, older_than=age, now=now)
            if yes:
                delete(store, found, kept)
        except NoRootError as error:
            raise UseError(str(error)) from None
        except GcError as error:
            say(error)
            raise typer.Exit(1) from None
    rows = _by_kind(found)
    size = sum(each.bytes for each in found)
    if as_json:
        each = [dataclasses.asdict(waste) for waste in found]
        print_json(
            {"deleted": yes, "bytes": size, "kinds": rows, "found": each, "running": kept.running}
        )
        return
    if rows:
        listing(rows, WASTE, as_json=False)
    did = "deleted" if yes else "would be deleted: --yes does so"
    put(f"{len(found):,} things nothing names, {size / 1e6:.1f} MB, {did}")
    if kept.running and not yes:
        note(f"not now, though: run {', '.join(kept.running)} is going on")


def _by_kind(found: list[Waste]) -> list[dict[str, Json]]:
    """One row for each kind of waste in each folder of the root."""
    groups: dict[tuple[str, str, str], list[Waste]] = defaultdict(list)
    for each in found:
        groups[each.name.partition("/")[0], each.kind, each.reason].append(each)
    return [
        {
            "kind": kind,
            "where": where,
            "count": len(group),
            "files": sum(each.files for each in group),
            "MB": round(sum(each.bytes for each in group) / 1e6, 3),
            "reason": reason,
        }
        for (where, kind, reason), group in sorted(groups.items())
    ]


def show_status(run_id: str | None, *, root: str, as_json: bool) -> None:
    """Print what a run does now, or how it ended."""
    with told():
        found = status(find_root(root), run_id)
    rows = [
        {
            **stage,
            "MB": round(stage["bytes"] / 1e6, 1),
            "MB/s": round(rate(stage), 1),
            "left": None if (left := seconds_left(stage)) is None else f"{left:.0f} s",
        }
        for stage in found.stages
    ]
    if as_json:
        timed = [
            {**s, "mb_per_second": rate(s), "seconds_left": seconds_left(s)} for s in found.stages
        ]
        print_json({**dataclasses.asdict(found), "stages": timed})
        return
    for line in lines(found):
        put(line)
    if rows:
        listing(rows, STAGES, as_json=False)


def show_doctor(*, root: str, as_json: bool) -> None:
    """Print what works on this machine and what would not; exit code 1 if no run would."""
    with told():
        found = examine(root)
    if as_json:
        print_json([dataclasses.asdict(each) for each in found])
    else:
        rows = [
            {**dataclasses.asdict(each), "works": "ok" if each.works else "would not work"}
            for each in found
        ]
        listing(rows, CHECKS, as_json=False)
    if not all(each.works for each in found if each.needed):
        raise typer.Exit(1)
