"""Fill the generated blocks of the project's pages: `python -m phloem.pipeline.docs [--check]`.

A page is Markdown with blocks between `<!-- generated:NAME -->` and `<!-- end generated -->`.
What stands between them is written from the code, so that no table can fall behind it.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo, TyperInfo

from phloem.catalog import columns, ledger
from phloem.catalog.columns import Column
from phloem.filters.op import Op, ops
from phloem.pipeline import cli, docs_tables

HAND_FILLED = ("explain",)
"""Blocks that a person fills with the output of a real run: they are left as they are."""

BLOCK = re.compile(
    r"(?P<open><!-- generated:(?P<name>[a-z0-9-]+) -->\n)(?P<body>.*?)(?P<close><!-- end generated -->)",
    re.DOTALL,
)
OPENING = re.compile(r"<!-- generated:([a-z0-9-]+) -->")
BOLD = re.compile(r"\[bold\](.+?)\[/bold\]")

Makers = Mapping[str, Callable[[], str]]


class DocsError(Exception):
    """A page that cannot be filled: the message names it and says what to do."""


def pages(root: Path) -> list[Path]:
    """The project's Markdown pages, sorted: those at the top, in the packages, docs and tests."""
    folders = ("catalog", "docs", "filters", "pipeline", "reports", "sources", "tests")
    found = [*root.glob("*.md"), *(page for name in folders for page in (root / name).rglob("*.md"))]
    return sorted(found)


def fill(text: str, makers: Makers) -> str:
    """The page with every block written anew.

    Raises DocsError for a block that has no end, or whose name nothing makes.
    """
    whole = {match["name"] for match in BLOCK.finditer(text)}
    for name in OPENING.findall(text):
        if name not in whole:
            raise DocsError(f"block {name} has no <!-- end generated -->; add it")
        if name not in makers and name not in HAND_FILLED:
            near = difflib.get_close_matches(name, makers, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(makers))}"
            raise DocsError(f"nothing makes the block {name}; {hint}")

    def written(match: re.Match[str]) -> str:
        if match["name"] in HAND_FILLED:
            return match[0]
        return f"{match['open']}\n{makers[match['name']]().strip()}\n\n{match['close']}"

    return BLOCK.sub(written, text)


def stale(root: Path, makers: Makers) -> dict[Path, str]:
    """The pages that are not as the code would write them, with their new text.

    Raises DocsError naming the page.
    """
    found = {}
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        try:
            new = fill(text, makers)
        except DocsError as error:
            raise DocsError(f"{page.relative_to(root)}: {error}") from None
        if new != text:
            found[page] = new
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; bars and line breaks in cells are made harmless."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
