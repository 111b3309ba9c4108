"""What a process computes with: a worker elsewhere must compute with the same as the driver."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from phloem.filters.op import ops
from phloem.pipeline.stage import StageError
from phloem.sources.connector import connectors, find_connector

ENGINE = {
    "apache-beam": "groups rows and hands batches on",
    "langcodes": "gives a language's tag its one form",
    "license-expression": "a rule reads the licence of each document",
    "numba": "compiles the loops over text",
    "numpy": "hashes, signatures and tokens are its arrays",
    "pyarrow": "writes every file of a shard",
    "pydantic": "checks and completes limits, rules and parameters",
    "pyyaml": "reads the lists of languages",
    "tokenizers": "makes a tokenizer that a recipe trains",
    "xxhash": "makes the documents' ids",
}
"""What the stages themselves compute with, whatever ops and connectors there are, and what for."""


def libraries(modules: Sequence[str] = ()) -> list[str]:
    """Distributions whose versions can change a byte of what a stage writes.

    They are those of all ops, these further op modules' too, of all connectors, and of the engine.
    """
    found = [each for op in ops(modules).values() for each in op.libraries]
    found += [each for name in connectors() for each in find_connector(name).LIBRARIES]
    return sorted({*found, *ENGINE})


def build(modules: Sequence[str] = ()) -> str:
    """This process's code and libraries, as JSON text that is equal where they are equal.

    Python counts with its minor version: patches of one minor version read and write the same.

    Args:
        modules: A workspace's op modules.
    """
    return json.dumps(_facts(libraries(modules)), sort_keys=True)


def _facts(names: Iterable[str]) -> dict[str, str]:
    facts = {name: _version(name) for name in names}
    facts["python"] = ".".join(platform.python_version_tuple()[:2])
    facts["phloem"] = _code()
    return facts


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


@functools.cache
def _code() -> str:
    """The hash of all code and data that computes: not of pages, tests or cards."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for package in ("catalog", "filters", "pipeline", "sources"):
        data = ("*.yaml", "*.txt", "*.ftz") if package == "filters" else ()
        for suffix in ("*.py", *data):
            for path in sorted((root / package).rglob(suffix)):
                digest.update(str(path.relative_to(root)).encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache  # what is the same is looked at once a process; an error is not remembered
def require_same(expected: str) -> None:
    """Raise StageError, naming every difference, if this process is not built as the driver is.

    Keys of shards are made by the driver: another library on a worker would write other bytes
    under the same key. Which libraries count the driver says, who knows all ops of the run.
    """
    theirs = json.loads(expected)
    ours = _facts(theirs.keys() - {"python", "phloem"})
    found = [
        f"{name} {ours[name]} (driver: {theirs[name]})"
        for name in sorted(theirs)
        if theirs[name] != ours[name]
    ]
    if found:
        msg = (
            f"this machine's Phloem is not built as the driver's is: {', '.join(found)};"
            " install the same lock file and the same Phloem there"
        )
        raise StageError(msg)
