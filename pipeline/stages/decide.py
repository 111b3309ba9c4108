"""Decide: rules judge each document, an election settles duplicates, and the ledger remembers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.columns import ID, LANGUAGE, LICENSE, TEXT_BYTES, TEXT_HASH, Column, schema
from phloem.catalog.ledger import DROPPED, KEPT, LEDGER, QUARANTINED
from phloem.catalog.licenses import clarity, obligations
from phloem.catalog.manifest import (
    Shard,
    commit,
    read_arrow,
    read_parquet,
    write_parquet,
)
from phloem.catalog.rules import Rule, bound_of
from phloem.catalog.store import Store
from phloem.filters.op import MEASURE, Op
from phloem.pipeline.stage import Task, shard_key
from phloem.pipeline.stages.measure import CLEAN_FAULT, Measured, fault_column

Json = Any

LICENSE_RANK = Column("license_rank", pa.int64(), "Clearest licence first, 0 for public domain.")
VERDICTS = (
    ID,
    TEXT_HASH,
    TEXT_BYTES,
    LANGUAGE,
    LICENSE,
    ledger.VERDICT,
    ledger.REASON,
    ledger.DETAIL,
    ledger.MEASURED,
    ledger.VALUE,
    ledger.THRESHOLD,
    ledger.FAILED_RULES,
    LICENSE_RANK,
)
Outcome = tuple[str, str | None, str | None]  # verdict, reason, column
KEPT_ROWS = pa.schema([ledger.ROW.field])


def filter_tasks(
    files: Sequence[Measured],
    ops: Sequence[Op],
    rules: Mapping[str, Sequence[Rule]],
    licenses: Mapping[str, Json],
) -> list[Task]:
    """One task for each text file: every rule on every document.

    Args:
        files: Text files in order.
        ops: The recipe's ops.
        rules: The rules of each source, recipe's first.
        licenses: Of each source: the card's expression, what the policy forbids, known LicenseRefs.
    """
    columns = {op.name: [c.name for c in op.writes] for op in ops if op.kind == MEASURE}
    made = []
    for file in files:
        text = file.text
        own = [rule.model_dump(mode="json") for rule in rules[text.source]]
        spec = {"rules": own, "license": licenses[text.source]}
        shards = {name: file.ops[name] for name in columns}
        digests = [shard.digest for shard in shards.values()]
        key = shard_key("filter", spec, [text.file.sha256, file.clean.digest, *digests])
        work = {
            **spec,
            "source": text.source,
            "text": text.name,
            "text_file": text.file.sha256,
            "hashes": file.clean.path("hashes.parquet"),
            "attributes": {name: s.path(f"{name}.parquet") for name, s in shards.items()},
            "columns": columns,
        }
        size = sum(shard.bytes for shard in shards.values())
        made.append(Task("filter", (("filter", key),), file.label, size, work))
    return made


def run_filter(store: Store, task: Task) -> list[Shard]:
    """Judge one text file."""
    work = task.work
    ((stage, key),) = task.makes
    table = read_parquet(store, work["hashes"])
    rules = [Rule.model_validate(rule) for rule in work["rules"]]
    # The size of the text is there already, with the hashes; `statistics` writes it too.
    need = {LANGUAGE.name, *(rule.column for rule in rules)} - set(table.column_names)
    for name, path in work["attributes"].items():
        columns = [column for column in work["columns"][name] if column in need]
        for column_name in [*columns, fault_column(name)]:
            column = read_parquet(store, path, [column_name])[column_name]
            table = table.append_column(column_name, column)
    licenses = _licenses(store, work)
    verdicts = judge(table, rules, licenses, work["license"], list(work["attributes"]))
    file = write_parquet(store, f"{stage}/{key}", "verdicts.parquet", verdicts)
    facts = {"source": work["source"], "text": work["text_file"], "documents": verdicts.num_rows}
    return [commit(store, Shard(stage, key, (file,), facts))]


def _licenses(store: Store, work: Json) -> list[str]:
    """Each document's own licence, or the card's."""
    reader = read_arrow(store, work["text"])
    found: list[str] = []
    for number in range(reader.num_record_batches):
        own = reader.get_batch(number)[LICENSE.name]
        found += pc.fill_null(own, work["license"]["card"]).to_pylist()
    return found


def judge(
    table: pa.Table,
    rules: Sequence[Rule],
    licenses: Sequence[str],
    terms: Json,
    ops: Sequence[str],
) -> pa.Table:
    """The verdict of every row before duplicates are settled.

    A fault quarantines; then a licence that the policy does not allow drops; then the first
    rule that fails. `failed_rules` holds every rule that failed, whatever came first.

    Args:
        table: Columns id, text_hash, text_bytes, language, those of the rules, and faults.
        rules: At most 64; bit i of `failed_rules` is rule i.
        licenses: SPDX expression of each row.
        terms: {"forbidden": obligations, "refs": {LicenseRef: obligations}}.
        ops: Names of the ops whose faults are in the table.
    """
    rows = table.num_rows
    failed = np.zeros(rows, dtype=np.uint64)
    first = np.full(rows, -1)
    value = np.full(rows, np.nan)
    threshold = np.full(rows, np.nan)
    languages = table[LANGUAGE.name].to_pylist()
    for bit, rule in enumerate(rules):
        fails, values, bounds = _apply(rule, table[rule.column], languages)
        failed[fails] |= np.uint64(1) << np.uint64(bit)
        fresh = fails & (first < 0)
        first[fresh] = bit
        value[fresh] = values[fresh]
        threshold[fresh] = bounds[fresh]
    details = _faults(table, ops)
    forbidden = _forbidden(licenses, terms)
    verdict: list[str] = []
    reason: list[str | None] = []
    measured: list[str | None] = []
    for row in range(rows):
        bit = first[row]
        if details[row] is not None:
            outcome: Outcome = (QUARANTINED, ledger.FAULT, None)
        elif forbidden[licenses[row]]:
            outcome = (DROPPED, ledger.REFUSED_LICENSE, None)
        elif bit >= 0:
            outcome = (DROPPED, rules[bit].name, rules[bit].column)
        else:
            outcome = (KEPT, None, None)
        verdict.append(outcome[0])
        reason.append(outcome[1])
        measured.append(outcome[2])
    by_rule = np.array([m is not None for m in measured], dtype=bool)
    ranks = {text: clarity(text, terms["refs"]) for text in sorted(set(licenses))}
    return pa.table(
        [
            table[ID.name],
            table[TEXT_HASH.name],
            table[TEXT_BYTES.name],
            table[LANGUAGE.name],
            pa.array(licenses, pa.string()),
            pa.array(verdict, pa.string()),
            pa.array(reason, pa.string()),
            pa.array(details, pa.string()),
            pa.array(measured, pa.string()),
            pa.array(value, mask=~by_rule | np.isnan(value)),
            pa.array(threshold, mask=~by_rule | np.isnan(threshold)),
            pa.array(failed),
            pa.array([ranks[text] for text in licenses], pa.int64()),
        ],
        schema=schema(VERDICTS),
    )


def _apply(
    rule: Rule, column: pa.ChunkedArray, languages: Sequence[str | None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows that fail, their values, the bound that each did not meet)."""
    nothing = np.full(len(column), np.nan)
    if rule.among is not None:
        inside = pc.is_in(column, value_set=pa.array(rule.among, column.type))
        fails = ~np.asarray(inside) & np.asarray(column.is_valid())
        return fails, nothing, nothing
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    known = sorted({language or "" for language in languages})
    place = {language: number for number, language in enumerate(known)}
    index = np.array([place[language or ""] for language in languages], dtype=np.int64)
    low, high = (
        np.array([_or_nan(bound_of(bound, tag or None)) for tag in known], dtype=np.float64)
        for bound in (rule.min, rule.max)
    )
    if not known:
        return np.zeros(0, dtype=bool), nothing, nothing
    below, above = values < low[index], values > high[index]  # false where either is NaN
    return below | above, values, np.where(below, low[index], high[index])


def _or_nan(bound: float | None) -> float:
    return np.nan if bound is None else bound


def _faults(table: pa.Table, ops: Sequence[str]) -> list[str | None]:
    """The first fault of each row, with the op that named it."""
    details: list[str | None] = table[CLEAN_FAULT.name].to_pylist()
    for op in ops:
        column = table[fault_column(op)]
        if column.null_count == len(column):
            continue
        for row, reason in enumerate(column.to_pylist()):
            if reason is not None and details[row] is None:
                details[row] = f"{op}: {reason}"
    return details


def _forbidden(licenses: Sequence[str], terms: Json) -> dict[str, bool]:
    forbidden = set(terms["forbidden"])
    return {
        text: bool(forbidden & set(obligations(text, terms["refs"])))
        for text in sorted(set(licenses))
    }


def ledger_tasks(
    files: Sequence[Measured], judged: Sequence[Shard], settled: Sequence[Shard]
) -> list[Task]:
    """One task for each text file: its verdicts and its part of the election become the ledger."""
    made = []
    for file, verdicts, outcome in zip(files, judged, settled, strict=True):
        text = file.text
        key = shard_key("decide", {}, [text.file.sha256, verdicts.digest, outcome.digest])
        work = {
            "source": text.source,
            "text_file": text.file.sha256,
            "verdicts": verdicts.path("verdicts.parquet"),
            "removals": outcome.path("removals.json"),
        }
        made.append(Task("decide", (("decide", key),), file.label, verdicts.bytes, work))
    return made


def run_ledger(store: Store, task: Task) -> list[Shard]:
    """Write the ledger and the kept rows of one text file."""
    work = task.work
    ((stage, key),) = task.makes
    settled = json.loads(store.read_bytes(work["removals"]))
    judged = read_parquet(store, work["verdicts"])
    table = fill_ledger(judged, settled, work["source"], work["text_file"])
    verdicts = table[ledger.VERDICT.name].to_pylist()
    kept = [row for row, verdict in enumerate(verdicts) if verdict == KEPT]
    folder = f"{stage}/{key}"
    files = (
        write_parquet(store, folder, "ledger.parquet", table),
        write_parquet(store, folder, "kept.parquet", pa.table([kept], schema=KEPT_ROWS)),
    )
    counts = Counter(verdicts)
    reasons = Counter(r for r in table[ledger.REASON.name].to_pylist() if r is not None)
    facts = {
        "source": work["source"],
        "text": work["text_file"],
        "documents": table.num_rows,
        KEPT: counts[KEPT],
        DROPPED: counts[DROPPED],
        QUARANTINED: counts[QUARANTINED],
        "reasons": dict(sorted(reasons.items())),
    }
    return [commit(store, Shard(stage, key, files, facts))]


def fill_ledger(
    verdicts: pa.Table, settled: Sequence[Json], source: str, text_file: str
) -> pa.Table:
    """The ledger rows of one text file.

    Args:
        verdicts: Of the judge stage, every row.
        settled: {row, duplicate_of, similarity, found_in} for the rows that the election touched.
        source: Id of the card.
        text_file: The sha256 of the text file.
    """
    rows = verdicts.num_rows
    columns = {name: verdicts[name].to_pylist() for name in ("verdict", "reason")}
    duplicate_of: list[str | None] = [None] * rows
    similarity: list[float | None] = [None] * rows
    found_in: list[list[str] | None] = [None] * rows
    for entry in settled:
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
