"""Every key and digest of two recipes: one that changed is a decision, never an accident.

After a change that was meant: `PHLOEM_WRITE_KEYS=1 make test ARGS=tests/pipeline/test_keys.py`, and
the commit says why. The keys hold the versions of the libraries that the lock file pins.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from inline_engine import finish, job_of
from tiny_workspace import add_source, change_recipe, make_workspace, new_root

from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.job import Job, Made
from phloem.pipeline.recipe import load_recipe
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.workspace import Workspace

GOLDEN = Path(__file__).with_name("keys.json")
CLEAN = "clean: [drop_frequent_lines]\n"
MENU = "Home | News | About us"
PAGES = [
    {"id": f"page-{n:02}", "text": f"{MENU}\nPage {n} tells of the {n}. thing.\n", "lang": "en"}
    for n in range(12)
]


def _quickstart(folder: Path) -> Job:
    """The recipe `quickstart` on what lies in the package: sixty languages, and prose."""
    workspace = Workspace()
    registry = load_registry(workspace)
    recipe = load_recipe("quickstart", workspace, sorted(registry.cards))
    recipe = recipe.model_copy(update={"sources": ("udhr", "prose")})
    store = Store(str(new_root(folder / "root")))
    request = Request(recipe, store.root, 1)
    return running.prepare(store, request, registry, workspace, lambda _: None)[0]


def _own_parts(folder: Path) -> Job:
    """Cards of a workspace, one of which has its lines counted; files named by relative paths."""
    make_workspace(Path("workspace"))
    add_source(Path("workspace"), "third", PAGES)
    card = Path("workspace", "cards", "third.yaml")
    card.write_text(card.read_text(encoding="utf-8") + CLEAN, encoding="utf-8")
    change_recipe(Path("workspace"), "[first, second]", "[first, second, third]")
    return job_of(folder / "workspace", new_root(folder / "root"))


@pytest.fixture(params=[_quickstart, _own_parts], ids=["quickstart", "own parts"])
def found(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Made]:
    """A recipe's name, and all that it makes."""
    monkeypatch.chdir(tmp_path)
    job, made = request.param(tmp_path), {}
    finish(job, Store(str(tmp_path / "root")), made)
    return job.recipe.name, made


def test_each_key_and_digest_is_as_it_was(found: tuple[str, Made]) -> None:
    name, made = found
    now = {stage: [[s.key, s.digest] for s in shards] for stage, shards in made.items()}
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("PHLOEM_WRITE_KEYS"):
        text = json.dumps(golden | {name: now}, indent=1, sort_keys=True)
        GOLDEN.write_text(text + "\n", encoding="utf-8")
        return
    was = golden[name]
    changed = sorted(stage for stage in {*was, *now} if was.get(stage) != now.get(stage))
    assert not changed, f"{name}: keys or digests of {changed} are others than before"
