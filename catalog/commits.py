"""Manifests of commits: what the tasks of a step have committed, in one file.

Each commit of a shard, `shard.json`, says that it is there. A manifest of commits repeats them all,
so that whoever needs a whole step asks once, however many tasks it has: `commits/<key>.json`, by
the key of the shards that the step makes. A share of a step leaves its part,
`commits/<key>-<share>-of-<shares>.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from phloem.catalog.manifest import (
    COMMIT,
    KEY_DIGITS,
    Shard,
    canonical,
    committed,
    is_whole,
    key_of,
)
from phloem.catalog.store import MissingError, Store

COMMITS = "commits"
MANIFEST = re.compile(rf"{COMMITS}/[0-9a-f]{{{KEY_DIGITS}}}(-\d+-of-\d+)?\.json")

Made = tuple[str, str]  # kind and key of a shard


def commits_key(made: Sequence[Made]) -> str:
    """The key of a step: of all shards that it makes, in order."""
    return key_of(COMMITS, {}, ["/".join(each) for each in made])


def noted(store: Store, made: Sequence[Made]) -> dict[Made, Shard]:
    """What the manifest of a step says that it has committed; all of it, or nothing is said."""
    found = _read(store, f"{COMMITS}/{commits_key(made)}.json")
    return found if all(each in found for each in made) else {}


def noted_parts(store: Store, made: Sequence[Made]) -> dict[Made, Shard]:
    """What the shares of a step say that they have committed."""
    start = f"{COMMITS}/{commits_key(made)}-"
    parts = [name for name in store.list(COMMITS) if name.startswith(start)]
    wanted = frozenset(made)
    return {
        each: shard
        for part in store.together(lambda name: _read(store, name), parts)
        for each, shard in part.items()
        if each in wanted
    }


def noted_shards(store: Store, name: str) -> set[str]:
    """The folders of the shards that a manifest of commits names."""
    return {shard.folder for shard in _read(store, name).values()}


def forget(store: Store) -> None:
    """Delete all manifests of commits, and nothing else that may lie beside them."""
    for name in filter(MANIFEST.fullmatch, store.list(COMMITS)):
        store.delete(name)


def note(store: Store, made: Sequence[Made], found: Mapping[Made, Shard]) -> None:
    """Write the manifest of a step that is done."""
    _write(store, commits_key(made), [found[each] for each in made])


def note_part(
    store: Store, made: Sequence[Made], found: Iterable[Shard], share: tuple[int, int]
) -> None:
    """Write what one share of a step, (number, of how many), has committed of it."""
    number, of = share
    _write(store, f"{commits_key(made)}-{number}-of-{of}", found)


@dataclass(frozen=True)
class Held:
    """What lies there of a step.

    Attributes:
        shards: By kind and key.
        is_noted: Whether the manifest of the step says all of it.
    """

    shards: Mapping[Made, Shard]
    is_noted: bool


def held(store: Store, step: Sequence[Made], asked: Sequence[Made]) -> Held:
    """What lies there of these shards of a step: the commit, and every file at its size."""
    sizes: dict[str, int] = {}
    for kind in dict.fromkeys(kind for kind, _ in asked):
        sizes |= store.sizes(kind, [key for own, key in asked if own == kind])
    there = [each for each in dict.fromkeys(asked) if f"{each[0]}/{each[1]}/{COMMIT}" in sizes]
    if not there:
        return Held({}, is_noted=False)
    told = noted(store, step)
    is_noted = bool(told)
    told = told or noted_parts(store, step)
    unsaid = [each for each in there if each not in told]
    read = zip(unsaid, store.together(lambda each: committed(store, *each), unsaid), strict=True)
    found = {**told, **{each: shard for each, shard in read if shard}}
    whole = [each for each in there if each in found and is_whole(found[each], sizes)]
    return Held({each: found[each] for each in whole}, is_noted)


def absent(store: Store, asked: Sequence[Made]) -> set[Made]:
    """Those of these shards that have no commit."""
    kinds = dict.fromkeys(kind for kind, _ in asked)
    there = {
        name
        for kind in kinds
        for name in store.sizes(kind, [key for own, key in asked if own == kind])
    }
    return {each for each in asked if f"{each[0]}/{each[1]}/{COMMIT}" not in there}


def _read(store: Store, name: str) -> dict[Made, Shard]:
    """What a manifest says; nothing where there is none, or it was cut short or changed."""
    try:
        value = json.loads(store.read_bytes(name))
        shards = [Shard.from_json(shard) for shard in value["shards"]]
        holds = [shard.digest for shard in shards] == value["digests"]
    except (MissingError, ValueError, KeyError, TypeError):
        return {}
    return {(shard.stage, shard.key): shard for shard in shards} if holds else {}


def _write(store: Store, name: str, shards: Iterable[Shard]) -> None:
    listed = list(shards)
    value = {
        "shards": [shard.to_json() for shard in listed],
        "digests": [shard.digest for shard in listed],
    }
    store.write_bytes(f"{COMMITS}/{name}.json", canonical(value))
