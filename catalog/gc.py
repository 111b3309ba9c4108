"""What of a root nothing names any more: looked for, shown, and only then deleted.

What a release, a run record or a manifest of theirs names is kept, and so are the records for ever.
Where one of them cannot be read nobody knows what it named: then nothing is waste.

A root may be a folder that holds other things too, and a wrong `--root` holds nothing else. So
nothing is looked for in a folder where no run has written, and of a root only what lies where a run
writes, is called as a run calls it, and is no link: whatever else is there belongs to somebody.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from phloem.catalog.advice import command
from phloem.catalog.commits import COMMITS, MANIFEST, noted_shards
from phloem.catalog.errors import PhloemError, UseError
from phloem.catalog.manifest import COMMIT, KEY_DIGITS, Dataset, Kind, Shard, digest_of, find
from phloem.catalog.packs import PACKS, packs_of
from phloem.catalog.plain import Json
from phloem.catalog.records import DIGITS, RECORDS
from phloem.catalog.released import RELEASES, ReleaseError, load_release, release_names
from phloem.catalog.runs import HEARTBEATS, RUNS, ViewError, life_of, load_run, run_ids
from phloem.catalog.store import TEMPORARY, MissingError, Store

DATASETS, FETCHED, FAILURES, REPORTS = "datasets", "fetched", "failures", "reports"
SPLITS = "splits"
DAY_SECONDS = 86_400.0

_KEY = f"[0-9a-f]{{{KEY_DIGITS}}}"
_SHA256 = re.compile("[0-9a-f]{64}")
_HEARTBEAT = re.compile(rf"{HEARTBEATS}/\d{{8}}T\d{{6}}Z-[0-9a-f]{{6}}\.json")

# What saves requests, and is made again where it is lacking: what it is, and its name.
_AGAIN = MappingProxyType(
    {
        "manifest of commits": MANIFEST,
        "pack": re.compile(rf"{PACKS}/{_KEY}\.bin"),
        "list of splits": re.compile(rf"{SPLITS}/{_KEY}\.json"),
    }
)

_RUN_ID = re.compile(r"\d{8}T\d{6}Z-")  # begins one; a copy that was cut short may end anyhow
# What reading a file raises that is none of a run's.
_FOREIGN = (IsADirectoryError, MissingError, ValueError, KeyError, TypeError, AttributeError)
_SHOWN = 3  # names that an error shows of a folder that is no root


class GcError(PhloemError):
    """Nothing may be deleted now: the message says why, and what to do."""


class NoRootError(UseError):
    """A folder in which no run has written: nothing in it is looked at."""


@dataclass(frozen=True)
class Layout:
    """Where a run writes, and what it calls what it writes there.

    Attributes:
        stages: Names of the kinds of shards.
        shard: Pattern of a shard's folder.
        files: Pattern of the names in one, by kind.
        manifest: Pattern of a dataset's manifest.
        note: Pattern of the note of a failure.
        temporary: Pattern of a file that is being written.
        places: The folders right under the root.
    """

    stages: tuple[str, ...]
    shard: re.Pattern[str]
    files: Mapping[str, re.Pattern[str]]
    manifest: re.Pattern[str]
    note: re.Pattern[str]
    temporary: re.Pattern[str]
    places: frozenset[str]


def layout(kinds: Sequence[Kind]) -> Layout:
    """Where runs write that make these kinds of shards, which must be all that there are."""
    stages = tuple(kind.name for kind in kinds)
    stage = f"(?:{'|'.join(stages)})"
    own = f"{re.escape(COMMIT)}|{TEMPORARY}"
    files = {kind.name: re.compile(f"(?:{'|'.join([*kind.files, own])})") for kind in kinds}
    folders = f"{FAILURES}/{stage}|{stage}/{_KEY}|{RELEASES}/[^/]+|{REPORTS}/[^/]+"
    places = (RUNS, HEARTBEATS, DATASETS, FETCHED, COMMITS, PACKS, SPLITS)
    return Layout(
        stages,
        re.compile(f"({stage})/{_KEY}"),
        files,
        re.compile(rf"{DATASETS}/{stage}-{_KEY}\.json"),
        re.compile(rf"{FAILURES}/{stage}/{_KEY}\.json"),
        re.compile(f"(?:{'|'.join(places)}|{folders})/{TEMPORARY}"),
        frozenset((*places, FAILURES, RELEASES, REPORTS, *stages)),
    )


@dataclass(frozen=True)
class Waste:
    """One thing that nothing names.

    Attributes:
        name: A file or a shard's folder, under the root.
        kind: shard, half-written shard, fetched file, manifest, heartbeat, failure note,
            manifest of commits, pack, list of splits or temporary file.
        reason: Why it is not needed.
        files: How many files it is.
        bytes: Their size in all.
        names: Of these files, under the root; what else lies in a shard's folder is none of them.
    """

    name: str
    kind: str
    reason: str
    files: int
    bytes: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """What must stay.

    Attributes:
        manifests: Names of manifests.
        shards: Folders of shards.
        helping: Names of packs and lists of splits of what must stay.
        fetched: sha256 of files that were fetched.
        runs: Ids of all runs.
        running: Ids of those that may be going on.
    """

    manifests: frozenset[str]
    shards: frozenset[str]
    helping: frozenset[str]
    fetched: frozenset[str]
    runs: tuple[str, ...]
    running: tuple[str, ...]


def named(
    store: Store, where: Layout, needed: Iterable[str], *, older_than: float, now: float
) -> Named:
    """All that releases, run records and their manifests name.

    Args:
        store: The root.
        where: Where runs write.
        needed: sha256 of fetched files that must stay as well, such as models of known ops.
        older_than: Seconds for which a run without any heartbeat is taken to be running.
        now: This moment, seconds since 1970.

    Raises:
        NoRootError: no run has written here.
        GcError: one of them cannot be read; the message names the file.
    """
    _require_root(store, where)
    manifests: set[str] = set()
    hashes = set(needed)
    runs = {run_id: found for run_id in run_ids(store) if (found := _run(store, run_id))}
    running = []
    for run_id, record in runs.items():
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
    helping = {record["splits"] for record in runs.values() if "splits" in record}
    for name in sorted(manifests | set(filter(where.manifest.fullmatch, store.list(DATASETS)))):
        dataset = _dataset(store, name, needed=name in manifests)
        if name in manifests:
            shards |= {shard.folder for shard in dataset.shards}
            hashes |= _hashes(dataset.spec)
            helping |= packs_of(dataset)
    return Named(
        frozenset(manifests),
        frozenset(shards),
        frozenset(helping),
        frozenset(hashes),
        tuple(runs),
        tuple(running),
    )


def _require_root(store: Store, where: Layout) -> None:
    """Raise NoRootError unless some file here says of itself what its name says.

    A run writes its record before all else, so that one which was killed at once left one. Without
    a record, since a run was given up, a manifest or a shard of it tells. A mark of its own, which
    older roots would lack, would tell no more.
    """
    for name in _evidence(store, where):
        with suppress(*_FOREIGN):
            if _own_name(name, store.read_bytes(name)) == name:
                return
    there = [name.strip("/") for name in store.list("")]
    more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
    held = f"it holds {', '.join(there[:_SHOWN])}{more}, and" if there else "it is empty and holds"
    msg = (
        f"{store.root} is no root: {held} no run record, manifest or shard; nothing in it was"
        " looked at. --root or PHLOEM_ROOT names a root, `phloem run RECIPE` makes one"
    )
    raise NoRootError(msg)


def _evidence(store: Store, where: Layout) -> Iterator[str]:
    """Files that may show that a run has written here, the likeliest first."""
    yield from (name for name in store.list(RUNS) if name.endswith(".json"))
    yield from (name for name in store.list(RECORDS) if name.endswith(".json"))
    yield from filter(where.manifest.fullmatch, store.list(DATASETS))
    for stage in where.stages:
        yield from (f"{s}/{COMMIT}" for s in store.list(stage) if where.shard.fullmatch(s))


def _own_name(name: str, data: bytes) -> str:
    """What a file would be called if it were what its name says. Raises what JSON may raise."""
    top = name.partition("/")[0]
    if top == RUNS and _RUN_ID.match(name, len(f"{RUNS}/")):
        return name  # though it was cut short: nobody else calls a file so
    value = json.loads(data)
    if top == RUNS:
        return f"{RUNS}/{value['run_id']}.json" if _is_record(value) else ""
    if top == RECORDS:
        own = f"-{value['kind']}-{digest_of(value)[:DIGITS]}.json"
        return name if name.endswith(own) else ""
    if top == DATASETS:
        return Dataset.from_json(value).name
    return f"{Shard.from_json(value).folder}/{COMMIT}"


def _is_record(value: Mapping[str, Json]) -> bool:
    return {"run_id", "recipe", "started"} <= value.keys() and isinstance(
        value.get("datasets", {}), dict
    )


def _run(store: Store, run_id: str) -> Mapping[str, Json] | None:
    """A run's record; None for a file that neither is called nor reads like one."""
    try:
        record = load_run(store, run_id)
    except (ViewError, IsADirectoryError) as error:
        fault = str(error)
    else:
        if _is_record(record):
            return record
        fault = f"{RUNS}/{run_id}.json is no run record; move it elsewhere"
    if not _RUN_ID.match(run_id):
        return None
    raise GcError(f"{fault}. Until then nobody can tell what it named")


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


def waste(
    store: Store, where: Layout, kept: Named, *, older_than: float, now: float
) -> list[Waste]:
    """What nothing names and nobody has written lately, sorted by name.

    Files of which nobody can say when they were written are kept, and so is all that lies where
    a run would not have put it.

    Args:
        store: The root.
        where: Where runs write.
        kept: What must stay.
        older_than: Seconds that a file must have lain there.
        now: This moment, seconds since 1970.
    """
    sizes = _sizes(store, where)
    whole = {
        shard: _listed(store, shard)
        for shard in (name.removesuffix(f"/{COMMIT}") for name in sizes)
        if where.shard.fullmatch(shard) and shard not in kept.shards
    }
    unnamed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name in sizes:
        shard, _, file = name.rpartition("/")
        if (found := where.shard.fullmatch(shard)) and shard not in kept.shards:
            listed = whole.get(shard, frozenset())
            if file in listed or where.files[found[1]].fullmatch(file):
                unnamed[shard, *(_WHOLE if listed else _HALF)].append(name)
        elif kind := _unnamed(store, where, kept, name):
            unnamed[name, *kind].append(name)
    return sorted(
        (
            Waste(name, kind, reason, len(files), sum(sizes[f] for f in files), tuple(files))
            for (name, kind, reason), files in unnamed.items()
            if all(_age(store, file, now) >= older_than for file in files)
        ),
        key=lambda each: each.name,
    )


def _sizes(store: Store, where: Layout) -> dict[str, int]:
    """Bytes of every file where a run writes, by its name, those half-written included.

    No link is followed, nor named: a run makes none.
    """
    base = store.path("").rstrip("/")
    found: dict[str, int] = {}
    for entry in store.fs.ls(base, detail=True):
        top = entry["name"].rstrip("/").rpartition("/")[2]
        if top in where.places and entry["type"] == "directory" and not entry.get("islink"):
            for path, info in store.fs.find(entry["name"], detail=True).items():
                if info["type"] == "file" and not info.get("islink"):
                    found[path.removeprefix(base).lstrip("/")] = int(info["size"] or 0)
    return found


def _listed(store: Store, shard: str) -> frozenset[str]:
    """The files that a shard's commit lists; none if it was cut short."""
    try:
        value = json.loads(store.read_bytes(f"{shard}/{COMMIT}"))
        return frozenset(file.name for file in Shard.from_json(value).files)
    except (MissingError, ValueError, KeyError, TypeError):
        return frozenset()


What = tuple[str, str]  # its kind, and the reason

_WHOLE = ("shard", "no manifest of a run or release names it")
_HALF = ("half-written shard", "it was never committed")


def _unnamed(store: Store, where: Layout, kept: Named, name: str) -> What | None:
    """What a file is and why it is not needed, unless it is."""
    top, _, rest = name.partition("/")
    own = rest.removesuffix(".json")
    found = None
    if where.temporary.fullmatch(name):
        found = ("temporary file", "whoever wrote it did not come to its end")
    elif top == FETCHED and _SHA256.fullmatch(rest) and rest not in kept.fetched:
        found = ("fetched file", "no run record, release or op names it")
    elif where.manifest.fullmatch(name) and name not in kept.manifests:
        found = ("manifest", "no run record or release names it")
    elif (kind := next((k for k, own in _AGAIN.items() if own.fullmatch(name)), None)) and not (
        name in kept.helping or (top == COMMITS and noted_shards(store, name) <= kept.shards)
    ):
        found = (kind, "it is of what no run or release names")
    elif _HEARTBEAT.fullmatch(name) and own not in kept.runs:
        found = ("heartbeat", "its run has no record")
    elif where.note.fullmatch(name) and find(store, *own.partition("/")[::2]):
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


def by_kind(found: Iterable[Waste]) -> list[dict[str, Json]]:
    """Waste as rows for a person: one for each kind and reason in each folder of the root."""
    groups: dict[tuple[str, str, str], list[Waste]] = defaultdict(list)
    for each in found:
        groups[each.name.partition("/")[0], each.kind, each.reason].append(each)
    return [
        {
            "kind": kind,
            "where": where,
            "count": len(group),
            "files": sum(each.files for each in group),
            "MB": round(sum(each.bytes for each in group) / 1e6, 3),
            "reason": reason,
        }
        for (where, kind, reason), group in sorted(groups.items())
    ]


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
    # By a manifest a root is known that has no run record any more: they go last.
    for each in sorted(found, key=lambda each: each.kind == "manifest"):
        # The commit first: without it a shard is not there.
        for name in sorted(each.names, key=lambda name: not name.endswith(f"/{COMMIT}")):
            store.delete(name)
        if each.name not in each.names:
            with suppress(OSError):  # somebody's own file lies there too
                store.fs.rmdir(store.path(each.name))
