"""A job: everything that a recipe needs, and the stages that it becomes, in their order."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phloem.catalog.ledger import Balance
from phloem.catalog.manifest import Dataset, Shard
from phloem.catalog.policy import Policy
from phloem.catalog.store import Store
from phloem.filters.op import Op
from phloem.pipeline import compose, decide, elect, ingest, measure, nominate, tokens
from phloem.pipeline.measure import TextFile
from phloem.pipeline.recipe import Recipe, Rule
from phloem.pipeline.stage import Task
from phloem.pipeline.workspace import Workspace
from phloem.sources.connector import Pin, Split
from phloem.sources.source import LOCAL, Source

Json = Any


@dataclass(frozen=True)
class Reading:
    """A source that this run reads.

    Attributes:
        card: What people decided.
        pin: What the lock file says it holds.
        splits: Its parts, each read by one worker.
        places: Where each of its files lies: {"fetched": sha256} or {"path": …}.
    """

    card: Source
    pin: Pin
    splits: tuple[Split, ...]
    places: Mapping[str, Json]


@dataclass(frozen=True)
class Job:
    """A recipe with all that it names found and checked.

    Attributes:
        recipe: What to make.
        workspace: The user's own parts.
        readings: The sources that are read, in the recipe's order of priority.
        ops: The recipe's ops, bound.
        models: Name under the root of each model file, by its name.
        policy: What a source and a release must satisfy.
        license_refs: Obligations of each LicenseRef that the project knows.
    """

    recipe: Recipe
    workspace: Workspace
    readings: tuple[Reading, ...]
    ops: tuple[Op, ...]
    models: Mapping[str, str]
    policy: Policy
    license_refs: Mapping[str, Sequence[str]]

    @property
    def cards(self) -> dict[str, Source]:
        """The cards by id."""
        return {reading.card.id: reading.card for reading in self.readings}

    @property
    def rules(self) -> dict[str, list[Rule]]:
        """The rules of each source: the recipe's, then its card's own."""
        return {
            id_: [*self.recipe.keep, *(Rule.model_validate(rule) for rule in card.keep)]
            for id_, card in self.cards.items()
        }


@dataclass(frozen=True)
class Step:
    """Tasks that can run side by side; the next step needs their shards."""

    stage: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Outcome:
    """What a job made."""

    datasets: Mapping[str, Dataset]
    balance: Mapping[str, Balance]


Steps = Generator[Step, list[list[Shard]], Outcome]


def steps(job: Job, store: Store) -> Steps:
    """The steps of a job: yields each, is sent its shards (one list a task), returns the outcome.

    Whoever drives it decides where tasks run, and whether at all.
    """
    ingested = _flat((yield _ingest_step(job)))
    text_files, chains = _keyed(job, ingested)
    place = (job.workspace.folder, job.workspace.ops)
    measuring = measure.tasks(text_files, chains, job.cards, job.models, place)
    sent = yield Step("measure", tuple(measuring))
    files = measure.measured(text_files, sent)
    dedup = job.recipe.dedup
    bands = _flat((yield Step("bands", tuple(nominate.band_tasks(files, dedup)))))
    (nominated,) = _flat((yield Step("nominate", (nominate.component_task(bands, files),))))
    judging = decide.judge_tasks(files, job.ops, job.rules, _licences(job))
    judged = _flat((yield Step("judge", tuple(judging))))
    electing = elect.tasks(
        store,
        nominated,
        files,
        judged,
        dedup=dedup,
        minhash=next((op for op in job.ops if op.name == "minhash"), None) if dedup else None,
        priority=[reading.card.id for reading in job.readings],
    )
    elected = _flat((yield Step("elect", tuple(electing))))
    duplicates = [shard.path("duplicates.parquet") for shard in elected]
    settled = elect.settle_files(store, duplicates, files)
    decided = _flat((yield Step("decide", tuple(decide.ledger_tasks(files, judged, settled)))))
    licences = {id_: card.license.spdx for id_, card in job.cards.items()}
    composing = compose.tasks(files, decided, job.recipe.scrub, licences)
    composed = _flat((yield Step("compose", tuple(composing))))
    if job.recipe.tokenizer.train:
        train = tokens.train_task(composed, job.recipe.tokenizer.train, job.recipe.scrub)
        (tokenizer,) = _flat((yield Step("tokenizer", (train,))))
    else:
        tokenizer = tokens.given_tokenizer(store, job.recipe.tokenizer)
    tokenized = _flat((yield Step("tokenize", tuple(tokens.tasks(composed, tokenizer)))))
    made = {
        "ingest": ingested,
        "clean": [file.clean for file in files],
        "measure": [shard for shards in sent for shard in shards[1:]],
        "bands": bands,
        "nominate": [nominated],
        "judge": judged,
        "elect": elected,
        "settled": settled,
        "decide": decided,
        "compose": composed,
        "tokenizer": [tokenizer],
        "tokenize": tokenized,
    }
    datasets = {stage: dataset(job, stage, shards) for stage, shards in made.items()}
    return Outcome(datasets, balance(ingested, decided))


def dataset(job: Job, stage: str, shards: Sequence[Shard]) -> Dataset:
    """The manifest of one stage's shards, with what of the recipe bears on it."""
    recipe = job.recipe
    spec: dict[str, Json] = {"recipe": recipe.name}
    if stage in ("clean", "measure"):
        spec["ops"] = [op.identity for op in job.ops]
    if stage in ("judge", "decide"):
        spec["rules"] = {id_: [r.name for r in rules] for id_, rules in sorted(job.rules.items())}
    if stage in ("bands", "nominate", "elect"):
        spec["dedup"] = recipe.dedup.model_dump() if recipe.dedup else None
    if stage == "compose":
        spec["scrub"] = dict(recipe.scrub)
    return Dataset(stage, spec, tuple(shards))


def balance(ingested: Sequence[Shard], decided: Sequence[Shard]) -> dict[str, Balance]:
    """What was read of each source, and what became of it."""
    read: dict[str, list[int]] = {}
    for shard in ingested:
        count = read.setdefault(shard.facts["source"], [0, 0, 0, 0])
        count[0] += shard.facts["read"]
        count[3] += shard.facts["quarantined"]
    for shard in decided:
        count = read[shard.facts["source"]]
        for place, verdict in enumerate(("kept", "dropped", "quarantined"), start=1):
            count[place] += shard.facts[verdict]
    return {source: Balance(*count) for source, count in sorted(read.items())}


def _ingest_step(job: Job) -> Step:
    tasks = [
        task
        for reading in job.readings
        for task in ingest.tasks(reading.card, reading.pin, reading.splits, reading.places)
    ]
    return Step("ingest", tuple(tasks))


def _keyed(job: Job, ingested: Sequence[Shard]) -> tuple[list[TextFile], dict[str, list[Op]]]:
    cards = job.cards
    chains = {id_: measure.chain(card, job.ops, job.workspace.ops) for id_, card in cards.items()}
    files = [
        measure.keyed(cards[source], name, file, chains[source])
        for source, name, file in measure.text_files(ingested)
    ]
    return files, chains


def _licences(job: Job) -> dict[str, Json]:
    refs = {name: sorted(duties) for name, duties in sorted(job.license_refs.items())}
    return {
        id_: {
            "card": card.license.spdx,
            # A user's own files are judged by no licence: nothing of them is ever released.
            "forbidden": [] if id_ == LOCAL else sorted(job.policy.forbidden),
            "refs": refs,
        }
        for id_, card in job.cards.items()
    }


def _flat(sent: list[list[Shard]]) -> list[Shard]:
    return [shard for shards in sent for shard in shards]
