"""The page says what the tests hold, and every test of a fault stands on it."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MARK = "@pytest.mark.fault(\n"  # as the formatter leaves it

spec = importlib.util.spec_from_file_location("matrix", FOLDER / "matrix.py")
assert spec
assert spec.loader
matrix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(matrix)


def test_page_is_current() -> None:
    written = matrix.PAGE.read_text(encoding="utf-8")
    assert written == matrix.page(FOLDER), "run: python tests/faults/matrix.py"


def test_every_module_has_a_title_and_every_row_both_halves() -> None:
    marked = {path.name for path in FOLDER.glob("test_*.py") if MARK in path.read_text("utf-8")}
    assert marked == set(matrix.TITLES)
    found = list(matrix.rows(FOLDER))
    assert len(found) >= 20
    assert all(row.fault and row.promise for row in found)


def test_mark_without_a_promise_is_refused(tmp_path: Path) -> None:
    for name in matrix.TITLES:
        (tmp_path / name).write_text("", encoding="utf-8")
    code = "@pytest.mark.fault(fault='fire')\ndef test_fire():\n    pass\n"
    (tmp_path / "test_files.py").write_text(code, encoding="utf-8")
    with pytest.raises(ValueError, match="test_fire needs fault= and promise="):
        list(matrix.rows(tmp_path))
