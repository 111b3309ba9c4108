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
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Self, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from phloem.catalog import commits
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
theirs, each band of the signatures, each range of components; or for all together."""


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
        shuffled_bytes: How much of what crosses between workers one of them holds at once.
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
        commits.forget(store)
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
    commits.forget(store)  # one of them told of what is not there


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
    return _all_of(task, lambda kind, key: find(store, kind, key))


def just_made(store: Store, task: Task) -> list[Shard] | None:
    """What a task that was done a moment ago has committed; None if it has not."""
    return _all_of(task, lambda kind, key: committed(store, kind, key))


def _all_of(task: Task, look: Callable[[str, str], Shard | None]) -> list[Shard] | None:
    """What is found of a task; after the first that is not, nothing more is asked."""
    found = []
    for kind, key in task.makes:
        shard = look(kind, key)
        if shard is None:
            return None
        found.append(shard)
    return found


def weights(tasks: Sequence[Task]) -> list[float]:
    """Bytes that each task opens, where an input that several open counts a part for each.

    For sharing work out: who does several of them opens it once, or has it at hand.
    """
    openers = Counter(ref.path for task in tasks for ref in task.inputs)
    return [
        sum(ref.bytes / openers[ref.path] for ref in task.inputs if not ref.is_kept)
        for task in tasks
    ]


Shards = dict[tuple[tuple[str, str], ...], list[Shard]]
"""What tasks have committed, by what they make."""


@dataclass(frozen=True)
class Already:
    """What tasks of a step have committed.

    Attributes:
        shards: Of those that are done.
        to_do: The others.
        is_noted: Whether the step's manifest of commits says it.
    """

    shards: Shards
    to_do: list[Task]
    is_noted: bool


def already(store: Store, tasks: Sequence[Task], step: Sequence[Task] = ()) -> Already:
    """What those of these tasks have committed that are done: files, sizes, commits.

    Args:
        store: The root.
        tasks: What is asked about.
        step: All tasks of the step, if these are but some of them.
    """
    held = commits.held(store, _makes(step or tasks), _makes(tasks))
    found = _by_task(tasks, held.shards)
    to_do = [
        task if any(each in held.shards for each in task.makes) else _new(task)
        for task in tasks
        if task.makes not in found
    ]
    return Already(found, to_do, held.is_noted)


def _new(task: Task) -> Task:
    """A task of which nothing is there: one that would look for its parts need not."""
    if "is_new" not in type(task.work).model_fields:
        return task
    return replace(task, work=task.work.model_copy(update={"is_new": True}))


def committed_before(store: Store, tasks: Sequence[Task]) -> Shards:
    """What the tasks of an earlier step have committed, as its manifest of commits says it.

    Where there is none, the parts that shares left of it are put together, and what is in none is
    looked for; if that is the whole step, its manifest is written. What a manifest says is not
    looked for: whoever reads one of the files learns that it is gone.
    """
    step = _makes(tasks)
    found = dict(commits.noted(store, step))
    if not found:
        found = commits.noted_parts(store, step)
        rest = [each for each in step if each not in found]
        found |= commits.held(store, step, rest).shards if rest else {}
        if len(found) == len(set(step)):
            commits.note(store, step, found)
    return _by_task(tasks, found)


def note_committed(store: Store, tasks: Sequence[Task], shards: Shards) -> None:
    """Write a step's manifest of commits: all its tasks are done."""
    found = {(s.stage, s.key): s for task in tasks for s in shards[task.makes]}
    commits.note(store, _makes(tasks), found)


def note_share(store: Store, tasks: Sequence[Task], shards: Shards, share: tuple[int, int]) -> None:
    """Write what one share of a step's tasks, (number, of how many), has committed."""
    commits.note_part(store, _makes(tasks), [s for own in shards.values() for s in own], share)


def missing(store: Store, tasks: Sequence[Task]) -> list[Task]:
    """The tasks of which not all is there that they make, every file at its size."""
    found = already(store, tasks).shards
    return [task for task in tasks if task.makes not in found]


def uncommitted(store: Store, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that have not committed all that they make: no commit is read, only listed."""
    absent = commits.absent(store, _makes(tasks))
    return [task for task in tasks if not absent.isdisjoint(task.makes)]


def _makes(tasks: Sequence[Task]) -> list[tuple[str, str]]:
    return [made for task in tasks for made in task.makes]


def _by_task(tasks: Sequence[Task], found: Mapping[tuple[str, str], Shard]) -> Shards:
    return {
        task.makes: [found[each] for each in task.makes]
        for task in tasks
        if all(each in found for each in task.makes)
    }
