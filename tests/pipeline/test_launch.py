"""Workers start apart from the program that asks for them, and leave it as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import spawn
from pathlib import Path

import pytest

from phloem.pipeline.engines.local import open_pool
from phloem.pipeline.launch import MAIN, SETTINGS, _main_left_out
from phloem.sources.limits import Limits


def _told_of_main() -> set[str]:
    return set(MAIN) & set(spawn.get_preparation_data("worker"))


def test_main_is_left_out_of_what_this_thread_starts_and_of_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", "/srv/program.py", raising=False)  # pytest-xdist has none
    before = _told_of_main()
    assert len(before) == 1
    with ThreadPoolExecutor(1) as other:
        with _main_left_out():
            assert _told_of_main() == set()
            assert other.submit(_told_of_main).result() == before
        assert _told_of_main() == before


def test_settings_of_workers_are_gone_with_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("RAYON_NUM_THREADS", "3")
    before = dict(os.environ)
    with open_pool("memory://settings", 1, Limits()):
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert os.environ["RAYON_NUM_THREADS"] == "3"  # as whoever set it wants
        assert set(SETTINGS) <= set(os.environ)
    assert dict(os.environ) == before


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = _sleeping()
    yield process
    process.kill()
    process.wait()


def _sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def _fail(begun: list[subprocess.Popen[bytes]]) -> None:
    with open_pool("memory://fails", 1, Limits()):
        begun.append(_sleeping())
        raise RuntimeError("some fault")


def test_pool_that_fails_ends_what_it_began_and_nothing_older(
    sleeper: subprocess.Popen[bytes],
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    with pytest.raises(RuntimeError, match="some fault"):
        _fail(begun)
    assert [process.wait(timeout=30) for process in begun] == [-9]
    assert sleeper.poll() is None


def test_workers_start_where_the_temporary_folder_is_too_long_for_a_socket(tmp_path: Path) -> None:
    code = (
        "import multiprocessing\n"
        "from phloem.pipeline.launch import WorkerContext, run_server\n"
        "run_server([])\n"
        "process = WorkerContext().Process(target=print, args=('made',))\n"
        "process.start()\n"
        "process.join()\n"
        "print(multiprocessing.current_process()._config['tempdir'])\n"
    )
    long = tmp_path / "scratch" / ("job-" + "4" * 100)
    long.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(long), "PYTHONUNBUFFERED": "1"},
    )
    said, folder = done.stdout.split()
    assert (said, done.stderr) == ("made", "")
    assert not Path(folder).exists()
    assert list(long.iterdir()) == []
