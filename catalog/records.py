"""Append-only records of what people and runs did: times and names, outside every digest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import canonical, digest_of
from phloem.catalog.plain import Json
from phloem.catalog.store import Store

RECORDS = "records"
KIND = re.compile(r"[a-z]+(_[a-z]+)*")
RELEASED = "released"  # kind of the record that a release leaves
DIGITS = 8  # of the digest, in a record's name: records of one second are told apart


class RecordError(PhloemError, ValueError):
    """A file among the records that is none: the message names it and says why."""


def append(store: Store, kind: str, value: Mapping[str, Json]) -> str:
    """Write `records/<UTC time>-<kind>-<digest>.json`; returns its name.

    Args:
        store: The root.
        kind: What happened, such as ``released``: lower-case letters and `_`.
        value: What is to be remembered; `kind` and `time` are added to it.

    Raises:
        ValueError: a kind that is no name, or a value that has a kind or a time already.
        FileExistsError: there is a record of that name: none is ever overwritten.
    """
    if not KIND.fullmatch(kind) or {"kind", "time"} & set(value):
        msg = (
            f"no record of kind {kind!r} with {sorted(value)}: a kind is lower-case letters and _,"
            " and kind and time are added to the value here"
        )
        raise ValueError(msg)
    now = datetime.now(UTC)
    record = {**value, "kind": kind, "time": now.isoformat(timespec="microseconds")}
    name = _name(record)
    store.write_new(name, canonical(record))
    return name


def records(store: Store, kind: str | None = None) -> list[dict[str, Json]]:
    """All records of a root, or those of a kind, oldest first.

    Raises RecordError for a file that is none, or was cut short or changed.
    """
    found = [read_record(store, name) for name in store.list(RECORDS)]
    wanted = (record for record in found if kind in (None, record["kind"]))
    return sorted(wanted, key=lambda record: str(record["time"]))


def read_record(store: Store, name: str) -> dict[str, Json]:
    """A record, which is called by what it says. Raises RecordError for what is none."""
    try:
        data = store.read_bytes(name)
        record: dict[str, Json] = json.loads(data)
        fault = None if (_name(record), canonical(record)) == (name, data) else "was changed"
    except IsADirectoryError:
        fault = "is a folder"
    except json.JSONDecodeError:
        fault = "is no JSON: it was cut short or changed"
    except (ValueError, KeyError, TypeError, RecursionError):
        fault = "is no record"
    if fault:
        msg = f"{name} {fault}; put back what was appended, or move it elsewhere"
        raise RecordError(msg)
    return record


def _name(record: Mapping[str, Json]) -> str:
    """What a record is called. Raises what a value that is none may raise."""
    time = datetime.fromisoformat(record["time"])
    kind = KIND.fullmatch(record["kind"])
    if not kind:
        raise ValueError(record["kind"])
    return f"{RECORDS}/{time:%Y%m%dT%H%M%SZ}-{kind[0]}-{digest_of(record)[:DIGITS]}.json"
