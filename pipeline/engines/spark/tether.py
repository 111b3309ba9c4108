"""Runs a command that must not outlive whoever started it, however that one ends.

`python -m phloem.pipeline.engines.spark.tether FOLDER COMMAND…` ends COMMAND and all that it
started once its own standard input closes, and removes FOLDER: the other end of that pipe is the
starter's, and a killed process lets go of it like any other.

Several commands may share a folder, each tethered. Each tether removes it when its own command has
ended, so that the last one leaves nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress

STOP = 5.0  # seconds between asking and killing


def _end_with_stdin(process: subprocess.Popen[bytes], folder: str, closed: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    closed.set()
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP)
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # whatever else it started, and this process


def main(folder: str, command: list[str]) -> int:
    """Run a command to its end; its exit code, 128 + N where signal N ended it (as shells say)."""
    # SIGTERM is meant for the command, and this process ends with it. A handler, since a command
    # would inherit that a signal is ignored.
    signal.signal(signal.SIGTERM, lambda *_: None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    closed = threading.Event()
    ending = threading.Thread(target=_end_with_stdin, args=[process, folder, closed], daemon=True)
    ending.start()
    code = process.wait()
    if closed.is_set():
        ending.join()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    if len(sys.argv) < 3:  # noqa: PLR2004 - the program, a folder and a command
        sys.exit("usage: python -m phloem.pipeline.engines.spark.tether FOLDER COMMAND…")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
