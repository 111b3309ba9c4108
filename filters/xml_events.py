"""XML read by events, for extractors: what is none, or declares entities of its own, is a fault."""

from __future__ import annotations

from typing import Protocol
from xml.parsers import expat


class Reading(Protocol):
    """What an extractor does at each event; a name is a namespace, a blank, and a local name."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """Text within one, all that stands together."""

    def entity(self, name: str, is_parameter: bool) -> None:
        """A reference to an entity that the document does not declare."""


def parse(content: bytes, reading: Reading) -> None:
    """Read a document; its encoding is that of the XML declaration (RFC 7303, 3.2).

    Raises ValueError, without text, for what cannot be parsed and for declarations of its own.
    """
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


def _refuse_declarations(name: str, system: str | None, public: str | None, inner: bool) -> None:
    """Refuse a document type with declarations of its own: entities grow without bound."""
    del name, system, public
    if inner:
        msg = "XML with declarations of its own"
        raise ValueError(msg)
