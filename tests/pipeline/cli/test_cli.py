"""The command line as a person meets it: exit codes, errors in a line, tables, JSON and help."""

import gzip
import html
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from inline_engine import inline
from tiny_workspace import (
    ADDRESS,
    ARTICLES,
    add_source,
    change_recipe,
    make_workspace,
    new_root,
)
from typer.testing import CliRunner, Result

from phloem.catalog.manifest import Dataset, read_arrow
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.cli.app import app
from phloem.pipeline.cli.options import typed
from phloem.pipeline.docs import commands as docs_cli
from phloem.pipeline.engines.runners import REFUSED
from phloem.pipeline.stages.ingest import document_id

Ran = tuple[Path, Path, Result]


def phloem(*arguments: str) -> Result:
    """A command in this process, in a wide terminal."""
    return CliRunner(env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).invoke(app, arguments)


def process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, where workers are processes too."""
    command = [sys.executable, "-m", "phloem.pipeline.cli", *arguments]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def refused(result: Result, code: int) -> str:
    """The one line that a command refuses with."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def told(result: Result) -> str:
    """What a command says that ended well."""
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder, from where the model files are still found."""
    models = Path(os.environ.get("PHLOEM_MODELS", ".venv/models"))
    patch.setenv("PHLOEM_MODELS", str(models.resolve()))
    patch.chdir(folder)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A workspace, its root, and what `phloem run` said: without Beam. Do not change them."""
    top = tmp_path_factory.mktemp("cli")
    folder, root = make_workspace(top / "workspace"), new_root(top / "root")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        patch.setattr(running, "open_pool", inline)
        result = phloem("run", "tiny", "--root", str(root), "--workers", "1")
        assert result.exit_code == 0, result.exception
        yield folder, root, result


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace to change, as the working folder."""
    folder = make_workspace(tmp_path / "workspace")
    enter(folder, monkeypatch)
    return folder


# Help ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "command"), list(docs_cli.commands(app)))
def test_help_of_every_command_says_what_it_does_and_takes(name: str, command: Any) -> None:
    words = " ".join(re.sub(r"[│╭╮╰╯─\[\]]", " ", told(phloem(*name.split()[1:], "-h"))).split())
    sentence = (inspect.getdoc(command.callback) or "").split("\n\n")[0]
    assert " ".join(sentence.split()) in words
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        typed_as = [*parameter.opts, *parameter.secondary_opts]
        shown = typed_as if is_option else [(parameter.metavar or typed_as[0]).strip("[]")]
        assert [name for name in shown if name not in words] == []


@pytest.mark.parametrize("group", ["", "ops", "sources", "catalog", "release"])
def test_help_without_a_command_lists_the_commands(group: str) -> None:
    result = phloem(*group.split())
    names = [name for name, _ in docs_cli.commands(app)]
    inside = [n.split()[-1] for n in names if n.startswith(f"phloem {group} ")]
    assert len(inside) > 1 or not group
    for command in inside or ["run", "plan", "explain", "report", "bench"]:
        assert f" {command} " in result.output


def test_help_imports_neither_beam_nor_arrow_nor_numba() -> None:
    code = (
        "import sys; from phloem.pipeline.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'apache_beam', 'pyarrow', 'pydantic', 'numba', 'duckdb', 'numpy'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert "run" in done.stdout
    assert done.stderr == ""


# Wrong use: exit code 2 ---------------------------------------------------------------------------
def test_run_of_an_unknown_recipe_names_the_nearest(workspace: Path) -> None:
    assert "did you mean tiny?" in refused(phloem("run", "tinny"), 2)


def test_run_of_a_recipe_with_an_unknown_op_names_the_nearest(workspace: Path) -> None:
    change_recipe(workspace, "statistics,", "statistic,")
    line = refused(phloem("plan", "tiny"), 2)
    assert "tiny.yaml: no op named 'statistic'; did you mean statistics?" in line


@pytest.mark.parametrize("runner", [*REFUSED, "DirectRunner"])
def test_run_on_a_refused_runner_says_why(workspace: Path, runner: str) -> None:
    line = refused(phloem("run", "tiny", "--runner", runner), 2)
    assert REFUSED[runner.lower().removesuffix("runner")] in line
    assert "use local" in line


def test_run_without_sources_asks_for_input(workspace: Path) -> None:
    change_recipe(workspace, "sources: [first, second]\n", "")
    assert "give your own with --input" in refused(phloem("run", "tiny"), 2)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--date", "2026-13-01", "write it as 2026-01-31"),
        ("--date", "20260131", "write it as 2026-01-31"),
        ("--workers", "0", "--workers"),
        ("--release", "../up", "lower-case letters"),
        ("--input", "", "--input is empty"),
        ("--input", "nothing-*.jsonl", "no file matches nothing-*.jsonl"),
        ("--root", "nosuch://x", "--root nosuch://x cannot be opened"),
    ],
)
def test_run_refuses_an_option_before_anything_runs(
    workspace: Path, option: str, value: str, said: str
) -> None:
    result = phloem("run", "tiny", option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert not (workspace / "phloem-data").exists()


def test_run_with_a_language_that_is_none_says_what_is(workspace: Path) -> None:
    line = refused(phloem("run", "tiny", "--input", "first.jsonl", "--language", "English"), 2)
    assert "'English' is no language tag" in line
    assert "did you mean en" in line
    assert "BCP-47" in line


@pytest.mark.parametrize(
    "command",
    [
        ("explain", "abc"),
        ("report",),
        ("catalog", "query", "select 1"),
        ("catalog", "datasets"),
        ("release", "list"),
        ("release", "verify", "tiny"),
    ],
)
def test_commands_that_look_at_a_root_that_is_not_there_say_so(
    workspace: Path, command: tuple[str, ...]
) -> None:
    assert "there is no root at nowhere" in refused(phloem(*command, "--root", "nowhere"), 2)
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("explain", "zz"), "no document 'zz'"),
        (("explain", "0", "--run", "2026"), "no run '2026'"),
        (("report", "--run", "2026"), "no run '2026'"),
        (("catalog", "query", ""), "one SELECT is run, but this is nothing"),
        (("ops", "check", "nfk", "statistic"), "did you mean nfc?; no op named 'statistic'"),
        (("sources", "show", "firts"), "did you mean first?"),
        (("sources", "lock", "firts"), "did you mean first?"),
    ],
)
def test_commands_asked_for_what_is_not_there_name_what_is(
    ran: Ran, command: tuple[str, ...], said: str
) -> None:
    place = () if command[0] == "sources" else ("--root", str(ran[1]))
    assert said in refused(phloem(*command, *place), 2)


@pytest.mark.parametrize("sql", ["selec 1", "select * from decision", "select nothing from runs"])
def test_catalog_query_that_is_no_sql_is_wrong_use(ran: Ran, sql: str) -> None:
    result = phloem("catalog", "query", sql, "--root", str(ran[1]))
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.match(r"error: (Parser|Catalog|Binder) Error", result.stderr)
    assert "Traceback" not in result.output


def test_catalog_query_writes_no_file(ran: Ran, tmp_path: Path) -> None:
    sql = f"copy (select 1) to '{tmp_path}/out.csv'"
    assert phloem("catalog", "query", sql, "--root", str(ran[1])).exit_code == 2
    assert list(tmp_path.iterdir()) == []


# Failures: exit code 1 ----------------------------------------------------------------------------
def test_broken_card_names_the_file_and_the_key(workspace: Path) -> None:
    card = workspace / "cards" / "first.yaml"
    card.write_text(card.read_text("utf-8").replace("kind: legal", "knd: legal"), "utf-8")
    for command in [("run", "tiny"), ("plan", "tiny"), ("sources", "list"), ("sources", "lock")]:
        result = phloem(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{card}: knd: unknown key; did you mean kind?" in result.stderr
        assert f"{card}: kind: missing" in result.stderr


def test_card_with_parameters_that_its_connector_lacks_names_the_key(workspace: Path) -> None:
    card = workspace / "cards" / "first.yaml"
    card.write_text(card.read_text("utf-8").replace("id_column", "id_colum"), "utf-8")
    line = refused(phloem("sources", "lock", "first"), 1)
    assert "1 of 1 sources could not be locked: first: " in line
    assert "id_colum: unknown key; did you mean id_column?" in line


def test_missing_text_column_is_told_before_anything_runs(workspace: Path, tmp_path: Path) -> None:
    root = new_root(tmp_path / "root")
    options = ["--input", "first.jsonl", "--text-column", "body", "--root", str(root)]
    line = refused(phloem("run", "tiny", *options), 1)
    assert "first.jsonl has no column 'body'; there are id, lang, text" in line
    assert "--skip-unavailable" not in line
    assert not (root / "ingest").exists()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_sources_lint_with_errors_fails_and_without_is_fine(
    workspace: Path, options: tuple[str, ...]
) -> None:
    found = phloem("sources", "lint", *options)
    assert (found.exit_code, found.stderr) == (1, "")
    assert "license.evidence" in found.stdout
    (workspace / "phloem.toml").write_text("", encoding="utf-8")
    assert phloem("sources", "lint", *options).exit_code == 0


def test_root_that_is_a_file_is_an_error_in_a_line(workspace: Path) -> None:
    Path("file").write_text("", encoding="utf-8")
    assert "it is a file; give a folder" in refused(phloem("run", "tiny", "--root", "file"), 2)


def test_release_that_is_not_there_names_those_that_are(ran: Ran) -> None:
    line = refused(phloem("release", "verify", "tiny", "--root", str(ran[1])), 1)
    assert re.search(r"no release 'tiny' in .*; there are tiny-[0-9a-f]{12}", line)


def test_release_with_a_changed_byte_fails_its_check(ran: Ran, tmp_path: Path) -> None:
    _, root, _ = ran
    copy = tmp_path / "root"
    subprocess.run(["cp", "-r", root, copy], check=True)
    victim = next(copy.glob("tokenize/*/tokens.arrow"))
    victim.write_bytes(b"\xff" + victim.read_bytes()[1:])
    (name,) = (path.name for path in (copy / "releases").iterdir())
    result = phloem("release", "verify", name, "--root", str(copy))
    assert result.exit_code == 1
    assert str(victim.relative_to(copy)) in result.stdout
    rows = json.loads(phloem("release", "verify", name, "--root", str(copy), "--json").stdout)
    assert [row["file"] for row in rows] == [str(victim.relative_to(copy))]


def test_export_with_a_changed_byte_fails_its_check(ran: Ran, tmp_path: Path) -> None:
    root, out = str(ran[1]), tmp_path / "out"
    (name,) = (path.name for path in (ran[1] / "releases").iterdir())
    asked = ("release", "verify", name, "--export", str(out), "--root", root)
    assert "holds no export.json" in refused(phloem(*asked), 1)
    said = told(phloem("export", name, "--format", "megatron", "--out", str(out), "--root", root))
    assert re.fullmatch(
        rf"{out}: 4 files of megatron, 7 documents and \d+ tokens of {name}\n", said
    )
    assert told(phloem(*asked)) == f"{out}: whole, every token as released\n"
    victim = out / "second-00000.bin"
    victim.write_bytes(b"\xff" + victim.read_bytes()[1:])
    result = phloem(*asked)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, f"{out}: 2 faults")
    rows = json.loads(phloem(*asked, "--json").stdout)
    assert [(row["file"], row["problem"]) for row in rows] == [
        (victim.name, "digest"),
        (victim.name, "tokens"),
    ]
    assert re.fullmatch(r"document 0 \([0-9a-f]{32}\): token 0 is \d+", rows[1]["expected"])


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (("--format", "megatorn", "--out", "{out}"), 2, "did you mean megatron"),
        (("--format", "arrow", "--out", "{out}", "--what", "text"), 2, "tokens can"),
        (("--format", "arrow", "--out", "{out}/.."), 1, "is not empty"),
        (("--format", "arrow", "--out", "s3://a:b@c/d"), 1, "holds a user name and a password"),
    ],
)
def test_export_that_cannot_be_is_refused(
    ran: Ran, tmp_path: Path, options: tuple[str, ...], code: int, line: str
) -> None:
    (name,) = (path.name for path in (ran[1] / "releases").iterdir())
    (tmp_path / "out").mkdir()
    asked = [word.format(out=tmp_path / "out") for word in options]
    result = phloem("export", name, *asked, "--root", str(ran[1]))
    assert (result.exit_code, result.stdout) == (code, "")
    assert line in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_changed_manifest_is_an_error_in_a_line(ran: Ran, tmp_path: Path) -> None:
    (name,) = (path for path in (ran[1] / "datasets").glob("compose-*"))
    changed = tmp_path / "datasets" / name.name
    changed.parent.mkdir()
    changed.write_text(name.read_text("utf-8").replace("tiny", "huge"), "utf-8")
    line = refused(phloem("catalog", "datasets", "--root", str(tmp_path)), 1)
    assert f"datasets/{name.name} cannot be read" in line


def test_interrupted_run_says_how_to_go_on(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "drive", interrupted)
    root = new_root(tmp_path / "root")
    result = phloem("run", "tiny", "--root", str(root))
    assert result.exit_code == 1
    assert result.stderr.startswith("interrupted: run the same command again")
    (record,) = (json.loads(path.read_bytes()) for path in (root / "runs").iterdir())
    assert record["status"] == "interrupted"


# What ends well: exit code 0 ----------------------------------------------------------------------
def test_run_says_where_its_report_and_release_lie(ran: Ran) -> None:
    _, root, result = ran
    lines = dict(line.split(maxsplit=1) for line in told(result).splitlines())
    assert Path(lines["report"]).read_text("utf-8").startswith("<!DOCTYPE html>")
    release = json.loads(Path(lines["release"]).read_bytes())
    assert release["recipe"] == "tiny"
    assert lines["ingest"].startswith("2/2")
    assert phloem("report", "--root", str(root)).stdout.strip() == lines["report"]


def test_run_again_is_cached_and_says_so(ran: Ran) -> None:
    _, root, _ = ran
    again = told(phloem("run", "tiny", "--root", str(root)))
    assert len(re.findall(r"^\w+  \d+/\d+ cached", again, re.MULTILINE)) == 11


LISTINGS = [
    ("ops", "list"),
    ("sources", "list"),
    ("sources", "lint"),
    ("catalog", "datasets"),
    ("catalog", "query", "select * from decisions order by id"),
    ("catalog", "query", "select * from sources"),
    ("catalog", "query", "select id, language, word_count from measures order by id"),
    ("release", "list"),
]


@pytest.mark.parametrize("command", LISTINGS, ids=" ".join)
def test_listing_as_json_holds_what_its_table_shows(ran: Ran, command: tuple[str, ...]) -> None:
    place = ("--root", str(ran[1])) if command[0] in {"catalog", "release"} else ()
    head, *lines = phloem(*command, *place).stdout.splitlines()
    rows = json.loads(phloem(*command, *place, "--json").stdout)
    columns = [column for column in re.split(r"  +", head.strip()) if column]
    assert rows
    assert len(lines) - (command[1] == "lint") == len(rows)  # lint counts below its table
    for row, line in zip(rows, lines, strict=False):
        assert set(columns) <= set(row)
        for column in columns:
            if isinstance(row[column], int):
                assert f"{row[column]:,}" in line
            elif isinstance(row[column], str):
                assert row[column] in line


@pytest.mark.parametrize("view", ["runs", "datasets", "shards", "quarantine", "duplicates"])
def test_catalog_query_of_every_view_gives_json_rows(ran: Ran, view: str) -> None:
    sql = f"from {view}"
    assert json.loads(told(phloem("catalog", "query", sql, "--root", str(ran[1]), "--json")))


def test_catalog_query_prints_cells_as_they_are(ran: Ran) -> None:
    sql = "select '[/x] :smile: ' || repeat('文', 300) a, chr(27) || '[31m' b, 1 a, 1234 c"
    head, line = told(phloem("catalog", "query", sql, "--root", str(ran[1]))).splitlines()
    assert head.split() == ["a", "b", "a_3", "c"]
    assert line.split("  ")[0] == "[/x] :smile: " + "文" * 300
    assert "\x1b" not in line
    assert "1,234" in line


@pytest.mark.parametrize("sql", ["show tables", "describe decisions", "summarize runs"])
def test_catalog_query_takes_what_help_and_errors_advise(ran: Ran, sql: str) -> None:
    assert told(phloem("catalog", "query", sql, "--root", str(ran[1])))


def test_catalog_query_steers_no_terminal(ran: Ran) -> None:
    name = "chr(27) || '[2J' || chr(155) || '2J' || chr(7) || chr(8238)"
    sql = f"select {name} as v, [{name}] as listed"
    plain = told(phloem("catalog", "query", sql, "--root", str(ran[1])))
    printed = told(phloem("catalog", "query", sql, "--root", str(ran[1]), "--json"))
    assert json.loads(printed)[0]["v"] == "\x1b[2J\x9b2J\x07\u202e"  # escaped, not lost
    for text in (plain, printed):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert "\u202e" not in plain
    wrong = refused(phloem("catalog", "query", "", "--root", "no\x1b[2J\x9bwhere"), 2)
    assert not re.search("[\x1b\x9b]", wrong)


def test_catalog_query_as_json_knows_no_nan_and_loses_no_column(ran: Ran) -> None:
    sql = "select 1 a, 2 a, 'nan'::double n, date '2026-01-31' d"
    text = told(phloem("catalog", "query", sql, "--root", str(ran[1]), "--json"))
    assert json.loads(text) == [{"a": 1, "a_2": 2, "n": None, "d": "2026-01-31"}]


def test_sources_show_tells_the_card_and_its_lock(ran: Ran) -> None:
    value = json.loads(told(phloem("sources", "show", "first", "--json")))
    (file,) = value["locked"]["files"]
    assert (value["id"], file["name"]) == ("first", "first.jsonl")
    shown = told(phloem("sources", "show", "first"))
    assert file["sha256"] in shown
    assert [line.split()[0] for line in shown.splitlines()] == list(value)


def test_sources_lock_of_what_has_not_changed_says_so(ran: Ran) -> None:
    assert told(phloem("sources", "lock", "first")).endswith("as before\n")


def test_ops_check_of_a_sound_op_is_fine(ran: Ran) -> None:
    assert told(phloem("ops", "check", "nfc", "--root", str(ran[1]))) == "ok   nfc\n"


def test_plan_of_a_finished_run_has_nothing_to_do(ran: Ran) -> None:
    value = json.loads(told(phloem("plan", "tiny", "--root", str(ran[1]), "--json")))
    assert value["disk_needed"] == 0
    assert value["left_out"] == {}
    assert all(row["to_do"] == 0 and row["cached"] == row["tasks"] for row in value["stages"])


def test_plan_of_a_fresh_root_knows_the_first_stage(ran: Ran, tmp_path: Path) -> None:
    options = ["--root", str(new_root(tmp_path / "root"))]
    value = json.loads(told(phloem("plan", "tiny", *options, "--json")))
    assert value["stages"][0] | {"MB": 0} == {
        "stage": "ingest", "tasks": 2, "cached": 0, "to_do": 2, "MB": 0,
    }  # fmt: skip
    assert {row["to_do"] for row in value["stages"][1:]} == {None}
    table = told(phloem("plan", "tiny", *options))
    assert len(re.findall(r"^\w+( +\?){4}\s*$", table, re.MULTILINE)) == 10
    assert not (tmp_path / "root" / "ingest").exists()


def test_plan_names_what_would_be_left_out(ran: Ran, tmp_path: Path) -> None:
    gone = ran[0] / "second.jsonl"
    options = ["plan", "tiny", "--root", str(new_root(tmp_path / "root")), "--skip-unavailable"]
    gone.rename(tmp_path / "elsewhere")
    try:
        as_json, table = phloem(*options, "--json"), phloem(*options)
    finally:
        (tmp_path / "elsewhere").rename(gone)
    assert json.loads(as_json.stdout)["left_out"] == {"second": f"no file matches {gone}"}
    assert "\nleft out: second\n" in table.stdout
    assert table.stderr == f"left out second: no file matches {gone}\n"


def test_explain_masks_personal_data_and_shows_text_only_if_asked(ran: Ran) -> None:
    _, root, _ = ran
    id_ = document_id("first", "mail")
    story = json.loads(told(phloem("explain", id_[:12], "--root", str(root), "--json")))
    assert (story["id"], story["verdict"], story["excerpt"]) == (id_, "kept", "")
    plain = told(phloem("explain", id_, "--root", str(root)))
    assert id_ in plain
    assert "about the meeting" not in plain
    shown = phloem("explain", id_, "--root", str(root), "--excerpt").stdout
    assert "about the meeting" in shown
    assert ADDRESS not in shown


def _own_files(folder: Path) -> None:
    """One document in each format, under a column of one's own."""
    folder.mkdir()
    row = {tag: json.dumps({"body": text}, ensure_ascii=False) for tag, text in ARTICLES.items()}
    (folder / "a.jsonl").write_text(row["en"] + "\n{broken\n", encoding="utf-8")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(row["ar"].encode(), mtime=0))
    pq.write_table(pa.table({"body": [ARTICLES["hi"]]}), folder / "c.parquet")
    with pa.ipc.new_file(str(folder / "d.arrow"), pa.schema({"body": pa.string()})) as out:
        out.write_table(pa.table({"body": [ARTICLES["th"]]}))
    (folder / "e.txt").write_text(ARTICLES["zh"], encoding="utf-8")


def test_run_reads_files_of_ones_own_in_every_format(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    change_recipe(workspace, "sources: [first, second]\n", "")
    _own_files(tmp_path / "mine")
    root = new_root(tmp_path / "root")
    options = ["--input", str(tmp_path / "mine"), "--text-column", "body", "--root", str(root)]
    said = told(phloem("run", "tiny", *options))
    assert re.search(r"^release  none$", said, re.MULTILINE)
    assert "Not released" in said
    (record,) = (json.loads(path.read_bytes()) for path in (root / "runs").iterdir())
    assert record["balance"] == {"local": {"read": 6, "kept": 5, "dropped": 0, "quarantined": 1}}
    store = Store(str(root))
    texts = {
        text
        for shard in Dataset.load(store, record["datasets"]["compose"]).shards
        for text in read_arrow(store, shard.path("text.arrow")).read_all()["text"].to_pylist()
    }
    assert texts == set(ARTICLES.values())


def test_run_reads_a_folder_and_tells_in_a_line_what_it_passes_over(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    mine = tmp_path / "mine"
    (mine / "lang=th").mkdir(parents=True)
    for name, text in (("part[0]", ARTICLES["en"]), ("lang=th/part-1", ARTICLES["th"])):
        (mine / name).write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    for name in ("_SUCCESS", ".part-1.crc", "README.md"):
        (mine / name).write_text("x", encoding="utf-8")
    options = ["--input", str(mine), "--stage", "ingest", "--root", str(new_root(tmp_path / "r"))]
    assert "part-1: the format cannot be told" in refused(phloem("run", "tiny", *options), 2)
    assert caplog.messages == []
    said = told(phloem("run", "tiny", *options, "--format", "jsonl"))
    assert last_lines(said) == ["2: 2 documents, 0 quarantined"]
    assert caplog.messages == [f"passed over in {mine}/: .part-1.crc, README.md, _SUCCESS"]
    result = phloem("run", "tiny", *options, "--format", "jsonlines")
    assert "--format: 'jsonlines' is none; did you mean jsonl" in refused(result, 2)
    result = phloem("run", "tiny", "--format", "jsonl", "--root", str(tmp_path / "r"))
    assert "are of --input" in refused(result, 2)


@pytest.mark.parametrize("command", ["gc", "doctor", "status", "run tiny", "catalog datasets"])
def test_root_of_no_name_is_refused(command: str) -> None:
    for root in ("", " "):
        result = phloem(*command.split(), "--root", root)
        assert "--root is empty; give a folder" in refused(result, 2)


def test_names_of_files_begin_no_line_of_an_error(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "\nerror: \x1b[31mx.xyz").write_text("a")
    root = str(new_root(tmp_path / "root"))
    said = refused(phloem("run", "tiny", "--input", str(tmp_path / "mine"), "--root", root), 2)
    assert said.startswith("error: --input: \\nerror: \\x1b[31mx.xyz: the format cannot be told")


# The last lines of a run --------------------------------------------------------------------------
def last_lines(said: str) -> list[str]:
    """What a run says of what it read."""
    lines = said.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("read "))
    return [line.removeprefix("read").strip() for line in lines[first:]]


def test_run_ends_with_what_it_read_and_what_it_could_not(ran: Ran) -> None:
    assert last_lines(ran[2].stdout) == [
        "12: 7 kept, 4 dropped, 1 quarantined",
        "1 x not JSON: first.jsonl",
    ]


def test_run_names_sources_of_which_nothing_was_read(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    add_source(workspace, "third", [])
    change_recipe(workspace, "[first, second]", "[first, second, third]")
    result = phloem("run", "tiny", "--root", str(new_root(tmp_path / "root")))
    assert last_lines(result.stdout)[-1] == "nothing at all was read of third"


def test_run_names_the_files_of_the_first_reasons(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    mine = tmp_path / "mine"
    _own_files(mine)
    for number in range(5):
        (mine / f"broken-{number}.jsonl.gz").write_bytes(gzip.compress(b'{"body": "a"}\n')[:-9])
    (mine / "deep.jsonl").write_text('{"body": 7}\n' * 3, encoding="utf-8")
    root = new_root(tmp_path / "a root")
    options = ["--input", str(mine), "--text-column", "body", "--root", str(root)]
    said = told(phloem("run", "tiny", *options))
    assert last_lines(said) == [
        "19: 5 kept, 5 dropped, 9 quarantined",
        "5 of these stand for a rest that could not be read, of unknown length",
        "5 x truncated gzip: broken-0.jsonl.gz, broken-1.jsonl.gz, broken-2.jsonl.gz and 2 more",
        "3 x text is no string: deep.jsonl",
        "1 x not JSON: a.jsonl",
    ]


@pytest.mark.parametrize(
    ("content", "lines", "why"),
    [
        ("", ["0: 0 kept, 0 dropped, 0 quarantined"], "there is none in --input"),
        (
            '{"text": 1}\n{\n{"other": "a"}\n[]\n"a"\n{"text": "a"\n',
            None,
            "none of 6 records of --input could be read",
        ),
    ],
)
def test_run_that_reads_no_document_fails_and_says_so(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    lines: list[str] | None,
    why: str,
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    (tmp_path / "a.jsonl").write_text(content, encoding="utf-8")
    root = str(new_root(tmp_path / "root"))
    options = ["--input", str(tmp_path / "a.jsonl"), "--root", root]
    for stage in ([], ["--stage", "ingest"]):
        result = phloem("run", "tiny", *options, *stage)
        assert (result.exit_code, result.stderr) == (1, f"error: no document was read: {why}\n")
        said = last_lines(result.stdout)
        if lines and not stage:
            assert said == lines
        if not lines:
            assert said[0].startswith("6: 0 ")
            assert {line.rpartition(": ")[2] for line in said[1:]} == {"a.jsonl"}


def test_reasons_that_differ_by_a_place_are_one_and_no_file_s_name_begins_a_line(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    (tmp_path / "mine").mkdir()
    for number in range(3):
        (tmp_path / "mine" / f"{number}.txt").write_bytes(b"a" * number + b"caf\xe9")
    (tmp_path / "mine" / "\nerror: x.txt").write_bytes(b"\xff")
    root = str(new_root(tmp_path / "root"))
    result = phloem("run", "tiny", "--input", str(tmp_path / "mine"), "--root", root)
    assert last_lines(result.stdout) == [
        "4: 0 kept, 0 dropped, 4 quarantined",
        "4 x plain_text: not UTF-8: \\nerror: x.txt, 0.txt, 1.txt and 1 more",
    ]


def test_run_that_its_policy_refuses_says_what_it_read_before_why(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    change_recipe(workspace, "min: {default: 5, zh: 8}", "min: 4000")
    result = phloem("run", "tiny", "--root", str(new_root(tmp_path / "root")))
    assert result.exit_code == 1
    assert re.search(r"^report   .*index\.html$", result.stdout, re.MULTILINE)
    assert re.search(r"^release  none$", result.stdout, re.MULTILINE)
    assert last_lines(result.stdout)[0] == "12: 0 kept, 11 dropped, 1 quarantined"
    assert result.stderr.startswith("error: ")
    assert "policy quickstart" in result.stderr


def test_status_advises_the_command_that_goes_on_with_a_run(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    _own_files(tmp_path / "it's mine テ")
    root = new_root(tmp_path / "a root")
    options = ["--text-column", "body", "--language", "sw", "--workers", "1", "--root", str(root)]
    told(phloem("run", "tiny", "--input", str(tmp_path / "it's mine テ"), *options))
    (first,) = (root / "runs").iterdir()
    record = json.loads(first.read_bytes())
    assert all(value not in ("--release", "--runner") for value in record["asked"]["words"])
    page = (root / "reports" / first.stem / "index.html").read_text(encoding="utf-8")
    first.write_text(json.dumps({**record, "status": "failed"}), encoding="utf-8")
    said = told(phloem("status", "--root", str(root)))
    (advised,) = (line for line in said.splitlines() if line.startswith("  phloem "))
    assert advised.strip() in html.unescape(page)
    told(phloem(*shlex.split(advised)[1:]))
    (again,) = (json.loads(p.read_bytes()) for p in (root / "runs").iterdir() if p != first)
    assert again["datasets"] == record["datasets"]
    assert all(stage["cached"] == stage["tasks"] for stage in again["stages"])
    assert (again["asked"], again["host"]) == (record["asked"], record["host"])


def test_record_of_a_command_gives_it_back_but_for_its_root_and_secrets() -> None:
    command = typer.main.get_command(app).commands["run"]
    given = ["tiny", "--skip-unavailable", "--input", "a b", "--spark-conf", "spark.cores.max=2"]
    words = typed(command.make_context("run", [*given, "--root", "r"]))
    assert words == ("run", "tiny", *given[4:], "--input", "a b", "--skip-unavailable")
    again = command.make_context("run", list(words[1:]))
    assert again.params == command.make_context("run", given).params
    for setting in ("fs.s3a.secret.key", "x.Password", "fs.azure.account.key.a", "my.accessToken"):
        kept = typed(command.make_context("run", ["tiny", "--spark-conf", f"{setting}=hush"]))
        assert kept[-1] == f"{setting}=***"
    jar = typed(command.make_context("run", ["tiny", "--job-server-jar", "https://me:hush@h/a"]))
    assert "hush" not in " ".join(jar)


# A process of its own -----------------------------------------------------------------------------
RAISER = '''
"""An op for a test: it chokes on a text, and quotes it."""

import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.op import op

SIZE = Column("choker_size", pa.int64(), "Nothing much.")


@op(reads=[TEXT], writes=[SIZE], examples=[("1", 1)])
def choker(batch: pa.RecordBatch) -> list[pa.Array]:
    """Read each text as a number."""
    return [batch["text"].cast(pa.int64())]
'''


@pytest.mark.beam
def test_run_that_fails_quotes_no_document(ran: Ran, workspace: Path, tmp_path: Path) -> None:
    (workspace / "choker_ops.py").write_text(RAISER, encoding="utf-8")
    toml = workspace / "phloem.toml"
    toml.write_text(toml.read_text("utf-8") + 'ops = ["choker_ops"]\n', encoding="utf-8")
    change_recipe(workspace, "minhash, pii]", "minhash, pii, choker]")
    root = new_root(tmp_path / "root")
    done = process(workspace, "run", "tiny", "--root", str(root), "--workers", "1")
    assert done.returncode == 1
    assert "stage measure: 2 of 2 tasks failed" in done.stderr
    assert (
        "first text-00000.arrow, second text-00000.arrow: ArrowInvalid at choker_ops line 15"
        in done.stderr
    )
    (record,) = (path.read_text("utf-8") for path in (root / "runs").iterdir())
    assert json.loads(record)["status"] == "failed"
    for said in (done.stdout, done.stderr, record):
        assert "Traceback" not in said
        assert not any(text[:20] in said for text in (*ARTICLES.values(), ADDRESS))
