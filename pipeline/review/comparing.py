"""What a branch takes back of what a card or its lock entry said: each a line of the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from phloem.pipeline.review.commits import APPROVALS, ENTRIES, LOCK
from phloem.pipeline.review.tree_registry import TreeRegistry
from phloem.reports.reviewed import CardReview, ReviewFinding
from phloem.sources.cards.lock import Entry
from phloem.sources.cards.reads import address, alike, hosts, shared
from phloem.sources.cards.source import Source

LEVELS = ("none", "incidental", "personal")
SPECIAL = ("none", "incidental", "present")
SHORTER = 0.5  # of the length of its limits; less of them is left is told


def taken_back(
    cards: Sequence[CardReview], base: TreeRegistry, head: TreeRegistry
) -> Iterator[ReviewFinding]:
    """What the branch takes back, card by card.

    Args:
        cards: That it touches.
        base: The registry before.
        head: The registry after.
    """
    before, after = base.registry.cards, head.registry.cards
    new = [after[card.id] for card in cards if card.what == "added" and card.id in after]
    for card in cards:
        once, now = before.get(card.id), after.get(card.id)
        if card.what == "removed":
            yield _removed(card.id, once, new)
        elif once and now:
            yield from _of_licence(card)
            yield from _of_card(once, now)
        if card.id in base.registry.approvals and card.id not in head.registry.approvals:
            file, told = f"{APPROVALS}{card.id}.yaml", "the approval of the card is taken away"
            yield _error("R10", file, "approval", told, "restore it, or say who took it back")
    yield from _of_lock(base, head)


def _error(rule: str, file: str, field: str, message: str, fix: str) -> ReviewFinding:
    return ReviewFinding(rule, True, file, field, message, fix)


def _hint(rule: str, file: str, field: str, message: str, fix: str) -> ReviewFinding:
    return ReviewFinding(rule, False, file, field, message, fix)


def _removed(source: str, once: Source | None, new: Sequence[Source]) -> ReviewFinding:
    other = next((each.id for each in new if once and _is_same(once, each)), None)
    message = f"the card is taken away{f', and is there again as {other}' if other else ''}"
    fix = "withdraw it: reports and releases go on naming it, and an id is never used again"
    return _error("R09", f"{ENTRIES}{source}.yaml", "id", message, fix)


def _is_same(one: Source, other: Source) -> bool:
    """Whether a card is another one under a new id: it has its name, its home or its files."""
    return (
        alike(one.name) == alike(other.name)
        or address(one.homepage) == address(other.homepage)
        or any(shared([one, other]))
    )


def _of_licence(card: CardReview) -> Iterator[ReviewFinding]:
    if card.less:
        message = f"asks less than before: no longer {', '.join(card.less)}"
        fix = "show the terms that changed, with a new quote and date; a maintainer agrees to it"
        yield _error("R06", f"{ENTRIES}{card.id}.yaml", "license", message, fix)


def _of_card(once: Source, now: Source) -> Iterator[ReviewFinding]:
    """What a card says less of than it did."""
    file = f"{ENTRIES}{now.id}.yaml"
    data, was = now.personal_data, once.personal_data
    levels: list[tuple[str, str, str, Sequence[str]]] = [
        ("level", was.level, data.level, LEVELS),
        ("special", was.special, data.special, SPECIAL),
    ]
    for field, old, new, order in levels:
        if old in order and (new not in order or order.index(new) < order.index(old)):
            message = f"{old} before, {new} now"
            fix = "say in the note what was looked at, and have a maintainer agree"
            yield _error("R07", file, f"personal_data.{field}", message, fix)
    for field, text, left in (
        ("limits", once.limits or "", now.limits or ""),
        ("risks", once.risks or "", now.risks or ""),
    ):
        if len(left) < SHORTER * len(text):
            message = f"{len(text)} characters before, {len(left)} now"
            fix = "keep what a reader should beware of"
            yield _error("R08", file, field, message, fix)
    said = {(each.protocol, each.place) for each in now.opt_out}
    for each in once.opt_out:
        if each.verdict == "deny" and (each.protocol, each.place) not in said:
            message = f"that {each.protocol} said deny on {each.seen_on} is taken away"
            yield _error("R08", file, "opt_out", message, "keep it, and add what was seen since")
    yield from _of_status(once, now, file)
    for field, before, after in (
        ("homepage", once.homepage, now.homepage),
        ("license.url", once.license.url, now.license.url),
        ("license.place", once.license.place, now.license.place),
    ):
        gone, come = hosts(before or ""), hosts(after or "")
        if gone and come - gone:
            message = f"{', '.join(sorted(gone))} before, {', '.join(sorted(come))} now"
            yield _hint("R11", file, field, message, "show that the provider moved there")


def _of_status(once: Source, now: Source, file: str) -> Iterator[ReviewFinding]:
    if once.status not in ("withdrawn", "paused") or now.status in ("withdrawn", once.status):
        return
    old, new = once.license.checked_on, now.license.checked_on
    message = f"{once.status} before: {once.reason or 'nobody said why'}"
    fix = "read the terms again, and say when in license.checked_on"
    is_read = new is not None and (old is None or new > old)
    make = _hint if is_read else _error
    yield make("R12", file, "status", message, fix)


def _of_lock(base: TreeRegistry, head: TreeRegistry) -> Iterator[ReviewFinding]:
    """Entries that say otherwise of what they say is the same version."""
    cards: Mapping[str, Source] = base.registry.cards
    for source, entry in (head.locked or {}).items():
        old = (base.locked or {}).get(source)
        if old is None or old.pin.version != entry.pin.version:
            continue
        once, now = cards.get(source), head.registry.cards.get(source)
        is_same_card = once is None or now is None or once.access == now.access
        told = list(_files(old, entry, is_same_card=is_same_card))
        fix = "`phloem sources lock ID` writes what is served; look at who serves other bytes"
        if told:
            more = f"; and {len(told) - 1} more files" if len(told) > 1 else ""
            message = f"under the same version {entry.pin.version}, {told[0]}{more}"
            yield _error("R05", LOCK, source, message, fix)


def _files(old: Entry, new: Entry, *, is_same_card: bool) -> Iterator[str]:
    """What differs in the files of two entries of one version."""
    were, are = ({file.name: file for file in entry.pin.files} for entry in (old, new))
    for name in sorted({*were} & {*are}):
        one, other = were[name], are[name]
        if one.sha256 != other.sha256:
            yield f"the sha256 of {name} was {one.sha256[:12]}… and is {other.sha256[:12]}…"
        elif one.bytes != other.bytes:
            yield f"{name} had {one.bytes:,} bytes and has {other.bytes:,}"
        elif one.url != other.url:
            yield f"{name} was at {one.url or 'its index'} and is at {other.url or 'its index'}"
    if is_same_card:  # another card may take other files of the version
        yield from (f"{name} is there no more" for name in sorted({*were} - {*are}))
        yield from (f"{name} is new" for name in sorted({*are} - {*were}))
