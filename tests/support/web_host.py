"""A web host on this machine that speaks HTTP/1.1 as real ones do: ranges, tags, failures."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest

from phloem.sources.web import addresses, patience, robots, web


@dataclass
class Page:
    """What a path gives.

    Attributes:
        body: Its bytes.
        status: What it is answered with.
        headers: Besides those that say length, range and tag.
        ranges: Whether a range may be asked for.
        tag: ETag; None for one made of the body.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    tag: str | None = None


Answer = Page | Callable[["Handler"], None]


@dataclass
class Host:
    """A running host.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        pages: By path, with its query or without; for all else 404.
        once: By path, answers that are given first, each once.
        asked: (path with its query, headers) of each request.
    """

    address: str
    pages: dict[str, Answer] = field(default_factory=dict)
    once: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def paths(self) -> list[str]:
        """What was asked for, without what hosts say to machines."""
        said = {"/robots.txt", "/.well-known/tdmrep.json"}
        return [path for path, _ in self.asked if path not in said]


class Handler(BaseHTTPRequestHandler):
    """Answers with the host's pages."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent apart: each would wait 40 ms
    host: Host

    def do_GET(self) -> None:
        """Answer a request."""
        host = self.server.host  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        host.asked.append((self.path, dict(self.headers.items())))
        queue = host.once.get(path, [])
        found = queue.pop(0) if queue else host.pages.get(self.path, host.pages.get(path))
        if callable(found):
            found(self)
        else:
            self.give(found or Page(status=404))

    do_HEAD = do_GET  # noqa: N815 - named so by http.server

    def give(self, page: Page, *, cut: int | None = None) -> None:
        """Send a page, or the range of it that was asked for; `cut`: break off after so many."""
        tag = page.tag or f'"{hashlib.sha256(page.body).hexdigest()[:16]}"'
        status, body = page.status, page.body
        headers = {"ETag": tag, **page.headers}
        asked = self.headers.get("Range", "")
        fresh = self.headers.get("If-Range") in {None, tag}
        if asked and page.ranges and fresh and status == 200:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last or len(body) - 1)
            headers["Content-Range"] = f"bytes {start}-{min(end, len(body) - 1)}/{len(body)}"
            status, body = 206, body[start : end + 1]
            if start >= len(page.body):
                status, headers["Content-Range"] = 416, f"bytes */{len(page.body)}"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def cut(page: Page, after: int) -> Callable[[Handler], None]:
    """An answer that breaks off."""
    return lambda handler: handler.give(page, cut=after)


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host, reached without delay by a program that may reach this machine."""
    monkeypatch.setattr(addresses, "ALLOWED", (ip_network("127.0.0.0/8"),))
    monkeypatch.setattr(web, "DELAY", 0.0)
    robots.read.cache_clear()  # another test's host may have had this port
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False  # connections that are kept open end with the test
        host = Host(f"http://127.0.0.1:{server.server_address[1]}")
        server.host = host  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()


def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that would have been made, in seconds; none is."""
    waits: list[float] = []
    monkeypatch.setattr(patience, "sleep", waits.append)
    return waits
