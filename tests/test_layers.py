"""Who may import whom, and that the command line starts without what is heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter import configuration
from importlinter.application import use_cases

configuration.configure()  # as import-linter's command does, which would set up logging as well

ROOT = Path(__file__).resolve().parents[1]

HEAVY = ("apache_beam", "datasets", "fasttext", "numba", "numpy", "pyarrow", "resiliparse", "torch")


def test_layers_whole_project_contracts_are_kept(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    passed = use_cases.lint_imports("pyproject.toml", cache_dir=None, no_logo=True)
    assert passed, capsys.readouterr().out


def test_layers_contract_names_every_package():
    options = use_cases.read_user_options(str(ROOT / "pyproject.toml"))
    (layers,) = [c for c in options.contracts_options if c["id"] == "layers"]
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    linked = {f"phloem.{path.name}" for path in (ROOT / "phloem").iterdir() if path.is_symlink()}
    assert named == linked


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_layers_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from phloem.pipeline.cli.app import app\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
