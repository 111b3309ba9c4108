"""Formulas of pages: each once, as TeX where the page has that."""

from __future__ import annotations

import re
from typing import Any

from phloem.filters.formulas import Formula

_TEX = "annotation[encoding='application/x-tex'], annotation[encoding='TeX']"
_SCRIPT = "script[type^='math/tex']"
# Where a page has TeX in scripts, what MathJax 2 made of it; else its glyphs, beside MathML.
_MADE = ".MathJax, .MathJax_Display, .MathJax_SVG, .MathJax_CHTML, .MJX_Assistive_MathML"
_GLYPHS = ".MathJax > nobr"
_NOTE_DEPTH = 10  # elements between a formula and its TeX; pages have two at most
# Pictures of formulas, whose alternative text is their TeX: of Sphinx, MediaWiki, WordPress and
# Doxygen; and of LaTeX2HTML, where nothing else tells them.
_PICTURES = (
    "img.math, img.tex, img.latex, img.formulaInl, img.formulaDsp, div.math img,"
    " img[alt^='$'], img[alt^='\\\\']"
)
_COMMAND = re.compile(r"\\[A-Za-z]+(?![\w\\:.])")  # of TeX, and no path of Windows
_DELIMITED = re.compile(r"(\$\$?|\\[(\[])(.*?)(?:\$\$?|\\[)\]])", re.DOTALL)
_STYLE = re.compile(r"\{\\(?:displaystyle|textstyle)\s*(.*)\}", re.DOTALL)  # MediaWiki's wrapper


def spell_out(tree: Any) -> None:
    """Have each formula of Resiliparse's tree stand there once, as text.

    That is TeX between dollar signs: the page's own, or else what its MathML says.
    """
    select = tree.document.query_selector_all
    scripts = select(_SCRIPT).values()
    for script in scripts:
        _write_tex(tree, script, script.text, display="display" in script.getattr("type"))
    for made in select(_MADE if scripts else _GLYPHS).values():
        made.decompose()
    for picture in select(_PICTURES).values():
        _write_picture(tree, picture)
    for hidden in select("[class*='mwe-math'][style]").values():  # MediaWiki shows a picture
        hidden.delattr("style")
    for note in select(_TEX).values():
        math = _math(note)
        if math is not None:
            _write_tex(tree, math, note.text, display=math.getattr("display") == "block")
    for note in select("annotation, annotation-xml").values():
        note.decompose()
    for math in reversed(select("math").values()):  # one within another before that
        tex = math.getattr("alttext") or _tex_of(math)
        _write_tex(tree, math, tex, display=math.getattr("display") == "block")


def _write_picture(tree: Any, picture: Any) -> None:
    """Replace the picture of a formula by its TeX; one that begins as TeX and is none stays."""
    said = (picture.getattr("alt") or "").strip()
    delimited = _DELIMITED.fullmatch(said)
    if delimited:
        _write_tex(tree, picture, delimited[2], display=delimited[1] in {"$$", "\\["})
    elif said[:1] not in {"$", "\\"} or _COMMAND.match(said):
        around = (picture.parent, picture.parent.parent)
        display = any(node is not None and "math" in node.class_list for node in around)
        _write_tex(tree, picture, said, display=display)


def _math(note: Any) -> Any:
    """The formula that a note is of, or None."""
    for _ in range(_NOTE_DEPTH):
        note = note.parent
        if note is None or note.tag == "math":
            return note
    return None


def _tex_of(math: Any) -> str:
    """The TeX of what a formula's elements say."""
    formula = Formula("math")
    node = math.first_child
    while node is not None:
        if node.type == node.type.ELEMENT:
            marks = ("open", "close", "separators") if node.tag == "mfenced" else ()
            given = {mark: node.getattr(mark) for mark in marks}
            formula.start(
                node.tag, {mark: said for mark, said in given.items() if said is not None}
            )
            if node.first_child is not None:
                node = node.first_child
                continue
            formula.end()
        else:
            formula.add(node.value or "")
        while node.next is None:
            node = node.parent
            if node == math:
                formula.end()
                return formula.text()
            formula.end()
        node = node.next
    return ""


def _write_tex(tree: Any, node: Any, tex: str, *, display: bool) -> None:
    """Replace an element by its formula in TeX, delimited as TeX does it."""
    tex = tex.strip()
    if not tex:
        node.decompose()
        return
    wrapped = _STYLE.fullmatch(tex)
    mark = "$$" if display else "$"
    node.replace_with(tree.create_text_node(f"{mark}{wrapped[1] if wrapped else tex}{mark}"))
