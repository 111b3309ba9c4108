"""What a user asks of a run: the recipe, where it reads and writes, and with how many workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as calendar_date

from phloem.catalog.errors import UseError
from phloem.catalog.policy import LOCAL as LOCAL_SOURCE
from phloem.catalog.released import NAME
from phloem.pipeline.engines.runners import LOCAL
from phloem.pipeline.recipe import Recipe, RecipeError, checked_recipe, load_recipe
from phloem.pipeline.registry.registry import Registry, load_registry, local_registry
from phloem.pipeline.workspace import Workspace, find_workspace


@dataclass(frozen=True)
class Request:
    """What a user asked for.

    Attributes:
        recipe: What to make.
        root: URL of the root.
        workers: Processes on this machine, or tasks at once on the runner's machines.
        skip_unavailable: Leave out sources that this machine cannot have, whatever the recipe
            says of them.
        release: Name of the release; made from what it holds if empty.
        date: Date that the release bears, ISO 8601; none if empty.
        runner: What does the work.
        is_elsewhere: Whether workers may be on machines that have of this one nothing but the
            root: then files of this machine are read from there.
        asked: The command's words after `phloem`, its root left out; none if no command asked.
    """

    recipe: Recipe
    root: str
    workers: int
    skip_unavailable: bool = False
    release: str = ""
    date: str = ""
    runner: str = LOCAL
    is_elsewhere: bool = False
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnFiles:
    """A user's own files, which no source card describes.

    Attributes:
        path: Path, folder, glob or URL, or several.
        text_column: The column that holds the text.
        language: BCP-47 tag of those that do not say theirs, or `und`.
        format: That of all of them; None: by the ending of each name.
    """

    path: str | Sequence[str]
    text_column: str = "text"
    language: str = "und"
    format: str | None = None


def find_request(
    recipe: str | Recipe,
    root: str,
    *,
    workers: int | None = None,
    own: OwnFiles | None = None,
    skip_unavailable: bool = False,
    release: str = "",
    date: str = "",
    asked: Sequence[str] = (),
) -> tuple[Request, Registry, Workspace]:
    """A request for a recipe of this folder's workspace, found and checked.

    Args:
        recipe: Name of the recipe, path of its file, or the recipe itself.
        root: URL of the root.
        workers: Processes or tasks at once; None: as many as this process may use cores.
        own: Files that are read in place of the recipe's sources.
        skip_unavailable: Leave out sources that this machine cannot have.
        release: Name of the release.
        date: Date that the release bears, ISO 8601.
        asked: The command's words, for the record.

    Raises:
        UseError: something of it cannot be, such as a release's name.
        RecipeError: there is no such recipe, it has faults, or it names no sources and no files
            are given.
    """
    if release and not NAME.fullmatch(release):
        msg = f"--release {release!r} is no name: lower-case letters, digits and ._- only"
        raise UseError(msg)
    if date and not is_date(date):
        raise UseError(f"--date {date!r} is no date; write it as 2026-01-31")
    if workers is not None and workers < 1:
        raise UseError(f"--workers {workers}: at least one is needed")
    workspace = find_workspace()
    registry = load_registry(workspace)
    known = sorted(registry.cards)
    if isinstance(recipe, Recipe):
        found = checked_recipe(recipe, workspace, known)
    else:
        found = load_recipe(recipe, workspace, known)
    if own:
        registry = local_registry(registry, own.path, own.text_column, own.language, own.format)
        found = found.model_copy(update={"sources": (LOCAL_SOURCE,), "mix": {}})
    elif not found.sources:
        raise RecipeError(f"{found.name} names no sources; give your own with --input")
    number = workers or local_workers()
    request = Request(found, root, number, skip_unavailable, release, date, asked=tuple(asked))
    return request, registry, workspace


def is_date(given: str) -> bool:
    """Whether this is a day as ISO 8601 writes it: 2026-01-31."""
    try:
        return calendar_date.fromisoformat(given).isoformat() == given
    except ValueError:
        return False


def local_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
