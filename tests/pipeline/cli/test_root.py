"""`phloem gc` on real runs, and what queries do with a run record that was cut short."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_engine import inline
from object_store import serving
from real_root import fables
from rich.console import Console
from tiny_workspace import change_recipe, digests, make_workspace, new_root, recipe_of, redone
from typer.testing import CliRunner, Result

from phloem.catalog.gc import delete, layout, named, waste
from phloem.catalog.manifest import COMMIT
from phloem.catalog.runs import run_ids
from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release
from phloem.catalog.views import connect
from phloem.pipeline.cli.app import app
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.run import run
from phloem.pipeline.stages import KINDS
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace
from phloem.sources.limits import Limits

LONG_AGO = 3 * 86_400.0  # seconds


def _phloem(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


def _run(folder: Path, root: Path) -> dict[str, Any]:
    workspace = load_workspace(folder)
    request, registry = Request(recipe_of(folder), str(root), 1), load_registry(workspace)
    result = run(
        request,
        registry,
        workspace,
        Progress(Console(quiet=True)),
        lambda: inline(str(root), 1, Limits()),
    )
    record: dict[str, Any] = json.loads(Store(root).read_bytes(f"runs/{result.run_id}.json"))
    return record


def _files(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_size for p in root.rglob("*") if p.is_file()}


def _age(root: Path) -> None:
    when = time.time() - LONG_AGO
    for name in _files(root):
        os.utime(root / name, (when, when))


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A workspace and a root, as the working folder's; the models are found from there."""
    models = Path(os.environ.get("PHLOEM_MODELS", ".venv/models")).resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHLOEM_MODELS", str(models))
        folder = make_workspace(tmp_path / "workspace")
        patch.chdir(folder)
        yield folder, new_root(tmp_path / "root")


def test_gc_of_one_of_two_runs_leaves_the_other_whole(places: tuple[Path, Path]) -> None:
    folder, root = places
    store = Store(root)
    first = _run(folder, root)
    text = (folder / "recipes" / "tiny.yaml").read_text(encoding="utf-8")
    change_recipe(folder, "min: {default: 5,", "min: {default: 2,")
    second = _run(folder, root)
    before = digests(root, first)
    _age(root)
    assert "0 things nothing names" in _phloem("gc", "--root", str(root)).stdout
    (root / "runs" / f"{second['run_id']}.json").unlink()
    held = _files(root)
    store.delete(f"releases/{second['release']}")
    shown = json.loads(_phloem("gc", "--root", str(root), "--json").stdout)
    assert not shown["deleted"]
    kinds = {"shard", "manifest", "manifest of commits", "heartbeat"}
    assert {each["kind"] for each in shown["found"]} == kinds
    assert _phloem("gc", "--root", str(root), "--yes").exit_code == 0
    freed = sum(held.values()) - sum(_files(root).values())
    assert freed - sum(s for n, s in held.items() if n.startswith("releases/")) <= shown["bytes"]
    assert shown["bytes"] > 0
    assert _phloem("release", "verify", first["release"], "--root", str(root)).exit_code == 0
    assert digests(root, first) == before
    (folder / "recipes" / "tiny.yaml").write_text(text, encoding="utf-8")
    again = _run(folder, root)
    assert redone(again) == {}
    assert digests(root, again) == before
    assert again["release"] == first["release"]


def test_gc_keeps_the_tokens_of_a_release_whose_run_is_gone(places: tuple[Path, Path]) -> None:
    folder, root = places
    record = _run(folder, root)
    _age(root)
    (root / "runs" / f"{record['run_id']}.json").unlink()
    models = {name for name in _files(root) if name.startswith("fetched/")}
    assert _phloem("gc", "--root", str(root), "--yes").exit_code == 0
    assert verify_release(Store(root), record["release"]) == []
    assert not (root / "measure").exists() or not list((root / "measure").iterdir())
    assert models <= set(_files(root))


def test_gc_says_what_cannot_be_read_and_deletes_nothing(places: tuple[Path, Path]) -> None:
    folder, root = places
    record = _run(folder, root)
    _age(root)
    (root / "runs" / f"{record['run_id']}.json").unlink()
    (root / "runs" / "20250101T000000Z-broken.json").write_text('{"run_id": "2025')
    before = _files(root)
    result = _phloem("gc", "--root", str(root), "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "runs/20250101T000000Z-broken.json" in result.stderr
    assert _files(root) == before


def test_gc_of_a_folder_that_is_no_root_is_wrong_use_and_deletes_nothing(tmp_path: Path) -> None:
    for name in (f"photos/{'a' * 32}/a.jpg", f"fetched/{'b' * 64}", ".thesis.tmp-backup"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    _age(tmp_path)
    before = _files(tmp_path)
    for arguments in ((), ("--yes",), ("--yes", "--older-than", "0"), ("--json",)):
        result = _phloem("gc", "--root", str(tmp_path), *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: {tmp_path} is no root: it holds fetched, photos,")
        assert result.stderr.count("\n") == 1
        assert _files(tmp_path) == before
    result = _phloem("gc", "--root", str(tmp_path / "never"), "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: there is no root at {tmp_path / 'never'}")
    assert result.stderr.count("\n") == 1


def test_gc_knows_every_file_that_a_run_writes(places: tuple[Path, Path]) -> None:
    folder, root = places
    record = _run(folder, root)
    written = {tuple(name.split("/")) for name in _files(root)}
    known = {kind.name: "|".join([*kind.files, COMMIT]) for kind in KINDS}
    in_shards = {(parts[0], parts[-1]) for parts in written if parts[0] in known}
    assert known.keys() - {"count", "tally"} == {kind for kind, _ in in_shards}
    assert {each for each in in_shards if not re.fullmatch(known[each[0]], each[1])} == set()
    (root / "runs" / f"{record['run_id']}.json").unlink()
    for commit in root.rglob(
        COMMIT
    ):  # every shard is half-written now, one manifest tells the root
        commit.unlink()
    Store(root).delete(f"releases/{record['release']}")
    _age(root)
    assert _phloem("gc", "--root", str(root), "--yes").exit_code == 0
    kept = {name.partition("/")[0] for name in _files(root)}
    assert kept == {"fetched", "records", "reports"}  # models of ops, what happened, the page


def test_gc_of_a_root_on_an_object_store(tmp_path: Path) -> None:
    with serving() as server:
        built = fables(tmp_path).copy(server.root())
        half = f"clean/{'c' * 32}/text.arrow"
        built.store.write_bytes(half, b"nobody's")
        now, where = time.time() + LONG_AGO, layout(KINDS)
        kept = named(built.store, where, (), older_than=86_400.0, now=now)
        found = waste(built.store, where, kept, older_than=86_400.0, now=now)
        assert [each.name for each in found] == [half.rpartition("/")[0]]
        assert waste(built.store, where, kept, older_than=2 * LONG_AGO, now=now) == []
        delete(built.store, found, kept)
        left = Store(built.store.root)
        left.fs.invalidate_cache()
        assert not left.exists(half)
        assert left.exists(built.record["datasets"]["clean"])


def test_queries_and_reports_go_on_without_a_record_that_was_cut_short(
    places: tuple[Path, Path],
) -> None:
    folder, root = places
    record = _run(folder, root)
    broken = "29990101T000000Z-broken"
    path = root / "runs" / f"{record['run_id']}.json"
    (root / "runs" / f"{broken}.json").write_bytes(path.read_bytes()[:-40])
    rows = connect(Store(root)).execute("select run_id from runs").fetchall()
    assert rows == [(record["run_id"],)]
    assert broken in run_ids(Store(root))
    for arguments in (
        ("catalog", "query", "select count(*) from decisions"),
        ("report",),
        ("status",),
    ):
        done = _process(*arguments, "--root", str(root))
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"warning: runs/{broken}.json in {root} is no run record")
        assert done.stderr.count("\n") == 1
    for arguments in (("report", "--run", broken), ("status", broken)):
        result = _phloem(*arguments, "--root", str(root))
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: runs/{broken}.json")
        assert result.stderr.count("\n") == 1


def _process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which says on stderr what it logs."""
    command = [sys.executable, "-m", "phloem.pipeline.cli", *arguments]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "COLUMNS": "200"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
