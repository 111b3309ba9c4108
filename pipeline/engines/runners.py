"""Beam options for each runner, and the runners that are refused, with the reason."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

from phloem.catalog.advice import install_extra
from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest

LOCAL = "local"
SPARK = "spark"
DATAFLOW = "dataflow"
RUNNERS = (LOCAL, SPARK)

REFUSED = {
    "dask": "Beam's Dask runner loses data silently: of two branches only the last one runs",
    "ray": "no maintained Beam runner for Ray exists",
    DATAFLOW: (
        "no run on the service has been tried yet, so none is offered;"
        " `phloem plan RECIPE --runner dataflow` checks what would be sent"
    ),
    "direct": "Beam's DirectRunner may fetch another binary and ignores worker counts",
}


class RunnerError(UseError):
    """A runner that is unknown or refused."""


def check_runner(name: str) -> str:
    """The runner's name. Raises RunnerError for one that is refused or not known."""
    plain = name.lower().removesuffix("runner")
    if plain in REFUSED:
        msg = f"runner {name!r} is refused: {REFUSED[plain]}; use {LOCAL}"
        raise RunnerError(msg)
    if plain not in RUNNERS:
        msg = f"no runner named {name!r}; {nearest(plain, RUNNERS)}"
        raise RunnerError(msg)
    return plain


def check_planned(name: str) -> str:
    """The name of a runner that a plan can be made for, which is more than can run one.

    Raises RunnerError for any other, and for Dataflow without Beam's client for it.
    """
    plain = name.lower().removesuffix("runner")
    if plain != DATAFLOW:
        return check_runner(name)
    if importlib.util.find_spec("apitools") is None:
        msg = (
            "Dataflow needs Beam's own client for it, which is not installed:"
            f" {install_extra('dataflow')}"
        )
        raise RunnerError(msg)
    return plain


def local_options() -> PipelineOptions:
    """Options of an in-memory pipeline in this process.

    The runner is always named: Beam's default picks another one where it can.
    """
    from apache_beam.options.pipeline_options import PipelineOptions  # 3-7 s of CPU to import

    return PipelineOptions(
        ["--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
    )
