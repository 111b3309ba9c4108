"""The run record: what varies from run to run, outside every digest."""

from __future__ import annotations

import platform
import re
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from phloem.catalog.manifest import canonical
from phloem.catalog.store import Store, masked
from phloem.pipeline.job import Job, Made, balance, dataset
from phloem.pipeline.recipe import Recipe
from phloem.pipeline.registry import Registry, source_facts
from phloem.pipeline.runners import LOCAL

Json = Any

# Settings of a cluster whose values no record keeps: those that Spark itself redacts
# (spark.redaction.regex of its configuration, 3.5), and whatever else is called a key.
SECRET = re.compile("secret|password|token|credential|key", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What a user asked for.

    Attributes:
        recipe: What to make.
        root: URL of the root.
        workers: Processes on this machine, or tasks at once on the runner's machines.
        skip_unavailable: Leave out sources that this machine cannot have, whatever the recipe
            says of them.
        release: Name of the release; made from what it holds if empty.
        date: Date that the release bears, ISO 8601; none if empty.
        runner: What does the work.
        asked: The command's words after `phloem`, its root left out; none if no command asked.
    """

    recipe: Recipe
    root: str
    workers: int
    skip_unavailable: bool = False
    release: str = ""
    date: str = ""
    runner: str = LOCAL
    asked: tuple[str, ...] = ()


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


def typed(context: typer.Context) -> tuple[str, ...]:
    """A command's words as they can be typed again, but for its root and what is secret."""
    words = [context.info_name or ""]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name == "root":
            continue
        value = context.params[parameter.name or ""]
        values = value if isinstance(value, (list, tuple)) else [value]
        flag = parameter.opts[:1] if parameter.param_type_name == "option" else []
        for each in values:
            told = _setting(str(each)) if parameter.name == "spark_conf" else masked(str(each))
            words += flag if each is True else [*flag, told]
    return tuple(words)


def _setting(given: str) -> str:
    """A setting of a cluster, KEY=VALUE, as a record may keep it: a secret value is ***."""
    return f"{given.partition('=')[0]}=***" if SECRET.search(given) else masked(given)


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
    record.value["rules"] = [rule.model_dump(mode="json") for rule in job.recipe.keep]
    record.value["source_rules"] = {
        id_: [rule.model_dump(mode="json") for rule in rules]
        for id_, rules in job.rules.items()
        if len(rules) > len(job.recipe.keep)
    }
