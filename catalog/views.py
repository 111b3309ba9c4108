"""DuckDB views over run records, manifests and their Parquet files: the catalog as tables.

Views are made anew for each connection; nothing here is a second store.
"""
# ruff: noqa: S608 -- names in SQL are this module's own, or quoted; no user text is put into it

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from phloem.catalog import ledger
from phloem.catalog.columns import ID, LANGUAGE, SOURCE, TEXT_BYTES, TEXT_HASH, Column, schema
from phloem.catalog.manifest import Dataset, Shard, canonical, read_parquet
from phloem.catalog.release import list_releases
from phloem.catalog.runs import ViewError, dataset_of, load_run, newest_run, run_ids
from phloem.catalog.store import Store
from phloem.catalog.story import Story, explain

__all__ = ["Story", "ViewError", "connect", "explain", "newest_run", "schema_rows"]

Json = Any
Row = dict[str, Json]

_RUN_ID = Column("run_id", pa.string(), "The run; its name begins with its start in UTC.")
_RECIPE = Column("recipe", pa.string(), "Name of the recipe.")
_READ = Column("read", pa.int64(), "Records read.")
_KEPT = Column("kept", pa.int64(), "Documents kept.")
_DROPPED = Column("dropped", pa.int64(), "Documents dropped by a rule, a licence or a duplicate.")
_QUARANTINED = Column("quarantined", pa.int64(), "Records that could not be worked on.")
_DOCUMENTS = Column("documents", pa.int64(), "Documents.")
_BYTES = Column("bytes", pa.int64(), "Bytes of all its files.")
_STAGE = Column("stage", pa.string(), "Stage of a run.")
_DATASET = Column("dataset", pa.string(), "Name of the manifest under the root.")
_KEY = Column("key", pa.string(), "Hash of its spec and of what it reads.")
_DIGEST = Column("digest", pa.string(), "Hash of the bytes.")

RUNS = (
    _RUN_ID,
    _RECIPE,
    Column("recipe_digest", pa.string(), "Hash of what the recipe says."),
    Column("policy", pa.string(), "Name of the policy."),
    Column("status", pa.string(), "running, done, failed or interrupted."),
    Column("error", pa.string(), "What stopped it."),
    Column("started", pa.string(), "ISO 8601, UTC."),
    Column("finished", pa.string(), "ISO 8601, UTC."),
    Column("runner", pa.string(), "Beam runner."),
    Column("workers", pa.int64(), "Worker processes."),
    Column("seconds", pa.float64(), "Wall seconds of all stages."),
    Column("cpu_seconds", pa.float64(), "CPU seconds of all stages."),
    _READ,
    _KEPT,
    _DROPPED,
    _QUARANTINED,
    Column("release", pa.string(), "Name of the release that it made."),
)
SOURCES = (
    _RUN_ID,
    SOURCE,
    Column("name", pa.string(), "The source as readers know it."),
    Column("kind", pa.string(), "Kind of text."),
    Column("languages", pa.list_(pa.string()), "BCP-47 tags that the card declares."),
    Column("license", pa.string(), "SPDX expression on the card."),
    Column("attribution", pa.string(), "Credit that the licence asks for."),
    Column("homepage", pa.string(), "Where the source lies."),
    Column("custodian", pa.string(), "Who keeps it."),
    Column("status", pa.string(), "Status of the card."),
    Column("evidence", pa.string(), "Whether a person has read the evidence of the licence."),
    Column("approved", pa.bool_(), "Whether a person has approved the card as it stands."),
    Column("version", pa.string(), "Version or snapshot that was read."),
    Column("card", pa.string(), "Hash of the card."),
    Column("bytes", pa.int64(), "Bytes of the files as fetched."),
    Column("skipped", pa.string(), "Why the run left it out; null if it was read."),
    _READ,
    _KEPT,
    _DROPPED,
    _QUARANTINED,
)
DATASETS = (
    _DATASET,
    _STAGE,
    _KEY,
    _DIGEST,
    _RECIPE,
    Column("shards", pa.int64(), "Shards that it lists."),
    Column("files", pa.int64(), "Files of its shards."),
    _DOCUMENTS,
    _BYTES,
)
SHARDS = (
    _DATASET,
    _STAGE,
    _KEY,
    Column("folder", pa.string(), "Where it lies under the root."),
    _DIGEST,
    SOURCE,
    Column("text", pa.string(), "sha256 of the text file of ingest that it was made from."),
    Column("op", pa.string(), "Op that measured it."),
    _DOCUMENTS,
    Column("files", pa.int64(), "Its files."),
    _BYTES,
    Column("facts", pa.string(), "All that was counted while writing, as JSON."),
)
QUARANTINE = (
    *ledger.QUARANTINE,
    Column("id", pa.string(), "Id of the document; null for a record that gave none."),
)
DUPLICATES = (
    ID,
    SOURCE,
    LANGUAGE,
    TEXT_BYTES,
    ledger.DUPLICATE_OF,
    Column("duplicate_of_source", pa.string(), "Source of the kept document."),
    ledger.SIMILARITY,
)
MEASURED = (
    ID,
    SOURCE,
    ledger.TEXT_FILE,
    ledger.ROW,
    TEXT_HASH,
    TEXT_BYTES,
    Column("clean_fault", pa.string(), "Rewrite that could not work on the document, and why."),
)
RELEASES = (
    Column("name", pa.string(), "Name of the release."),
    Column("date", pa.string(), "Date that it bears, if it was given one."),
    _RECIPE,
    Column("policy", pa.string(), "Policy whose checks it passed."),
    _DOCUMENTS,
    Column("tokens", pa.int64(), "Tokens, end-of-document tokens included."),
    Column("sources", pa.list_(pa.string()), "Ids of its sources."),
    Column("licenses", pa.list_(pa.string()), "SPDX expressions of its documents."),
    Column("tokenizer", pa.string(), "sha256 of the tokenizer."),
    Column("statement", pa.string(), "What it is, and what its policy did not ask for."),
    _DIGEST,
)
VIEWS: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "sources": SOURCES,
        "runs": RUNS,
        "datasets": DATASETS,
        "shards": SHARDS,
        "decisions": ledger.LEDGER,
        "quarantine": QUARANTINE,
        "duplicates": DUPLICATES,
        "measures": MEASURED,
        "releases": RELEASES,
    }
)
OF_OPS = "(columns of ops)"  # stands for what `measures` takes from the run's ops


def schema_rows() -> list[tuple[str, str, str, str]]:
    """(view, column, Arrow type, meaning) of every column of every view."""
    rows = [(v, c.name, str(c.type), c.doc) for v, columns in VIEWS.items() for c in columns]
    doc = "Every column that a measuring op of the run writes, and `<op>_fault`."
    place = max(n for n, row in enumerate(rows) if row[0] == "measures") + 1
    return [*rows[:place], ("measures", OF_OPS, "as the op declares", doc), *rows[place:]]


def connect(store: Store, run_id: str | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in memory with the views of a root.

    `sources`, `decisions`, `quarantine`, `duplicates` and `measures` tell of one run: the newest
    finished one unless given; without any they are empty. The connection reads the root's files
    and no others, loads no extension, and cannot be set up otherwise.

    Raises ViewError if there is no such run.
    """
    record = _record(store, run_id)
    connection = duckdb.connect(":memory:")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET python_enable_replacements = false")
    releases = list_releases(store)
    tables = {
        "runs": [_run(load_run(store, id_)) for id_ in run_ids(store)],
        "sources": list(_sources(record)),
        "releases": [_release(release) for release in releases],
    }
    datasets = [Dataset.load(store, name) for name in store.list("datasets")]
    tables["datasets"] = [_dataset(dataset) for dataset in datasets]
    tables["shards"] = [row for dataset in datasets for row in _shards(dataset)]
    for view, rows in tables.items():
        _make(connection, view, pa.Table.from_pylist(rows, schema=schema(VIEWS[view])))
    _of_run(connection, store, record)
    if store.is_local:
        folder = store.path("").rstrip("/").replace("'", "''")
        connection.execute(f"SET allowed_directories = ['{folder}/']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


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
        approval = card.get("approval")
        yield {
            **card,
            "run_id": record["run_id"] if record else None,
            "source": id_,
            "approved": bool(approval) and approval.get("card") == card["card"],
            "bytes": sum(file["bytes"] for file in card["files"]),
            "skipped": record["skipped"].get(id_) if record else None,
            **(record["balance"].get(id_, {}) if record else {}),
        }


def _release(release: Any) -> Row:
    return {
        **{n: getattr(release, n) for n in ("name", "date", "recipe", "policy", "digest")},
        **{n: getattr(release, n) for n in ("documents", "tokens", "tokenizer")},
        "sources": [source.id for source in release.sources],
        "licenses": sorted({spdx for source in release.sources for spdx in source.licenses}),
        "statement": " ".join(release.statement),
    }


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


def _of_run(
    connection: duckdb.DuckDBPyConnection, store: Store, record: Mapping[str, Json] | None
) -> None:
    shards = {
        stage: _shards_of(store, record, stage)
        for stage in ("ingest", "clean", "measure", "decide")
    }
    files = {stage: [(s, s.path(f)) for s in shards[stage]] for stage, f in _FILES.items()}
    decided = _scan(connection, store, "_decide", files["decide"], ledger.LEDGER)
    names = ", ".join(f'"{column.name}"' for column in ledger.LEDGER)
    connection.execute(f"CREATE VIEW decisions AS SELECT {names} FROM {decided}")
    met = _scan(connection, store, "_ingest", files["ingest"], ledger.QUARANTINE)
    names = ", ".join(f'"{column.name}"' for column in ledger.QUARANTINE)
    connection.execute(
        f"CREATE VIEW quarantine AS SELECT {names}, NULL::VARCHAR AS id FROM {met} UNION ALL"
        " SELECT source, NULL, NULL, -1, detail, 1, id FROM decisions"
        f" WHERE verdict = '{ledger.QUARANTINED}'"
    )
    connection.execute(
        "CREATE VIEW duplicates AS SELECT d.id, d.source, d.language, d.text_bytes,"
        " d.duplicate_of, k.source AS duplicate_of_source, d.similarity"
        " FROM decisions d LEFT JOIN decisions k ON k.id = d.duplicate_of"
        f" WHERE d.reason = '{ledger.DUPLICATE}'"
    )
    _measures(connection, store, files["clean"], shards["measure"])


_FILES = MappingProxyType(
    {"ingest": "quarantine.parquet", "clean": "hashes.parquet", "decide": "ledger.parquet"}
)


def _shards_of(store: Store, record: Mapping[str, Json] | None, stage: str) -> tuple[Shard, ...]:
    dataset = dataset_of(store, record, stage) if record else None
    return dataset.shards if dataset else ()


def _measures(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    cleaned: Sequence[tuple[Shard, str]],
    measured: Sequence[Shard],
) -> None:
    """Each op's columns beside the cleaned text's hashes, row by row of each text file."""
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
        names = [n for n in _column_names(store, by_op[op][0][1]) if n not in taken]
        taken |= set(names)
        scan = _scan(connection, store, f"_op_{number}", by_op[op], ())
        chosen += [f'o{number}."{_quoted(name)}"' for name in names]
        joins.append(f"{scan} o{number} ON o{number}._text = c._text AND o{number}._row = c._row")
    sql = f"CREATE VIEW measures AS SELECT {', '.join(chosen)} FROM {' LEFT JOIN '.join(joins)}"
    connection.execute(sql)


def _quoted(name: str) -> str:
    return name.replace('"', '""')


def _column_names(store: Store, name: str) -> list[str]:
    names: list[str] = pq.read_schema(store.open(name)).names
    return names


def _scan(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    name: str,
    files: Sequence[tuple[Shard, str]],
    columns: tuple[Column, ...],
) -> str:
    """A view of Parquet files with `_source`, `_text` and `_row`; returns its name."""
    if store.is_local and files:
        rows = [
            {
                "path": store.path(path),
                "_source": shard.facts.get("source"),
                "_text": shard.facts.get("text"),
            }
            for shard, path in files
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
    tables = [_loaded(store, shard, path) for shard, path in files]
    empty = schema(columns).empty_table()
    for added, kind in (("_source", pa.string()), ("_text", pa.string()), ("_row", pa.int64())):
        empty = empty.append_column(added, pa.array([], kind))
    _make(connection, name, pa.concat_tables(tables) if tables else empty)
    return name


def _loaded(store: Store, shard: Shard, path: str) -> pa.Table:
    table = read_parquet(store, path)
    rows = table.num_rows
    for name in ("source", "text"):
        values = pa.array([shard.facts.get(name)] * rows, pa.string())
        table = table.append_column(f"_{name}", values)
    return table.append_column("_row", pa.array(range(rows), pa.int64()))
