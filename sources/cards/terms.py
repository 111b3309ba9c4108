"""Lint rules that hold a card's licence to the words it quotes and to what it says they allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from phloem.catalog.licenses import (
    MULTIPLE,
    NO_DERIVATIVES,
    NONCOMMERCIAL,
    PUBLIC_DOMAIN,
    SHARE_ALIKE,
    obligations,
)
from phloem.sources.cards import rules
from phloem.sources.cards.checks import license_faults, license_ids
from phloem.sources.cards.dossier import Dossier
from phloem.sources.cards.rules import Found
from phloem.sources.cards.source import Source, license_refs
from phloem.sources.cards.wording import (
    Named,
    forbids_change,
    forbids_trade,
    is_copyright_alone,
    is_named,
    later,
    named_by,
    named_in,
)

WORD = 20  # characters; a quote of one word that is no longer is none


def _quoted(dossier: Dossier) -> Iterator[tuple[str, Source, str, Sequence[str]]]:
    """(file, card, evidence, SPDX identifiers) of active cards whose expression can be read."""
    for file, card in dossier.cards():
        quote, ids = card.license.evidence, license_ids(card.license.spdx)
        is_known = ids and not license_faults(card.license.spdx, dossier.license_refs)
        if card.status == "active" and quote and is_known:
            yield file, card, quote, ids


@cache
def _refs() -> Mapping[str, Sequence[str]]:
    return {name: entry["obligations"] for name, entry in license_refs().items()}


@cache
def _duties(expression: str) -> frozenset[str]:
    """What an expression asks, once: hundreds of cards share a few."""
    return obligations(expression, _refs())


@rules.error(
    "S050",
    why="obligations are computed from the one, and the texts are under the other",
    fix="write the licence that the quoted sentence names, or quote the sentence that names this",
)
def licence_as_quoted(dossier: Dossier) -> Iterator[Found]:
    """An active card under another licence, or another version of it, than its evidence names.

    Where each document has its own licence, the sentence may name any.
    """
    for file, card, quote, ids in _quoted(dossier):
        named = named_in(quote)
        if not named or card.license.spdx == MULTIPLE:
            continue
        own = [each for each in map(named_by, ids) if each]
        if any(is_named(one, other) for one in named for other in own):
            if len(ids) == 1 and ids[0].endswith("-or-later") and _is_of_one_version(named, quote):
                told = f"{ids[0]}, but the evidence names one version and none later"
                yield file, "license.spdx", told
        elif not (ids == [PUBLIC_DOMAIN] and "public domain" in quote.lower()):
            said = ", ".join(sorted(f"{each.family} {each.version}".strip() for each in named))
            yield file, "license.spdx", f"{card.license.spdx}, but the evidence names {said}"


def _is_of_one_version(named: frozenset[Named], quote: str) -> bool:
    return any(each.version for each in named) and not later(quote)


@rules.error(
    "S051",
    why="one of the two is wrong, and a reader believes the laxer",
    fix="read the terms again, and correct license.spdx or license.restrictions",
)
def restrictions_as_licensed(dossier: Dossier) -> Iterator[Found]:
    """A card that says its terms allow what its licence does not."""
    for file, card in dossier.cards():
        ids = license_ids(card.license.spdx)
        known = [id_ for id_ in ids if named_by(id_)]
        duties = _duties(card.license.spdx)
        said = card.license.restrictions
        for field, value, duty, laxer in (
            ("commercial", said.commercial, NONCOMMERCIAL, "allowed"),
            ("derivatives", said.derivatives, NO_DERIVATIVES, "allowed"),
            ("share_alike", said.share_alike, SHARE_ALIKE, "none"),
        ):
            # Of licences that few use, what they ask is this project's reading: a card may differ.
            if value == laxer and duty in duties and any(duty in _duties(id_) for id_ in known):
                yield (
                    file,
                    f"license.restrictions.{field}",
                    f"{value}, but {card.license.spdx} has {duty}",
                )


@rules.error(
    "S052",
    why="the permission that is quoted does not reach so far",
    fix="say so in license.restrictions and license.spdx, or set status: proposed",
)
def restrictions_as_quoted(dossier: Dossier) -> Iterator[Found]:
    """An active card whose evidence forbids commercial use or changes, and which allows them."""
    for file, card, quote, _ in _quoted(dossier):
        duties = _duties(card.license.spdx)
        said = card.license.restrictions
        free = [
            e.family for e in named_in(quote) if "-NC" not in e.family and "-ND" not in e.family
        ]
        for field, value, duty, forbids in (
            ("commercial", said.commercial, NONCOMMERCIAL, forbids_trade),
            ("derivatives", said.derivatives, NO_DERIVATIVES, forbids_change),
        ):
            # A second licence in the sentence may be the one that is chosen.
            if value == "allowed" and duty not in duties and not free and forbids(quote):
                what = "commercial use" if field == "commercial" else "changed copies"
                yield file, f"license.restrictions.{field}", f"allowed; the evidence forbids {what}"


@rules.error(
    "S053",
    why="who holds the rights says nothing of what others may do",
    fix="quote the sentence that permits the use, or set status: proposed",
)
def permission(dossier: Dossier) -> Iterator[Found]:
    """An active card whose evidence holds no permission: a copyright line, or a single word."""
    for file, _, quote, _ in _quoted(dossier):
        if is_copyright_alone(quote):
            yield file, "license.evidence", "says whose the texts are, and permits nothing"
        elif len(quote.split()) == 1 and len(quote) < WORD:
            yield file, "license.evidence", f"the word {quote!r} is no sentence of any terms"
