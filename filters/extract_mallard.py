"""The extractor of Mallard, the XML of GNOME's help pages (projectmallard.org/1.0)."""

from __future__ import annotations

import re

import pyarrow as pa

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.extract import each_row
from phloem.filters.op import Measured, op
from phloem.filters.xml_events import parse

MALLARD = "application/mallard+xml"

# Who wrote a page, when, and what leads to it; pictures, and what stands for them.
_DROPPED = frozenset("info media comment".split())
_BLOCKS = frozenset("page section title subtitle p item td tr screen cite desc".split())
_LISTS = frozenset({"steps", "list", "terms"})
_SPACES = re.compile(r"\s+")

_EXAMPLE = b"""<page><info><credit><name>N</name></credit></info><title>Keys</title>
<steps><item><p>Press <key>A</key>
 now.</p></item></steps><screen>a
  b</screen></page>"""


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=1,
    media_types=[MALLARD],
    examples=[
        ((_EXAMPLE, MALLARD), "Keys\n\n1. Press A now.\n\na\n  b"),
        ((b"<page><p>cut", MALLARD), None),
        ((b'<!DOCTYPE a [<!ENTITY b "c">]><page>&b;</page>', MALLARD), None),
    ],
)
def mallard(batch: pa.RecordBatch) -> Measured:
    """Extract what a reader of a Mallard page sees: titles, paragraphs, steps and items, code.

    Steps keep their numbers; credits, revisions, links to other pages and pictures are left out.
    The encoding is that of the XML declaration (RFC 7303). What is no XML, or declares entities of
    its own, is a fault.
    """
    return each_row(batch, _convert)


def _convert(content: bytes, media_type: str | None) -> str:
    del media_type  # XML says its own encoding (RFC 7303, 3.2)
    reading = _Reading()
    parse(content, reading)
    return "\n\n".join(reading.blocks)


class _Reading:
    """The text of a page as the parser meets it.

    Attributes:
        blocks: Titles, paragraphs and items that have ended.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._held: list[str] = []
        self._dropped = self._kept = 0  # how many are open: to leave out, to keep spaces in
        self._lists: list[int | None] = []  # steps so far; None: items are not numbered
        self._mark = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        local = name.rpartition(" ")[2]
        if local in _BLOCKS:
            self._flush()
        if local in _LISTS:
            self._lists.append(0 if local == "steps" else None)
        elif local == "item" and self._lists:
            number = self._lists[-1]
            self._lists[-1] = None if number is None else number + 1
            self._mark = "• " if number is None else f"{number + 1}. "
        self._dropped += local in _DROPPED
        self._kept += local == "screen"

    def end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        if local in _BLOCKS:
            self._flush()
        if local in _LISTS:
            self._lists.pop()
        self._dropped -= local in _DROPPED
        self._kept -= local == "screen"

    def text(self, data: str) -> None:
        if not self._dropped:
            self._held.append(data)

    def entity(self, name: str, is_parameter: bool) -> None:
        """Nothing: names of XML itself and numbers are read as text."""

    def _flush(self) -> None:
        text = "".join(self._held)
        self._held.clear()
        if not self._kept:
            text = _SPACES.sub(" ", text).strip()
        if text.strip():
            self.blocks.append(self._mark + text.strip("\n"))
            self._mark = ""
