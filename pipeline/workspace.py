"""A user's own ops, cards, recipes, policies and rule sets, named in `phloem.toml`: no fork."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest

FILE = "phloem.toml"
_KEYS = ("ops", "sources", "recipes", "policies", "rule_sets")


class WorkspaceError(UseError):
    """A `phloem.toml` that says something it cannot."""


@dataclass(frozen=True)
class Workspace:
    """What a workspace adds to the project's own parts.

    Attributes:
        folder: Where `phloem.toml` lies; empty if there is none.
        ops: Names of op modules, importable from the folder.
        sources: Folders of source cards.
        recipes: Folders of recipes.
        policies: Folders of policies.
        rule_sets: Folders of rule sets.
    """

    folder: str = ""
    ops: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    recipes: tuple[Path, ...] = ()
    policies: tuple[Path, ...] = ()
    rule_sets: tuple[Path, ...] = ()


def find_workspace(start: Path | None = None) -> Workspace:
    """The workspace of the nearest `phloem.toml` at or above a folder; an empty one if none.

    Raises WorkspaceError for a key that is not known or a value that is no list of strings.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return load_workspace(folder)
    return Workspace()


def load_workspace(folder: Path) -> Workspace:
    """Read a folder's `phloem.toml` and make its op modules importable.

    Raises WorkspaceError naming all that is wrong.
    """
    try:
        given = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{folder / FILE} is not TOML: {error}"
        raise WorkspaceError(msg) from None
    faults = []
    for key, value in given.items():
        if key not in _KEYS:
            faults.append(f"unknown key {key!r}; {nearest(key, _KEYS)}")
        elif not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            faults.append(f"{key} must be a list of strings")
        elif key != "ops":
            missing = [item for item in value if not (folder / item).is_dir()]
            faults += [f"{key} names the folder {item!r}, which is not there" for item in missing]
    if faults:
        msg = f"{folder / FILE}: " + "; ".join(faults)
        raise WorkspaceError(msg)
    enter(str(folder))
    folders = {key: tuple(folder / item for item in given.get(key, [])) for key in _KEYS[1:]}
    return Workspace(str(folder), tuple(given.get("ops", [])), **folders)


def enter(folder: str) -> None:
    """Make a workspace's op modules importable in this process."""
    if folder and folder not in sys.path:
        sys.path.append(folder)
