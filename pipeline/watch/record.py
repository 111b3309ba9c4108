"""The run record: what varies from run to run, outside every digest."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phloem.catalog.manifest import canonical
from phloem.catalog.rules import Rule
from phloem.catalog.store import Store
from phloem.pipeline.job import Job, Made, balance, dataset
from phloem.pipeline.registry.registry import Registry, source_facts
from phloem.pipeline.request import Request
from phloem.pipeline.rule_set import set_of

Json = Any


@dataclass
class Record:
    """The run record while it grows: `runs/<run id>.json`, outside every digest."""

    run_id: str
    value: dict[str, Json]
    stages: list[dict[str, Json]] = field(default_factory=list)

    def save(self, store: Store) -> None:
        """Write it under its name; a rerun of a run writes another."""
        store.write_bytes(
            f"runs/{self.run_id}.json", canonical({**self.value, "stages": self.stages})
        )


def new_run_id() -> str:
    """Sortable by time, to a quarter of a millisecond, and unique."""
    moment = datetime.now(UTC)
    part = moment.microsecond * 0x1000 // 1_000_000
    return f"{moment:%Y%m%dT%H%M%SZ}-{part:03x}{uuid.uuid4().hex[:3]}"


def begin_record(request: Request, registry: Registry) -> Record:
    """The record of a run that begins now."""
    run_id = new_run_id()
    recipe = request.recipe
    value: dict[str, Json] = {
        "run_id": run_id,
        "recipe": {
            "name": recipe.name,
            "digest": recipe.digest,
            "spec": recipe.model_dump(mode="json"),
        },
        "started": now(),
        "finished": None,
        "host": platform.node(),
        "runner": request.runner,
        "workers": request.workers,
        "asked": {"folder": str(Path.cwd()), "words": list(request.asked)},
        "status": "running",
        "error": None,
        "datasets": {},
        "sources": {
            source: source_facts(registry.cards[source], registry) for source in recipe.sources
        },
        "rules": [],
        "balance": {},
        "release": None,
        "skipped": {},
        "license_refs": {name: list(duties) for name, duties in registry.license_refs.items()},
    }
    return Record(run_id, value)


def now() -> str:
    """This moment, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def note(record: Record, job: Job, store: Store, made: Made) -> None:
    """Write the manifests of what was made and put them into the record, with the rules."""
    for stage, shards in made.items():
        record.value["datasets"][stage] = dataset(job, stage, shards).save(store).name
    if "decide" in made:
        counts = balance(job.cards, made["ingest"], made["decide"])
        record.value["balance"] = {source: asdict(each) for source, each in counts.items()}
    use = job.recipe.use
    shared = [_rule(rule, _of(rule, use)) for rule in job.recipe.keep]
    record.value["rules"] = shared
    record.value["source_rules"] = {
        id_: shared + [_rule(rule, "the source's card") for rule in rules[len(shared) :]]
        for id_, rules in job.rules.items()
        if len(rules) > len(shared)
    }


def _of(rule: Rule, use: Sequence[str]) -> str:
    """Who asks it: a set in use, or the recipe itself."""
    name = set_of(rule.name, use)
    return f"set {name}" if name else "the recipe"


def _rule(rule: Rule, of: str) -> Json:
    """A rule with where it comes from, which is in no key."""
    return {**rule.model_dump(mode="json"), "of": of, "source": rule.source}
