"""YAML as cards and approvals are written in: what it says is what every reader of it sees.

A key that stands there twice, a merge key, an alias or a tag makes a file mean something else than
it shows; a number that is not finite is one that no manifest can hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from phloem.catalog.plain import Json

MOST_BYTES = 2**20  # of a file; the longest card has about 10 kB
DEPTH = 12  # of lists and mappings; the deepest card has 5
NODES = 20_000  # values of a file; the largest card has about 1,000
FAULTS = 20  # that are told of one file
SHOWN = 60  # characters of a value that a fault shows

_FLOAT, _MERGE, _TEXT = (f"tag:yaml.org,2002:{name}" for name in ("float", "merge", "str"))


@dataclass
class _Open:
    """A list or a mapping that has not ended.

    Attributes:
        lines: Of each key of a mapping that was met; None: it is a list.
        awaits_key: Whether the next value is a key.
    """

    lines: dict[str, int] | None
    awaits_key: bool = field(init=False)

    def __post_init__(self) -> None:
        self.awaits_key = self.lines is not None


def read_yaml(path: Path) -> tuple[Json, list[str]]:
    """The plain data of a YAML file, and all that is wrong with it, each with its line.

    There may be data with faults, where those leave it fit to be looked at for more of them.
    """
    if not path.is_file():  # neither a folder nor a device: those have no end
        return None, ["no plain file"]
    try:
        with path.open("rb") as file:
            return read_plain(file.read(MOST_BYTES + 1))
    except OSError as error:
        return None, [f"cannot be read: {error.strerror}"]


def read_plain(data: bytes) -> tuple[Json, list[str]]:
    """The same for bytes: nothing of a file that could overwhelm its readers is built."""
    if len(data) > MOST_BYTES:
        return None, [f"has more than {MOST_BYTES:,} bytes"]
    faults: list[str] = []
    is_fit = True
    try:
        data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        faults = [f"line {number}: not YAML: no UTF-8"]
        is_fit = False
        data = data.decode(errors="replace").encode()  # to look for more
    try:
        for fault, leaves_fit in _faults(data):
            is_fit &= leaves_fit
            faults.append(fault)
            if len(faults) == FAULTS:
                return None, [*faults, "and perhaps more"]
        return (yaml.load(data, Loader=yaml.CSafeLoader) if is_fit else None), faults
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "bad bytes"
        return None, [*faults, f"{line}not YAML: {problem}"]
    except (ValueError, TypeError, RecursionError) as error:
        return None, [*faults, f"a value is none of its kind: {type(error).__name__}"]


def _faults(data: bytes) -> Iterator[tuple[str, bool]]:
    """Each fault with its line, and whether it leaves the data fit to be built."""
    loader: Any = yaml.CSafeLoader(data)
    open_: list[_Open] = []
    nodes = 0
    while loader.check_event():
        event: Any = loader.get_event()
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionEndEvent):
                open_.pop()
            continue
        nodes += 1
        around = open_[-1] if open_ else None
        lines = around.lines if around and around.awaits_key else None
        if around and around.lines is not None:
            around.awaits_key = not around.awaits_key
        for fault, leaves_fit in _of_node(loader, event, lines):
            yield f"line {line}: {fault}", leaves_fit
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else None))
        if len(open_) > DEPTH:
            yield f"line {line}: lists and mappings are nested more than {DEPTH} deep", False
            return
        if nodes > NODES:
            yield f"line {line}: more than {NODES} values", False
            return


def _of_node(loader: Any, event: Any, lines: dict[str, int] | None) -> Iterator[tuple[str, bool]]:
    """What is wrong with a value; with a key, if the lines of those before it are given."""
    if event.anchor:
        yield "anchors and aliases are not read; write the value out", False
    elif event.tag:
        yield f"the tag {_short(event.tag)} is not read; write the value without one", False
    elif isinstance(event, yaml.ScalarEvent):
        yield from _of_scalar(loader, event, lines)
    elif lines is not None:
        yield "a key is a list or a mapping", False


def _of_scalar(loader: Any, event: Any, lines: dict[str, int] | None) -> Iterator[tuple[str, bool]]:
    shown, value = _short(event.value), event.value
    tag = loader.resolve(yaml.ScalarNode, value, event.implicit) if event.implicit[0] else _TEXT
    if tag == _MERGE and lines is not None:
        yield "merge keys (<<) are not read; write the keys out", False
        return
    if tag != _TEXT:
        try:
            value = loader.construct_object(yaml.ScalarNode(tag, event.value))
        except (yaml.YAMLError, ValueError, OverflowError):
            kind = tag.rpartition(":")[2]
            yield f"{shown} is written like a {kind} and is none; put a text in quotes", False
            return
    if lines is None:
        if tag == _FLOAT and not math.isfinite(value):
            yield f"{shown} is no finite number", True
        return
    if tag != _TEXT:
        yield f"the key {shown} is read as {value!r} and no text; put it in quotes", True
    if event.value in lines:
        yield f"the key {shown} stands in line {lines[event.value]} already", True
    else:
        lines[event.value] = event.start_mark.line + 1


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
