"""Programs that some tests need and that no environment of Python brings: clients of indexes, git.

Where one is missing, or is there and cannot run, as rustup's cargo without a toolchain, its tests
are skipped and say why. Where `PHLOEM_TESTS_REQUIRE` names it they fail: `.ci/run` names all that
it installs, so that no fault hides there.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile

import pytest

from phloem.sources.clients.clients import refusal

# What a program is asked that ends well wherever it can do its work; others take --version.
ASKED = {
    "7z": ("i",),
    "7zz": ("i",),
    "cargo": ("info", "-h"),  # which cargo has since 1.82
    "go": ("version",),
    "ip": ("-V",),
    "java": ("-version",),
    "ssh-keygen": ("-q", "-t", "ed25519", "-N", "", "-f", "{folder}/key"),
}


def require(*names: str) -> str:
    """The path of a program, or of the first of several that do as well.

    Skips the test where none of them can run; fails it where the environment says that one must.
    """
    reasons = []
    for name in names:
        path = shutil.which(name)
        reason = _refusal(name, path) if path else "is not installed"
        if path and reason is None:
            return path
        reasons.append(f"{name} {reason}")
    told = "; ".join(reasons)
    if set(names) & set(os.environ.get("PHLOEM_TESTS_REQUIRE", "").split()):
        pytest.fail(f"{told}; PHLOEM_TESTS_REQUIRE says that it is here", pytrace=False)
    pytest.skip(told)


@functools.cache
def _refusal(name: str, path: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:  # what it writes stays nowhere
        asked = [part.format(folder=folder) for part in ASKED.get(name, ("--version",))]
        reason = refusal([path, *asked])
    return None if reason is None else f"does not run here: {reason}"
