"""From the address or the words of a Creative Commons licence to its SPDX identifier."""

from __future__ import annotations

import re

ADDRESS = re.compile(
    r"(?<![\w./-])(?:https?://)?(?:www\.)?creativecommons\.org/[^\s\"'<>()\[\]]*", re.IGNORECASE
)
"""An address of Creative Commons among words; a full stop at its end may be the sentence's."""

_ADDRESS = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/"
    r"(?:licenses/(?P<terms>by(?:-nc)?(?:-nd|-sa)?)/(?P<version>[1-4]\.[05])(?P<port>/igo)?"
    r"|publicdomain/(?P<zero>zero)/1\.0)"
    r"(?:/(?:deed(?:\.[a-z-]+)?|legalcode(?:\.[a-z-]+)?)?)?",
    re.IGNORECASE,
)
_IGO = frozenset({"by", "by-nc", "by-nc-nd", "by-nc-sa", "by-sa"})  # at 3.0, in SPDX's list


def spdx_of(address: str) -> str | None:
    """The SPDX identifier of a licence's address; None for what is none, or ported to one country.

    A port has terms of its own, and SPDX lists only some.
    """
    found = _ADDRESS.fullmatch(address.strip())
    if found is None:
        return None
    if found["zero"]:
        return "CC0-1.0"
    terms = found["terms"].lower()
    if found["port"]:
        known = found["version"] == "3.0" and terms in _IGO
        return f"CC-{terms.upper()}-3.0-IGO" if known else None
    return f"CC-{terms.upper()}-{found['version']}"


# The day on which each version was published, by Creative Commons' own announcements.
_SINCE = {
    "1.0": "2002-12-16",
    "2.0": "2004-05-25",
    "2.5": "2005-06-10",
    "3.0": "2007-02-23",
    "4.0": "2013-11-25",
}
_ELEMENTS = {"noncommercial": "NC", "sharealike": "SA", "noderiv": "ND"}
_ELEMENT = r"non-?\s?commercial|share-?\s?alike|no-?\s?deriv(?:ative|atives|s)?(?:\s+works)?"
_AGREEMENT = r"(?:[\s,(–-]+(?:international|generic|unported|public|licen[cs]e|version|v\.?))*"
_WORDS = re.compile(
    rf"creative\s+commons[\s,:]+attribution(?P<named>(?:[\s,/–-]+(?:{_ELEMENT}))*){_AGREEMENT}"
    rf"(?:\s*\(?\s*CC[\s-]BY(?:-(?:NC|ND|SA))*\)?)?{_AGREEMENT}[\s(]*(?P<version>[1-4]\.[05])?"
    r"(?P<port>(?-i:[\s,]+(?!Unported|Generic|International|Public|Licen[cs]e|Deed)[A-Z]\w*))?"
    r"|(?<!\w)CC[\s-]BY(?P<short>(?:[\s-](?:NC|ND|SA))*)(?:[\s-]+(?P<number>[1-4]\.[05]))?(?![\w-])"
    r"(?P<code>(?-i:[\s,(-]+[A-Z]{2,3}\b))?",
    re.IGNORECASE,
)
_SQUEEZED = re.compile(r"[\s-]")
_DASH = re.compile("[\u2010-\u2015\u2212]")
# What a statement reserves, wherever it says so, in the names of ports too.
_RESERVES = {
    short: re.compile(rf"(?<!\w)(?:{short}(?!\w)|{said})", re.IGNORECASE)
    for short, said in {
        "NC": r"non-?\s?commercial|(?:no|not for|pas d)\W.{0,20}commercial",
        "SA": r"share-?\s?alike|partage",
        "ND": r"no-?\s?deriv|pas\s+de\s+modification|sem\s+deriva|sin\s+obra|non\s+opere",
    }.items()
}


def spdx_in(words: str, day: str | None) -> set[str]:
    """The SPDX identifiers of the licences that a text names in words; none of a country's port.

    A licence that is named without a version, as in the Public Library of Science's articles until
    2013, is in the one of an address that stands there, else in the one that was the newest on the
    day of publication. Where it is not known whether a newer one was there, such as for a year
    alone, the licence is left out; so is one that reserves less than the statement, as in
    `Attribution 4.0 (Non-Commercial)`.

    Args:
        words: The statement of the licence.
        day: Of publication, as far as it is known: ``2009-03-01``, ``2009-03`` or ``2009``.
    """
    words = _DASH.sub("-", words)
    reserved = {short for short, said in _RESERVES.items() if said.search(words)}
    addresses = {spdx_of(each.rstrip(".,;:")) for each in ADDRESS.findall(words)}
    found = addresses or {_named(each, day) for each in _WORDS.finditer(words)}
    return {spdx for spdx in found if spdx and reserved <= set(spdx.split("-"))}


def _named(found: re.Match[str], day: str | None) -> str | None:
    """The identifier of a licence that is named in words; None of a port, or without version."""
    elements, said = _elements(found), found["version"] or found["number"]
    version = said or _newest(day)
    port = (found["port"] or found["code"] or "").strip(" \t\r\n,(-") if said else ""
    if not version or port not in {"", "IGO"}:
        return None
    terms = "-".join(["BY", *(each for each in _RESERVES if each in elements)])
    if port and (version != "3.0" or terms.lower() not in _IGO):
        return None
    return f"CC-{terms}-{version}" + (port and f"-{port}")


def _elements(found: re.Match[str]) -> set[str]:
    if found["short"]:
        return set(_SQUEEZED.sub(" ", found["short"]).upper().split())
    named = _SQUEEZED.sub("", found["named"] or "").lower()
    return {short for name, short in _ELEMENTS.items() if name in named}


def _newest(day: str | None) -> str | None:
    """The version that was the newest on a day; None if the day leaves that open."""
    if not day:
        return None
    versions = {
        max((version for version, since in _SINCE.items() if since <= each), default=None)
        for each in (day + "-01-01"[len(day) - 4 :], day + "-12-31"[len(day) - 4 :])
    }
    return versions.pop() if len(versions) == 1 else None
