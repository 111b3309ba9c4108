"""Web addresses that are read without following redirects to wherever they lead."""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from os.path import commonprefix
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import aiohttp

WEB = ("http://", "https://")

SILENT_SECONDS = 30
"""Without a byte, until a server is given up. As long as bytes come, they are waited for: a bound
on the whole would end long honest downloads."""


ALLOWED: tuple[IPv4Network | IPv6Network, ...] = ()
"""Networks that are reached though they are not public: none, but for tests of local servers."""

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1: its last 32 bits are an IPv4 address


class RedirectError(OSError):
    """A redirect to a host that the card does not name, or one too many."""


class PrivateError(Exception):
    """A host that is inside somebody's network. No OSError: the client library would wrap it."""


def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, all public, for a connection made to them and not to its name.

    A name that is looked up once for a check and again for the connection may give another address
    the second time.

    Raises:
        PrivateError: one of them is private, loopback, link-local or reserved.
        OSError: the name is not known.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(f"{host[:80]!r} is no host name") from None
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in texts:
        if not is_public(text):
            raise PrivateError(f"{host} is at {text}, which is no public address")
    return texts


def is_public(text: str) -> bool:
    """Whether an IP address is one of the open network, or of `ALLOWED`."""
    address = ip_address(text.partition("%")[0])  # fe80::1%eth0 names its interface
    inner = _inside(address) if isinstance(address, IPv6Address) else None
    address = inner or address
    if any(address in network for network in ALLOWED):
        return True
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def allows(host: str, hosts: Sequence[str]) -> bool:
    """Whether a host is one of these globs."""
    return any(fnmatchcase(host.lower(), glob.lower()) for glob in hosts)


def options(place: str, hosts: Sequence[str], redirects: int) -> dict[str, Any]:
    """What fsspec is told, so that redirects lead where the card allows and silence ends.

    Args:
        place: Path or address.
        hosts: Globs of hosts that a redirect may lead to, besides the address's own.
        redirects: How many may follow each other.

    Raises:
        ImportError: nothing on this machine reads web addresses.
    """
    if not place.startswith(WEB):
        return {}
    import aiohttp

    guard = _guard((urlsplit(place).hostname or "", *hosts), redirects)
    waits = aiohttp.ClientTimeout(total=None, sock_connect=SILENT_SECONDS, sock_read=SILENT_SECONDS)
    # Its own bound is the number that it refuses; the guard has refused before.
    return {
        "client_kwargs": {"trace_configs": [guard], "timeout": waits},
        "max_redirects": redirects + 2,
    }


def errors() -> tuple[type[Exception], ...]:
    """What listing or reading a file may raise, on the web or elsewhere."""
    aiohttp = sys.modules.get("aiohttp")  # whoever gives no web address needs none
    web = (aiohttp.ClientError,) if aiohttp else ()
    return (OSError, ValueError, ImportError, *web)


@functools.cache  # fsspec opens a session for each set of options
def _guard(hosts: tuple[str, ...], redirects: int) -> aiohttp.TraceConfig:
    import aiohttp  # whoever gives no web address needs none

    async def redirected(_session: Any, context: Any, sent: Any) -> None:
        context.redirects = getattr(context, "redirects", 0) + 1
        if context.redirects > redirects:
            msg = f"{sent.url.host} redirects more than {redirects} times; see `redirects`"
            raise RedirectError(msg)
        target = urljoin(str(sent.url), sent.response.headers.get("Location", ""))
        host = urlsplit(target).hostname or ""
        if not allows(host, hosts):
            msg = f"{sent.url.host} redirects to {host}; name it in `hosts` if that is right"
            raise RedirectError(msg)

    guard = aiohttp.TraceConfig()
    guard.on_request_redirect.append(redirected)
    return guard


def shared_folder(places: Sequence[str]) -> str:
    """The folder that paths or addresses lie in, with its last slash; empty if there is none."""
    same = commonprefix(places)  # noqa: RUF071 - its last slash ends a whole folder
    return same[: same.rfind("/") + 1]
