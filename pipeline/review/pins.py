"""What changes in a lock entry, for who reviews it: hosts, files and their hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from phloem.reports.reviewed import FieldChange
from phloem.sources.connector import Pin, PinnedFile

SHORT_HASH = 12  # hexadecimal digits that are shown of a sha256


def pin_changes(before: Pin | None, after: Pin | None) -> Iterator[FieldChange]:
    """What differs between two lock entries of a card, hosts first; nothing if they are equal."""
    if before == after:
        return
    old, new = _hosts(before), _hosts(after)
    if old != new:
        yield FieldChange("locked hosts", old, new)
    yield FieldChange("lock entry", _words(before), _words(after))
    said, says = _observed(before), _observed(after)
    if said != says:
        yield FieldChange("what its hosts say of machines", said, says)
    were, are = _files(before), _files(after)
    changed = [name for name in {**are, **were} if were.get(name) != are.get(name)]
    for name in changed:
        yield FieldChange(f"locked file {name}", _file(were.get(name)), _file(are.get(name)))


def _hosts(pin: Pin | None) -> str | None:
    """The hosts that files are locked at; None where they are in an index, which has no address."""
    urls = {file.url for file in pin.files if file.url} if pin else set()
    return ", ".join(sorted({urlsplit(url).netloc or url for url in urls})) or None


def _words(pin: Pin | None) -> str | None:
    if pin is None:
        return None
    size = sum(file.bytes for file in pin.files)
    return f"{pin.version}, {len(pin.files)} files with {size / 1e6:,.1f} MB"


def _observed(pin: Pin | None) -> str | None:
    seen = pin.observed if pin else ()
    return "; ".join(f"{one.protocol} {one.verdict} at {one.place}" for one in seen) or None


def _files(pin: Pin | None) -> Mapping[str, PinnedFile]:
    return {file.name: file for file in pin.files} if pin else {}


def _file(file: PinnedFile | None) -> str | None:
    if file is None:
        return None
    place = f" at {file.url}" if file.url else ""
    return f"sha256 {file.sha256[:SHORT_HASH]}…, {file.bytes:,} bytes{place}"
