"""Runs a command that must not outlive whoever started it, however that one ends.

`python -m phloem.pipeline.engines.spark.tether COMMAND…` ends COMMAND and all that it started once
its own standard input closes: the other end of that pipe is the starter's, and a killed process
lets go of it like any other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

STOP = 5.0  # seconds between asking and killing


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(STOP)
    os.killpg(0, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run a command to its end; its exit code, 128 + N where signal N ended it (as shells say)."""
    # SIGTERM is meant for the command, and this process ends with it. A handler, since a command
    # would inherit that a signal is ignored.
    signal.signal(signal.SIGTERM, lambda *_: None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    if len(sys.argv) < 2:  # noqa: PLR2004 - the program and a command
        sys.exit("usage: python -m phloem.pipeline.engines.spark.tether COMMAND…")
    sys.exit(main(sys.argv[1:]))
