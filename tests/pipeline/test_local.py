"""The local engine: how tasks share pipelines, and what of an error leaves a worker."""

import random
import traceback
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pebble import ProcessExpired
from tiny_workspace import ADDRESS

from phloem.pipeline.local import (
    WAVE_BYTES,
    WAVE_TASKS,
    check_memory,
    reason_of,
    resident_bytes,
    run_wave,
    waves,
)
from phloem.pipeline.stage import StageError, Task
from phloem.sources.connector import SourceError

TEXT = f"यह एक दस्तावेज़ है {ADDRESS}\nzweite Zeile"


def _tasks(sizes: list[int]) -> list[Task]:
    return [Task("ingest", (("ingest", str(n)),), str(n), size, {}) for n, size in enumerate(sizes)]


SIZES = st.lists(st.integers(0, 12 * 2**20) | st.integers(0, 2000), max_size=200)


@given(SIZES, st.integers(1, 64))
def test_waves_hold_every_task_once_and_the_largest_first(sizes: list[int], workers: int) -> None:
    tasks = _tasks(sizes)
    found = waves(tasks, workers)
    flat = [task for wave in found for task in wave]
    assert sorted(task.label for task in flat) == sorted(task.label for task in tasks)
    assert [task.bytes for task in flat] == sorted(sizes, reverse=True)
    for wave in found:
        assert 1 <= len(wave) <= WAVE_TASKS
        assert len(wave) == 1 or sum(task.bytes for task in wave) <= WAVE_BYTES[1]


@given(SIZES, st.randoms(use_true_random=False))
def test_waves_are_the_same_in_whatever_order_tasks_come(
    sizes: list[int], chance: random.Random
) -> None:
    tasks = _tasks(sizes)
    mixed = list(tasks)
    chance.shuffle(mixed)
    assert waves(mixed, 2) == waves(tasks, 2)


def test_waves_of_small_tasks_share_few_pipelines() -> None:
    assert [len(wave) for wave in waves(_tasks([100] * 100), 8)] == [WAVE_TASKS, 36]
    assert waves([], 2) == []


def test_waves_of_large_work_give_every_worker_some() -> None:
    assert len(waves(_tasks([2**20] * 16), 2)) >= 2 * 2


def test_resident_bytes_counts_this_process_at_least() -> None:
    held = bytearray(64 * 2**20)
    held[:: 2**10] = b"x" * (64 * 2**10)  # touched, else it is only promised
    assert resident_bytes() > len(held)


def test_check_memory_refuses_what_would_fill_the_machine() -> None:
    (task,) = _tasks([1])
    check_memory("bands", [task], 1)
    huge = Task(task.stage, task.makes, task.label, 1, {}, shuffled_bytes=2**50)
    with pytest.raises(StageError, match=r"stage bands may take .* GB with 1 workers"):
        check_memory("bands", [huge], 1)


# What of an error leaves a worker -----------------------------------------------------------------
def _caught(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    pytest.fail("nothing was raised")


def _wrapped(function: Callable[[], object]) -> object:
    """Raise as Beam does: another error, whose message begins with the first one's."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - as Beam
        message = traceback.format_exception_only(error)[-1].strip()
        raise RuntimeError(f"{message} [while running 'Measure/Do']")  # noqa: B904 - as Beam


def _ours() -> None:
    raise SourceError("first.jsonl has no column 'body'")


def _ours_of_the_system() -> None:
    try:
        Path("/dev/null/x").read_bytes()
    except OSError as error:
        raise StageError("the root is full") from error


def _chained() -> None:
    try:
        int(TEXT)
    except ValueError as error:
        raise RuntimeError(f"failed on {TEXT}") from error


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_ours, "first.jsonl has no column 'body'"),
        (_ours_of_the_system, "the root is full"),
        (Path("/dev/null/x").read_bytes, "[Errno 20] Not a directory: '/dev/null/x'"),
    ],
)
def test_reason_of_our_own_and_the_systems_errors_is_their_message(
    function: Callable[[], object], said: str
) -> None:
    assert reason_of(_caught(function)) == said
    assert reason_of(_caught(lambda: _wrapped(function))) == said


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda: int(TEXT), "ValueError"),
        (lambda: {}[TEXT], "KeyError"),
        (lambda: TEXT.encode("ascii"), "UnicodeEncodeError"),
        (lambda: pa.array([TEXT]).cast(pa.int64()), "ArrowInvalid"),
        (_chained, "ValueError"),
    ],
)
def test_reason_of_any_other_error_is_its_kind_and_place_and_no_text(
    function: Callable[[], object], kind: str
) -> None:
    for error in (_caught(function), _caught(lambda: _wrapped(function))):
        reason = reason_of(error)
        assert reason.startswith(f"{kind} at ")
        assert "test_local line " in reason
        assert "\n" not in reason
        assert not any(word in reason for word in TEXT.split())


def test_reason_of_a_message_of_many_lines_is_one_line() -> None:
    error = SourceError("2 faults in source cards:\nfirst\n\nsecond")
    assert reason_of(error) == "2 faults in source cards: first second"


def test_reason_of_a_dead_worker_says_how_it_ended() -> None:
    assert "exit code -9" in reason_of(ProcessExpired("died", code=-9))
    assert "without committing" in reason_of(None)


@pytest.mark.beam
def test_run_wave_lets_one_safe_line_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def choke(*_: object) -> None:
        int(TEXT)

    monkeypatch.setattr("phloem.pipeline.ingest.run", choke)
    (task,) = _tasks([1])
    error = _caught(lambda: run_wave("memory://wave", "ingest", [task.to_json()]))
    assert isinstance(error, StageError)
    assert str(error).startswith("ValueError at ")
    assert ADDRESS not in "".join(traceback.format_exception(error))
