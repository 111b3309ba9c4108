"""XHTML: pages that browsers read as XML, written as the HTML that is read the same."""

from __future__ import annotations

import html
import re

XHTML = "application/xhtml+xml"
"""The media type of pages that are XML (RFC 3236)."""

# Comments; sections whose text is no markup; elements that are closed as they are opened; and the
# end tags of those that HTML never closes. An attribute's value holds no `<` (XML 1.0, 2.3), which
# keeps each search short; what a page that was cut does not close ends with it.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<!\[CDATA\[(?P<text>.*?)(?:\]\]>|\Z)"
    r"""|<(?P<name>[A-Za-z][\w.:-]*+)(?P<rest>(?:[^<>"'/]|/(?!>)|"[^"<]*+"|'[^'<]*+')*+)/>"""
    r"|</(?P<void>area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\s*+>",
    re.DOTALL,
)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())


def as_html(page: str) -> str:
    """A page of XHTML as a parser of HTML reads it rightly.

    To that, `<script src="x"/>` is a script that never ends, and holds the whole page; and a
    `CDATA` section is a comment.
    """
    return _MARKUP.sub(_written, page)


_MATHML = "http://www.w3.org/1998/Math/MathML"
_PREFIX = re.compile(rf"""\sxmlns:([\w.-]+)\s*=\s*["']{re.escape(_MATHML)}["']""")


def with_plain_math(page: str) -> str:
    """A page whose formulas are elements of HTML: without the prefix that XML gives MathML."""
    found = _PREFIX.search(page) if _MATHML in page else None
    return re.sub(rf"(</?){re.escape(found[1])}:(?=[a-z])", r"\1", page) if found else page


def _written(found: re.Match[str]) -> str:
    if found["text"] is not None:
        return html.escape(found["text"], quote=False)
    if found["void"]:
        return ""
    name = found["name"]
    return found[0] if name is None or name in _VOID else f"<{name}{found['rest']}></{name}>"
