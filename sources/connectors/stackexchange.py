"""Questions and answers of Stack Exchange sites, out of the data dumps of the Internet Archive.

A dump is a 7z archive whose `Posts.xml` holds questions and answers in the order in which they were
written. Its 7z is unpacked by the `7z` client as a stream; a database on disk brings answers to
their questions.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote

from pydantic import Field

from phloem.sources.clients.clients import streaming
from phloem.sources.clients.snapshots import fetch_files, foreign_addresses, pin_files
from phloem.sources.connector import (
    Fault,
    Files,
    Pin,
    SourceError,
    Split,
    Strict,
    every_nth,
    from_network,
    numbered,
)
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.unpack import CHUNK, UnpackError, excess
from phloem.sources.limits import Limits
from phloem.sources.naming import each
from phloem.sources.records import Record, Records, batched
from phloem.sources.web.download import download, read_url

SITE = "https://archive.org"
ITEM = "stackexchange"
HOSTS = ("*.archive.org",)
_bring = partial(download, hosts=HOSTS, crawler=False)

PART_BYTES = 512 * 2**20
"""Packed bytes that give a site one more split. Each split unpacks the whole archive and keeps the
questions whose number is its own, so there are few; only the largest sites have more than one."""

MEMORY_KIB = 2 * 2**20
"""Memory that the client may take, 2 GiB: a dictionary of 7z may claim twice that."""

_CLIENTS = ("7zz", "7z", "7za")
_SITE = r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)+"
_QUESTION, _ANSWER = "1", "2"
# When the terms of use changed, in UTC: meta.stackexchange.com/questions/347758.
_LICENSES = (("2018-05-02", "4.0"), ("2011-04-08", "3.0"), ("", "2.5"))
_NAMED = re.compile(r"CC BY-SA (2\.5|3\.0|4\.0)")

VERSION = 1  # raised when it reads other documents out of the same bytes
LIBRARIES = ()
SAYS_LICENSES = True  # of each document
SAYS_DATES = True


class Params(Strict):
    """Which sites, and which of their posts."""

    sites: Annotated[
        dict[str, str], each(_SITE, "host name of a site, such as stackoverflow.com")
    ] = Field(min_length=1, description="Host name, such as stackoverflow.com: BCP-47 tag.")
    min_score: int = Field(
        default=0, description="Votes that a question, and each answer shown with it, has at least."
    )


reach = from_network


def unavailable(params: Params) -> str | None:
    """Why this machine cannot read: no client unpacks 7z."""
    if _client():
        return None
    return "7z is missing: this source is a 7z archive; install 7-Zip (Debian: the package 7zip)"


def _client() -> str | None:
    return next((path for path in map(shutil.which, _CLIENTS) if path), None)


def resolve(params: Params) -> Pin:
    """The archives of the sites as they are now. Raises SourceError for a site that has none."""
    there = _listed()
    named = []
    for site in params.sites:
        name = next((name for name in _archives(site) if name in there), None)
        if name is None:
            raise SourceError(
                f"the Internet Archive's item {ITEM} has no {site}.7z; look how the site is called"
            )
        named.append((name, _address(name)))
    return pin_files(named, bring=_bring)


def _archives(site: str) -> tuple[str, str]:
    """What the archive of a site's posts may be called: of the largest, posts have their own."""
    return f"{site}-Posts.7z", f"{site}.7z"


def _address(name: str) -> str:
    return f"{SITE}/download/{ITEM}/{quote(name)}"


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned archives of sites that the card does not name, or that lie elsewhere."""
    own = {name: _address(name) for site in params.sites for name in _archives(site)}
    return foreign_addresses(pin, own.get)


def _listed() -> frozenset[str]:
    """The names of all archives of the item."""
    try:
        said = json.loads(read_url(f"{SITE}/metadata/{ITEM}/files", hosts=HOSTS))
        return frozenset(file["name"] for file in said["result"])
    except (ValueError, LookupError, TypeError):
        msg = f"{SITE}/metadata/{ITEM}/files does not say what there is; try again later"
        raise SourceError(msg) from None


fetch = partial(fetch_files, foreign=foreign, bring=_bring)


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """One split a site; of a large one, each takes every n-th question."""
    found = []
    for file in pin.files:
        site = file.name.removesuffix(".7z").removesuffix("-Posts")
        parts = every_nth(max(1, file.bytes // PART_BYTES))
        found += numbered(site, file.name, [{"site": site, **part} for part in parts])
    return found


@batched
def read(params: Params, split: Split, files: Files, limits: Limits) -> Records:
    """Each question with its answers, best first, as one HTML document.

    Native ids are `site/number of the question`. Its licence is that of all posts in it: what the
    dump says of each, else by the day of its last edit. Authors are their numbers at the site, not
    their names. An answer to no question that is kept is no document.
    """
    spec: Any = split.spec
    site = spec["site"]
    with closing(sqlite3.connect("")) as posts:  # on disk, without a name: it goes with the process
        posts.execute("PRAGMA synchronous = OFF")
        posts.execute(
            "CREATE TABLE posts (question INTEGER, rank INTEGER, score INTEGER, number INTEGER,"
            " title TEXT, body TEXT, written TEXT, license TEXT, author TEXT)"
        )
        for found in elements(_unpacked(files[spec["file"]], limits), "row", limits):
            if isinstance(found, Fault):
                yield found
                continue
            row = _row(found[1].attrib, params.min_score)
            if isinstance(row, str):
                yield Fault(f"{site}/{found[1].get('Id', '?')}", found[0], row)
            elif row and row[0] % spec["parts"] == spec["part"]:
                posts.execute("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        posts.execute("CREATE INDEX by_question ON posts (question, rank, score DESC, number)")
        yield from _threads(posts, site, params.sites.get(site), limits)


_Row = tuple[int, int, int, int, str | None, str, str, str, str | None]


def _row(post: dict[str, str], least: int) -> _Row | str | None:
    """A post for the database; None if it is not wanted, and a reason if it is broken."""
    kind = post.get("PostTypeId")
    if kind not in {_QUESTION, _ANSWER}:
        return None
    try:
        number, score = int(post["Id"]), int(post["Score"])
        question = number if kind == _QUESTION else int(post["ParentId"])
        body, written = post["Body"], post["CreationDate"]
    except (KeyError, ValueError):
        return "post without a number, a score, a day or a body"
    if max(number, question, abs(score)) >= 2**63:
        return "post with a number beyond 64 bits"
    if score < least:
        return None
    named = _NAMED.fullmatch(post.get("ContentLicense", ""))
    terms = named[1] if named else _license(post.get("LastEditDate") or written)
    rank = 0 if kind == _QUESTION else 1
    title = post.get("Title") if kind == _QUESTION else None
    author = post.get("OwnerUserId")
    return question, rank, score, number, title, body, written, terms, author


def _license(day: str) -> str:
    """The version of CC BY-SA under which something of this day stands."""
    return next(version for since, version in _LICENSES if day >= since)


def _threads(posts: sqlite3.Connection, site: str, language: str | None, limits: Limits) -> Records:
    """The questions in the database, in order, each with its answers."""
    rows = posts.execute("SELECT * FROM posts ORDER BY question, rank, score DESC, number")
    for _, thread in groupby(rows, key=itemgetter(0)):
        held: list[Any] = []
        size = 0
        for row in thread:
            size += len(row[5])
            if size <= limits.record_bytes or not held:
                held.append(row)
        yield from _thread(held, site, language, size, limits)


def _thread(rows: list[Any], site: str, language: str | None, size: int, limits: Limits) -> Records:
    question, rank, _, _, title, _, written, _, _ = rows[0]
    native_id = f"{site}/{question}"
    if rank:  # its question was left out
        return
    if size > limits.record_bytes:
        yield Fault(native_id, -1, f"record larger than {limits.told('record_bytes')}")
        return
    head = f"<h1>{html.escape(title)}</h1>\n" if title else ""
    licenses = sorted({f"CC-BY-SA-{row[7]}" for row in rows})
    authors = dict.fromkeys(row[8] for row in rows if row[8])
    yield Record(
        native_id,
        (head + "\n<hr>\n".join(row[5] for row in rows)).encode("utf-8", "replace"),
        "text/html; charset=utf-8",
        url=f"https://{site}/questions/{question}",
        title=title,
        published=written,
        author=", ".join(f"{site} user {author}" for author in authors) or None,
        license=" AND ".join(licenses),
        language=language,
    )


def _unpacked(path: str, limits: Limits) -> Iterator[bytes]:
    """`Posts.xml` of an archive. Raises UnpackError where it breaks or grows beyond the limits."""
    packed = Path(path).stat().st_size
    made = 0
    found = _client()
    if found is None:
        raise UnpackError("no client on this machine unpacks 7z", 0)
    # The shell is handed the limit and the command as they are, and only lowers the one.
    limited = ["sh", "-c", 'ulimit -v "$0" 2>/dev/null; exec "$@"', str(MEMORY_KIB)]
    asked = [found, "x", "-so", "-mmt1", "-bso0", "-bsp0", "-p", "--", path, "Posts.xml"]
    with streaming([*limited, *asked]) as client:
        out: IO[bytes] = client.stdout  # type: ignore[assignment]
        while chunk := out.read(CHUNK):
            made += len(chunk)
            reason = excess(packed, made, limits)
            if reason:
                raise UnpackError(f"7z {reason}", packed)
            yield chunk
        if client.wait() or not made:
            raise UnpackError("broken 7z, or one without Posts.xml", packed)
