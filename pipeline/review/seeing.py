"""What was seen of a card's documents that its reviewer must see: each a line of the verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from phloem.catalog.ledger import KEPT
from phloem.pipeline.review.commits import ENTRIES, LOCK
from phloem.pipeline.review.tree_registry import TreeRegistry
from phloem.reports.reviewed import CardReview, ReviewFinding
from phloem.reports.source_sample import SourceSample

SHARE_OFF = 0.1  # of a source's text; a sample of other documents may differ by as much
UNREAD = 0.3  # of its records; more that give no document must be known
TWICE = 0.3  # of a sample; more near duplicates must be known
ELSEWHERE = 0.5  # of a sample; as much that another source has is that source

_TOLD = re.compile(r"\bdocuments?\b|\bkept\b|\bdropped\b|\bduplicates?\b", re.IGNORECASE)


def seen(
    cards: Sequence[CardReview], base: TreeRegistry, head: TreeRegistry
) -> Iterator[ReviewFinding]:
    """What the samples show that cards and lock entries do not say, or say otherwise."""
    for card in cards:
        file = f"{ENTRIES}{card.id}.yaml"
        if card.failed:
            fix = "lock it again as it is served, and run the review again"
            yield ReviewFinding("R03", True, file, "access", f"sample failed: {card.failed}", fix)
        if card.evidence:
            fix = "quote what stands there, and name the file in license.place"
            yield ReviewFinding("R04", True, file, "license.evidence", card.evidence, fix)
        if card.unseen:
            fix = "look for it by hand"
            yield ReviewFinding("R04", False, file, "license.evidence", card.unseen, fix)
        if card.sample:
            known = head.registry.cards[card.id]
            yield from _of_sample(file, card.sample, known.limits or "")
    yield from _of_languages(cards, base, head)


def _of_sample(file: str, sample: SourceSample, limits: str) -> Iterator[ReviewFinding]:
    for each in sample.mismatches:
        fix = "declare what its documents are in, or take others"
        yield ReviewFinding("R01", True, file, "languages", each, fix)
    is_told = _TOLD.search(limits) is not None
    kept, mend = sample.verdicts.get(KEPT, 0), "mend what is read, or say so in limits"
    if not sample.documents:
        yield ReviewFinding("R02", True, file, "access", "no document can be read of it", mend)
    elif not kept:
        why = ", ".join(f"{name} {number}" for name, number in sample.verdicts.items())
        message = f"nothing is kept of {_documents(sample.documents)}: {why or 'duplicates'}"
        yield ReviewFinding("R02", not is_told, file, "access", message, mend)
    unread = sum(sample.faults.values())
    if unread > UNREAD * (unread + sample.read):
        message = f"{unread} records give no document, and {_documents(sample.read)} can be read"
        yield ReviewFinding("R13", False, file, "access", message, mend)
    if sample.duplicates > TWICE * sample.documents and not is_told:
        message = f"{sample.duplicates} of {_documents(sample.documents)} are near duplicates"
        alike = f"clean: [drop_frequent_lines] if lines make its pages alike; else {mend}"
        yield ReviewFinding("R13", False, file, "access", message, alike)
    for other, number in sample.elsewhere.items():
        if number >= ELSEWHERE * sample.documents:
            message = f"{number} of {_documents(sample.documents)} are nearly those of {other}"
            yield ReviewFinding("R14", True, file, "access", message, "take what is not there yet")


def _documents(number: int) -> str:
    return f"{number} document{'' if number == 1 else 's'}"


def _of_languages(
    cards: Sequence[CardReview], base: TreeRegistry, head: TreeRegistry
) -> Iterator[ReviewFinding]:
    """Shares of languages in the lock that a sample, or the same version before, contradicts."""
    samples = {card.id: card.sample for card in cards if card.sample}
    fix = "`phloem sources lock ID` measures them"
    for source, entry in (head.locked or {}).items():
        sample, old = samples.get(source), (base.locked or {}).get(source)
        if entry.languages is None:
            continue
        if sample and sample.documents:
            if not agree(entry.languages, sample.shares):
                message = f"{_shares(entry.languages)} are locked, {_shares(sample.shares)} found"
                yield ReviewFinding("R05", True, LOCK, source, message, fix)
        elif (
            old
            and old.languages is not None
            and old.pin.version == entry.pin.version
            and not agree(entry.languages, old.languages)
        ):
            message = (
                f"under the same version {entry.pin.version}, its languages were"
                f" {_shares(old.languages)} and are {_shares(entry.languages)}"
            )
            yield ReviewFinding("R05", True, LOCK, source, message, fix)


def agree(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two measured the same shares, as nearly as samples do."""
    tags = {*one, *other}
    return all(abs(one.get(tag, 0.0) - other.get(tag, 0.0)) <= SHARE_OFF for tag in tags)


def _shares(shares: Mapping[str, float]) -> str:
    most = sorted(shares.items(), key=lambda each: (-each[1], each[0]))[:3]
    return ", ".join(f"{tag} {share:.1%}" for tag, share in most) or "no languages"
