"""A job: everything that a recipe needs, and the stages that it becomes, in their order."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from phloem.catalog import ledger
from phloem.catalog.advice import command
from phloem.catalog.errors import PhloemError
from phloem.catalog.ledger import Balance
from phloem.catalog.manifest import Dataset, Ref, Shard, read_parquet
from phloem.catalog.policy import LOCAL, Policy, loss_alarm
from phloem.catalog.rules import Rule
from phloem.catalog.store import Store
from phloem.filters.op import Op
from phloem.pipeline.reading import Reading
from phloem.pipeline.recipe import Recipe
from phloem.pipeline.stage import Task
from phloem.pipeline.stages import (
    STAGES,
    bands,
    candidates,
    compose,
    count,
    decide,
    ingest,
    measure,
    removals,
    tally,
    tokenize,
    tokenizer,
)
from phloem.pipeline.stages import dedup as dedup_stage
from phloem.pipeline.stages import filter as filter_stage
from phloem.pipeline.stages.measure import MeasuredText
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards.source import Source

Json = Any

NAMED = 3  # documents that took a source's text, which a message names


@dataclass(frozen=True)
class Job:
    """A recipe with all that it names found and checked.

    Attributes:
        recipe: What to make.
        workspace: The user's own parts.
        readings: The sources that are read, in the recipe's order of priority.
        ops: The recipe's ops, bound.
        models: Each model file, by its name.
        policy: What a source and a release must satisfy.
        license_refs: Obligations of each LicenseRef that the project knows.
        tokenizer: The committed one that the recipe gives; None: it is trained.
    """

    recipe: Recipe
    workspace: Workspace
    readings: tuple[Reading, ...]
    ops: tuple[Op, ...]
    models: Mapping[str, Ref]
    policy: Policy
    license_refs: Mapping[str, Sequence[str]]
    tokenizer: Shard | None = None

    @property
    def place(self) -> tuple[str, tuple[str, ...]]:
        """Folder that the workspace's op modules are imported from, and their names."""
        return self.workspace.folder, self.workspace.ops

    @property
    def cards(self) -> dict[str, Source]:
        """The cards by id."""
        return {reading.card.id: reading.card for reading in self.readings}

    @functools.cached_property
    def chains(self) -> dict[str, list[Op]]:
        """The ops that run on each source, by its id."""
        return {
            id_: measure.chain(card, self.ops, self.workspace.ops)
            for id_, card in self.cards.items()
        }

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that it goes through: texts may not be counted, a tokenizer may be given."""
        counts = any(count.counting(ops) is not None for ops in self.chains.values())
        left_out = {
            "count": not counts,
            "tally": not counts,
            "tokenizer": self.recipe.tokenizer.train is None,
        }
        return tuple(stage.name for stage in STAGES if not left_out.get(stage.name))

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


class LossError(PhloemError):
    """A source lost so much that something is wrong: the policy's alarm stops the run."""


Made = dict[str, list[Shard]]  # by stage, in the order of the text files where there are such
Steps = Generator[Step, list[list[Shard]], None]


def steps(job: Job, store: Store, made: Made) -> Steps:
    """The steps of a job: yields each, is sent its shards (one list a task).

    Whoever drives it decides where tasks run, and whether at all.

    Args:
        job: What to make.
        store: The root.
        made: Filled, stage by stage, with the shards as they come.

    Raises:
        LossError: after `decide`, if the policy's alarm goes off.
    """
    made["ingest"] = _flat((yield _ingest_step(job)))
    found = measure.text_files(made["ingest"])
    tallies = yield from _tallies(job, found, made)
    text_files = [
        measure.keyed(job.cards[source], text, job.chains[source], tallies.get(source))
        for source, text in found
    ]
    measuring = measure.tasks(text_files, job.chains, job.cards, job.models, job.place, tallies)
    sent = yield Step("measure", tuple(measuring))
    files = measure.measured(text_files, sent)
    made["clean"] = [file.clean for file in files]
    made["measure"] = [shard for shards in sent for shard in shards[1:]]
    yield from _decisions(job, store, files, made)
    composing = compose.tasks(files, made["decide"], job.recipe.scrub)
    made["compose"] = _flat((yield Step("compose", tuple(composing))))
    if job.tokenizer:
        made["tokenizer"] = [job.tokenizer]
    elif job.recipe.tokenizer.train:
        train = tokenizer.task(made["compose"], job.recipe.tokenizer.train, job.recipe.scrub)
        made["tokenizer"] = _flat((yield Step("tokenizer", (train,))))
    tokenizing = tokenize.tasks(made["compose"], made["tokenizer"][0])
    made["tokenize"] = _flat((yield Step("tokenize", tuple(tokenizing))))


def _tallies(
    job: Job, found: Sequence[tuple[str, Ref]], made: Made
) -> Generator[Step, list[list[Shard]], dict[str, Ref]]:
    """What is frequent in each source of which an op counts the texts; no step if none does."""
    counting = count.tasks(found, job.chains, job.cards, job.models, job.place)
    if not counting:
        return {}
    made["count"] = _flat((yield Step("count", tuple(counting))))
    made["tally"] = _flat((yield Step("tally", tuple(tally.tasks(made["count"], job.chains)))))
    files = {shard.facts["source"]: shard.ref(tally.FREQUENT_FILE) for shard in made["tally"]}
    return {source: replace(file, is_kept=True) for source, file in files.items()}


def _decisions(job: Job, store: Store, files: Sequence[MeasuredText], made: Made) -> Steps:
    """From signatures and attributes to the ledger."""
    dedup = job.recipe.dedup
    made["bands"] = _flat((yield Step("bands", (bands.task(files, dedup),))))
    joining = candidates.task(made["bands"], files, job.readings)
    made["candidates"] = _flat((yield Step("candidates", (joining,))))
    filtering = filter_stage.tasks(files, job.ops, job.rules, _terms(job))
    made["filter"] = _flat((yield Step("filter", tuple(filtering))))
    comparing = dedup_stage.task(
        made["candidates"][0],
        files,
        made["filter"],
        dedup=dedup,
        minhash=next((op for op in job.ops if op.name == "minhash"), None) if dedup else None,
        worth=_writer(job, dedup.prefer) if dedup and dedup.prefer else None,
        priority=[reading.card.id for reading in job.readings],
    )
    made["dedup"] = _flat((yield Step("dedup", (comparing,))))
    sharing = removals.task(made["dedup"][0], files)
    made["removals"] = _flat((yield Step("removals", (sharing,))))
    removed = removals.of_files(made["removals"][0], len(files))
    ledgers = decide.tasks(files, made["filter"], removed)
    made["decide"] = _flat((yield Step("decide", tuple(ledgers))))
    _check_loss(job, store, made)


def _writer(job: Job, column: str) -> Op:
    """The op that writes a column, as the recipe's check has it."""
    return next(op for op in job.ops if column in {each.name for each in op.measures})


def _check_loss(job: Job, store: Store, made: Made) -> None:
    """Raise LossError where the policy's alarm goes off; a user's own files set off none."""
    found = balance(job.cards, made["ingest"], made["decide"])
    cut: Counter[str] = Counter()
    for shard in made["ingest"]:
        cut[shard.facts["source"]] += shard.facts["rests"]
    judged = {source: counts for source, counts in found.items() if source != LOCAL}
    alarms = [
        alarm + (_taken(store, made["decide"], source) if judged[source].dropped else "")
        for source in judged
        for alarm in loss_alarm(job.policy, {source: judged[source]}, cut)
    ]
    if alarms:
        msg = (
            f"policy {job.policy.name} stops the run: {'; '.join(alarms)}."
            f" `{command('report', root=store.root)}` shows what each rule took; mend the source or"
            " the rules, or choose another policy"
        )
        raise LossError(msg)


def _taken(store: Store, decided: Sequence[Shard], source: str) -> str:
    """Which documents stand for most of a source's duplicates, if these are most of its loss."""
    of: Counter[str] = Counter()
    lost = 0
    for shard in decided:
        if shard.facts["source"] == source:
            lost += shard.facts["dropped"]
            if shard.facts["reasons"].get(ledger.DUPLICATE):
                column = read_parquet(
                    store, shard.ref("ledger.parquet"), [ledger.DUPLICATE_OF.name]
                )
                of.update(column[0].drop_null().to_pylist())
    if 2 * of.total() <= lost:
        return ""
    most = ", ".join(f"{id_} for {count}" for id_, count in of.most_common(NAMED))
    first = of.most_common(1)[0][0]
    return (
        f" ({of.total()} are near duplicates, of {most};"
        f" `{command('explain', first, root=store.root)}` tells what it is)"
    )


def dataset(job: Job, stage: str, shards: Sequence[Shard]) -> Dataset:
    """The manifest of one stage's shards, with what of the recipe bears on it."""
    recipe = job.recipe
    said: dict[str, Callable[[], Json]] = {
        "ops": lambda: [op.identity for op in job.ops],
        "rules": lambda: {id_: [r.name for r in own] for id_, own in sorted(job.rules.items())},
        "dedup": lambda: recipe.dedup.model_dump() if recipe.dedup else None,
        "scrub": lambda: dict(recipe.scrub),
    }
    bears = next(each.bears for each in STAGES if stage in {kind.name for kind in each.makes})
    spec: dict[str, Json] = {"recipe": recipe.name}
    if bears:
        spec[bears] = said[bears]()
    return Dataset(stage, spec, tuple(shards))


def balance(
    sources: Iterable[str], ingested: Sequence[Shard], decided: Sequence[Shard]
) -> dict[str, Balance]:
    """What was read of each of these sources, if anything, and what became of it."""
    read = {source: [0, 0, 0, 0] for source in sources}
    for shard in ingested:
        count = read[shard.facts["source"]]
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
        for task in ingest.tasks(reading, job.place, job.recipe.limits)
    ]
    return Step("ingest", tuple(tasks))


def _terms(job: Job) -> dict[str, filter_stage.Terms]:
    refs = {name: tuple(sorted(duties)) for name, duties in sorted(job.license_refs.items())}
    return {
        id_: filter_stage.Terms(
            card=card.license.spdx,
            collection=card.license.collection,
            # A user's own files are judged by no licence: nothing of them is ever released.
            forbidden=() if id_ == LOCAL else tuple(sorted(job.policy.forbidden)),
            refs=refs,
        )
        for id_, card in job.cards.items()
    }


def _flat(sent: list[list[Shard]]) -> list[Shard]:
    return [shard for shards in sent for shard in shards]
