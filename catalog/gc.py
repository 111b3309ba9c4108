"""What of a root nothing names any more: looked for, shown, and only then deleted.

What a release, a run record or a manifest of theirs names is kept, and so are the records for ever.
Where one of them cannot be read nobody knows what it named: then nothing is waste.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from phloem.catalog.advice import command
from phloem.catalog.manifest import COMMIT, Dataset, find
from phloem.catalog.records import RECORDS
from phloem.catalog.released import ReleaseError, load_release, release_names
from phloem.catalog.runs import HEARTBEATS, ViewError, life_of, load_run, run_ids
from phloem.catalog.store import MissingError, Store

Json = Any

DATASETS, FETCHED, FAILURES = "datasets", "fetched", "failures"
DAY_SECONDS = 86_400.0

_SHARD = re.compile("(?!releases/)([a-z]+/[0-9a-f]{32})/[^/]+")  # a file in the folder of one
_SHA256 = re.compile("[0-9a-f]{64}")
_TEMPORARY = re.compile(r"(?:^|/)\.[^/]*\.tmp-[^/]*$")  # as `Store.create` names what it writes


class GcError(Exception):
    """Nothing may be deleted now: the message says why, and what to do."""


@dataclass(frozen=True)
class Waste:
    """One thing that nothing names.

    Attributes:
        name: A file or a shard's folder, under the root.
        kind: shard, half-written shard, fetched file, manifest, heartbeat, failure note or
            temporary file.
        reason: Why it is not needed.
        files: How many files it is.
        bytes: Their size in all.
    """

    name: str
    kind: str
    reason: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Named:
    """What must stay.

    Attributes:
        manifests: Names of manifests.
        shards: Folders of shards.
        fetched: sha256 of files that were fetched.
        runs: Ids of all runs.
        running: Ids of those that may be going on.
    """

    manifests: frozenset[str]
    shards: frozenset[str]
    fetched: frozenset[str]
    runs: tuple[str, ...]
    running: tuple[str, ...]


def named(store: Store, needed: Iterable[str], *, older_than: float, now: float) -> Named:
    """All that releases, run records and their manifests name.

    Args:
        store: The root.
        needed: sha256 of fetched files that must stay as well, such as models of known ops.
        older_than: Seconds for which a run without any heartbeat is taken to be running.
        now: This moment, seconds since 1970.

    Raises:
        GcError: one of them cannot be read; the message names the file.
    """
    manifests: set[str] = set()
    hashes = set(needed)
    runs = run_ids(store)
    running = []
    for run_id in runs:
        record = _run(store, run_id)
        manifests |= set(record.get("datasets", {}).values())
        hashes |= _hashes(record)
        if record.get("status") == "running" and _may_run(store, record, older_than, now):
            running.append(run_id)
    for name in release_names(store):
        try:
            release = load_release(store, name).to_json()
        except ReleaseError as error:
            raise GcError(f"{error}; until then nobody can tell what it holds") from None
        manifests |= {dataset["name"] for dataset in release["datasets"].values()}
        hashes |= _hashes(release)
    shards: set[str] = set()
    for name in sorted(manifests | set(store.list(DATASETS))):
        dataset = _dataset(store, name, needed=name in manifests)
        if name in manifests:
            shards |= {shard.folder for shard in dataset.shards}
            hashes |= _hashes(dataset.spec)
    return Named(
        frozenset(manifests), frozenset(shards), frozenset(hashes), tuple(runs), tuple(running)
    )


def _run(store: Store, run_id: str) -> Mapping[str, Json]:
    try:
        return load_run(store, run_id)
    except ViewError as error:
        raise GcError(f"{error}. Until then nobody can tell what it named") from None


def _dataset(store: Store, name: str, *, needed: bool) -> Dataset:
    try:
        return Dataset.load(store, name)
    except (MissingError, ValueError, KeyError, TypeError) as error:
        reason = "is gone" if isinstance(error, MissingError) else "cannot be read"
        do = (
            "run the recipe again that made it, which writes it anew, or delete the run records"
            " and releases that name it"
            if needed
            else "no run record or release names it: delete it"
        )
        msg = f"{name} {reason}, so that nobody can tell what it named; {do}"
        raise GcError(msg) from None


def _may_run(store: Store, record: Mapping[str, Json], older_than: float, now: float) -> bool:
    life = life_of(store, record["run_id"], now)
    if life.age is not None:
        return life.alive
    return now - datetime.fromisoformat(record["started"]).timestamp() < older_than


def _hashes(value: Json) -> set[str]:
    """Every sha256 that stands anywhere in a value: pinned files, models, tokenizers."""
    return set(_SHA256.findall(json.dumps(value)))


def waste(store: Store, kept: Named, *, older_than: float, now: float) -> list[Waste]:
    """What nothing names and nobody has written lately, sorted by name.

    Files of which nobody can say when they were written are kept, and so is all that lies where
    a run would not have put it.

    Args:
        store: The root.
        kept: What must stay.
        older_than: Seconds that a file must have lain there.
        now: This moment, seconds since 1970.
    """
    sizes = _sizes(store)
    unnamed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name in sizes:
        shard = _SHARD.fullmatch(name)
        if shard and shard[1] not in kept.shards:
            whole = f"{shard[1]}/{COMMIT}" in sizes
            unnamed[shard[1], *(_WHOLE if whole else _HALF)].append(name)
        elif kind := _unnamed(store, kept, name):
            unnamed[name, *kind].append(name)
    return sorted(
        (
            Waste(name, kind, reason, len(files), sum(sizes[file] for file in files))
            for (name, kind, reason), files in unnamed.items()
            if all(_age(store, file, now) >= older_than for file in files)
        ),
        key=lambda each: each.name,
    )


def _sizes(store: Store) -> dict[str, int]:
    """Bytes of every file of the root, by its name, those half-written included."""
    base = store.path("")
    found = store.fs.find(base, detail=True)
    return {name.removeprefix(base).lstrip("/"): int(i["size"] or 0) for name, i in found.items()}


Kind = tuple[str, str]  # and the reason

_WHOLE = ("shard", "no manifest of a run or release names it")
_HALF = ("half-written shard", "it was never committed")


def _unnamed(store: Store, kept: Named, name: str) -> Kind | None:
    """What a file is and why it is not needed, unless it is."""
    top, _, rest = name.partition("/")
    own = rest.removesuffix(".json")
    found = None
    if top == RECORDS:
        pass
    elif _TEMPORARY.search(name):
        found = ("temporary file", "whoever wrote it did not come to its end")
    elif top == FETCHED and _SHA256.fullmatch(rest) and rest not in kept.fetched:
        found = ("fetched file", "no run record, release or op names it")
    elif top == DATASETS and name not in kept.manifests:
        found = ("manifest", "no run record or release names it")
    elif top == HEARTBEATS and own not in kept.runs:
        found = ("heartbeat", "its run has no record")
    elif top == FAILURES and find(store, *own.partition("/")[::2]):
        found = ("failure note", "its task was done later")
    return found


def _age(store: Store, name: str, now: float) -> float:
    """Seconds since a file was written; below any bound where nobody can say."""
    try:
        written: datetime = store.fs.modified(store.path(name))
    except (NotImplementedError, FileNotFoundError):
        return float("-inf")
    if written.tzinfo is None:
        written = written.replace(tzinfo=UTC)
    return now - written.timestamp()


def delete(store: Store, found: Iterable[Waste], kept: Named) -> None:
    """Delete waste. An interrupted deletion leaves nothing that could be taken for whole.

    Raises GcError, with nothing deleted, while a run may be going on: which of the shards that
    lie there it will find and read, nobody can tell.
    """
    if kept.running:
        msg = (
            f"run {', '.join(kept.running)} is going on, or was a moment ago; what it may still"
            f" read is not deleted under it: `{command('status', root=store.root)}` shows it, wait"
            " until it has ended"
        )
        raise GcError(msg)
    for each in found:
        if each.kind == "shard":
            store.delete(f"{each.name}/{COMMIT}")  # without it a shard is not there
        store.delete(each.name)
