"""A root that a run made, for tests of what reads a root."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from real_root import Root, fables

from phloem.catalog.handoff.tokenizer import Encoded, Encoder, End, library_encoder
from phloem.catalog.release import make_release


@pytest.fixture(scope="session")
def built_root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root that tests only read."""
    return fables(tmp_path_factory.mktemp("fables"))


@pytest.fixture
def fresh_root(built_root: Root, tmp_path: Path) -> Root:
    """A copy of the root, for the test to change."""
    return built_root.copy(tmp_path / "root")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root with twenty documents more and the release `first`, that tests only read."""
    root = fables(tmp_path_factory.mktemp("released"), filler=20)
    make_release(root.store, root.run_id, name="first")
    return root


@pytest.fixture
def large_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A root with the release `first`, whose tokens are numbers from 200,000 on."""

    def shifted(path: str, end: End) -> Encoder:
        encoder = library_encoder(path, end)

        def encode(texts: pa.Array) -> Encoded:
            values, offsets = encoder.encode(texts)
            return values + 200_000, offsets

        return Encoder(encode, encoder.end + 200_000, encoder.vocab_size + 200_000)

    monkeypatch.setattr("phloem.filters.bpe.kernel_encoder", shifted)
    root = fables(tmp_path)
    make_release(root.store, root.run_id, name="first")
    return root
