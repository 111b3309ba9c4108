"""Exports: the tokens of a release in a folder of their own, in the format of some trainer.

An export can be made again at any time, to the same bytes, so no release lists one. What it was
made of, and what it holds, stands in its own `export.json`.
"""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa

from phloem.catalog.advice import command
from phloem.catalog.columns import ID
from phloem.catalog.errors import PhloemError, UseError
from phloem.catalog.findings import Finding, check_ends, check_file
from phloem.catalog.handoff.formats import FORMATS
from phloem.catalog.handoff.tokenizer import End
from phloem.catalog.handoff.tokens import TOKENS, Part, batches
from phloem.catalog.manifest import File, Shard, canonical
from phloem.catalog.nearest import nearest
from phloem.catalog.released import Release, check_ended, load_release, released_dataset
from phloem.catalog.store import ChangedError, MissingError, Store, StoreError, Writing

Json = Any

EXPORT = "export.json"


class ExportError(PhloemError):
    """An export that cannot be made or read: the message says which, and what to do."""


@dataclass(frozen=True)
class Export:
    """What an export says of itself in `export.json`; nothing of it varies from day to day.

    Attributes:
        what: `tokens`.
        format: One of FORMATS.
        release: Name of the release.
        release_digest: Its digest.
        tokenizer: sha256 of the tokenizer.
        end_token: The token at the end of each document, as the vocabulary spells it.
        end_id: Its number.
        documents: Documents of the release.
        tokens: Its tokens.
        files: Every other file, whose rows are its documents.
    """

    what: str
    format: str
    release: str
    release_digest: str
    tokenizer: str
    end_token: str
    end_id: int
    documents: int
    tokens: int
    files: tuple[File, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Export:
        """From plain JSON."""
        return cls(**{**value, "files": tuple(File(**file) for file in value["files"])})


def export_tokens(store: Store, name: str, form: str, folder: str) -> Export:
    """Write the tokens of a release in a format, and `export.json` last.

    Where it fails, what it wrote is deleted.

    Args:
        store: The root.
        name: Of the release.
        form: One of FORMATS.
        folder: Path or URL of an empty folder, or of one to be made.

    Raises:
        UseError: there is no such format.
        ReleaseError: there is no such release, or it does not hold.
        ExportError: the folder holds something, or a file of the release is not as released.
    """
    module, release, out = _format(form), load_release(store, name), Store(folder)
    check_ended(release)
    if out.list(""):
        raise ExportError(f"{folder} is not empty; name a new or an empty folder with --out")
    files: list[File] = []
    try:
        for stem, shard in _named(store, release):
            part = _part(store, release, stem, shard)
            module.write(part, partial(_created, out, part, files))
        made = _export(release, form, files)
        out.write_bytes(EXPORT, canonical(asdict(made)))
    except BaseException:
        for file in files:
            out.delete(file.name)
        raise
    return made


def _format(name: str) -> Any:
    if name not in FORMATS:
        raise UseError(f"no format named {name!r}; {nearest(name, FORMATS)}")
    return importlib.import_module(f"phloem.catalog.handoff.formats.{name}")


def _named(store: Store, release: Release) -> list[tuple[str, Shard]]:
    """What the files of each token shard are called: by its source, and its place there.

    Shards without a document are left out: trainers cannot map an empty file.
    """
    counts: Counter[str] = Counter()
    found = []
    for shard in released_dataset(store, release, "tokenize").shards:
        if shard.facts["documents"]:
            source = shard.facts["source"]
            found.append((f"{source}-{counts[source]:05}", shard))
            counts[source] += 1
    return found


def _part(store: Store, release: Release, stem: str, shard: Shard) -> Part:
    """A token shard, opened. Raises ExportError if it is not as released."""
    file = shard.ref(TOKENS)
    try:
        data = store.open(file.path, file.sha256).read_buffer()
    except (ChangedError, MissingError, pa.ArrowInvalid):  # so Arrow calls an empty file
        verify = command("release", "verify", release.name, root=store.root)
        msg = f"{file.path} is not as released; see `{verify}`"
        raise ExportError(msg) from None
    return Part(stem, data, shard.facts["documents"], shard.facts["vocab_size"])


@contextmanager
def _created(out: Store, part: Part, files: list[File], suffix: str) -> Iterator[Writing]:
    """A file of a part; once it is written, it is one of the files."""
    name = f"{part.name}{suffix}"
    with out.create(name) as writing:
        yield writing
    files.append(File(name, writing.sha256, writing.bytes, part.documents))


def _export(release: Release, form: str, files: Iterable[File]) -> Export:
    return Export(
        "tokens",
        form,
        release.name,
        release.digest,
        release.tokenizer,
        release.end_token,
        release.end_id,
        release.documents,
        release.tokens,
        tuple(files),
    )


def verify_export(store: Store, name: str, folder: str) -> list[Finding]:
    """Hash every file of an export, and compare each document with that of its release.

    Returns all that does not hold; of each token shard, the first document that differs.

    Args:
        store: The root.
        name: Of the release.
        folder: Path or URL of the export.

    Raises:
        ReleaseError: there is no such release, or it does not hold.
        ExportError: that is no export, or a file of the release is not as released.
    """
    release, out = load_release(store, name), Store(folder)
    check_ended(release)
    told, end = _told(out), End(release.end_token, release.end_id)
    module, shards = _format(told.format), _named(store, release)
    findings = list(_changes(told, _export(release, told.format, told.files), module, shards))
    if findings:  # an export of something else
        return findings
    files = {file.name: file for file in told.files}
    there = {name.strip("/") for name in out.list("")}
    findings += [
        Finding(added, "added", "no such file", "a file that the export does not list")
        for added in sorted(there - files.keys() - {EXPORT})
    ]
    for stem, shard in shards:
        own = [files[f"{stem}{suffix}"] for suffix in module.SUFFIXES]
        found = [each for f in own for each in check_file(out, f.name, f.sha256, f.bytes)]
        findings += found
        if not any(each.problem == "missing" for each in found):
            told_apart = _differences(out, module, _part(store, release, stem, shard), end)
            # That a file which is not as it was written cannot be read says no more.
            findings += [f for f in told_apart if not found or f.problem != "unreadable"]
    return findings


def _told(out: Store) -> Export:
    """What an export says of itself. Raises ExportError if it cannot be read."""
    try:
        return Export.from_json(json.loads(out.read_bytes(EXPORT)))
    except MissingError:
        msg = f"{out.root} holds no {EXPORT}: no export came to its end there; make it again"
        raise ExportError(msg) from None
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{EXPORT} in {out.root} cannot be read ({type(error).__name__}); export again"
        raise ExportError(msg) from None


def _changes(
    told: Export, right: Export, module: Any, shards: Iterable[tuple[str, Shard]]
) -> Iterator[Finding]:
    """Where an export says other things than one of its release would; of its files, the first."""
    for each in fields(Export):
        is_, should = getattr(told, each.name), getattr(right, each.name)
        if is_ != should:
            yield Finding(EXPORT, "changed export", f"{each.name} {should}", str(is_))
    names = [
        f"{stem}{suffix} of {shard.facts['documents']} documents"
        for stem, shard in shards
        for suffix in module.SUFFIXES
    ]
    given = [f"{file.name} of {file.rows} documents" for file in told.files]
    for name, there in zip_longest(names, given, fillvalue="no more file"):
        if name != there:
            yield Finding(EXPORT, "changed export", name, there)
            return


def _differences(out: Store, module: Any, part: Part, end: End) -> Iterator[Finding]:
    """What of a part is not as in the release."""
    file = f"{part.name}{module.SUFFIXES[0]}"
    opened = cache(lambda suffix: out.open(f"{part.name}{suffix}").read_buffer())

    def read() -> Iterator[pa.RecordBatch]:
        for batch in module.read(opened):
            batch.validate(full=True)  # what a file says of itself may lead out of it
            yield batch

    try:
        found = _first_difference(batches(part.data), read())
        if found:
            yield Finding(file, "tokens", *found)
        else:
            yield from check_ends(file, read(), end)
    except StoreError:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:  # one bit may make any of them
        told = " ".join(str(error).split())
        yield Finding(file, "unreadable", f"as {module.__name__} writes it", told)


def _first_difference(
    released: Iterator[pa.RecordBatch], exported: Iterator[pa.RecordBatch]
) -> tuple[str, str] | None:
    """The first document that differs, as it is in the release and in the export."""
    for first, right, given in _side_by_side(released, exported):
        if right is None or given is None:
            here, none = f"document {first}", "no more document"
            return (none, here) if right is None else (here, none)
        names = given.schema.names
        if all(_same(right[name], given[name]) for name in names):
            continue
        rows = zip(right.to_pylist(), given.to_pylist(), strict=True)
        for row, (one, other) in enumerate(rows, first):
            name = next((name for name in names if one[name] != other[name]), None)
            if name:
                should, is_ = _told_apart(name, one[name], other[name])
                return (f"document {row} ({one[ID.name]}): {should}", is_)
    return None


def _side_by_side(
    left: Iterator[pa.RecordBatch], right: Iterator[pa.RecordBatch]
) -> Iterator[tuple[int, pa.RecordBatch | None, pa.RecordBatch | None]]:
    """Batches of the same rows, and the first of these; None for the side that ends before."""
    row, one, other = 0, None, None
    while True:
        one = one if one and one.num_rows else next(left, None)
        other = other if other and other.num_rows else next(right, None)
        if one is None or other is None:
            if one is not other:
                yield row, one, other
            return
        rows = min(one.num_rows, other.num_rows)
        yield row, one.slice(0, rows), other.slice(0, rows)
        row, one, other = row + rows, one.slice(rows), other.slice(rows)


def _same(one: pa.Array, other: pa.Array) -> bool:
    """Whether two columns hold the same; lists and numbers may be of other types."""
    if not pa.types.is_nested(one.type):
        return bool(one.equals(other))
    columns = [(each.value_lengths(), each.flatten()) for each in (one, other)]
    return all(np.array_equal(*pair) for pair in zip(*columns, strict=True))


def _told_apart(name: str, one: Json, other: Json) -> tuple[str, str]:
    """Two values that differ, in words; of tokens, the first that does."""
    if name != "tokens":
        return f"{name} {one}", f"{name} {other}"
    pairs = enumerate(zip_longest(one, other or (), fillvalue="none"))
    place, (should, is_) = next(each for each in pairs if each[1][0] != each[1][1])
    return f"token {place} is {should}", f"{is_}"
