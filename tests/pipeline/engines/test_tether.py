"""A tethered command ends when its starter does, and says how it ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

TETHER = [sys.executable, "-m", "phloem.pipeline.engines.spark.tether"]
STARTER = f"""\
import subprocess, sys, time
command = {TETHER!r} + ["sh", "-c", "sleep 600 & echo $! > pid; wait"]
subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("true", 0)])
def test_tether_hands_the_exit_code_on(script: str, code: int) -> None:
    command = [*TETHER, "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.wait(60) == code


def test_command_ends_with_a_killed_starter(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    starter = subprocess.Popen([sys.executable, "-c", STARTER], cwd=tmp_path, env=environment)
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.05)
    sleeping = psutil.Process(int((tmp_path / "pid").read_text()))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    sleeping.wait(timeout=20)


def test_tether_without_a_command_says_its_usage() -> None:
    ended = subprocess.run(TETHER, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "usage:" in ended.stderr
