"""The index of Common Crawl's captures: which pages of a domain lie where in its archives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from phloem.sources.connector import GoneError, Json, SourceError
from phloem.sources.formats.read_warc import WANTED, Pages
from phloem.sources.web.download import PAGE_BYTES, read_url

INDEX = "https://index.commoncrawl.org"
"""A CDX server, as pywb has it: one index a crawl."""

DELAY = 1.0
"""Seconds between questions: the index is shared by all, and shuts out those who ask fast."""

MAX_CAPTURES = 2_000_000
"""Pages of one source: 40 GB, about. A domain that has more is a crawl of its own."""

_FILE = re.compile(r"crawl-data/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+\.gz")


@dataclass(frozen=True, order=True)
class Capture:
    """Where one capture of a page lies.

    Attributes:
        file: Path of the archive at the data host.
        offset: First byte of its record there.
        length: Packed bytes of the record.
        url: Of the page.
        timestamp: When it was captured: YYYYMMDDhhmmss.
    """

    file: str
    offset: int
    length: int
    url: str
    timestamp: str


def captures(crawls: Sequence[str], domains: Sequence[str], pages: Pages) -> list[Capture]:
    """The newest capture of each page of these domains in these crawls, in the archives' order.

    Pages that answered 200 with a type in `WANTED`, of an address that is included.

    Raises SourceError if there are none or too many, or the index cannot be asked.
    """
    newest: dict[str, Capture] = {}
    for crawl in crawls:
        for domain in domains:
            for line in _lines(crawl, domain):
                key, found = _capture(crawl, line)
                if found is None or not pages.wants(found.url):
                    continue
                old = newest.get(key)
                if old is None or found.timestamp > old.timestamp:
                    newest[key] = found
                if len(newest) > MAX_CAPTURES:
                    msg = f"{domain} has more than {MAX_CAPTURES} pages; narrow `include`"
                    raise SourceError(msg)
    if not newest:
        raise SourceError(f"no page of {', '.join(domains)} is in {', '.join(crawls)}")
    return sorted(newest.values())


def listed(found: Sequence[Capture]) -> bytes:
    """The list as it is pinned: a JSON array a line."""
    rows = ([c.url, c.timestamp, c.file, c.offset, c.length] for c in found)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(
        "utf-8", "replace"
    )


def _lines(crawl: str, domain: str) -> Iterator[bytes]:
    """What the index says of a domain and its subdomains; nothing if it has no page."""
    asked = {"url": domain, "matchType": "domain", "output": "json", "filter": "=status:200"}
    place = f"{INDEX}/{crawl}-index?{urlencode(asked)}"
    try:
        told = json.loads(_page(f"{place}&showNumPages=true"))
        pages = int(told["pages"])
    except GoneError:
        return
    except (ValueError, KeyError, TypeError):
        msg = f"{INDEX} does not say how many pages it has of {domain} in {crawl}"
        raise SourceError(msg) from None
    for page in range(pages):
        try:
            yield from _page(f"{place}&page={page}").splitlines()
        except GoneError:  # of a domain without captures
            continue


def _page(place: str) -> bytes:
    return read_url(place, most=PAGE_BYTES, delay=DELAY)


def _capture(crawl: str, line: bytes) -> tuple[str, Capture | None]:
    """A line of the index: the page's key and where it lies; None for one that is not wanted.

    Raises SourceError for a line that names no place in the crawl's archives.
    """
    try:
        value = json.loads(line)
        if str(value["status"]) != "200" or not _is_page(value):
            return "", None
        file, offset, length = str(value["filename"]), int(value["offset"]), int(value["length"])
        found = Capture(file, offset, length, str(value["url"]), str(value["timestamp"]))
        safe = _FILE.fullmatch(file) and ".." not in file
    except (ValueError, KeyError, TypeError, RecursionError):
        safe, found = None, None
    if found is None or not safe or offset < 0 or not 0 < length <= PAGE_BYTES:
        raise SourceError(f"the index of {crawl} gives a line that is no capture; try again later")
    return str(value.get("urlkey") or found.url), found


def _is_page(value: Json) -> bool:
    """Whether a capture is of a wanted type, as it was detected or else declared."""
    return str(value.get("mime-detected") or value.get("mime")).lower() in WANTED
