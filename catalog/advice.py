"""What messages and pages advise to type: commands that a shell takes as they stand."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from phloem.catalog.plain import Json

ROOT, ROOT_VARIABLE = "phloem-data", "PHLOEM_ROOT"  # where a command looks if it names no root
INSTALL = "`make venv` in a checkout, or pip install the wheel that `make wheel` builds there"

CHECKOUT = Path(__file__).resolve().parents[1]


def command(*words: str, root: str = ROOT) -> str:
    """A command of Phloem's, quoted for a POSIX shell; a root that is found anyway is left out."""
    found_anyway = root == ROOT and not os.environ.get(ROOT_VARIABLE)
    return shlex.join(["phloem", *words, *(() if found_anyway else ("--root", root))])


def run_again(record: Mapping[str, Json], root: str) -> str:
    """The command that goes on with a run, to be typed in the folder of this process.

    Files and the workspace of a run are found from the folder that it was started in: where that is
    another one, the command goes there first.

    Args:
        record: The run's; one that keeps no command is told by its recipe alone.
        root: As this process was given it.
    """
    from phloem.catalog.policy import LOCAL  # heavy: the command line takes ROOT from here

    recipe, asked = record["recipe"], record.get("asked") or {}
    own = LOCAL in recipe.get("spec", {}).get("sources", ())
    words = asked.get("words") or ["run", recipe["name"], *(("--input", "PATH") if own else ())]
    here = str(Path.cwd())
    folder = asked.get("folder", here)
    if folder == here:
        return command(*words, root=root)
    seen = root if "://" in root else str(Path(root).expanduser().absolute())
    return f"{shlex.join(['cd', folder])} && {command(*words, root=seen)}"


def install_extra(name: str) -> str:
    """How an extra comes into this environment: by the checkout's lock, or from the wheel.

    No package index holds Phloem: asked for it by its name, pip would find nothing, or what
    somebody else named so.
    """
    lock = CHECKOUT / f"requirements-{name}.lock"
    if lock.is_file():
        pip = [sys.executable, "-m", "pip", "install", "--require-hashes", "-r", str(lock)]
        return f"`{shlex.join(pip)}`"
    try:
        wheel = f"dist/phloem-{metadata.version('phloem')}-py3-none-any.whl"
    except metadata.PackageNotFoundError:  # unpacked, not installed
        wheel = "dist/phloem-VERSION-py3-none-any.whl"
    pip = [sys.executable, "-m", "pip", "install", f"{wheel}[{name}]"]
    return f"`{shlex.join(pip)}`, the wheel that `make wheel` builds in a checkout"
