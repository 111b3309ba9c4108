"""What a branch does to the registry: what a review finds out, and a comment tells."""

from __future__ import annotations

from dataclasses import dataclass

from phloem.reports.source_sample import SourceSample


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
class Decides:
    """What a branch changes that decides about sources, or that signs.

    Attributes:
        kind: What it is, in words of ours.
        path: Where it lies in the repository.
        what: What happens to it, in words of ours with values as code.
        is_confirmed: Whether the review has seen for itself that it is right.
    """

    kind: str
    path: str
    what: str
    is_confirmed: bool = False


@dataclass(frozen=True)
class CardReview:
    """One card that a branch adds, changes or removes.

    Attributes:
        id: Its id.
        what: ``added``, ``changed`` or ``removed``.
        broken: What it broke, in words of ours; empty if nothing.
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
        failed: Why a sample that was tried gave none; empty if none was tried, or it did.
        evidence: Why the sentence that it quotes is none, by what was fetched; empty if it is.
        unseen: Why that was not looked for to the end.
    """

    id: str
    what: str
    broken: str = ""
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
    failed: str = ""
    evidence: str = ""
    unseen: str = ""


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
        decides: What it changes that decides or signs, what decides most first.
        cards: That it touches, by id.
        findings: Of the files that it touches, and new ones of others.
        languages: Of BLOOM, where it changes the number of active cards.
        notes: What a reviewer should know besides, in words of ours with values as code.
        prose: Pages that it changes besides.
    """

    base: str
    head: str
    decides: tuple[Decides, ...] = ()
    cards: tuple[CardReview, ...] = ()
    findings: tuple[ReviewFinding, ...] = ()
    languages: tuple[Breadth, ...] = ()
    notes: tuple[str, ...] = ()
    prose: tuple[str, ...] = ()

    @property
    def errors(self) -> int:
        """Findings that stop a merge."""
        return sum(finding.is_error for finding in self.findings)

    @property
    def must_be_looked_at(self) -> bool:
        """Whether a maintainer must look, whatever the rules find."""
        decides = any(not each.is_confirmed for each in self.decides)
        return decides or any(card.broken for card in self.cards)
