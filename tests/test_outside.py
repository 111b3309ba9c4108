"""Programs that tests need: where one cannot run they are skipped, unless it must be there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from outside import require

# What rustup's proxies say where there is no toolchain (rustup 1.28).
RUSTUP = """\
error: rustup could not choose a version of cargo to run, because one wasn't specified explicitly, \
and no default is configured.
help: run 'rustup default stable' to download the latest stable release of Rust and set it as your \
default toolchain.
"""


def _program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv("PHLOEM_TESTS_REQUIRE", raising=False)
    return tmp_path


def test_require_of_a_shim_without_what_it_stands_for_skips_in_its_words(folder: Path) -> None:
    (folder / "said").write_text(RUSTUP)
    _program(folder, "cargo", f"cat {folder / 'said'} >&2; exit 1")
    with pytest.raises(pytest.skip.Exception) as told:
        require("cargo")
    assert str(told.value) == (
        "cargo does not run here: rustup could not choose a version of cargo to run, because one"
        " wasn't specified explicitly, and no default is configured."
    )


def test_require_of_what_is_missing_or_not_for_this_machine_skips(folder: Path) -> None:
    (folder / "broken-7z").write_bytes(b"\x7fELF of another machine")
    (folder / "broken-7z").chmod(0o755)
    with pytest.raises(pytest.skip.Exception) as told:
        require("no-such-7z", "broken-7z")
    assert str(told.value) == (
        "no-such-7z is not installed; broken-7z does not run here: broken-7z cannot be started:"
        " Exec format error"
    )


def test_require_gives_the_first_that_runs(folder: Path) -> None:
    _program(folder, "first", "exit 3")
    second = _program(folder, "second", '[ "$1" = --version ]')
    assert require("first", "second") == str(second)


def test_require_of_a_cargo_without_info_skips(folder: Path) -> None:
    old = '[ "$1" = --version ] || { echo "error: no such command" >&2; exit 101; }'
    _program(folder, "cargo", old)
    with pytest.raises(pytest.skip.Exception, match="cargo does not run here: no such command"):
        require("cargo")


def test_require_fails_where_the_environment_says_that_it_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHLOEM_TESTS_REQUIRE", "git no-such-7zz")
    with pytest.raises(pytest.fail.Exception, match="no-such-7zz is not installed; PHLOEM_TESTS_"):
        require("no-such-7z", "no-such-7zz")
    with pytest.raises(pytest.skip.Exception):
        require("no-such-cargo")
