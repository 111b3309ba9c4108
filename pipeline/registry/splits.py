"""The splits of sources: found once a root, since they may stand in the files themselves.

`splits/<key>.json` holds those of all sources of a run. Whoever finds it there need not have a
single one of their files on its own machine, which a share of a stage may read none of.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phloem.catalog.manifest import Ref, canonical, key_of
from phloem.catalog.store import MissingError, Store
from phloem.pipeline.guard import Guarded, OverrunError, Told, overrun, retire
from phloem.pipeline.reading import Reading
from phloem.sources.cards.source import Source
from phloem.sources.connector import Connector, Pin, SourceError, Split, find_connector
from phloem.sources.limits import Limits

Json = Any

SPLITS = "splits"
SOURCES = Path(__file__).parents[2] / "sources"
AT_ONCE = 4  # sources whose files are fetched or looked into at once


@dataclass(frozen=True)
class AtHand:
    """A source whose files are all to be had.

    Attributes:
        card: What people decided.
        pin: What the lock file says it holds.
        connector: What reads it.
        params: What the card gives the connector.
        files: Where each of its files lies, by its name in the pin.
    """

    card: Source
    pin: Pin
    connector: Connector
    params: Any
    files: Mapping[str, Ref]


def splits_of(store: Store, found: Sequence[AtHand]) -> list[tuple[Split, ...] | SourceError]:
    """The splits of each source, as an earlier run found them or as its connector finds them.

    An error stands in the place of a source of which the connector cannot tell.
    """
    kept = [each for each in found if _is_on_root(each)]
    name = splits_name(found)
    said = _said(store, name, len(kept)) if kept else ()
    if said is None:
        said = list(_looked(store, kept))
        whole = [each for each in said if not isinstance(each, SourceError)]
        if len(whole) == len(kept):
            listed = [[asdict(split) for split in own] for own in whole]
            store.write_bytes(name, canonical(listed))
    told = iter(said)
    return [next(told) if _is_on_root(each) else _own(store, each) for each in found]


def _own(store: Store, source: AtHand) -> tuple[Split, ...] | SourceError:
    """What a connector says of files of this machine, or why it cannot."""
    try:
        return tuple(source.connector.splits(source.params, source.pin, _paths(store, source)))
    except SourceError as error:
        return error


def _looked(store: Store, found: Sequence[AtHand]) -> Iterator[tuple[Split, ...] | SourceError]:
    """What connectors say of files that strangers made, in a process that can be ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        paths = list(pool.map(functools.partial(_paths, store), found))
    asked = [
        [each.card.access.connector, dict(each.card.access.params), each.pin.to_json(), dict(files)]
        for each, files in zip(found, paths, strict=True)
    ]
    limits = Limits()
    try:
        while asked:
            with Guarded(
                splits_here, (asked,), limits.record_seconds, limits.reading_memory_bytes
            ) as child:
                try:
                    for said, _ in child:
                        if "begun" not in said:
                            asked = asked[1:]
                            yield _told(said)
                except OverrunError as error:
                    asked = asked[1:]
                    reason = overrun(str(error), "reading", limits)
                    yield SourceError(f"finding the parts of its files {reason}")
    finally:
        retire()


def splits_here(asked: Json) -> Iterator[Told]:
    """In the child: the splits of each source, or why there are none."""
    for name, params, pin, files in asked:
        connector = find_connector(name)
        given = connector.Params.model_validate(params)
        try:
            found = connector.splits(given, Pin.from_json(pin), files)
            yield {"splits": [asdict(split) for split in found]}, None
        except SourceError as error:
            yield {"refused": str(error)}, None


def _told(said: Json) -> tuple[Split, ...] | SourceError:
    if "refused" in said:
        return SourceError(said["refused"])
    return tuple(Split(each["name"], each["spec"], tuple(each["files"])) for each in said["splits"])


def _paths(store: Store, source: AtHand) -> dict[str, str]:
    return {name: _path(store, ref) for name, ref in source.files.items()}


def _path(store: Store, ref: Ref) -> str:
    """Where a file lies on this machine, by its hash if it has to be copied.

    Where a file is cut does not need it hashed: whoever reads a part verifies it.
    """
    if ref.path.startswith("/"):
        return ref.path
    return store.local_path(ref.path, "" if store.is_local else ref.sha256, ref.bytes)


def _said(
    store: Store, name: str, sources: int
) -> Sequence[tuple[Split, ...] | SourceError] | None:
    try:
        value = json.loads(store.read_bytes(name))
        found = [
            tuple(Split(each["name"], each["spec"], tuple(each["files"])) for each in own)
            for own in value
        ]
    except (MissingError, ValueError, KeyError, TypeError):
        return None
    return found if len(found) == sources else None


def splits_name(found: Sequence[AtHand | Reading]) -> str:
    """Where the splits of these sources are kept: by the code, what cards ask, and the files."""
    asked = [
        [each.card.access.connector, each.card.access.params, each.pin.to_json()["files"]]
        for each in found
        if _is_on_root(each)
    ]
    return f"{SPLITS}/{key_of(SPLITS, {'asked': asked, 'code': _code()}, [])}.json"


def _is_on_root(source: AtHand | Reading) -> bool:
    """Whether its files lie on the root: those that lie on this machine alone may change."""
    return not any(ref.path.startswith("/") for ref in source.files.values())


@functools.cache
def _code() -> str:
    """The hash of the code of all connectors and formats."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*.py")):
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()
