"""Filter: what the keep rules and the policy say of each document, before duplicates are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.columns import ID, LANGUAGE, LICENSE, TEXT_BYTES, TEXT_HASH, Column, schema
from phloem.catalog.ledger import DROPPED, KEPT, QUARANTINED
from phloem.catalog.licenses import clarity, in_collection, obligations
from phloem.catalog.manifest import (
    Kind,
    Ref,
    Shard,
    commit,
    read_parquet,
    write_parquet,
)
from phloem.catalog.rules import Rule, bound_of
from phloem.catalog.store import Store
from phloem.filters.op import Op
from phloem.pipeline.stage import Stage, Task, Work
from phloem.pipeline.stages.measure import CLEAN_FAULT, HASHES, MeasuredText, fault_column

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


FILTER = Kind("filter", {r"verdicts\.parquet": schema(VERDICTS)})


class Terms(Work):
    """What bears on the licences of a source.

    Attributes:
        card: SPDX expression of the card, for documents without one of their own.
        collection: Of the collection as such, which holds for every document of it too.
        forbidden: Obligations that the policy does not allow.
        refs: Obligations of each LicenseRef that the project knows.
    """

    card: str
    collection: str | None = None
    forbidden: tuple[str, ...]
    refs: Mapping[str, tuple[str, ...]]


class FilterWork(Work):
    """One text file, to be judged.

    Attributes:
        source: Id of the card.
        text_file: sha256 of the file.
        hashes: Of its cleaned text, with each document's own licence.
        attributes: What ops measured, by their names: those that a rule reads, or that have faults.
        columns: The columns that are read of each of them.
        rules: The recipe's, then the card's.
        license: What bears on its licences.
    """

    source: str
    text_file: str
    hashes: Ref
    attributes: Mapping[str, Ref]
    columns: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    license: Terms


def tasks(
    files: Sequence[MeasuredText],
    ops: Sequence[Op],
    rules: Mapping[str, Sequence[Rule]],
    terms: Mapping[str, Terms],
) -> list[Task]:
    """One task for each text file: every rule on every document.

    Args:
        files: Text files in order.
        ops: The recipe's ops.
        rules: The rules of each source, recipe's first.
        terms: What bears on the licences of each source.
    """
    measuring = [op for op in ops if op.measures]
    made = []
    for file in files:
        text = file.text
        columns = _columns(measuring, file.ops, rules[text.source])
        attributes = {name: file.ops[name].ref(f"{name}.parquet") for name in columns}
        work = FilterWork(
            source=text.source,
            text_file=text.ref.sha256,
            hashes=file.clean.ref("hashes.parquet"),
            attributes=attributes,
            columns=columns,
            rules=tuple(rules[text.source]),
            license=terms[text.source],
        )
        digests = [ref.sha256 for ref in attributes.values()]
        # Where no collection has a licence, keys stay those of before there was one.
        unsaid = {"license": {"collection"}} if work.license.collection is None else None
        told = {"columns", "rules", "license"}
        spec = work.model_dump(mode="json", include=told, exclude=unsaid)
        key = FILTER.key(spec, [file.clean.digest, *digests])
        made.append(STAGE.task(key, file.label, work))
    return made


def _columns(
    ops: Sequence[Op], shards: Mapping[str, Shard], rules: Sequence[Rule]
) -> dict[str, tuple[str, ...]]:
    """What has to be read of what each op measured: what a rule needs, and faults if there are."""
    # The size of the text is there already, with the hashes; `statistics` writes it too.
    asked = {column for rule in rules for column in (rule.column, *rule.looks_at)}
    need = {LANGUAGE.name, *asked} - {c.name for c in HASHES}
    found = {}
    for op in ops:
        wanted = [column.name for column in op.measures if column.name in need]
        faults = [fault_column(op.name)] if shards[op.name].facts["faults"] else []
        if wanted or faults:
            found[op.name] = (*wanted, *faults)
    return found


def run(store: Store, key: str, work: FilterWork) -> list[Shard]:
    """Judge one text file by every rule."""
    table = read_parquet(store, work.hashes)
    for name, file in work.attributes.items():
        found = read_parquet(store, file, work.columns[name])
        for column in found.column_names:
            table = table.append_column(column, found[column])
    licenses = licenses_of(table[LICENSE.name], work.license)
    faulty = [name for name in work.attributes if fault_column(name) in table.column_names]
    verdicts = judged(table, work.rules, licenses, work.license, faulty)
    written = write_parquet(store, f"{FILTER.name}/{key}", "verdicts.parquet", verdicts)
    facts = {"source": work.source, "text": work.text_file, "documents": verdicts.num_rows}
    return [commit(store, Shard(FILTER.name, key, (written,), facts))]


def licenses_of(own: pa.ChunkedArray, terms: Terms) -> list[str]:
    """What holds for each document: its own licence or else the card's, with the collection's."""
    said = pc.fill_null(own, terms.card).to_pylist()
    whole = {text: in_collection(text, terms.collection) for text in set(said)}
    return [whole[text] for text in said]


def judged(
    table: pa.Table,
    rules: Sequence[Rule],
    licenses: Sequence[str],
    terms: Terms,
    ops: Sequence[str],
) -> pa.Table:
    """The verdict of every row before duplicates are known.

    A fault quarantines; then a licence that the policy does not allow drops; then the first
    rule that fails. `failed_rules` holds every rule that failed, whatever came first.

    Args:
        table: Columns id, text_hash, text_bytes, language, those of the rules, and faults.
        rules: At most 64; bit i of `failed_rules` is rule i.
        licenses: SPDX expression of each row.
        terms: What bears on them.
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
        fails = fails & _judges(rule, table)
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
    ranks = {text: clarity(text, terms.refs) for text in sorted(set(licenses))}
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


def _judges(rule: Rule, table: pa.Table) -> np.ndarray:
    """The rows that a rule judges, whatever their value."""
    judged = np.ones(table.num_rows, dtype=bool)
    for given, wanted in ((rule.only, True), (rule.unless, False)):
        for column, values in (given or {}).items():
            inside = pc.is_in(table[column], value_set=pa.array(values, table[column].type))
            judged &= np.asarray(inside) == wanted
    return judged


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


def _forbidden(licenses: Sequence[str], terms: Terms) -> dict[str, bool]:
    forbidden = set(terms.forbidden)
    return {
        text: bool(forbidden & set(obligations(text, terms.refs))) for text in sorted(set(licenses))
    }


STAGE = Stage("filter", FilterWork, run, (FILTER,), grows="documents", tasks="files", bears="rules")
