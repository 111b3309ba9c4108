"""Formulas of MathML 3 (W3C 2014) as a line of TeX, element by element as a parser meets them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Parts = list[str]
Attributes = Mapping[str, str]

# What a formula shows nothing of: its other ways of being written, and what only takes room.
_SILENT = frozenset(
    {
        "annotation",
        "annotation-xml",
        "graphic",
        "inline-graphic",
        "label",
        "maligngroup",
        "mphantom",
    }
)
_FUNCTIONS = frozenset(
    "arccos arcsin arctan arg cos cosh cot csc deg det dim exp gcd hom inf ker lim ln log max min"
    " sec sin sinh sup tan tanh".split()
)
_INVISIBLE = re.compile("[\u2061-\u2064\u200b]")  # operators that are heard and not seen
_WORD = re.compile(r"\w+")
_SPACES = re.compile(r"\s+")
_PRESCRIPTS = "\0"  # stands for the element that parts what stands behind from what stands before


def _base(said: str) -> str:
    return said if len(said) == 1 or _WORD.fullmatch(said) else f"{{{said}}}"


def _script(sign: str, said: str) -> str:
    if not said:
        return ""
    return f"{sign}{said}" if len(said) == 1 and said.isalnum() else f"{sign}{{{said}}}"


def _scripted(*signs: str) -> Callable[[Parts, Attributes], str]:
    """What has parts below, above or beside itself, each behind a sign."""

    def written(parts: Parts, _: Attributes) -> str:
        said = [*parts, *[""] * (len(signs) + 1 - len(parts))]
        scripts = map(_script, signs, said[1:])
        return _base(said[0]) + "".join(scripts) + "".join(said[len(signs) + 1 :])

    return written


def _fraction(parts: Parts, _: Attributes) -> str:
    return rf"\frac{{{parts[0]}}}{{{''.join(parts[1:])}}}" if parts else ""


def _root(parts: Parts, _: Attributes) -> str:
    return rf"\sqrt[{''.join(parts[1:])}]{{{parts[0]}}}" if parts else ""


def _multiscripts(parts: Parts, _: Attributes) -> str:
    at = parts.index(_PRESCRIPTS) if _PRESCRIPTS in parts else len(parts)

    def pairs(scripts: Parts) -> str:
        return "".join(_script("_^"[place % 2], said) for place, said in enumerate(scripts))

    before = pairs(parts[at + 1 :])
    return (f"{{}}{before}" if before else "") + _base("".join(parts[:1])) + pairs(parts[1:at])


def _fenced(parts: Parts, attributes: Attributes) -> str:
    marks = "".join(attributes.get("separators", ",").split())
    said = "".join(parts[:1])
    for place, part in enumerate(parts[1:]):
        said += (marks[min(place, len(marks) - 1)] if marks else "") + part
    return f"{attributes.get('open', '(')}{said}{attributes.get('close', ')')}"


_WRITTEN: dict[str, Callable[[Parts, Attributes], str]] = {
    "mfenced": _fenced,
    "mfrac": _fraction,
    "mmultiscripts": _multiscripts,
    "mover": _scripted("^"),
    "mprescripts": lambda _parts, _attributes: _PRESCRIPTS,
    "mroot": _root,
    "mspace": lambda _parts, _attributes: " ",
    "msqrt": lambda parts, _: rf"\sqrt{{{''.join(parts)}}}",
    "msub": _scripted("_"),
    "msubsup": _scripted("_", "^"),
    "msup": _scripted("^"),
    "mtable": lambda parts, _: r"\begin{matrix}" + r" \\ ".join(parts) + r"\end{matrix}",
    "mtr": lambda parts, _: " & ".join(parts),
    "munder": _scripted("_"),
    "munderover": _scripted("_", "^"),
    "sub": lambda parts, _: _script("_", "".join(parts)),  # in formulas only set in italics
    "sup": lambda parts, _: _script("^", "".join(parts)),
}
_WRITTEN["mlabeledtr"] = lambda parts, _: " & ".join(parts[1:])


class Formula:
    """A formula as a parser meets its elements.

    Attributes:
        name: Of the element that holds it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._open: list[tuple[str, Attributes, Parts]] = [(name, {}, [])]
        self._silent = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """An element inside it begins."""
        self._open.append((name, attributes, []))
        self._silent += name in _SILENT

    def end(self) -> bool:
        """The innermost element ends; whether it was the formula itself."""
        name, attributes, parts = self._open.pop()
        written = _WRITTEN.get(name)
        said = written(parts, attributes) if written else "".join(parts)
        if name == "mi" and said in _FUNCTIONS:
            said = f"\\{said} "
        if name in _SILENT:
            self._silent -= 1
            said = ""
        if self._open:
            self._open[-1][2].append(said)
            return False
        self._open.append((name, attributes, [said]))
        return True

    def add(self, data: str) -> None:
        """Characters inside it."""
        name, _, parts = self._open[-1]
        if self._silent or (data.isspace() and name.startswith("m") and name != "mtext"):
            return
        said = _INVISIBLE.sub("", data)
        parts.append(said.strip() if name in {"mi", "mn", "mo"} else said)

    def text(self) -> str:
        """What it says, without the dollar signs around it; empty where nothing is known."""
        said = "".join(self._open[0][2]).replace(_PRESCRIPTS, "")
        return _SPACES.sub(" ", said).strip()
