"""What is done apart gives plain data or says how it ended; nothing of it outlives it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from phloem.pipeline.review.apart import ApartError, apart
from phloem.pipeline.review.review import FOUND, Looked
from phloem.reports.source_sample import Excerpt, SampledLanguage, SourceSample

SAMPLE = SourceSample(
    source="tales",
    version="1",
    recipe="quickstart",
    splits=(1, 2),
    read=3,
    is_cut=False,
    documents=1,
    lengths={"median": 7},
    languages=(SampledLanguage("sw", False, 1, 1, 1, 0, 1.0),),
    personal={"email": (1, 0.5)},
    excerpts=(Excerpt("hadithi", "sw", "kept", None, None, 2.5, "Hapo zamani 🌍 <b>za kale</b>"),),
)


@pytest.mark.parametrize(
    "value", [(SAMPLE, ("quote", "")), (replace(SAMPLE, excerpts=()), ("", "x")), "no files: 文"]
)
def test_what_is_returned_comes_back_equal(value: Looked | str) -> None:
    assert apart(lambda: value, FOUND, seconds=60, memory=2**32) == value


class Sly(str):
    """What a pickle would run where it is read."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return os.kill, (os.getpid(), signal.SIGKILL)


def test_what_is_returned_runs_nothing_here() -> None:
    assert apart(lambda: Sly("text"), FOUND, seconds=60, memory=2**32) == "text"


def _raise() -> int:
    raise ValueError("text of a document")


def _end() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _fill() -> int:
    return len(bytearray(2**33))


def _sleep() -> int:
    time.sleep(600)
    return 0


def _lie() -> int:
    TypeAdapter.dump_json = lambda *_, **__: b"[1"  # type: ignore[method-assign]  # of that process alone
    return 0


@pytest.mark.parametrize(
    ("function", "seconds", "told"),
    [
        (_raise, 60, "^ended with ValueError$"),
        (_end, 60, "^ended its process: SIGKILL$"),
        (_fill, 60, "^ended with MemoryError$"),
        (_sleep, 0.2, "^took longer than 0 s$"),
        (_lie, 60, "^said what nothing here says$"),
    ],
)
def test_what_gives_nothing_says_how_it_ended(
    function: Callable[[], int], seconds: float, told: str
) -> None:
    with pytest.raises(ApartError, match=told):
        apart(function, TypeAdapter(int), seconds=seconds, memory=2**32)


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    def start() -> str:
        if not (pid := os.fork()):
            time.sleep(600)
            os._exit(0)
        return str(pid)

    pid = int(apart(start, FOUND, seconds=60, memory=2**32))  # type: ignore[arg-type]
    for _ in range(600):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError(pid)
