"""What the tests of ops share."""

from __future__ import annotations

import pytest

from phloem.filters.op import ops
from phloem.filters.versions import model_paths


@pytest.fixture(scope="session")
def lid_path() -> str:
    """The language model; an error with what to do where this machine lacks it."""
    (path,) = model_paths(ops()["language"]).values()
    return path
