"""Downloads that resume where they broke, wait where a host asks for it, and check what came."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from phloem.sources import keeping, spending
from phloem.sources.connector import GoneError, Observation, PinnedFile, WrongError
from phloem.sources.web import addresses, robots, web
from phloem.sources.web.patience import AgainError, RefusedError, WebError, patiently, retry_after

MAX_BYTES = 2**38
"""Of one file: 256 GiB. Providers of more cut it into parts; a disk that fills helps nobody."""

PAGE_BYTES = 2**28
"""Of an answer that is held in memory: an index, a list, a record of a web archive."""

SLOWEST = 1024
"""Bytes in a second, over `WINDOW` seconds; below, the connection is made anew."""

WINDOW = 60
"""Seconds over which the pace of a download is taken."""

_CHUNK = 2**20
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 402, 403, 407, 451})
_GONE = frozenset({404, 410})
_NO_MORE = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


@dataclass(frozen=True)
class Downloaded:
    """A file as it came.

    Attributes:
        path: Where it lies now.
        sha256: Of its bytes.
        bytes: How many.
        observed: What the hosts on the way said of machines.
    """

    path: Path
    sha256: str
    bytes: int
    observed: tuple[Observation, ...]


def download(
    url: str,
    target: Path,
    *,
    hosts: Sequence[str] = (),
    redirects: int = 5,
    pin: PinnedFile | None = None,
    headers: Mapping[str, str] | None = None,
    crawler: bool = True,
) -> Downloaded:
    """Bring a file, going on where a broken connection left off.

    What came so far lies in `target.part` and its validator (RFC 9110, 8.8) in `target.tag`, so a
    later call with the same target goes on too; a file that changed meanwhile comes whole.

    Args:
        url: http or https.
        target: The file to make; its folder must be there.
        hosts: Globs of hosts that redirects may lead to, besides the address's own.
        redirects: How many may follow each other.
        pin: The bytes that it must have.
        headers: Sent besides the usual ones.
        crawler: Whether robots.txt and TDMRep hold. False for interfaces that are made for
            programs, whose terms stand elsewhere: indexes, mirrors of dumps, APIs.

    Raises:
        GoneError: it is not there any more.
        WrongError: other bytes came than are pinned.
        SourceError: it cannot be had, or a rule forbids it.
    """
    part, tag = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.tag")
    most = pin.bytes if pin else MAX_BYTES
    seen: dict[Observation, None] = {}

    def once() -> Downloaded:
        have = part.stat().st_size if part.exists() and tag.exists() else 0
        ranged = {"Range": f"bytes={have}-", "If-Range": tag.read_text("utf-8")} if have else {}
        sent = {**(headers or {}), **ranged}
        with _asked(url, hosts, redirects, sent, crawler=crawler, seen=seen) as answer:
            start = _start(answer, have)
            if start is None:
                part.unlink(missing_ok=True)
                raise AgainError("the file changed while it came")
            _keep_tag(answer, tag)
            with part.open("r+b" if start else "wb") as out:
                out.seek(start)
                _copy(answer, out, most, start)
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if total.isdecimal() and int(total) != part.stat().st_size:
                raise AgainError("only a part of the file came")
        part.replace(target)
        tag.unlink(missing_ok=True)
        with target.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        keeping.brought(target, sha256)
        return Downloaded(target, sha256, target.stat().st_size, tuple(seen))

    done = patiently(url, once, lambda: part.stat().st_size if part.exists() else 0)
    if pin and done.sha256 != pin.sha256:
        target.unlink()
        raise WrongError(
            f"{pin.name} has sha256 {done.sha256}, but {pin.sha256} is locked: other bytes under"
            " the same address; find out why before you lock it again"
        )
    return done


def read_url(
    url: str,
    *,
    hosts: Sequence[str] = (),
    span: tuple[int, int] | None = None,
    most: int = PAGE_BYTES,
    delay: float | None = None,
) -> bytes:
    """What an interface for programs gives, in memory: a page of an index, or a range of a file.

    Args:
        url: http or https.
        hosts: Globs of hosts that redirects may lead to, besides the address's own.
        span: First byte and how many; a host that gives another range is refused.
        most: Bytes that it may have.
        delay: Seconds between requests to the host; None for `web.DELAY`.

    Raises:
        GoneError: it is not there any more.
        SourceError: it cannot be had, or it is larger than that.
    """
    return read_answer(url, hosts=hosts, span=span, most=most, delay=delay)[0]


def read_answer(
    url: str,
    *,
    hosts: Sequence[str] = (),
    span: tuple[int, int] | None = None,
    most: int = PAGE_BYTES,
    delay: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[bytes, Mapping[str, str]]:
    """As `read_url`, with the headers of the answer; `headers` are sent besides the usual ones."""
    first, size = span or (0, 0)
    ranged = {"Range": f"bytes={first}-{first + size - 1}"} if span else {}
    sent = {**(headers or {}), **ranged}

    def once() -> tuple[bytes, Mapping[str, str]]:
        with web.ask(url, hosts=hosts, headers=sent, delay=delay) as answer:
            _require(url, answer)
            if span and (
                answer.status != HTTPStatus.PARTIAL_CONTENT or _start(answer, first) is None
            ):
                raise WebError(f"{urlsplit(url).hostname} gives no ranges of its files")
            parts: list[bytes] = []
            left = size if span else most
            for chunk in _body(answer):
                left -= len(chunk)
                if left < 0:
                    raise WebError(f"{url} gives more than {size if span else most} bytes")
                parts.append(chunk)
            if span and left:
                raise AgainError("the range broke off")
            return b"".join(parts), answer.headers

    return patiently(url, once, lambda: 0)


def size_at(url: str) -> int | None:
    """The bytes of a file, told by its host when it is asked for the first; None if it tells none.

    It is asked once: whoever looks whether thousands of files are there has no patience with one.

    Raises:
        GoneError: it is not there any more.
        SourceError: the host cannot be asked, or refuses.
    """
    try:
        with web.ask(url, hosts=["*"], headers={"Range": "bytes=0-0"}) as answer:
            _require(url, answer)
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if answer.status == HTTPStatus.OK:
                total = answer.headers.get("Content-Length", "")
    except (addresses.PrivateError, addresses.RedirectError, web.UnreachableError) as error:
        raise WebError(str(error)) from None
    except AgainError as error:
        raise WebError(error.reason) from None
    except web.BROKEN as error:
        host = urlsplit(url).hostname
        raise WebError(f"the connection to {host} broke ({type(error).__name__})") from None
    return int(total) if total.isdecimal() else None


def names_of(urls: Sequence[str]) -> list[str]:
    """A name for each address: its path below the folder that all share, without its query.

    With the query where it tells two apart; of an address that ends in a folder, host and path.
    """
    places = [urlsplit(url)._replace(scheme="", query="", fragment="").geturl() for url in urls]
    if len(set(places)) < len(places):
        places = [url.partition("://")[2] for url in urls]
    shared = len(addresses.shared_folder(places))
    return [place[shared:] or place.strip("/") for place in places]


@contextmanager
def _asked(
    url: str,
    hosts: Sequence[str],
    redirects: int,
    headers: Mapping[str, str],
    *,
    crawler: bool,
    seen: dict[Observation, None],
) -> Iterator[web.Answer]:
    """An answer that holds what was asked for; what is seen on the way is added to `seen`."""

    def check(place: str) -> None:
        seen.update(dict.fromkeys(robots.observe(place)))

    if not crawler:
        with web.ask(url, hosts=hosts, redirects=redirects, headers=headers) as answer:
            _require(url, answer)
            yield answer
        return
    delay = max(robots.delay(url), web.DELAY)
    asked = web.ask(
        url, hosts=hosts, redirects=redirects, headers=headers, delay=delay, check=check
    )
    with asked as answer:
        _require(url, answer)
        seen.update(dict.fromkeys(robots.observe_header(answer.url, answer.headers)))
        yield answer


def _require(url: str, answer: web.Answer) -> None:
    """Raise what a status means, unless the answer holds bytes or says that there are no more."""
    status = answer.status
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, _NO_MORE}:
        return
    host = urlsplit(answer.url).hostname
    if status in _BUSY:
        wait = retry_after(answer.headers.get("Retry-After"))
        raise AgainError(f"{host} answers {status}", wait)
    if status in _GONE:
        msg = f"{url} is not there any more ({status}); look where it went, then lock it again"
        raise GoneError(msg)
    if status in _REFUSED:
        msg = f"{host} refuses {url} ({status}); it asks for an account, or for no machines"
        raise RefusedError(msg, answer.headers)
    raise WebError(f"{host} answers {status} for {url}")


def _start(answer: web.Answer, asked: int) -> int | None:
    """Where the bytes of an answer begin in the file; None if they are of no use."""
    if answer.status == HTTPStatus.OK:
        return 0
    unit, _, span = answer.headers.get("Content-Range", "").partition(" ")
    first, _, total = span.partition("/")
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        return asked if unit == "bytes" and first.partition("-")[0] == str(asked) else None
    return asked if total == str(asked) else None  # 416: there is no more of it


def _keep_tag(answer: web.Answer, tag: Path) -> None:
    """Keep what tells this version of the file from others: no weak tag does (RFC 9110, 13.1.5)."""
    said = answer.headers.get("ETag", "")
    said = said if said.startswith('"') else answer.headers.get("Last-Modified", "")
    if said.isascii() and said.isprintable() and said:
        tag.write_text(said, "utf-8")
    else:
        tag.unlink(missing_ok=True)


def _copy(answer: web.Answer, out: BinaryIO, most: int, have: int) -> None:
    if answer.status == _NO_MORE:
        return
    for chunk in _body(answer):
        have += len(chunk)
        if have > most:
            raise WrongError(
                f"{urlsplit(answer.url).hostname} gives more than the {most} bytes that this file"
                " may have; if it grew, lock it again"
            )
        _write(out, chunk)


def _write(out: BinaryIO, chunk: bytes) -> None:
    try:
        out.write(chunk)
        out.flush()
    except OSError as error:  # no failure of the network: no wait mends it
        raise WrongError(f"{out.name} cannot be written: {error.strerror}") from None


def _body(answer: web.Answer) -> Iterator[bytes]:
    """The pieces of a body. Raises AgainError if they come too slowly, SpentError if too many."""
    began, came = time.monotonic(), 0
    for chunk in answer.chunks(_CHUNK):
        spending.spend(len(chunk))
        yield chunk
        came += len(chunk)
        passed = time.monotonic() - began
        if passed > WINDOW:
            if came < SLOWEST * passed:
                raise AgainError(f"{urlsplit(answer.url).hostname} sends too slowly")
            began, came = time.monotonic(), 0
