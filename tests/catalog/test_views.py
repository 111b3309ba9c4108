"""The views: what they say agrees with the record, whatever the root, whatever is missing."""

# ruff: noqa: S608 -- the names are those of the views
from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import duckdb
import pytest

from phloem.catalog.manifest import Dataset, canonical, read_parquet, write_parquet
from phloem.catalog.release import make_release
from phloem.catalog.runs import ViewError, newest_run
from phloem.catalog.store import Store
from phloem.catalog.view_columns import OF_OPS, VIEWS, schema_rows
from phloem.catalog.views import connect, select

OPS = ("frail", "language", "minhash", "pii", "statistics")


@pytest.fixture(scope="module", params=["local", "memory"])
def root(
    request: pytest.FixtureRequest, built_root: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    local = tmp_path_factory.mktemp("place") / "it's a root"
    built = built_root.copy(local if request.param == "local" else f"memory://{uuid.uuid4().hex}")
    make_release(built.store, built.run_id, name="first")
    return built


@pytest.fixture(scope="module")
def connection(root: Any) -> duckdb.DuckDBPyConnection:
    return connect(root.store)


def _columns(connection: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()]


def _documented(view: str) -> list[str]:
    return [column for name, column, *_ in schema_rows() if name == view and column != OF_OPS]


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_columns_are_documented_and_in_that_order(
    connection: duckdb.DuckDBPyConnection, view: str
) -> None:
    found = _columns(connection, view)
    documented = _documented(view)
    assert found[: len(documented)] == documented
    assert view == "measures" or found == documented


def test_measures_hold_every_column_of_every_op(connection: duckdb.DuckDBPyConnection) -> None:
    found = _columns(connection, "measures")
    for column in ("language", "language_score", "word_count", "minhash", "pii_spans"):
        assert column in found
    for op in OPS:
        assert f"{op}_fault" in found


def test_measures_join_row_by_row(connection: duckdb.DuckDBPyConnection, root: Any) -> None:
    sql = "select word_count, source, row, language from measures where id = ?"
    got = {
        key: connection.execute(sql, [id_]).fetchall()
        for key, id_ in root.ids.items()
        if key in {("fables", "5"), ("manual", "zh"), ("fables", "6")}
    }
    assert got["fables", "5"] == [(39, "fables", 4, "th")]
    assert got["manual", "zh"] == [(49, "manual", 4, "zh")]
    assert got["fables", "6"] == [(0, "fables", 5, "und")]
    assert connection.execute("select count(*) from measures").fetchall() == [(12,)]


def test_decisions_agree_with_the_balance(connection: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "select s.source, s.read, count(*) filter (d.verdict = 'kept'),"
        " count(*) filter (d.verdict = 'dropped') from sources s join decisions d"
        " on d.source = s.source group by all order by all"
    )
    assert connection.execute(sql).fetchall() == [("fables", 6, 3, 2), ("manual", 7, 3, 3)]


def test_quarantine_sums_to_the_balance(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "select source, sum(records), max(reason) from quarantine group by 1 order by 1"
    assert connection.execute(sql).fetchall() == [
        ("fables", 1, "frail: text longer than the op can hold"),
        ("manual", 1, "not JSON"),
    ]


def test_quarantine_names_the_file_that_a_record_was_met_in(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    sql = "select source, file, native_id from quarantine order by source"
    fable, (_, file, native_id) = connection.execute(sql).fetchall()
    assert (fable, file) == (("fables", None, None), "manual.jsonl")
    assert re.fullmatch(r"manual\.jsonl@\d+", native_id)


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_quarantine_of_a_root_from_before_it_named_files_is_read_without(
    built_root: Any, tmp_path: Path, kind: str
) -> None:
    local = tmp_path / "root"
    built = built_root.copy(local if kind == "local" else f"memory://{uuid.uuid4().hex}")
    for shard in Dataset.load(built.store, built.record["datasets"]["ingest"]).shards:
        table = read_parquet(built.store, shard.path("quarantine.parquet"))
        write_parquet(built.store, shard.folder, "quarantine.parquet", table.drop(["file"]))
    connection = connect(built.store)
    assert _columns(connection, "quarantine") == _documented("quarantine")
    sql = "select file, reason, records from quarantine where id is null"
    assert connection.execute(sql).fetchall() == [(None, "not JSON", 1)]


def test_duplicates_name_both_sides(connection: duckdb.DuckDBPyConnection, root: Any) -> None:
    sql = "select id, source, duplicate_of, duplicate_of_source, similarity from duplicates"
    loser, winner = root.ids["manual", "fox"], root.ids["fables", "1"]
    assert connection.execute(sql).fetchall() == [(loser, "manual", winner, "fables", 0.9167)]


def test_runs_releases_datasets_and_shards_say_what_there_is(
    connection: duckdb.DuckDBPyConnection, root: Any
) -> None:
    runs = connection.execute("select run_id, recipe, status, read, kept from runs").fetchall()
    assert runs == [(root.run_id, "tiny", "done", 13, 6)]
    releases = connection.execute("select name, documents, sources from releases").fetchall()
    assert releases == [("first", 6, ["fables", "manual"])]
    stages = connection.execute("select stage from datasets order by 1").fetchall()
    assert [stage for (stage,) in stages] == sorted(root.record["datasets"])
    ops = connection.execute(
        "select op, sum(documents) from shards where op is not null group by 1 order by 1"
    )
    assert ops.fetchall() == [(op, 12) for op in OPS]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/hostname')",
        "copy (select 1) to '/tmp/phloem-never'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "attach '/tmp/phloem-never.db'",
    ],
)
def test_connection_reaches_nothing_else(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(duckdb.Error):
        connection.execute(sql)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("copy (select 42) to '{}'", "COPY"),
        ("explain analyze copy (select 42) to '{}'", "EXPLAIN"),
        ("attach '{}' as other", "ATTACH"),
        ("install httpfs", "LOAD"),
        ("pragma database_list", "PRAGMA"),
        ("set threads = 1", "SET"),
        ("create table more as select 1", "CREATE"),
        ("select 1; copy (select 42) to '{}'", "SELECT, COPY"),
        ("select 1; select 2", "SELECT, SELECT"),
        (" -- nothing", "nothing"),
        ("selekt 1", "syntax error"),
        ("select nothing from decisions", "nothing"),
        ("with x as (copy (select 42) to '{}') select 1", "COPY_TO_FILE"),
        ("with x as (copy (select 42) to '{}') select * from x", "COPY_TO_FILE"),
        ("from query('with x as (copy (select 42) to ''{}'') select 1')", "top level"),
        ("select (with x as (copy (select 42) to '{}') select 1)", "top level"),
        ("with x as (delete from runs returning 1) select * from x", "DELETE"),
    ],
)
def test_select_runs_one_query_and_nothing_else(fresh_root: Any, sql: str, told: str) -> None:
    store = fresh_root.store
    shard = Dataset.load(store, fresh_root.record["datasets"]["decide"]).shards[0]
    ledger = shard.path("ledger.parquet")
    with pytest.raises(ViewError, match=told):
        select(connect(store), sql.format(store.path(ledger)))
    assert store.sha256(ledger) == shard.file("ledger.parquet").sha256


def test_select_runs_no_sql_that_a_function_is_given_as_json(fresh_root: Any) -> None:
    place = Path(fresh_root.store.path("other.csv"))
    connection = connect(fresh_root.store)
    hidden = f"with x as (copy (select 42) to '{place}') select 1"
    ((made,),) = connection.execute("select json_serialize_sql(?)", [hidden]).fetchall()
    quoted = made.replace("'", "''")
    given = f"from json_execute_serialized_sql('{quoted}')"
    for sql in (given, "from query('{}')".format(given.replace("'", "''"))):
        with pytest.raises(ViewError, match="JSON_EXECUTE_SERIALIZED_SQL"):
            select(connection, sql)
    assert not place.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "select 'copy'",
        "select 1; -- it's one",
        "(values (1))",
        "show tables",
        "summarize runs",
        "select run_id, run_id from runs order by 1 limit 1",
        "select a.id from decisions a, decisions b where a.id = b.duplicate_of",
    ],
)
def test_select_runs_every_kind_of_query(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    columns, rows = select(connection, sql)
    assert rows == connection.execute(sql).fetchall() != []
    assert len(rows[0]) == len(columns)


def test_select_gives_columns_and_rows(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "with kept as (from decisions where verdict = 'kept') select source, count(*) as n"
    columns, rows = select(connection, f"{sql} from kept group by 1 order by 1")
    assert (columns, rows) == (["source", "n"], [("fables", 3), ("manual", 3)])
    assert ("text_file",) in [row[:1] for row in select(connection, "describe decisions")[1]]


def test_connect_tells_of_what_cannot_be_read_and_shows_the_rest(fresh_root: Any) -> None:
    store = fresh_root.store
    make_release(store, fresh_root.run_id, name="first")
    make_release(store, fresh_root.run_id, name="second")
    make_release(store, fresh_root.run_id, name="third")
    store.write_bytes("releases/first/release.json", b"{")
    third = store.read_bytes("releases/third/release.json")
    store.write_bytes("releases/third/release.json", third.replace(b"Fables of", b"Tables of"))
    changed = fresh_root.record["datasets"]["decide"]
    text = store.read_bytes(changed).replace(b'"kept":3', b'"kept":4')
    store.write_bytes(changed, text)
    connection = connect(store)
    releases = select(connection, "select name, documents, problem from releases order by 1")[1]
    assert [row[:2] for row in releases] == [("first", None), ("second", 6), ("third", 6)]
    assert [row[2] is None for row in releases] == [False, True, False]
    problems = select(connection, "select dataset, problem from datasets where problem <> ''")[1]
    assert [dataset for dataset, _ in problems] == [changed]
    assert "was changed" in problems[0][1]
    assert select(connection, "select count(*) from decisions")[1] == [(0,)]
    assert select(connection, "select count(*) from measures")[1] == [(12,)]


def test_connection_does_not_read_python_variables(connection: duckdb.DuckDBPyConnection) -> None:
    secret = [1]
    with pytest.raises(duckdb.Error):
        connection.execute("select * from secret")
    assert secret == [1]


@pytest.mark.parametrize("url", ["local", "memory"])
def test_empty_root_has_every_view_with_its_columns(tmp_path: Path, url: str) -> None:
    store = Store(tmp_path / "none" if url == "local" else f"memory://{uuid.uuid4().hex}")
    connection = connect(store)
    for view in VIEWS:
        assert connection.execute(f"select * from {view}").fetchall() == []
        assert _columns(connection, view) == _documented(view)


@pytest.mark.parametrize("stage", ["measure", "decide", "ingest", "clean"])
def test_missing_stage_leaves_an_empty_view(fresh_root: Any, stage: str) -> None:
    store, record = fresh_root.store, fresh_root.record
    datasets = {name: place for name, place in record["datasets"].items() if name != stage}
    store.write_bytes(f"runs/{fresh_root.run_id}.json", canonical({**record, "datasets": datasets}))
    connection = connect(store, fresh_root.run_id)
    counts = {
        view: len(connection.execute(f"select * from {view}").fetchall())
        for view in ("decisions", "measures", "quarantine")
    }
    whole = {"decisions": 12, "measures": 12, "quarantine": 2}
    changed = {
        "measure": {},
        "decide": {"decisions": 0, "quarantine": 1},
        "ingest": {"quarantine": 1},
        "clean": {"measures": 0},
    }
    assert counts == {**whole, **changed[stage]}


def test_unknown_run_names_the_nearest(built_root: Any) -> None:
    with pytest.raises(ViewError, match=f"did you mean {built_root.run_id}"):
        connect(built_root.store, built_root.run_id[:-1])


def test_newest_run_is_the_last_that_has_a_ledger(fresh_root: Any) -> None:
    store, record = fresh_root.store, fresh_root.record
    later = {**record, "run_id": "20270101T000000-x", "datasets": {}, "status": "interrupted"}
    store.write_bytes("runs/20270101T000000-x.json", canonical(later))
    assert newest_run(store) == fresh_root.run_id
    with pytest.raises(ViewError, match="came to its end"):
        newest_run(Store("memory://nothing-here"))


@pytest.mark.parametrize(
    ("approval", "approved"),
    [
        ({"verified": True, "by": "steward"}, True),
        ({"verified": False, "by": None, "fault": "it is not signed"}, False),
        ({}, False),  # as before approvals were signed
        ({"verified": True, "card": "0" * 64}, False),
    ],
)
def test_sources_approved_is_what_was_verified_of_this_card(
    root: Any, approval: dict[str, Any], approved: bool
) -> None:
    run_id = f"approved-{uuid.uuid4().hex}"
    card = root.record["sources"]["fables"]
    changed = {**card, "approval": {"card": card["card"], **approval}}
    record = {**root.record, "sources": {"fables": changed}, "run_id": run_id}
    root.store.write_bytes(f"runs/{run_id}.json", canonical(record))
    try:
        rows = connect(root.store, run_id).execute("select source, approved from sources")
        assert rows.fetchall() == [("fables", approved)]
    finally:
        root.store.delete(f"runs/{run_id}.json")
