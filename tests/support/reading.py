"""A source from its card's parameters to its documents, as a run takes it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from phloem.sources.connector import Fault, Files, Pin
from phloem.sources.limits import Limits

Rows = list[dict[str, Any]]


def read_all(
    connector: ModuleType, params: Any, folder: Path, **limits: int
) -> tuple[Rows, list[Fault]]:
    """Resolve, fetch, split and read: the rows and the faults."""
    pin = connector.resolve(params)
    assert Pin.from_json(json.loads(json.dumps(pin.to_json()))) == pin
    folder.mkdir(exist_ok=True)
    return read_files(connector, params, pin, connector.fetch(params, pin, folder), **limits)


def read_files(
    connector: ModuleType, params: Any, pin: Pin, files: Files, **limits: int
) -> tuple[Rows, list[Fault]]:
    """Split and read files that lie here: the rows and the faults."""
    rows: Rows = []
    faults: list[Fault] = []
    splits = connector.splits(params, pin, files)
    assert len({split.name for split in splits}) == len(splits)
    for split in splits:
        assert json.loads(json.dumps(split.spec)) == split.spec
        for found in connector.read(params, split, files, Limits(**limits)):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


def contents(rows: Rows) -> list[str]:
    """The text of each row."""
    return [row["content"].decode() for row in rows]
