"""What is done in a child cannot end its parent, nor stall it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import guarded_work as work
import psutil
import pytest

from phloem.pipeline import guard
from phloem.pipeline.guard import Guarded, LateError, OverrunError
from phloem.pipeline.stage import StageError
from phloem.sources.connector import GoneError

GIB = 2**30


@pytest.fixture(autouse=True)
def _retired() -> Iterator[None]:
    yield
    guard.retire()


def test_what_the_child_tells_comes_in_order_with_its_rows() -> None:
    with Guarded(work.tell, (3,), 5, GIB) as child:
        told = list(child)
    assert [said["число"] for said, _ in told] == [0, 1, 2]
    assert [rows.to_pydict() for _, rows in told if rows] == [{"number": [n]} for n in range(3)]


def test_child_that_is_done_does_the_next_work_and_no_other() -> None:
    pids = []
    for count in (1, 2, 1):
        with Guarded(work.tell, (count,), 5, GIB) as child:
            pids += [said["pid"] for said, _ in child]
    assert len(set(pids)) == 1
    with Guarded(work.tell, (5,), 5, GIB) as child:
        next(iter(child))  # not done: what it would tell is nobody's
    with Guarded(work.tell, (1,), 5, GIB) as child:
        ((said, _),) = child
    assert said["pid"] != pids[0]
    guard.retire()
    assert not psutil.pid_exists(said["pid"])


@pytest.mark.parametrize(
    ("deed", "ended"),
    [("spin", "seconds"), ("hold", "memory"), ("die", "SIGSEGV"), ("exit", "exit code 7")],
)
def test_child_that_overruns_or_dies_leaves_what_it_told(deed: str, ended: str) -> None:
    told = []
    with (
        pytest.raises(OverrunError, match=f"^{ended}$"),
        Guarded(work.tell_and, (deed,), 1, GIB // 2) as child,
    ):
        told += list(iter(child.__iter__().__next__, None))
    (pid,) = [said["pid"] for said, _ in _first(deed)]
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(("deed", "ended"), [("die", "SIGSEGV"), ("spin", "seconds")])
def test_what_the_child_started_ends_with_it_and_keeps_nobody_waiting(
    deed: str, ended: str
) -> None:
    pids: list[int] = []
    with pytest.raises(OverrunError, match=f"^{ended}$"):
        _hear(deed, pids)
    assert len(set(pids)) == 2
    ends = time.monotonic() + 20
    while any(_runs(pid) for pid in pids) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _hear(deed: str, pids: list[int]) -> None:
    with Guarded(work.start_one_and, (deed,), 1, GIB) as child:
        for said, _ in child:
            pids.append(said["pid"])


def _runs(pid: int) -> bool:
    """Whether it does; one that nobody has asked for its end does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_the_child_prints_is_not_on_stdout_and_one_that_is_not_heard_says_nothing() -> None:
    script = [
        "import os, time",
        "import guarded_work as work",
        "from phloem.pipeline.guard import Guarded",
        f"with Guarded(work.say, (), 5, {GIB}) as child:",
        "    list(child)",
        f"with Guarded(work.tell, (3,), 5, {GIB}) as child:",
        "    next(iter(child)); time.sleep(1); os._exit(0)",
    ]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)], capture_output=True, env=os.environ | path,
        check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr.decode()) == (b"", "Привет\nhello\n")


def test_child_that_does_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STILL_SECONDS", 1)
    with (
        pytest.raises(OverrunError, match=r"^still$"),
        Guarded(work.tell_and, ("wait",), 5, GIB) as child,
    ):
        list(child)


def test_last_that_is_told_is_what_took_the_memory_however_late_it_is_heard() -> None:
    told: list[int] = []
    with pytest.raises(OverrunError, match="memory"):
        _hear_late(told)
    assert told == [0, 1, 2, 3]


def _hear_late(told: list[int]) -> None:
    with Guarded(work.hold_at, (3,), 5, GIB // 2) as child:
        for said, _ in child:
            told.append(said["at"])
            time.sleep(1.5 if told == [0] else 0)


@pytest.mark.parametrize("deed", ["wait", "spin"])
def test_child_ends_with_its_parent_and_where_that_ignores_the_signal(deed: str) -> None:
    script = [
        "import signal, guarded_work as work",
        "from phloem.pipeline.guard import Guarded",
        "signal.signal(signal.SIGPROF, signal.SIG_IGN)",
        f"with Guarded(work.tell_and, ({deed!r},), 1, {GIB}) as child:",
        "    print(next(iter(child))[0]['pid'], flush=True)",
        "    list(child)",
    ]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | path,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        assert parent.stderr is not None
        pid = int(parent.stdout.readline())
        if deed == "wait":
            parent.kill()
        assert deed == "wait" or b"OverrunError: seconds" in parent.stderr.read()
    ends = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def _first(deed: str) -> list[guard.Told]:
    with Guarded(work.tell_and, (deed,), 1, GIB // 2) as child:
        return [next(iter(child))]


def test_error_of_ours_comes_as_it_was_and_another_without_what_it_quotes() -> None:
    with (
        pytest.raises(GoneError, match=r"^the registry is not there$"),
        Guarded(work.tell_and, ("refuse",), 5, GIB) as child,
    ):
        list(child)
    with pytest.raises(StageError) as raised, Guarded(work.tell_and, ("raise",), 5, GIB) as child:
        list(child)
    assert "ValueError" in str(raised.value)
    assert "письмо" not in str(raised.value)


def test_each_step_has_its_own_seconds() -> None:
    with Guarded(work.step_on, (8, 0.5), 1, GIB) as child:
        assert [said for said, _ in child] == [{"steps": 8}]
    with pytest.raises(OverrunError), Guarded(work.step_on, (1, 8.0), 1, GIB) as child:
        list(child)


def test_whole_that_takes_too_long_is_late() -> None:
    with (
        pytest.raises(LateError),
        Guarded(work.tell_and, ("spin",), 60, GIB, ends=0.0) as child,
    ):
        list(child)
