"""Compiled templates are kept between commands, and made again whatever became of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from phloem.catalog.kept import kept_folder
from phloem.reports.page import environment

NAME = "page.html"


def _rendering_compiles(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a program that starts now compiles the template."""
    made = environment.__wrapped__()
    compiled: list[str] = []
    compile_ = made.compile
    monkeypatch.setattr(made, "compile", lambda *given: compiled.append("") or compile_(*given))
    assert made.get_template(NAME).root_render_func is not None
    return bool(compiled)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_template_is_compiled_once_and_again_where_its_file_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _rendering_compiles(monkeypatch)
    assert not _rendering_compiles(monkeypatch)
    (path,) = kept_folder().iterdir()
    whole = path.read_bytes()
    for size in (0, 1, 20, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert _rendering_compiles(monkeypatch), size
        assert path.read_bytes() == whole
    path.write_bytes(b"N")  # marshal's None
    assert _rendering_compiles(monkeypatch)


def test_template_needs_no_cache_that_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phloem.reports.page.kept_folder", lambda: Path("/proc/nowhere"))
    assert _rendering_compiles(monkeypatch)
