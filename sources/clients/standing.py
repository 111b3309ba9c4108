"""Whether what is locked of a source still stands, as its provider tells without giving the text.

A connector whose provider can be asked so has a function more than all have:

    def served(params, pin, folder) -> Told   # by pinned name

A GoneError stands for a file that is no longer served. It raises SourceError where nobody can be
asked: a host without a name or an answer has said of no file that it is gone. What lies in `folder`
stays for the next card, so that an index is brought once. Of the others, a file at a web address is
asked for its first byte, and a user's own files are hashed where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phloem.sources.clients.clients import pinned
from phloem.sources.connector import (
    Connector,
    GoneError,
    Pin,
    PinnedFile,
    SourceError,
    WrongError,
    foreign,
    refuse,
)
from phloem.sources.web.addresses import WEB
from phloem.sources.web.download import size_at

State = Literal["ok", "newer", "changed", "vanished", "not asked"]


@dataclass(frozen=True)
class Served:
    """What a provider tells of a pinned file that it still serves.

    Attributes:
        sha256: Of its bytes; None where it does not tell.
        bytes: Its size; None where it does not tell.
        newest: The version that the card would take now, where it is another than is locked.
    """

    sha256: str | None = None
    bytes: int | None = None
    newest: str | None = None


Told = Mapping[str, Served | GoneError]


@dataclass(frozen=True)
class Standing:
    """What became of a pin.

    Attributes:
        state: ``ok``: all of it is served; ``newer``: so is it, and the card would take a newer
            version; ``changed``: other bytes under its names; ``vanished``: a file of it is no
            longer served; ``not asked``: nobody could say.
        by: What its files were told to be the same by, the weakest of all: ``version`` (or another
            name of what never changes), ``size`` or ``sha256``; empty where none was.
        reason: What is there instead, or why nobody could say; of ``newer``, the newest version.
    """

    state: State
    by: str = ""
    reason: str = ""


def standing(connector: Connector, params: Any, pin: Pin, folder: Path) -> Standing:
    """What became of a pin.

    Args:
        connector: Of its card.
        params: What the card gives it.
        pin: What is locked.
        folder: For what is needed to ask, of all cards.
    """
    reason = connector.unavailable(params)
    if reason:
        return Standing("not asked", reason=reason)
    try:
        refuse(foreign(connector, params, pin))
        found = _served(connector, params, pin, folder)
    except GoneError as error:
        return Standing("vanished", reason=str(error))
    except SourceError as error:
        return Standing("not asked", reason=str(error))
    return _of(pin, found)


def _served(connector: Connector, params: Any, pin: Pin, folder: Path) -> Told:
    asks = getattr(connector, "served", None)
    if asks:
        found: Told = asks(params, pin, folder)
        return found
    if all((file.url or "").startswith(WEB) for file in pin.files):
        return {file.name: _at_address(file.url or "") for file in pin.files}
    if connector.reach(params) == "here":
        return _here(connector, params, pin, folder)
    raise SourceError("nothing but all of its bytes would tell; `phloem sources lock` reads them")


def _at_address(url: str) -> Served | GoneError:
    try:
        return Served(bytes=size_at(url))
    except GoneError as error:
        return error


def _here(connector: Connector, params: Any, pin: Pin, folder: Path) -> Told:
    try:
        files = connector.fetch(params, pin, folder)
    except WrongError:  # it hashes them, and says so of the first
        return {file.name: Served(sha256="") for file in pin.files}
    there = {name: pinned(Path(path)) for name, path in files.items()}
    return {name: Served(file.sha256, file.bytes) for name, file in there.items()}


def _of(pin: Pin, told: Told) -> Standing:
    gone = [str(each) for each in told.values() if isinstance(each, GoneError)]
    if gone:
        return Standing("vanished", reason=_first(gone))
    found = {name: each for name, each in told.items() if isinstance(each, Served)}
    changed = [file.name for file in pin.files if not _is_same(file, found[file.name])]
    if changed:
        return Standing("changed", reason=_first([f"{name} has other bytes" for name in changed]))
    by = min(map(_told_by, found.values()), key=_WEAKEST.index, default="")
    newer = [f"{each.newest} is served" for each in found.values() if each.newest]
    return Standing("newer" if newer else "ok", by, _first(list(dict.fromkeys(newer))))


def _first(reasons: list[str]) -> str:
    more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""


_WEAKEST = ("version", "size", "sha256")


def _told_by(served: Served) -> str:
    if served.sha256 is not None:
        return "sha256"
    return "version" if served.bytes is None else "size"


def _is_same(file: PinnedFile, served: Served) -> bool:
    if served.sha256 is not None:
        return served.sha256 == file.sha256
    return served.bytes in {None, file.bytes}
