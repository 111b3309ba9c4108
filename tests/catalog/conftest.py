"""The handmade root, for tests of what reads a root."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade_root import build_root

from phloem.catalog.manifest import Dataset
from phloem.catalog.release import make_release
from phloem.catalog.store import Store


@pytest.fixture(scope="session")
def built_root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A root that tests only read."""
    return build_root(tmp_path_factory.mktemp("root"))


@pytest.fixture
def fresh_root(built_root: Any, tmp_path: Path) -> Any:
    """A copy of the root, for the test to change."""
    shutil.copytree(built_root.store.root, tmp_path / "root")
    return dataclasses.replace(built_root, store=Store(tmp_path / "root"))


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A root with the release `first`, that tests only read."""
    root = build_root(tmp_path_factory.mktemp("released"), filler=20)
    make_release(root.store, root.run_id, name="first")
    return root


@pytest.fixture
def large_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A root with the release `first`, whose tokens are numbers from 200,000 on."""
    monkeypatch.setattr("phloem.catalog.handoff.tokens.token_dtype", lambda _: np.dtype("<i4"))
    root = build_root(tmp_path)
    make_release(root.store, root.run_id, name="first")
    for shard in Dataset.load(root.store, root.record["datasets"]["tokenize"]).shards:
        name = shard.path("tokens.bin")
        values = np.frombuffer(root.store.read_bytes(name), "<i4") + 200_000
        root.store.write_bytes(name, values.tobytes())
    return root
