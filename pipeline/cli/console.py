"""What a command prints: rows as a table or as JSON, and errors in one line with an exit code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from phloem.catalog.advice import ROOT_VARIABLE, command
from phloem.catalog.errors import PhloemError, UseError
from phloem.catalog.store import RootError, Store, masked
from phloem.reports.excerpts import visible

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


@contextmanager
def told() -> Iterator[None]:
    """Say an error in one line on stderr and exit with its code; anything else is a bug."""
    try:
        yield
    except (PhloemError, OSError) as error:  # a full disk, a folder that may not be written, …
        say(error)
        raise typer.Exit(getattr(error, "exit_code", 1)) from None
    except KeyboardInterrupt:
        note("interrupted: run the same command again, what is done is not done again")
        raise typer.Exit(1) from None


def say(error: Exception) -> None:
    """Print an error."""
    note(f"error: {error}")


def put(line: str) -> None:
    """Print a line on stdout; names out of sources stand in it, and none may steer the terminal."""
    out.print(visible(line))


def note(line: str) -> None:
    """Print a line on stderr, as `put` does on stdout."""
    err.print(visible(line))


def open_root(root: str) -> Store:
    """A root, which need not exist yet. Raises UseError for a URL that cannot be opened here."""
    if not root:
        raise UseError("--root is empty; give a folder, or the URL of one")
    try:
        return Store(root)
    except RootError as error:
        raise UseError(f"--root {error}") from None


def find_root(root: str) -> Store:
    """A root that is there. Raises UseError for one that no run has made."""
    store = open_root(root)
    if not store.exists(""):
        msg = (
            f"there is no root at {root}; `{command('run', 'RECIPE', root=root)}` makes one,"
            f" --root or {ROOT_VARIABLE} names another"
        )
        raise UseError(msg)
    return store


def print_json(value: Json) -> None:
    """Print a value as JSON; what JSON does not know, as text."""
    text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    sys.stdout.write(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


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


# Settings of a cluster whose values no record keeps: those that Spark itself redacts
# (spark.redaction.regex of its configuration, 3.5), and whatever else is called a key.
SECRET = re.compile("secret|password|token|credential|key", re.IGNORECASE)


def typed(context: typer.Context) -> tuple[str, ...]:
    """A command's words as they can be typed again, but for its root and what is secret."""
    words = [context.info_name or ""]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name == "root":
            continue
        value = context.params[parameter.name or ""]
        values = value if isinstance(value, (list, tuple)) else [value]
        flag = parameter.opts[:1] if parameter.param_type_name == "option" else []
        for each in values:
            told = _setting(str(each)) if parameter.name == "spark_conf" else masked(str(each))
            words += flag if each is True else [*flag, told]
    return tuple(words)


def _setting(given: str) -> str:
    """A setting of a cluster, KEY=VALUE, as a record may keep it: a secret value is ***."""
    return f"{given.partition('=')[0]}=***" if SECRET.search(given) else masked(given)
