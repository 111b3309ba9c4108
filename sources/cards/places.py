"""Lint rules on where cards read: not what another card reads, not where nobody agreed to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from phloem.sources.cards import rules
from phloem.sources.cards.dossier import Dossier
from phloem.sources.cards.facts import watched
from phloem.sources.cards.reads import addresses, hosts, pairs, places, shared
from phloem.sources.cards.rules import Found
from phloem.sources.cards.source import Source

HOSTING = frozenset(
    "github.com raw.githubusercontent.com githubusercontent.com gitlab.com codeberg.org"
    " huggingface.co zenodo.org archive.org figshare.com osf.io kaggle.com sourceforge.net"
    " googleapis.com wikimedia.org lindat.mff.cuni.cz opus.nlpl.eu".split()
)
"""Hosts that keep what others make, each under a name of its maker's."""

PUBLIC = frozenset("ac co com edu gen go gob gob gouv gov govt net or org".split())
"""Second labels below a country's ending that stand for nobody alone: gov.br, ac.uk."""

_SAID = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}", re.IGNORECASE)


@rules.error(
    "S054",
    why="every document would be there twice, under two licences and two names",
    fix="take what the other card leaves out, or drop one",
)
def same_thing(dossier: Dossier) -> Iterator[Found]:
    """An active card that reads the package, data set, repository, domain or page of another.

    However it is spelt, and where the parts that they take may meet.
    """
    files = {card.id: file for file, card in dossier.cards()}
    active = [card for _, card in dossier.cards() if card.status == "active"]
    for card, other, read in shared(active):
        told = f"the {read.kind} {read.said} is also read by {other.id}"
        yield files[card.id], "access.params", told


@rules.error(
    "S055",
    why="it was withdrawn for what its host says, which holds for every card",
    fix="leave the host out; if its terms have changed, make the withdrawn card active again",
)
def withdrawn_hosts(dossier: Dossier) -> Iterator[Found]:
    """A card, active or proposed, that reads from a host of a withdrawn one, or has it as home."""
    gone = {
        host: card.id
        for _, card in dossier.cards()
        if card.status == "withdrawn"
        for host in hosts(places(card))
        if not _is_kept_for_others(host)
    }
    for file, card in dossier.cards():
        if card.status in ("active", "proposed"):
            for host, of in pairs(hosts([*places(card), card.homepage]), {*gone}):
                yield file, "access", f"{host} is a host of {gone[of]}, which was withdrawn"


@rules.error(
    "S056",
    why="whoever controls an address on the way decides what is read",
    fix="name the hosts that its files are served from, or leave `hosts` out",
)
def any_host(dossier: Dossier) -> Iterator[Found]:
    """A card that lets an address lead to any host, or to all below a public ending."""
    for file, card in dossier.cards():
        given = card.access.params.get("hosts")
        for glob in given if isinstance(given, (list, tuple)) else ():
            # What is fixed behind the last wildcard: `.example.org` names somebody, `.org` nobody.
            fixed = re.split(r"[*?\[\]]", str(glob))[-1].lstrip(".")
            if fixed != glob and fixed.count(".") < 1:
                yield file, "access.params.hosts", f"{glob!r} is no host of this source"


@rules.error(
    "S057",
    why="what is read is not what the homepage and the terms speak of",
    fix="name the host where the provider points to it, in collection.part or limits",
)
def foreign_host(dossier: Dossier) -> Iterator[Found]:
    """An active card that reads from a host that neither its homepage, terms nor prose name."""
    for file, card in dossier.cards():
        if card.status == "active":
            own = {_registered(host) for host in _own(card)}
            for host in sorted(hosts(addresses(card))):
                is_known = _is_kept_for_others(host) or watched(host)  # another rule tells those
                if not is_known and _registered(host) not in own:
                    yield file, "access.params", f"{host} is named by nothing else in the card"


def _own(card: Source) -> set[str]:
    """The hosts that a card names as its maker's."""
    part = card.collection.part if card.collection else ""
    prose = [card.summary, part, card.limits, card.custodian, card.contact, card.name]
    prose += [card.license.place, *card.unknown.values()]
    said = {match.lower() for text in prose for match in _SAID.findall(text or "")}
    return said | hosts([card.homepage, card.license.url or ""])


def _registered(host: str) -> str:
    """The name that somebody registered, with its ending: example.org, or gov.br's example."""
    labels = host.lower().split(".")
    is_public = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in PUBLIC  # noqa: PLR2004
    return ".".join(labels[-3 if is_public else -2 :])


def _is_kept_for_others(host: str) -> bool:
    return any(pairs({host}, {*HOSTING}))
