"""What is done in a child cannot end its parent, nor stall it."""

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
