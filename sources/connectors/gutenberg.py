"""Books of Project Gutenberg: their texts without what Project Gutenberg puts around them.

The project asks programs to use its mirrors. Its catalogue is read from the RDF files: the table
(`pg_catalog.csv`) has no column of rights.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from pydantic import Field

from phloem.sources.clients.snapshots import bring, fetch_files, foreign_addresses, pin_files
from phloem.sources.connector import (
    Batches,
    Fault,
    Files,
    Pin,
    SourceError,
    Split,
    Strict,
    from_network,
    met_in,
    nothing_missing,
)
from phloem.sources.formats.archives import BROKEN, tar_members
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.together import together
from phloem.sources.formats.unpack import UnpackError, unpack_all
from phloem.sources.limits import Limits
from phloem.sources.records import Record, batches

SITE = "https://gutenberg.pglaf.org"
HOME = "https://www.gutenberg.org"
CATALOGUE = "cache/epub/feeds/rdf-files.tar.bz2"

FREE = "Public domain in the USA."
"""What the catalogue says of the rights of a book that is taken; others are under copyright."""

SPLIT_BYTES = 32 * 2**20
"""Text that one split holds, about."""

_MEMBER = re.compile(r"cache/epub/(\d{1,7})/pg\1\.rdf")
_NAME = re.compile(r"([a-z-]+)/pg([1-9][0-9]*)\.txt")
_MARK = rb"^\*\*\* ?%s OF TH(?:E|IS) PROJECT GUTENBERG EBOOK\b.*\*\*\*\s*$"
_START = re.compile(_MARK % b"START", re.MULTILINE)
_END = re.compile(_MARK % b"END", re.MULTILINE)
_ENDING = re.compile(rb"^End of (?:the |this )?Project Gutenberg.*$", re.MULTILINE)
# Who made the file: the first paragraphs after the mark.
_CREDITS = re.compile(
    rb"(?:Produced by|E-?text prepared by|Transcribed |This etext was |\[?Transcriber)"
    rb"[^\n]*(?:\n[^\n]+)*\n\s*"
)
_FIELD = re.compile(
    r"^(Title|Author|Release date): (.*(?:\n {2,}.*)*)", re.MULTILINE | re.IGNORECASE
)

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ()


class Params(Strict):
    """Which books."""

    languages: list[str] = Field(
        min_length=1, description="Of the books, as the catalogue writes them: pt, fr, zh."
    )
    include: list[int] = Field(default=[], description="Numbers of books, and no others; or all.")
    exclude: list[int] = Field(default=[], description="Numbers of books that are left out.")


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The texts of these languages that are free in the USA, in the order of their numbers.

    A book in several languages is left out: nothing says which part is in which.

    Raises SourceError if the catalogue cannot be read or has none of them.
    """
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        came = bring(f"{SITE}/{CATALOGUE}", Path(folder) / "catalogue")
        books = sorted(_chosen(params, came.path))
    if not books:
        msg = f"the catalogue has no free text in {', '.join(params.languages)}; see `languages`"
        raise SourceError(msg)
    return pin_files(
        (f"{language}/pg{number}.txt", f"{SITE}/cache/epub/{number}/pg{number}.txt")
        for number, language in books
    )


def _chosen(params: Params, catalogue: Path) -> Iterator[tuple[int, str]]:
    """Number and language of the wanted books of the catalogue."""
    limits = Limits()
    only, without = set(params.include), set(params.exclude)
    try:
        with catalogue.open("rb") as file:
            for member in tar_members(file, "bzip2", limits):
                found = _MEMBER.fullmatch(member.path)
                number = int(found[1]) if found else 0
                if not found or number in without or (only and number not in only):
                    continue
                with member.open() as rdf:  # type: ignore[union-attr]
                    content = unpack_all(rdf, None, limits, "member_bytes")  # type: ignore[arg-type]
                for book in elements(iter([content]), "ebook", limits):
                    language = None if isinstance(book, Fault) else _language(book[1])
                    if language in params.languages:
                        yield number, str(language)
    except (UnpackError, *BROKEN):
        raise SourceError(f"{CATALOGUE} cannot be read to its end; try again") from None


def _language(book: Element) -> str | None:
    """The language of a free text of which there is a plain text file; None for other books."""
    rights = [(each.text or "").strip() for each in book.iter("rights")]
    kinds = [value.text for kind in book.iter("type") for value in kind.iter("value")]
    languages = [value.text for each in book.iter("language") for value in each.iter("value")]
    files = [str(file.get("about", "")) for file in book.iter("file")]
    is_text = kinds == ["Text"] and any(".txt" in file for file in files)
    return languages[0] if is_text and rights == [FREE] and len(languages) == 1 else None


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned books that the card leaves out, or that lie elsewhere."""
    return foreign_addresses(pin, partial(_address, params))


def _address(params: Params, name: str) -> str | None:
    """Where a pinned book lies; None if the card names none of that name."""
    found = _NAME.fullmatch(name)
    number = int(found[2]) if found else 0
    left_out = number in params.exclude or (params.include and number not in params.include)
    if not found or found[1] not in params.languages or left_out:
        return None
    return f"{SITE}/cache/epub/{number}/pg{number}.txt"


fetch = partial(fetch_files, foreign=foreign)  # a SourceError for one that was corrected since


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a book; of very many, those of about `SPLIT_BYTES` `together`."""
    names = together({file.name: file.bytes for file in pin.files}, SPLIT_BYTES)
    return [Split(held[0], {"files": held}, tuple(held)) for held in names]


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The books of a split as plain text; native ids are `pg` and the number."""
    spec: Any = split.spec
    for name in spec["files"]:
        yield from met_in(name, batches(iter([_book(name, files[name], limits)])))


def _book(name: str, path: str, limits: Limits) -> Record | Fault:
    """What stands between the lines that mark a book's start and end."""
    named = _NAME.fullmatch(name)
    language, number = (named[1], named[2]) if named else (None, name)
    native_id = f"pg{number}"
    try:
        with Path(path).open("rb") as file:
            content = unpack_all(file, None, limits, "record_bytes").replace(b"\r\n", b"\n")
    except UnpackError as error:
        return Fault(native_id, error.offset, error.reason)
    start, end = _START.search(content), _END.search(content)
    if start is None or end is None or end.start() < start.end():
        return Fault(native_id, 0, "book without the lines that mark its start and end")
    text = _ENDING.sub(b"", content[start.end() : end.start()]).strip()
    while made := _CREDITS.match(text):
        text = text[made.end() :].lstrip()
    head = content[: start.start()].decode("utf-8", "replace")
    said = {key.lower(): " ".join(value.split()) for key, value in _FIELD.findall(head)}
    return Record(
        native_id,
        text,
        "text/plain; charset=utf-8",
        url=f"{HOME}/ebooks/{number}",
        title=said.get("title"),
        author=said.get("author"),
        language=language,
    )
