"""Files that a provider publishes at fixed addresses: pinned once, and the same ever after."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from phloem.sources.connector import Files, Observation, Pin, PinnedFile, version_of
from phloem.sources.web.download import Downloaded, download


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


def fetch_files(_params: Any, pin: Pin, folder: Path, *, bring: Bring = bring) -> Files:
    """Download the pinned files into a folder.

    Raises:
        GoneError: one is not there any more.
        SourceError: one has other bytes than are pinned, or cannot be had.
    """
    files = {}
    for number, file in enumerate(pin.files):
        target = folder / f"{number:06d}"
        bring(file.url or "", target, pin=file)
        files[file.name] = str(target)
    return files
