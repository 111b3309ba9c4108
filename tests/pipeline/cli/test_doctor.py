"""Doctor: what works, what would not, how to mend it, and all of it soon."""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from phloem.catalog.advice import install_extra
from phloem.pipeline.cli.app import app
from phloem.pipeline.watch import machine
from phloem.sources.connector import connectors


def _by_name(root: Path | str) -> dict[str, machine.Check]:
    return {each.what: each for each in machine.examine(str(root))}


def test_every_check_that_fails_says_how_to_mend_it(tmp_path: Path) -> None:
    found = machine.examine(str(tmp_path / "root"))
    for each in found:
        assert bool(each.mend) != each.works, each
    assert len({each.what for each in found}) == len(found)


def test_a_whole_environment_works(tmp_path: Path) -> None:
    found = _by_name(tmp_path)
    for what in ("python", "apache-beam", "pyarrow", "runner local", "root", "connector files"):
        assert found[what].works, found[what]
    assert found["apache-beam"].found == importlib.metadata.version("apache-beam")
    assert "GB free" in found["root"].found
    assert {f"connector {name}" for name in connectors()} <= set(found)


def test_extras_are_those_of_the_project_file() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*machine.EXTRAS, "dataflow"} == set(project["optional-dependencies"])


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, version = importlib.util.find_spec, importlib.metadata.version

    def find_spec(name: str, *_: Any) -> Any:
        return None if name in {"apache_beam", "s3fs"} else real(name)

    def lacking(name: str) -> str:
        if name == "apache-beam":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(importlib.metadata, "version", lacking)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    found = _by_name(tmp_path)
    assert found["extra s3"].mend == install_extra("s3")
    assert "apache_beam" in found["runner local"].found
    assert not found["apache-beam"].works
    assert "apt-get is missing" in found["connector deb"].mend
    assert found["runner spark"].found == "java none, spark-submit none"
    assert found["runner spark"].mend.startswith("install Java 17; no spark-submit in ")
    result = CliRunner().invoke(app, ["doctor", "--root", str(tmp_path)])
    assert result.exit_code == 1
    assert "would not work" in result.stdout


def test_libraries_that_are_missing_stop_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["pyarrow>=18", "no-such-library>=1", 'torch>=2; extra == "torch"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: asked)
    found = _by_name(tmp_path)["libraries"]
    assert (found.found, found.works, found.needed) == ("1 of 2", False, True)
    assert found.mend == "pip install no-such-library"


def test_a_root_that_may_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.TemporaryFile

    def refused(dir: Path | None = None) -> Any:  # noqa: A002 (the name that is called)
        if dir is None:
            return real()
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refused)
    found = _by_name(tmp_path / "not" / "there")["root"]
    assert (found.works, found.needed) == (False, True)
    assert "Permission denied" in found.found


@pytest.mark.parametrize("root", ["memory://nowhere", "nosuchprotocol://x/y"])
def test_a_root_elsewhere_is_not_contacted(root: str) -> None:
    found = _by_name(root)["root"]
    assert found.works == root.startswith("memory")
    assert "not contacted" in found.found or not found.works


def test_little_memory_asks_for_fewer_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        total, available = 4e9, 0.7e9

    monkeypatch.setattr(machine.psutil, "virtual_memory", Memory)
    monkeypatch.setattr(machine, "local_workers", lambda: 8)
    assert "--workers 2" in _by_name(tmp_path)["memory"].mend


def test_a_broken_workspace_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "phloem.toml").write_text("ops = 3\n")
    monkeypatch.chdir(tmp_path)
    assert not _by_name(tmp_path)["phloem.toml"].works


def test_command_imports_no_beam_and_ends_soon(tmp_path: Path) -> None:
    code = (
        "import sys, time; from phloem.pipeline.cli.app import app\n"
        "try: app(['doctor', '--json', '--root', sys.argv[1]])\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.stderr.write(f\"{'apache_beam' in sys.modules} {time.process_time()}\")\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert time.monotonic() - began < 30  # of a busy machine
    beam, seconds = done.stderr.split()
    assert beam == "False"
    assert float(seconds) < 3
    assert {"what", "found", "works", "mend", "needed"} == set(json.loads(done.stdout)[0])
