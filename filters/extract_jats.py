"""The extractor of JATS, the XML of journal articles."""

from __future__ import annotations

import html.entities
import re
from xml.parsers import expat

import pyarrow as pa

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.extract import each_row
from phloem.filters.op import Measured, op

# Where a reader's text stands, by the element that holds it.
_SHOWN = frozenset({"title-group", "abstract", "trans-abstract", "body"})
_DROPPED = frozenset(
    (
        "alternatives back boxed-text chem-struct-wrap disp-formula fig fig-group floats-group fn"
        " fn-group graphic inline-formula inline-graphic label media object-id ref-list response"
        " sub-article supplementary-material table-wrap table-wrap-group tex-math trans-title-group"
    ).split()
)
_BLOCKS = frozenset(
    (
        "article-title attrib code def disp-quote list-item p preformat speaker subtitle term title"
        " verse-group verse-line"
    ).split()
)
_KEPT_SPACES = frozenset({"code", "preformat"})
_SPACES = re.compile(r"\s+")
# What stands in brackets once numbered citations are gone: "[1, 3–5]".
_EMPTY_BRACKETS = re.compile(r"\s?[\[(][\s,;–—-]*[\])]")
_NUMBERS = re.compile(r"[\d\s,;–—-]*")


_EXAMPLE = b"""<article><front><article-meta><title-group><article-title>On
<italic>A</italic></article-title></title-group><contrib-group><name>N</name></contrib-group>
<abstract><p>Short [<xref ref-type="bibr">1</xref>].</p></abstract></article-meta></front>
<body><sec><label>1</label><title>Aims</title><p>We <bold>did</bold>.</p>
<table-wrap><p>1</p></table-wrap></sec></body>
<back><ref-list><ref><article-title>T</article-title></ref></ref-list></back></article>"""


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    media_types=["application/jats+xml"],
    examples=[
        ((_EXAMPLE, "application/jats+xml"), "On A\n\nShort.\n\nAims\n\nWe did."),
        ((b"<article><body><p>cut", "application/jats+xml"), None),
        ((b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "application/jats+xml"), None),
    ],
)
def jats(batch: pa.RecordBatch) -> Measured:
    """Extract title, abstracts and body of an article in JATS (ANSI/NISO Z39.96-2015).

    Headings, paragraphs, lists, quotations and code stay. Names of authors, tables, figures,
    formulas, footnotes, references and the numbers that cite them are left out, and so are other
    articles inside it. The encoding is that of the XML declaration (RFC 7303). What is no XML, or
    declares entities of its own, is a fault.
    """
    return each_row(batch, _convert)


def _convert(content: bytes, media_type: str | None) -> str:
    del media_type  # XML says its own encoding (RFC 7303, 3.2)
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    parser.SkippedEntityHandler = reading.entity
    parser.StartDoctypeDeclHandler = _refuse_declarations
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError) as error:  # an encoding that nobody knows
        line = getattr(error, "lineno", 1)
        msg = f"cannot be parsed as XML (line {line})"
        raise ValueError(msg) from None
    return "\n\n".join(block for block in reading.blocks if block)


def _refuse_declarations(name: str, system: str | None, public: str | None, inner: bool) -> None:
    """Refuse a document type with declarations of its own: entities grow without bound."""
    del name, system, public
    if inner:
        msg = "XML with declarations of its own"
        raise ValueError(msg)


class _Reading:
    """The text of an article as the parser meets it.

    Attributes:
        blocks: Headings, paragraphs and items that have ended.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._held: list[str] = []  # of the block that has not ended
        self._shown = self._dropped = self._kept = 0  # how many of these are open
        self._bullet = ""
        self._citation: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._count(local, name, 1)
        if local in _BLOCKS:
            self._flush()
            self._bullet = "• " if local == "list-item" else self._bullet
            self._kept += local in _KEPT_SPACES
        elif local == "break":
            self.text("\n" if self._kept else " ")
        elif local == "xref" and attributes.get("ref-type") == "bibr":
            self._citation = []

    def end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        if local == "xref" and self._citation is not None:
            said = "".join(self._citation)
            self._citation = None
            self.text("" if _NUMBERS.fullmatch(said) else said)
        if local in _BLOCKS:
            self._flush()
            self._kept -= local in _KEPT_SPACES
            self._bullet = "" if local == "list-item" else self._bullet
        self._count(local, name, -1)

    def text(self, data: str) -> None:
        if self._shown and not self._dropped:
            (self._held if self._citation is None else self._citation).append(data)

    def entity(self, name: str, is_parameter: bool) -> None:
        """Take an entity that the article's DTD declares: those of HTML are among them."""
        if not is_parameter:
            self.text(html.entities.html5.get(f"{name};", ""))

    def _count(self, local: str, name: str, step: int) -> None:
        self._shown += step * (local in _SHOWN)
        is_formula = name.startswith("http://www.w3.org/1998/Math/MathML ")
        self._dropped += step * (local in _DROPPED or is_formula)

    def _flush(self) -> None:
        text = "".join(self._held)
        self._held = []
        if not self._kept:
            text = _SPACES.sub(" ", _EMPTY_BRACKETS.sub("", text)).strip()
        if text.strip():
            self.blocks.append(self._bullet + text.strip("\n"))
            self._bullet = ""
