"""An op as a recipe, a card or a rule set names it: by its name, with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

Json = Any


def op_spec(value: Json) -> Json:
    """The YAML spelling of an op, `name` or `{name: {parameter: value}}`, as name and params."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1 and "name" not in value:
        (name, params), *_ = value.items()
        return {"name": name, "params": params or {}}
    return value


class OpSpec(BaseModel):
    """An op by name, with its parameters: in YAML `name` or `name: {parameter: value}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    params: Mapping[str, Any] = {}


OpSpecs = tuple[Annotated[OpSpec, BeforeValidator(op_spec)], ...]
