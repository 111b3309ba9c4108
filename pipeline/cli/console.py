"""What a command prints: lines, rows as a table or as JSON; none may steer the terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from phloem.catalog.withheld import withheld_in
from phloem.reports.visible import visible

Json = Any

# What a string of JSON may hold as it is, though a terminal would obey it or no UTF-8 can say it.
_UNSAFE = re.compile("[\x7f-\x9f\ud800-\udfff]")


# A cell is of one row: a name with a line break in it would make another, that nothing stands for.
_ONE_LINE = str.maketrans("\t\n", "\u2409\u240a")


def plain(*, stderr: bool = False) -> Console:
    """A console that prints what it is given: no markup, no emoji names, no colours of its own."""
    return Console(stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False)


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
    text = json.dumps(withheld_in(value), ensure_ascii=False, indent=1)
    write(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def listing(rows: Sequence[Mapping[str, Json]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or as a JSON list."""
    if as_json:
        print_json(list(rows))
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    head = [visible(column) for column in columns]
    if sys.stdout.isatty():
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in head:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*row)
        out.print(table, soft_wrap=False)
    else:  # a pipe has no width: what reads it wants whole cells
        write("".join(f"{line}\n" for line in _aligned([head, *cells])))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each row as a line, its cells under those of the rows before, as a table of `rich` has them.

    Laying out five hundred rows takes `rich` a second.
    """
    sizes = [[cell_len(cell) for cell in row] for row in rows]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    for row, size in zip(rows, sizes, strict=True):
        pairs = zip(row, size, widths, strict=True)
        yield "  ".join(cell + " " * (width - own) for cell, own, width in pairs)


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(str(value)).translate(_ONE_LINE)
