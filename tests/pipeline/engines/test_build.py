"""What driver and workers must have alike: all that a worker imports and that can change a byte."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions, version
from pathlib import Path

import grimp
import pytest

from phloem.pipeline.engines.build import ENGINE, build, libraries, require_same
from phloem.pipeline.stage import StageError
from phloem.sources.connector import connectors, find_connector

WORKED = (
    "phloem.filters",
    "phloem.pipeline.engines.transforms",
    "phloem.pipeline.stages",
    "phloem.sources.connectors",
)
"""What a worker imports, however it is reached."""

HARMLESS = {
    "fsspec": "brings and takes the root's files, whose bytes are verified",
    "huggingface-hub": "asks the Hub for files, whose bytes are verified",
    "packaging": "reads the names of wheels, not what they hold",
    "psutil": "looks at the memory of the process that reads",
    "protego": "says which addresses may be asked for; verified as all that comes",
    "pydantic-core": "stands in pydantic's requirements with one version",
    "urllib3": "asks hosts for files, whose bytes are verified",
}


@functools.cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "phloem",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def reached(rooms: Iterable[str]) -> set[str]:
    """The distributions that these packages import, through whatever of ours."""
    modules = {
        name for name in graph().modules for room in rooms if f"{name}.".startswith(f"{room}.")
    }
    assert len(modules) >= len(list(rooms))
    imported = {name for module in modules for name in graph().find_upstream_modules(module)}
    others = {name.partition(".")[0] for name in imported} - {"phloem"} - sys.stdlib_module_names
    of_package = packages_distributions()
    return {each.lower().replace("_", "-") for name in others for each in of_package[name]}


def test_all_that_a_worker_imports_is_compared_or_can_change_no_byte() -> None:
    found = reached(WORKED)
    assert found - set(libraries()) == set(HARMLESS)
    assert set(libraries()) <= found


UNUSED = {
    "arxiv": "JSON Lines of its own",
    "gutenberg": "plain text",
    "opus": "gzip and zip",
    "pmc": "plain XML",
    "stackexchange": "7z",
    "wikimedia": "bzip2",
}
"""Connectors that import readers which could read more than they ask for; what they read."""

COULD = {"isal", "orjson", "zstandard"}  # gzip, JSON, zstd


@pytest.mark.parametrize("name", connectors())
def test_libraries_of_a_connector_are_what_it_imports(name: str) -> None:
    said = find_connector(name).LIBRARIES
    found = reached([f"phloem.sources.connectors.{name}"])
    assert set(said) <= found - set(HARMLESS)
    unsaid = found - set(said) - set(HARMLESS) - set(ENGINE)
    assert unsaid <= (COULD if name in UNUSED else set())


def test_each_library_has_its_version() -> None:
    facts = json.loads(build())
    assert {name: facts[name] for name in ENGINE} == {name: version(name) for name in ENGINE}
    assert "missing" not in facts.values()


OP = """
from phloem.catalog.columns import TEXT, TEXT_BYTES
from phloem.filters.op import op


@op(reads=(TEXT,), writes=(TEXT_BYTES,), libraries=["pytest"])
def of_a_workspace(batch):
    return []
"""


def test_libraries_of_a_workspaces_ops_are_compared_though_the_worker_lacks_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_ops_of_build.py").write_text(OP, encoding="utf-8")
    with monkeypatch.context() as driver:
        driver.syspath_prepend(tmp_path)
        facts = json.loads(build(["own_ops_of_build"]))
    assert facts["pytest"] == version("pytest")
    monkeypatch.delitem(sys.modules, "own_ops_of_build")
    require_same(json.dumps(facts))
    with pytest.raises(StageError, match=r"pytest \S+ \(driver: 1\.0\); install"):
        require_same(json.dumps(facts | {"pytest": "1.0"}))
    with pytest.raises(StageError, match=r"own-parser missing \(driver: 2\.0\)"):
        require_same(json.dumps(facts | {"own-parser": "2.0"}))
