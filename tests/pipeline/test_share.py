"""Shares of a stage: each task in one of them, and processes at once make one run's bytes."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_engine import inline
from rich.console import Console
from some_tasks import some_task
from tiny_workspace import (
    ARTICLES,
    add_source,
    change_recipe,
    digests,
    make_workspace,
    new_root,
    recipe_of,
    redone,
    run_tiny,
)

from phloem.catalog.records import records
from phloem.catalog.store import Store
from phloem.pipeline import share as sharing
from phloem.pipeline.job import Step, Steps
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.share import (
    WHOLE,
    Share,
    Shared,
    ShareError,
    own,
    parse_share,
    run_share,
)
from phloem.pipeline.stage import Task
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace

SOURCES = 4


def _task(name: str, size: int) -> Task:
    return some_task(name, size)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 9), st.randoms())
def test_shares_hold_every_task_once_in_whatever_order_they_come(
    sizes: list[int], shares: int, random: object
) -> None:
    tasks = [_task(f"{number:03}", size) for number, size in enumerate(sizes)]
    found = [own(Share(number, shares), tasks) for number in range(1, shares + 1)]
    assert sorted(task.label for share in found for task in share) == [t.label for t in tasks]
    shuffled = list(tasks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [own(Share(number, shares), shuffled) for number in range(1, shares + 1)] == found
    loads = [sum(task.bytes + 1 for task in share) for share in found]
    assert max(loads) - min(loads) <= max(sizes, default=0) + 1


def test_a_share_is_typed_as_k_of_n() -> None:
    assert parse_share("2/4") == Share(2, 4)
    assert str(Share(2, 4)) == "2/4"


@pytest.mark.parametrize("given_", ["", "0/4", "5/4", "2", "2/", "a/b", "-1/4", "1/4/5", "1.0/2"])
def test_what_is_no_share_is_told(given_: str) -> None:
    with pytest.raises(ShareError, match="write K/N with K from 1 to N"):
        parse_share(given_)


def _share(folder: Path, root: Path | str, stage: str, share: Share) -> Shared:
    workspace = load_workspace(folder)
    request = Request(recipe_of(folder), str(root), 1)
    progress = Progress(Console(quiet=True))
    return run_share(request, load_registry(workspace), workspace, progress, stage, share)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(sharing, "open_pool", inline)
    return make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")


def _counts(shared: Shared) -> tuple[int, int, int]:
    return shared.tasks, shared.cached, shared.others


def test_a_share_does_its_part_and_says_what_is_missing(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    assert _counts(_share(folder, root, "ingest", Share(1, 2))) == (1, 0, 1)
    assert _counts(_share(folder, root, "ingest", Share(1, 2))) == (1, 1, 1)
    assert _counts(_share(folder, root, "ingest", Share(2, 2))) == (1, 0, 0)
    account = _share(folder, root, "ingest", WHOLE).account
    assert account is not None
    assert (account.read, account.kept, account.quarantined) == (12, None, 1)
    assert _share(folder, root, "measure", WHOLE) == Shared(2, 0, 0)
    noted = records(Store(str(root)), "share")
    assert [(each["stage"], each["share"], each["cached"]) for each in noted] == [
        ("ingest", "1/2", 0),
        ("ingest", "1/2", 1),
        ("ingest", "2/2", 0),
        ("ingest", "1/1", 2),
        ("measure", "1/1", 0),
    ]


def test_shares_on_an_object_store_read_the_users_files_from_there(
    workspace: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = workspace
    root = f"memory://{tmp_path}"
    assert _counts(_share(folder, root, "ingest", Share(1, 2))) == (1, 0, 1)
    for path in folder.glob("*.jsonl"):  # the other share is on another machine
        path.unlink()
    assert _counts(_share(folder, root, "ingest", Share(2, 2))) == (1, 0, 0)


def test_a_stage_waits_for_those_before_it(workspace: tuple[Path, Path]) -> None:
    folder, root = workspace
    _share(folder, root, "ingest", Share(1, 2))
    with pytest.raises(ShareError, match="measure needs ingest first, and 1 of its 2 tasks"):
        _share(folder, root, "measure", WHOLE)
    with pytest.raises(ShareError, match="no stage 'mesure'; there are ingest, count"):
        _share(folder, root, "mesure", WHOLE)


def test_a_stage_that_a_recipe_has_not_is_done(
    workspace: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def given_tokenizer(*_: object) -> Steps:
        yield Step("compose", ())
        yield Step("tokenize", (_task("a", 1),))

    folder, root = workspace
    monkeypatch.setattr(sharing, "steps", given_tokenizer)
    assert _share(folder, root, "tokenizer", WHOLE) == Shared(0, 0, 0)


def _other(tag: str, number: int) -> str:
    """An article with its words in another order: no near duplicate of the others."""
    words = ARTICLES[tag].split()
    return " ".join(Random(number).sample(words, len(words)))  # noqa: S311 - no secret


@pytest.fixture
def divided(workspace: tuple[Path, Path]) -> tuple[Path, Path, dict[str, str]]:
    """A workspace of four sources, an empty root, and the digests of an undivided run."""
    folder, root = workspace
    names = [f"s{number}" for number in range(SOURCES)]
    for number, name in enumerate(names):
        rows = [{"id": tag, "text": _other(tag, number), "lang": tag} for tag in ("ar", "en", "hi")]
        add_source(folder, name, rows)
    change_recipe(folder, "sources: [first, second]", f"sources: [{', '.join(names)}]")
    alone = new_root(root.with_name("alone"))
    return folder, root, digests(alone, run_tiny(folder, alone))


def _ends_as_one_run(folder: Path, root: Path, expected: dict[str, str]) -> None:
    """What is left of a run does none of the shared stages again, and ends with the same bytes."""
    record = run_tiny(folder, root)
    assert {"ingest", "measure"}.isdisjoint(redone(record))
    assert digests(root, record) == expected


def test_four_shares_make_the_bytes_of_one_run(divided: tuple[Path, Path, dict[str, str]]) -> None:
    folder, root, expected = divided
    for stage in ("ingest", "measure"):
        for number in (3, 1, 4, 2):
            assert _share(folder, root, stage, Share(number, 4)).tasks == SOURCES // 4
    _ends_as_one_run(folder, root, expected)


@pytest.mark.nightly
@pytest.mark.beam
def test_two_processes_at_once_make_the_bytes_of_one_run(
    divided: tuple[Path, Path, dict[str, str]],
) -> None:
    folder, root, expected = divided
    _share(folder, root, "ingest", WHOLE)
    command = [sys.executable, "-m", "phloem.pipeline.cli", "run", "tiny", "--workers", "1"]
    command += ["--root", str(root), "--stage", "measure", "--share"]
    processes = [
        subprocess.Popen([*command, f"{number}/2"], cwd=folder, stdout=subprocess.PIPE)
        for number in (1, 2)
    ]
    told = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    for number, text in enumerate(told, start=1):
        assert f"share    {number}/2 of measure: {SOURCES // 2} tasks, 0 cached" in text
    _ends_as_one_run(folder, root, expected)
