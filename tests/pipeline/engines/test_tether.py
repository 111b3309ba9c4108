"""A tethered command ends when its starter does, and says how it ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from faults import until

TETHER = [sys.executable, "-m", "phloem.pipeline.engines.spark.tether"]
STARTER = f"""\
import subprocess, sys, time
for words in sys.argv[1:]:
    command = {TETHER!r} + ["shared", "sh", "-c", words]
    subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""
SLEEPING = "sleep 600 & echo $! > pid; wait"
# Deaf to SIGTERM, and at work in the folder until it is killed.
STUBBORN = "trap '' TERM; echo $$ > pid; while true; do mkdir -p shared; date > shared/log; done"


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("true", 0)])
def test_tether_hands_the_exit_code_on(script: str, code: int) -> None:
    command = [*TETHER, "nowhere", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.wait(60) == code


def _kill_starter(tmp_path: Path, *scripts: str) -> None:
    """Start these; once one has said its process id kill the starter, and wait for that one."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "log").write_text("نص", encoding="utf-8")
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", STARTER, *scripts]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as starter:
        pid = tmp_path / "pid"
        begun = until(lambda: pid.exists() and pid.read_text().strip(), 60)
        there = (tmp_path / "shared").exists()
        sleeping = psutil.Process(int(pid.read_text())) if begun else None
        starter.send_signal(signal.SIGKILL)
    assert sleeping is not None
    assert there
    sleeping.wait(timeout=20)


def test_command_ends_with_a_killed_starter_and_its_folder_with_it(tmp_path: Path) -> None:
    _kill_starter(tmp_path, SLEEPING)
    assert until(lambda: not (tmp_path / "shared").exists(), 20)


def test_last_of_two_that_share_a_folder_removes_it(tmp_path: Path) -> None:
    _kill_starter(tmp_path, "sleep 600", STUBBORN)
    assert until(lambda: not (tmp_path / "shared").exists(), 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pid"]


def test_folder_of_a_living_starter_stays(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*TETHER, str(tmp_path), "true"], stdin=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.wait(60) == 0
    assert tmp_path.exists()


def test_tether_without_a_command_says_its_usage() -> None:
    ended = subprocess.run(TETHER, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "usage:" in ended.stderr
