"""Titles and abstracts of arXiv, harvested by OAI-PMH 2.0 (openarchives.org/OAI/2.0).

The interface keeps no old states: what is pinned are the records up to a day, put in order. Once
arXiv has revised one of them, the same question gets another answer, and the source is locked
again.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from pydantic import Field

from phloem.sources.clients.clients import pinned
from phloem.sources.connector import (
    Fault,
    Files,
    GoneError,
    Pin,
    PinnedFile,
    SourceError,
    Split,
    Strict,
    from_network,
    nothing_missing,
    refuse,
)
from phloem.sources.formats.creative_commons import spdx_of
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.text_lines import lines_between
from phloem.sources.limits import Limits
from phloem.sources.naming import each
from phloem.sources.records import Record, Records, batched
from phloem.sources.web.download import read_url

SITE = "https://oaipmh.arxiv.org/oai"
HOME = "https://arxiv.org/abs"

MAX_PAGES = 100_000
"""Answers to one question: all of arXiv is about 3,000 of a thousand records each."""

SPLIT_BYTES = 32 * 2**20
"""Bytes of records that one split holds, about."""

NAME = "records.jsonl"

_OWN_LICENSES = {
    "arxiv.org/licenses/nonexclusive-distrib/1.0": "LicenseRef-arxiv-nonexclusive",
}
_SET = r"[a-z][a-z-]*(:[A-Za-z][A-Za-z-]*){0,2}"

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ()
SAYS_LICENSES = True  # of each document
SAYS_DATES = True


class Params(Strict):
    """Which records."""

    sets: Annotated[list[str], each(_SET, "set of arXiv, such as math or cs:cs:CL")] = Field(
        min_length=1, description="Sets of the interface, such as math or physics:hep-th."
    )
    licenses: list[str] = Field(
        default=[], description="SPDX identifiers that a record's licence must be among; or all."
    )


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The records up to yesterday. Raises SourceError if a set has none."""
    day = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        return Pin(day, (_harvest(params, day, Path(folder) / NAME),))


def foreign(params: Params, pin: Pin) -> list[str]:
    """What is not the one file of records up to a day: nothing else of a pin is asked for."""
    is_own = [(file.name, file.url) for file in pin.files] == [(NAME, _address(pin.version))]
    if is_own and re.fullmatch(r"\d{4}-\d{2}-\d{2}", pin.version):
        return []
    held = ", ".join(f"{file.name} at {file.url}" for file in pin.files)
    return [f"{held} of {pin.version}: not the one file {NAME}, of records up to a day"]


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """The records up to the pinned day, asked for anew.

    Raises:
        GoneError: arXiv has revised some of them since.
        SourceError: arXiv does not answer.
    """
    refuse(foreign(params, pin))
    target = folder / NAME
    found = _harvest(params, pin.version, target)
    if found.sha256 != pin.files[0].sha256:
        raise GoneError(
            f"arXiv serves other records up to {pin.version} than were locked"
            f" ({found.bytes} bytes, {pin.files[0].bytes} locked): it has revised some; lock it"
            " again"
        )
    return {NAME: str(target)}


def _harvest(params: Params, until: str, target: Path) -> PinnedFile:
    """Write the records of all sets, each once, in the order of their numbers."""
    with closing(sqlite3.connect("")) as held:  # on disk, without a name: it goes with the process
        held.execute("PRAGMA synchronous = OFF")
        held.execute("CREATE TABLE records (number TEXT PRIMARY KEY, line TEXT)")
        for name in params.sets:
            for record in _listed(name, until):
                line = json.dumps(record, ensure_ascii=False, sort_keys=True)
                held.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (record["id"], line))
        with target.open("wb") as out:
            for (line,) in held.execute("SELECT line FROM records ORDER BY number"):
                out.write(line.encode("utf-8", "replace") + b"\n")
    return replace(pinned(target), url=_address(until))


def _address(until: str) -> str:
    """What a lock entry says of where the records come from."""
    asked = urlencode({"verb": "ListRecords", "metadataPrefix": "arXiv", "until": until})
    return f"{SITE}?{asked}"


def _listed(name: str, until: str) -> Iterator[dict[str, str]]:
    """The records of a set, page after page."""
    asked = {"verb": "ListRecords", "metadataPrefix": "arXiv", "set": name, "until": until}
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        page = _answer(f"{SITE}?{urlencode(asked)}")
        error = page.find("error")
        if error is not None:
            msg = f"arXiv gives no records of set {name}: {str(error.get('code'))[:40]}; see `sets`"
            raise SourceError(msg)
        for record in page.iter("record"):
            yield from _facts(record)
        token = next((each.text for each in page.iter("resumptionToken") if each.text), None)
        if token is None:
            return
        if token in seen:
            break
        seen.add(token)
        asked = {"verb": "ListRecords", "resumptionToken": token}
    raise SourceError(f"arXiv does not come to the end of set {name}; try again later")


def _answer(url: str) -> Element:
    """An answer of the interface. Raises SourceError for what is none."""
    found = next(elements(iter([read_url(url)]), "OAI-PMH", Limits()), None)
    if found is None or isinstance(found, Fault):
        reason = found.reason if found else "something else"
        raise SourceError(f"{SITE} answers with {reason} instead of OAI-PMH; try again later")
    return found[1]


def _facts(record: Element) -> Iterator[dict[str, str]]:
    """What a record says of a paper; nothing of one that was deleted, or that says too little."""
    paper = next(record.iter("arXiv"), None)
    if paper is None:
        return
    keys = ("id", "title", "abstract", "license", "created")
    facts = {key: (paper.findtext(key) or "").strip() for key in keys}
    if facts["id"]:
        yield facts


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """Ranges of bytes of about `SPLIT_BYTES`; a record belongs to the range that it begins in."""
    size = pin.files[0].bytes
    return [
        Split(f"{NAME}@{at}", {"start": at, "end": min(at + SPLIT_BYTES, size)}, (NAME,))
        for at in range(0, max(size, 1), SPLIT_BYTES)
    ]


@batched
def read(params: Params, split: Split, files: Files, limits: Limits) -> Records:
    """Title and abstract of each paper as plain text; native ids are arXiv's, without a version.

    Nobody's name is in the text. A paper whose licence is not among `licenses` is no document.
    """
    span = (split.spec["start"], split.spec["end"])
    for line in lines_between(files[NAME], NAME, span, limits):
        paper = line if isinstance(line, Fault) else _paper(params, *line)
        if paper is not None:
            yield paper


def _paper(params: Params, offset: int, line: bytes) -> Record | Fault | None:
    try:
        facts = json.loads(line)
        number, title, abstract = facts["id"], facts["title"], facts["abstract"]
        address, day = facts["license"], facts["created"]
        for text in (number, title, abstract, address, day):
            str.encode(text)  # a TypeError for what is no string, a ValueError for no characters
    except (ValueError, LookupError, TypeError, RecursionError):
        return Fault(None, offset, "not a record of arXiv")
    terms = _license(address)
    if params.licenses and terms not in params.licenses:
        return None
    if not abstract:
        return Fault(number, offset, "record without an abstract")
    head = " ".join(title.split())
    return Record(
        number,
        f"{head}\n\n{_paragraphs(abstract)}".encode("utf-8", "replace"),
        "text/plain",
        url=f"{HOME}/{number}",
        title=head,
        published=day or None,
        license=terms,
        language="en",
    )


def _license(address: str) -> str:
    """The SPDX identifier of a record's licence. Papers from before 2004 have none."""
    plain = re.sub(r"^https?://(www\.)?", "", address).rstrip("/")
    return _OWN_LICENSES.get(plain) or spdx_of(address) or "LicenseRef-unknown"


def _paragraphs(abstract: str) -> str:
    """An abstract without the breaks of its lines; a line that is indented begins a paragraph."""
    parts = re.split(r"\n(?=\s{2,}|\n)", abstract)
    return "\n\n".join(" ".join(part.split()) for part in parts if part.strip())
