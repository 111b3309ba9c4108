"""What a run's record says, in typed form, and the shards that its datasets list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from phloem.catalog import runs
from phloem.catalog.advice import run_again
from phloem.catalog.ledger import Balance
from phloem.catalog.manifest import Dataset, Shard
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.reports.numerals import MEGABYTE

T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """One stage of a run: what it did, and what it cost.

    Attributes:
        name: Its name, such as ``measure``.
        tasks: Units of work, done or found done.
        cached: Those of them that were there already.
        seconds: Wall-clock time.
        cpu_seconds: CPU time of all workers.
        documents: Documents that went through it.
        bytes: Bytes that it read.
    """

    name: str
    tasks: int
    cached: int
    seconds: float
    cpu_seconds: float
    documents: int
    bytes: int

    @property
    def megabytes_per_cpu_second(self) -> float | None:
        """How fast it read; None where something was cached, which cost nothing."""
        if self.cached >= self.tasks or not self.cpu_seconds:
            return None
        return self.bytes / MEGABYTE / self.cpu_seconds


@dataclass(frozen=True)
class Run:
    """A run record.

    Attributes:
        run_id: Its id.
        recipe: Name of the recipe.
        recipe_digest: Hash of what the recipe says.
        spec: The recipe as JSON.
        started: ISO 8601, UTC.
        finished: ISO 8601, UTC; empty if it never ended.
        status: ``done``, ``failed`` or ``interrupted``.
        error: Why it failed, or None.
        runner: Beam's runner.
        workers: Worker processes.
        stages: In the order of the run.
        datasets: Stage -> name of the manifest under the root.
        sources: Card id -> what the card, the lock and the approval said.
        rules: The recipe's, in the bit order of `failed_rules`.
        source_rules: Card id -> the recipe's rules and then the card's own, in the same order.
        balance: Card id -> documents read, kept, dropped, quarantined.
        license_refs: LicenseRef -> what it asks, as somebody decided it.
        release: Name of the release, or None.
        again: The command that makes what is missing of it.
        skipped: Card id -> why it was not read.
        found: What was looked up for it on the root so far.
    """

    run_id: str
    recipe: str
    recipe_digest: str
    spec: Mapping[str, Json]
    started: str
    finished: str
    status: str
    error: str | None
    runner: str
    workers: int | None
    stages: tuple[Stage, ...]
    datasets: Mapping[str, str]
    sources: Mapping[str, Json]
    rules: tuple[Json, ...]
    source_rules: Mapping[str, tuple[Json, ...]]
    balance: Mapping[str, Balance]
    license_refs: Mapping[str, tuple[str, ...]]
    release: str | None
    again: str
    skipped: Mapping[str, str]
    found: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, look: Callable[[], T]) -> T:
        """What a look finds; what was looked up under this name before is not looked up again."""
        if name not in self.found:
            self.found[name] = look()
        found: T = self.found[name]
        return found


def run_of(record: Mapping[str, Json], root: str) -> Run:
    """A run from its record under a root; what a run that stopped early never wrote is empty."""
    recipe = record.get("recipe") or {}
    return Run(
        run_id=record["run_id"],
        recipe=recipe.get("name", ""),
        recipe_digest=recipe.get("digest", ""),
        spec=recipe.get("spec") or {},
        started=record.get("started") or "",
        finished=record.get("finished") or "",
        status=record.get("status") or "",
        error=record.get("error"),
        runner=record.get("runner") or "",
        workers=record.get("workers"),
        stages=tuple(_stage(stage) for stage in record.get("stages") or ()),
        datasets=record.get("datasets") or {},
        sources=record.get("sources") or {},
        rules=tuple(record.get("rules") or ()),
        source_rules={n: tuple(own) for n, own in (record.get("source_rules") or {}).items()},
        balance={name: Balance(**own) for name, own in (record.get("balance") or {}).items()},
        license_refs={n: tuple(own) for n, own in (record.get("license_refs") or {}).items()},
        release=record.get("release"),
        again=run_again(record, root),
        skipped=record.get("skipped") or {},
    )


def _stage(value: Mapping[str, Json]) -> Stage:
    counted = ("tasks", "cached", "seconds", "cpu_seconds", "documents", "bytes")
    return Stage(value["stage"], **{name: value.get(name) or 0 for name in counted})


def dataset_of(store: Store, run: Run, stage: str) -> Dataset | None:
    """The dataset that a stage made; None if the run did not come so far, or it was removed."""
    return run.once(stage, lambda: runs.dataset_of(store, {"datasets": run.datasets}, stage))


def shards_of(store: Store, run: Run, stage: str) -> tuple[Shard, ...]:
    """The shards that a stage made, in order; empty if there is no dataset."""
    dataset = dataset_of(store, run, stage)
    return dataset.shards if dataset else ()
