"""Web archives: pages of named domains out of Common Crawl, or whole WARC and WET files.

Of a domain, only its records are fetched, by the index of captures; what its host said to machines
held when it was crawled, and is not asked again. Nothing is written twice: the newest capture of an
address is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from phloem.sources.clients import crawl_index
from phloem.sources.clients.clients import check, pinned
from phloem.sources.clients.crawl_index import Capture
from phloem.sources.clients.snapshots import fetch_files, foreign_addresses, pin_files
from phloem.sources.connector import (
    Batches,
    Files,
    GoneError,
    Observation,
    Pin,
    PinnedFile,
    Split,
    Strict,
    from_network,
    nothing_missing,
    refuse,
)
from phloem.sources.formats import read_warc
from phloem.sources.formats.read_warc import Pages
from phloem.sources.limits import Limits
from phloem.sources.records import distinct
from phloem.sources.web import addresses, robots
from phloem.sources.web.download import Downloaded, download, names_of, read_url

DATA = "https://data.commoncrawl.org"
SITE = "https://{}/"  # of a domain, which says there what machines may do

DELAY = 0.1
"""Seconds between ranges: the store is made for many, but asks for moderation."""

PART_BYTES = 64 * 2**20
"""Packed bytes of records that are kept in one file, and read by one split."""

LIST = "captures.jsonl"
"""Name of the list of captures among the pinned files."""

_FILE = r"https?://[^\s@]+\.(warc|wet)(\.gz|\.zst)?"

VERSION = 4  # raised when it reads other documents out of the same bytes
LIBRARIES = ("fastwarc", "isal", "zstandard")


class Params(Strict):
    """Which pages: of domains in crawls, or in whole files, of whatever crawl."""

    crawls: list[str] = Field(default=[], description="Crawls, such as CC-MAIN-2024-33.")
    domains: list[str] = Field(default=[], description="Domains, each with its subdomains.")
    urls: list[str] = Field(
        default=[], description="Addresses of whole WARC or WET files, instead of domains."
    )
    kind: Literal["warc", "wet"] = Field(
        default="warc", description="Pages as hosts sent them, or the text that a crawl made."
    )
    include: list[str] = Field(default=["*"], description="Globs over the addresses of pages.")
    exclude: list[str] = Field(default=[], description="Globs of addresses left out all the same.")

    @field_validator("crawls")
    @classmethod
    def _are_crawls(cls, crawls: list[str]) -> list[str]:
        return _matched(crawls, r"CC-MAIN-\d{4}(-\d{2,4})?", "a crawl, such as CC-MAIN-2024-33")

    @field_validator("domains")
    @classmethod
    def _are_domains(cls, domains: list[str]) -> list[str]:
        return _matched(domains, r"([a-z0-9_-]+\.)+[a-z0-9-]{2,}", "a domain in lower case")

    @field_validator("urls")
    @classmethod
    def _are_files(cls, urls: list[str]) -> list[str]:
        named = _matched(urls, _FILE, "the address of a WARC or WET file")
        said = "; ".join(filter(None, map(addresses.fault, named)))
        if said:
            raise PydanticCustomError("warc_addresses", "{said}", {"said": said})
        return named

    @model_validator(mode="after")
    def _are_either(self) -> Self:
        index = bool(self.crawls and self.domains)
        if index == bool(self.urls) or (not index and (self.crawls or self.domains)):
            msg = "give crawls and domains, or urls"
            raise PydanticCustomError("warc_which", "{said}", {"said": msg})
        if index and self.kind == "wet":
            msg = "the index lists no WET records; give urls of WET files, or kind: warc"
            raise PydanticCustomError("warc_wet", "{said}", {"said": msg})
        return self


def _matched(given: list[str], pattern: str, what: str) -> list[str]:
    wrong = [text for text in given if not re.fullmatch(pattern, text)]
    if wrong:
        said = f"{', '.join(map(repr, wrong))}: not {what}"
        raise PydanticCustomError("warc_names", "{said}", {"said": said})
    if len(set(given)) < len(given):
        raise PydanticCustomError("warc_twice", "one stands there twice")
    return given


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """What there is now, each record fetched once for the sha256 of the files that hold them.

    Of domains: the list of captures, as one file, and their records, in files of `PART_BYTES`.

    Raises SourceError if there is no page, a domain asks machines to keep away, or the index or an
    archive cannot be had.
    """
    said = _heard(params)
    with TemporaryDirectory(prefix="phloem-") as name:
        folder = Path(name)
        if params.urls:
            return pin_files(zip(names_of(params.urls), params.urls, strict=True), bring=_bring)
        found = _captures(params)
        path = _written(folder / LIST, crawl_index.listed(found))
        files = [pinned(path)]
        for part in _parts(found):
            path = _gathered(part, folder / f"part-{len(files) - 1:05d}.warc.gz")
            files.append(pinned(path))
            path.unlink()
    return Pin(f"{max(params.crawls)}-{files[0].sha256[:12]}", tuple(files), said)


def _heard(params: Params) -> tuple[Observation, ...]:
    """What each domain says to machines today, of pages that a crawler took when it did not ask us.

    Raises DeniedError for one that asks them to keep away.
    """
    said = (robots.observe(SITE.format(name), closed=False) for name in params.domains)
    return tuple(each for of_domain in said for each in of_domain)


def _bring(url: str, target: Path, *, pin: PinnedFile | None = None) -> Downloaded:
    """A whole file; Common Crawl's own store is made for programs."""
    return download(url, target, pin=pin, crawler=not url.startswith(f"{DATA}/"))


def _pages(params: Params) -> Pages:
    return Pages(params.kind, tuple(params.include), tuple(params.exclude), dated=bool(params.urls))


def _captures(params: Params) -> list[Capture]:
    return crawl_index.captures(params.crawls, params.domains, _pages(params))


def _parts(found: Sequence[Capture]) -> Iterator[list[Capture]]:
    """The captures that are kept in one file, in their order."""
    part: list[Capture] = []
    size = 0
    for capture in found:
        if part and size + capture.length > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(capture)
        size += capture.length
    yield part


def _gathered(part: Sequence[Capture], target: Path) -> Path:
    """The records of captures, one after another: a WARC file, as each is packed by itself."""
    with target.open("wb") as out:
        for capture in part:
            span = (capture.offset, capture.length)
            out.write(read_url(f"{DATA}/{capture.file}", span=span, delay=DELAY))
    return target


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files that are not at an address of the card, or not of what its index lists."""
    if params.urls:
        names = dict(zip(names_of(params.urls), params.urls, strict=True))
        return foreign_addresses(pin, names.get)
    own = re.compile(rf"{re.escape(LIST)}|part-\d{{5}}\.warc\.gz")
    return [
        f"{file.name} is no list of captures and no part of one"
        for file in pin.files
        if not own.fullmatch(file.name) or file.url is not None
    ]


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Fetch the pinned records, or download the pinned files, into a folder.

    Raises:
        GoneError: the index lists other captures than are locked, or a file is not there any more.
        SourceError: other bytes came, a domain asks machines to keep away, or the index or an
            archive cannot be had.
    """
    if params.urls:
        return fetch_files(params, pin, folder, foreign=foreign, bring=_bring)
    refuse(foreign(params, pin))
    _heard(params)
    found = _captures(params)
    path = _written(folder / LIST, crawl_index.listed(found))
    if [file.name for file in pin.files[:1]] != [LIST] or pinned(path) != pin.files[0]:
        raise GoneError(
            f"the index lists {len(found)} captures now, others than are locked; look at what"
            " changed, then lock it again"
        )
    files = {LIST: str(path)}
    for part, file in zip(_parts(found), pin.files[1:], strict=True):
        files[file.name] = check(_gathered(part, folder / file.name), file)
    return files


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a file of records."""
    return [Split(f.name, {"file": f.name}, (f.name,)) for f in pin.files if f.name != LIST]


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The pages of a file; native ids are their addresses, in whole files with the capture's date.

    What is no document is passed over, as in `read_warc.warc`.
    """
    name = str(split.spec["file"])
    yield from distinct(read_warc.warc(name, files[name], _pages(params), limits))
