"""The extractor of JATS, the XML of journal articles."""

from __future__ import annotations

import html.entities
import itertools
import re

import pyarrow as pa

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.extract import each_row
from phloem.filters.formulas import Formula
from phloem.filters.op import Measured, op
from phloem.filters.page_lists import numbered
from phloem.filters.raised import END, RAISED, write_raised
from phloem.filters.xml_events import parse

# Where a reader's text stands, by the element that holds it.
_SHOWN = frozenset({"title-group", "abstract", "trans-abstract", "body"})
_DROPPED = frozenset(
    (
        "back chem-struct-wrap fig fig-group floats-group fn fn-group graphic"
        " inline-graphic label media object-id ref-list response sec-meta sub-article"
        " supplementary-material table-wrap table-wrap-group trans-title-group"
    ).split()
)
_BLOCKS = frozenset(
    (
        "article-title attrib code def disp-quote list-item p preformat speaker subtitle term title"
        " tr verse-group verse-line"
    ).split()
)
_FORMULAS = frozenset({"inline-formula", "disp-formula", "math", "tex-math"})
_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_UNKNOWN = "$…$"  # a formula of which there is but a picture
# How the items of a list are marked (`list-type`, JATS 1.3), as `numbered` calls it.
_KINDS = {
    "order": "1",
    "alpha-lower": "a",
    "alpha-upper": "A",
    "roman-lower": "i",
    "roman-upper": "I",
    "simple": "",
}
_NOTES = frozenset({"fn", "table-fn"})  # marks of notes, which are left out
_CELLS = frozenset({"td", "th"})
_KEPT_SPACES = frozenset({"code", "preformat"})
_SPACES = re.compile(r"\s+")
# What stands in brackets once numbered citations are gone: "[1, 3–5]".
_EMPTY_BRACKETS = re.compile(r"\s?[\[(][\s,;–—-]*[\])]")
_NUMBERS = re.compile(r"(?!(?:1[5-9]|20)\d\d[a-z]?\b)[\d\s,;–—-]*")  # and no year
_MARKS = re.compile(r"[\s,;–—-]*")
_RAISINGS = re.compile(r"\0[\^_/]")  # what `RAISED` puts around what stands raised


_EXAMPLE = b"""<article><front><article-meta><title-group><article-title>On
<italic>A</italic></article-title></title-group><contrib-group><name>N</name></contrib-group>
<abstract><p>Short [<xref ref-type="bibr">1</xref>].</p></abstract></article-meta></front>
<body><sec><label>1</label><title>Aims</title><p>We <bold>did</bold>.</p>
<table-wrap><p>1</p></table-wrap></sec></body>
<back><ref-list><ref><article-title>T</article-title></ref></ref-list></back></article>"""


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=4,
    media_types=["application/jats+xml"],
    examples=[
        ((_EXAMPLE, "application/jats+xml"), "On A\n\nShort.\n\nAims\n\nWe did."),
        ((b"<article><body><p>cut", "application/jats+xml"), None),
        ((b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "application/jats+xml"), None),
    ],
)
def jats(batch: pa.RecordBatch) -> Measured:
    """Extract title, abstracts and body of an article in JATS (ANSI/NISO Z39.96-2015).

    Headings, paragraphs, lists with their labels or numbers, boxes, quotations and code stay;
    formulas once, as TeX between dollar signs, or an ellipsis between them for an image; powers as
    `10^6`. Names of authors, tables, figures, footnotes, references and the marks that lead to them
    are left out, and so are other articles inside it. The encoding is that of the XML declaration
    (RFC 7303). What is no XML, or declares entities of its own, is a fault.
    """
    return each_row(batch, _convert)


def _convert(content: bytes, media_type: str | None) -> str:
    del media_type  # XML says its own encoding (RFC 7303, 3.2)
    reading = _Reading()
    parse(content, reading)
    return "\n\n".join(block for block in reading.blocks if block)


class _Reading:
    """The text of an article as the parser meets it.

    Attributes:
        blocks: Headings, paragraphs and items that have ended.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._held: list[list[str]] = [[]]  # of the block, and of what is open inside it
        self._shown = self._dropped = self._kept = 0  # how many of these are open
        self._bullet = ""
        self._before = ""  # the element that began last
        self._label: list[str] | None = None  # of an item, which says how it is marked
        self._cites: list[str] = []  # what is open refers to, as `ref-type` says
        self._lists: list[tuple[str, int]] = []  # how items are marked, and how many there were
        self._formula: Formula | None = None
        self._tex: list[str] = []  # that stands beside a formula
        self._in_tex = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if self._formula is None and local in _FORMULAS:
            self._formula = Formula(local)
            self._tex = []
        elif self._formula is not None:
            self._formula.start(local, attributes)
        self._in_tex += local == "tex-math"
        if local == "label" and self._before == "list-item" and not self._dropped:
            self._label = []
        self._before = local
        self._count(local, 1)
        if self._formula is not None or self._dropped:
            return
        if local == "list":
            self._flush()
            self._lists.append((_KINDS.get(attributes.get("list-type", ""), "•"), 0))
        elif local in _BLOCKS:
            self._flush()
            self._kept += local in _KEPT_SPACES
            if local == "list-item":
                self._mark()
        elif local == "break":
            self.text("\n" if self._kept else " ")
        elif local in RAISED or local == "xref":
            self._held.append([])
            self._cites.append(attributes.get("ref-type", ""))

    def end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        formula = self._formula
        if formula is not None:
            self._in_tex -= local == "tex-math"
            if formula.end():
                self._formula = None
                self.text(self._shown_formula(formula))
        elif self._label is not None and local == "label":
            said = "".join(self._label).strip()
            self._bullet = f"{said} " if said else self._bullet
            self._label = None
        elif self._dropped:
            pass
        elif local in _CELLS:
            self.text(" ")
        elif local in RAISED or local == "xref":
            self._close(local)
        elif local == "list":
            self._flush()
            self._lists.pop()
        elif local in _BLOCKS or local in _SHOWN:
            self._flush()
            self._kept -= local in _KEPT_SPACES
            self._bullet = "" if local == "list-item" else self._bullet
        self._count(local, -1)

    def _mark(self) -> None:
        """Mark the next item of the list that is open as the list says."""
        kind, place = self._lists[-1] if self._lists else ("•", 0)
        self._lists[-1:] = [(kind, place + 1)]
        marker = numbered(place + 1, kind)
        self._bullet = f"{marker} " if marker else ""

    def _shown_formula(self, formula: Formula) -> str:
        """One line between dollar signs; an ellipsis between them where nothing is known."""
        tex = "".join(self._tex)
        document = _DOCUMENT.search(tex)
        said = (document[1] if document else tex).strip().strip("$").strip() or formula.text()
        shown = f"${_SPACES.sub(' ', said)}$" if said else _UNKNOWN
        return f" {shown} " if formula.name == "disp-formula" else shown

    def _close(self, local: str) -> None:
        said = "".join(self._held.pop())
        cites = self._cites.pop()
        pattern = _NUMBERS if local == "xref" else _MARKS
        numbers = cites == "bibr" and pattern.fullmatch(_RAISINGS.sub("", said))
        if numbers or cites in _NOTES:
            said = ""
            self._cites[-1:] = ["bibr"] * len(self._cites[-1:])  # what is around it holds that
        elif local in RAISED:
            said = f"{RAISED[local]}{said}{END}"
        self._held[-1].append(said)

    def text(self, data: str) -> None:
        if self._in_tex:
            self._tex.append(data)
        elif self._formula is not None:
            self._formula.add(data)
        elif self._label is not None:
            self._label.append(data)
        elif self._shown and not self._dropped:
            self._held[-1].append(data)

    def entity(self, name: str, is_parameter: bool) -> None:
        """Take an entity that the article's DTD declares: those of HTML are among them."""
        if not is_parameter:
            self.text(html.entities.html5.get(f"{name};", ""))

    def _count(self, local: str, step: int) -> None:
        self._shown += step * (local in _SHOWN)
        self._dropped += step * (local in _DROPPED)

    def _flush(self) -> None:
        text = write_raised("".join(itertools.chain(*self._held)))
        for each in self._held:
            each.clear()
        if not self._kept:
            text = _SPACES.sub(" ", _EMPTY_BRACKETS.sub("", text)).strip()
        if text.strip():
            self.blocks.append(self._bullet + text.strip("\n"))
            self._bullet = ""
