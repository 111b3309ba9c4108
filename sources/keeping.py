"""What is brought to be hashed is kept for whoever reads it next: nothing is downloaded twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Keep = Callable[[Path, str], object]
"""Takes a file and its sha256, before whoever brought it removes it."""

_now: ContextVar[Keep | None] = ContextVar("keep", default=None)


@contextmanager
def keeping(keep: Keep) -> Iterator[None]:
    """Within the block, in this thread and those given its context, what is brought is kept."""
    held = _now.set(keep)
    try:
        yield
    finally:
        _now.reset(held)


def brought(path: Path, sha256: str) -> None:
    """Say that a file came and what it hashes to; it is kept if somebody asked for that."""
    keep = _now.get()
    if keep:
        keep(path, sha256)
