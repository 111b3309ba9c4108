"""Articles of PubMed Central's open-access subset, as JATS XML.

Since August 2026 they are served one by one from the PMC Cloud Service, with no packages of many:
each version of an article has its XML and a JSON record (pmc-oa-opendata.s3.amazonaws.com/
README.txt). What a card wants is asked of NCBI's search, as that page describes.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from pydantic import Field, field_validator

from phloem.sources.clients.snapshots import fetch_files, foreign_addresses, pin_files
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
from phloem.sources.formats.creative_commons import spdx_in, spdx_of
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.together import together
from phloem.sources.formats.unpack import UnpackError, unpack_all
from phloem.sources.limits import Limits
from phloem.sources.records import Record, batches
from phloem.sources.web.download import read_url

SITE = "https://pmc-oa-opendata.s3.amazonaws.com"
SEARCH = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/esearch.fcgi"
HOME = "https://pmc.ncbi.nlm.nih.gov/articles"

MAX_ARTICLES = 50_000
"""Of one card: each is pinned on its own, with two requests when it is locked and two when it is
fetched, a day's work at the pace that is polite. `query` narrows the search."""

PAGE = 10_000  # identifiers of one answer, the most that the search gives

SPLIT_BYTES = 32 * 2**20
"""XML that one split holds, about: half of it is text."""

# What the search calls each licence, and the record (README.txt, sections 4 and 5.3).
_CODES = {
    "comm": {
        "CC0": "cc0_license",
        "CC BY": "cc_by_license",
        "CC BY-SA": "cc_by-sa_license",
        "CC BY-ND": "cc_by-nd_license",
    },
    "noncomm": {
        "CC BY-NC": "cc_by-nc_license",
        "CC BY-NC-SA": "cc_by-nc-sa_license",
        "CC BY-NC-ND": "cc_by-nc-nd_license",
    },
}
_NUMBER = re.compile(r"\d{1,12}")
_NAME = re.compile(r"(PMC\d{1,12}\.\d{1,12})\.(json|xml)")
_VERSION = re.compile(r"creativecommons\.org/.*\d\.\d")  # of an address, ported to a country or not

VERSION = 3  # raised when it reads other documents out of the same bytes
LIBRARIES = ()
SAYS_LICENSES = True  # of each document
SAYS_DATES = True


class Params(Strict):
    """Which articles."""

    subset: Literal["comm", "noncomm", "other"] = Field(
        default="comm",
        description="Licences for any use, for any but commerce, or what is under others.",
    )
    licenses: list[str] = Field(
        default=[], description="SPDX identifiers that an article's licence must be among; or all."
    )
    query: str = Field(
        default="",
        description='What else the search must find, such as "PLoS One"[journal] AND 2020[pdat].',
    )

    @field_validator("query")
    @classmethod
    def _is_whole(cls, query: str) -> str:
        """A bracket that closes the search's own would widen it beyond the subset."""
        depth = 0
        for mark in re.sub(r'"[^"]*"', "", query):
            depth += {"(": 1, ")": -1}.get(mark, 0)
            if depth < 0 or mark == '"':
                break
        if depth or query.count('"') % 2:
            raise ValueError(f"{query!r} has brackets or quotation marks that do not match")
        return query


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The newest version of each article that the search finds, with its record.

    Raises SourceError if there are none, or more than `MAX_ARTICLES`.
    """
    return pin_files(
        (name, f"{SITE}/{article}/{name}")
        for number in _numbers(params)
        for article in _newest(number)
        for name in (f"{article}.json", f"{article}.xml")
    )


def _numbers(params: Params) -> list[str]:
    """The numbers of the articles, in order."""
    found: set[str] = set()
    while True:
        asked = {
            "db": "pmc",
            "term": _term(params),
            "retmode": "json",
            "retmax": PAGE,
            "retstart": len(found),
            "sort": "pub_date",
        }
        try:
            said = json.loads(read_url(f"{SEARCH}?{urlencode(asked)}"))["esearchresult"]
            count, numbers = int(said["count"]), list(said["idlist"])
        except (ValueError, LookupError, TypeError):
            msg = "PMC's search does not answer with a list of articles; see `query`, or try again"
            raise SourceError(msg) from None
        if not 0 < count <= MAX_ARTICLES:
            msg = f"PMC's search finds {count} articles, not 1 to {MAX_ARTICLES}; see `query`"
            raise SourceError(msg)
        before = len(found)
        found.update(number for number in numbers if _NUMBER.fullmatch(str(number)))
        if len(found) >= count or len(found) == before:
            return sorted(found, key=int)


def _term(params: Params) -> str:
    known = {f"{name}[Filter]" for codes in _CODES.values() for name in codes.values()}
    own = [f"{name}[Filter]" for name in _CODES.get(params.subset, {}).values()]
    terms = ["open_access[Filter]", f"({params.query})" if params.query else ""]
    wanted = f"({' OR '.join(own)})" if own else ""
    without = "" if own else f" NOT ({' OR '.join(sorted(known))})"
    return " AND ".join(term for term in [*terms, wanted] if term) + without


def _newest(number: str) -> list[str]:
    """The newest version of an article, such as ``PMC13901.1``; none if it was taken away."""
    prefix = f"PMC{number}."
    asked = urlencode({"list-type": "2", "prefix": prefix, "delimiter": "/"})
    content = read_url(f"{SITE}/?{asked}")
    versions = []
    for found in elements(iter([content]), "CommonPrefixes", Limits()):
        if isinstance(found, Fault):
            msg = f"{SITE} does not list the versions of {prefix[:-1]}; try again later"
            raise SourceError(msg)
        version = (found[1].findtext("Prefix") or "").removeprefix(prefix).rstrip("/")
        versions += [int(version)] if _NUMBER.fullmatch(version) else []
    return [f"{prefix}{max(versions)}"] if versions else []


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files that are no article or its record; which ones a search finds, it alone knows."""
    return foreign_addresses(pin, _address)


def _address(name: str) -> str | None:
    """Where a pinned file lies; None if it is of no article."""
    found = _NAME.fullmatch(name)
    return f"{SITE}/{found[1]}/{name}" if found else None


fetch = partial(fetch_files, foreign=foreign)  # a SourceError for one that was changed since


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split an article; of very many, those of about `SPLIT_BYTES` `together`."""
    sizes = {f.name.removesuffix(".xml"): f.bytes for f in pin.files if f.name.endswith(".xml")}
    return [_split(articles) for articles in together(sizes, SPLIT_BYTES)]


def _split(articles: list[str]) -> Split:
    names = tuple(f"{article}{ending}" for article in articles for ending in (".json", ".xml"))
    return Split(articles[0], {"articles": articles}, names)


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The articles of a split as JATS; native ids are their numbers, ``PMC13901``.

    A retracted article, one outside the subset, or one under another licence than the card takes is
    no document. The licence is the code of the record, in the version that the article names: by an
    address, else in words, where the day of publication tells a version that they leave out.
    """
    spec: Any = split.spec
    for article in spec["articles"]:
        found = _article(params, article, files, limits)
        yield from met_in(f"{article}.xml", batches(iter([found] if found else [])))


def _article(params: Params, article: str, files: Files, limits: Limits) -> Record | Fault | None:
    native_id = article.partition(".")[0]
    content = _content(files[f"{article}.xml"], limits)
    if isinstance(content, str):
        return Fault(native_id, -1, content)
    facts = _facts(_content(files[f"{article}.json"], limits))
    if isinstance(facts, str):
        return Fault(native_id, -1, facts, file=f"{article}.json")
    if not _is_wanted(params.subset, facts):
        return None
    found = next(elements(iter([content]), "article-meta", limits), None)
    if found is None or isinstance(found, Fault):
        return Fault(native_id, -1, found.reason if found else "article without metadata")
    terms = _terms(found[1], facts["license_code"])
    if terms is None and params.subset in _CODES:
        return Fault(native_id, -1, "article that does not name the version of its licence")
    is_taken = not params.licenses or terms in params.licenses
    return _record(native_id, content, facts, found[1], terms) if is_taken else None


def _record(
    native_id: str, content: bytes, facts: dict[str, Any], meta: Element, terms: str | None
) -> Record:
    title = facts.get("title")
    return Record(
        native_id,
        content,
        "application/jats+xml",
        url=f"{HOME}/{native_id}/",
        title=title.encode("utf-8", "replace").decode() if isinstance(title, str) else None,
        published=_day(meta),
        license=terms,
    )


def _facts(said: bytes | str) -> dict[str, Any] | str:
    """The record of an article, or why it does not say what decides."""
    if isinstance(said, str):
        return said
    try:
        facts = json.loads(said)
    except (ValueError, RecursionError):
        facts = None
    keys = {"license_code", "is_pmc_openaccess", "is_retracted"}
    is_whole = isinstance(facts, dict) and keys <= facts.keys()
    return facts if is_whole else "article whose record says too little"


def _is_wanted(subset: str, facts: dict[str, Any]) -> bool:
    code = facts["license_code"]
    known = [name for codes in _CODES.values() for name in codes]
    inside = code in _CODES[subset] if subset in _CODES else code not in known
    return inside and facts["is_pmc_openaccess"] is True and facts["is_retracted"] is False


def _content(path: str, limits: Limits) -> bytes | str:
    """A file's bytes, or why it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return unpack_all(file, None, limits, "record_bytes")
    except UnpackError as error:
        return error.reason


def _terms(meta: Element, code: str | None) -> str | None:
    """The SPDX identifier of the licence that an article names, if it is the one of its record."""
    if code == "CC0":
        return "CC0-1.0"
    family = (code or "").replace(" ", "-")
    addresses = [ref.text for ref in meta.iter("license_ref")]
    for each in meta.iter("license"):
        addresses += [link.get("href") for link in (each, *each.iter("ext-link"))]
    found = [spdx_of(address) for address in addresses if address]
    if not any(_VERSION.search(address) for address in addresses if address):
        said = [*meta.iter("license"), *meta.iter("copyright-statement")]  # there, until about 2007
        day = _day(meta)
        found += sorted(set().union(*(spdx_in("".join(each.itertext()), day) for each in said)))
    return next((terms for terms in found if terms and re.sub(r"-\d.*", "", terms) == family), None)


def _day(meta: Element) -> str | None:
    """The earliest day of publication, as precise as the article has it."""
    days = []
    for date in meta.iter("pub-date"):
        parts = [(date.findtext(key) or "").strip() for key in ("year", "month", "day")]
        known = []
        for part, digits in zip(parts, (4, 2, 2), strict=True):
            if not (part.isascii() and part.isdigit()):
                break
            known.append(part.zfill(digits))
        days += ["-".join(known)] if known else []
    return min(days, default=None)
