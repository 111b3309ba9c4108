"""A review of a branch: what it does to the registry, told from its files as data.

It is run from a checkout of what is trusted. Of the branch it reads cards, approvals and the lock
file as git holds them, and nothing else. It fetches through the clients of package indexes alone:
a card that names a file of this machine or an address is described, and neither is opened.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from phloem.catalog.licenses import obligations, obligations_of_card, ordered
from phloem.catalog.plain import Json
from phloem.catalog.policy import PolicyError, admits, load_policy, policies
from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import FetchError
from phloem.pipeline.registry.page import part_of
from phloem.pipeline.registry.registry import Registry, params_of, reach_of, source_facts
from phloem.pipeline.review.apart import ApartError, apart
from phloem.pipeline.review.commits import APPROVALS, ENTRIES, LOCK, Branch, card_id, read_branch
from phloem.pipeline.review.comparing import taken_back
from phloem.pipeline.review.deciding import deciding, prose
from phloem.pipeline.review.differences import changes, flat, leaves
from phloem.pipeline.review.evidence import evidence_fault
from phloem.pipeline.review.pins import pin_changes
from phloem.pipeline.review.sample import job_of, sample_of
from phloem.pipeline.review.seeing import seen
from phloem.pipeline.review.tree_registry import TreeRegistry, read_tree
from phloem.pipeline.workspace import Workspace
from phloem.reports.markdown import code
from phloem.reports.registry import Coverage, Entry, natural_coverage, programming_coverage
from phloem.reports.reviewed import Breadth, CardReview, FieldChange, Review, ReviewFinding
from phloem.reports.source_sample import SourceSample
from phloem.sources.cards.source import Approval, Source, card_hash
from phloem.sources.connector import SourceError, find_connector
from phloem.sources.spending import Allowance, at_most

Told = Callable[[str], None]

SAMPLE_BYTES = 300 * 2**20  # of a card's files, as they are locked and as they come
SAMPLE_SECONDS = 600.0  # of all samples together; the forge gives a review twice as long
SAMPLE_MEMORY = 4 * 2**30  # bytes: as a run gives a task
Looked = tuple[SourceSample, tuple[str, str]]  # as `looked_at` gives it
FOUND: TypeAdapter[Looked | str] = TypeAdapter(Looked | str)
FIRST = ("license", "status", "access.connector", "personal_data", "languages", "opt_out", "access")
"""Fields whose changes are told before those of others."""


def review(folder: Path, span: str, store: Store, *, samples: int, told: Told) -> Review:
    """What a branch does to the registry.

    Args:
        folder: In a checkout of the base.
        span: `BASE..HEAD`, or `BASE...HEAD` for what happened since the two parted.
        store: Where files that are sampled are fetched to.
        samples: Cards that are sampled at most.
        told: Called with a line for a person when something is fetched.

    Raises:
        CommitError: git knows no such commits.
    """
    branch = read_branch(folder, span)
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        # Both are held to the keys of the base: who may sign is not for the branch to say.
        base = read_tree(branch.base, branch.base.signers, Path(name) / "base")
        head = read_tree(branch.head, branch.base.signers, Path(name) / "head")
        touched = sorted(_touched(branch, base, head))
        cards = [_card_review(source, base, head) for source in touched]
        broken = {card.id for card in cards if card.broken}
        languages, notes = _breadth(base.registry, _without(head.registry, broken))
        cards = list(_sampled(cards, base, head, store, samples, told))
    seen_for_itself = [*taken_back(cards, base, head), *seen(cards, base, head)]
    return Review(
        base=branch.base.commit,
        head=branch.head.commit,
        decides=tuple(deciding(branch, base, head, _confirmed(cards, seen_for_itself))),
        cards=tuple(cards),
        findings=(*seen_for_itself, *_findings(base, head, touched)),
        languages=languages,
        notes=notes,
        prose=prose(branch),
    )


def _touched(branch: Branch, base: TreeRegistry, head: TreeRegistry) -> set[str]:
    """Ids of cards whose file, approval or lock entry differs."""
    files = {card_id(change.path) for change in branch.changes} - {None}
    if (
        base.locked is None or head.locked is None
    ):  # what cannot be read differs in all, which says nothing
        return {source for source in files if source}
    before, after = (
        {source: (entry.pin, entry.languages) for source, entry in locked.items()}
        for locked in (base.locked, head.locked)
    )
    locked = {source for source in {*before, *after} if before.get(source) != after.get(source)}
    return {source for source in files if source} | {
        source for source in locked | {*head.unsafe} if f"{ENTRIES}{source}.yaml" in head.files
    }


def _confirmed(cards: Sequence[CardReview], found: Sequence[ReviewFinding]) -> set[str]:
    """Ids of cards whose lock entry the review has fetched and measured, as it says."""
    wrong = {each.field for each in found if each.file == LOCK}
    return {card.id for card in cards if card.sample and card.id not in wrong}


def _without(registry: Registry, sources: Collection[str]) -> Registry:
    cards = {name: card for name, card in registry.cards.items() if name not in sources}
    return replace(registry, cards=cards)


def _findings(
    base: TreeRegistry, head: TreeRegistry, touched: Collection[str]
) -> Iterator[ReviewFinding]:
    """All of the files that the branch touches, and those of others that are new."""
    own = {f"{place}{source}.yaml" for place in (ENTRIES, APPROVALS) for source in touched}
    known = set(base.findings)
    for each in head.findings:
        if each.file in own or each not in known:
            where = (each.file, each.field)
            yield ReviewFinding(each.rule, each.kind == "error", *where, each.message, each.fix)


# One card -----------------------------------------------------------------------------------------
def _card_review(source: str, base: TreeRegistry, head: TreeRegistry) -> CardReview:
    """What a branch does to a card, but for its sample; a card that breaks that says so."""
    path = f"{ENTRIES}{source}.yaml"
    what = "added" if path not in base.files else "removed" if path not in head.files else "changed"
    before, after = base.registry.cards.get(source), head.registry.cards.get(source)
    try:
        if after is not None:
            return _described(after, before, what, base, head)
    except Exception as error:  # noqa: BLE001 - a card that breaks the review breaks its own line
        return CardReview(source, what, f"it broke the review: {type(error).__name__}")
    if what != "removed":
        ended = head.broken.get(source)
        return CardReview(
            source, what, f"it ended a rule: {ended}" if ended else "it cannot be read"
        )
    name, summary = (before.name, before.summary) if before else ("", "")
    return CardReview(source, what, name=name, summary=summary, approval="none")


def _described(
    after: Source, before: Source | None, what: str, base: TreeRegistry, head: TreeRegistry
) -> CardReview:
    source = after.id
    refs = head.registry.license_refs
    asked = _obligations(after, refs)
    once = _obligations(before, base.registry.license_refs) if before else frozenset()
    return CardReview(
        id=source,
        what=what,
        name=after.name,
        summary=after.summary,
        facts=() if before else tuple(_facts(after)),
        changes=tuple(_all_changes(source, before, after, base, head)),
        asked=ordered(asked),
        more=ordered(asked - once) if before else (),
        less=ordered(once - asked),
        members=tuple(sorted(_members(after.access.params))),
        policies=tuple(_policies(after, head.registry)),
        approval=_approval(after, head.registry),
    )


def _all_changes(
    source: str, before: Source | None, after: Source, base: TreeRegistry, head: TreeRegistry
) -> list[FieldChange]:
    """Of the lock entry and the card: hosts and what decides first, single locked files last."""
    of_pin = list(pin_changes(base.registry.pins.get(source), head.registry.pins.get(source)))
    of_card = list(changes(flat(before), flat(after))) if before else []
    files = [each for each in of_pin if each.field.startswith("locked file ")]
    return [
        *_approval_change(base.registry.approvals.get(source), head.registry.approvals.get(source)),
        *(each for each in of_pin if each not in files),
        *sorted(of_card, key=lambda each: _weight(each.field)),
        *files,
    ]


def _approval_change(before: Approval | None, after: Approval | None) -> Iterator[FieldChange]:
    if before != after:
        old, new = (
            f"{each.signed_by}, as {each.role} on {each.date}: {each.basis}" if each else None
            for each in (before, after)
        )
        yield FieldChange("approval", old, new)


def _weight(field: str) -> int:
    beginnings = (place for place, name in enumerate(FIRST) if field.startswith(name))
    return next(beginnings, len(FIRST))


def _obligations(card: Source, refs: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """What the licences of a card and of its members ask."""
    found = obligations_of_card(card.license.whole, card.license.restrictions.model_dump(), refs)
    for expression in _members(card.access.params):
        found |= obligations(expression, refs)
    return found


def _members(value: Json) -> set[str]:
    """The licences that a connector's parameters name."""
    if isinstance(value, dict):
        own = {value["license"]} if isinstance(value.get("license"), str) else set()
        return own.union(*(_members(each) for each in value.values()))
    return set()


def _facts(card: Source) -> Iterator[tuple[str, str]]:
    yield "Kind", card.kind
    yield "Status", f"{card.status}: {card.reason}" if card.reason else card.status
    yield "Languages", ", ".join(card.languages)
    yield "Licence", card.license.spdx
    if card.license.evidence:
        yield "Evidence", card.license.evidence
        yield "Read in", card.license.place or "nowhere"
    yield "Homepage", card.homepage
    yield "Connector", card.access.connector
    for name, value in leaves("", card.access.model_dump(mode="json")["params"]):
        for each in value if isinstance(value, list) else [value]:
            yield f"Parameter {code(name)}", str(each)
    yield "Custodian", card.custodian
    note = card.personal_data.note
    yield "Personal data", card.personal_data.level + (f": {note}" if note else "")
    if card.limits:
        yield "Limits", card.limits


def _policies(card: Source, registry: Registry) -> Iterator[tuple[str, str]]:
    facts = source_facts(card, registry)
    for name in policies():
        try:
            reasons = admits(load_policy(name), facts, registry.license_refs)
        except PolicyError:
            continue  # the project's own are held to their shape by its tests
        yield name, "; ".join(reasons)


def _approval(card: Source, registry: Registry) -> str:
    """Whether an approval binds, in words of ours with values as code."""
    approval = registry.approvals.get(card.id)
    if approval is None:
        return "none; policies that ask for one do not read it"
    who = f"{code(approval.role)} on {approval.date}"
    if approval.card != card_hash(card):
        return f"of another state of the card, by {who}: **it does not bind**"
    source = source_facts(card, registry)
    facts = source["approval"]
    if not facts["verified"]:
        return f"by {who}, and **its signature does not count**: {code(facts['fault'])}"
    if approval.pin and approval.pin != source["pin"]:
        return f"of the card, but of another lock entry, by {who}: **the new one is not approved**"
    return f"it binds, signed by {code(facts['by'])} as {who}"


# Breadth ------------------------------------------------------------------------------------------
def _breadth(before: Registry, after: Registry) -> tuple[tuple[Breadth, ...], tuple[str, ...]]:
    """The languages of BLOOM whose number of active cards differs, or a note why nobody can say."""
    try:
        both = list(zip(_coverage(before), _coverage(after), strict=True))
    except Exception as error:  # noqa: BLE001 - what a card does to the count stops no review
        return (), (f"its languages cannot be counted: {type(error).__name__}",)
    differing = [(old, new) for old, new in both if old.active != new.active]
    return tuple(Breadth(new.tag, new.name, old.active, new.active) for old, new in differing), ()


def _coverage(registry: Registry) -> list[Coverage]:
    entries = [
        Entry(card=card.model_dump(mode="json"), part=part_of(card))
        for card in registry.cards.values()
    ]
    return [*natural_coverage(entries), *programming_coverage(entries)]


# Samples ------------------------------------------------------------------------------------------
def _sampled(
    cards: Sequence[CardReview],
    base: TreeRegistry,
    head: TreeRegistry,
    store: Store,
    samples: int,
    told: Told,
) -> Iterator[CardReview]:
    """The cards, with a sample of as many as may have one."""
    ends, left = time.monotonic() + SAMPLE_SECONDS, samples
    for each in cards:
        card = head.registry.cards.get(each.id)
        if card is None or each.broken:
            yield each
            continue
        try:
            why = _no_sample(card, base, head)
        except Exception as error:  # noqa: BLE001 - as above
            yield replace(each, broken=f"it broke the review: {type(error).__name__}")
            continue
        if not why and (not left or time.monotonic() > ends):
            why = "other cards of the branch have used the time for it"
        if why:
            yield replace(each, why_no_sample=why)
            continue
        seconds = (ends - time.monotonic()) / left  # a slow one leaves the others their share
        left -= 1
        yield _with_sample(each, card, head.registry, store, told, seconds)


def _with_sample(
    review: CardReview, card: Source, registry: Registry, store: Store, told: Told, seconds: float
) -> CardReview:
    """A card with its sample, or why there is none: a process of its own reads what is hostile."""
    # Rewrites and rules of a card take patterns and numbers of its own; those of the recipe do.
    plain = card.model_copy(update={"clean": (), "keep": ()})

    def made() -> Looked | str:
        try:
            with at_most(Allowance(SAMPLE_BYTES, seconds)):
                return looked_at(store, registry, plain, told)
        except (FetchError, SourceError, OSError) as error:
            return str(error)

    try:
        found = apart(made, FOUND, seconds=seconds, memory=SAMPLE_MEMORY)
    except ApartError as error:
        return replace(review, broken=f"its sample {error}", failed=str(error))
    if isinstance(found, str):
        return replace(
            review, why_no_sample=f"its files cannot be had: {code(found)}", failed=found
        )
    made_of_it, (evidence, unseen) = found
    return replace(review, sample=made_of_it, evidence=evidence, unseen=unseen)


def looked_at(store: Store, registry: Registry, card: Source, told: Told) -> Looked:
    """A sample of a card, and what is wrong with its evidence by the same files."""
    job = job_of(store, registry, Workspace(), card, told)
    return sample_of(store, job), evidence_fault(store, job.readings[0])


def _no_sample(card: Source, base: TreeRegistry, head: TreeRegistry) -> str:
    """Why a card is not sampled; empty if it is to be."""
    if reach_of(card) != "index":
        return "only what package indexes serve is fetched for a review"
    if card.id in head.unsafe:
        return "its lock entry is none that a machine wrote"
    pin = head.registry.pins.get(card.id)
    if pin is None:
        return "it is not locked"
    if _is_as_before(card, base, head):
        return "what is read is as before"
    size = sum(file.bytes for file in pin.files)
    if size > SAMPLE_BYTES:
        return f"its files have {size / 1e6:,.0f} MB"
    connector = find_connector(card.access.connector)
    absent = connector.unavailable(params_of(connector, card))
    return "the client that fetches it is not on this machine" if absent else ""


def _is_as_before(card: Source, base: TreeRegistry, head: TreeRegistry) -> bool:
    before = base.registry.cards.get(card.id)
    old, new = ((tree.locked or {}).get(card.id) for tree in (base, head))
    same_lock = (
        old is not None and new is not None and (old.pin, old.languages) == (new.pin, new.languages)
    )
    # Another quote, or another place of it, is looked for in the same bytes.
    return before is not None and same_lock and _read(before) == _read(card)


def _read(card: Source) -> tuple[Json, ...]:
    return (card.access, card.languages, card.license.evidence, card.license.place)
