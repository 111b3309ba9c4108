"""The handmade root, for tests of what reads a root."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from phloem.catalog.store import Store


def load_root_fixture() -> ModuleType:
    """The module beside this file: tests are no package that could be imported from."""
    name = "phloem_root_fixture"
    if name not in sys.modules:
        path = Path(__file__).with_name("root_fixture.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


ROOT_FIXTURE = load_root_fixture()


@pytest.fixture(scope="session")
def built_root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A root that tests only read."""
    return ROOT_FIXTURE.build_root(tmp_path_factory.mktemp("root"))


@pytest.fixture
def fresh_root(built_root: Any, tmp_path: Path) -> Any:
    """A copy of the root, for the test to change."""
    shutil.copytree(built_root.store.root, tmp_path / "root")
    return dataclasses.replace(built_root, store=Store(tmp_path / "root"))
