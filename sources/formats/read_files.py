"""Files of any format: the parts that they are read in, and the documents of each part."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from os import stat_result
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import CONTENT, DECLARED_LANGUAGE
from phloem.sources import progress
from phloem.sources.connector import (
    Batches,
    Fault,
    Files,
    Pin,
    PinnedFile,
    SourceError,
    Split,
    met_in,
)
from phloem.sources.formats import (
    read_csv,
    read_json,
    read_plain,
    read_tables,
    read_text,
    text_lines,
)
from phloem.sources.formats.archives import (
    Member,
    Wanted,
    ranges,
    records_of,
    tar_members,
    zip_members,
)
from phloem.sources.formats.formats import (
    ARCHIVES,
    FORMATS,
    Format,
    columns_of,
    compression,
    format_of,
    language_of,
    plain_name,
)
from phloem.sources.formats.together import together
from phloem.sources.formats.unpack import PACKINGS, excess, first_bytes, packed_as
from phloem.sources.limits import Limits
from phloem.sources.records import Record, batches

LIBRARIES = ("isal", "orjson", "pyarrow", "zstandard")
"""Distributions whose code decides what is read, of all formats together."""

SPLIT_BYTES = 32 * 2**20
"""Bytes of unpacked text that one split holds, about; very many small files share some."""

PACKED = 4  # bytes of text in a byte of gzip or zstd, about: documentation has 3 to 5

_STREAMS = frozenset({"csv", "json", "jsonl", "tar", "txt"})  # formats that may be packed

_WHOLE = {"arrow": read_tables.arrow, "csv": read_csv.csv, "json": read_json.json}

_NUMBER = re.compile(r"#\d+$")  # of a member whose name another had before

Part = tuple[str, int, int | None]  # file, and the first and last of bytes, row groups or members


def splits(params: Format, pin: Pin, files: Files) -> list[Split]:
    """Parts of about `SPLIT_BYTES` of each file, and very many small files `together`.

    A part is [file, start, end]: bytes of JSON Lines and of plain text of several documents, row
    groups of Parquet, members of a zip, or the whole file where end is null. What the parts of
    a file are depends on that file alone. With them stand the bytes of each file: one that has
    more or fewer when it was read is told.

    Raises SourceError if the text column is in none of the first records.
    """
    size = SPLIT_BYTES
    parts = {file.name: _parts(params, file, files[file.name], size) for file in pin.files}
    cut = [part for own in parts.values() if len(own) > 1 for part, _ in own]
    whole = {
        file.name: max(file.bytes, parts[file.name][0][1])
        for file in pin.files
        if len(parts[file.name]) == 1
    }
    shared = [[parts[name][0][0] for name in names] for names in together(whole, size)]
    sizes = {file.name: file.bytes for file in pin.files}
    return [_split(each, sizes) for each in [*([part] for part in cut), *shared]]


def _split(parts: Sequence[Part], sizes: Mapping[str, int]) -> Split:
    name, start, _ = parts[0]
    files = tuple(file for file, _, _ in parts)
    spec = {"parts": [[*p] for p in parts], "bytes": [sizes[file] for file in files]}
    return Split(f"{name}@{start}" if start else name, spec, files)


def _parts(params: Format, file: PinnedFile, path: str, size: int) -> list[tuple[Part, int]]:
    """Each part of a file, and its bytes."""
    progress.at(file.name)
    name, kind = file.name, format_of(params, file.name)
    packed = compression(name)
    kind = _form(name, path, kind)
    _check_columns(params, name, path, kind)
    if kind == "parquet":
        return [((name, a, b), w) for a, b, w in read_tables.row_groups(path, size)]
    if kind == "zip":
        found = ranges(zip_members(path), params, size, file.bytes)
        return [((name, a, b), w) for a, b, w in found]
    whole = kind in {*_WHOLE, "tar", *PACKINGS} or (kind == "txt" and params.documents == "file")
    if packed or whole or file.bytes <= size or text_lines.is_rewritten(path):
        return [((name, 0, None), file.bytes * (PACKED if packed else 1))]
    cuts = read_plain.bounds(path, params.documents if kind == "txt" else "line", size)
    return [((name, at, to), to - at) for at, to in pairwise([*cuts, file.bytes])]


def _form(name: str, path: str, kind: str) -> str:
    """The format of a file, where its bytes have a say in it; of `PACKINGS` if its name has not."""
    if kind not in _STREAMS:
        return kind
    with Path(path).open("rb") as file:
        head = first_bytes(file, compression(name))
    form = read_json.form_of(head, kind) if kind in {"json", "jsonl"} else kind
    return packed_as(head) or form


def _check_columns(params: Format, name: str, path: str, kind: str) -> None:
    columns = columns_of(params, name)
    if kind == "jsonl":
        read_text.check_columns(name, path, columns)
    if kind == "csv":
        read_csv.check_columns(name, path, columns)
    if kind in {"parquet", "arrow"}:
        read_tables.check_columns(name, path, columns, kind)


def read(params: Format, split: Split, files: Files, limits: Limits) -> Batches:
    """The documents of a split.

    Native ids are the id column, else `file@byte offset` of the line, row or block, `file#row` of
    Parquet and Arrow, or the file's name: the same however the files are split. What is in an
    archive is named `archive/member`.
    """
    for (name, start, end), size in zip(split.spec["parts"], split.spec["bytes"], strict=True):
        before = Path(files[name]).stat()
        found = _in_bounds(params, (name, start, end), files[name], size, limits)
        yield from met_in(name, _tagged(found, language_of(params, name)))
        yield from met_in(name, _changed(files[name], size, before))


def _in_bounds(params: Format, part: Part, path: str, file_bytes: int, limits: Limits) -> Batches:
    """What is read of a file, as far as it is not more than any packed stream may unpack to.

    A table of 50 kB may say a text of a megabyte twenty thousand times.
    """
    made = 0
    for each in _read(params, format_of(params, part[0]), part, path, limits):
        if not isinstance(each, Fault):
            made += int(pc.sum(pc.binary_length(each[CONTENT.name])).as_py() or 0)
            reason = excess(file_bytes, made, limits)
            if reason:
                yield Fault(None, -1, f"file {reason}", rest=True)
                return
        yield each


def _changed(path: str, locked: int, before: stat_result) -> Batches:
    """A fault where a file has other bytes than when it was locked, or was written while read."""
    now = Path(path).stat()
    if now.st_size != locked:
        reason = f"file of {locked} bytes that has {now.st_size} now"
        yield Fault(None, min(now.st_size, locked), reason, rest=True)
    elif (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
        yield Fault(None, 0, "file that was written while it was read", rest=True)


def _tagged(found: Batches, tag: str | None) -> Batches:
    """The same documents, in this language where their column says none."""
    for batch in found:
        if tag is None or isinstance(batch, Fault):
            yield batch
            continue
        place = batch.schema.get_field_index(DECLARED_LANGUAGE.name)
        said = pc.coalesce(batch.column(place), pa.scalar(tag, pa.string()))
        yield batch.set_column(place, batch.schema.field(place), said)


def _read(params: Format, kind: str, part: Part, path: str, limits: Limits) -> Batches:
    name, start, end = part
    columns = columns_of(params, name)
    kind = _form(name, path, kind)
    if kind in PACKINGS:
        return iter([Fault(None, 0, f"{kind}, which its name does not say", rest=True)])
    if kind == "parquet":
        return read_tables.parquet(name, path, columns, (start, end), limits)
    if kind in _WHOLE:
        return _WHOLE[kind](name, path, columns, limits)
    if kind in ARCHIVES:
        return _archived(params, kind, part, path, limits)
    if kind == "txt":
        return read_plain.plain(name, path, columns, params.documents, (start, end), limits)
    return read_text.jsonl(name, path, columns, (start, end), limits)


def _archived(params: Format, kind: str, part: Part, path: str, limits: Limits) -> Batches:
    """The members of an archive: tables row by row, all others as documents."""
    name, start, end = part
    want = Wanted(params, name, start, end)
    with Path(path).open("rb") as file:
        members: Iterator[Member]
        if kind == "zip":
            members = zip_members(path)
        else:
            members = tar_members(file, compression(name), limits)
        records = records_of(members, want, Path(path).stat().st_size, limits)
        for table, group in groupby(records, lambda found: _kind_of(params, found)):
            if table is None:
                yield from batches(_document(params, found) for found in group)
            else:
                for record in group:
                    yield from _rows(params, table, record, limits)


def _kind_of(params: Format, found: Record | Fault) -> str | None:
    """The format of a member that holds many documents, or an archive; None for all others."""
    if isinstance(found, Fault):
        return None
    plain = plain_name(_NUMBER.sub("", found.native_id))
    told = FORMATS.get(plain.lower().rpartition(".")[2])
    if told not in ARCHIVES and params.format not in ARCHIVES:
        told = params.format or told
    return None if told == "txt" and params.documents == "file" else told


def _document(params: Format, found: Record | Fault) -> Record | Fault:
    """A member as the card has it: its media type holds for all, its globs for whole names."""
    if isinstance(found, Fault):
        return found
    given = "media_type" in params.model_fields_set
    media_type = params.media_type if given else found.media_type
    language = found.language or language_of(params, found.native_id)
    return found._replace(media_type=media_type, language=language)


def _rows(params: Format, kind: str, record: Record | Fault, limits: Limits) -> Batches:
    """The documents of a member that is a table."""
    if isinstance(record, Fault):  # these have no kind
        return
    if kind in ARCHIVES:
        yield Fault(record.native_id, -1, "archive in an archive")
        return
    with tempfile.TemporaryFile() as held:  # without a name: a killed process leaves nothing
        held.write(record.content)
        held.seek(0)  # some systems open a file again where its reader has got to
        path = f"/dev/fd/{held.fileno()}"  # readers want one
        name = plain_name(record.native_id)  # what was packed came out with the member
        try:
            if kind in {"parquet", "arrow"}:
                read_tables.check_columns(name, path, columns_of(params, name), kind)
        except SourceError as error:
            yield Fault(record.native_id, -1, str(error).removeprefix(f"{name}: "), rest=True)
            return
        found = _read(params, kind, (name, 0, None), path, limits)
        yield from met_in(name, _tagged(found, record.language or language_of(params, name)))
