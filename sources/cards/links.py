"""The links of cards, and which of them no longer answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from phloem.sources.cards.source import Source, texts_of
from phloem.sources.connector import SourceError
from phloem.sources.web import web
from phloem.sources.web.addresses import WEB, PrivateError, RedirectError

HOSTS = 8
"""Hosts that are asked at once; each of them gets one request after the other."""

# One byte of the page: links may lead to files of many gigabytes, and some hosts know no HEAD.
_ASKED = {"Range": "bytes=0-0"}
_RIGHT = frozenset({200, 206, 416})  # 416: a page of no bytes has no first one
_GONE = frozenset({404, 410})
_PATTERN = frozenset("*{}[]<>")  # an address with one of these is a glob or a form of address

Kind = Literal["gone", "not asked", "refused"]


@dataclass(frozen=True)
class Broken:
    """A link that did not answer as it should.

    Attributes:
        kind: `gone`: nothing is there; `refused`: somebody is, and gives machines none; `not
            asked`: the host has no name here, or did not answer, which says nothing of the link.
        url: The address.
        places: Id and field of each card that has it.
        reason: What came instead.
    """

    kind: Kind
    url: str
    places: tuple[str, ...]
    reason: str


def links(cards: Iterable[Source]) -> Mapping[str, tuple[str, ...]]:
    """Where each link stands, as `id: field`: homepages, terms, and what connectors read."""
    found: dict[str, list[str]] = {}
    for card in cards:
        named = [
            ("homepage", card.homepage),
            ("license.url", card.license.url or ""),
            *(("access", url) for url in texts_of(card.access.params)),
        ]
        for field, url in named:
            if url.startswith(WEB) and not _PATTERN & set(url):
                found.setdefault(url, []).append(f"{card.id}: {field}")
    return {url: tuple(places) for url, places in sorted(found.items())}


def broken(
    found: Mapping[str, tuple[str, ...]], told: Callable[[int], None] = lambda _: None
) -> list[Broken]:
    """The links that do not answer, the gone ones first.

    Args:
        found: As `links` gives them.
        told: Called with how many are done, after each.
    """
    wrong = []
    with ThreadPoolExecutor(HOSTS) as pool:
        for done, result in enumerate(pool.map(_asked, found), start=1):
            told(done)
            if result:
                kind, url, reason = result
                wrong.append(Broken(kind, url, found[url], reason))
    return sorted(wrong, key=lambda each: (each.kind, each.url))


def _asked(url: str) -> tuple[Kind, str, str] | None:
    """What is wrong with an address; None if it answers."""
    try:
        with web.ask(url, hosts=["*"], headers=_ASKED) as answer:
            status, there = answer.status, answer.url
    except (SourceError, PrivateError, RedirectError) as error:
        return "gone", url, str(error)
    except web.UnreachableError as error:
        return "not asked", url, str(error)
    except web.BROKEN as error:
        return "not asked", url, f"the connection broke ({type(error).__name__})"
    if status in _RIGHT:
        return None
    moved = "" if there == url else f" at {there}"
    return ("gone" if status in _GONE else "refused"), url, f"answers {status}{moved}"
