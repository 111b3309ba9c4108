"""Which web addresses are asked: those of the open network, however they are written."""

from __future__ import annotations

import socket
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from os.path import commonprefix
from urllib.parse import urlsplit

from phloem.catalog.withheld import masked

WEB = ("http://", "https://")

SILENT_SECONDS = 30
"""Without a byte, until a server is given up. As long as bytes come, they are waited for: a bound
on the whole would end long honest downloads."""


ALLOWED: tuple[IPv4Network | IPv6Network, ...] = ()
"""Networks that are reached though they are not public: none, but for tests of local servers."""

# Names that no public host has: RFC 6761, 6762, 7686, 8375, and what ICANN keeps for networks.
_INSIDE = ("localhost", "local", "internal", "home.arpa", "onion")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # RFC 3490, 3.1: read as full stops in names
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1: its last 32 bits are an IPv4 address


class RedirectError(OSError):
    """A redirect to a host that the card does not name, or one too many."""


class PrivateError(Exception):
    """A host that is inside somebody's network. No OSError: the client library would wrap it."""


def fault(url: str) -> str | None:
    """Why a text is no address that is ever asked for; None if it may be. Nothing is looked up."""
    try:
        parts = urlsplit(url)
        host, known = parts.hostname, parts.port != 0
    except ValueError:
        return f"{url!r} is no address"
    is_plain = url.isprintable() and not set(" \\") & set(url)
    if parts.scheme not in {"http", "https"} or not host or not known or not is_plain:
        return f"{url!r} is no http or https address"
    if "@" in parts.netloc or masked(url) != url:
        return f"that of {host} holds a password or a token"
    return f"{host} is no public address" if is_inside(host) else None


def is_inside(host: str) -> bool:
    """Whether a host is inside somebody's network by its name alone, or is none.

    Numbers are read as resolvers do: 127.1, 0x7f000001 and 2130706433 are all 127.0.0.1.
    """
    name = unicodedata.normalize("NFKC", host.translate(_DOTS)).lower().rstrip(".")
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(name)))
    except (OSError, UnicodeError):
        pass
    if ":" in name:
        try:
            return not is_public(name)
        except ValueError:
            return True
    return "." not in name or any(f".{name}".endswith(f".{inside}") for inside in _INSIDE)


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
    inside = address.is_multicast or address.is_reserved
    if isinstance(address, IPv6Address):
        inside = inside or address.is_site_local  # RFC 3879: given up, and routed where it was used
    return address.is_global and not inside


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def allows(host: str, hosts: Sequence[str]) -> bool:
    """Whether a host is one of these globs."""
    return any(fnmatchcase(host.lower(), glob.lower()) for glob in hosts)


def shared_folder(places: Sequence[str]) -> str:
    """The folder that paths or addresses lie in, with its last slash; empty if there is none."""
    same = commonprefix(places)  # noqa: RUF071 - its last slash ends a whole folder
    return same[: same.rfind("/") + 1]
