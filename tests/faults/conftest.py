"""One undisturbed run for all fault tests, and roots to disturb.

With PHLOEM_FAULTS_ON=spark all of it happens on a cluster, started here.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_workspace
from faults import make_world
from spark_cluster import installed_cluster, reaching
from tiny_workspace import new_root, run_tiny

World = tuple[Path, Path, dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where all runs of these tests do their tasks."""
    if os.environ.get("PHLOEM_FAULTS_ON") != "spark":
        yield
        return
    folder = tmp_path_factory.mktemp("cluster")
    with installed_cluster(folder) as (cluster, spark), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_workspace, "on_spark", spark)
        for name, value in reaching(cluster).items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def local_only() -> None:
    """Skips on Spark: what the test disturbs is a part of the local engine."""
    if tiny_workspace.on_spark:
        pytest.skip("of the local engine alone")


@pytest.fixture(scope="session")
def world(_engine: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace, its root, and the record of an undisturbed run. Do not change them: copy."""
    top = tmp_path_factory.mktemp("world")
    folder = make_world(top / "workspace")
    root = new_root(top / "root")
    return folder, root, run_tiny(folder, root)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A root that holds the model files and nothing else."""
    return new_root(tmp_path / "root")


@pytest.fixture
def copied(world: World, tmp_path: Path) -> Path:
    """A copy of the undisturbed run's root."""
    shutil.copytree(world[1], tmp_path / "copied")
    return tmp_path / "copied"
