"""What the tests of ops share."""

from __future__ import annotations

import pytest
from op_versions import model_paths

from phloem.filters.op import ops


@pytest.fixture(scope="session")
def lid_path() -> str:
    """The language model; an error with what to do where this machine lacks it."""
    (path,) = model_paths(ops()["language"]).values()
    return path
