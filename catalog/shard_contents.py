"""Whether a released shard holds what its manifest says, and which documents those are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phloem.catalog import ledger
from phloem.catalog.columns import ID, LICENSE, SOURCE
from phloem.catalog.findings import Entry, Finding, check_ends, check_entry, said
from phloem.catalog.handoff.tokenizer import End
from phloem.catalog.handoff.tokens import DOCUMENTS, FIRST_TOKEN, TOKEN_COUNT, TOKENS
from phloem.catalog.manifest import COMMIT, Shard, commit_bytes
from phloem.catalog.run_facts import licenses_in
from phloem.catalog.store import MissingError, Store, StoreError

LEDGER, ROWS, TEXTS = "ledger.parquet", "kept.parquet", "text.arrow"


@dataclass(frozen=True)
class Content:
    """What a shard holds of what its stage hands on.

    Attributes:
        documents: Hash of the ids of the documents that are kept, in order.
        licenses: How many of them are under each.
    """

    documents: str = ""
    licenses: Counter[str] = field(default_factory=Counter)


def check_shard(
    store: Store, shard: Shard, there: Mapping[str, Entry], end: End | None
) -> tuple[Content | None, list[Finding]]:
    """Hash each file of a shard and, if all are as they were written, count what they hold.

    Args:
        store: The root.
        shard: As its manifest has it.
        there: What lies in its folder.
        end: What ends each document, if that is known.

    Returns:
        What it holds, or None, and all that does not hold.
    """
    findings = [*_commit_faults(store, shard, there)]
    files: dict[str, pa.Buffer] = {}
    for file in shard.files:
        name = f"{shard.folder}/{file.name}"
        faults = [*check_entry(name, there.get(name), file.sha256, file.bytes)]
        if not faults:
            files[file.name] = _opened(store, name, file.bytes)
            actual = hashlib.sha256(files[file.name]).hexdigest()
            if actual != file.sha256:
                faults = [Finding(name, "digest", file.sha256, actual)]
        findings += faults
    if findings:
        return None, findings
    try:
        content, counts = _READERS[shard.stage](files, shard.facts)
        rows = {file.name: file.rows for file in shard.files}
        findings += _miscounted(shard, counts, rows)
        if end and TOKENS in files:
            batches = _batches(files[TOKENS], ["tokens"])
            findings += check_ends(f"{shard.folder}/{TOKENS}", batches, end)
    except StoreError:
        raise
    except (ValueError, KeyError, OSError, OverflowError, pa.ArrowException) as error:
        return None, [Finding(shard.folder, "unreadable", "tables of a release", said(str(error)))]
    return (None if findings else content), findings


def _commit_faults(store: Store, shard: Shard, there: Mapping[str, Entry]) -> Iterator[Finding]:
    name, right = f"{shard.folder}/{COMMIT}", commit_bytes(shard)
    faults = [*check_entry(name, there.get(name), hashlib.sha256(right).hexdigest(), len(right))]
    yield from faults
    if not faults and (held := store.read_bytes(name)) != right:
        digests = (hashlib.sha256(data).hexdigest() for data in (right, held))
        yield Finding(name, "digest", *digests)


def _opened(store: Store, name: str, size: int) -> pa.Buffer:
    """The bytes of a file: mapped, or a copy of what an object store has."""
    if not size:
        return pa.py_buffer(b"")  # cannot be mapped
    try:
        return store.open(name, size=size).read_buffer()
    except MissingError:  # a moment ago it was there
        return pa.py_buffer(b"")


# What each stage's files hold ---------------------------------------------------------------------
Counts = list[tuple[str, str, object, object]]
"""File, what of it, what the manifest says, what is there."""

Reader = Callable[[Mapping[str, pa.Buffer], Mapping[str, object]], tuple[Content, Counts]]


def _miscounted(shard: Shard, counts: Counts, rows: Mapping[str, int | None]) -> Iterator[Finding]:
    for file, what, right, found in counts:
        told = {right, rows[file]} if what == "rows" else {right}
        if told != {found}:
            expected = " and ".join(sorted(f"{each}" for each in told))
            yield Finding(
                f"{shard.folder}/{file}", "documents", f"{what}: {said(expected)}", said(f"{found}")
            )


def _decided(files: Mapping[str, pa.Buffer], facts: Mapping[str, object]) -> tuple[Content, Counts]:
    columns = [ID.name, SOURCE.name, LICENSE.name, ledger.VERDICT.name]
    table = pq.ParquetFile(pa.BufferReader(files[LEDGER])).read(columns=columns)
    kept = table.filter(pc.equal(table[ledger.VERDICT.name], ledger.KEPT))
    verdicts = Counter(table[ledger.VERDICT.name].to_pylist())
    counts: Counts = [
        (LEDGER, "rows", facts["documents"], table.num_rows),
        *((LEDGER, each, facts[each], verdicts.get(each, 0)) for each in ledger.VERDICTS),
        *_of_source(LEDGER, table[SOURCE.name], facts),
    ]
    if ROWS in files:  # an earlier version wrote none
        rows = pq.ParquetFile(pa.BufferReader(files[ROWS])).metadata.num_rows
        counts.append((ROWS, "rows", facts["kept"], rows))
    return Content(_hash(kept[ID.name]), licenses_in(kept)), counts


def _composed(
    files: Mapping[str, pa.Buffer], facts: Mapping[str, object]
) -> tuple[Content, Counts]:
    batches = [*_batches(files[TEXTS], [ID.name, SOURCE.name, LICENSE.name])]
    table = pa.Table.from_batches(batches, None if batches else _NOTHING)
    counts: Counts = [
        (TEXTS, "rows", facts["documents"], table.num_rows),
        *_of_source(TEXTS, table[SOURCE.name], facts),
    ]
    return Content(_hash(table[ID.name]), licenses_in(table)), counts


def _tokenized(
    files: Mapping[str, pa.Buffer], facts: Mapping[str, object]
) -> tuple[Content, Counts]:
    lengths, largest, named = [np.zeros(0, np.int64)], -1, []
    for batch in _batches(files[TOKENS], [ID.name, SOURCE.name, "tokens"]):
        lengths.append(batch["tokens"].value_lengths().to_numpy().astype(np.int64))
        named.append(batch.select([ID.name, SOURCE.name]))
        largest = max(largest, pc.max(batch["tokens"].flatten()).as_py() or 0)
    table = pa.Table.from_batches(named, None if named else _NOTHING)
    sizes = np.concatenate(lengths)
    size = facts["vocab_size"]
    counts: Counts = [
        (TOKENS, "rows", facts["documents"], len(sizes)),
        (TOKENS, "tokens", facts["tokens"], int(sizes.sum())),
        (TOKENS, f"all below {size}", True, largest < size),  # type: ignore[operator]
        *_of_source(TOKENS, table[SOURCE.name], facts),
    ]
    if DOCUMENTS in files:
        index = pq.ParquetFile(pa.BufferReader(files[DOCUMENTS])).read()
        right = {
            ID.name: table[ID.name].to_pylist(),
            FIRST_TOKEN.name: (np.cumsum(sizes) - sizes).tolist(),
            TOKEN_COUNT.name: sizes.tolist(),
        }
        counts.append((DOCUMENTS, "rows", facts["documents"], index.num_rows))
        for name, values in right.items():
            is_same = index[name].to_pylist() == values
            counts.append((DOCUMENTS, f"{name} as in {TOKENS}", True, is_same))
    return Content(_hash(table[ID.name])), counts


_READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "decide": _decided,
        "compose": _composed,
        "tokenizer": lambda files, facts: (Content(), []),  # noqa: ARG005
        "tokenize": _tokenized,
    }
)

_NOTHING = pa.schema([ID.field, SOURCE.field, LICENSE.field])


def _batches(data: pa.Buffer, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns of an Arrow file, each batch looked through: offsets may lead out of it."""
    fields = pa.ipc.open_file(data).schema
    chosen = sorted(fields.get_field_index(name) for name in columns)
    if -1 in chosen:
        raise ValueError(f"it has no columns {', '.join(columns)}")
    options = pa.ipc.IpcReadOptions(included_fields=chosen, use_threads=False)
    reader = pa.ipc.open_file(data, options=options)
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch.validate(full=True)
        yield batch


def _of_source(file: str, column: pa.ChunkedArray, facts: Mapping[str, object]) -> Counts:
    """Whether all rows are of the shard's source."""
    found = column.unique().to_pylist()
    return [(file, "source", said(str(facts["source"])), said(each)) for each in found]


def _hash(ids: pa.ChunkedArray) -> str:
    digest = hashlib.sha256()
    for chunk in ids.chunks:
        digest.update("\n".join([*map(str, chunk.to_pylist()), ""]).encode())
    return digest.hexdigest()
