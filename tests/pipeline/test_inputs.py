"""What a task says that it opens is what it opens: costs, progress and plans count on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from inline_engine import inline
from rich.console import Console
from tiny_workspace import change_recipe, digests, make_workspace, recipe_of

from phloem.catalog.policy import LOCAL
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.engines.engine import Engine
from phloem.pipeline.job import Job, steps
from phloem.pipeline.registry.fetch import readings
from phloem.pipeline.registry.registry import Registry, load_registry, local_registry
from phloem.pipeline.request import OwnFiles, Request, find_request
from phloem.pipeline.run import prepare
from phloem.pipeline.stages import run_task
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace
from phloem.sources.clients import paths
from phloem.sources.limits import Limits

CLEAN = "clean: [drop_frequent_lines]\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job on an object store, one source of which has its lines counted."""
    folder = make_workspace(tmp_path / "workspace")
    card = folder / "cards" / "second.yaml"
    card.write_text(card.read_text(encoding="utf-8") + CLEAN, encoding="utf-8")
    change_recipe(folder, "vocab_size: 600", "vocab_size: 700")
    workspace = load_workspace(folder)
    request = Request(recipe_of(folder), f"memory://{tmp_path}", 1)
    return prepare(
        Store(request.root), request, load_registry(workspace), workspace, lambda _: None
    )[0]


def test_each_task_opens_what_it_names_once_and_whole(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()
    pieces = Store._pieces

    def counted(self: Store, name: str, size: int | None = None) -> Iterator[bytes]:
        for piece in pieces(self, name, size):
            opened[name] += len(piece)
            yield piece

    monkeypatch.setattr(Store, "_pieces", counted)
    store = Store(f"memory://{tmp_path}")
    seen = set()
    going = steps(job, store, {})
    step = next(going)
    while True:
        sent = []
        for task in step.tasks:
            opened.clear()
            sent.append(run_task(store, task))
            kept = {ref.path for ref in task.inputs if ref.is_kept}
            own = {ref.path: ref.bytes for ref in task.inputs if not ref.path.startswith("/")}
            found = {name: size for name, size in opened.items() if name not in kept}
            assert found == {name: own[name] for name in own if name not in kept}, task.stage
            if step.stage != "ingest":  # its files lie on this machine
                assert sum(found.values()) == task.bytes
        seen.add(step.stage)
        try:
            step = going.send(sent)
        except StopIteration:
            break
    assert seen == set(job.stages)
    assert {"count", "dedup", "compose"} <= seen


# Files of this machine, where workers are elsewhere -----------------------------------------------
@contextmanager
def _elsewhere(folder: Path, root: str) -> Iterator[Engine]:
    """An engine whose workers have nothing of this machine but the root."""
    hidden = {path: path.with_suffix(".hidden") for path in folder.glob("*.jsonl")}
    assert hidden
    for path, name in hidden.items():
        path.rename(name)
    try:
        with inline(root, 1, Limits()) as engine:
            yield engine
    finally:
        for path, name in hidden.items():
            name.rename(path)


@pytest.mark.parametrize("given", ["cards", "--input"])
def test_run_elsewhere_reads_the_drivers_files_from_the_root(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_workspace(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    own = OwnFiles(str(folder / "*.jsonl")) if given == "--input" else None
    made = []
    for root, is_elsewhere in ((str(tmp_path / "root"), False), (f"memory://{tmp_path}", True)):
        request, registry, workspace = find_request("tiny", root, workers=1, own=own)
        result = running.run(
            replace(request, is_elsewhere=is_elsewhere),
            registry,
            workspace,
            Progress(Console(quiet=True)),
            partial(_elsewhere, folder, root)
            if is_elsewhere
            else partial(inline, root, 1, Limits()),
        )
        record = json.loads(Store(root).read_bytes(f"runs/{result.run_id}.json"))
        assert record["status"] == "done"
        made.append((digests(root, record), result.release))
    assert made[0] == made[1]


def test_input_by_address_is_brought_into_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers need no credentials for it, wherever they are."""
    monkeypatch.setattr(paths, "STORES", ("memory",))
    path = tmp_path.as_posix().strip("/")
    Store(f"memory://{path}").write_bytes("texts/a.txt", "один\n\nдва\n".encode())
    registry = local_registry(
        Registry({}, {}, {}, {}, {}), f"memory://{path}/texts/*.txt", "text", "und"
    )
    ((reading,), _) = readings(
        Store(tmp_path / "root"),
        [registry.cards[LOCAL]],
        registry.pins,
        own=registry.own,
        skip_unavailable=False,
        told=lambda _: None,
    )
    assert [ref.path.split("/")[0] for ref in reading.files.values()] == ["fetched"]


def test_input_that_is_given_twice_reads_both(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"текст {name}", encoding="utf-8")
    own = OwnFiles([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    _, registry, _ = find_request("quickstart", str(tmp_path / "root"), own=own)
    assert [file.name for file in registry.pins["local"].files] == ["a.txt", "b.txt"]
