"""The records of a web archive (ISO 28500): where each begins, and whether it ends where it says.

A record is its head, as many bytes as its head says, and two ends of lines; then comes the next, or
the end of the archive. One whose length is wrong is told as such, and reading goes on at the next
head that can be made out, so that it costs no record but those that it hides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from phloem.sources.connector import Fault
from phloem.sources.formats.unpack import UnpackError
from phloem.sources.limits import Limits

MAX_HEAD = 2**18
"""Bytes of a record's head; beyond, it is none. An address in it has at most some thousands."""

_LONG = 4096  # bytes of a head that are looked at first: most have 500
_MARK = 64  # bytes behind a record that are looked at: four and the head's first are enough
_OVERLAP = 64  # bytes of a head that a chunk may cut off: enough to make it out

_HEAD = re.compile(rb"WARC/\d\.\d+[ \t]*\r?\n((?:[^\r\n]+\r?\n)+)\r?\n")
_BEGINS = re.compile(rb"WARC/\d\.\d+[ \t]*\r?\n[A-Za-z-]{1,32}[ \t]*:")
_ENDS = re.compile(rb"\r?\n\r?\n|[\r\n]*WARC/")
_BLANK = re.compile(rb"[\r\n]*")

Fields = Mapping[str, str]


@dataclass(frozen=True)
class Framed:
    """A record as it stands in an archive.

    Attributes:
        offset: Byte of the unpacked archive where it begins.
        fields: What its head says, by name in lower case.
        size: Bytes of its block, as it says.
        block: Its block, where it was asked for and is no larger than `limits.record_bytes`.
        wrong: Why it does not end where it says, or hides others; None if all is well.
    """

    offset: int
    fields: Fields
    size: int
    block: bytes | None
    wrong: str | None


def framed(
    chunks: Iterator[bytes], asked: Callable[[Fields], bool], limits: Limits, base: int = 0
) -> Iterator[Framed | Fault]:
    """The records of an archive in order, and a fault for each stretch that is none.

    Args:
        chunks: The unpacked archive.
        asked: Whether the block of a record is wanted, by its fields.
        limits: How large a block may be.
        base: Offset of its first byte.

    Raises:
        UnpackError: as `chunks` does, after all records that came whole.
    """
    stream = _Stream(chunks, base)
    while stream.begins():
        start = stream.offset
        head = stream.head()
        size = _size(head)
        if head is None or size is None:
            stream.skip_to_head()
            stream.check()
            yield Fault(None, start, "broken WARC header", rest=True)
            continue
        held = size <= limits.record_bytes and asked(head)
        block = stream.ahead(size) if held else None
        wrong = stream.pass_over(size, limits.record_bytes)
        yield Framed(start, head, size, block, wrong)


def _size(fields: Fields | None) -> int | None:
    said = (fields or {}).get("content-length", "")
    return int(said) if re.fullmatch(r"[0-9]{1,18}", said) else None


def _fields(lines: bytes) -> Fields:
    """The fields of a head by lower-case name; a line that begins blank goes on with the last."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines.decode("utf-8", "replace").splitlines():
        if line[:1] in {" ", "\t"} and name:
            fields[name] = f"{fields[name]} {line.strip()}".strip()
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    return fields


class _Stream:
    """The bytes of an archive from a place on; what is looked at is held until it is passed.

    Attributes:
        offset: The place.
    """

    def __init__(self, chunks: Iterator[bytes], base: int) -> None:
        self._chunks = chunks
        self._held, self._at = b"\n", 1  # a head begins a line, as the archive does
        self._broken: UnpackError | None = None
        self._ended = False
        self.offset = base

    def _fill(self, size: int) -> int:
        """Hold so many bytes from here on, if there are; how many are held."""
        have = len(self._held) - self._at
        if have >= size or self._ended:
            return have
        parts = [self._held[self._at - 1 :]]
        while have < size and not self._ended:
            try:
                chunk = next(self._chunks, None)
            except UnpackError as error:
                chunk, self._broken = None, error
            self._ended = chunk is None
            parts.append(chunk or b"")
            have += len(parts[-1])
        self._held, self._at = b"".join(parts), 1
        return have

    def _skip(self, size: int) -> None:
        self._at += size
        self.offset += size

    def check(self) -> None:
        """Raise UnpackError if there is no more because the archive cannot be unpacked further."""
        if self._broken and self._fill(1) == 0:
            raise self._broken

    def begins(self) -> bool:
        """Whether anything comes, after ends of lines."""
        while self._fill(1):
            blank = _BLANK.match(self._held, self._at)
            self._skip(len(blank[0]) if blank else 0)
            if self._at < len(self._held):
                return True
        self.check()
        return False

    def head(self) -> Fields | None:
        """The fields of the head that begins here, which is passed; None if none does."""
        for size in (_LONG, MAX_HEAD):
            self._fill(size)
            found = _HEAD.match(self._held, self._at, self._at + size)
            if found:
                self._skip(len(found[0]))
                return _fields(found[1])
            if not self._held.startswith(b"WARC/", self._at):
                break
        self._skip(1)  # what seemed to begin here is none
        return None

    def ahead(self, size: int) -> bytes:
        """The next bytes: fewer at the end only."""
        self._fill(size + _MARK)
        return self._held[self._at : self._at + size]

    def pass_over(self, size: int, most: int) -> str | None:
        """Pass a block; why it is not as long as it says, or hides another record.

        Where its length is wrong, the place is then that of the next head. To know that, what comes
        behind a head within it is held, up to `most` bytes.
        """
        left = size - self.skip_to_head(size)
        if left:
            if self._fill(1) == 0:
                self.check()
                return "truncated record"
            if left > most or not self._ends(left):
                return "record of another length than it says"
            self._skip(left)
            return "record that hides another"
        if self._ends(0):
            return None
        self.skip_to_head()
        self.check()
        return "record of another length than it says"

    def _ends(self, size: int) -> bool:
        """Whether a record ends so many bytes further on."""
        have = self._fill(size + _MARK)
        if have < size:
            return False
        if _ENDS.match(self._held, self._at + size):
            return True
        behind = self._held[self._at + size :]
        return self._ended and not self._broken and not behind.strip(b"\r\n")

    def skip_to_head(self, most: int | None = None) -> int:
        """Pass all up to where a head seems to begin, or so many bytes; how many were passed."""
        passed = 0
        while most is None or passed < most:
            have = self._fill(2 * _OVERLAP)
            found = self._head_within(have)
            # What is cut off here is looked at again with what comes next.
            step = have - (0 if self._ended else _OVERLAP) if found is None else found
            step = step if most is None else min(step, most - passed)
            self._skip(step)
            passed += step
            if found is not None or self._ended:
                break
        return passed

    def _head_within(self, have: int) -> int | None:
        """How far from here the next head begins, in what is held."""
        place = self._at - 1
        while (place := self._held.find(b"\nWARC/", place, self._at + have)) >= 0:
            if _BEGINS.match(self._held, place + 1):
                return place + 1 - self._at
            place += 1
        return None
