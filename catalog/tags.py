"""What tags of languages mean: BCP-47 (RFC 5646), each in one form, and which are of one language.

The IANA registry of subtags and CLDR's replacements come from `langcodes`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import langcodes
from langcodes.data_dicts import MACROLANGUAGES
from langcodes.registry_parser import parse_registry
from langcodes.tag_parser import LanguageTagError

from phloem.catalog.errors import PhloemError

UNKNOWN, NO_LANGUAGE = "und", "zxx"  # RFC 5646, section 4.1

# Languages of their own, declared and published by their own tags, for which CLDR puts another: a
# macrolanguage, a region, or the other name of the same language.
_KEPT = {tag: tag for tag in ("fat", "kmr", "mhr", "prs", "tl", "tw")} | {"tgl": "tl", "twi": "tw"}

# One language under two names; and Norwegian, as nearly all of it is written.
_SAME = {"fil": "tl", "no": "nb"}

# ISO 639-3 counts Indonesian, Minangkabau and others under `msa`; by `ms` all mean Malay.
_OWN_LANGUAGE_ONLY = frozenset({"ms"})

_NO_SCRIPTS = frozenset({"Zinh", "Zyyy", "Zzzz"})  # of several, or of none (ISO 15924)

_LONGEST_NAME = 40  # characters of what is looked for among the names of languages

_EXTENDED = 3  # letters of a subtag that says what `zh-yue` says by `yue` (RFC 5646, 2.2.2)


class TagError(PhloemError, ValueError):
    """A tag that names no language."""


@functools.cache
def canonical(tag: str) -> str:
    """The one form of a tag: `zh` for `cmn` and `zho`, `sw` for `swh`, `pt-BR` for `pt_br`.

    Subtags in their usual case (RFC 5646, 2.1.1), the shortest code of a language (2.2.1), the
    preferred value of what is deprecated, the macrolanguage for its chief member (CLDR, UTS #35
    part 1, 3.2.1), no script that goes without saying (Suppress-Script), and no extensions.

    Raises:
        TagError: it is no tag, or a subtag of it is not registered; says the nearest one.
    """
    first, *rest = tag.replace("_", "-").split("-")
    own = _KEPT.get(first.lower())
    try:
        # What follows a language whose tag is kept is put in order behind one that has no other.
        asked = "-".join([UNKNOWN if own else first, *rest])
        found = langcodes.standardize_tag(asked, macro=True) if tag.isascii() else ""
    except LanguageTagError:
        found = ""
    language, *others = found.split("-")
    kept = list(itertools.takewhile(lambda subtag: len(subtag) > 1, others))
    is_known = language.isalpha() and len(language) > 1 and langcodes.tag_is_valid(found)
    if not is_known or any(len(each) == _EXTENDED and each.isalpha() for each in kept):
        raise TagError(_fault(tag))
    return "-".join([own or language, *kept])


@functools.cache
def primary(tag: str) -> str:
    """The language that a tag is compared by: its first subtag, one for each language.

    Of what is no tag, its first subtag as it stands.
    """
    first = _canonical_or_itself(tag).split("-", maxsplit=1)[0].lower()
    return _SAME.get(first, first)


@functools.cache
def lookup(tag: str) -> tuple[str, ...]:
    """Where to look for what holds for a tag, finest first (RFC 4647, 3.4), its macrolanguage last.

    `zh-Hant-TW`, `zh-Hant`, `zh`; `yue-HK`, `yue`, `zh`.
    """
    parts = _canonical_or_itself(tag).split("-")
    found = ["-".join(parts[:size]) for size in range(len(parts), 0, -1)]
    others = [primary(parts[0]), _macrolanguage(parts[0])]
    return tuple(dict.fromkeys([*found, *(other for other in others if other)]))


@functools.cache
def agree(one: str, other: str) -> bool:
    """Whether both tags may be of one text: one language, or a language and what encompasses it."""
    first, second = (_canonical_or_itself(tag).split("-")[0] for tag in (one, other))
    is_wider = first == _macrolanguage(second) or second == _macrolanguage(first)
    return primary(first) == primary(second) or is_wider


@functools.cache
def script(tag: str) -> str:
    """The script (ISO 15924) that a tag names, else the one its language is mostly written in.

    `Zzzz` where neither is known (CLDR, likely subtags).
    """
    found = langcodes.Language.get(_canonical_or_itself(tag)).maximize().script
    return found or "Zzzz"


@functools.cache
def language_of_script(script: str) -> str | None:
    """The language that a script is mostly used for (CLDR, likely subtags), if one is known."""
    if script in _NO_SCRIPTS:
        return None
    found = langcodes.Language.get(f"{UNKNOWN}-{script}").maximize().language
    return canonical(found) if found and found != UNKNOWN else None


def _macrolanguage(language: str) -> str | None:
    found = MACROLANGUAGES.get(language)
    return None if found in _OWN_LANGUAGE_ONLY else found


def _canonical_or_itself(tag: str) -> str:
    try:
        return canonical(tag)
    except TagError:
        return tag


@functools.lru_cache(1024)  # a search takes a tenth of a second
def _fault(tag: str) -> str:
    first, *rest = tag.replace("_", "-").lower().split("-")
    codes, names = _registered()
    wrong = next((each for each in [first, *rest] if each not in codes), first)
    known = names if wrong == first else codes
    near = get_close_matches(wrong, known, n=1) if len(wrong) <= _LONGEST_NAME else []
    meant = "such are sw and zh-Hant"
    if near:
        found = known[near[0]]
        meant = f"did you mean {canonical(found) if wrong == first else found} ({near[0]})?"
    return f"{tag[:40]!r} is no language tag (BCP-47); {meant}"


@functools.cache
def _registered() -> tuple[dict[str, str], dict[str, str]]:
    """Every registered subtag by its lower case; that of a language by itself and English names."""
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    entries: Iterator[dict[str, Any]] = parse_registry()  # type: ignore[no-untyped-call]
    for entry in entries:
        subtag = entry.get("Subtag", "")
        if "Deprecated" in entry or not subtag:
            continue
        codes.setdefault(subtag.lower(), subtag)
        if entry["Type"] == "language":
            for name in [subtag, *entry["Description"]]:
                names.setdefault(name.lower(), subtag)
    return codes, names
