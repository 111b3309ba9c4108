"""One finished run for all tests, and copies of it to change."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_workspace import make_workspace, new_root, run_tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A workspace, its root, and the record of a run. Do not change them: copy."""
    top = tmp_path_factory.mktemp("finished")
    folder = make_workspace(top / "workspace")
    root = new_root(top / "root")
    return folder, root, run_tiny(folder, root)


@pytest.fixture
def copied(
    finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> tuple[Path, Path, dict[str, Any]]:
    """A copy of the finished run's root, with its workspace: free to change."""
    folder, root, record = finished
    shutil.copytree(root, tmp_path / "root")
    shutil.copytree(folder, tmp_path / "workspace")
    return tmp_path / "workspace", tmp_path / "root", record
