"""Which licences a quoted sentence names, and what it forbids, as far as its words tell.

Only licences that name themselves in few ways are known here: a sentence that names none of them
says nothing. Versions are compared where both sides give one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

GNU = "GNU"  # one of the licences of GNU, where a sentence does not say which
_GNU = frozenset({"GPL", "LGPL", "AGPL", "GFDL"})

_VERSION = (
    r"(?:[\s,(\"'-]*(?:version|ver\.?|v\.?|release)?[\s-]*(?P<version>\d(?:\.\d)?)\b(?!\.\d))?"
)
_NAMES = {
    "AGPL": r"affero\s+general\s+public\s+licen[cs]e|affero\s+gpl|\bagpl",
    "LGPL": r"(?:lesser|library)\s+(?:general\s+public\s+licen[cs]e|gpl)|\blgpl",
    "GPL": r"(?<!affero )(?<!lesser )(?<!library )general\s+public\s+licen[cs]e|\bgpl",
    "GFDL": r"free\s+documentation\s+licen[cs]e|\bgfdl",
    "MPL": r"mozilla\s+public\s+licen[cs]e|\bmpl",
    "EPL": r"eclipse\s+public\s+licen[cs]e|\bepl",
    "Apache": r"apache\s+licen[cs]e|\bapache(?=[ -]\d)",
    "EUPL": r"european\s+union\s+public\s+licen[cs]e|\beupl",
    "Artistic": r"artistic\s+licen[cs]e|\bartistic(?=-\d)",
    "ODbL": r"open\s+(?:data\s*base|database)\s+licen[cs]e|\bodbl",
    "MIT": r"\bmit(?=[\s-]licen[cs]e|[\"')]|\s*$)|\bexpat\b"
    r"|permission is hereby granted, free of charge, to any person obtaining a copy",
    "BSD": r"\bbsd\b|redistribution and use in source and binary forms",
    "CC0": r"\bcc[-\s]?(?:0|zero)\b",
}
_KNOWN = {
    name: re.compile(rf"(?:{pattern}){_VERSION}", re.IGNORECASE) for name, pattern in _NAMES.items()
}

_NC = r"non[\s-]*commercial\w*|nc"
_ND = r"no[\s-]*deriv\w*(?:\s+works?)?|nd"
_SA = r"share[\s-]*alike|sa"
_CC = re.compile(
    rf"(?:creative\s+commons\s*(?:[:,-]\s*)?(?:licen[cs]e\s*)?|\bcc[\s-]*)"
    rf"(?P<by>by\b|attribution)"
    rf"(?P<elements>(?:[\s,/-]+(?:(?:and|{_NC}|{_ND}|{_SA})\b))*)"
    rf"(?:[\s,(\"'-]*(?:licen[cs]e)?[\s,(-]*(?:version|v\.?)?[\s-]*(?P<version>\d\.\d)\b)?"
    rf"|creativecommons\.org/licenses/(?P<path>by[a-z-]*)/(?P<at>\d\.\d)",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"(?:any|or|and)\s+(?:\(at your option\)\s+)?(?:any\s+)?(?:later|newer|higher)|\blater\b|\d\+|"
    r"-or-later|\bhigher\b|\bnewer\b",
    re.IGNORECASE,
)
_OF_THE_LICENCE = re.compile(
    r"version\s+(?P<version>\d(?:\.\d)?)\s+of\s+the\s+licen[cs]e", re.IGNORECASE
)


@dataclass(frozen=True)
class Named:
    """A licence that a sentence or an expression names.

    Attributes:
        family: Such as GPL, or CC-BY-SA with its elements in SPDX's order.
        version: Such as 2.0; empty where it names none.
    """

    family: str
    version: str


def _number(version: str | None) -> str:
    return "" if not version else version if "." in version else f"{version}.0"


def _cc(elements: str) -> str:
    """The name of a Creative Commons licence, by whatever names its elements."""
    found = "CC-BY"
    for name, pattern in (("NC", _NC), ("ND", _ND), ("SA", _SA)):
        if re.search(rf"(?<![a-z])(?:{pattern})(?![a-z])", elements, re.IGNORECASE):
            found += f"-{name}"
    return found


_SHORT = re.compile(r"\((?:[AL]?GPL|GFDL|MPL|EPL)\)")  # between a licence's name and its version


def _plain(text: str) -> str:
    dashes = re.sub(r"[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", text))
    return " ".join(_SHORT.sub(" ", dashes).split())


@cache
def named_in(text: str) -> frozenset[Named]:
    """The licences that a sentence names."""
    text = _plain(text)
    found = {
        Named(_cc(match["elements"] or match["path"] or ""), match["version"] or match["at"] or "")
        for match in _CC.finditer(text)
    }
    for name, pattern in _KNOWN.items():
        found |= {Named(name, _number(match["version"])) for match in pattern.finditer(text)}
    said = {_number(match["version"]) for match in _OF_THE_LICENCE.finditer(text)}
    of_gnu = {each.family for each in found} & _GNU or ({GNU} if said else set())
    found |= {Named(name, version) for name in of_gnu for version in said}
    versioned = {each.family for each in found if each.version}
    return frozenset(each for each in found if each.version or each.family not in versioned)


def later(text: str) -> bool:
    """Whether a sentence lets one take a later version."""
    return _LATER.search(text) is not None


_ID = re.compile(
    r"(?:LicenseRef-)?(?P<family>CC0|CC-BY(?:-NC)?(?:-ND)?(?:-SA)?|[AL]?GPL|GFDL|MPL|EPL|Apache|EUPL"
    r"|Artistic|ODbL|MIT|BSD)(?:-(?P<version>\d\.\d))?(?![A-Za-z])"
)


@cache
def named_by(id_: str) -> Named | None:
    """The licence of an SPDX identifier; None if it is none of those that are known here."""
    match = _ID.match(id_)
    if not match:
        return None
    family = match["family"]
    return Named(family, "" if family in ("MIT", "BSD") else match["version"] or "")


def is_named(one: Named, other: Named) -> bool:
    """Whether two may be the same licence: of one family, and of no two versions."""
    family = one.family == other.family or (
        GNU in (one.family, other.family) and {one.family, other.family} <= _GNU | {GNU}
    )
    return family and (one.version == other.version or "" in (one.version, other.version))


_FORBIDS_TRADE = re.compile(
    r"(?<!commercial or )(?<!commercial and )\bnon[\s-]?commercial\w*(?!\s+(?:and|or)\s+commercial)"
    r"|not\s+(?:be\s+)?(?:used|sold|reproduced|redistributed)?\s*(?:for\s+)?(?:any\s+)?commercial"
    r"|commercial\s+use\s+is\s+(?:not\s+allowed|prohibited|forbidden)",
    re.IGNORECASE,
)
_FORBIDS_CHANGE = re.compile(
    r"\bno[\s-]?deriv\w*|no\s+derivative|(?:may|must|can)\s*not\s+be\s+(?:changed|modified|altered)"
    r"|without\s+(?:any\s+)?(?:change|modification|alteration)s?\s+(?:is|are)\s+(?:permitted|allowed)",
    re.IGNORECASE,
)


def forbids_trade(text: str) -> bool:
    """Whether a sentence keeps its permission from commercial use."""
    return _FORBIDS_TRADE.search(_plain(text)) is not None


def forbids_change(text: str) -> bool:
    """Whether a sentence keeps its permission from changed copies."""
    return _FORBIDS_CHANGE.search(_plain(text)) is not None


_COPYRIGHT = re.compile(r"copyright|©|\(c\)|all rights reserved", re.IGNORECASE)
_PERMITS = re.compile(
    r"licen[cs]|lizenz|licenc|licenç|permi[ts]|allow|grant|\bfree\b|\bmay\b|can be|domain"
    r"|reus|reutil|permet|redistribut|reproduc|creative\s*commons|\bcc\b|utili[sz]|made public"
    r"|(?:not subject to|not aware of any|no) copyright"
    r"|\bfrei|\bd(?:a|ü)rf|verwend|gestatte|erlaub|\bli[bv]re|libero|autori[sz]|consent|consint"
    r"|vrij\b|toegestaan|till[åa]t|tillad|dozwol|zezwal|povol|sallit|izin|bebas|boleh|được",
    re.IGNORECASE,
)
_LATIN = re.compile(r"[A-Za-zª-ʯḀ-ỿ]")  # a letter of it, with the marks of any language


def is_copyright_alone(text: str) -> bool:
    """Whether a sentence says whose the text is, and not what anybody may do with it.

    Of one with letters of another script than the Latin it is not known: it may say so in them.
    """
    plain = _plain(text)
    if any(each.isalpha() and not _LATIN.match(each) for each in plain):
        return False
    return bool(_COPYRIGHT.search(plain)) and not _PERMITS.search(plain) and not named_in(text)
