"""Wikis of the Wikimedia projects, out of their dumps of current pages.

Such a dump is a row of bzip2 streams of a hundred pages each, with an index of where they begin
(`pages-articles-multistream`), so that one file is read in parallel.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast
from urllib.parse import quote
from xml.etree.ElementTree import Element

from pydantic import Field

from phloem.sources import progress
from phloem.sources.clients.snapshots import bring, fetch_files, foreign_addresses
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
)
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.text_lines import lines
from phloem.sources.formats.unpack import Part, unpack
from phloem.sources.limits import Limits
from phloem.sources.naming import each
from phloem.sources.records import Record, Records, batched
from phloem.sources.web.download import read_url

SITE = "https://dumps.wikimedia.org"

SPLIT_BYTES = 8 * 2**20
"""Packed bytes that one split holds, about: 30 to 40 MB of wikitext."""

SHORT = 200
"""Characters besides templates and tags below which a page that transcludes others holds nothing of
its own: a work's page on Wikisource, whose text stands on the pages of its scan."""

_JOB = "articlesmultistreamdump"
_FILE = re.compile(r"\w+-\d{8}-pages-articles-multistream\d*\.xml(-p\d+p\d+)?\.bz2")
_NAME = re.compile(
    r"(?P<wiki>\w+)-(?P<date>\d{8})-pages-articles-multistream(-index)?\d*\.(xml|txt)(-p\d+p\d+)?\.bz2"
)
_WIKI = r"[a-z][a-z0-9_]{1,40}"
_FILE_NAMESPACES = frozenset({"-2", "6", "14"})  # Media, File, Category on every wiki
_TRANSCLUDES = re.compile(r"<pages\b[^<>]*>", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_MARKUP = re.compile(r"<[^<>]*>|\[\[[^\[\]]*\]\]")

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ()


class Params(Strict):
    """Which wikis, and which of their pages."""

    wikis: Annotated[dict[str, str], each(_WIKI, "database name of a wiki, such as swwiki")] = (
        Field(min_length=1, description="Database name, such as swwiki: BCP-47 tag.")
    )
    namespaces: list[int] = Field(
        default=[0], description="Numbers of namespaces; one that a wiki lacks has no pages."
    )
    dump: str | None = Field(
        default=None, pattern=r"^\d{8}$", description="Date of a dump; null: the newest."
    )


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The asked, else the newest finished dump of each wiki, with the index of each file.

    Raises SourceError if there is none, or a file has another SHA-1 than the dump says.
    """
    files: list[PinnedFile] = []
    dates: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        for wiki in params.wikis:
            dates[wiki], named = _dump(wiki, params.dump)
            files += [_pinned(wiki, dates[wiki], name, said, Path(folder)) for name, said in named]
    alone = len(set(dates.values())) == 1
    version = ", ".join(f"{wiki} {date}" for wiki, date in dates.items())
    return Pin(next(iter(dates.values())) if alone else version, tuple(files))


def _dump(wiki: str, date: str | None) -> tuple[str, list[tuple[str, Any]]]:
    """(date, (file name, what the dump says of it)) of a dump that is done."""
    for day in [date] if date else _dates(wiki):
        try:
            status = json.loads(read_url(f"{SITE}/{wiki}/{day}/dumpstatus.json"))
            job = status["jobs"][_JOB]
            found = dict(job["files"]) if job["status"] == "done" else {}
        except GoneError:
            continue
        except (ValueError, LookupError, TypeError):
            msg = f"{SITE}/{wiki}/{day}/dumpstatus.json does not say what it holds; try again later"
            raise SourceError(msg) from None
        dumps = sorted(name for name in found if _FILE.fullmatch(name))
        named = [name for dump in dumps for name in (dump, _index(dump)) if name in found]
        if dumps:
            return day, [(name, found[name]) for name in named]
    asked = f"of {date} " if date else ""
    msg = f"{SITE}/{wiki}/ has no dump {asked}whose {_JOB} is done; leave `dump` out for the newest"
    raise SourceError(msg)


def _dates(wiki: str) -> list[str]:
    listed = read_url(f"{SITE}/{wiki}/").decode("utf-8", "replace")
    return sorted(set(re.findall(r'href="(\d{8})/"', listed)), reverse=True)


def _index(dump: str) -> str:
    """The name of a dump file's index."""
    return re.sub(r"multistream(\d*)\.xml", r"multistream-index\1.txt", dump)


def _pinned(wiki: str, date: str, name: str, said: Any, folder: Path) -> PinnedFile:
    url = f"{SITE}/{wiki}/{date}/{name}"
    came = bring(url, folder / "file")
    with came.path.open("rb") as file:
        sha1 = hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
    came.path.unlink()
    claimed = said.get("sha1") if isinstance(said, dict) else None
    if claimed not in {None, sha1}:
        msg = f"{name} came with SHA-1 {sha1}, but its dump says {claimed}; lock it again"
        raise SourceError(msg)
    return PinnedFile(name, came.sha256, came.bytes, url)


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files of a wiki or a dump that the card does not name, or that lie elsewhere."""
    return foreign_addresses(pin, partial(_address, params))


def _address(params: Params, name: str) -> str | None:
    """Where a pinned file of a dump lies; None if the card names no such dump."""
    found = _NAME.fullmatch(name)
    if not found or found["wiki"] not in params.wikis or params.dump not in {None, found["date"]}:
        return None
    return f"{SITE}/{found['wiki']}/{found['date']}/{name}"


fetch = partial(fetch_files, foreign=foreign)  # they are not kept there for ever: a GoneError then


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """Rows of streams of about `SPLIT_BYTES` each; a file without a readable index is one."""
    found = []
    for file in pin.files:
        if not _FILE.fullmatch(file.name):
            continue
        progress.at(file.name)
        said = _site(files[file.name])
        starts = _starts(files.get(_index(file.name)), file.bytes)
        for start, end in zip(starts, [*starts[1:], file.bytes], strict=True):
            spec = {"file": file.name, "start": start, "end": end, **said}
            found.append(Split(f"{file.name.split('.')[0]}@{start}", spec, (file.name,)))
    return found


def _starts(index: str | None, size: int) -> list[int]:
    """Offsets at which splits begin, the first 0: some of those of an index.

    A line of an index is `offset:page:title`. A wrong offset costs the pages of its splits only.
    """
    starts = [0]
    if index is None:
        return starts
    with Path(index).open("rb") as file:
        for line in lines(file, "bzip2", Limits()):
            offset = b"" if isinstance(line, Fault) else line[1].partition(b":")[0]
            at = int(offset[:20]) if offset.isdigit() else 0
            if starts[-1] + SPLIT_BYTES <= at < size:
                starts.append(at)
    return starts


def _site(path: str) -> dict[str, Any]:
    """A wiki's base address and its names of files and categories, as a dump's head says."""
    with Path(path).open("rb") as file:
        chunks = unpack(file, "bzip2", Limits())
        found = next(elements(chunks, "siteinfo", Limits(), whole=False), None)
    if found is None or isinstance(found, Fault):
        return {"base": None, "namespaces": []}
    info = found[1]
    names = [n.text for n in info.iter("namespace") if n.get("key") in _FILE_NAMESPACES and n.text]
    base = info.findtext("base") or ""
    web = base.rpartition("/")[0] if base.startswith(("https://", "http://")) else None
    return {"base": web, "namespaces": names}


@batched
def read(params: Params, split: Split, files: Files, limits: Limits) -> Records:
    """The current pages of a split as wikitext; native ids are `wiki/number of the page`.

    Redirects, pages in another markup than wikitext (code, data) and pages that hold nothing but
    what they transclude are no documents.
    """
    spec: Any = split.spec
    with Path(files[spec["file"]]).open("rb") as file:
        file.seek(spec["start"])
        part = cast("BinaryIO", Part(file, spec["end"] - spec["start"]))
        chunks = unpack(part, "bzip2", limits)
        before = b"<mediawiki>" if spec["start"] else b""
        for found in elements(chunks, "page", limits, before=before, whole=False):
            if isinstance(found, Fault):
                yield found
                continue
            offset, page = found
            record = _record(page, offset, params, spec)
            if record is not None:
                yield record


def _record(page: Element, offset: int, params: Params, spec: Any) -> Record | Fault | None:
    """A page as a document; None if it is not wanted."""
    wiki = spec["file"].partition("-")[0]
    number, title = page.findtext("id"), page.findtext("title") or ""
    revision = page.find("revision")
    inside = page.findtext("ns") in {str(number) for number in params.namespaces}
    if not inside or page.find("redirect") is not None:
        return None
    if number is None or revision is None:
        return Fault(f"{wiki}/{number or '?'}", offset, "page without a number or a revision")
    text = revision.findtext("text") or ""
    if revision.findtext("model") not in {None, "wikitext"} or not text or _is_shell(text):
        return None
    return Record(
        f"{wiki}/{number}",
        text.encode("utf-8", "replace"),
        _media_type(spec["namespaces"]),
        url=f"{spec['base']}/{quote(title.replace(' ', '_'), safe=_PLAIN)}"
        if spec["base"]
        else None,
        title=title,
        published=revision.findtext("timestamp"),
        language=params.wikis.get(wiki),
    )


_PLAIN = "/:,()'!*@"  # characters of titles that MediaWiki leaves as they are in addresses


def _media_type(namespaces: list[str]) -> str:
    """What the extractor of wikitext is told: which links show files, or sort the page."""
    names = "|".join(name for name in namespaces if '"' not in name)
    return f'text/x-wiki; files="{names}"' if names else "text/x-wiki"


def _is_shell(text: str) -> bool:
    """Whether a page holds next to nothing but what it transcludes from the pages of a scan."""
    if not _TRANSCLUDES.search(text):
        return False
    while (rest := _TEMPLATE.sub("", text)) != text and len(rest) > SHORT:
        text = rest
    return len(_MARKUP.sub("", rest).strip()) < SHORT
