"""DuckDB views over run records, manifests and their Parquet files: the catalog as tables.

Views are made anew for each connection; nothing here is a second store.
"""
# ruff: noqa: S608 -- names in SQL are this module's own, or quoted; no user text is put into it

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from phloem.catalog import ledger
from phloem.catalog.advice import command
from phloem.catalog.columns import ID, TEXT_BYTES, TEXT_HASH, Column, schema
from phloem.catalog.manifest import Dataset, Ref, Shard, canonical, read_parquet
from phloem.catalog.packs import tables
from phloem.catalog.plain import Json
from phloem.catalog.policy import approval_fault
from phloem.catalog.released import Release, ReleaseError, load_release, release_names
from phloem.catalog.rules import source_of
from phloem.catalog.runs import ViewError, load_run, load_runs, newest_run, run_ids, shards_of
from phloem.catalog.store import Store
from phloem.catalog.view_columns import MEASURED, VIEWS

Row = dict[str, Json]


def connect(store: Store, run_id: str | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in memory with the views of a root.

    `sources`, `rules`, `decisions`, `quarantine`, `duplicates` and `measures` tell of one run: the
    newest finished one unless given; without any they are empty. The connection reaches the root's
    files and no others, loads no extension, and cannot be set up otherwise. What others ask goes
    through `select`: DuckDB itself would let SQL write where it may read.

    Raises ViewError if there is no such run.
    """
    record = _record(store, run_id)
    connection = _empty()
    datasets, unread = _loaded_datasets(store)
    views = {
        "runs": [_run(record) for record in load_runs(store, run_ids(store))],
        "sources": list(_sources(record)),
        "rules": list(_rules(record)),
        "releases": [_release_row(store, name) for name in release_names(store)],
        "datasets": [*map(_dataset, datasets), *unread],
        "shards": [row for dataset in datasets for row in _shards(dataset)],
    }
    for view, rows in views.items():
        _make(connection, view, pa.Table.from_pylist(rows, schema=schema(VIEWS[view])))
    _decisions(connection, store, record)
    _measures(connection, store, record)
    if store.is_local:
        folder = store.path("").rstrip("/").replace("'", "''")
        connection.execute(f"SET allowed_directories = ['{folder}/']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def connect_decisions(store: Store, run_id: str) -> duckdb.DuckDBPyConnection:
    """As `connect`, with `decisions`, `quarantine` and `duplicates` of one run alone.

    For queries of our own: nothing keeps them from other files. Raises ViewError if there is no
    such run.
    """
    connection = _empty()
    _decisions(connection, store, load_run(store, run_id))
    return connection


def decided_files(store: Store, record: Mapping[str, Json]) -> list[list[Ref]]:
    """What `connect_decisions` reads: the ledgers, and what is in quarantine."""
    stages = ("decide", "ingest")
    return [tables(_shards_of(store, record, stage), _FILES[stage]) for stage in stages]


def _empty() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET python_enable_replacements = false")
    return connection


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[Any]]:
    """The columns and rows of one query; nothing but a query runs, so that no file is written.

    DuckDB counts DESCRIBE, SHOW and SUMMARIZE as queries.

    Raises ViewError for no statement, several, one that is no query or writes, or one that fails.
    """
    with _telling():
        result = connection.execute(_query(connection, sql))
        return [name for name, *_ in result.description or ()], result.fetchall()


def select_arrow(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """As `select`, as an Arrow table: its columns keep their types."""
    with _telling():
        return connection.sql(_query(connection, sql)).to_arrow_table()


@contextmanager
def _telling() -> Iterator[None]:
    """Raise ViewError in place of an error of DuckDB's."""
    try:
        yield
    except duckdb.Error as error:
        raise ViewError(str(error)) from None


def _query(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one query that is asked, which writes nothing. Raises ViewError for anything else."""
    statements = connection.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    if kinds != [duckdb.StatementType.SELECT]:
        told = ", ".join(kind.name for kind in kinds) or "nothing"
        msg = f"one SELECT is run, but this is {told}; `show tables` lists the views"
        raise ViewError(msg)
    writing = sorted(filter(_WRITING.search, _operators(connection, sql)))
    if writing:
        msg = f"a query writes nothing, but this one has {', '.join(writing)}; leave that out"
        raise ViewError(msg)
    return statements[0]


# WITH may hold COPY, INSERT, UPDATE, DELETE or MERGE, and a table function may run SQL that it is
# given as JSON: to DuckDB each is a SELECT, and only the plan shows what it does.
_WRITING = re.compile("COPY|INSERT|UPDATE|DELETE|MERGE|EXECUTE")


def _operators(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """Names of the operators in the plan of a query, which does not run."""
    plans = connection.execute(f"EXPLAIN (FORMAT json)\n{sql}").fetchall()
    nodes = [node for _, plan in plans for node in json.loads(plan)]
    names = set()
    while nodes:
        node = nodes.pop()
        names.add(node["name"])
        nodes += node["children"]
    return names


def _record(store: Store, run_id: str | None) -> Mapping[str, Json] | None:
    if run_id is not None:
        return load_run(store, run_id)
    try:
        return load_run(store, newest_run(store))
    except ViewError:
        return None


def _make(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("_given", table)
    connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM _given')
    connection.unregister("_given")


def _run(record: Mapping[str, Json]) -> Row:
    counts = list(record.get("balance", {}).values())
    stages = record.get("stages", [])
    same = ("run_id", "status", "error", "started", "finished", "runner", "workers", "release")
    return {
        **{name: record.get(name) for name in same},
        "recipe": record["recipe"]["name"],
        "recipe_digest": record["recipe"]["digest"],
        "policy": record["recipe"]["spec"].get("policy"),
        **{name: sum(stage[name] for stage in stages) for name in ("seconds", "cpu_seconds")},
        **{n: sum(c[n] for c in counts) for n in ("read", "kept", "dropped", "quarantined")},
    }


def _sources(record: Mapping[str, Json] | None) -> Iterator[Row]:
    for id_, card in sorted(record["sources"].items()) if record else ():
        yield {
            **card,
            "run_id": record["run_id"] if record else None,
            "source": id_,
            "approved": approval_fault(card) is None,
            "bytes": sum(file["bytes"] for file in card["files"]),
            "skipped": record["skipped"].get(id_) if record else None,
            **(record["balance"].get(id_, {}) if record else {}),
        }


def _rules(record: Mapping[str, Json] | None) -> Iterator[Row]:
    """A row for each rule and language that it has bounds for."""
    if not record:
        return
    shared = record.get("rules", [])
    own = record.get("source_rules", {})
    asked = [(None, bit, rule) for bit, rule in enumerate(shared)]
    for id_, rules in sorted(own.items()):
        asked += [(id_, bit, rules[bit]) for bit in range(len(shared), len(rules))]
    for source, bit, rule in asked:
        bounds = [rule.get("min"), rule.get("max")]
        tags = sorted({tag for bound in bounds if isinstance(bound, dict) for tag in bound})
        for tag in tags or [None]:
            least, most = (b.get(tag) if isinstance(b, dict) else b for b in bounds)
            yield {
                "run_id": record["run_id"],
                "source": source,
                "bit": bit,
                "rule": rule["name"],
                "of": rule.get("of"),
                "measured": rule["column"],
                "tag": tag,
                "least": least,
                "most": most,
                "among": rule.get("among"),
                **{n: json.dumps(rule[n]) if rule.get(n) else None for n in ("only", "unless")},
                "origin": source_of(rule.get("source"), tag),
            }


def _release_row(store: Store, name: str) -> Row:
    try:
        return _release(store, load_release(store, name))
    except ReleaseError as error:
        return {"name": name, "problem": str(error)}


def _release(store: Store, release: Release) -> Row:
    verify = command("release", "verify", release.name, root=store.root)
    changed = f"it was changed; see `{verify}`"
    return {
        **{n: getattr(release, n) for n in ("name", "date", "recipe", "policy", "digest")},
        **{n: getattr(release, n) for n in ("documents", "tokens", "tokenizer", "end_token")},
        "sources": [source.id for source in release.sources],
        "licenses": sorted({spdx for source in release.sources for spdx in source.licenses}),
        "statement": " ".join(release.statement),
        "problem": None if release.holds else changed,
    }


def _loaded_datasets(store: Store) -> tuple[list[Dataset], list[Row]]:
    """The datasets of a root, and a row for every manifest that cannot be read or was changed."""
    read: list[Dataset] = []
    unread: list[Row] = []
    for name in store.list("datasets"):
        try:
            read.append(Dataset.load(store, name))
        except (ValueError, KeyError, TypeError) as error:
            unread.append({"dataset": name, "problem": f"{error}; run its recipe again"})
    return read, unread


def _dataset(dataset: Dataset) -> Row:
    documents = [shard.facts.get("documents") for shard in dataset.shards]
    return {
        "dataset": dataset.name,
        "stage": dataset.stage,
        "key": dataset.key,
        "digest": dataset.digest,
        "recipe": dataset.spec.get("recipe"),
        "shards": len(dataset.shards),
        "files": sum(len(shard.files) for shard in dataset.shards),
        "documents": None if None in documents else sum(documents),
        "bytes": sum(shard.bytes for shard in dataset.shards),
    }


def _shards(dataset: Dataset) -> Iterator[Row]:
    for shard in dataset.shards:
        yield {
            "dataset": dataset.name,
            "stage": shard.stage,
            "key": shard.key,
            "folder": shard.folder,
            "digest": shard.digest,
            **{name: shard.facts.get(name) for name in ("source", "text", "op", "documents")},
            "files": len(shard.files),
            "bytes": shard.bytes,
            "facts": canonical(dict(shard.facts)).decode(),
        }


# Views of one run ---------------------------------------------------------------------------------


def _tables(store: Store, record: Mapping[str, Json] | None, stage: str) -> list[tuple[Shard, str]]:
    """The shards of a stage whose table holds a row, each with its table's name."""
    name = _FILES[stage]
    shards = _shards_of(store, record, stage)
    return [(s, s.path(name)) for s in shards if s.file(name).rows != 0]


def _decisions(
    connection: duckdb.DuckDBPyConnection, store: Store, record: Mapping[str, Json] | None
) -> None:
    decided = _scan(connection, store, "_decide", _tables(store, record, "decide"), ledger.LEDGER)
    names = ", ".join(f'"{column.name}"' for column in ledger.LEDGER)
    connection.execute(f"CREATE VIEW decisions AS SELECT {names} FROM {decided}")
    quarantined = _tables(store, record, "ingest")
    met = _scan(connection, store, "_ingest", quarantined, ledger.QUARANTINE)
    names = ", ".join(f'"{column.name}"' for column in ledger.QUARANTINE)
    # A root that was written before a column was thought of has none: there it is null.
    _make(connection, "_no_ingest", schema(ledger.QUARANTINE).empty_table())
    connection.execute(
        f"CREATE VIEW quarantine AS SELECT {names}, NULL::VARCHAR AS id FROM"
        f" (FROM {met} UNION ALL BY NAME FROM _no_ingest) UNION ALL"
        " SELECT source, NULL, NULL, NULL, -1, detail, 1, id FROM decisions"
        f" WHERE verdict = '{ledger.QUARANTINED}'"
    )
    connection.execute(
        "CREATE VIEW duplicates AS SELECT d.id, d.source, d.language, d.text_bytes,"
        " d.duplicate_of, k.source AS duplicate_of_source, d.similarity"
        " FROM decisions d LEFT JOIN decisions k ON k.id = d.duplicate_of"
        f" WHERE d.reason = '{ledger.DUPLICATE}'"
    )


_FILES = MappingProxyType(
    {"ingest": "quarantine.parquet", "clean": "hashes.parquet", "decide": "ledger.parquet"}
)


def _shards_of(store: Store, record: Mapping[str, Json] | None, stage: str) -> tuple[Shard, ...]:
    try:
        return shards_of(store, record, stage) if record else ()
    except ViewError:
        return ()  # the view `datasets` says why


def _measures(
    connection: duckdb.DuckDBPyConnection, store: Store, record: Mapping[str, Json] | None
) -> None:
    """Each op's columns beside the cleaned text's hashes, row by row of each text file."""
    measured = _shards_of(store, record, "measure")
    cleaned = _tables(store, record, "clean")
    columns = (ID, TEXT_HASH, TEXT_BYTES, MEASURED[-1])
    base = _scan(connection, store, "_clean", cleaned, columns)
    chosen = ["c.id", "c._source AS source", "c._text AS text_file", "c._row AS row"]
    chosen += [f"c.{column.name}" for column in columns[1:]]
    joins = [f"{base} c"]
    by_op: dict[str, list[tuple[Shard, str]]] = {}
    for shard in measured:
        file = shard.path(f"{shard.facts['op']}.parquet")
        by_op.setdefault(shard.facts["op"], []).append((shard, file))
    taken = {column.name for column in MEASURED}
    for number, op in enumerate(by_op):
        held = pq.read_schema(store.open(by_op[op][0][1])).names
        names = [name for name in held if name not in taken]
        taken |= set(names)
        scan = _scan(connection, store, f"_op_{number}", by_op[op], ())
        quoted = [name.replace('"', '""') for name in names]
        chosen += [f'o{number}."{name}"' for name in quoted]
        joins.append(f"{scan} o{number} ON o{number}._text = c._text AND o{number}._row = c._row")
    sql = f"CREATE VIEW measures AS SELECT {', '.join(chosen)} FROM {' LEFT JOIN '.join(joins)}"
    connection.execute(sql)


def _scan(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    name: str,
    files: Sequence[tuple[Shard, str]],
    columns: tuple[Column, ...],
) -> str:
    """A view of Parquet files with `_source`, `_text` and `_row`; returns its name."""
    near = [(shard, store.near(path)) for shard, path in files]
    if near and all(path for _, path in near):
        rows = [
            {
                "path": path,
                "_source": shard.facts.get("source"),
                "_text": shard.facts.get("text"),
            }
            for shard, path in near
        ]
        kinds = pa.schema([(n, pa.string()) for n in ("path", "_source", "_text")])
        _make(connection, f"{name}_files", pa.Table.from_pylist(rows, schema=kinds))
        listed = ", ".join("'" + str(row["path"]).replace("'", "''") + "'" for row in rows)
        connection.execute(
            f"CREATE VIEW {name} AS SELECT p.* EXCLUDE (filename, file_row_number), f._source,"
            f" f._text, p.file_row_number AS _row FROM read_parquet([{listed}], filename = true,"
            f" file_row_number = true) p JOIN {name}_files f ON f.path = p.filename"
        )
        return name
    loaded = [_loaded(store, shard, path) for shard, path in files]
    empty = schema(columns).empty_table()
    for added, kind in (("_source", pa.string()), ("_text", pa.string()), ("_row", pa.int64())):
        empty = empty.append_column(added, pa.array([], kind))
    _make(connection, name, pa.concat_tables(loaded) if loaded else empty)
    return name


def _loaded(store: Store, shard: Shard, path: str) -> pa.Table:
    table = read_parquet(store, path)
    rows = table.num_rows
    for name in ("source", "text"):
        values = pa.array([shard.facts.get(name)] * rows, pa.string())
        table = table.append_column(f"_{name}", values)
    return table.append_column("_row", pa.array(range(rows), pa.int64()))
