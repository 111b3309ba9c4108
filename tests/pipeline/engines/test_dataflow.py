"""What would be sent to Dataflow, found by the SDK's own dry run; and the container's recipe."""

import importlib.util
import json
import os
import re
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from some_tasks import some_task
from tiny_workspace import make_workspace
from typer.testing import CliRunner

from phloem.filters import op
from phloem.pipeline.cli.app import app
from phloem.pipeline.engines import runners
from phloem.pipeline.engines.dataflow import dry_run as dataflow
from phloem.pipeline.engines.dataflow.dry_run import Settings, check, check_all, dry_run, options
from phloem.pipeline.engines.dataflow.graph import nodes
from phloem.pipeline.engines.runners import RunnerError, check_planned, check_runner
from phloem.pipeline.stages import BY_NAME

CHECKOUT = Path(__file__).resolve().parents[3]

installed = pytest.mark.skipif(
    importlib.util.find_spec("apitools") is None,
    reason="needs the extra `dataflow`: requirements-dataflow.lock in an environment of its own",
)


# Options and names --------------------------------------------------------------------------------
def test_options_stage_nothing_of_this_machine():
    given = options(Settings(), "measure")
    assert "--sdk_location=container" in given
    assert "--no_save_main_session" in given
    assert not [each for each in given if "setup_file" in each or "requirements" in each]
    assert "--job_name=phloem-measure" in given
    assert f"--max_num_workers={Settings().workers}" in given


@pytest.mark.parametrize("url", ["", "/data", "phloem-data", "s3://bucket/x", "gs://", "gs://ab/x"])
@pytest.mark.parametrize("name", ["bucket", "root"])
def test_options_refuse_a_place_that_is_not_on_cloud_storage(name, url):
    with pytest.raises(RunnerError, match=f"Dataflow's {name} is {re.escape(repr(url))}"):
        options(Settings(**{name: url}), "measure")


def test_runner_dataflow_is_planned_for_but_not_run(monkeypatch):
    monkeypatch.setattr(runners.importlib.util, "find_spec", lambda name: name)
    assert check_planned("DataflowRunner") == "dataflow"
    assert check_planned("local") == "local"
    with pytest.raises(RunnerError, match="no run on the service has been tried yet"):
        check_runner("dataflow")
    with pytest.raises(RunnerError, match="loses data"):
        check_planned("dask")


def test_plan_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr(runners.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RunnerError, match=r"requirements-dataflow\.lock"):
        dry_run("filter", [], Settings())
    done = CliRunner().invoke(app, ["plan", "quickstart", "--runner", "dataflow"])
    assert done.exit_code == 2
    assert "requirements-dataflow.lock" in done.output


# The dry run --------------------------------------------------------------------------------------
@installed
def test_dry_run_of_every_stage_finds_nothing():
    found = check_all({"tally": [some_task("a"), some_task("b", source="ქართული")]}, Settings())
    assert [each.stage for each in found] == list(BY_NAME)
    assert [each.faults for each in found] == [()] * len(BY_NAME)
    assert {each.stage: each.tasks for each in found if each.tasks > 1} == {"tally": 2}
    (bands,) = (each for each in found if each.stage == "bands")
    assert [name for name, _ in bands.shuffles] == [
        "Bands/Spread",
        "Bands/By range",
        "Bands/By key",
    ]


@installed
def test_dry_run_graph_names_the_image_and_keeps_every_transform():
    graph = dry_run("bands", ["{}"], Settings(image="phloem:of-a-test"))
    (environment,) = graph.components.environments.values()
    assert environment.urn == "beam:env:docker:v1"
    assert b"phloem:of-a-test" in environment.payload
    assert "Bands/Commit" in {node.unique_name for node, _ in nodes(graph)}


@installed
def test_check_finds_a_path_of_this_machine_in_a_task():
    found = check("tally", [some_task("k", source="/srv/texts/a.jsonl")], Settings())
    assert found.faults == ("Tasks holds the path '/srv/texts/a.jsonl' of this machine",)


@installed
def test_check_finds_a_request_that_is_too_large(monkeypatch):
    monkeypatch.setattr(dataflow, "REQUEST_BYTES", 20_000)
    tasks = [some_task("k", source=os.urandom(500).hex()) for _ in range(20)]
    (fault,) = check("measure", tasks, Settings()).faults
    assert fault.startswith("its 20 tasks make a request of ")


@installed
def test_dry_run_leaves_no_folder_of_beams(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    check("filter", [], Settings())
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)


@installed
def test_dry_run_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.delenv("NO_GCE_CHECK", raising=False)
    check("filter", [], Settings())
    assert "NO_GCE_CHECK" not in os.environ
    monkeypatch.setenv("NO_GCE_CHECK", "no")
    check("filter", [], Settings())
    assert os.environ["NO_GCE_CHECK"] == "no"


@installed
def test_plan_command_tells_files_that_only_this_machine_has(tmp_path, monkeypatch):
    monkeypatch.chdir(make_workspace(tmp_path / "workspace"))
    root = tmp_path / "root"
    monkeypatch.setenv("PHLOEM_MODELS", str(op.models_folder()))
    asked = ["plan", "tiny", "--root", str(root), "--runner", "dataflow"]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 1, done.output
    rows = {row["stage"]: row for row in json.loads(done.stdout)["dataflow"]}
    assert list(rows) == list(BY_NAME)
    assert [name for name, row in rows.items() if row["faults"]] == ["ingest"]
    assert any("first.jsonl" in fault for fault in rows["ingest"]["faults"])
    shown = CliRunner().invoke(app, asked)
    assert "nothing was sent" in shown.stdout
    assert "Bands/By range" in shown.stdout


# The container ------------------------------------------------------------------------------------
CONTAINER = CHECKOUT / "Containerfile"


def _instructions() -> list[tuple[str, str]]:
    """(instruction, what it says) of the file, comments and line breaks gone."""
    lines = CONTAINER.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    return [(word, rest.strip()) for word, _, rest in
            (line.partition(" ") for line in joined.splitlines() if line.strip())]  # fmt: skip


def _ignored() -> list[str]:
    return (CHECKOUT / ".containerignore").read_text(encoding="utf-8").split()


def test_container_has_known_instructions_only():
    known = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT"}
    found = [word for word, _ in _instructions()]
    assert set(found) <= known
    assert found[0] in {"ARG", "FROM"}


def test_container_copies_what_is_there():
    """And nothing that the ignore file leaves out of the build's context."""
    copied = []
    for word, said in _instructions():
        if word != "COPY" or "--from=" in said:
            continue
        *sources, _ = [part for part in said.split() if not part.startswith("--")]
        copied += sources
        for source in sources:
            assert (CHECKOUT / source).exists(), f"COPY {source}: not in the repository"
    kept = {each.removeprefix("!").rstrip("/") for each in _ignored() if each.startswith("!")}
    assert _ignored()[0] == "*"
    assert {source.rstrip("/").partition("/")[0] for source in copied} <= kept
    packages = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    assert packages["project"]["readme"] in copied


def test_container_takes_the_beam_that_is_locked():
    text = CONTAINER.read_text(encoding="utf-8")
    (locked,) = re.findall(
        r"^apache-beam==(\S+)", (CHECKOUT / "requirements-dataflow.lock").read_text(), re.MULTILINE
    )
    assert re.findall(r"^ARG BEAM=(\S+)", text, re.MULTILINE) == [locked]
    assert locked == version("apache-beam")
    (python,) = re.findall(r"^ARG PYTHON=(\S+)", text, re.MULTILINE)
    assert "FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam" in text
    assert "FROM python:${PYTHON}-slim" in text
    supported = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"Programming Language :: Python :: {python}" in supported["project"]["classifiers"]


def test_container_installs_by_hash_and_runs_as_nobody_special():
    said = _instructions()
    installs = [rest for word, rest in said if word == "RUN" and "pip install" in rest]
    for lock in ("requirements.lock", "requirements-dataflow.lock"):
        assert [rest for rest in installs if lock in rest and "--require-hashes" in rest], lock
    assert [rest for rest in installs if "--no-deps" in rest and "--no-build-isolation" in rest]
    users = [rest for word, rest in said if word == "USER"]
    assert users[-1] not in {"root", "0"}
    environment = " ".join(rest for word, rest in said if word == "ENV")
    assert "PYTHONSAFEPATH=1" in environment
    assert "NUMBA_CACHE_DIR=" in environment
    assert "PHLOEM_MODELS=" in environment
    assert said[-1] == ("ENTRYPOINT", '["/opt/apache/beam/boot"]')
