"""Decide: what the rules say and what deduplication says become the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.columns import LANGUAGE, LICENSE, schema
from phloem.catalog.ledger import DROPPED, KEPT, LEDGER, QUARANTINED
from phloem.catalog.manifest import Kind, Ref, Shard, commit, read_parquet, write_parquet
from phloem.catalog.store import Store
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.stages.measure import MeasuredText

Json = Any

# With what composing a document needs beside its text.
KEPT_ROWS = pa.schema([ledger.ROW.field, LANGUAGE.field, LICENSE.field])

DECIDE = Kind(
    "decide", {r"ledger\.parquet": schema(LEDGER), r"kept\.parquet": KEPT_ROWS}, version=2
)


class DecideWork(Work):
    """One text file.

    Attributes:
        source: Id of the card.
        text_file: sha256 of the file.
        verdicts: What the rules say of its rows.
        removals: What deduplication says of them; None where it touched none.
    """

    source: str
    text_file: str
    verdicts: Ref
    removals: Ref | None


def tasks(
    files: Sequence[MeasuredText], filtered: Sequence[Shard], removals: Sequence[Ref | None]
) -> list[Task]:
    """One task for each text file: its verdicts and its removals become the ledger.

    Args:
        files: Text files in order.
        filtered: The verdicts of each.
        removals: Of each; None where there are none.
    """
    made = []
    for file, verdicts, removed in zip(files, filtered, removals, strict=True):
        text = file.text
        own = [removed.sha256] if removed else []
        key = DECIDE.key({}, [text.ref.sha256, verdicts.digest, *own])
        work = DecideWork(
            source=text.source,
            text_file=text.ref.sha256,
            verdicts=verdicts.ref("verdicts.parquet"),
            removals=removed,
        )
        made.append(STAGE.task(key, file.label, work))
    return made


def run(store: Store, key: str, work: DecideWork) -> list[Shard]:
    """Write the ledger and the kept rows of one text file."""
    removals = read_parquet(store, work.removals).to_pylist() if work.removals else []
    verdicts = read_parquet(store, work.verdicts)
    table = fill_ledger(verdicts, removals, work.source, work.text_file)
    outcomes = table[ledger.VERDICT.name].to_pylist()
    kept = table.filter(pc.equal(table[ledger.VERDICT.name], KEPT)).select(KEPT_ROWS.names)
    folder = f"{DECIDE.name}/{key}"
    files = (
        write_parquet(store, folder, "ledger.parquet", table),
        write_parquet(store, folder, "kept.parquet", kept),
    )
    counts = Counter(outcomes)
    reasons = Counter(r for r in table[ledger.REASON.name].to_pylist() if r is not None)
    facts = {
        "source": work.source,
        "text": work.text_file,
        "documents": table.num_rows,
        KEPT: counts[KEPT],
        DROPPED: counts[DROPPED],
        QUARANTINED: counts[QUARANTINED],
        "reasons": dict(sorted(reasons.items())),
    }
    return [commit(store, Shard(DECIDE.name, key, files, facts))]


def fill_ledger(
    verdicts: pa.Table, removals: Sequence[Json], source: str, text_file: str
) -> pa.Table:
    """The ledger rows of one text file.

    Args:
        verdicts: Of the stage `filter`, every row.
        removals: {row, duplicate_of, similarity, found_in} for the rows that deduplication touched.
        source: Id of the card.
        text_file: The sha256 of the text file.
    """
    rows = verdicts.num_rows
    columns = {name: verdicts[name].to_pylist() for name in ("verdict", "reason")}
    duplicate_of: list[str | None] = [None] * rows
    similarity: list[float | None] = [None] * rows
    found_in: list[list[str] | None] = [None] * rows
    for entry in removals:
        row = entry["row"]
        if entry["duplicate_of"] is not None:
            columns["verdict"][row] = DROPPED
            columns["reason"][row] = ledger.DUPLICATE
            duplicate_of[row] = entry["duplicate_of"]
            similarity[row] = entry["similarity"]
        if entry["found_in"]:
            found_in[row] = entry["found_in"]
    made = {
        ledger.PART.name: pa.array(np.zeros(rows, dtype=np.int32)),
        "source": pa.array([source] * rows, pa.string()),
        ledger.TEXT_FILE.name: pa.array([text_file] * rows, pa.string()),
        ledger.ROW.name: pa.array(np.arange(rows, dtype=np.int64)),
        ledger.VERDICT.name: pa.array(columns["verdict"], pa.string()),
        ledger.REASON.name: pa.array(columns["reason"], pa.string()),
        ledger.DUPLICATE_OF.name: pa.array(duplicate_of, pa.string()),
        ledger.SIMILARITY.name: pa.array(similarity, pa.float64()),
        ledger.FOUND_IN.name: pa.array(found_in, ledger.FOUND_IN.type),
    }
    arrays = [made[c.name] if c.name in made else verdicts[c.name] for c in LEDGER]
    return pa.table(arrays, schema=schema(LEDGER))


STAGE = Stage("decide", DecideWork, run, (DECIDE,), grows="documents", tasks="files", bears="rules")
