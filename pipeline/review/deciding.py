"""What of a branch decides or signs: all that it changes but cards, approvals and pages of prose.

Nothing is listed that must be watched, since a list misses what is new, moved, linked to or spelt
otherwise: a path is told unless it is known to decide nothing. What kinds there are says only in
which order they are told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

from phloem.pipeline.review.commits import (
    ABSENT,
    LINK,
    LOCK,
    PLAIN,
    PROGRAM,
    REPOSITORY,
    SIGNERS,
    Branch,
    Change,
    card_id,
)
from phloem.pipeline.review.pins import pin_changes
from phloem.pipeline.review.tree_registry import TreeRegistry
from phloem.reports.markdown import WHOLE, arrow, code
from phloem.reports.reviewed import Decides
from phloem.sources.cards.lock import Entry

KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("who may sign or must agree", (SIGNERS, ".github/codeowners")),
    ("workflows and checks", (".github/", ".ci/", ".git", ".pre-commit", "makefile")),
    ("policies and licences", ("catalog/polic", "catalog/licen", "sources/licen", "sources/watch")),
    ("lint and review", ("sources/cards/", "sources/schema", "pipeline/review/", "reports/")),
    ("the lock", (LOCK,)),
    ("connectors and readers", ("sources/c", "sources/formats/", "sources/web/", "sources/bund")),
    ("what is installed", ("pyproject", "requirements", "setup.", "containerfile", "manifest.in")),
    ("recipes", ("pipeline/recipes/",)),
    ("in the folders of cards and approvals", ("sources/entries", "sources/approvals")),
    ("other code and data", ("",)),
)
"""In the order in which they are told, each with the beginnings of its paths in lower case."""

_PROSE = re.compile(
    r"(?!sources/(entries|approvals)/)([a-z_]+/)*(README|CHANGELOG|CONTRIBUTING|GLOSSARY)\.md"
    r"|docs/[a-z0-9-]+\.md"
)

_MODES = {PROGRAM: "a program", LINK: "a link", REPOSITORY: "another repository"}


def deciding(
    branch: Branch, base: TreeRegistry, head: TreeRegistry, confirmed: Collection[str] = ()
) -> list[Decides]:
    """All that a branch changes and that decides or signs, what decides most first.

    Args:
        branch: What it changes.
        base: The registry before.
        head: The registry after.
        confirmed: Ids of cards whose lock entry the review has seen to be right.
    """
    found = []
    for change in branch.changes:
        if decides(change):
            within: list[Decides] = []
            if change.path == SIGNERS:
                within = list(_signers(branch))
            elif change.path == LOCK:
                own = set(_cards(branch))
                within = list(_locked(base.locked, head.locked, own, own & {*confirmed}))
            is_right = bool(within) and all(each.is_confirmed for each in within)
            is_right = is_right and change.is_plain
            found += [
                Decides(kind_of(change.path), change.path, _what(change), is_right),
                *within,
            ]
    order = {kind: place for place, (kind, _) in enumerate(KINDS)}
    return sorted(found, key=lambda each: order[each.kind])  # stable: by path within a kind


def decides(change: Change) -> bool:
    """Whether a change is more than a card, an approval or a page of prose."""
    is_known = card_id(change.path) is not None or _PROSE.fullmatch(change.path) is not None
    return not (is_known and change.is_plain)


def kind_of(path: str) -> str:
    """The kind of what stands at a path, in whatever case and with whatever stands unseen in it.

    File systems that fold case or drop such characters give one file for both.
    """
    seen = (letter for letter in unicodedata.normalize("NFKC", path) if _is_seen(letter))
    folded = "".join(seen).casefold()
    if folded.rpartition("/")[2] in ("codeowners", "allowed_signers"):  # wherever it lies
        return KINDS[0][0]
    return next(kind for kind, places in KINDS if folded.startswith(places))


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cf", "Cc", "Mn")


def prose(branch: Branch) -> tuple[str, ...]:
    """The pages of prose that a branch changes."""
    return tuple(
        change.path
        for change in branch.changes
        if not decides(change) and card_id(change.path) is None
    )


def _what(change: Change) -> str:
    what = "new" if change.before == ABSENT else "removed" if change.after == ABSENT else "changed"
    modes = [mode for mode in (change.before, change.after) if mode != ABSENT]
    if set(modes) == {PLAIN}:
        return what
    words = [_MODES.get(mode, "a file" if mode == PLAIN else code(mode)) for mode in modes]
    if len(set(words)) == 1:
        return f"{what}, {words[0]}"
    return f"{what}, **{words[0]} before, {words[1]} now**"


def _cards(branch: Branch) -> Iterator[str]:
    """Ids of cards whose own file the branch changes."""
    for change in branch.changes:
        source = card_id(change.path)
        if source and change.path.startswith("sources/entries/"):
            yield source


def _signers(branch: Branch) -> Iterator[Decides]:
    """The lines of `allowed_signers` that come and go."""
    kind = KINDS[0][0]
    if SIGNERS in branch.head.refused:
        yield Decides(kind, SIGNERS, "**it cannot be read**")
    old, new = (
        tree.signers.decode(errors="backslashreplace").splitlines()
        for tree in (branch.base, branch.head)
    )
    for word, lines, others in (("new", new, old), ("gone", old, new)):
        for line in lines:
            if line not in others:
                yield Decides(kind, SIGNERS, f"the line {code(line, WHOLE)} is {word}")


def _locked(
    before: Mapping[str, Entry] | None,
    after: Mapping[str, Entry] | None,
    cards: set[str],
    confirmed: set[str],
) -> Iterator[Decides]:
    """The lock entries that differ, those of cards that the branch leaves alone first."""
    kind = next(kind for kind, places in KINDS if LOCK in places)
    if before is None or after is None:
        yield Decides(kind, LOCK, "**it cannot be read**")
        return
    differing = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    for name in sorted(differing, key=lambda name: name in cards):
        whose = "" if name in cards else " of a card that **the branch leaves alone**"
        said = _entry(before.get(name), after.get(name))
        is_right = name in confirmed and name in after
        seen = "; fetched by this review, and as it says" if is_right else ""
        yield Decides(kind, LOCK, f"the entry {code(name, WHOLE)}{whose}: {said}{seen}", is_right)
    if not differing:
        yield Decides(kind, LOCK, "no entry of it differs, only how they are written")


def _entry(before: Entry | None, after: Entry | None) -> str:
    if before and after and before.pin == after.pin:
        return "what was measured of it, or when it was locked"
    said: Sequence[str] = [
        f"{each.field} {arrow(code(each.before or '', WHOLE), code(each.after or '', WHOLE))}"
        for each in pin_changes(before.pin if before else None, after.pin if after else None)
        if not each.field.startswith("locked file ")
    ]
    return "; ".join(said) or "files alone"
