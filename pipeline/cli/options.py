"""Options that several commands take, and what is made of what somebody typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from phloem.catalog.advice import ROOT_VARIABLE, command
from phloem.catalog.errors import UseError

if TYPE_CHECKING:
    from phloem.catalog.store import Store
    from phloem.sources.spending import Allowance


def _given(root: str) -> str:
    """A root as typed. Raises UseError for an empty one: it would be the working folder."""
    if not root.strip():
        raise UseError("--root is empty; give a folder, or the URL of one")
    return root


Root = Annotated[
    str,
    typer.Option(
        "--root",
        envvar=ROOT_VARIABLE,
        callback=_given,
        help="Folder or object-store URL that holds all that runs fetch and make.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for another program to read.")]
FetchBytes = Annotated[
    int | None,
    typer.Option(
        "--fetch-bytes",
        min=1,
        help="Bytes that may come in for one card, which is given up beyond; 64 GiB by default.",
    ),
]
FetchSeconds = Annotated[
    int | None,
    typer.Option(
        "--fetch-seconds",
        min=1,
        help="Seconds that fetching for one card may take; 21600, six hours, by default.",
    ),
]
RunId = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="Id of the run to look at, as `phloem run` prints it; by default the newest run that"
        " came to its decisions.",
    ),
]


def allowance(fetch_bytes: int | None, fetch_seconds: int | None) -> Allowance:
    """What fetching for one card may take, as it was typed."""
    from phloem.sources.spending import FETCH_BYTES, FETCH_SECONDS, Allowance

    raised = "--fetch-bytes and --fetch-seconds allow more"
    return Allowance(fetch_bytes or FETCH_BYTES, fetch_seconds or FETCH_SECONDS, raised)


def iso_date(given: str) -> str:
    """A date as typed, checked before anything runs."""
    if given:
        from phloem.pipeline.request import is_date

        if not is_date(given):
            raise typer.BadParameter(f"{given!r} is no date; write it as 2026-01-31")
    return given


def open_root(root: str) -> Store:
    """A root, which need not exist yet. Raises UseError for a URL that cannot be opened here."""
    from phloem.catalog.store import RootError, Store

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


def place(root: str, name: str | None) -> str:
    """Where something lies that a command made, for a person; none if it made nothing."""
    return "none" if name is None else f"{root.rstrip('/')}/{name}"


# Settings of a cluster whose values no record keeps: those that Spark itself redacts
# (spark.redaction.regex of its configuration, 3.5), and whatever else is called a key.
SECRET = re.compile("secret|password|token|credential|key", re.IGNORECASE)


def typed(context: typer.Context) -> tuple[str, ...]:
    """A command's words as they can be typed again, but for its root and what is secret."""
    from phloem.catalog.withheld import masked

    words = [context.info_name or ""]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name == "root":
            continue
        value = context.params[parameter.name or ""]
        flag = parameter.opts[:1] if parameter.param_type_name == "option" else []
        for each in value if isinstance(value, (list, tuple)) else [value]:
            given = str(each)
            secret = parameter.name == "spark_conf" and SECRET.search(given)
            kept = f"{given.partition('=')[0]}=***" if secret else masked(given)
            words += flag if each is True else [*flag, kept]
    return tuple(words)
