"""Workers start warm: nothing is compiled in them, and the driver has none of what they need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_workspace import change_recipe, make_workspace, new_root

from phloem.filters.kernels import cache_folder
from phloem.pipeline import launch
from phloem.pipeline.engines import warm

SUPPORT = Path(__file__).parents[2] / "support"

# Every kernel with the signatures that it has machine code for, loaded or compiled.
SIGNATURES = """
import gc
from phloem.filters.kernels import _Compiled
from phloem.pipeline.engines.warm import warm

def signatures():
    kernels = [each for each in gc.get_objects() if isinstance(each, _Compiled)]
    return {each.__qualname__: each.dispatcher.signatures
            for each in kernels if each.dispatcher.targetoptions.get("nogil")}
warm()
before = signatures()
"""


def _python(code: str, *arguments: str, cwd: Path) -> list[str]:
    """The lines that a program prints in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{SUPPORT}"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        env=environment | launch.SETTINGS,
    )
    return done.stdout.splitlines()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """With every op that has a kernel, those of the shipped recipes among them."""
    folder = make_workspace(tmp_path / "workspace")
    change_recipe(folder, "nfc, ", "nfc, drop_frequent_lines, ")
    change_recipe(folder, "statistics, ", "statistics, repetition, ")
    return folder


def test_warm_calls_every_kernel_as_a_run_does(workspace: Path, tmp_path: Path) -> None:
    root = new_root(tmp_path / "root")
    code = SIGNATURES + (
        "import sys\nfrom pathlib import Path\nfrom tiny_workspace import run_tiny\n"
        "print('never called', [name for name, found in before.items() if not found])\n"
        "run_tiny(*map(Path, sys.argv[1:]))\n"
        "print(len(before) > 10, signatures() == before)\n"
    )
    said = _python(code, str(workspace), str(root), cwd=tmp_path)
    # They are called by `encode` alone, which is compiled with them.
    assert said == ["never called ['merge_long', '_merge']", "True True"]


def test_warm_and_beam_leave_one_thread_to_fork_from(tmp_path: Path) -> None:
    code = (
        "import importlib\nfrom pathlib import Path\n"
        f"for name in {launch.PRELOAD!r}: importlib.import_module(name)\n"
        "threads = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]\n"
        "print(len([name for name in threads if name != 'jemalloc_bg_thd']))\n"
    )
    if not Path("/proc/self/task").exists():
        pytest.skip("this system does not list threads")
    assert _python(code, cwd=tmp_path) == ["1"]


@pytest.mark.beam
def test_driver_never_imports_beam_and_its_workers_compile_nothing(
    workspace: Path, tmp_path: Path
) -> None:
    warm.main()
    root = new_root(tmp_path / "root")
    before = sorted(cache_folder().rglob("*"))
    code = (
        "import sys\nfrom phloem.pipeline.cli.app import app\n"
        "root = ['--root', sys.argv[1]]\n"
        "for words in (['--help'], ['plan', 'tiny', *root],"
        " ['run', 'tiny', '--workers', '1', *root]):\n"
        "    app(words, standalone_mode=False)\n"
        "    print('imported', sorted({'apache_beam', 'numba'} & set(sys.modules)))\n"
    )
    said = _python(code, str(root), cwd=workspace)
    assert [line for line in said if line.startswith("imported")] == ["imported []"] * 3
    assert any(line.startswith("tokenize") for line in said)
    assert sorted(cache_folder().rglob("*")) == before


def test_workers_are_loaded_ahead_for_a_new_root_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(launch, "load", lambda: loaded.append("now"))
    monkeypatch.setattr(launch.atexit, "register", lambda _: None)
    for root in (str(tmp_path), "memory://root", "s3://bucket/root", ""):
        launch.load_ahead(root)
    assert loaded == []
    launch.load_ahead(str(tmp_path / "new"))
    assert loaded == ["now"]


def test_missing_kernels_are_compiled_once_before_workers_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[list[str]] = []
    safe: list[str] = []

    class Ended:
        def __init__(self, words: list[str]) -> None:
            asked.append(words)
            safe.append(os.environ["PYTHONSAFEPATH"])  # nothing is imported from where it starts

        def wait(self) -> int:
            return 0

        kill = wait

    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(launch, "all_compiled", lambda: False)
    monkeypatch.setattr(launch.subprocess, "Popen", Ended)
    monkeypatch.setattr(launch.forkserver, "ensure_running", lambda: asked.append(["forkserver"]))
    launch.load()
    assert asked == [[sys.executable, "-m", warm.__name__], ["forkserver"]]
    assert safe == ["1"]
    assert "compiling kernels, once" in caplog.text


def test_compiling_ends_with_an_interrupt_and_says_nothing(tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal at once."""
    code = (
        "import os, signal, sys, threading, time\n"
        "from phloem.pipeline import launch\n"
        "launch.all_compiled = lambda: False\n"
        "launch.sys.executable, launch.WARM = sys.argv[1], 'sleeper'\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Timer(1, os.killpg, (os.getpgrp(), signal.SIGINT)).start()\n"
        "try:\n    launch.load()\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(60)\n")
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{tmp_path}"},
    )
    assert done.stdout == "interrupted\n"
    assert "Traceback" not in done.stderr
