"""A sample of one source: a few hundred documents through a run's own stages, in this process.

The sample is drawn by the hash of document ids among all that is read, so nobody picks it and the
same bytes give the same one. An op that counts what is frequent counts in the sample alone. What a
run would commit goes into a folder that is removed afterwards; only the source's files come into
the root, as for a run.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import (
    DECLARED_LANGUAGE,
    DOCUMENT,
    ID,
    LANGUAGE,
    MINHASH,
    NATIVE_ID,
    PII_KINDS,
    PII_SPANS,
    TEXT,
    TEXT_BYTES,
    schema,
)
from phloem.catalog.ledger import DUPLICATE, KEPT, QUARANTINED
from phloem.catalog.licenses import obligations
from phloem.catalog.manifest import Shard, read_arrow, read_parquet
from phloem.catalog.plain import Json
from phloem.catalog.policy import load_policy
from phloem.catalog.store import Store
from phloem.catalog.tags import UNKNOWN, agree, primary
from phloem.filters.language import DECLARED, LANGUAGE_BASIS
from phloem.filters.language_models import LID, is_known, together
from phloem.pipeline.extraction import Asked, Extracted, complete, extract
from phloem.pipeline.job import Job, Made, steps
from phloem.pipeline.recipe import load_recipe
from phloem.pipeline.registry.fetch import keep_file, put_aside, readings
from phloem.pipeline.registry.models import models
from phloem.pipeline.registry.registry import Registry, reach_of
from phloem.pipeline.review.draw import Drawn, draw, quotas
from phloem.pipeline.review.overlap import overlap
from phloem.pipeline.stages import run_task
from phloem.pipeline.stages.ingest import (
    INGEST,
    Ingested,
    collected,
    document_id,
    licensed_since,
    write_ingested,
)
from phloem.pipeline.stages.measure import chain, declared, declared_for
from phloem.pipeline.workspace import Workspace
from phloem.reports.excerpts import Texts, cut, masked_texts
from phloem.reports.source_sample import Excerpt, SampledLanguage, SourceSample
from phloem.sources.cards.lock import Text
from phloem.sources.cards.source import Source, card_files
from phloem.sources.connector import Pin, Split

RECIPE = "quickstart"
DOCUMENTS = 200
NEAR = ("index", "here")  # what a machine can have that reaches package indexes alone

JUDGED = 5  # documents from which a declared language is judged: fewer may all be misread
AGREE = 0.5  # of the documents that declare a language, the least share found to be in it
UNDECLARED = 0.1  # of documents that declare any, the largest share in a language that none does
EXCERPTS = 3  # of the kept, and of each of as many reasons
QUANTILES = {"least": 0.0, "tenth": 0.1, "median": 0.5, "nine tenths": 0.9, "most": 1.0}


@dataclass(frozen=True)
class _Document:
    """What of a sampled document bears on the languages.

    Attributes:
        tags: That are declared for it, or else for its source; none if nobody knows.
        language: That it was found to be in; `und` where the model contradicts what is declared,
            and too weakly to prevail.
        is_measured: Whether the model could judge it: a language unknown to it is taken as
            declared.
        characters: Of its cleaned text.
        weight: How many documents of the source it stands for.
    """

    tags: tuple[str, ...]
    language: str
    is_measured: bool
    characters: int
    weight: float


def sample(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    card: Source,
    *,
    documents: int | None = DOCUMENTS,
    told: Callable[[str], None],
) -> SourceSample:
    """Fetch a card's files, and measure some documents that are spread over its parts.

    Args:
        store: The root: the files come into it; its newest run is compared with.
        registry: Where the card's lock entry stands.
        workspace: Whose ops the card may name.
        card: Active or not.
        documents: About how many; None: all that are read.
        told: Called with a line for a person when something is fetched.

    Raises:
        FetchError: the files cannot be had.
        SourceError: the card's parameters do not suit its connector.
    """
    return sample_of(store, job_of(store, registry, workspace, card, told), documents)


def sample_of(store: Store, job: Job, documents: int | None = DOCUMENTS) -> SourceSample:
    """The same of files that are at hand."""
    (reading,) = job.readings
    drawn = draw(store, reading, job.recipe.limits, job.place, documents)
    available = [len(part) for part in drawn]
    taken = available if documents is None else quotas(available, documents)
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        scratch = Store(folder)
        for model in job.models.values():
            keep_file(scratch, Path(model.on_this_machine(store)), model.sha256)
        return _measured(scratch, store, job, drawn, taken)


def job_of(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    card: Source,
    told: Callable[[str], None],
) -> Job:
    """The recipe `quickstart` on one source, whatever its status, approval and licence are."""
    recipe = load_recipe(RECIPE, workspace, [path.stem for path in card_files(workspace.sources)])
    recipe = recipe.model_copy(update={"sources": (card.id,), "mix": {}})
    policy = load_policy(recipe.policy, workspace.policies)
    ops = tuple(recipe.bound_ops(workspace))
    files = models(store, chain(card, ops, workspace.ops), told)
    put_aside(store, [pin for source, pin in registry.pins.items() if source == card.id], told)
    found, _ = readings(
        store, [card], registry.pins, own=registry.own, skip_unavailable=False, told=told
    )
    # A licence that the policy refuses would drop all documents before a rule judges one.
    free = policy.model_copy(update={"forbidden": ()})
    return Job(recipe, workspace, tuple(found), ops, files, free, registry.license_refs)


def _measured(
    scratch: Store, store: Store, job: Job, drawn: Sequence[Drawn], taken: Sequence[int]
) -> SourceSample:
    """Run the stages up to the decisions on what was drawn, and look at what they made."""
    (reading,) = job.readings
    source = reading.card.id
    weights: dict[str, float] = {}
    batches: list[pa.RecordBatch] = []
    for part, size in zip(drawn, taken, strict=True):
        own = part.first(size)
        batches += own
        names = (batch[NATIVE_ID.name][0].as_py() for batch in own)
        weights |= {document_id(source, name): part.read / size for name in names}
    ingested = Ingested(source, "sample", licensed_since(reading.card))
    texts = list(collected(_extracted(scratch, job, batches), ingested))
    faults = Counter(fault["reason"] for fault in ingested.faults)
    for fault in (fault for part in drawn for fault in part.faults):
        faults[fault.reason] += fault.records
    known = SourceSample(
        source=source,
        version=reading.pin.version,
        recipe=job.recipe.name,
        splits=(len(drawn), len(reading.splits)),
        read=sum(part.read for part in drawn),
        is_cut=any(part.is_cut for part in drawn),
        documents=sum(batch.num_rows for batch in texts),
        declared=reading.card.languages,
        faults=dict(faults.most_common()),
        counted=next((op.name for op in job.chains[source] if op.counts), ""),
    )
    if not known.documents:
        return known
    return _described(scratch, store, job, known, _decided(scratch, job, texts), weights)


def _extracted(scratch: Store, job: Job, batches: Sequence[pa.RecordBatch]) -> Iterator[Extracted]:
    """What was drawn, extracted as a run would."""
    if not batches:
        return
    with tempfile.NamedTemporaryFile(dir=scratch.root) as held:
        with pa.ipc.new_stream(held, schema(DOCUMENT)) as stream:
            for batch in batches:
                stream.write_batch(complete(batch))
        held.flush()
        asked = Asked(
            source=job.readings[0].card.id,
            connector="",
            params={},
            split=Split("sample", {}),
            files={},
            limits=job.recipe.limits,
            place=job.place,
            held=held.name,
        )
        yield from extract(asked)


def _decided(scratch: Store, job: Job, texts: Sequence[pa.RecordBatch]) -> dict[str, Shard]:
    """The shards of one text file: `ingest`, `clean`, `decide` and each measuring op's."""
    made: Made = {}
    going = steps(job, scratch, made)
    next(going)  # a run would read the source here
    step = going.send([[_ingest(scratch, job.readings[0].card, texts)]])
    while step.stage != "decide":
        step = going.send([run_task(scratch, task) for task in step.tasks])
    (decided,) = (shard for task in step.tasks for shard in run_task(scratch, task))
    going.close()
    measured = {shard.facts["op"]: shard for shard in made["measure"]}
    return {**measured, "ingest": made["ingest"][0], "clean": made["clean"][0], "decide": decided}


def _ingest(scratch: Store, card: Source, texts: Sequence[pa.RecordBatch]) -> Shard:
    """What drawing gave, as if a run had read it."""
    reading = Ingested(card.id, "sample")
    return write_ingested(scratch, INGEST.key({"sample": card.id}, []), reading, iter(texts))


# Looking ------------------------------------------------------------------------------------------
def _described(
    scratch: Store,
    store: Store,
    job: Job,
    known: SourceSample,
    shards: Mapping[str, Shard],
    weights: Mapping[str, float],
) -> SourceSample:
    """What the stages made of a sample, in numbers and excerpts."""
    ledger = read_parquet(scratch, shards["decide"].path("ledger.parquet")).to_pylist()
    verdicts = Counter(KEPT if row["verdict"] == KEPT else row["reason"] for row in ledger)
    model = together(job.models[LID.name].on_this_machine(store))
    found = _documents(scratch, shards, job.readings[0].card, weights, model.known)
    languages = _languages(found)
    characters = np.array([each.characters for each in found])
    signatures = _column(scratch, shards["minhash"], "minhash.parquet", MINHASH.name)
    run, elsewhere = overlap(store, job, pa.concat_arrays(signatures.chunks))
    refused = _refused(job, ledger)
    return replace(
        known,
        characters=int(characters.sum()),
        lengths={
            name: int(np.quantile(characters, q, method="nearest")) for name, q in QUANTILES.items()
        },
        languages=languages,
        absent=_absent(known.declared, languages),
        mismatches=tuple(_mismatches(found, languages)),
        personal=_personal(scratch, shards["pii"], ledger),
        duplicates=verdicts.pop(DUPLICATE, 0),
        elsewhere=elsewhere or {},
        compared_with=run,
        is_compared=elsewhere is not None,
        verdicts=dict(verdicts.most_common()),
        kept_bytes=_kept_bytes(ledger),
        repeated_bytes=sum(row[TEXT_BYTES.name] for row in ledger if row["reason"] == DUPLICATE),
        withheld=len(refused),
        excerpts=tuple(_excerpts(scratch, shards, ledger, refused)),
    )


def _column(scratch: Store, shard: Shard, file: str, column: str) -> pa.ChunkedArray:
    if file.endswith(".arrow"):
        return read_arrow(scratch, shard.path(file)).read_all()[column]
    return read_parquet(scratch, shard.path(file), [column])[column]


def _documents(
    scratch: Store,
    shards: Mapping[str, Shard],
    card: Source,
    weights: Mapping[str, float],
    known: frozenset[str],
) -> list[_Document]:
    """The documents in the order of the sample's text file."""
    file, of_card = "text-00000.arrow", declared(card)
    tags = _column(scratch, shards["ingest"], file, DECLARED_LANGUAGE.name).to_pylist()
    ids = _column(scratch, shards["ingest"], file, ID.name).to_pylist()
    texts = _column(scratch, shards["clean"], "text.arrow", TEXT.name)
    measured = read_parquet(scratch, shards["language"].path("language.parquet")).to_pylist()
    made = []
    for tag, id_, characters, own in zip(
        tags, ids, pc.utf8_length(texts).to_pylist(), measured, strict=True
    ):
        language = own[LANGUAGE.name] or UNKNOWN
        is_declared = own[LANGUAGE_BASIS.name] == DECLARED
        weak = is_declared and is_known(language, known)
        made.append(
            _Document(
                tags=tuple(declared_for(tag, of_card)),
                language=UNKNOWN if weak else language,
                is_measured=weak or not is_declared,
                characters=characters or 0,
                weight=weights.get(id_, 1.0),  # a second document of one name has another id
            )
        )
    return made


def _languages(documents: Sequence[_Document]) -> tuple[SampledLanguage, ...]:
    """Each language that is declared of a document alone, or found in one."""
    alone = {each.tags[0] for each in documents if len(each.tags) == 1}
    everywhere = {primary(tag) for each in documents for tag in each.tags}
    whole = sum(each.weight * each.characters for each in documents) or 1.0
    made = []
    for tag in alone | {each.language for each in documents}:
        own = [each for each in documents if each.tags == (tag,)]
        found = [each for each in documents if each.language == tag]
        made.append(
            SampledLanguage(
                tag=tag,
                is_contrary=primary(tag) not in everywhere and any(each.tags for each in found),
                declared=len(own),
                agreeing=sum(agree(each.language, tag) for each in own),
                found=len(found),
                unmeasured=sum(not each.is_measured for each in found),
                share=sum(each.weight * each.characters for each in found) / whole,
            )
        )
    return tuple(sorted(made, key=lambda each: (-each.share, -each.found, each.tag)))


def _absent(tags: Sequence[str], languages: Sequence[SampledLanguage]) -> tuple[str, ...]:
    met = {primary(each.tag) for each in languages if each.found}
    return tuple(tag for tag in tags if tag != UNKNOWN and primary(tag) not in met)


def _mismatches(
    documents: Sequence[_Document], languages: Sequence[SampledLanguage]
) -> Iterator[str]:
    """What is not as declared: `tag: how`."""
    for each in languages:
        if each.declared >= JUDGED and each.agreeing < AGREE * each.declared:
            share = each.agreeing / each.declared
            yield f"{each.tag}: found in {share:.0%} of the {each.declared} documents declared so"
    judged = [each for each in documents if each.tags]  # nothing declared is not contradicted
    whole = sum(each.weight for each in judged) or 1.0
    for each in languages:
        share = sum(one.weight for one in judged if one.language == each.tag) / whole
        if each.is_contrary and each.tag != UNKNOWN and share > UNDECLARED:
            yield f"{each.tag}: not declared, but {share:.0%} of the documents are in it"


def _personal(scratch: Store, shard: Shard, ledger: Sequence[Json]) -> dict[str, tuple[int, float]]:
    """Findings of each kind, and how many a MB of cleaned text."""
    size = sum(row[TEXT_BYTES.name] or 0 for row in ledger) / 1e6
    spans = _column(scratch, shard, "pii.parquet", PII_SPANS.name).to_pylist()
    kinds = Counter(span["kind"] for own in spans for span in own or ())
    return {kind: (kinds[kind], kinds[kind] / size) for kind in PII_KINDS if kinds[kind]}


def _kept_bytes(ledger: Sequence[Json]) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for row in ledger:
        if row["verdict"] == KEPT:
            sizes[row[LANGUAGE.name] or UNKNOWN] += row[TEXT_BYTES.name]
    return dict(sizes.most_common())


def _refused(job: Job, ledger: Sequence[Json]) -> set[str]:
    """Ids of documents whose licence the recipe's own policy refuses."""
    forbidden = set(load_policy(job.recipe.policy, job.workspace.policies).forbidden)
    refused = {
        text: bool(forbidden & obligations(text, job.license_refs))
        for text in {row["license"] for row in ledger}
    }
    return {row[ID.name] for row in ledger if refused[row["license"]]}


def _excerpts(
    scratch: Store, shards: Mapping[str, Shard], ledger: Sequence[Json], refused: set[str]
) -> Iterator[Excerpt]:
    """The first by id of the kept, and of the reasons that took most."""
    file = shards["ingest"].file("text-00000.arrow")
    places = Texts(
        {file.sha256: shards["clean"].ref("text.arrow")},
        {file.sha256: shards["pii"].ref("pii.parquet")},
    )
    chosen = _chosen([row for row in ledger if row["reason"] != DUPLICATE])
    masked = masked_texts(scratch, places, [(file.sha256, row["row"]) for row in chosen])
    names = _column(scratch, shards["ingest"], file.name, NATIVE_ID.name).to_pylist()
    for row in chosen:
        shown = None if row[ID.name] in refused else masked[file.sha256, row["row"]]
        yield Excerpt(
            name=names[row["row"]],
            language=row[LANGUAGE.name] or UNKNOWN,
            verdict=KEPT if row["verdict"] == KEPT else row["reason"],
            measured=row["measured"],
            value=row["value"],
            threshold=row["threshold"],
            text=None if shown is None else cut(shown),
        )


def _chosen(ledger: Sequence[Json]) -> list[Json]:
    reasons: dict[str, list[Json]] = {}
    for row in sorted(ledger, key=lambda row: row[ID.name]):
        if row["verdict"] != QUARANTINED:
            reasons.setdefault(row["reason"] or KEPT, []).append(row)
    kept = reasons.pop(KEPT, [])
    most = sorted(reasons.values(), key=len, reverse=True)[:EXCERPTS]
    return [*kept[:EXCERPTS], *(row for own in most for row in own[:EXCERPTS])]


# For the registry ---------------------------------------------------------------------------------
def measured_text(
    store: Store, registry: Registry, workspace: Workspace, card: Source, pin: Pin
) -> tuple[dict[str, float] | None, Text | None]:
    """Share of each language in a source's text as it is locked, and what is kept of it, in bytes.

    All documents are measured that a sample would be drawn from. Neither is known where the bytes
    lie on the open network, or hold no document.
    """
    if reach_of(card) not in NEAR:
        return None, None
    held = replace(registry, pins={**registry.pins, card.id: pin})
    found = sample(store, held, workspace, card, documents=None, told=lambda _: None)
    read, parts = found.splits
    is_whole = read == parts and not found.is_cut
    text = Text(found.kept_bytes, is_whole, found.repeated_bytes)
    return found.shares or None, text if found.documents else None
