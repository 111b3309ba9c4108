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
from phloem.pipeline.extraction import MOST_OVERRUNS
from phloem.pipeline.guard import OVERRUNS, Guarded, OverrunError, Told, overrun, retire
from phloem.pipeline.reading import Reading
from phloem.sources.cards.source import Source
from phloem.sources.connector import Connector, Pin, SourceError, Split, find_connector, refusal
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

    A file that cannot be looked into within its bounds has one split, which is not read; an error
    stands in the place of a source of which the connector cannot tell.
    """
    kept = [each for each in found if _is_on_root(each)]
    name = splits_name(found)
    said = _said(store, name, len(kept)) if kept else ()
    asked = [each for each in found if said is None or not _is_on_root(each)]
    looked = iter(_looked(store, asked) if asked else [])
    held = iter(said or ())
    whole = [next(looked) if each in asked else next(held) for each in found]
    if said is None:
        new = [own for each, own in zip(found, whole, strict=True) if _is_on_root(each)]
        _keep(store, name, new)
    return whole


def _keep(store: Store, name: str, found: Sequence[tuple[Split, ...] | SourceError]) -> None:
    """Write down what was found, if all of it was: the next run looks again at what was not."""
    listed = []
    for own in found:
        if isinstance(own, SourceError) or any(split.refused for split in own):
            return
        listed.append([asdict(split) for split in own])
    store.write_bytes(name, canonical(listed))


def _looked(store: Store, found: Sequence[AtHand]) -> Iterator[tuple[Split, ...] | SourceError]:
    """What connectors say of files that strangers made, in a process that can be ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        paths = list(pool.map(functools.partial(_paths, store), found))
    asked: list[list[Json]] = [
        [each.card.access.connector, dict(each.card.access.params), each.pin.to_json(), files]
        for each, files in zip(found, paths, strict=True)
    ]
    refused: list[Split] = []  # of the first that is asked of
    died: set[tuple[int, str | None]] = set()
    limits = Limits()
    try:
        while asked:
            at = None
            with Guarded(
                splits_here, (asked,), limits.record_seconds, limits.reading_memory_bytes
            ) as child:
                try:
                    for said, _ in child:
                        if "begun" in said:
                            (at,) = said["begun"]
                            continue
                        asked, at = asked[1:], None
                        yield _told(said, refused)
                        refused = []
                except OverrunError as error:
                    if str(error) not in OVERRUNS and (len(asked), at) not in died:
                        died.add((len(asked), at))  # once may be chance
                        continue
                    reason = f"finding its parts {overrun(str(error), 'reading', limits)}"
                    pinned = asked[0][2]["files"]
                    at = None if len(refused) >= MOST_OVERRUNS else at
                    over = [each["name"] for each in pinned if at in {None, each["name"]}]
                    refused += [refusal(name, reason) for name in over]
                    left = [each for each in pinned if each["name"] not in over]
                    asked[0][2] = {**asked[0][2], "files": left}
                    if not left:
                        asked = asked[1:]
                        yield tuple(refused)
                        refused = []
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


def _told(said: Json, refused: Sequence[Split]) -> tuple[Split, ...] | SourceError:
    if "refused" in said:
        return SourceError(said["refused"])
    read = [Split(each["name"], each["spec"], tuple(each["files"])) for each in said["splits"]]
    return (*read, *refused)


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
    asked: list[list[Json]] = [
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
