"""`phloem.toml`: found upwards, checked whole, its modules importable."""

import sys
from pathlib import Path

import pytest

from phloem.pipeline.workspace import Workspace, WorkspaceError, find_workspace, load_workspace


@pytest.fixture(autouse=True)
def _own_sys_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def _write(folder: Path, text: str, *folders: str) -> Path:
    for name in folders:
        (folder / name).mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    (folder / "phloem.toml").write_text(text, encoding="utf-8")
    return folder


def _faults(folder: Path) -> str:
    with pytest.raises(WorkspaceError) as told:
        load_workspace(folder)
    assert str(folder / "phloem.toml") in str(told.value)
    return str(told.value)


def test_find_workspace_takes_the_nearest_file_upwards(tmp_path: Path) -> None:
    _write(tmp_path, 'ops = ["outer"]', "mine/deep/below")
    mine = _write(tmp_path / "mine", 'ops = ["inner"]')
    assert find_workspace(mine / "deep" / "below").ops == ("inner",)
    assert find_workspace(mine).folder == str(mine)
    assert find_workspace(tmp_path).ops == ("outer",)


def test_find_workspace_without_a_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "phloem.toml").mkdir()  # a folder is no file
    assert find_workspace(tmp_path) == Workspace()


def test_load_workspace_makes_folders_absolute_and_modules_importable(tmp_path: Path) -> None:
    folder = _write(tmp_path / "w", 'recipes = ["r"]\nsources = ["c/d"]', "r", "c/d")
    found = load_workspace(folder)
    assert (found.recipes, found.sources) == ((folder / "r",), (folder / "c" / "d",))
    assert (found.ops, found.policies) == ((), ())
    load_workspace(folder)
    assert sys.path.count(str(folder)) == 1
    assert sys.path[-1] == str(folder)  # behind all else: it shadows nothing


def test_load_workspace_of_an_empty_file_adds_nothing(tmp_path: Path) -> None:
    assert load_workspace(_write(tmp_path, "")) == Workspace(str(tmp_path))


def test_load_workspace_names_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    text = 'recipe = ["r"]\nbudget = 1\nops = "one"\npolicies = [1]\nsources = ["cards"]'
    told = _faults(_write(tmp_path, text))
    assert "unknown key 'recipe'; did you mean recipes?" in told
    assert "unknown key 'budget'; " in told
    assert "ops must be a list of strings" in told
    assert "policies must be a list of strings" in told
    assert "sources names the folder 'cards', which is not there" in told


@pytest.mark.parametrize("broken", [b'ops = ["one"', b"\xff\xfe", b"[ops", b"ops = 1\nops = 2"])
def test_load_workspace_of_what_is_no_toml_says_so(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "phloem.toml").write_bytes(broken)
    assert "phloem.toml is not TOML: " in _faults(tmp_path)
