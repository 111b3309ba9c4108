"""What hosts say to machines: robots.txt (RFC 9309) and reservations of text and data mining.

TDMRep is the W3C community group's TDM Reservation Protocol, its final report of 2024.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from protego import Protego
from urllib3.exceptions import SSLError

from phloem.sources.connector import Observation, SourceError
from phloem.sources.web import addresses, web

NAME = "phloem"
"""The name that groups of robots.txt are matched with."""

MOST = 500 * 2**10
"""Bytes of robots.txt that are read: the least that RFC 9309, 2.5, asks for."""

SLOWEST = 30.0
"""Seconds of Crawl-delay that are kept; more would make a source of some files take days."""

_SUCCESS, _FAILURE = 2, 5  # hundreds of the status
_SHOWN = 200  # characters of a rule that a message or a lock file shows


class DeniedError(SourceError):
    """A host asks machines to keep away: the message names the rule."""


@dataclass(frozen=True)
class _Said:
    """A file by which a host speaks to machines.

    Attributes:
        place: Its address.
        text: What it says; None if there is none.
        note: Why there is none.
        open: Whether all may be read where there is none.
    """

    place: str
    text: str | None
    note: str
    open: bool


def observe(url: str, *, closed: bool = True) -> tuple[Observation, ...]:
    """What robots.txt and TDMRep of a host say of an address, asked once a process and host.

    Args:
        url: The address.
        closed: Whether a host that fails to give its robots.txt says no by that, as to who is about
            to ask it for more. Of pages that another archived, it says nothing.

    Raises DeniedError if either forbids it.
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return _robots(origin, url, closed=closed), _reservation(origin, url)


def observe_header(url: str, headers: Mapping[str, str]) -> tuple[Observation, ...]:
    """What the header tdm-reservation says of an answer; nothing if there is none.

    Raises DeniedError if it reserves the right. One that does not is no answer to a file of the
    host that does, though the protocol has it so: a reservation that was made is kept.
    """
    said = headers.get("tdm-reservation", "").strip()
    if not said:
        return ()
    if said == "1":
        policy = _policy(headers.get("tdm-policy"))
        raise DeniedError(_denial(url, f"the header tdm-reservation: 1{policy}", url))
    verdict = "allow" if said == "0" else "unknown"
    return (Observation("header", verdict, url, f"tdm-reservation: {said[:_SHOWN]}"),)


def delay(url: str) -> float:
    """Seconds between requests that robots.txt asks for, at most `SLOWEST`; 0 if none."""
    parts = urlsplit(url)
    said = read(f"{parts.scheme}://{parts.netloc}/robots.txt", closed=True)
    asked = _parsed(said.text).crawl_delay(NAME) if said.text else None
    return min(asked or 0.0, SLOWEST)


def _robots(origin: str, url: str, *, closed: bool) -> Observation:
    said = read(f"{origin}/robots.txt", closed=closed)
    if said.text is None:
        if not said.open:
            raise DeniedError(_denial(url, f"{said.note}, which stands for a no", said.place))
        return Observation("robots", "unknown", said.place, said.note)
    if _parsed(said.text).can_fetch(url, NAME):
        return Observation("robots", "allow", said.place, f"allows {urlsplit(url).path or '/'}")
    raise DeniedError(_denial(url, f"the rule `{_rule(said.text, url)}`", said.place))


@functools.lru_cache(64)
def _parsed(text: str) -> Protego:
    return Protego.parse(text)


def _rule(text: str, url: str) -> str:
    """The line that forbids an address: the longest that does so alone, as the longest decides."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    rules = [line for line in lines if line[:8].lower() == "disallow" and ":" in line]
    found = [rule for rule in rules if _matches(rule.partition(":")[2].strip(), url)]
    return max(found, key=len, default="Disallow")[:_SHOWN]


def _matches(pattern: str, url: str) -> bool:
    """Whether a path with `*` and `$` is that of an address."""
    rules = f"User-agent: *\nDisallow: {''.join(pattern.splitlines())}"
    return not Protego.parse(rules).can_fetch(url, NAME)


def _reservation(origin: str, url: str) -> Observation:
    said = read(f"{origin}/.well-known/tdmrep.json", closed=False)
    if said.text is None:
        return Observation("tdmrep", "unknown", said.place, said.note)
    for rule in _rules(said.text):
        location = str(rule.get("location"))
        if not _matches(location, url):
            continue
        value = rule.get("tdm-reservation")
        note = f"`location: {location[:_SHOWN]}`, `tdm-reservation: {str(value)[:1]}`"
        if value in {1, "1"}:
            note = f"the rule {note}{_policy(rule.get('tdm-policy'))}"
            raise DeniedError(_denial(url, note, said.place))
        return Observation("tdmrep", "allow" if value in {0, "0"} else "unknown", said.place, note)
    return Observation("tdmrep", "unknown", said.place, "no rule for this address")


def _rules(text: str) -> Iterator[Mapping[str, Any]]:
    """The rules of a tdmrep.json in order: the first that matches holds."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    for rule in found if isinstance(found, list) else ():
        if isinstance(rule, dict) and "location" in rule:
            yield rule


def _policy(place: object) -> str:
    return f" (its terms: {place[:_SHOWN]})" if isinstance(place, str) and place else ""


def _denial(url: str, said: str, place: str) -> str:
    return (
        f"{urlsplit(url).hostname} asks machines not to read {url}: {said}, in {place}; pause the"
        " source, or ask its custodian"
    )


@functools.cache  # asked once: hosts change it seldom, and RFC 9309, 2.4, allows a day
def read(place: str, *, closed: bool) -> _Said:
    """A file by which a host speaks to machines.

    Args:
        place: Its address.
        closed: Whether a host that fails to give it says no by that (RFC 9309, 2.3.1.4).
    """
    try:
        with web.ask(place, hosts=["*"]) as answer:
            if answer.status // 100 == _SUCCESS:
                held = b"".join(_first(answer))
                return _Said(place, held.decode("utf-8-sig", "replace"), "", open=True)
            fails = answer.status // 100 == _FAILURE
            text = f"it answers {answer.status}"
            return _Said(place, None, text, open=not (fails and closed))
    except addresses.RedirectError:  # too many are as good as none (RFC 9309, 2.3.1.2)
        return _Said(place, None, "it redirects without end", open=True)
    except SSLError:
        if closed:
            raise  # nor can what was asked for be had
        return _Said(place, None, "its certificate does not hold", open=True)
    except web.BROKEN:
        return _Said(place, None, "it cannot be reached", open=not closed)


def _first(answer: web.Answer) -> Iterator[bytes]:
    """The first bytes of a body. Raises TimeoutError if they take more than a minute."""
    left, ends = MOST, time.monotonic() + 2 * addresses.SILENT_SECONDS
    for chunk in answer.chunks(MOST):
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
        if time.monotonic() > ends:
            raise TimeoutError
