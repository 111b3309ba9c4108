"""What this machine can do: each part that a run may need, whether it works, and how to mend it.

Nothing is imported that takes long, nothing is fetched, and a root elsewhere is not contacted.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil

from phloem.catalog.advice import INSTALL, install_extra
from phloem.catalog.store import Store
from phloem.filters.op import models_folder, ops
from phloem.pipeline.engines.spark.server import SparkError, spark_submit
from phloem.pipeline.registry.registry import load_registry, params_of
from phloem.pipeline.request import local_workers
from phloem.pipeline.workspace import Workspace, WorkspaceError, find_workspace
from phloem.sources.cards.source import Source
from phloem.sources.connector import connectors, find_connector

PYTHON = (3, 11)  # as pyproject.toml asks
WORKER_BYTES = 300e6  # of memory, with Beam and its models: see `local.memory_needed`
JAVA_SECONDS = 2.0  # that it may take to say its version

# A module of each extra of pyproject.toml, but Dataflow: that is a runner, and asked for there.
EXTRAS = MappingProxyType(
    {
        "ner": "spacy",
        "s3": "s3fs",
        "telemetry": "opentelemetry.exporter.otlp.proto.http",
        "torch": "torch",
    }
)

_NAME = re.compile(r"[A-Za-z0-9._-]+")  # at the beginning of a requirement: PEP 508


@dataclass(frozen=True)
class Check:
    """One part, looked at.

    Attributes:
        what: Which part.
        found: What is there.
        works: Whether what needs it would work.
        mend: What to do if not; empty if it does.
        needed: Whether no run at all works without it.
    """

    what: str
    found: str
    works: bool
    mend: str = ""
    needed: bool = False


def examine(root: str) -> list[Check]:
    """All that a run may need, in the order in which it would miss it."""
    workspace, fault = _workspace()
    return [
        *_python(),
        *([fault] if fault else []),
        _local_runner(),
        _spark(),
        _dataflow(),
        *_extras(),
        _root(root),
        *_machine(),
        *_models(root, workspace),
        *_connectors(workspace),
    ]


def _workspace() -> tuple[Workspace, Check | None]:
    try:
        return find_workspace(), None
    except WorkspaceError as error:
        return Workspace(), Check("phloem.toml", str(error), works=False, mend="mend the file")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> Iterator[Check]:
    needs = ".".join(map(str, PYTHON))
    yield Check(
        "python",
        platform.python_version(),
        works=sys.version_info >= PYTHON,
        mend="" if sys.version_info >= PYTHON else f"install Python {needs} or newer",
        needed=True,
    )
    yield _libraries()
    for name in ("phloem", "apache-beam", "pyarrow"):
        there = _version(name)
        mend = "" if there else INSTALL
        yield Check(name, there or "none", works=bool(there), mend=mend, needed=True)


def _libraries() -> Check:
    """What phloem's own metadata asks for, extras left out."""
    asked = [
        name[0]
        for line in importlib.metadata.requires("phloem") or ()
        if "extra ==" not in line and (name := _NAME.match(line))
    ]
    missing = [name for name in asked if _version(name) is None]
    mend = f"pip install {' '.join(missing)}" if missing else ""
    if not asked:
        mend = "this environment does not know what phloem needs: install phloem into it again"
    found = f"{len(asked) - len(missing)} of {len(asked)}"
    return Check("libraries", found, works=not mend, mend=mend, needed=bool(missing))


def _local_runner() -> Check:
    lacks = [name for name in ("apache_beam", "pebble", "psutil") if not _importable(name)]
    if "forkserver" not in multiprocessing.get_all_start_methods():
        lacks.append("a system that can fork, such as Linux or macOS")
    return Check(
        "runner local",
        f"{local_workers()} workers" if not lacks else f"lacks {', '.join(lacks)}",
        works=not lacks,
        mend="" if not lacks else f"{INSTALL}, on Linux or macOS",
        needed=True,
    )


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # not even the package that it would lie in


def _spark() -> Check:
    """What the driver needs; the job server's jar is named on the command line."""
    java, mend = _java(), []
    if not java:
        mend.append("install Java 17")
    try:
        launcher = spark_submit()
    except SparkError as error:
        launcher = "none"
        mend.append(str(error))
    return Check(
        "runner spark",
        f"java {java or 'none'}, spark-submit {launcher}",
        works=not mend,
        mend="; ".join(mend),
    )


def _java() -> str | None:
    """The version that `java` says; None without one."""
    java = shutil.which("java")
    if not java:
        return None
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = re.search(r'"([^"]+)"', done.stderr)
    return said[1] if said else java


def _dataflow() -> Check:
    there = _importable("apitools")
    return Check(
        "runner dataflow",
        "its client is installed" if there else "none",
        works=there,
        mend="" if there else install_extra("dataflow"),
    )


def _extras() -> Iterator[Check]:
    for extra, module in EXTRAS.items():
        works = _importable(module)
        mend = "" if works else install_extra(extra)
        yield Check(f"extra {extra}", module if works else "none", works=works, mend=mend)


def _root(root: str) -> Check:
    try:
        store = Store(root)
    except (ValueError, ImportError) as error:
        mend = "install the client that it names, or give another --root"
        return Check("root", f"{root}: {error}", works=False, mend=mend, needed=True)
    if not store.is_local:
        return Check("root", f"{root}: a client is installed; it was not contacted", works=True)
    folder = Path(store.path(""))
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        mend = "give a --root in a folder that you may write to"
        return Check("root", f"{root}: {error.strerror}", works=False, mend=mend, needed=True)
    free = store.free_bytes() or 0
    return Check("root", f"{root}: may be written, {free / 1e9:.1f} GB free", works=True)


def _local_folder(root: str) -> Path:
    """A root on this machine as a path; one that is not there for any other."""
    try:
        store = Store(root)
    except (ValueError, ImportError):
        return Path(os.devnull)
    return Path(store.path("")) if store.is_local else Path(os.devnull)


def _machine() -> Iterator[Check]:
    workers, memory = local_workers(), psutil.virtual_memory()
    fits = int(memory.available / WORKER_BYTES)
    yield Check(
        "memory",
        f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB",
        works=fits >= workers,
        mend="" if fits >= workers else f"run with --workers {max(fits, 1)}, or end something",
    )
    yield Check("cores", f"{workers} for this process, {os.cpu_count()} in all", works=True)


def _models(root: str, workspace: Workspace) -> Iterator[Check]:
    """Model files: at hand, or fetched out of their package when a recipe needs them."""
    fetched = _local_folder(root) / "fetched"
    files = {file.name: file for op in ops(workspace.ops).values() for file in op.files}
    for name, file in sorted(files.items()):
        if any((folder / file.sha256).is_file() for folder in (models_folder(), fetched)):
            yield Check(f"model {name}", "at hand", works=True)
            continue
        reason = _reason(file.connector, None)
        yield Check(
            f"model {name}",
            f"not at hand; the first run fetches {file.package} {file.version}",
            works=reason is None,
            mend=reason or "",
        )


def _connectors(workspace: Workspace) -> Iterator[Check]:
    cards = load_registry(workspace).cards.values()
    for name in connectors():
        its = [card for card in cards if card.access.connector == name]
        reason = _reason(name, its[0] if its else None)
        yield Check(
            f"connector {name}",
            f"{len(its)} source cards",
            works=reason is None,
            mend=reason or "",
        )


def _reason(name: str, card: Source | None) -> str | None:
    """Why a connector would not work here, as it says itself of a card; None if it would."""
    connector = find_connector(name)
    params = params_of(connector, card) if card else connector.Params.model_construct()
    return connector.unavailable(params)
