"""What a process computes with: a worker elsewhere must compute with the same as the driver."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import phloem
from phloem.pipeline.stage import StageError

# Whose versions can change a byte of what a stage writes: those that read, measure or write text.
LIBRARIES = (
    "apache-beam",
    "fasttext-community",
    "numba",
    "numpy",
    "phonenumbers",
    "pyarrow",
    "resiliparse",
    "tokenizers",
    "xxhash",
    "zstandard",
)


@functools.cache
def build() -> str:
    """This process's code and libraries, as JSON text that is equal where they are equal.

    Python counts with its minor version: patches of one minor version read and write the same.
    """
    facts = {name: _version(name) for name in LIBRARIES}
    facts["python"] = ".".join(platform.python_version_tuple()[:2])
    facts["phloem"] = _code()
    return json.dumps(facts, sort_keys=True)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _code() -> str:
    """The hash of all code and data that computes: not of pages, tests or cards."""
    digest = hashlib.sha256()
    root = Path(phloem.__file__).parent
    for package in ("catalog", "filters", "pipeline", "sources"):
        for suffix in ("*.py", "languages/*.yaml"):
            for path in sorted((root / package).rglob(suffix)):
                digest.update(str(path.relative_to(root)).encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def require_same(expected: str) -> None:
    """Raise StageError, naming every difference, if this process is not built as the driver is.

    Keys of shards are made by the driver: another library on a worker would write other bytes
    under the same key.
    """
    if expected == build():
        return
    theirs, ours = json.loads(expected), json.loads(build())
    found = [
        f"{name} {ours.get(name)} (driver: {theirs.get(name)})"
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]
    msg = (
        f"the worker on {platform.node()} is not built as the driver is: {', '.join(found)};"
        " install the same lock file and the same Phloem there"
    )
    raise StageError(msg)
