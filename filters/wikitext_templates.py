"""What the templates show that many wikis share: numbers, units, dates, quotations, languages.

A wiki's own templates are not in its pages, so that they cannot be expanded. Those here are known
by name, as several large wikis call them; of a template of another name it is only known whether
it left a hole (`wikitext_holes.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from phloem.filters.page_lists import numbered
from phloem.filters.raised import END, RAISED

Named = Mapping[str, str]
Template = Callable[[list[str], Named], str]

NAMES = "wikitext_templates.yaml"
"""The data file of their names."""

_SUP, _SUB = RAISED["sup"], RAISED["sub"]

_RANGES = {
    "-": "–",
    "&ndash;": "–",
    "*": "×",
    "x": "×",
    "xx": "×",
    "+/-": "±",
    "and(-)": "and",
    "to(-)": "to",
    **{word: word for word in "– to and or by × ± + , to about".split()},
    "to about": "to about",
}
_UNITS = {
    "C": "°C",
    "F": "°F",
    "degC": "°C",
    "degF": "°F",
    "sqmi": "sq mi",
    "sqft": "sq ft",
    "cuft": "cu ft",
    "cumi": "cu mi",
}
_SCALED = re.compile(r"(?:e([369]|12)(?=[^\W\d]))?(.*)", re.DOTALL)
_POWER = re.compile(r"(?<=[A-Za-z])([23])$")
_NUMBER = re.compile(r"[-+−]?[\d.,/\s]+")


def _first(given: list[str], named: Named) -> str:
    """The first parameter."""
    del named
    return given[0] if given else ""


def _second(given: list[str], named: Named) -> str:
    """The second parameter, behind a language or a link."""
    del named
    return given[1] if len(given) > 1 else ""


def _label(given: list[str], named: Named) -> str:
    """The second parameter where there is one: a link, and how it is called."""
    del named
    return (given[1:2] or [""])[0].strip() or _first(given, {})


def _last(given: list[str], named: Named) -> str:
    """The last parameter, behind languages and schemes."""
    del named
    return given[-1] if given else ""


def _joined(given: list[str], named: Named) -> str:
    """All parameters, as a number and its unit or the parts of a date."""
    del named
    return " ".join(part.strip() for part in given if part.strip())


def _whole(given: list[str], named: Named) -> str:
    """All parameters without a blank between them, as a formula of chemistry."""
    del named
    return "".join(part.strip() for part in given)


def _bracketed(given: list[str], named: Named) -> str:
    """The first parameter, and the others in brackets: a word, its writing and its reading."""
    del named
    first, *others = [part.strip() for part in given[:3]] or [""]
    others = [part for part in others if part]
    return f"{first} ({', '.join(others)})" if others and first else first or " ".join(others)


def _unit(name: str) -> str:
    """A unit as it is shown; `e6km2` is a million of them."""
    scale, name = _SCALED.fullmatch(name.strip()).groups()  # type: ignore[union-attr]
    if scale:
        return f"×10{_SUP}{scale}{END} {_unit(name)}"
    return _UNITS.get(name) or _POWER.sub(lambda found: f"{_SUP}{found[1]}{END}", name)


def _convert(given: list[str], named: Named) -> str:
    """A measure in the unit that it is given in: `1300 mi`, `3 to 5 km`, `6 ft 2 in`."""
    del named
    parts = [part.strip() for part in given]
    shown, rest = parts[:1], parts[1:]
    while len(rest) > 1 and rest[0] in _RANGES:
        shown += [_RANGES[rest[0]], rest[1]]
        rest = rest[2:]
    shown += [_unit(rest[0])] if rest else []
    rest = rest[1:]
    while len(rest) > 1 and rest[0] and _NUMBER.fullmatch(rest[0]):
        shown += [rest[0], _unit(rest[1])]
        rest = rest[2:]
    return " ".join(shown).replace(" ×10", "×10")


def _units(given: list[str], named: Named) -> str:
    """A number, and units with the powers that follow them: `{{unité|10|km|2}}`."""
    parts = [part.strip() for part in given]
    shown = parts[:1]
    for part in parts[1:]:
        is_power = len(shown) > 1 and re.fullmatch(r"[-−]?\d", part)
        if is_power:
            shown[-1] += f"{_SUP}{part}{END}"
        elif part:
            shown.append(part)
    power = named.get("e", "").strip()
    shown[:1] = [f"{shown[0]} × 10{_SUP}{power}{END}"] if power and shown else shown[:1]
    return " ".join(shown)


def _val(given: list[str], named: Named) -> str:
    """A number with its uncertainty or its unit, its power of ten and unit."""
    parts = [part.strip() for part in given]
    number, *errors = parts[:3] or [""]
    if not any(map(str.isdecimal, number)):
        return ""
    prefixed = "".join(errors)
    if prefixed.isalpha():  # Italian's `{{M|5|k|m}}`
        number += f" {prefixed}"
    elif any(error.startswith(("+", "-", "−")) for error in errors):  # of two sides
        number += "".join(f" {error}" for error in errors if error) + " " * ("e" in named)
    elif errors and errors[0]:
        number += f"±{errors[0]}"
    power = named.get("e", "").strip()
    unit = (named.get("u") or named.get("ul") or "").strip()
    per = (named.get("up") or named.get("upl") or "").strip()
    before, after = named.get("p", "").strip(), named.get("s", "").strip()
    scaled = f"{before}{number}" + (f"×10{_SUP}{power}{END}" if power else "") + after
    shown = f"{scaled} {_unit(unit)}" if unit else scaled
    return f"{shown}/{per}" if per else shown


def _fraction(given: list[str], named: Named) -> str:
    """`1/2` or `3 1/2`."""
    del named
    parts = [part.strip() for part in given if part.strip()]
    if len(parts) == 1:
        return f"1/{parts[0]}"
    return f"{' '.join(parts[:-2])} {'/'.join(parts[-2:])}".strip()


def _date(given: list[str], named: Named) -> str:
    """A day as ISO 8601 writes it, as far as it is known; what is no number stays as it is."""
    del named
    parts = [part.strip() for part in given if part.strip()]
    if not parts or not parts[0].isdecimal():
        return parts[0] if parts else ""
    known = []
    for part in parts[:3]:
        if not part.isdecimal():
            break
        known.append(part.zfill(2))
    return "-".join(known)


def _circa(given: list[str], named: Named) -> str:
    del named
    return "c. " + "–".join(part.strip() for part in given[:2] if part.strip())


def _tex(given: list[str], named: Named) -> str:
    return f"${_first(given, named).strip()}$" if given else ""


def _as_of(given: list[str], named: Named) -> str:
    word = "as of" if named.get("lc") else "As of"
    return f"{word} {_date(given, named)}"


def _raised(given: list[str], named: Named) -> str:
    return f"{_SUP}{_first(given, named).strip()}{END}"


def _lowered(given: list[str], named: Named) -> str:
    return f"{_SUB}{_first(given, named).strip()}{END}"


def _ten(given: list[str], named: Named) -> str:
    return f"10{_SUP}{_first(given, named).strip()}{END}"


def _both(given: list[str], named: Named) -> str:
    """What stands raised and what stands lowered at one place."""
    del given
    return "".join(
        f"{mark}{named[key].strip()}{END}"
        for key, mark in (("b", _SUB), ("p", _SUP))
        if key in named
    )


def _degrees(given: list[str], named: Named) -> str:
    return f"{_first(given, named).strip()}°"


def _root(given: list[str], named: Named) -> str:
    return f"√{_first(given, named).strip()}"


def _roman(given: list[str], named: Named) -> str:
    said = _first(given, named).strip()
    return numbered(int(said), "I").rstrip(".") if re.fullmatch(r"\d{1,4}", said) else said


def _two(given: list[str], named: Named) -> str:
    """The first two parameters: the kind of a ship, and its name."""
    return _joined(given[:2], named)


def _power(given: list[str], named: Named) -> str:
    power = _first(given, named).strip()
    return f"×10{_SUP}{power}{END}" if power else "e"  # of an ordinal, in French


def _century(given: list[str], named: Named) -> str:
    """A century as French writes it, `XIXe siècle`; elsewhere what must not be broken."""
    if given[1:2] and given[1].strip() in {"e", "er"}:
        return f"{given[0].strip()}{given[1].strip()} siècle"
    return _first(given, named)


def _quotation(given: list[str], named: Named) -> str:
    """A quotation as a paragraph of its own."""
    said = next((named[key] for key in ("text", "quote", "цитата", "texte") if named.get(key)), "")
    return f"\n\n{(said or _first(given, named)).strip()}\n\n"


_SHOWN: Mapping[str, Template] = {
    "as_of": _as_of,
    "both": _both,
    "bracketed": _bracketed,
    "century": _century,
    "circa": _circa,
    "convert": _convert,
    "date": _date,
    "degrees": _degrees,
    "first": _first,
    "fraction": _fraction,
    "joined": _joined,
    "label": _label,
    "last": _last,
    "lowered": _lowered,
    "power": _power,
    "quotation": _quotation,
    "raised": _raised,
    "roman": _roman,
    "root": _root,
    "second": _second,
    "ten": _ten,
    "tex": _tex,
    "two": _two,
    "units": _units,
    "val": _val,
    "whole": _whole,
}
SIGNS: Mapping[str, str] = {
    "!": "|",
    "=": "=",
    "'": "'",
    "nbsp": " ",
    "space": " ",
    "spaces": " ",
    "snd": " – ",
    "spnd": " – ",
    "spaced ndash": " – ",
    "ndash": "–",
    "–": "–",
    "mdash": "—",
    "—": "—",
    "dash": " – ",
    "·": " · ",
    "dot": " · ",
    "bull": " • ",
    "•": " • ",
    "minus": "−",
    "pi": "π",
    "π": "π",
    "°": "°",
    "times": "×",
    "tex": "TeX",
    "latex": "LaTeX",
    "'s": "'s",
    "av jc": "av. J.-C.",
    "apr jc": "apr. J.-C.",
}
"""What a template shows that takes nothing, by its name."""

_FUNCTIONS: Mapping[str, Callable[[str], str]] = {
    "formatnum": str,
    "zahlenformat": str,
    "lc": str.lower,
    "uc": str.upper,
    "lcfirst": lambda said: said[:1].lower() + said[1:],
    "ucfirst": lambda said: said[:1].upper() + said[1:],
}
_OWN_NAME = re.compile(r"[IVXLCDM]+er?(?: (?:siècle|millénaire))?|1er(?: \w+)?|[nN]°|CO2|H2O")
# What stands before what a template of this name is given: sums of money, and names of ships.
_MONEY = re.compile(r"[a-z]{0,3}[$£€¥₹₩]")
_SHIPS = frozenset("hmas hmcs hmnzs hms ins jds js mv rms sms ss usns uss".split())
_LANGUAGE = re.compile(r"(?:lang|langue|язык|sprache)-[\w-]+")  # {{lang-fr|texte}}
_SCRIPT = re.compile(r"[a-z]{2,3}-(?:latn|cyrl|arab|hans|hant|hebr)")


@functools.cache
def _named() -> Mapping[str, str]:
    """What a template shows, as `wikitext_templates.yaml` calls it, by the template's name."""
    value = yaml.load(Path(__file__).with_name(NAMES).read_bytes(), Loader=yaml.CSafeLoader)
    return {name: kind for kind, names in value.items() for name in names.split(" | ")}


def known(name: str) -> Template | None:
    """What shows a template of this name, in lower case with single blanks; None for others."""
    if _MONEY.fullmatch(name) or name in _SHIPS:
        blank = " " * (name in _SHIPS)
        return lambda given, named: f"{name.upper()}{blank}{_first(given, named).strip()}"
    found = _SHOWN.get(_named().get(name, ""))
    return found or (_first if _LANGUAGE.fullmatch(name) or _SCRIPT.fullmatch(name) else None)


def is_silent(name: str) -> bool:
    """Whether a template of this name shows nothing in a sentence: the mark of a note."""
    return _named().get(name) == "silent"


def own_name(name: str) -> Template | None:
    """What shows a template that shows its own name and what it is given; None for others.

    French writes centuries, first days and numbers so: `{{XIXe siècle}}`, `{{n°|5}}`.
    """
    name = name.strip()
    if not _OWN_NAME.fullmatch(name):
        return None
    return lambda given, named: _joined([name, *given], named)


def function_of(name: str) -> str | None:
    """What a parser function shows that changes how a word or number looks; None for others."""
    function, colon, given = name.partition(":")
    shows = _FUNCTIONS.get(function.strip().casefold()) if colon else None
    return shows(given.strip()) if shows else None
