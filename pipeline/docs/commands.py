"""The reference of the command line as Markdown, read from the typer app's own declarations."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import typer

from phloem.pipeline.docs.tables import table

BOLD = re.compile(r"\[bold\](.+?)\[/bold\]")  # how an example is marked for the terminal
VALUES = {"int": "NUMBER", "float": "NUMBER", "Path": "PATH", "str": "TEXT"}

Command = Any  # typer carries its own copy of click, whose classes it does not offer


AGAIN = " (again for more)"


def commands(app: typer.Typer) -> Iterator[tuple[str, Command]]:
    """Every command with its whole name, such as `phloem ops list`, groups after the others."""
    built = typer.main.get_command(app)
    yield from _below(built, built.name or "")


def _below(group: Command, prefix: str) -> Iterator[tuple[str, Command]]:
    shown = [(f"{prefix} {name}", each) for name, each in group.commands.items() if not each.hidden]
    yield from ((name, each) for name, each in shown if not hasattr(each, "commands"))
    for name, each in shown:
        if hasattr(each, "commands"):
            yield from _below(each, name)


def parameters(command: Command) -> list[tuple[str, str]]:
    """Each argument and option of a command: how it is typed, and its help with its default."""
    hints = typing.get_type_hints(command.callback)
    found = []
    for parameter in command.params:
        default = parameter.default
        told = "" if default in (None, False, "") else f" Default: `{default}`."
        variable = f" Environment: `{parameter.envvar}`." if parameter.envvar else ""
        spelling = _spelling(parameter, str(hints[parameter.name]))
        found.append((spelling, f"{parameter.help or ''}{told}{variable}"))
    return found


def reference(app: typer.Typer) -> str:
    """All commands as Markdown sections."""
    return "\n\n".join(_section(title, command) for title, command in commands(app))


def _section(title: str, command: Command) -> str:
    found = parameters(command)
    needed = [
        spelling.removesuffix(AGAIN)
        for (spelling, _), each in zip(found, command.params, strict=True)
        if each.required or each.param_type_name == "argument"
    ]
    usage = " ".join([title, *needed, *(["[OPTIONS]"] if len(needed) < len(found) else [])])
    parts = [f"### `{title}`", _help(command), f"```text\n{usage}\n```"]
    if found:
        parts.append(table(["", "meaning"], [(f"`{spelling}`", text) for spelling, text in found]))
    return "\n\n".join(parts)


def _help(command: Command) -> str:
    """The docstring: paragraphs as they are, marked examples as blocks of code."""
    paragraphs = []
    for paragraph in (inspect.getdoc(command.callback) or "").split("\n\n"):
        examples = BOLD.findall(paragraph)
        code = "```sh\n" + "\n".join(examples) + "\n```"
        paragraphs.append(code if examples else paragraph)
    return "\n\n".join(paragraphs)


def _spelling(parameter: Command, kind: str) -> str:
    """A parameter as it is typed: every name that the parser takes, and what follows it."""
    if parameter.param_type_name == "argument":
        shown = parameter.metavar or parameter.name.upper()
        shown = shown.strip("[]") + ("..." if parameter.nargs != 1 else "")
        return shown if parameter.required else f"[{shown}]"
    flag = ", ".join([*parameter.opts, *parameter.secondary_opts])
    value = parameter.metavar or next((name for key, name in VALUES.items() if key in kind), "")
    again = AGAIN if parameter.multiple else ""
    return " ".join(part for part in (flag, value) if part) + again
