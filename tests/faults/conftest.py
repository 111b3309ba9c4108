"""One undisturbed run for all fault tests, and roots to disturb."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from faults import make_world
from tiny_workspace import new_root, run_tiny

World = tuple[Path, Path, dict[str, Any]]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace, its root, and the record of an undisturbed run. Do not change them: copy."""
    top = tmp_path_factory.mktemp("world")
    folder = make_world(top / "workspace")
    root = new_root(top / "root")
    return folder, root, run_tiny(folder, root, workers=2)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A root that holds the model files and nothing else."""
    return new_root(tmp_path / "root")


@pytest.fixture
def copied(world: World, tmp_path: Path) -> Path:
    """A copy of the undisturbed run's root."""
    shutil.copytree(world[1], tmp_path / "copied")
    return tmp_path / "copied"
