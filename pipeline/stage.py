"""What a stage is: a typed unit of work, the function that does it, and the files that it writes.

Each module of `pipeline/stages` exports one `STAGE`; the tuple of all is in the package itself.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import COMMIT, File, Kind, Ref, Shard, canonical, committed, find
from phloem.catalog.store import ChangedError, MissingError, Store, holds

Json = Any

TOLD = 5  # changed files that an error names


class StageError(PhloemError):
    """A task that cannot be done: the message says which, and why, without any text of it."""


class Work(BaseModel):
    """What a task's function needs, as data; paths may stand here, since it is in no key.

    Every file that is read stands here as a Ref.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


W = TypeVar("W", bound=Work)
P = TypeVar("P", bound=Work)

Grows = Literal["text", "counted text", "documents", "once"]
"""What a stage's cost grows with: all text, the text of the sources of which an op counts the
texts, the number of documents; or nothing, since it works on a sample of one size."""

Tasks = Literal["files", "counted files", "counted sources", "bands", "components", "one"]
"""What a stage has a task for: each text file, or each of those that are counted, each source of
theirs, each band of the signatures, each run of components; or for all together."""


@dataclass(frozen=True)
class Shuffle(Generic[W, P]):
    """How a stage is spread that groups what its parts give: plain functions that an engine calls.

    Attributes:
        part: The model of a part.
        parts: The parts of a task: each is read by itself.
        blocks: (key of a shard that the task makes, number of a range, rows of it) of a part; of
            each shard there is at least one.
        write: Writes the rows of one range, of all parts in any order.
        commit: Commits the shard of this key once all its ranges are written.
    """

    part: type[P]
    parts: Callable[[W], Iterator[P]]
    blocks: Callable[[Store, P], Iterator[tuple[str, int, pa.RecordBatch]]]
    write: Callable[[Store, str, int, Sequence[pa.RecordBatch]], File]
    commit: Callable[[Store, str, Sequence[File]], Shard]


@dataclass(frozen=True)
class Stage(Generic[W]):
    """One stage of a run.

    Attributes:
        name: What users call it; its own kind of shard is called so, too.
        work: The model of what its function needs.
        run: (store, key of the first shard, work) -> the shards that it commits, as a task's
            `makes` lists them.
        makes: The kinds of shards that it writes, with their files.
        grows: What its cost grows with.
        tasks: What it has a task for.
        bears: What of the recipe stands in the manifests of what it makes.
        shuffle: How it is spread, if it groups; None: each task is done by itself.
    """

    name: str
    work: type[W]
    run: Callable[[Store, str, W], list[Shard]]
    makes: tuple[Kind, ...]
    grows: Grows
    tasks: Tasks
    bears: Literal["", "ops", "rules", "dedup", "scrub"] = ""
    shuffle: Shuffle[W, Any] | None = None

    def task(self, key: str, label: str, work: W, *, shuffled_bytes: int = 0) -> Task:
        """A task that makes one shard of the stage's own kind."""
        return Task(self.name, ((self.name, key),), label, work, shuffled_bytes)


@dataclass(frozen=True)
class Task:
    """One unit of work, which a worker does alone and commits.

    Attributes:
        stage: Name of its stage.
        makes: (kind, key) of every shard that it commits.
        label: What a person sees: source, split or band.
        work: What its function needs.
        shuffled_bytes: How much of it crosses between workers, and is held in memory meanwhile.
    """

    stage: str
    makes: tuple[tuple[str, str], ...]
    label: str
    work: Work
    shuffled_bytes: int = 0

    @functools.cached_property
    def inputs(self) -> tuple[Ref, ...]:
        """Every file that it reads, once."""
        return tuple({ref.path: ref for ref in refs(self.work)}.values())

    @functools.cached_property
    def bytes(self) -> int:
        """How much it opens; what a process keeps, as it does models, is not counted."""
        return sum(ref.bytes for ref in self.inputs if not ref.is_kept)

    def to_json(self) -> str:
        """As JSON text: what flows between Beam's transforms."""
        value = {
            "stage": self.stage,
            "makes": self.makes,
            "label": self.label,
            "work": self.work.model_dump(mode="json"),
            "shuffled_bytes": self.shuffled_bytes,
        }
        return canonical(value).decode()

    @classmethod
    def from_json(cls, text: str, stages: Mapping[str, Stage[Any]]) -> Self:
        """From JSON text, its work as the stage of its name has it."""
        value = json.loads(text)
        stage = stages[value["stage"]]
        makes = tuple((kind, key) for kind, key in value["makes"])
        work = stage.work.model_validate(value["work"])
        return cls(stage.name, makes, value["label"], work, value["shuffled_bytes"])


def refs(value: Json) -> Iterator[Ref]:
    """Every Ref that stands anywhere in a value of a work."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from refs(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from refs(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from refs(each)


@contextmanager
def inputs_verified(store: Store) -> Iterator[None]:
    """Whoever opens an input that is not what it should be is told so, and it counts as never made.

    Raises StageError naming the file.
    """
    try:
        yield
    except MissingError as error:
        msg = f"{error}; run again: what it was made from is read or fetched again"
        raise StageError(msg) from None
    except ChangedError as error:
        if error.name.startswith("/"):
            msg = f"{error.name} has changed since it was listed; run again: it is read anew"
            raise StageError(msg) from None
        _forget(store, error.name)
        msg = f"{error.name} is not what was written; run again: it is made or fetched anew"
        raise StageError(msg) from None


def _forget(store: Store, name: str) -> None:
    """Let a shard count as never committed, or a fetched file as never fetched."""
    shard, _, _ = name.rpartition("/")
    store.delete(f"{shard}/{COMMIT}" if "/" in shard else name)


def require_whole(store: Store, shards: Iterable[Shard]) -> None:
    """Hash all files of shards on this machine; what does not hold counts as never made.

    An object store checks what it keeps itself.

    Raises StageError naming the first few.
    """
    if not store.is_local:
        return
    files = [shard.ref(file.name) for shard in shards for file in shard.files]
    with ThreadPoolExecutor() as pool:  # hashing leaves Python's lock
        whole = pool.map(lambda ref: holds(store.path(ref.path), ref.sha256), files)
        changed = [ref.path for ref, holds_ in zip(files, whole, strict=True) if not holds_]
    for name in changed:
        _forget(store, name)
    if changed:
        more = f" and {len(changed) - TOLD} more" if len(changed) > TOLD else ""
        msg = (
            f"{', '.join(changed[:TOLD])}{more} did not hold what was written; run again: it is"
            " made anew"
        )
        raise StageError(msg)


def made(store: Store, task: Task) -> list[Shard] | None:
    """What a task has committed, if all of it is there, every file of it at its size."""
    shards = [find(store, kind, key) for kind, key in task.makes]
    return None if None in shards else [shard for shard in shards if shard]


def just_made(store: Store, task: Task) -> list[Shard] | None:
    """What a task that was done a moment ago has committed; None if it has not."""
    shards = [committed(store, kind, key) for kind, key in task.makes]
    return None if None in shards else [shard for shard in shards if shard]


def weights(tasks: Sequence[Task]) -> list[float]:
    """Bytes that each task opens, where an input that several open counts a part for each.

    For sharing work out: who does several of them opens it once, or has it at hand.
    """
    openers = Counter(ref.path for task in tasks for ref in task.inputs)
    return [
        sum(ref.bytes / openers[ref.path] for ref in task.inputs if not ref.is_kept)
        for task in tasks
    ]


def missing(store: Store, tasks: Iterable[Task]) -> list[Task]:
    """The tasks that have not committed all that they make."""
    return [task for task in tasks if made(store, task) is None]


Shards = dict[tuple[tuple[str, str], ...], list[Shard]]
"""What tasks have committed, by what they make."""


def already(store: Store, tasks: Iterable[Task]) -> Shards:
    """What those of the tasks have committed that are done."""
    found = ((task.makes, made(store, task)) for task in tasks)
    return {makes: shards for makes, shards in found if shards is not None}
