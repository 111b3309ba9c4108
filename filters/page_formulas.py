"""Formulas of pages: each once, as TeX where the page has that."""

from __future__ import annotations

import re
from typing import Any

_TEX = "annotation[encoding='application/x-tex'], annotation[encoding='TeX']"
_SCRIPT = "script[type^='math/tex']"
# Where a page has TeX in scripts, what MathJax 2 made of it; else its glyphs, beside MathML.
_MADE = ".MathJax, .MathJax_Display, .MathJax_SVG, .MathJax_CHTML, .MJX_Assistive_MathML"
_GLYPHS = ".MathJax > nobr"
_NOTE_DEPTH = 10  # elements between a formula and its TeX; pages have two at most
_STYLE = re.compile(r"\{\\(?:displaystyle|textstyle)\s*(.*)\}", re.DOTALL)  # MediaWiki's wrapper
# What stands between the parts of an element of MathML when it is written on a line.
_BETWEEN = {
    "msup": "^",
    "msub": "_",
    "msubsup": "_^",
    "mover": "^",
    "munder": "_",
    "munderover": "_^",
    "mfrac": "/",
}


def spell_out(tree: Any) -> None:
    """Have each formula of Resiliparse's tree stand there once, as text.

    That is TeX between dollar signs; or, where a page has nothing else, its MathML on a line.
    """
    select = tree.document.query_selector_all
    scripts = select(_SCRIPT).values()
    for script in scripts:
        _write_tex(tree, script, script.text, display="display" in script.getattr("type"))
    for made in select(_MADE if scripts else _GLYPHS).values():
        made.decompose()
    for hidden in select("[class*='mwe-math'][style]").values():  # MediaWiki shows a picture
        hidden.delattr("style")
    for note in select(_TEX).values():
        math = _math(note)
        if math is not None:
            _write_tex(tree, math, note.text, display=math.getattr("display") == "block")
    for note in select("annotation, annotation-xml").values():
        note.decompose()
    for math in select("math[alttext]").values():
        _write_tex(tree, math, math.getattr("alttext"), display=math.getattr("display") == "block")
    _write_on_a_line(tree)


def _math(note: Any) -> Any:
    """The formula that a note is of, or None."""
    for _ in range(_NOTE_DEPTH):
        note = note.parent
        if note is None or note.tag == "math":
            return note
    return None


def _write_on_a_line(tree: Any) -> None:
    """Put signs between the parts of MathML that stand above and below each other."""
    for node in tree.document.query_selector_all(", ".join(_BETWEEN)).values():
        parts = node.children.values()
        for part, sign in zip(parts[1:], _BETWEEN[node.tag] * len(parts), strict=False):
            node.insert_before(tree.create_text_node(sign), part)
        for part in parts:
            if part.child_element_count > 1:
                part.prepend(tree.create_text_node("("))
                part.append(tree.create_text_node(")"))


def _write_tex(tree: Any, node: Any, tex: str, *, display: bool) -> None:
    """Replace an element by its formula in TeX, delimited as TeX does it."""
    tex = tex.strip()
    wrapped = _STYLE.fullmatch(tex)
    mark = "$$" if display else "$"
    node.replace_with(tree.create_text_node(f"{mark}{wrapped[1] if wrapped else tex}{mark}"))
