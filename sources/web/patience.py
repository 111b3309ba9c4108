"""Asking a host again: how long, how often, and when it is given up."""

from __future__ import annotations

import email.utils
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import sleep
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError, SSLError

from phloem.sources import spending
from phloem.sources.connector import SourceError
from phloem.sources.web import addresses, web

WAITS = 900
"""Seconds that a download may wait in all for a host that fails or asks for patience."""

CONNECTS = 3
"""Tries in a row that may find no connection at all: more often, there is no network here."""

LONGEST_WAIT = 120
"""Seconds of one wait; a host that asks for more is asked again on another day."""

PROGRESS = 2**16
"""Bytes after which a failure counts as the first."""

T = TypeVar("T")

_LASTING = (addresses.PrivateError, addresses.RedirectError, LocationParseError, SSLError)


class WebError(SourceError):
    """A host that does not give what was asked for, whatever the reason."""


class RefusedError(WebError):
    """A host that gives it to others only: who has an account, or is no machine.

    Attributes:
        headers: Of its answer.
    """

    def __init__(self, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.headers = headers


class AgainError(Exception):
    """A failure that may pass: asked again after a wait.

    Attributes:
        reason: For the message when patience ends.
        wait: Seconds that the host asks for.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


def patiently(url: str, once: Callable[[], T], have: Callable[[], int]) -> T:
    """Try until it is done or patience ends: waits double, and begin anew once bytes came.

    Args:
        url: For messages.
        once: One try.
        have: How many bytes there are.

    Raises:
        SourceError: what does not pass by waiting, or did not.
    """
    waited, tries = 0.0, 0
    while True:
        spending.spend(0)
        before, asked = have(), 0.0
        try:
            return once()
        except _LASTING as error:
            raise WebError(f"{url} cannot be had: {error}") from None
        except web.UnreachableError as error:
            reason, most = str(error), CONNECTS
        except AgainError as error:
            reason, asked, most = error.reason, error.wait, sys.maxsize
        except web.BROKEN as error:
            reason, most = f"{type(error).__name__} from {urlsplit(url).hostname}", sys.maxsize
        tries = 1 if have() - before >= PROGRESS else tries + 1
        wait = max(asked, min(LONGEST_WAIT, 2.0 ** (tries - 1)))
        if wait > LONGEST_WAIT or waited + wait > WAITS or tries >= most:
            told = f"; it asks to wait {asked:.0f} s" if asked > LONGEST_WAIT else ""
            msg = f"{url} cannot be had: {reason}{told}; waited {waited:.0f} s; try again later"
            raise WebError(msg)
        sleep(spending.seconds_left(wait))
        waited += wait


def retry_after(text: str | None) -> float:
    """Seconds that a host asks to wait (RFC 9110, 10.2.3); 0 if it does not say."""
    if text is None:
        return 0
    if text.strip().isdecimal():
        return int(text.strip()[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0
