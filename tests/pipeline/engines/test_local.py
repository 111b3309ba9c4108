"""The local engine without its processes: sharing work out, trying again, saying why."""

import dataclasses
import json
import platform
import re
import signal
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa
import pytest
from eager import eager
from hypothesis import given
from hypothesis import strategies as st
from pebble import ProcessExpired
from some_tasks import some_task

from phloem.catalog.manifest import File, Ref, Shard, commit
from phloem.catalog.store import Store
from phloem.pipeline.engines import local
from phloem.pipeline.engines.build import build, require_same
from phloem.pipeline.engines.engine import (
    Failure,
    WorkerError,
    forget_failures,
    note_failure,
    noted_reason,
)
from phloem.pipeline.engines.local import (
    ATTEMPTS,
    WAVE_BYTES,
    WAVE_TASKS,
    Pool,
    check_memory,
    memory_needed,
    open_pool,
    resident_bytes,
    run_wave,
    waves,
)
from phloem.pipeline.engines.transforms import transform
from phloem.pipeline.reason import reason_of
from phloem.pipeline.run import told_failures
from phloem.pipeline.stage import StageError, made
from phloem.pipeline.stages import BY_NAME, bands, task_of
from phloem.sources.formats.unpack import UnpackError
from phloem.sources.limits import Limits

PRIVATE = "Привет, это личное письмо"


# Waves --------------------------------------------------------------------------------------------
@given(st.lists(st.integers(0, 3 * WAVE_BYTES[1]), max_size=200), st.integers(1, 32))
def test_waves_hold_every_task_once_the_largest_first(sizes: list[int], workers: int) -> None:
    tasks = [some_task(f"{n:03}", size) for n, size in enumerate(sizes)]
    found = waves(tasks, workers)
    flat = [task for wave in found for task in wave]
    assert flat == sorted(tasks, key=lambda task: -task.bytes)  # stable: ties by name
    for wave in found:
        assert 1 <= len(wave) <= WAVE_TASKS
        assert len(wave) == 1 or sum(task.bytes for task in wave) <= WAVE_BYTES[1]
    assert waves(tasks[::-1], workers) == found


def test_waves_give_every_worker_several_of_a_large_stage() -> None:
    tasks = [some_task(f"{n:03}", 2**20) for n in range(128)]
    assert len(waves(tasks, 4)) == 16  # four a worker, 8 MiB each
    assert len(waves(tasks, 32)) == 128


def test_waves_join_small_tasks() -> None:
    assert len(waves([some_task(str(n), 100) for n in range(WAVE_TASKS)], 8)) == 1


# Memory -------------------------------------------------------------------------------------------
def test_resident_bytes_are_those_of_this_process_at_least() -> None:
    own = psutil.Process().memory_info().rss
    assert 0.5 * own < resident_bytes() < psutil.virtual_memory().total


def test_memory_needed_grows_with_workers_and_what_they_group_at_once() -> None:
    small, large = some_task("a", shuffled_bytes=10**8), some_task("b", shuffled_bytes=10**9)
    assert memory_needed([], 2) == 2 * memory_needed([], 1) > 0
    assert memory_needed([small, large], 1) == memory_needed([large], 1) > 10**9
    grown = memory_needed([small, large, small], 2) - memory_needed([], 2)
    assert grown == pytest.approx(1.2 * (10**8 + 10**9))


def test_check_memory_refuses_a_stage_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=4 * 10**9))
    tasks = [some_task("a", shuffled_bytes=10**9), some_task("b", shuffled_bytes=10**9)]
    with pytest.raises(StageError, match=r"stage bands may take 3\.0 GB .* 4\.0 GB; use fewer"):
        check_memory("bands", tasks, 2)
    check_memory("bands", tasks, 1)
    check_memory("bands", [some_task("a", shuffled_bytes=10**8)], 2)
    check_memory("bands", [], 99)


# Reasons ------------------------------------------------------------------------------------------
def _raised(function: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as told:  # noqa: PT011 - any
        function()
    return told.value


def _quoting() -> None:
    raise ValueError(f"cannot read {PRIVATE!r}\nat all")


def _ours() -> None:
    try:
        _quoting()
    except ValueError as error:
        raise StageError("split 3 holds\n  no text") from error


def _beam() -> None:
    try:
        _ours()
    except StageError as error:
        raise RuntimeError(f"{error} [while running 'tally/Do'] {PRIVATE}") from error


def _system() -> None:
    try:
        Path("/dev/null/nothing").read_text("utf-8")
    except OSError as error:
        raise RuntimeError(PRIVATE) from error


def _hidden() -> None:
    try:
        _ours()
    except StageError:
        raise ValueError(PRIVATE) from None


def _pydantic() -> None:
    """As a model of ours raises it: its message quotes what it was given."""
    Limits.model_validate({PRIVATE: PRIVATE})


def _inner() -> None:
    """An error of ours that is none for a person: who raises it does not mind what it says."""
    raise UnpackError(PRIVATE, 0)


HERE = r"at .*test_local line \d+; its message may quote a document"
REASONS: list[tuple[Callable[[], Any], str]] = [
    (_quoting, f"ValueError {HERE}"),
    (lambda: int(PRIVATE), f"ValueError {HERE}"),
    (lambda: PRIVATE.encode("ascii"), f"UnicodeEncodeError {HERE}"),
    (lambda: {}[PRIVATE], f"KeyError {HERE}"),
    (_ours, "split 3 holds no text"),
    (_beam, "split 3 holds no text"),
    (_system, r"\[Errno 20\] Not a directory: '/dev/null/nothing'"),
    (_hidden, f"ValueError {HERE}"),
    (_pydantic, f"ValidationError {HERE}"),
    (_inner, f"UnpackError {HERE}"),
    (lambda: pa.array([PRIVATE]).cast(pa.int64()), f"ArrowInvalid {HERE}"),
]


@pytest.mark.parametrize(("function", "said"), REASONS)
def test_reason_of_is_one_line_without_text(function: Callable[[], Any], said: str) -> None:
    reason = reason_of(_raised(function))
    assert re.fullmatch(said, reason)
    assert PRIVATE[:6] not in reason


def test_reason_of_beams_words_drops_what_beam_added() -> None:
    assert reason_of(StageError("no text [while running 'tally/Do-ptransform-7']")) == "no text"


def test_reason_of_no_error_says_so() -> None:
    assert "without committing" in reason_of(None)


def _patch_tally(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    changed = dataclasses.replace(BY_NAME["tally"], run=run)
    monkeypatch.setattr("phloem.pipeline.stages.BY_NAME", {**BY_NAME, "tally": changed})


@pytest.mark.beam
def test_a_task_that_fails_leaves_one_safe_line_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def choke(store: Store, key: str, _: Any) -> list[Shard]:
        if key == "bad":
            int(PRIVATE)
        return [commit(store, Shard("tally", key, ()))]

    _patch_tally(monkeypatch, choke)
    store = Store(tmp_path)
    tasks = [some_task(name) for name in ("bad", "good")]
    run_wave(str(tmp_path), [task.to_json() for task in tasks])
    assert made(store, tasks[1])
    assert noted_reason(store, tasks[1]) is None
    assert re.fullmatch(f"ValueError {HERE}", noted_reason(store, tasks[0]) or "")
    forget_failures(store, tasks)
    assert noted_reason(store, tasks[0]) is None


@pytest.mark.beam
def test_run_wave_lets_one_safe_line_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def choke(*_: object) -> None:
        int(PRIVATE)

    def full(*_: object) -> None:
        int(PRIVATE)  # as a note that cannot be written either

    _patch_tally(monkeypatch, choke)
    monkeypatch.setattr("phloem.pipeline.engines.transforms.note_failure", full)
    error = _raised(lambda: run_wave(str(tmp_path), [some_task("k").to_json()]))
    assert isinstance(error, StageError)
    assert re.fullmatch(f"ValueError {HERE}", str(error))
    assert PRIVATE[:6] not in "".join(traceback.format_exception(error))


def test_a_note_cut_short_says_so(tmp_path: Path) -> None:
    store, task = Store(tmp_path), some_task("a")
    note_failure(store, ("tally", "a"), "a", StageError("no luck"))
    assert noted_reason(store, task) == "no luck"
    store.write_bytes("failures/tally/a.json", b'{"reas')
    assert noted_reason(store, task) == "its note of failure was cut short"


def test_failures_of_one_reason_are_told_once() -> None:
    reasons = ["b.parquet is cut", *["Spark gave up"] * 14]
    failures = [Failure(some_task(f"{n}"), reason) for n, reason in enumerate(reasons)]
    said = told_failures("bands", failures, 15)
    assert said.startswith("stage bands: 15 of 15 tasks failed, the others are done: 0: b.parquet")
    assert "; 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more: Spark gave up. Mend the cause" in said
    many = [Failure(some_task("a"), f"reason {n}") for n in range(12)]
    assert "a: reason 9; and 2 reasons more. Mend" in told_failures("measure", many, 12)


def _spread(root: str, tasks: list[str]) -> None:
    """A part must fail its whole pipeline, by one line that names the machine."""
    with pytest.raises(
        WorkerError, match=f"^on worker {platform.node()}: .*is not what was written"
    ):
        eager(transform("bands", root, ""), tasks)


@pytest.mark.beam
@pytest.mark.parametrize("run", [run_wave, _spread])
def test_band_of_a_file_that_changed_says_which(
    run: Callable[[str, list[str]], object], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    key = "0" * 32
    file_name = f"measure/{key}/minhash.parquet"
    file = File("minhash.parquet", store.write_bytes(file_name, b"a"), 1)
    commit(store, Shard("measure", key, (file,), {}))
    (tmp_path / file_name).write_bytes(b"b")
    ref = Ref(file_name, file.sha256, 1, 1)
    band = bands.Band(number=0, key="k")
    work = bands.BandsWork(bands=(band,), rows=8, ranges=1, signatures=(ref,))
    task = bands.STAGE.task("k", "band 0", work)
    run(str(tmp_path), [task.to_json()])
    said = f"{file_name} is not what was written; run again: it is made or fetched anew"
    noted = noted_reason(store, task) or ""
    assert noted.removeprefix(f"on worker {platform.node()}: ") == said


# The same build -----------------------------------------------------------------------------------
def test_a_worker_built_otherwise_is_refused_with_every_difference() -> None:
    require_same(build())
    other = {**json.loads(build()), "pyarrow": "1.0", "phloem": "0123"}
    with pytest.raises(StageError, match=r"phloem \w+ \(driver: 0123\), pyarrow .*driver: 1\.0"):
        require_same(json.dumps(other))


# Trying again -------------------------------------------------------------------------------------
Ended = tuple[float, list[str]]  # what a wave returns


class InlineProcesses:
    """Runs a wave at once, in this process; a task fails as often as it is told to."""

    active = True  # as a pool that has not given itself up

    def __init__(self, store: Store, faults: dict[str, list[Exception]]) -> None:
        self.store = store
        self.faults = faults
        self.waves: list[list[str]] = []

    def schedule(self, function: Any, args: list[Any], timeout: float) -> "Future[Ended]":
        assert (function, timeout) == (local.run_marked, Limits().task_seconds)
        _, root, texts = args
        assert root == self.store.root
        tasks = [task_of(text) for text in texts]
        self.waves.append([task.label for task in tasks])
        future: Future[Ended] = Future()
        for task in tasks:
            if self.faults.get(task.label):
                future.set_exception(self.faults[task.label].pop())
                return future
            commit(self.store, Shard("tally", task.label, ()))
        future.set_result((0.5, []))
        return future


def _run(
    tmp_path: Path, names: str, faults: dict[str, list[Exception]]
) -> tuple[list[list[str]], list[str], list[tuple[str, str]], float]:
    """(waves, labels of the tasks done, label and reason of each failure, CPU seconds)."""
    store = Store(tmp_path)
    pool = InlineProcesses(store, faults)
    engine = Pool(str(tmp_path), 1, tmp_path, pool=pool)  # type: ignore[arg-type]
    done: list[str] = []
    failures = engine.run(
        "tally", [some_task(name) for name in names], lambda t, _: done.append(t.label)
    )
    told = [(failure.task.label, failure.reason) for failure in failures]
    return pool.waves, done, told, engine.cpu_seconds


def test_run_does_every_task_once(tmp_path: Path) -> None:
    assert _run(tmp_path, "abc", {}) == ([["a", "b", "c"]], ["a", "b", "c"], [], 0.5)


def test_run_without_tasks_starts_no_pool(tmp_path: Path) -> None:
    engine = Pool(str(tmp_path), 1, tmp_path)
    assert engine.run("tally", [], lambda *_: None) == []
    assert engine.pool is None


def test_run_ends_for_a_signal_whose_exception_was_lost() -> None:
    def end(number: int, _: object) -> None:
        raise SystemExit(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with open_pool("memory://lost", 1, Limits()) as pool:
            with suppress(SystemExit):  # as C code may do
                signal.raise_signal(signal.SIGTERM)
            with pytest.raises(SystemExit):
                pool.run("tally", [some_task("a")], lambda *_: None)
            assert pool.pool is None
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


def test_run_tries_the_tasks_of_a_failed_wave_alone(tmp_path: Path) -> None:
    faults: dict[str, list[Exception]] = {"b": [StageError("no luck") for _ in range(9)]}
    tried, done, told, _ = _run(tmp_path, "abc", faults)
    assert tried == [["a", "b", "c"], ["b"], ["c"]]
    assert done == ["a", "c"]
    assert told == [("b", "no luck")]


def test_run_tries_a_killed_task_again_but_not_forever(tmp_path: Path) -> None:
    killed: list[Exception] = [ProcessExpired("killed", code=-9) for _ in range(9)]
    tried, done, told, cpu = _run(tmp_path, "ab", {"a": killed, "b": killed[:1]})
    assert tried.count(["a"]) == ATTEMPTS - 1
    assert (done, cpu) == (["b"], 0.5)
    assert told == [("a", "its worker died (3 times; exit code -9)")]


def test_run_does_not_try_again_what_its_worker_could_explain(tmp_path: Path) -> None:
    class Explaining(InlineProcesses):
        def schedule(self, function: Any, args: list[Any], timeout: float) -> "Future[Ended]":
            future = super().schedule(function, args, timeout)
            if future.exception():
                note_failure(self.store, ("tally", "b"), "b", StageError("no luck"))
            return future

    processes = Explaining(Store(tmp_path), {"b": [StageError("the whole wave")]})
    failures = Pool(str(tmp_path), 1, tmp_path, pool=processes).run(  # type: ignore[arg-type]
        "tally", [some_task("b")], lambda *_: None
    )
    assert processes.waves == [["b"]]
    assert [failure.reason for failure in failures] == ["no luck"]


def test_run_counts_a_task_that_committed_before_its_worker_died(tmp_path: Path) -> None:
    tried, done, told, _ = _run(tmp_path, "ab", {"b": [ProcessExpired("killed", code=-9)]})
    assert tried == [["a", "b"], ["b"]]
    assert (done, told) == (["a", "b"], [])
