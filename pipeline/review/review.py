"""A review of a branch: what it does to the registry, told from its files as data.

It is run from a checkout of what is trusted. Of the branch it reads cards, approvals and the lock
file as git holds them, and nothing else. It fetches through the clients of package indexes alone:
a card that names a file of this machine or an address is described, and neither is opened.
"""

from __future__ import annotations

import difflib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from phloem.catalog.licenses import obligations, obligations_of_card, ordered
from phloem.catalog.plain import Json
from phloem.catalog.policy import PolicyError, admits, load_policy, policies
from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import FetchError
from phloem.pipeline.registry.page import part_of
from phloem.pipeline.registry.registry import Registry, params_of, reach_of, source_facts
from phloem.pipeline.review.commits import APPROVALS, ENTRIES, LOCK, Branch, read_branch
from phloem.pipeline.review.pins import pin_changes
from phloem.pipeline.review.sample import sample
from phloem.pipeline.review.tree_registry import TreeRegistry, read_tree
from phloem.pipeline.workspace import Workspace
from phloem.reports.markdown import code, codes
from phloem.reports.registry import Coverage, Entry, natural_coverage, programming_coverage
from phloem.reports.review import Breadth, CardReview, FieldChange, Review, ReviewFinding
from phloem.reports.source_sample import SourceSample
from phloem.sources.cards.source import Source, card_hash
from phloem.sources.connector import SourceError, find_connector

Told = Callable[[str], None]

SAMPLE_BYTES = 300 * 2**20  # of a card's files as they are locked
SAMPLE_SECONDS = 600.0  # after which no further sample is begun
SHORT = 80  # characters up to which a value is shown whole
WORDS = 3_000  # of a prose beyond which its difference is not worked out
AROUND = 4  # words that are shown around a difference
HUNKS = 3  # differences of a prose that are shown

WATCHED = (
    "sources/licenses.yaml",
    "sources/watchlist.yaml",
    "catalog/policies/",
    "sources/bundled/",
    ".github/",
)


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
        touched = _touched(branch, base, head)
        cards = [_card_review(source, base, head) for source in sorted(touched)]
        cards = list(_sampled(cards, base, head, store, samples, told))
    return Review(
        base=branch.base.commit,
        head=branch.head.commit,
        cards=tuple(cards),
        findings=tuple(_findings(branch, base, head, touched)),
        languages=tuple(_breadth(base.registry, head.registry)),
        notes=tuple(_notes(branch)),
        elsewhere=branch.elsewhere,
    )


def _touched(branch: Branch, base: TreeRegistry, head: TreeRegistry) -> set[str]:
    """Ids of cards whose file, approval or lock entry differs."""
    before, after = branch.base.files, branch.head.files
    files = {
        path.rpartition("/")[2].removesuffix(".yaml")
        for path in before.keys() | after.keys()
        if path != LOCK and _id(before, path) != _id(after, path)
    }
    old, new = base.registry.pins, head.registry.pins
    locked = {source for source in old.keys() | new.keys() if old.get(source) != new.get(source)}
    return files | {source for source in locked if source in head.registry.cards}


def _id(files: Mapping[str, Any], path: str) -> str | None:
    return files[path].id if path in files else None


def _findings(
    branch: Branch, base: TreeRegistry, head: TreeRegistry, touched: set[str]
) -> Iterator[ReviewFinding]:
    """All of the files that the branch touches, and those of others that are new."""
    own = {f"{place}{source}.yaml" for place in (ENTRIES, APPROVALS) for source in touched}
    known = set(base.findings)
    for each in head.findings:
        if each.file in own or each not in known:
            where = (each.file, each.field)
            yield ReviewFinding(each.rule, each.kind == "error", *where, each.message, each.fix)
    if branch.base.signers != branch.head.signers:
        yield ReviewFinding(
            "S030",
            is_error=False,
            file=f"{APPROVALS}allowed_signers",
            field="file",
            message="who may sign is changed; this review went by the keys of the base",
            fix="a change of keys is a pull request of its own, approved by whoever keeps them",
        )


def _notes(branch: Branch) -> Iterator[str]:
    watched = [path for path in branch.elsewhere if path.startswith(WATCHED)]
    if watched:
        yield f"it also changes what decides about sources or runs reviews: {codes(watched)}"


# One card -----------------------------------------------------------------------------------------
def _card_review(source: str, base: TreeRegistry, head: TreeRegistry) -> CardReview:
    """What a branch does to a card, but for its sample."""
    before, after = base.registry.cards.get(source), head.registry.cards.get(source)
    path = f"{ENTRIES}{source}.yaml"
    what = "added" if path not in base.files else "removed" if path not in head.files else "changed"
    if after is None:
        name = before.name if before else ""
        why = "the card cannot be read" if path in head.files else ""
        summary = before.summary if before else ""
        return CardReview(source, what, name, summary, approval="none", why_no_sample=why)
    refs = head.registry.license_refs
    asked = _obligations(after, refs)
    once = _obligations(before, base.registry.license_refs) if before else frozenset()
    return CardReview(
        id=source,
        what=what,
        name=after.name,
        summary=after.summary,
        facts=() if before else tuple(_facts(after)),
        changes=(
            *pin_changes(base.registry.pins.get(source), head.registry.pins.get(source)),
            *(changes(_flat(before), _flat(after)) if before else ()),
        ),
        asked=ordered(asked),
        more=ordered(asked - once) if before else (),
        less=ordered(once - asked),
        members=tuple(sorted(_members(after.access.params))),
        policies=tuple(_policies(after, head.registry)),
        approval=_approval(after, head.registry),
    )


def _obligations(card: Source, refs: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """What the licences of a card and of its members ask."""
    found = obligations_of_card(card.license.spdx, card.license.restrictions.model_dump(), refs)
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
    yield "Parameters", ", ".join(f"{name}: {value}" for name, value in card.access.params.items())
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


# Differences --------------------------------------------------------------------------------------
def _flat(card: Source) -> dict[str, Json]:
    """A card's fields by dotted name; lists of plain values stay lists."""
    return dict(_leaves("", card.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)))


def _leaves(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for number, inner in enumerate(value):
            yield from _leaves(f"{name}.{number}", inner)
    else:
        yield name, value


def changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[FieldChange]:
    """What differs, field by field: lists by their members, prose by its words."""
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            yield FieldChange(name, _without(old, new), _without(new, old))
        elif isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > SHORT:
            yield from _prose(name, old, new)
        else:
            yield FieldChange(name, _text(old), _text(new))


def _without(values: Sequence[Json], others: Sequence[Json]) -> str | None:
    left = [str(value) for value in values if value not in others]
    return ", ".join(left) or None


def _text(value: Json) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None else str(value)


def _prose(name: str, old: str, new: str) -> Iterator[FieldChange]:
    """The words that differ, with a few around them."""
    left, right = old.split(), new.split()
    if max(len(left), len(right)) > WORDS:
        yield FieldChange(name, f"{len(left)} words", f"{len(right)} words")
        return
    matcher = difflib.SequenceMatcher(None, left, right)
    groups = list(matcher.get_grouped_opcodes(AROUND))
    for group in groups[:HUNKS]:
        (_, i, _, j, _), (_, _, i_end, _, j_end) = group[0], group[-1]
        yield FieldChange(name, _piece(left, i, i_end), _piece(right, j, j_end))
    if len(groups) > HUNKS:
        yield FieldChange(name, None, f"and {len(groups) - HUNKS} more places")


def _piece(words: Sequence[str], start: int, end: int) -> str:
    head, tail = "… " if start else "", " …" if end < len(words) else ""
    return f"{head}{' '.join(words[start:end])}{tail}"


# Breadth ------------------------------------------------------------------------------------------
def _breadth(before: Registry, after: Registry) -> Iterator[Breadth]:
    """The languages of BLOOM whose number of active cards differs."""
    for old, new in zip(_coverage(before), _coverage(after), strict=True):
        if old.active != new.active:
            yield Breadth(new.tag, new.name, old.active, new.active)


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
        if card is None:
            yield each
            continue
        why = _no_sample(card, base, head)
        if not why and (not left or time.monotonic() > ends):
            why = "other cards of the branch have used the time for it"
        if why:
            yield replace(each, why_no_sample=why)
            continue
        left -= 1
        made = _sample(card, head.registry, store, told)
        if isinstance(made, SourceSample):
            yield replace(each, sample=made)
        else:
            yield replace(each, why_no_sample=made)


def _sample(card: Source, registry: Registry, store: Store, told: Told) -> SourceSample | str:
    # Rewrites and rules of a card take patterns and numbers of its own; those of the recipe do.
    plain = card.model_copy(update={"clean": (), "keep": ()})
    try:
        return sample(store, registry, Workspace(), plain, told=told)
    except (FetchError, SourceError, OSError) as error:
        return f"its files cannot be had: {code(error)}"
    except Exception as error:  # noqa: BLE001 - a card that breaks a reader is told, not obeyed
        return f"reading it failed: {type(error).__name__}"


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
    same_bytes = base.registry.pins.get(card.id) == head.registry.pins.get(card.id)
    return (
        before is not None
        and same_bytes
        and (before.access, before.languages) == (card.access, card.languages)
    )
