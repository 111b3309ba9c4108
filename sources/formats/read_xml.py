"""XML read as a stream: one element after another, each bounded, no entity ever declared."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from phloem.sources.connector import Fault
from phloem.sources.formats.unpack import UnpackError
from phloem.sources.limits import Limits

MAX_DEPTH = 100
"""Elements inside each other, within one that is read: dumps and records have a dozen at most."""

_WITHIN = 2**16  # bytes handed to the parser at a time

Found = tuple[int, Element]


class _DeclarationsError(Exception):
    """A document type with declarations of its own, which may grow without bound."""


def elements(
    chunks: Iterator[bytes],
    name: str,
    limits: Limits,
    *,
    before: bytes = b"",
    whole: bool = True,
) -> Iterator[Found | Fault]:
    """(offset in the stream, element) of each element of a name, as soon as it has ended.

    Names are local: namespaces are taken off. An element larger than `limits.record_bytes`, or too
    deep, is a fault and is passed over without being held. What is no XML, declares entities, or
    breaks off is a fault for the rest.

    Args:
        chunks: The stream. It may raise UnpackError.
        name: Local name of the elements; those inside one of them are a part of it.
        limits: How large an element may be.
        before: Bytes that the parser sees first: the opening of an element that began elsewhere.
        whole: Whether the stream must end where its outermost element does.
    """
    reading = _Reading(name, limits, len(before))
    try:
        reading.parse(before)
        for chunk in chunks:
            for start in range(0, len(chunk), _WITHIN):
                reading.parse(chunk[start : start + _WITHIN])
                yield from reading.taken()
                if reading.pending > limits.record_bytes:
                    reason = f"record larger than {limits.told('record_bytes')}"
                    yield Fault(None, reading.offset, reason, rest=True)
                    return
        reading.finish(whole=whole)
        yield from reading.taken()
    except UnpackError as error:
        yield from reading.taken()
        yield Fault(None, error.offset, error.reason, rest=True)
    except _DeclarationsError:
        yield Fault(None, reading.offset, "XML with declarations of its own", rest=True)
    except (expat.ExpatError, LookupError):  # or an encoding that nobody knows
        yield from reading.taken()
        yield Fault(None, reading.offset, reading.complaint, rest=True)


class _Reading:
    """The parser, and the element that it is in.

    Attributes:
        pending: Bytes of a tag or a reference that has not ended yet.
        complaint: What to say if it breaks.
    """

    def __init__(self, name: str, limits: Limits, before: int) -> None:
        self._name = name
        self._limits = limits
        self._before = before
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = _refuse_declarations
        self._found: deque[Found | Fault] = deque()
        self._held: list[bytes] = []
        self._wanted = 0  # bytes that must be held before the parser gets them
        self._fed = 0
        self._builder: TreeBuilder | None = None
        self._depth = self._size = self._begun = 0
        self._excess = ""
        self.pending = 0
        self.complaint = "broken XML"

    @property
    def offset(self) -> int:
        """Where the parser stands in the stream."""
        return max(0, self._parser.CurrentByteIndex - self._before)

    def taken(self) -> Iterator[Found | Fault]:
        """What was found since the last call."""
        while self._found:
            yield self._found.popleft()

    def parse(self, data: bytes) -> None:
        """Hand bytes to the parser, more at a time the longer a tag goes on.

        It reads an unended tag anew each time: in pieces of one size, that takes quadratic time.
        """
        self._held.append(data)
        held = sum(map(len, self._held))
        self.pending = self._fed - self._parser.CurrentByteIndex + held if self._fed else 0
        if held < self._wanted:
            return
        self._feed()

    def _feed(self) -> None:
        data = b"".join(self._held)
        self._held = []
        self._parser.Parse(data, False)
        self._fed += len(data)
        self.pending = self._fed - max(0, self._parser.CurrentByteIndex)
        self._wanted = self.pending

    def finish(self, *, whole: bool) -> None:
        """Take the end of the stream. Raises ExpatError where it must not be."""
        self._feed()
        if whole or self._depth or self.pending:
            self.complaint = "truncated XML"
            self._parser.Parse(b"", True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if not self._depth:
            if local != self._name:
                return
            self._builder, self._size, self._excess = TreeBuilder(), 0, ""
            self._begun = self.offset
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(f"more than {MAX_DEPTH} elements inside each other")
        self._grow(len(local) + sum(len(key) + len(value) for key, value in attributes.items()))
        if self._builder is not None:
            plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
            self._builder.start(local, plain)

    def _end(self, name: str) -> None:
        if not self._depth:
            return
        self._depth -= 1
        if self._builder is not None:
            self._builder.end(name.rpartition(" ")[2])
        if self._depth:
            return
        if self._builder is None:
            self._found.append(Fault(None, self._begun, self._excess))
        else:
            self._found.append((self._begun, self._builder.close()))
        self._builder = None

    def _text(self, data: str) -> None:
        if self._depth:
            self._grow(len(data))
            if self._builder is not None:
                self._builder.data(data)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limits.record_bytes:
            self._refuse(f"record larger than {self._limits.told('record_bytes')}")

    def _refuse(self, reason: str) -> None:
        """Hold no more of this element."""
        self._builder = None
        self._excess = self._excess or reason


def _refuse_declarations(name: str, system: str | None, public: str | None, inner: bool) -> None:
    del name, system, public
    if inner:
        raise _DeclarationsError
