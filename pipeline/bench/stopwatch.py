"""Wall seconds of a command, and CPU seconds of every process that it starts, waited for or not.

A program of its own, because it adopts the orphans of what it runs and waits for all children:
`python -m phloem.pipeline.bench.stopwatch RESULT COMMAND …` writes JSON to the file RESULT.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphans below become children of this process
LINGER_SECONDS = 15  # a helper of a process pool ends by itself within a few
LOOK_SECONDS = 0.1


def reap(linger: float) -> None:
    """Wait for every child that is left, and end those that are there after so many seconds."""
    until = time.monotonic() + linger
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended:
            continue
        if time.monotonic() > until:
            for process in psutil.Process().children(recursive=True):
                process.kill()
        time.sleep(LOOK_SECONDS)


def main(arguments: Sequence[str]) -> int:
    """Run the command; write its exit status, how long it ran, and user and system seconds."""
    result, *command = arguments
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.stderr.write("this system does not let a process adopt orphans\n")
        return 1
    began = time.monotonic()
    status = subprocess.call(command)
    wall = time.monotonic() - began
    reap(LINGER_SECONDS)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    found = {"status": status, "wall_seconds": wall, "cpu_seconds": cpu}
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
