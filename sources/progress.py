"""How far reading is, for whoever may end the process that reads.

In a process that nobody listens to nothing is told, and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field


@dataclass
class _Listener:
    """Who listens in this process.

    Attributes:
        step: Called at each step, with the name of a file that begins with it.
        left_out: Files that are not read.
    """

    step: Callable[[str | None], None] | None = None
    left_out: Collection[str] = field(default_factory=frozenset)


_listener = _Listener()


def listen(step: Callable[[str | None], None]) -> None:
    """From now on, tell of each step."""
    _listener.step = step


def leave_out(files: Collection[str]) -> None:
    """From now on, read nothing of these files."""
    _listener.left_out = frozenset(files)


def step() -> None:
    """A bounded piece of a stream or an archive was got over: the next has all of its time."""
    if _listener.step:
        _listener.step(None)


def begin(file: str) -> bool:
    """Reading of a file begins; whether it is to be read."""
    if file in _listener.left_out:
        return False
    if _listener.step:
        _listener.step(file)
    return True
