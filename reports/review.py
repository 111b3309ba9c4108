"""The review of a branch that changes the registry, as one Markdown comment: the verdict first.

Whatever stands in a card is code in the comment: it links nowhere, mentions nobody, and ends where
it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phloem.reports.markdown import code, codes
from phloem.reports.numerals import count
from phloem.reports.source_sample import SourceSample
from phloem.reports.source_sample import markdown as sample_markdown

MARK = "<!-- phloem-registry-review -->"
"""First line of every review: by it, the next one of the same branch takes its place."""

MOST_CHARACTERS = 60_000  # GitHub takes 65,536 of a comment
SHOWN_FINDINGS = 50
SHOWN_PATHS = 10
SHOWN_CHANGES = 40  # of one card


@dataclass(frozen=True)
class ReviewFinding:
    """What a rule found.

    Attributes:
        rule: Its number.
        is_error: Whether it stops a merge.
        file: Path in the repository.
        field: Where in it.
        message: What is wrong.
        fix: What to do.
    """

    rule: str
    is_error: bool
    file: str
    field: str
    message: str
    fix: str


@dataclass(frozen=True)
class FieldChange:
    """A field of a card that says something else; None where it said or says nothing."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class CardReview:
    """One card that a branch adds, changes or removes.

    Attributes:
        id: Its id.
        what: ``added``, ``changed`` or ``removed``.
        name: As the card says; empty if nobody can tell.
        summary: The same.
        facts: (what, value) of a card that is new.
        changes: Of one that was there.
        asked: Obligations of its licence.
        more: Those of them that it did not ask before.
        less: Those that it asks no longer.
        members: SPDX expressions of its members.
        policies: (name, why it does not read the source; empty if it does).
        approval: Whether one binds, in words of ours.
        sample: Measured in its documents.
        why_no_sample: In words of ours.
    """

    id: str
    what: str
    name: str = ""
    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    changes: tuple[FieldChange, ...] = ()
    asked: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    policies: tuple[tuple[str, str], ...] = ()
    approval: str = ""
    sample: SourceSample | None = None
    why_no_sample: str = ""


@dataclass(frozen=True)
class Breadth:
    """Active cards in one language of BLOOM, before and after."""

    tag: str
    name: str
    before: int
    after: int


@dataclass(frozen=True)
class Review:
    """What a branch does to the registry.

    Attributes:
        base: Commit before.
        head: Commit after.
        cards: That it touches, by id.
        findings: Of the files that it touches, and new ones of others.
        languages: Of BLOOM, where it changes the number of active cards.
        notes: What a reviewer should know besides, in words of ours with values as code.
        elsewhere: Other files that it changes.
    """

    base: str
    head: str
    cards: tuple[CardReview, ...] = ()
    findings: tuple[ReviewFinding, ...] = ()
    languages: tuple[Breadth, ...] = ()
    notes: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def errors(self) -> int:
        """Findings that stop a merge."""
        return sum(finding.is_error for finding in self.findings)


def comment(review: Review) -> str:
    """The whole comment, never longer than a forge takes; it ends with a line feed."""
    kept = [MARK, "\n".join(_verdict(review)), "\n".join(_findings(review.findings))]
    parts = [
        "\n".join(_languages(review.languages)),
        *("\n".join(_card(card)) for card in review.cards),
        *(sample_markdown(card.sample) for card in review.cards if card.sample),
        "\n".join(_elsewhere(review.elsewhere)),
    ]
    foot = f"<sub>{code(review.base[:12])} to {code(review.head[:12])}</sub>"
    left_out = 0
    size = sum(map(len, kept)) + len(foot)
    for part in filter(None, parts):
        if size + len(part) > MOST_CHARACTERS:
            left_out += 1
            continue
        kept.append(part)
        size += len(part) + 2
    if left_out:
        kept.append(f"{count(left_out)} more parts are left out: `phloem sources review` has all.")
    return "\n\n".join([part for part in kept if part] + [foot]) + "\n"


def _verdict(review: Review) -> Iterator[str]:
    errors, hints = review.errors, len(review.findings) - review.errors
    if errors:
        said = f"{_many(errors, 'error')} to mend"
    elif hints:
        said = f"no error, {_many(hints, 'hint')}"
    else:
        said = "nothing to mend"
    yield f"## Registry review: {said}"
    yield ""
    changed = {what: [c.id for c in review.cards if c.what == what] for what in _WORDS}
    told = [f"{word} {codes(changed[what])}" for what, word in _WORDS.items() if changed[what]]
    yield f"Cards: {'; '.join(told)}." if told else "No card is changed."
    wrong = [card for card in review.cards if card.sample and card.sample.mismatches]
    if wrong:
        yield ""
        yield f"**Languages not as declared:** {codes(card.id for card in wrong)}."
    for note in review.notes:
        yield ""
        yield f"**Look:** {note}"


_WORDS = {"added": "new", "changed": "changed", "removed": "removed"}


def _many(number: int, word: str) -> str:
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def _findings(found: Sequence[ReviewFinding]) -> Iterator[str]:
    if not found:
        return
    yield "### What the rules find"
    yield ""
    for each in sorted(found, key=lambda each: not each.is_error)[:SHOWN_FINDINGS]:
        kind = "**error**" if each.is_error else "hint"
        yield (
            f"- {each.rule} {kind} in {code(each.file)}, {code(each.field)}: {code(each.message)}."
            f" To do: {each.fix}."
        )
    if len(found) > SHOWN_FINDINGS:
        yield f"- and {count(len(found) - SHOWN_FINDINGS)} more"


def _languages(reaches: Sequence[Breadth]) -> Iterator[str]:
    if not reaches:
        return
    yield "### Languages of BLOOM"
    yield ""
    for each in reaches:
        new = ", the first" if not each.before else ", **none is left**" if not each.after else ""
        yield f"- {each.name} (`{each.tag}`): {each.before} active cards → {each.after}{new}"


def _card(card: CardReview) -> Iterator[str]:
    yield f"### {code(card.id)} {card.what}"
    yield ""
    if card.name:
        yield f"{code(card.name)}. {code(card.summary, characters=600)}"
        yield ""
    for what, value in card.facts:
        yield f"- {what}: {code(value)}"
    yield from _changes(card.changes)
    if card.what == "removed":
        yield "- A card is withdrawn and not removed: reports and releases go on naming it."
        return
    yield f"- Its licence asks: {', '.join(card.asked) or 'nothing'}{_difference(card)}"
    if card.members:
        yield f"- Its members are under: {codes(card.members)}"
    for name, reason in card.policies:
        yield f"- Policy `{name}`: {f'does not read it: {code(reason)}' if reason else 'reads it'}"
    yield f"- Approval: {card.approval}"
    if card.why_no_sample:
        yield f"- No sample: {card.why_no_sample}"


def _difference(card: CardReview) -> str:
    more = f"; **new: {', '.join(card.more)}**" if card.more else ""
    less = f"; no longer: {', '.join(card.less)}" if card.less else ""
    return more + less


def _changes(changes: Sequence[FieldChange]) -> Iterator[str]:
    for each in changes[:SHOWN_CHANGES]:
        if each.before is None:
            yield f"- {code(each.field)} is new: {code(each.after or '')}"
        elif each.after is None:
            yield f"- {code(each.field)} is gone: {code(each.before)}"
        else:
            yield f"- {code(each.field)}: {code(each.before)} → {code(each.after)}"
    if len(changes) > SHOWN_CHANGES:
        yield f"- and {count(len(changes) - SHOWN_CHANGES)} more fields"


def _elsewhere(paths: Sequence[str]) -> Iterator[str]:
    if paths:
        yield "### Other files"
        yield ""
        yield (
            f"The branch changes {_many(len(paths), 'file')} outside the registry, of which this"
            f" review says nothing: {codes(paths, most=SHOWN_PATHS)}."
        )
