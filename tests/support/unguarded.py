"""Guarded work in this process, where a test puts a connector or an op of its own in its place."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from phloem.pipeline import extraction
from phloem.pipeline.guard import OverrunError, Told
from phloem.pipeline.registry import splits
from phloem.sources import progress


class EndedError(BaseException):
    """Work that would have ended its process; the message says how."""


@dataclass
class Unguarded:
    """Stands where `phloem.pipeline.guard.Guarded` stands; nobody ends it."""

    work: Callable[..., Iterable[Told]]
    args: tuple[Any, ...]
    step_seconds: int
    most_bytes: int
    ends: float | None = None
    total_seconds: float = 0.0
    spent: float = 0.0
    _begun: list[list[str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Told]:
        """What the work tells, as it would come out of a pipe."""
        progress.listen(lambda files: files and self._begun.append([*files]))
        try:
            for told, rows in self.work(*json.loads(json.dumps(self.args))):
                yield from self._said()
                yield json.loads(json.dumps(told)), rows
        except EndedError as error:
            yield from self._said()
            raise OverrunError(str(error)) from None
        yield from self._said()

    def _said(self) -> Iterator[Told]:
        while self._begun:
            yield {"begun": self._begun.pop(0)}, None

    def resident_bytes(self) -> int:
        """Nothing: nobody looks."""
        return 0


def unguard(patch: pytest.MonkeyPatch) -> None:
    """Read and extract in this process."""
    patch.setattr(extraction, "Guarded", Unguarded)
    patch.setattr(splits, "Guarded", Unguarded)
    patch.setattr(progress, "_listener", progress._Listener())
