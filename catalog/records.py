"""Append-only records of what people and runs did: times and names, outside every digest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from phloem.catalog.manifest import canonical, digest_of
from phloem.catalog.plain import Json
from phloem.catalog.store import Store

RECORDS = "records"
KIND = re.compile(r"[a-z]+(_[a-z]+)*")
DIGITS = 8  # of the digest, in a record's name: records of one second are told apart


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
    name = f"{RECORDS}/{now:%Y%m%dT%H%M%SZ}-{kind}-{digest_of(record)[:DIGITS]}.json"
    store.write_new(name, canonical(record))
    return name


def records(store: Store, kind: str | None = None) -> list[dict[str, Json]]:
    """All records of a root, or those of a kind, oldest first.

    Raises ValueError naming a record that cannot be read.
    """
    found: list[dict[str, Json]] = []
    for name in store.list(RECORDS):
        try:
            record = json.loads(store.read_bytes(name))
        except ValueError:
            msg = f"{name} is no JSON: it was cut short or changed"
            raise ValueError(msg) from None
        if kind in (None, record["kind"]):
            found.append(record)
    return sorted(found, key=lambda record: str(record["time"]))
