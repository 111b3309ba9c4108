"""Recipes and rule sets as they are written: their YAML, and what is wrong with it, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phloem.catalog.nearest import nearest
from phloem.sources.cards.plain_yaml import read_yaml

Json = Any

SHOWN = 60  # characters of a value that a fault shows

# What is expected, by the beginning of pydantic's name for the fault (pydantic_core.ErrorType).
_EXPECTED = {
    "string_pattern_mismatch": "a text of the form {pattern}",
    "string_too_short": "a text that is not empty",
    "too_short": "at least one entry",
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "float": "a number",
    "finite_number": "a number that is finite",
    "int": "a whole number",
    "bool": "true or false",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
}
_MEMBERS = frozenset({"float", "str"})  # of a union, which pydantic puts into a fault's place


def read_written(path: Path) -> Json:
    """The plain data of a file. Raises ValueError listing every fault, each with its line."""
    value, faults = read_yaml(path)
    if faults:
        raise ValueError("; ".join(faults))
    return value


def told(error: ValidationError, known: Collection[str]) -> list[str]:
    """Each fault of a validation: its place, what was found there and what is expected.

    Args:
        error: Of a model.
        known: Keys that one which is unknown may have been meant for.
    """
    expected: dict[str, list[str]] = {}
    found: dict[str, Json] = {}
    said: dict[str, list[str]] = {}
    for fault in error.errors():
        where = _where(fault["loc"])
        if fault["type"] == "extra_forbidden":
            said[where] = [f"unknown key; {nearest(str(fault['loc'][-1]), set(known))}"]
        elif fault["type"] == "missing":
            said[where] = ["missing; give it a value"]
        elif wanted := _wanted(fault["type"], fault.get("ctx", {})):
            expected.setdefault(where, []).append(wanted)
            found[where] = fault["input"]
        else:
            said.setdefault(where, []).append(fault["msg"].removeprefix("Value error, "))
    # A union says of each of its members why it is not that: the one that came furthest is meant.
    places = [*said, *expected]
    said |= {
        where: [f"found {_shown(found[where])}, expected {' or '.join(dict.fromkeys(wanted))}"]
        for where, wanted in expected.items()
        if where not in said and not any(place.startswith(f"{where}.") for place in places)
    }
    return [f"{where or 'the file'}: {'; '.join(texts)}" for where, texts in said.items()]


def _where(loc: Iterable[int | str]) -> str:
    parts = (str(part) for part in loc)
    return ".".join(part for part in parts if part not in _MEMBERS and "[" not in part)


def _wanted(kind: str, context: Mapping[str, Any]) -> str | None:
    near = (name for name in _EXPECTED if kind == name or kind.startswith(f"{name}_"))
    name = max(near, key=len, default=None)
    return name and _EXPECTED[name].format_map(context)


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
