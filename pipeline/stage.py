"""A stage's unit of work: small, JSON-able, keyed by what it depends on."""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import COMMIT, SHARD_FILES, Shard, canonical, find, key_of
from phloem.catalog.store import Store

Json = Any

# In the order of a run; each is a module of this package with a function `run(store, task)`.
RUNS = {
    "ingest": "phloem.pipeline.stages.ingest:run",
    "count": "phloem.pipeline.stages.count:run",
    "tally": "phloem.pipeline.stages.count:run_tally",
    "measure": "phloem.pipeline.stages.measure:run",
    "bands": "phloem.pipeline.stages.candidates:run_band",
    "candidates": "phloem.pipeline.stages.candidates:run_components",
    "filter": "phloem.pipeline.stages.decide:run_filter",
    "dedup": "phloem.pipeline.stages.dedup:run",
    "decide": "phloem.pipeline.stages.decide:run_ledger",
    "compose": "phloem.pipeline.stages.compose:run",
    "tokenizer": "phloem.pipeline.stages.tokens:run_train",
    "tokenize": "phloem.pipeline.stages.tokens:run_tokenize",
}
STAGES = tuple(RUNS)

# What a stage's code makes of the same input: raised when that changes.
VERSIONS = dict.fromkeys(SHARD_FILES, 1) | {"ingest": 2, "dedup": 2}


def shard_key(stage: str, spec: Mapping[str, Json], inputs: Sequence[str]) -> str:
    """A shard's key: of its spec, its inputs, its stage's code, and the library that writes it.

    The same key is the same bytes: whatever can change them stands in it.
    """
    return key_of(stage, {**spec, "code": VERSIONS[stage], "pyarrow": pa.__version__}, inputs)


class StageError(PhloemError):
    """A task that cannot be done: the message says which, and why, without any text of it."""


@dataclass(frozen=True)
class Task:
    """One unit of work, which a worker does alone and commits.

    Attributes:
        stage: Which stage it belongs to.
        makes: (stage, key) of every shard that it commits.
        label: What a person sees: source, split or band.
        bytes: About how much it reads, for sharing work out.
        work: What its function needs. Paths and places may stand here: they are in no key.
        shuffled_bytes: How much of it crosses between workers, and is held in memory meanwhile.
    """

    stage: str
    makes: tuple[tuple[str, str], ...]
    label: str
    bytes: int
    work: Json
    shuffled_bytes: int = 0

    def to_json(self) -> str:
        """As JSON text: what flows between Beam's transforms."""
        return canonical(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Task:
        """From JSON text."""
        value = json.loads(text)
        makes = tuple((stage, key) for stage, key in value.pop("makes"))
        return cls(makes=makes, **value)


def run_task(store: Store, task: Task) -> list[Shard]:
    """Do a task in this process and return what it committed."""
    check_inputs(store, task.work)
    module, _, name = RUNS[task.stage].partition(":")
    function: Callable[[Store, Task], list[Shard]] = getattr(importlib.import_module(module), name)
    return function(store, task)


_SHARD_FILE = re.compile(r'"([a-z]+)/([0-9a-f]{32})/([^"/]+)"')


def check_inputs(store: Store, work: Json) -> None:
    """Hash the committed files that a task's work names: nothing is made of what a disk changed.

    Raises StageError naming such a file; its shard then counts as never made, and whoever reads it
    later is told so. An object store checks what it keeps itself.
    """
    if not store.is_local:
        return
    for stage, key, name in sorted(set(_SHARD_FILE.findall(canonical(work).decode()))):
        shard = find(store, stage, key)
        if shard is None:  # as a task beside this one, or before it, may have found
            raise StageError(f"{stage}/{key} is not whole; run again: it is made anew")
        try:
            _require_hash(store.root, shard.path(name), shard.file(name).sha256)
        except StageError:
            store.delete(f"{shard.folder}/{COMMIT}")
            raise


@functools.cache  # what was found whole is looked at once a process; an error is not remembered
def _require_hash(root: str, name: str, sha256: str) -> None:
    if Store(root).sha256(name) != sha256:
        raise StageError(f"{name} is not what was written; run again: it is made anew")


def made(store: Store, task: Task) -> list[Shard] | None:
    """What a task has committed, if all of it is there."""
    shards = [find(store, stage, key) for stage, key in task.makes]
    return None if None in shards else [shard for shard in shards if shard]


def missing(store: Store, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that have not committed all that they make."""
    return [task for task in tasks if made(store, task) is None]
