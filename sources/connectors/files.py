"""Files by path, glob or URL: JSON Lines, Parquet, Arrow and plain text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import fsspec
import pyarrow as pa
from pydantic import Field

from phloem.sources import addresses, read_tables, read_text
from phloem.sources.connector import (
    Fault,
    Files,
    GoneError,
    Pin,
    PinnedFile,
    Reach,
    SourceError,
    Split,
    Strict,
)
from phloem.sources.limits import Limits
from phloem.sources.unpack import compression_of

SPLIT_BYTES = 32 * 2**20
"""Bytes of unpacked text that one split holds, about; small files share one."""

PACKED = 4  # bytes of text in a byte of gzip or zstd, about: documentation has 3 to 5

MAX_FILES = 1_000_000  # a glob that finds more has lost its way

_FORMATS = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "txt": "txt",
    "text": "txt",
}
_PACKAGE = Path(__file__).parent.parent
BUNDLED = "bundled/"


VERSION = 1  # raised when it reads other documents out of the same bytes


class Params(Strict):
    """Which files, and where in them the text and its names are.

    Attributes:
        path: Path, glob or URL that fsspec knows, or several. ``bundled/…`` lies in this package;
            any other relative path is relative to the working folder.
        format: None: by the ending of each name, before .gz, .xz or .zst.
        text_column: Holds the text, in JSON Lines, Parquet and Arrow.
        documents: For plain text: a document a file, or one a block between blank lines.
    """

    path: str | list[str] = Field(description="Path, glob or URL, or several of them.")
    format: Literal["jsonl", "parquet", "arrow", "txt"] | None = Field(
        default=None, description="Null: by the ending of the name."
    )
    text_column: str = Field(default="text", description="Column or key that holds the text.")
    id_column: str | None = Field(default=None, description="Column of the source's own names.")
    language_column: str | None = Field(default=None, description="Column of BCP-47 tags.")
    title_column: str | None = Field(default=None, description="Column of titles.")
    url_column: str | None = Field(default=None, description="Column of addresses.")
    documents: Literal["file", "paragraph"] = Field(
        default="file", description="What a document is in plain text files."
    )
    media_type: str = Field(default="text/plain", description="Of the text.")
    hosts: list[str] = Field(
        default=[], description="Globs of hosts that a web address may redirect to but its own."
    )
    redirects: int = Field(
        default=5, ge=0, le=20, description="How many redirects of a web address may follow."
    )


def reach(params: Params) -> Reach:
    """Nothing for files of this project and of this machine; the network for addresses."""
    paths = [params.path] if isinstance(params.path, str) else params.path
    return "network" if any("://" in path for path in paths) else "here"


def unavailable(params: Params) -> str | None:
    """Why this machine cannot read: nothing known before it tries."""
    del params
    return None


def resolve(params: Params) -> Pin:
    """The files that are there now, each read once for its sha256.

    Raises SourceError if a pattern matches nothing, or a file's format cannot be told.
    """
    found = _found(params)
    for name in found:
        format_of(params, name)
    files = []
    for name, place in found.items():
        sha256, size = _hashed(params, place)
        url = place if "://" in place else None
        files.append(PinnedFile(name, sha256, size, url))
    total = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    return Pin(total[:12], tuple(files))


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Where the pinned files lie: local ones as they are, others copied into a folder.

    Raises:
        GoneError: a pinned file is not there any more.
        SourceError: a file's bytes are not those that were pinned.
    """
    found = _found(params)
    gone = [file.name for file in pin.files if file.name not in found]
    if gone:
        msg = (
            f"{len(gone)} locked files are not there any more, such as {gone[0]}; there are"
            f" {len(found)} files now; lock them again"
        )
        raise GoneError(msg)
    files = {}
    for number, file in enumerate(pin.files):
        place = found[file.name]
        local = place if "://" not in place else str(folder / f"{number:06d}")
        sha256, _ = _hashed(params, place, None if local == place else local)
        if sha256 != file.sha256:
            msg = (
                f"{file.name} has sha256 {sha256}, but {file.sha256} is locked: it was changed;"
                " lock it again if that is right"
            )
            raise SourceError(msg)
        files[file.name] = local
    return files


def _found(params: Params) -> dict[str, str]:
    """Path or URL of each file, by its name below the folder that all share; sorted.

    Raises SourceError naming every pattern that matches nothing.
    """
    patterns = [params.path] if isinstance(params.path, str) else params.path
    places: set[str] = set()
    missing = []
    for pattern in patterns:
        matched = _expand(params, pattern)
        places.update(matched)
        missing += [] if matched else [pattern]
    if missing or not places:
        msg = f"no file matches {', '.join(missing) or 'an empty list of paths'}"
        raise SourceError(msg)
    if len(places) > MAX_FILES:
        msg = f"{len(places)} files match, more than {MAX_FILES}: give a narrower path"
        raise SourceError(msg)
    shared = _shared_folder(places)
    return {place[shared:]: place for place in sorted(places)}


def _expand(params: Params, pattern: str) -> list[str]:
    """The files that a path, glob or URL names; of a folder, those right inside it."""
    if pattern.startswith(BUNDLED):
        pattern = str(_PACKAGE / pattern)
    try:
        told = addresses.options(pattern, params.hosts, params.redirects)
        fs, path = fsspec.core.url_to_fs(pattern, **told)
        found = fs.glob(path) if any(c in path for c in "*?[") else [path]
        found = [inner for outer in found for inner in _files(fs, outer)]
    except addresses.errors() as error:
        msg = f"{pattern} cannot be listed: {type(error).__name__}: {error}"
        raise SourceError(msg) from None
    local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
    return [place if local else fs.unstrip_protocol(place) for place in found]


def _files(fs: fsspec.AbstractFileSystem, path: str) -> list[str]:
    if not fs.isdir(path):
        return [path] if fs.exists(path) else []
    return [item["name"] for item in fs.ls(path, detail=True) if item["type"] == "file"]


def _shared_folder(places: set[str]) -> int:
    """Characters of the folder that all places share, with its last slash."""
    first, last = min(places), max(places)
    end = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first.rfind("/", 0, end) + 1


def _hashed(params: Params, place: str, copy: str | None = None) -> tuple[str, int]:
    """Sha256 and size of a file, copying it on the way."""
    digest = hashlib.sha256()
    size = 0
    out = Path(copy).open("wb") if copy else None  # noqa: SIM115 - closed below
    try:
        told = addresses.options(place, params.hosts, params.redirects)
        with fsspec.open(place, "rb", compression=None, **told) as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
                size += len(chunk)
                if out:
                    out.write(chunk)
    except addresses.errors() as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        msg = f"{place} cannot be read: {reason}"
        raise SourceError(msg) from None
    finally:
        if out:
            out.close()
    return digest.hexdigest(), size


def format_of(params: Params, name: str) -> str:
    """The format of a file. Raises SourceError if its name does not tell and the card neither."""
    if params.format:
        return params.format
    ending = compression_of(name)[1].lower().rpartition(".")[2]
    if ending not in _FORMATS:
        msg = (
            f"{name}: the format cannot be told from its name; give `format`:"
            " jsonl, parquet, arrow or txt"
        )
        raise SourceError(msg)
    return _FORMATS[ending]


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """Parts of about `SPLIT_BYTES`: ranges of large files, and small files together.

    A part is [file, start, end]: bytes of plain JSON Lines and of plain text cut at blank lines,
    row groups of Parquet, or the whole file where end is null.

    Raises SourceError if the text column is in none of the first records.
    """
    parts = [part for file in pin.files for part in _parts(params, file, files[file.name])]
    found: list[Split] = []
    held: list[list[str | int | None]] = []
    size = 0
    for file, start, end, weight in parts:
        if held and size + weight > SPLIT_BYTES:
            found.append(_split(held))
            held, size = [], 0
        held.append([file, start, end])
        size += weight
    return [*found, _split(held)] if held else found


def _split(parts: Sequence[list[str | int | None]]) -> Split:
    name, start, _ = parts[0]
    files = tuple(dict.fromkeys(str(file) for file, _, _ in parts))
    return Split(f"{name}@{start}" if start else str(name), {"parts": list(parts)}, files)


def _parts(params: Params, file: PinnedFile, path: str) -> list[tuple[str, int, int | None, int]]:
    """(file, start, end, bytes) of each part of a file."""
    kind = format_of(params, file.name)
    packed = compression_of(file.name)[0]
    columns = _columns(params)
    if kind == "jsonl":
        read_text.check_columns(file.name, path, columns)
    if kind in {"parquet", "arrow"}:
        read_tables.check_columns(file.name, path, columns, kind)
    if kind == "parquet":
        groups = read_tables.row_groups(path, SPLIT_BYTES)
        return [(file.name, start, end, size) for start, end, size in groups]
    whole = kind == "arrow" or (kind == "txt" and params.documents == "file")
    if packed or whole or file.bytes <= SPLIT_BYTES:
        return [(file.name, 0, None, file.bytes * (PACKED if packed else 1))]
    starts = range(0, file.bytes, SPLIT_BYTES)
    return [(file.name, at, min(at + SPLIT_BYTES, file.bytes), SPLIT_BYTES) for at in starts]


def _columns(params: Params) -> read_text.Columns:
    return read_text.Columns(
        text=params.text_column,
        id=params.id_column,
        language=params.language_column,
        title=params.title_column,
        url=params.url_column,
        media_type=params.media_type,
    )


def read(
    params: Params, split: Split, files: Files, limits: Limits
) -> Iterator[pa.RecordBatch | Fault]:
    """The documents of a split.

    Native ids are the id column, else `file@byte offset` of the line or block, `file#row` of
    Parquet and Arrow, or the file's name: the same however the files are split.
    """
    columns = _columns(params)
    for name, start, end in split.spec["parts"]:
        kind = format_of(params, name)
        if kind == "parquet":
            yield from read_tables.parquet(name, files[name], columns, (start, end), limits)
        elif kind == "arrow":
            yield from read_tables.arrow(name, files[name], columns, limits)
        elif kind == "jsonl":
            yield from read_text.jsonl(name, files[name], columns, (start, end), limits)
        elif params.documents == "file":
            yield from read_text.whole(name, files[name], columns, limits)
        else:
            yield from read_text.paragraphs(name, files[name], columns, (start, end), limits)
