"""The cards that somebody asks for, by licence, obligation, language and status."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from phloem.catalog.errors import UseError
from phloem.catalog.licenses import OBLIGATIONS, Obligations, obligations_of_card
from phloem.catalog.nearest import nearest
from phloem.pipeline.registry.registry import Registry
from phloem.sources.cards.source import Source

STATUSES = get_args(Source.model_fields["status"].annotation)
NONE = "none"  # as an obligation: a licence that asks nothing

_ID = re.compile(r"[A-Za-z0-9.+:-]+")
_WORDS = frozenset({"AND", "OR", "WITH"})


@dataclass(frozen=True)
class Asked:
    """What somebody asks cards for: of each kind any of its values, of all kinds one.

    Attributes:
        license: SPDX expressions, or identifiers that stand in one.
        obligation: Names of `OBLIGATIONS`; `none`: nothing is asked.
        language: BCP-47 tags; sw stands for sw-KE too.
        status: Of `STATUSES`.
    """

    license: Sequence[str] = ()
    obligation: Sequence[str] = ()
    language: Sequence[str] = ()
    status: Sequence[str] = ()


def duties_of(card: Source, registry: Registry) -> Obligations:
    """What a card's licence asks, before one document of it is read."""
    restrictions = card.license.restrictions.model_dump()
    return obligations_of_card(card.license.spdx, restrictions, registry.license_refs)


def chosen(registry: Registry, asked: Asked) -> list[Source]:
    """The cards that are asked for, by id.

    Raises UseError for a value that no card and no obligation has, with the nearest that is there.
    """
    cards = list(registry.cards.values())
    expressions = {card.license.spdx for card in cards}
    tags = {tag for card in cards for tag in card.languages}
    known: Mapping[str, Collection[str]] = {
        "license": expressions | {name for each in expressions for name in _names(each)},
        "obligation": {*OBLIGATIONS, NONE},
        "language": tags | {tag.partition("-")[0] for tag in tags},
        "status": STATUSES,
    }
    faults = [
        f"--{name} {each!r} is none; {nearest(each, there)}"
        for name, there in known.items()
        for each in getattr(asked, name)
        if each not in there
    ]
    if faults:
        raise UseError("; ".join(faults))
    return [card for card in cards if _is_asked(card, registry, asked)]


def _is_asked(card: Source, registry: Registry, asked: Asked) -> bool:
    duties = duties_of(card, registry) or {NONE}
    licenses = {card.license.spdx, *_names(card.license.spdx)}
    return (
        (not asked.license or bool(licenses & set(asked.license)))
        and (not asked.obligation or bool(duties & set(asked.obligation)))
        and (not asked.status or card.status in asked.status)
        and (not asked.language or any(_speaks(card, tag) for tag in asked.language))
    )


def _speaks(card: Source, tag: str) -> bool:
    return any(own == tag or own.startswith(f"{tag}-") for own in card.languages)


def _names(expression: str) -> list[str]:
    return [name for name in _ID.findall(expression) if name not in _WORDS]
