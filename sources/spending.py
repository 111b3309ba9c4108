"""What fetching for one card may take: bytes and seconds, counted where they come in.

A run fetches what people approved. What is only looked at, to lock it or to draw a sample of it,
has a bound: a card that nobody knows may name what never ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from phloem.sources.connector import SourceError

FETCH_BYTES = 64 * 2**30
"""Of one card: the dump of the largest wiki has about 25 GB, packed."""

FETCH_SECONDS = 6 * 3600
"""Of one card: 64 GiB at 3 MB/s."""


class SpentError(SourceError):
    """A card that takes more to fetch than it may: the message says the bound."""


@dataclass(frozen=True)
class Allowance:
    """What fetching for one card may take.

    Attributes:
        fetch_bytes: That come in.
        fetch_seconds: Of wall-clock time.
        raised: How a person allows more, for the message; empty if nobody can.
    """

    fetch_bytes: int = FETCH_BYTES
    fetch_seconds: float = FETCH_SECONDS
    raised: str = ""

    def over(self, bound: str) -> SpentError:
        """The error of a card that is over a bound."""
        value, unit = getattr(self, bound), bound.rpartition("_")[2]
        more = f"; {self.raised}" if self.raised else ""
        return SpentError(f"fetching it takes more than {value:,.0f} {unit} ({bound}){more}")


@dataclass
class _Spent:
    allowance: Allowance
    ends: float
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_now: ContextVar[_Spent | None] = ContextVar("spent", default=None)


@contextmanager
def at_most(allowance: Allowance) -> Iterator[None]:
    """Within the block, in this thread and those that are given its context, no more is fetched."""
    held = _now.set(_Spent(allowance, time.monotonic() + allowance.fetch_seconds))
    try:
        yield
    finally:
        _now.reset(held)


def spend(size: int) -> None:
    """Count bytes that came in. Raises SpentError if they, or the time, are over the bound."""
    spent = _now.get()
    if spent is None:
        return
    with spent.lock:
        spent.bytes += size
    require(0)


def require(size: int) -> None:
    """Raise SpentError if so many more bytes, or any more time, are over the bound."""
    spent = _now.get()
    if spent is None:
        return
    if spent.bytes + size > spent.allowance.fetch_bytes:
        raise spent.allowance.over("fetch_bytes")
    if time.monotonic() >= spent.ends:
        raise spent.allowance.over("fetch_seconds")


def seconds_left(most: float) -> float:
    """The seconds that are left, at most so many."""
    spent = _now.get()
    return most if spent is None else max(0.0, min(most, spent.ends - time.monotonic()))


def is_bounded() -> bool:
    """Whether a bound holds here."""
    return _now.get() is not None
