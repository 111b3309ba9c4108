"""Corpora of OPUS, the collection of translated texts: one language, or the two sides of a pair.

Files of one language and of pairs have no bounds between documents; `raw` has one file a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from phloem.sources.clients.snapshots import fetch_files, foreign_addresses, pin_files
from phloem.sources.connector import (
    Fault,
    Files,
    Pin,
    Split,
    Strict,
    every_nth,
    from_network,
    nothing_missing,
    numbered,
)
from phloem.sources.formats.archives import BROKEN, Member, is_unsafe, zip_members
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.text_lines import lines, lines_of
from phloem.sources.formats.unpack import CHUNK, UnpackError, excess, unpack
from phloem.sources.limits import Limits
from phloem.sources.records import Record, Records, batched

SITE = "https://object.pouta.csc.fi"

LINES = 100
"""Sentences of a document where the corpus has no bounds: ten paragraphs of the usual length."""

PAIR = 2

PART_BYTES = 256 * 2**20
"""Packed bytes that give a file one more split. Each reads all of it and keeps its documents."""

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ("isal",)


class Params(Strict):
    """Which corpus, in which form."""

    corpus: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in OPUS.")
    release: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Such as v8.")
    languages: dict[str, str] = Field(
        min_length=1, description="Code in OPUS: BCP-47 tag; of a pair, both."
    )
    form: Literal["mono", "moses", "tmx", "raw"] = Field(
        default="mono",
        description="Texts of each language, pairs as Moses or TMX, or raw: a file a document.",
    )

    @model_validator(mode="after")
    def _are_codes(self) -> Params:
        wrong = [code for code in self.languages if not re.fullmatch(r"[A-Za-z_-]{2,20}", code)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no language code of OPUS, such as pt_BR")
        if self.form in {"moses", "tmx"} and len(self.languages) != PAIR:
            raise ValueError(
                f"form {self.form} is of a pair: give its two languages, not {len(self.languages)}"
            )
        return self


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The files of the release. Raises GoneError for one that OPUS does not have."""
    return pin_files(_addresses(params).items(), version=params.release)


def _addresses(params: Params) -> dict[str, str]:
    """Where each file of the release lies, by its name."""
    root = f"{SITE}/OPUS-{params.corpus}/{params.release}"
    return {name: f"{root}/{name}" for name in _names(params)}


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files that are not of the card's corpus, release, languages and form."""
    return foreign_addresses(pin, _addresses(params).get)


def _names(params: Params) -> list[str]:
    ending = {"mono": ".txt.gz", "raw": ".zip", "moses": ".txt.zip", "tmx": ".tmx.gz"}[params.form]
    codes = sorted(params.languages)
    stems = codes if params.form in {"mono", "raw"} else ["-".join(codes)]
    return [f"{params.form}/{stem}{ending}" for stem in stems]


fetch = partial(fetch_files, foreign=foreign)


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a file; of a large one, each takes every n-th document."""
    found = []
    for file in pin.files:
        parts = every_nth(max(1, file.bytes // PART_BYTES))
        found += numbered(file.name, file.name, parts)
    return found


@batched
def read(params: Params, split: Split, files: Files, limits: Limits) -> Records:
    """The documents of a file, each in one language: of a pair, the two sides apart.

    A document is `LINES` sentences that follow each other, with the native id `corpus/file/language
    @number of the first`; in `raw`, a file of the corpus, with `corpus/path in the archive`.
    """
    spec: Any = split.spec
    path, name = files[spec["file"]], spec["file"]
    found = _FORMS[params.form](params, name, path, limits)
    return _of_part(found, spec["part"], spec["parts"])


def _of_part(found: Records, part: int, parts: int) -> Records:
    """Every n-th document; faults are told once, by the first part."""
    place = -1
    for each in found:
        if isinstance(each, Fault):
            if part == 0:
                yield each
            continue
        place += 1
        if place % parts == part:
            yield each


def _mono(params: Params, name: str, path: str, limits: Limits) -> Records:
    code = name.partition("/")[2].partition(".")[0]
    grouped = _Group(params, name, code, limits)
    with Path(path).open("rb") as file:
        for line in lines(file, "gzip", limits):
            yield from [line] if isinstance(line, Fault) else grouped.take(line[1])
    yield from grouped.rest()


def _moses(params: Params, name: str, path: str, limits: Limits) -> Records:
    pair = name.partition("/")[2].partition(".")[0]
    wanted = {f"{params.corpus}.{pair}.{code}": code for code in params.languages}
    for member in _members(path, limits):
        if isinstance(member, Fault):
            yield member
        elif member.path in wanted:
            grouped = _Group(params, name, wanted.pop(member.path), limits)
            for line in lines_of(_chunks(member, path, limits), limits):
                if isinstance(line, Fault):
                    yield replace(line, file=f"{name}/{member.path}")
                else:
                    yield from grouped.take(line[1])
            yield from grouped.rest()
    for missing in wanted:
        yield Fault(f"{params.corpus}/{missing}", -1, "archive without this file")


def _tmx(params: Params, name: str, path: str, limits: Limits) -> Records:
    groups = {code.lower(): _Group(params, name, code, limits) for code in params.languages}
    with Path(path).open("rb") as file:
        for found in elements(unpack(file, "gzip", limits), "tu", limits):
            if isinstance(found, Fault):
                yield found
                continue
            for side in found[1].iter("tuv"):
                group = groups.get(str(side.get("lang", "")).lower())
                segment = side.find("seg")
                if group is not None and segment is not None:
                    yield from group.take(_text(segment).encode("utf-8", "replace"))
    for group in groups.values():
        yield from group.rest()


def _raw(params: Params, name: str, path: str, limits: Limits) -> Records:
    code = name.partition("/")[2].removesuffix(".zip")
    for member in _members(path, limits):
        if isinstance(member, Fault):
            yield member
            continue
        if not member.path.endswith(".xml") or f"/{code}/" not in member.path:
            continue
        native_id = f"{params.corpus}/{member.path}"
        if is_unsafe(member.path):
            yield Fault(native_id, member.offset, "member path leaves the archive")
            continue
        yield from _document(params, native_id, code, _chunks(member, path, limits), limits)


def _document(
    params: Params, native_id: str, code: str, chunks: Iterator[bytes], limits: Limits
) -> Records:
    """A file of `raw`: what could be read of it, and why not the rest."""
    sentences: list[str] = []
    size = 0
    for found in elements(chunks, "s", limits):
        if isinstance(found, Fault):
            yield Fault(native_id, found.offset, found.reason)
            break
        sentences.append(_text(found[1]))
        size += len(sentences[-1])
        if size > limits.record_bytes:
            yield Fault(native_id, 0, f"record larger than {limits.told('record_bytes')}")
            return
    text = "\n".join(sentence for sentence in sentences if sentence)
    if text:
        content = text.encode("utf-8", "replace")
        yield Record(native_id, content, "text/plain", language=params.languages[code])


_FORMS = {"mono": _mono, "moses": _moses, "tmx": _tmx, "raw": _raw}


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


class _Group:
    """Sentences that become documents of `LINES`."""

    def __init__(self, params: Params, name: str, code: str, limits: Limits) -> None:
        self._stem = f"{params.corpus}/{name}/{code}"
        self._language = params.languages[code]
        self._most = limits.record_bytes
        self._held: list[bytes] = []
        self._size = self._number = self._first = 0

    def take(self, line: bytes) -> Iterator[Record]:
        """Add a sentence; the document that it completes."""
        if self._size + len(line) > self._most:
            yield from self.rest()
        self._held.append(line.rstrip(b"\r"))
        self._size += len(line) + 1
        self._number += 1
        if len(self._held) >= LINES:
            yield from self.rest()

    def rest(self) -> Iterator[Record]:
        """The document of what is held."""
        content = b"\n".join(self._held)
        native_id = f"{self._stem}@{self._first}"
        self._held, self._size, self._first = [], 0, self._number
        if content.strip():
            yield Record(native_id, content, "text/plain", language=self._language)


def _members(path: str, limits: Limits) -> Iterator[Member | Fault]:
    """The files of a zip, as many as the limits take."""
    try:
        for number, member in enumerate(zip_members(path)):
            if number >= limits.archive_members:
                reason = f"more than {limits.told('archive_members')}"
                yield Fault(None, member.offset, reason, rest=True)
                return
            yield member
    except UnpackError as error:
        yield Fault(None, error.offset, error.reason, rest=True)
    except BROKEN:
        yield Fault(None, -1, "broken zip", rest=True)


def _chunks(member: Member, path: str, limits: Limits) -> Iterator[bytes]:
    """The bytes of a member of a zip. Raises UnpackError where it breaks, or at the limits."""
    packed, made = Path(path).stat().st_size, 0
    try:
        with member.open() as file:  # type: ignore[union-attr]
            while data := file.read(CHUNK):
                made += len(data)
                reason = excess(packed, made, limits)
                if reason:
                    raise UnpackError(f"zip {reason}", member.offset)
                yield data
    except BROKEN:
        raise UnpackError("broken zip member", member.offset) from None
