"""The stages of a run: how much was done, how much was there already, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

from phloem.reports.numerals import MEGABYTE
from phloem.reports.run import Run, Stage


@dataclass(frozen=True)
class Timed:
    """A stage, and megabytes read for each second of CPU time; None where nothing was done."""

    stage: Stage
    megabytes_per_cpu_second: float | None


@dataclass(frozen=True)
class Stages:
    """The stages in the order of the run, and the run's whole cost."""

    stages: tuple[Timed, ...]
    seconds: float
    cpu_seconds: float


def stages(run: Run) -> Stages:
    """The stages, from the run record."""
    return Stages(
        tuple(Timed(stage, _speed(stage)) for stage in run.stages),
        sum(stage.seconds for stage in run.stages),
        sum(stage.cpu_seconds for stage in run.stages),
    )


def _speed(stage: Stage) -> float | None:
    if stage.cached >= stage.tasks or not stage.cpu_seconds:
        return None  # what was cached cost nothing: a speed would mislead
    return stage.bytes / MEGABYTE / stage.cpu_seconds
