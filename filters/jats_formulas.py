"""Formulas of XML as a line of TeX: that which stands beside, else made of MathML 3 (W3C 2014)."""

from __future__ import annotations

import re

FORMULAS = frozenset({"inline-formula", "disp-formula", "math", "tex-math"})
"""Elements that hold one formula, often in several ways."""

# What stands before, between and behind the children of an element.
_AROUND = {
    "mfrac": (r"\frac{", "}{", "}"),
    "mover": ("{", "}^{", "}"),
    "mroot": ("{", "}^{1/", "}"),
    "msqrt": (r"\sqrt{", "", "}"),
    "msub": ("{", "}_{", "}"),
    "msubsup": ("{", "}_{", "}^{", "}"),
    "msup": ("{", "}^{", "}"),
    "munder": ("{", "}_{", "}"),
    "munderover": ("{", "}_{", "}^{", "}"),
}
_SCRIPTS = {"sup": "^{", "sub": "_{"}  # in formulas that are only set in italics
_SILENT = frozenset({"annotation", "annotation-xml", "graphic", "inline-graphic", "label"})
_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_SINGLE = re.compile(r"\{(\w+)\}(?=[_^])")
_POWER = re.compile(r"([_^])\{(\w)\}")
_SPACES = re.compile(r"\s+")
_UNKNOWN = "$…$"


class Formula:
    """A formula as the parser meets its elements.

    Attributes:
        name: Of the element that holds it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._open: list[tuple[str, int]] = [(name, 0)]  # with how many children each had
        self._tex: list[str] = []
        self._math: list[str] = []
        self._silent = 0
        self._in_tex = int(name == "tex-math")

    def start(self, local: str) -> None:
        """An element inside it begins."""
        above, children = self._open[-1]
        around = _AROUND.get(above)
        if around and children < len(around) - 1:
            self._math.append(around[children])
        self._open[-1] = (above, children + 1)
        self._open.append((local, 0))
        self._math.append(_SCRIPTS.get(local, ""))
        self._silent += local in _SILENT
        self._in_tex += local == "tex-math"

    def end(self, local: str) -> bool:
        """An element ends; whether it was the formula itself."""
        name, children = self._open.pop()
        if name in _AROUND and children:
            self._math.append(_AROUND[name][-1])
        self._math.append("}" if local in _SCRIPTS else "")
        self._silent -= local in _SILENT
        self._in_tex -= local == "tex-math"
        return not self._open

    def add(self, data: str) -> None:
        """Characters inside it."""
        if self._silent:
            return
        name = self._open[-1][0]
        if data.isspace() and name.startswith("m") and name != "mtext":
            return
        (self._tex if self._in_tex else self._math).append(data)

    def text(self) -> str:
        """One line between dollar signs; an ellipsis between them where nothing is known."""
        tex = "".join(self._tex)
        document = _DOCUMENT.search(tex)
        said = (document[1] if document else tex).strip().strip("$")
        if not said.strip():
            said = _POWER.sub(r"\1\2", _SINGLE.sub(r"\1", "".join(self._math)))
        said = _SPACES.sub(" ", said).strip()
        shown = f"${said}$" if said else _UNKNOWN
        return f" {shown} " if self.name == "disp-formula" else shown
