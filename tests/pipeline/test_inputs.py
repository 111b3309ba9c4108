"""What a task says that it opens is what it opens: costs, progress and plans count on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_workspace import change_recipe, make_workspace, recipe_of

from phloem.catalog.store import Store
from phloem.pipeline.job import Job, steps
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.run import prepare
from phloem.pipeline.stages import run_task
from phloem.pipeline.workspace import load_workspace

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

    def counted(self: Store, name: str) -> Iterator[bytes]:
        for piece in pieces(self, name):
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
