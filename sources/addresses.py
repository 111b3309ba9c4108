"""Web addresses that are read without following redirects to wherever they lead."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import aiohttp

WEB = ("http://", "https://")

SILENT_SECONDS = 30
"""Without a byte, until a server is given up. As long as bytes come, they are waited for: a bound
on the whole would end long honest downloads."""


class RedirectError(OSError):
    """A redirect to a host that the card does not name, or one too many."""


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
        if not any(fnmatchcase(host, glob) for glob in hosts):
            msg = f"{sent.url.host} redirects to {host}; name it in `hosts` if that is right"
            raise RedirectError(msg)

    guard = aiohttp.TraceConfig()
    guard.on_request_redirect.append(redirected)
    return guard
