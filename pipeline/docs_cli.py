"""The reference of the command line as Markdown, read from the typer app's own declarations."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.models import ArgumentInfo, DefaultPlaceholder, OptionInfo

from phloem.pipeline.docs_tables import table

BOLD = re.compile(r"\[bold\](.+?)\[/bold\]")  # how an example is marked for the terminal

Command = Callable[..., Any]


def commands(app: typer.Typer, prefix: str) -> Iterator[tuple[str, Command]]:
    """Every command with its whole name, such as `phloem ops list`, groups after the others."""
    for info in app.registered_commands:
        if info.callback is not None and not info.hidden:
            yield f"{prefix} {info.name or info.callback.__name__.replace('_', '-')}", info.callback
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance, f"{prefix} {group.name}")


def parameters(command: Command) -> list[tuple[str, str]]:
    """Each argument and option of a command: how it is typed, and its help with its default."""
    hints = typing.get_type_hints(command, include_extras=True)
    found = []
    for parameter in inspect.signature(command).parameters.values():
        kind, info = _declared(hints[parameter.name])
        default = (
            ""
            if parameter.default in {inspect.Parameter.empty, None, False, ""}
            else (f" Default: `{parameter.default}`.")
        )
        variable = f" Environment: `{info.envvar}`." if info.envvar else ""
        found.append((_spelling(parameter, kind, info), f"{info.help or ''}{default}{variable}"))
    return found


def reference(app: typer.Typer) -> str:
    """All commands as Markdown sections."""
    name = _plain(app.info.name) or "phloem"
    return "\n\n".join(_section(title, command) for title, command in commands(app, name))


def _section(title: str, command: Command) -> str:
    found = parameters(command)
    arguments = [spelling for spelling, _ in found if not spelling.startswith("--")]
    usage = " ".join([title, *arguments, *(["[OPTIONS]"] if len(arguments) < len(found) else [])])
    parts = [f"### `{title}`", _help(command), f"```\n{usage}\n```"]
    if found:
        parts.append(table(["", "meaning"], [(f"`{spelling}`", text) for spelling, text in found]))
    return "\n\n".join(parts)


def _help(command: Command) -> str:
    """The docstring: paragraphs as they are, marked examples as blocks of code."""
    paragraphs = []
    for paragraph in (inspect.getdoc(command) or "").split("\n\n"):
        examples = BOLD.findall(paragraph)
        code = "```\n" + "\n".join(examples) + "\n```"
        paragraphs.append(code if examples else paragraph)
    return "\n\n".join(paragraphs)


def _declared(hint: Any) -> tuple[Any, ArgumentInfo | OptionInfo]:
    kind, *notes = typing.get_args(hint)
    return kind, next(note for note in notes if isinstance(note, (ArgumentInfo, OptionInfo)))


def _spelling(parameter: inspect.Parameter, kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    many = "list[" in str(kind)
    required = parameter.default is inspect.Parameter.empty
    if isinstance(info, ArgumentInfo):
        shown = (info.metavar or parameter.name).upper() + ("..." if many else "")
        return shown if required else f"[{shown}]"
    flag = ", ".join(info.param_decls or ()) or f"--{parameter.name.replace('_', '-')}"
    names = {"int": "NUMBER", "float": "NUMBER", "Path": "PATH", "str": "TEXT"}
    value = next((name for key, name in names.items() if key in str(kind)), "")
    return " ".join(part for part in (flag, value) if part) + (" (again for more)" if many else "")


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, DefaultPlaceholder) else value
