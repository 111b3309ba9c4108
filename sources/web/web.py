"""One request to the open network: to public addresses only, one at a time for each host."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.response import HTTPResponse
from urllib3.util import Timeout
from urllib3.util.connection import create_connection

from phloem.sources import spending
from phloem.sources.connector import WrongError
from phloem.sources.web import addresses

DELAY = 0.5
"""Seconds from the end of a request to the next at the same host: polite, and no bound for files
of many megabytes."""

BROKEN = (HTTPError, OSError)
"""What a request or the reading of its answer may raise when the network fails."""

LOOKS = 10
"""How often it is looked, in the time that a host may be silent, whether a connection goes on."""

_MOVED = frozenset({301, 302, 303, 307, 308})


class UnreachableError(Exception):
    """A host that there is no connection to. No OSError: the client library would wrap it."""


@dataclass(frozen=True)
class Answer:
    """What a host answered, once redirects were followed.

    Attributes:
        url: The address that answered.
        status: HTTP status.
        headers: By name, whatever its case.
        chunks: Reads the body in pieces of at most so many bytes. Raises one of `BROKEN`.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    chunks: Callable[[int], Iterator[bytes]]


@dataclass
class _Turn:
    """Whose turn it is at a host, and when its last request ended."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: float = float("-inf")


def user_agent() -> str:
    """How this program names itself to hosts, with its home where it has one."""
    said = importlib.metadata.metadata("phloem")
    urls = [u.partition(", ") for u in said.get_all("Project-URL") or ()]
    home = next((url for name, _, url in urls if name.lower() == "homepage"), None)
    return f"phloem/{said['Version']}" + (f" (+{home})" if home else "")


@contextmanager
def ask(
    url: str,
    *,
    hosts: Sequence[str] = (),
    redirects: int = 5,
    headers: Mapping[str, str] | None = None,
    delay: float | None = None,
    check: Callable[[str], None] = lambda _: None,
) -> Iterator[Answer]:
    """GET an address, as it stands there: nothing is unpacked.

    Args:
        url: http or https, without a password.
        hosts: Globs of hosts that redirects may lead to, besides the address's own.
        redirects: How many may follow each other.
        headers: Sent besides the usual ones.
        delay: Seconds from the last request to this host; None for `DELAY`.
        check: Called with each address before it is asked for; raises what forbids it.

    Raises:
        SourceError: an address that is not asked for.
        addresses.RedirectError: a redirect that is not followed.
        addresses.PrivateError: a host inside somebody's network.
        UnreachableError: no connection.
        BROKEN: no answer.
    """
    allowed = [urlsplit(url).hostname or "", *hosts]
    sent = {"User-Agent": user_agent(), "Accept-Encoding": "identity", **(headers or {})}
    for hop in range(redirects + 1):
        host = _host(url)
        check(url)
        with _turn(host, DELAY if delay is None else delay), _opened(url, sent) as response:
            target = response.headers.get("Location")
            if response.status not in _MOVED or not target:
                yield Answer(url, response.status, response.headers, _reader(response))
                return
        if hop < redirects:
            url = _followed(url, target, allowed)
            if _host(url) != host:
                sent.pop("Authorization", None)  # a token is for the host that it was given to
    raise addresses.RedirectError(f"{host} redirects more than {redirects} times; see `redirects`")


def _reader(response: urllib3.BaseHTTPResponse) -> Callable[[int], Iterator[bytes]]:
    # Not response.stream: it waits until a piece is full, however slowly it comes.
    def piece(most: int) -> bytes:
        _here.watch.came = time.monotonic()
        found = response.read1(most)
        _here.watch.require()
        return found

    return lambda most: iter(lambda: piece(most), b"")


def _host(url: str) -> str:
    """The host of an address. Raises WrongError for one that is not asked for."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a wrong port raises when it is looked at
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        msg = f"{host or url[:80]!r} is no web address without a password; correct the card"
        raise WrongError(msg)
    return host


def _followed(url: str, target: str, hosts: Sequence[str]) -> str:
    """Where a redirect leads. The messages hold no more of it than its host: it may be signed."""
    host = urlsplit(url).hostname or ""
    try:
        target = urljoin(url, target)
        parts = urlsplit(target)
        there = parts.hostname or ""
    except ValueError:
        raise addresses.RedirectError(f"{host} redirects to what is no address") from None
    if not addresses.allows(there, hosts):
        msg = f"{host} redirects to {there or 'no host'}; name it in `hosts` if that is right"
        raise addresses.RedirectError(msg)
    if parts.scheme != "https" and urlsplit(url).scheme == "https":
        msg = f"{host} redirects from https to {parts.scheme}; give the address that is right"
        raise addresses.RedirectError(msg)
    return target


@contextmanager
def _turn(host: str, delay: float) -> Iterator[None]:
    """Wait until nobody else asks this host and its last request is long enough ago."""
    turn = _turn_of(host)
    with turn.lock:
        time.sleep(max(0.0, turn.ended + delay - time.monotonic()))
        try:
            yield
        finally:
            turn.ended = time.monotonic()


@functools.cache  # one for each host that this process asks
def _turn_of(host: str) -> _Turn:
    del host
    return _Turn()


@dataclass
class _Watch:
    """What shuts a connection on which nothing whole comes, or that has no time left.

    The client library waits for each byte anew: a head, a handshake or the length of a chunk that
    comes by a byte in half a minute would be waited for for days.
    """

    came: float = field(default_factory=time.monotonic)
    ends: float = field(default_factory=lambda: time.monotonic() + spending.seconds_left(math.inf))
    done: threading.Event = field(default_factory=threading.Event)
    held: socket.socket | None = None
    is_shut: bool = False

    def require(self) -> None:
        """Raise ProtocolError if it was shut: what came would be taken for the whole."""
        if self.is_shut:
            raise ProtocolError("nothing came for too long")

    def hold(self, connection: socket.socket) -> None:
        """Watch a connection, over which others may lie."""
        if self.held is None:
            self.held = socket.socket(fileno=os.dup(connection.fileno()))

    def look(self) -> None:
        """Look, until it is done."""
        while not self.done.wait(addresses.SILENT_SECONDS / LOOKS):
            now = time.monotonic()
            if self.held and (now > self.ends or now > self.came + 2 * addresses.SILENT_SECONDS):
                self.is_shut = True
                with suppress(OSError):  # the host was faster
                    self.held.shutdown(socket.SHUT_RDWR)
                return


class _Here(threading.local):
    watch = _Watch()


_here = _Here()


@contextmanager
def _watched() -> Iterator[None]:
    watch = _here.watch = _Watch()
    looker = threading.Thread(target=watch.look, daemon=True)
    looker.start()
    try:
        yield
    finally:
        watch.done.set()
        looker.join()
        if watch.held:
            watch.held.close()


@contextmanager
def _opened(url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
    waits = Timeout(connect=addresses.SILENT_SECONDS, read=addresses.SILENT_SECONDS)
    with _watched():
        response = _pools().request(
            "GET",
            url,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            timeout=waits,
        )
        try:
            _here.watch.require()
            yield response
        finally:
            response.close()  # what was not read of it is not worth its wait


def _connect(connection: HTTPConnection) -> socket.socket:
    """A connection to an address that was looked at, not to a name that may change meanwhile."""
    host, port = connection.host, connection.port or 0
    try:
        for address in addresses.public_addresses(host, port):
            try:
                made = create_connection(
                    (address, port), connection.timeout, socket_options=connection.socket_options
                )
            except OSError as error:
                reason = error.strerror or type(error).__name__
            else:
                _here.watch.hold(made)
                return made
    except OSError as error:
        reason = error.strerror or str(error)
    raise UnreachableError(f"{host} cannot be reached: {reason}")


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 has it
        _here.watch.hold(self.sock)  # one that was kept open
        return super().getresponse()


class _Secure(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 has it
        _here.watch.hold(self.sock)
        return super().getresponse()


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


@functools.cache
def _pools() -> urllib3.PoolManager:
    pools = urllib3.PoolManager()
    pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return pools
