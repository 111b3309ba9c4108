"""Advised commands do what they say when they are pasted into a shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog import advice
from phloem.catalog.advice import command, install_extra, run_again

ODD = ["my texts/*.jsonl", 'it\'s "so"', "テキスト/ünï", "$(touch x)`touch x`;&|", "a\nb", "-x", ""]


@pytest.fixture(autouse=True)
def no_root_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(advice.ROOT_VARIABLE, raising=False)


def pasted(line: str, folder: Path) -> tuple[str, list[str]]:
    """Where a shell runs a line that it is given in a folder, and the words that it finds."""
    shown = 'phloem() { printf "%s\\0" "$PWD" "$@"; }\n'
    done = subprocess.run(
        ["bash", "-c", shown + line], cwd=folder, capture_output=True, check=True, timeout=60
    )
    where, *words = done.stdout.decode().split("\0")[:-1]
    return where, words


def record(folder: Path, *words: str, **more: Any) -> dict[str, Any]:
    recipe = {"name": "tiny", "spec": {"sources": ["first"]}}
    return {"recipe": recipe, "asked": {"folder": str(folder), "words": list(words)}, **more}


@pytest.mark.parametrize("odd", ODD)
def test_command_is_taken_by_a_shell_as_it_was_meant(tmp_path: Path, odd: str) -> None:
    words = pasted(command("run", odd, "--input", odd, root=odd), tmp_path)[1]
    assert words == ["run", odd, "--input", odd, "--root", odd]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
def test_command_of_any_words_splits_into_them(words: list[str]) -> None:
    assert shlex.split(command("run", *words, root="x")) == ["phloem", "run", *words, "--root", "x"]


def test_command_leaves_out_a_root_that_is_found_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("status") == "phloem status"
    assert command("status", root=advice.ROOT) == "phloem status"
    assert command("status", root="s3://b/r") == "phloem status --root s3://b/r"
    monkeypatch.setenv(advice.ROOT_VARIABLE, "elsewhere")
    assert command("status", root=advice.ROOT) == "phloem status --root phloem-data"


def test_run_again_here_is_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = run_again(record(tmp_path, "run", "tiny", "--input", "a b.txt"), "some root")
    asked = ["run", "tiny", "--input", "a b.txt", "--root", "some root"]
    assert pasted(line, tmp_path) == (str(tmp_path), asked)
    assert run_again(record(tmp_path, "run", "tiny"), advice.ROOT) == "phloem run tiny"


def test_run_again_elsewhere_goes_to_the_run_s_folder_and_takes_the_root_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe's workspace and relative inputs are found from the folder of the run."""
    there, here = tmp_path / "it's там", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    line = run_again(record(there, "run", "tiny", "--input", "a.txt"), "data")
    where, words = pasted(line, here)
    assert where == str(there)
    assert words == ["run", "tiny", "--input", "a.txt", "--root", str(here / "data")]
    for root in (advice.ROOT, str(there / "data")):
        assert pasted(run_again(record(there, "run", "tiny"), root), here)[1][-1] == str(
            here / root
        )
    assert pasted(run_again(record(there, "run", "x"), "s3://b/r"), here)[1][-1] == "s3://b/r"


def test_run_again_elsewhere_finds_a_root_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that got it quoted leaves `~` to the store, which expands it."""
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    line = run_again(record(tmp_path / "there", "run", "tiny"), "~/ro ot")
    assert pasted(line, tmp_path)[1][-1] == str(tmp_path / "home" / "ro ot")


def test_run_again_of_a_record_without_a_command_names_what_it_knows() -> None:
    old = {"recipe": {"name": "tiny", "spec": {"sources": ["first"]}}}
    assert run_again(old, "r") == "phloem run tiny --root r"
    old["recipe"]["spec"] = {"sources": ["local"]}
    assert run_again(old, "r") == "phloem run tiny --input PATH --root r"


def test_extra_comes_from_the_checkout_s_lock_into_this_very_environment() -> None:
    words = shlex.split(install_extra("s3").strip("`"))
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert Path(words[-1]).read_text("utf-8").count("s3fs==") == 1


def test_extra_comes_from_the_wheel_where_there_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "CHECKOUT", tmp_path)
    said = install_extra("s3")
    assert "-m pip install 'dist/phloem-" in said
    assert "-py3-none-any.whl[s3]'`, the wheel that `make wheel` builds" in said


@pytest.mark.parametrize("extra", ["torch", "ner", "dataflow", "s3", "telemetry"])
def test_extra_is_never_promised_of_an_index(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for checkout in (advice.CHECKOUT, tmp_path):
        monkeypatch.setattr(advice, "CHECKOUT", checkout)
        assert f"'phloem[{extra}]'" not in install_extra(extra)
