"""Where errors end: ours and the system's in a line with their exit code, any other as it is."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phloem.catalog import runs
from phloem.catalog.errors import PhloemError, UseError
from phloem.catalog.store import StoreError
from phloem.pipeline.cli.app import Ended, app, end_in_order

AGAIN = "interrupted: run the same command again, what is done is not done again\n"


def _raised(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Result:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(runs, "newest_run", fail)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["report", "--root", "."])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PhloemError("no"), 1, "error: no\n"),
        (UseError("not so"), 2, "error: not so\n"),
        (StoreError("away"), 1, "error: away\n"),
        (OSError(errno.ENOSPC, "full", "a\x1b[2J"), 1, "error: [Errno 28] full: 'a\\x1b[2J'\n"),
        (PhloemError("a\x1b[2J [red]b"), 1, "error: a␛[2J [red]b\n"),
        (KeyboardInterrupt(), 1, AGAIN),
        (Ended(signal.SIGTERM), 143, AGAIN),
    ],
)
def test_errors_of_ours_and_the_systems_are_a_line(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    result = _raised(error, monkeypatch)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug"), RuntimeError("a bug")])
def test_any_other_error_is_a_bug_and_stays_one(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    result = _raised(error, monkeypatch)
    assert result.exception is error
    assert result.stderr == ""


@pytest.fixture
def _handlers() -> Iterator[None]:
    """The handlers of this process are put back."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("_handlers")
def test_first_signal_ends_a_command_and_a_second_does_not_cut_that_short() -> None:
    end_in_order()
    with pytest.raises(Ended) as ended:
        signal.raise_signal(signal.SIGHUP)
    assert (ended.value.code, str(ended.value)) == (129, "SIGHUP")
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("_handlers")
def test_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    end_in_order()
    signal.raise_signal(signal.SIGHUP)
    with pytest.raises(Ended):
        signal.raise_signal(signal.SIGTERM)


STARTED = {
    "console script": (
        "-c",
        "import sys; from phloem.pipeline.cli.app import main; sys.argv[0] = 'phloem'; main()",
    ),
    "module": ("-m", "phloem.pipeline.cli"),
}


@pytest.mark.parametrize("how", list(STARTED))
def test_errors_end_alike_however_the_command_is_started(how: str) -> None:
    done = subprocess.run(
        [sys.executable, *STARTED[how], "catalog", "datasets", "--root", "nowhere"],
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no root at nowhere")
    assert done.stderr.count("\n") == 1


def test_a_command_that_is_ended_waits_for_no_thread(tmp_path: Path) -> None:
    code = (
        "import atexit, os, signal, sys, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from phloem.catalog import runs\nfrom phloem.pipeline.cli.app import main\n"
        "def busy(*_):\n"
        "    ThreadPoolExecutor(1).submit(time.sleep, 600)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(600)\n"
        "runs.newest_run, sys.argv = busy, ['phloem', 'report', '--root', '.']\n"
        "atexit.register(lambda: print('put away', flush=True))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "put away\n", AGAIN)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_command_ends_quietly_when_nobody_reads_on(form: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [sys.executable, *STARTED["module"], "sources", "list", *form],
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()  # as `head` does that has seen enough
        assert started.stderr.read() == ""
    assert started.returncode == 1
