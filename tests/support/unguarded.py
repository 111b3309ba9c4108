"""Guarded work in this process, where a test puts a connector or an op of its own in its place."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

from phloem.pipeline import extraction
from phloem.pipeline.guard import Told
from phloem.pipeline.registry import splits


@dataclass
class Unguarded:
    """Stands where `phloem.pipeline.guard.Guarded` stands; nobody ends it."""

    work: Callable[..., Iterable[Told]]
    args: tuple[Any, ...]
    step_seconds: int
    most_bytes: int
    ends: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Told]:
        """What the work tells, as it would come out of a pipe."""
        for told, rows in self.work(*json.loads(json.dumps(self.args))):
            yield json.loads(json.dumps(told)), rows

    def resident_bytes(self) -> int:
        """Nothing: nobody looks."""
        return 0


def unguard(patch: pytest.MonkeyPatch) -> None:
    """Read and extract in this process."""
    patch.setattr(extraction, "Guarded", Unguarded)
    patch.setattr(splits, "Guarded", Unguarded)
