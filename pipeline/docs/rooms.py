"""The tables of what Phloem is made of: its rooms from the ground up, and the names for users."""

from __future__ import annotations

import functools
import importlib
import tomllib
from collections.abc import Mapping
from types import MappingProxyType

import phloem
from phloem.catalog.advice import CHECKOUT
from phloem.pipeline.docs.tables import Maker, first_sentence, table


def floors(package: str) -> list[list[str]]:
    """The rooms of a package from the ground up, as the contract of its name has them.

    Args:
        package: Such as `pipeline`: import-linter holds it to the contract of that id.
    """
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["id"] == package)
    return [[room.strip() for room in layer.split("|")] for layer in reversed(layers)]


def rooms_table(package: str) -> str:
    """Each room of a package with its floor, and what the first sentence of its docstring says."""
    rows = []
    for number, rooms in enumerate(floors(package), start=1):
        for room in rooms:
            module = importlib.import_module(f"phloem.{package}.{room}")
            name = f"{room}/" if hasattr(module, "__path__") else f"{room}.py"
            rows.append((number, f"`{name}`", first_sentence(module)))
    return table(["floor", "room", "holds"], rows)


def face_table() -> str:
    """The names that users build on, and what each is for."""
    return table(
        ["name", "is"],
        [
            (f"`phloem.{name}`", first_sentence(getattr(phloem, name)))
            for name in sorted(phloem.__all__, key=str.lower)
        ],
    )


TABLES: Mapping[str, Maker] = MappingProxyType(
    {
        "face": face_table,
        "rooms-pipeline": functools.partial(rooms_table, "pipeline"),
        "rooms-sources": functools.partial(rooms_table, "sources"),
    }
)
