"""How far reading is, for whoever may end the process that reads.

In a process that nobody listens to nothing is told, and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class _Listener:
    """Who listens in this process.

    Attributes:
        step: Called at each step; where reading begins in a file, or goes on in it, with its name
            behind that of the archive that it is in.
        left_out: Files that are not read.
        files: That are being read, each in the one before.
    """

    step: Callable[[Sequence[str]], None] | None = None
    left_out: Collection[str] = frozenset()
    files: list[str] = field(default_factory=list)


_listener = _Listener()


def listen(step: Callable[[Sequence[str]], None]) -> None:
    """From now on, tell of each step, and read all files."""
    _listener.step, _listener.left_out, _listener.files = step, frozenset(), []


def leave_out(files: Collection[str]) -> None:
    """From now on, read nothing of these files."""
    _listener.left_out = frozenset(files)


def step() -> None:
    """A bounded piece of a stream or an archive was got over: the next has all of its time."""
    if _listener.step:
        _listener.step(())


def at(file: str) -> None:
    """What is done next is done for this file, until another is named."""
    if _listener.step:
        _listener.step([file])


def within(file: str, found: Iterator[T]) -> Iterator[T]:
    """What is read of a file; nothing, if it is left out."""
    if _listener.step is None:
        yield from found
        return
    files = _listener.files
    if file in _listener.left_out:
        return
    files.append(file)
    _listener.step(files)
    yield from found
    files.pop()
    _listener.step(files)
