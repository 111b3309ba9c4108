"""What a command prints: lines, rows as a table or as JSON; none may steer the terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from phloem.reports.visible import visible

Json = Any

PIPE_WIDTH = 10_000  # a pipe has no width: what reads it wants whole cells

# What a string of JSON may hold as it is, though a terminal would obey it or no UTF-8 can say it.
_UNSAFE = re.compile("[\x7f-\x9f\ud800-\udfff]")


def plain(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints what it is given: no markup, no emoji names, no colours of its own.

    Without a width, it is as wide as the terminal: `print` could narrow it, but not widen it.
    """
    return Console(
        stderr=stderr, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False
    )


out = plain()
err = plain(stderr=True)


def put(line: str) -> None:
    """Print a line on stdout; names out of sources stand in it, and none may steer the terminal."""
    out.print(visible(line))


def note(line: str) -> None:
    """Print a line on stderr, as `put` does on stdout."""
    err.print(visible(line))


def write(text: str) -> None:
    """Write on stdout a text that is safe already, as it is; end quietly if nobody reads on."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        out.on_broken_pipe()


def print_json(value: Json) -> None:
    """Print a value as JSON; what JSON does not know, as text."""
    text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    write(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def listing(rows: Sequence[Mapping[str, Json]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or as a JSON list."""
    if as_json:
        print_json(list(rows))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(visible(column), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    wide = out if sys.stdout.isatty() else plain(width=PIPE_WIDTH)
    wide.print(table, soft_wrap=False)


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(str(value))
