"""Keep rules: what a document's measures must be for it to be kept, with bounds by language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

Bound = float | Mapping[str, float]


class Rule(BaseModel):
    """A document is kept only if its value of a column lies within bounds.

    A bound is a number, or numbers by language with `default` for the others; a language with
    neither has no bound. A null value is not judged. Bounds are inclusive.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    column: str
    min: Bound | None = None
    max: Bound | None = None
    among: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min is None and self.max is None and self.among is None:
            said = "one of min, max, among: without, it would keep everything"
            raise PydanticCustomError("no_bound", said)
        return self


def bound_of(bound: Bound | None, language: str | None) -> float | None:
    """The bound that holds for a language: of its tag, of its primary subtag, or the default."""
    if bound is None or isinstance(bound, (int, float)):
        return bound
    tag = language or "default"
    return bound.get(tag, bound.get(tag.split("-")[0], bound.get("default")))
