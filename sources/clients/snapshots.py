"""Files that a provider publishes at fixed addresses: pinned once, and the same ever after."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from phloem.sources.connector import Files, Observation, Pin, PinnedFile
from phloem.sources.web.download import Downloaded, download


def pin_files(
    named: Iterable[tuple[str, str]], *, version: str | None = None, hosts: Sequence[str] = ()
) -> Pin:
    """Download files once for their sha256.

    Args:
        named: (name in the pin, address) of each.
        version: Of the whole; None: made of the hashes.
        hosts: Globs of hosts that the provider redirects to, besides its own.

    Raises SourceError, or GoneError for a file that is not there.
    """
    files: list[PinnedFile] = []
    seen: dict[Observation, None] = {}
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        for name, url in named:
            came = bring(url, Path(folder) / "file", hosts=hosts)
            seen.update(dict.fromkeys(came.observed))
            files.append(PinnedFile(name, came.sha256, came.bytes, url))
            came.path.unlink()
    total = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    return Pin(version or total[:12], tuple(files), tuple(seen))


def fetch_files(pin: Pin, folder: Path, *, hosts: Sequence[str] = ()) -> Files:
    """Download the pinned files into a folder.

    Raises:
        GoneError: one is not there any more.
        SourceError: one has other bytes than are pinned, or cannot be had.
    """
    files = {}
    for number, file in enumerate(pin.files):
        target = folder / f"{number:06d}"
        bring(file.url or "", target, hosts=hosts, pin=file)
        files[file.name] = str(target)
    return files


def bring(
    url: str, target: Path, *, hosts: Sequence[str] = (), pin: PinnedFile | None = None
) -> Downloaded:
    """One file of a service that is made for programs, whose terms stand on its card."""
    return download(url, target, hosts=hosts, pin=pin, crawler=False)
