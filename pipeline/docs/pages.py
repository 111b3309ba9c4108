"""Fill the generated blocks of the project's pages: `python -m phloem.pipeline.docs [--check]`.

A page is Markdown with blocks between `<!-- generated:NAME -->` and `<!-- end generated -->`.
What stands between them is written from the code, so that no table can fall behind it.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from phloem.catalog.errors import PhloemError
from phloem.pipeline.cli.app import app
from phloem.pipeline.docs import commands as docs_cli
from phloem.pipeline.docs import fairness as docs_fairness
from phloem.pipeline.docs import languages as docs_languages
from phloem.pipeline.docs import rooms as docs_rooms
from phloem.pipeline.docs import scale as docs_scale
from phloem.pipeline.docs import tables as docs_tables

HAND_FILLED = ("explain",)
"""Blocks that a person fills with the output of a real run: they are left as they are."""

FOLDERS = ("catalog", "docs", "filters", "phloem", "pipeline", "reports", "sources", "tests")

OPEN, CLOSE = "<!-- generated:{} -->", "<!-- end generated -->"
BLOCK = re.compile(
    rf"(?P<open>^{OPEN.format('(?P<name>[a-z0-9-]+)')}\n).*?(?P<close>^{CLOSE})",
    re.DOTALL | re.MULTILINE,
)
OPENING = re.compile(rf"^{OPEN.format('([a-z0-9-]+)')}", re.MULTILINE)

Blocks = Mapping[str, docs_tables.Maker]


class DocsError(PhloemError):
    """A page that cannot be filled: the message names it and says what to do."""


def blocks() -> dict[str, docs_tables.Maker]:
    """What can stand in a block, by name."""
    return {
        **docs_tables.TABLES,
        **docs_fairness.TABLES,
        **docs_languages.TABLES,
        **docs_scale.TABLES,
        **docs_rooms.TABLES,
        "cli": lambda: docs_cli.reference(app),
        "registry-size": docs_tables.registry_size,
    }


def pages(root: Path) -> list[Path]:
    """The project's Markdown pages, sorted: at the top, in the packages, docs and tests."""
    found = [page for name in FOLDERS for page in (root / name).rglob("*.md")]
    return sorted([*root.glob("*.md"), *found])


def fill(text: str, made: Blocks) -> str:
    """The page with every block written anew.

    Raises:
        DocsError: a block has no end, or nothing makes a block of its name.
    """
    closed = {match["name"] for match in BLOCK.finditer(text)}
    for name in OPENING.findall(text):
        if name not in closed:
            raise DocsError(f"block {name} has no {CLOSE}; add it on a line of its own")
        if name not in made and name not in HAND_FILLED:
            near = difflib.get_close_matches(name, made, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(made))}"
            raise DocsError(f"nothing makes the block {name}; {hint}")

    def written(match: re.Match[str]) -> str:
        if match["name"] in HAND_FILLED:
            return match[0]
        return f"{match['open']}\n{made[match['name']]().strip()}\n\n{match['close']}"

    return BLOCK.sub(written, text)


def stale(root: Path, made: Blocks) -> dict[Path, str]:
    """The pages that are not as the code would write them, with the text that they should have.

    Raises:
        DocsError: a page cannot be filled.
    """
    found = {}
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        try:
            new = fill(text, made)
        except DocsError as error:
            raise DocsError(f"{page.relative_to(root)}: {error}") from None
        if new != text:
            found[page] = new
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the stale pages, or with `--check` only name them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m phloem.pipeline.docs", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a page is stale"
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    given = parser.parse_args(arguments)
    if not (given.root / "pyproject.toml").is_file():
        parser.error(f"{given.root} is no checkout of the project; name one with --root")
    try:
        found = stale(given.root, blocks())
    except DocsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for page, text in found.items():
        name = page.relative_to(given.root)
        if given.check:
            sys.stderr.write(f"{name} is not what the code says; run: make docs\n")
        else:
            page.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if found and given.check else 0
