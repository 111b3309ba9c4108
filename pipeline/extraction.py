"""From the bytes of a source to its documents' text, in a process that can be ended.

What one record may take of time and memory is bounded: one that takes more is a fault, and all
others are read. A slice of records that takes too much is tried again record by record; a file
that cannot be got over is given up, and the next is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import CONTENT, DOCUMENT, MEDIA_TYPE, NATIVE_ID, TEXT, schema
from phloem.filters.op import EXTRACTOR, Op, ops
from phloem.pipeline.guard import OVERRUNS, TOTAL, Guarded, OverrunError, Told, overrun
from phloem.pipeline.stage import StageError
from phloem.pipeline.workspace import enter
from phloem.sources import progress
from phloem.sources.connector import Batches, Fault, Split, file_of, find_connector
from phloem.sources.limits import Limits

Json = Any
Rows = npt.NDArray[np.int64]  # of a batch

SLICE_BYTES = 4 * 2**20
"""Content that extractors are given at once: the slowest does about 3 MB a second."""

MOST_OVERRUNS = 8
"""Records of one split that may take too much, until its rest is given up: each costs what a record
may take, up to twice, and what lies before it is read again."""

DIED = 2
"""Times that a child dies at one place until that is the record's fault: once may be chance."""

EXTRACTED = schema((*(column for column in DOCUMENT if column is not CONTENT), TEXT))


@dataclass(frozen=True)
class Asked:
    """What is to be read and extracted.

    Attributes:
        source: Id of the card.
        connector: What reads it.
        params: What the card gives the connector.
        split: The part to read.
        files: Path of each pinned file that the split reads, by its name, in the pin's order.
        limits: How much a document, a record, an archive may have.
        place: Folder that a workspace's op modules are imported from, and their names.
        held: An Arrow stream of documents, already read, that is extracted instead.
    """

    source: str
    connector: str
    params: Mapping[str, Json]
    split: Split
    files: Mapping[str, str]
    limits: Limits
    place: tuple[str, tuple[str, ...]] = ("", ())
    held: str = ""


@dataclass(frozen=True)
class Extracted:
    """Some records, and what they gave.

    Attributes:
        read: How many records.
        rows: Those that gave text, as `EXTRACTED`; None if none did.
        faults: The others.
        content_bytes: Of all, as they are stored.
        file: That they were met in, if the split reads several or the connector says.
    """

    read: int
    rows: pa.RecordBatch | None = None
    faults: tuple[Fault, ...] = ()
    content_bytes: int = 0
    file: str | None = None


@dataclass
class _Place:
    """How far a child came, for the next to go on from there.

    Attributes:
        items: How many batches and faults were got over, of each file.
        rows: Rows of the next batch that were.
        singly: Rows after these that are to be taken one by one.
        left_out: Files that are given up.
        at: The file that is being read, behind the archive that it is in.
        begun: Files that were begun.
        slice: Rows that are being extracted, and of a single one its native id and its file.
        is_over: Whether nothing more can be read.
    """

    items: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    singly: int = 0
    left_out: list[str] = field(default_factory=list)
    at: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    slice: tuple[int, str | None, str | None] | None = None
    is_over: bool = False

    def begin(self, files: list[str]) -> None:
        """Reading begins in the last of these, or goes on in it."""
        self.at = files
        self.begun += [] if files[-1] in self.begun else files[-1:]

    def next_row(self, rows: int) -> None:
        """So many rows were got over."""
        self.slice = None
        self.rows += rows
        self.singly = max(0, self.singly - rows)

    def next_item(self, file: str) -> None:
        """A batch or fault of this file was."""
        self.items[file] += 1
        self.rows = self.singly = 0

    def give_up(self) -> str | None:
        """The file that is read cannot be got over; or the whole split, where nobody says which."""
        self.is_over = not self.at
        self.left_out += self.at[-1:]
        self.rows = self.singly = 0
        return self.at[-1] if self.at else None

    def not_read(self, files: Iterable[str]) -> list[str | None]:
        """Of these files, the one that is being read, and those that were not begun."""
        left = [*self.at[:1], *(name for name in files if name not in self.begun)]
        return [name for name in left if name not in self.left_out] or [None]


def extractors(modules: Sequence[str] = ()) -> dict[str, Op]:
    """The extractor of each media type, those of these further op modules too.

    Raises StageError if two want one media type.
    """
    found: dict[str, Op] = {}
    for op in ops(modules).values():
        for media_type in op.media_types if op.kind == EXTRACTOR else ():
            if media_type in found:
                msg = f"extractors {found[media_type].name} and {op.name} both read {media_type}"
                raise StageError(msg)
            found[media_type] = op
    return found


def extract(asked: Asked) -> Iterator[Extracted]:
    """The documents of a split, and its faults.

    Raises:
        SourceError: the connector cannot read it as asked.
        StageError: it reads several files and does not say which, or it or an op raised an error.
    """
    if asked.split.refused:
        yield from (_faulted(each, each.file) for each in _refused(asked.split))
        return
    place, limits = _Place(), asked.limits
    died: Counter[str] = Counter()
    overruns, left = 0, float(limits.split_seconds)
    reason = f"more than {MOST_OVERRUNS} records that took too much"
    while overruns < MOST_OVERRUNS:
        ended, spent = yield from _go_on(asked, place, left)
        left -= spent
        if ended is None:
            return
        if ended == TOTAL:
            reason = f"its part {overrun(ended, 'reading', limits)}"
            break
        died[repr(place)] += ended not in OVERRUNS
        if ended not in OVERRUNS and died[repr(place)] < DIED:
            continue
        found = _overran(place, ended, limits)
        if found:
            overruns += 1
            yield found
        if place.is_over:
            return
    for name in place.not_read(asked.split.files or asked.files):
        yield _faulted(Fault(None, -1, reason, rest=True, file=name), name)


def _go_on(
    asked: Asked, place: _Place, left: float
) -> Generator[Extracted, None, tuple[str | None, float]]:
    """What one child gives, from a place on, in so many seconds of processor time.

    Returns how it ended before it was done, and the seconds that it took.
    """
    limits, most = asked.limits, asked.limits.reading_memory_bytes
    place.at = []
    arguments = (_plain(asked), {**asdict(place), "items": dict(place.items)})
    work = Guarded(extract_here, arguments, limits.record_seconds, most, total_seconds=left)
    with work as child:
        try:
            for said, rows in child:
                if "begun" in said:
                    place.begin(said["begun"])
                elif "slice" in said:
                    place.slice = said["slice"], said["native_id"], said["file"]
                    child.most_bytes = child.resident_bytes() + limits.record_memory_bytes
                elif "rows" in said:
                    child.most_bytes = most
                    place.next_row(said["rows"])
                    yield _gathered(said, rows)
                else:
                    place.next_item(said["item"])
                    if said["fault"]:
                        yield _faulted(Fault(**said["fault"]), said["item"] or None)
        except OverrunError as error:
            return str(error), child.spent
    return None, child.spent


def _overran(place: _Place, ended: str, limits: Limits) -> Extracted | None:
    """The fault that a child ended at, if it is known to be one record's or a whole file's."""
    if place.slice is None:
        file = place.give_up()
        reason = f"reading {overrun(ended, 'reading', limits)}"
        return _faulted(Fault(None, -1, reason, rest=True, file=file), file)
    rows, native_id, file = place.slice
    if rows > 1:
        place.slice, place.singly = None, rows
        return None
    place.next_row(1)
    reason = overrun(ended, "record", limits)
    return _faulted(Fault(native_id, -1, reason, file=_member(native_id, file)), file)


def read(asked: Asked, *, ends: float) -> Batches:
    """The documents of a split as they are stored, and its faults; not extracted.

    Args:
        asked: What is to be read.
        ends: Clock time (`time.monotonic`) after which it is not read further.

    Raises:
        SourceError: the connector cannot read it as asked.
        LateError: the time is over.
    """
    if asked.split.refused:
        yield from _refused(asked.split)
        return
    limits, file = asked.limits, None
    work = Guarded(
        read_here, (_plain(asked),), limits.record_seconds, limits.reading_memory_bytes, ends
    )
    with work as child:
        try:
            for said, rows in child:
                if "begun" in said:
                    file = said["begun"][-1]
                else:
                    yield rows if rows is not None else Fault(**said["fault"])
        except OverrunError as error:
            reason = overrun(str(error), "reading", limits)
            yield Fault(None, -1, f"reading {reason}", rest=True, file=file)


def _refused(split: Split) -> Iterator[Fault]:
    for file in split.files:
        yield Fault(None, 0, split.refused or "", rest=True, file=file)


def _faulted(fault: Fault, file: str | None) -> Extracted:
    return Extracted(fault.records, faults=(fault,), file=file)


def _gathered(said: Json, rows: pa.RecordBatch | None) -> Extracted:
    faults = tuple(Fault(**each) for each in said["faults"])
    return Extracted(said["read"], rows, faults, said["content_bytes"], said["file"])


def _plain(asked: Asked) -> dict[str, Json]:
    split = asked.split
    return {
        "source": asked.source,
        "connector": asked.connector,
        "params": dict(asked.params),
        "split": [split.name, split.spec, list(split.files)],
        "files": dict(asked.files),
        "limits": asked.limits.model_dump(),
        "place": asked.place,
        "held": asked.held,
    }


# In the child -------------------------------------------------------------------------------------
def extract_here(asked: Json, place: Json) -> Iterator[Told]:
    """Read a split from a place on, and extract its documents.

    Tells of each slice of rows that it begins, then what these gave; when all of a batch did, of
    what file it was; and of each fault.
    """
    limits = Limits(**asked["limits"])
    by_type = _by_type(asked)
    items = Counter(place["items"])
    rows, singly = place["rows"], place["singly"]
    progress.leave_out(place["left_out"])
    for found in _found(asked, limits):
        file = _file(found, asked)
        if items[file or ""] > 0:
            items[file or ""] -= 1
            continue
        if isinstance(found, Fault):
            yield {"item": file or "", "fault": {**vars(found), "file": file}}, None
        else:
            yield from _extract(complete(found), file, by_type, limits, rows, singly)
            yield {"item": file or "", "fault": None}, None
        rows = singly = 0


def read_here(asked: Json) -> Iterator[Told]:
    """Read a split: tells of each batch as it is stored, and of each fault."""
    _by_type(asked)
    for found in _found(asked, Limits(**asked["limits"])):
        if isinstance(found, Fault):
            yield {"fault": vars(found)}, None
        else:
            yield {}, found


def _by_type(asked: Json) -> dict[str, Op]:
    folder, modules = asked["place"]
    if folder:
        enter(folder)
    return extractors(modules)


def _found(asked: Json, limits: Limits) -> Batches:
    if asked["held"]:
        with pa.memory_map(asked["held"]) as held, pa.ipc.open_stream(held) as stream:
            yield from stream
        return
    connector = find_connector(asked["connector"])
    name, spec, files = asked["split"]
    params = connector.Params.model_validate(asked["params"])
    yield from connector.read(params, Split(name, spec, tuple(files)), asked["files"], limits)


def _file(found: pa.RecordBatch | Fault, asked: Json) -> str | None:
    """The file that something was met in: what the connector says, or the split's only one.

    Raises StageError for a connector that reads several files and does not say which.
    """
    said, files = file_of(found), asked["files"]
    if said is None and len(files) > 1:
        msg = (
            f"{asked['source']} {asked['split'][0]} reads {len(files)} files and its connector does"
            " not say which it is in; pass what it reads of each through `met_in`"
        )
        raise StageError(msg)
    return said or next(iter(files), None)


def complete(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with every document column, null where the connector gave none."""
    arrays = []
    for column in DOCUMENT:
        if column.name in batch.schema.names:
            arrays.append(batch[column.name].cast(column.type))
        else:
            arrays.append(pa.nulls(batch.num_rows, column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema(DOCUMENT))


def _extract(
    batch: pa.RecordBatch,
    file: str | None,
    by_type: Mapping[str, Op],
    limits: Limits,
    start: int,
    singly: int,
) -> Iterator[Told]:
    """Slice by slice from a row on; so many rows first one by one."""
    ends = np.cumsum(pc.fill_null(pc.binary_length(batch[CONTENT.name]), 0).to_numpy())
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + SLICE_BYTES, side="right"))
        rows = 1 if singly > 0 else max(1, full - start)
        part = batch.slice(start, rows)
        native_id = part[NATIVE_ID.name][0].as_py() if rows == 1 else None
        met = _member(native_id, file)
        yield {"slice": rows, "native_id": native_id, "file": met}, None
        good, bad = _texts(part, by_type, limits)
        faults = [vars(_fault(part, row, reason, file)) for row, reason in sorted(bad.items())]
        size = int(ends[start + rows - 1]) - before
        said = {"rows": rows, "read": rows, "faults": faults, "content_bytes": size, "file": file}
        yield said, good
        start, singly = start + rows, singly - rows


def _fault(batch: pa.RecordBatch, row: int, reason: str, file: str | None) -> Fault:
    native_id = batch[NATIVE_ID.name][row].as_py()
    return Fault(native_id, -1, reason, file=_member(native_id, file))


def _member(native_id: str | None, file: str | None) -> str | None:
    """The member of an archive that a record is, or its file."""
    return native_id if file and (native_id or "").startswith(f"{file}/") else file


def _texts(
    batch: pa.RecordBatch, by_type: Mapping[str, Op], limits: Limits
) -> tuple[pa.RecordBatch | None, dict[int, str]]:
    """Run each media type's extractor on its rows, in their order; and why others have no text."""
    bound = limits.told("document_bytes")
    good: list[Rows] = []
    bad: dict[int, str] = {}
    texts: list[pa.Array] = []
    for media_type, rows in _by_media_type(batch):
        op = by_type.get(media_type)
        if op is None:
            reason = f"no extractor reads {media_type or 'no media type'}"
            bad |= dict.fromkeys(rows.tolist(), reason)
            continue
        measured = op(_only(batch, rows))
        text = measured.arrays[0]
        faults = {place: f"{op.name}: {why}" for place, why in measured.faults.items()}
        too_large = dict.fromkeys(_too_large(text, limits), f"document larger than {bound}")
        faults = too_large | faults
        bad |= {int(rows[place]): reason for place, reason in faults.items()}
        fine = np.delete(np.arange(len(rows)), list(faults))
        texts.append(_only(text, fine))
        good.append(rows[fine])
    if len(bad) == batch.num_rows:
        return None, bad
    if len(texts) == 1:
        return _with_text(_only(batch, good[0]), texts[0]), bad
    rows = np.concatenate(good)
    text = pa.concat_arrays(texts).take(pa.array(np.argsort(rows)))
    return _with_text(_only(batch, np.sort(rows)), text), bad


def _with_text(batch: pa.RecordBatch, text: pa.Array) -> pa.RecordBatch:
    columns = {**{name: batch[name] for name in batch.schema.names}, TEXT.name: text}
    return pa.RecordBatch.from_arrays([columns[name] for name in EXTRACTED.names], schema=EXTRACTED)


def _by_media_type(batch: pa.RecordBatch) -> Iterator[tuple[str, Rows]]:
    """Each media type of a batch, without its parameters, and its rows; in alphabetical order."""
    said = batch[MEDIA_TYPE.name].dictionary_encode(null_encoding="encode")
    types = [(value or "").split(";")[0].strip().lower() for value in said.dictionary.to_pylist()]
    names = sorted(set(types))
    numbers = np.array([names.index(name) for name in types])[said.indices.to_numpy()]
    for number, name in enumerate(names):
        yield name, np.flatnonzero(numbers == number)


def _only(data: Any, rows: Rows) -> Any:
    """These rows of an array or a batch, in ascending order; not copied if they are all."""
    return data if len(rows) == len(data) else data.take(pa.array(rows))


def _too_large(text: pa.Array, limits: Limits) -> list[int]:
    over = pc.greater(pc.binary_length(text), limits.document_bytes)
    return list(pc.indices_nonzero(over).to_pylist())
