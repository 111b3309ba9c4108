"""The command line, put together: its groups, each a module beside this one, and where errors end.

It imports typer and rich only: what a command needs is imported when it runs.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from phloem.catalog.errors import PhloemError
from phloem.pipeline.cli import (
    bench,
    catalog,
    dedup,
    doctor,
    explain,
    export,
    langid,
    ops,
    quality,
    release,
    report,
    root,
    run,
    sources,
    thresholds,
)
from phloem.pipeline.cli.console import note

GROUPS = (
    run,
    explain,
    report,
    export,
    root,
    doctor,
    bench,
    ops,
    langid,
    quality,
    thresholds,
    dedup,
    sources,
    catalog,
    release,
)
"""In the order in which `--help` lists them."""


SELDOM = 100_000
"""New objects between two looks of the collector: what a command imports is much, and stays."""


class Ended(SystemExit):
    """Ctrl-C, SIGTERM or SIGHUP ended this command.

    The two that nobody types end it with 128 and the signal's number, as shells tell it.
    """

    def __init__(self, number: int) -> None:
        """End for the signal of this number."""
        self.number = number
        self.status = 1 if number == signal.SIGINT else 128 + number
        super().__init__(self.status)

    def __str__(self) -> str:
        """The signal's name."""
        return signal.Signals(self.number).name


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: what it holds is put away first.

    One that is ignored, as `nohup` has it, stays so. Only the first to come counts: `timeout` and
    batch queues send theirs to a process and to its group, and a second one would cut the rest
    short.
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        if len(came) == 1:
            raise Ended(number)

    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, end)


class Commands(TyperGroup):
    """All commands: an error of ours or the system's is a line on stderr; any other is a bug."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except (PhloemError, OSError) as error:  # a full disk, a folder that may not be written, …
            note(f"error: {error}")
            raise typer.Exit(getattr(error, "exit_code", 1)) from None
        except (KeyboardInterrupt, Ended) as error:
            note("interrupted: run the same command again, what is done is not done again")
            raise (error if isinstance(error, Ended) else Ended(signal.SIGINT)) from None


app = typer.Typer(
    name="phloem",
    cls=Commands,
    help="Governed training tokens from hand-chosen text sources: gathered with permission,"
    " filtered in the open, reproducible to the byte."
    "\n\nStart with [bold]phloem run quickstart[/bold]: it says where its report and its release"
    " lie. Every document then has its story: see [bold]phloem explain --help[/bold]."
    "\n\nOps, cards, recipes and policies of your own are found through the nearest"
    " [bold]phloem.toml[/bold], in this folder or above it.",
    epilog="Exit codes: 0 done, 1 the run or check failed or was interrupted, 2 wrong use,"
    " 3 a maintainer must look (sources review) or nobody could be asked (sources lock --check,"
    " check-links), 129 ended by SIGHUP, 143 by SIGTERM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in GROUPS:
    app.add_typer(group.app)


def main() -> None:
    """Run the command line: the console script."""
    from phloem.pipeline import logs

    end_in_order()
    gc.set_threshold(SELDOM)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):  # names in any script, whatever the terminal can show
            stream.reconfigure(errors="backslashreplace")
    logs.set_up()
    try:
        app()
    except Ended as ended:
        _leave(ended)


def _leave(ended: Ended) -> None:
    """End this process, though threads should be in the middle of a download: nobody waits."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    atexit._run_exitfuncs()  # noqa: SLF001 - of the modules that started processes
    os._exit(ended.status)
