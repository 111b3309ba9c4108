"""Reading JSON files: an array of objects, or objects that follow each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecoder
from pathlib import Path

from phloem.sources.connector import Fault
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.read_text import TOO_DEEP, integer, parsed, record_of
from phloem.sources.formats.text_lines import BOM, in_utf8
from phloem.sources.formats.unpack import CHUNK, UnpackError, compression_of, unpack
from phloem.sources.limits import Limits
from phloem.sources.records import Records, batched

_DECODER = JSONDecoder(parse_int=integer)
_BLANK = " \t\r\n"
_LOOKED_AT = 16  # lines: a file whose first is broken is one of lines all the same

_BLANKS = re.compile(rb"[ \t\r\n]*+")
_ARRAY = re.compile(rf"\[[{_BLANK}]*\{{")
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# A list or object that holds no other, so that most are passed at once.
_FLAT = rb'[{\[](?:[^"{}\[\]]++|%b)*+[}\]]' % _STRING
_BRACKETS = re.compile(rb'(?:[^"{}\[\]]++|%b|%b)*+([{\[]++|[}\]]++)' % (_STRING, _FLAT), re.DOTALL)
_SCALAR = re.compile(rb'%b|[^ \t\r\n,"{}\[\]]++' % _STRING, re.DOTALL)


def form_of(head: bytes, given: str) -> str:
    """Whether a file is ``jsonl``, an object a line, or ``json``, by its first bytes.

    One that is given as ``jsonl`` must begin with an array of objects, with an object over several
    lines or with two on one, to be no such file.
    """
    raw = b"".join(in_utf8(iter([head]))).removeprefix(BOM)
    text = raw.decode("utf-8", "surrogateescape").strip(_BLANK)
    if _ARRAY.match(text) or (given == "json" and (text.startswith("[") or not text)):
        return "json"
    with suppress(ValueError, RecursionError):
        end = _DECODER.raw_decode(text)[1]
        return "json" if "\n" in text[:end] or text[end:].lstrip(" \t\r")[:1] == "{" else "jsonl"
    lines = text.split("\n", _LOOKED_AT)
    is_lines = given == "jsonl" or len(lines) == 1 or any(map(_is_object, lines[:_LOOKED_AT]))
    return "jsonl" if is_lines else "json"


def _is_object(line: str) -> bool:
    with suppress(ValueError, RecursionError):
        return isinstance(_DECODER.decode(line), dict)
    return False


@batched
def json(name: str, path: str, columns: Columns, limits: Limits) -> Records:
    """The objects of a file.

    Each is held by itself. What is no JSON, is cut or is over `limits.record_bytes` stands for a
    rest, as nobody knows where the next begins.
    """
    place, offset = -1, 0
    with Path(path).open("rb") as file:
        source = _Source(in_utf8(unpack(file, compression_of(name)[0], limits)), limits)
        try:
            for place, (offset, raw) in enumerate(_values(source)):
                try:
                    row = parsed(raw, columns)
                except RecursionError:
                    yield Fault(f"{name}#{place}", offset, TOO_DEEP)
                    continue
                yield record_of(f"{name}#{place}", offset, row, columns, null="text is no string")
        except UnpackError as error:
            yield Fault(name, error.offset, error.reason, rest=True)
        except _BrokenError as error:
            yield Fault(f"{name}#{place + 1}", source.offset, str(error), rest=True)
        except ValueError:
            yield Fault(f"{name}#{place}", offset, "not JSON", rest=True)


class _BrokenError(Exception):
    """Why the next value cannot be told from what follows it."""


def _values(source: _Source) -> Iterator[tuple[int, bytes]]:
    """Where each value begins, and its text: of an array its values, not itself."""
    while mark := source.comes():
        if mark != b"[":
            yield source.offset, source.value()
            continue
        source.skip(1)
        while mark != b"]":
            if source.comes() == b"]" and mark == b"[":
                source.skip(1)
                break
            yield source.offset, source.value()
            mark = source.comes()
            if mark not in {b",", b"]"}:
                raise _BrokenError("not JSON" if mark else "truncated JSON")
            source.skip(1)


class _Source:
    """The bytes of a file; what is looked at is held until it is passed.

    Attributes:
        offset: Of the first that is not passed.
    """

    def __init__(self, chunks: Iterator[bytes], limits: Limits) -> None:
        self._chunks = chunks
        self._limits = limits
        self._data, self._at = b"", 0
        self._broken: UnpackError | None = None
        self.offset = 0

    def _more(self) -> bool:
        """Hold twice as many bytes, if there are; whether any came."""
        parts = [self._data[self._at :]]
        have = size = len(parts[0])
        try:
            for chunk in self._chunks:
                parts.append(chunk)
                size += len(chunk)
                if size >= max(CHUNK, 2 * have):
                    break
        except UnpackError as error:
            self._broken = error
        if size == have and self._broken:
            raise self._broken
        self._data, self._at = b"".join(parts), 0
        return size > have

    def skip(self, size: int) -> None:
        """Pass so many bytes."""
        self._at += size
        self.offset += size

    def comes(self) -> bytes:
        """The next byte that is not blank; none at the end."""
        while True:
            if self.offset == 0 and self._data.startswith(BOM):
                self.skip(len(BOM))
            found = _BLANKS.match(self._data, self._at)
            self.skip(found.end() - self._at if found else 0)
            if self._at < len(self._data) or not self._more():
                return self._data[self._at : self._at + 1]

    def value(self) -> bytes:
        """The text of the value that comes, which is passed. Raises _BrokenError if none does."""
        mark = self._data[self._at : self._at + 1]
        if mark in {b",", b":", b"]", b"}"}:
            raise _BrokenError("not JSON")
        depth, size, is_last = 1, 1, False  # open brackets, and bytes up to the last that was seen
        while depth:
            if mark in {b"{", b"["}:
                depth, size = self._closed(depth, size)
            else:
                scalar = _SCALAR.match(self._data, self._at)
                if scalar and (is_last or scalar.end() < len(self._data)):
                    depth, size = 0, scalar.end() - self._at
            if (size if not depth else len(self._data) - self._at) > self._limits.record_bytes:
                raise _BrokenError(f"record larger than {self._limits.told('record_bytes')}")
            if depth and is_last:
                raise _BrokenError("truncated JSON")
            is_last = bool(depth) and not self._more()
        raw = self._data[self._at : self._at + size]
        self.skip(size)
        return raw

    def _closed(self, depth: int, size: int) -> tuple[int, int]:
        """How many brackets are open behind all that is held, and the bytes up to the last one."""
        while depth and (found := _BRACKETS.match(self._data, self._at + size)):
            run = found[1]
            if run[0] in b"{[":
                depth, size = depth + len(run), found.end() - self._at
            else:
                closed = min(depth, len(run))
                depth, size = depth - closed, found.start(1) + closed - self._at
        return depth, size
