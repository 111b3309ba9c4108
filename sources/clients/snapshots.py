"""Files that a provider publishes at fixed addresses: pinned once, and the same ever after."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from phloem.catalog.withheld import masked
from phloem.sources.connector import (
    Files,
    GoneError,
    Observation,
    Pin,
    PinnedFile,
    refuse,
    version_of,
)
from phloem.sources.web.download import Downloaded, download

Foreign = Callable[[Any, Pin], list[str]]


class Bring(Protocol):
    """How a provider's files are brought: `download` with what it is told for all of them."""

    def __call__(  # noqa: D102
        self, url: str, target: Path, *, pin: PinnedFile | None = None
    ) -> Downloaded: ...


bring: Bring = partial(download, crawler=False)
"""One file of a service that is made for programs, whose terms stand on its card."""


def pin_files(
    named: Iterable[tuple[str, str]], *, version: str | None = None, bring: Bring = bring
) -> Pin:
    """Download files once for their sha256.

    Args:
        named: (name in the pin, address) of each.
        version: Of the whole; None: made of the hashes.
        bring: How.

    Raises SourceError, or GoneError for a file that is not there.
    """
    files: list[PinnedFile] = []
    seen: dict[Observation, None] = {}
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        for name, url in named:
            came = bring(url, Path(folder) / "file")
            seen.update(dict.fromkeys(came.observed))
            files.append(PinnedFile(name, came.sha256, came.bytes, url))
            came.path.unlink()
    return Pin(version or version_of(files), tuple(files), tuple(seen))


def foreign_addresses(pin: Pin, address: Callable[[str], str | None]) -> list[str]:
    """Pinned files that a card does not name, or that lie elsewhere than it says.

    Args:
        pin: What is locked.
        address: Of a pinned name, as the card has it; None if it names no such file.
    """
    found = []
    for file in pin.files:
        own = address(file.name)
        if own is None:
            found.append(f"the card names no file {file.name}")
        elif file.url != own:
            place = masked(file.url) if file.url else "no address"
            found.append(f"{file.name} is locked at {place}, and the card has it at {masked(own)}")
    return found


def fetch_files(
    params: Any, pin: Pin, folder: Path, *, foreign: Foreign, bring: Bring = bring
) -> Files:
    """Download the pinned files into a folder.

    Args:
        params: What the card names.
        pin: What is locked.
        folder: Where to.
        foreign: The connector's.
        bring: How.

    Raises:
        GoneError: one is not there any more.
        WrongError: it is locked at an address that the card does not name.
        SourceError: one has other bytes than are pinned, or cannot be had.
    """
    refuse(foreign(params, pin))
    files = {}
    for number, file in enumerate(pin.files):
        target = folder / f"{number:06d}"
        try:
            bring(file.url or "", target, pin=file)
        except GoneError:
            twins = (each.url for each in pin.files if each.sha256 == file.sha256)
            other = next((url for url in twins if url and url != file.url), None)
            if other is None:
                raise
            bring(other, target, pin=file)  # where the card has the same bytes too
        files[file.name] = str(target)
    return files
