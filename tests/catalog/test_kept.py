"""What is kept is what would be made, whatever became of the cache."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from phloem.catalog.kept import kept, kept_folder


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _never() -> str:
    pytest.fail("made anew")


def test_kept_value_is_made_once_for_a_stamp() -> None:
    assert kept("карта", "1", lambda: ["नमस्ते"]) == ["नमस्ते"]
    assert kept("карта", "1", _never) == ["नमस्ते"]
    assert kept("карта", "2", lambda: "other") == "other"
    assert kept("карта", "2", _never) == "other"
    assert [path.name for path in kept_folder().iterdir()] == ["карта.json"]


def test_kept_dates_come_back_as_dates() -> None:
    value = {"checked": [dt.date(2026, 11, 30)], "name": "2026-11-30", "empty": {}}
    assert kept("cards", "1", lambda: value) == value
    assert kept("cards", "1", _never) == value


def test_what_is_no_json_is_made_each_time() -> None:
    assert kept("cards", "1", lambda: {"a": {1}}) == {"a": {1}}
    assert list(kept_folder().iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[1]", b"{}", b"\xff", b"[" * 9**6])
def test_kept_value_is_made_again_from_a_broken_cache(content: bytes) -> None:
    (kept_folder() / "cards.json").write_bytes(content)
    assert kept("cards", "1", lambda: "made") == "made"
    assert kept("cards", "1", _never) == "made"


def test_kept_value_needs_no_cache_that_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phloem.catalog.kept.kept_folder", lambda: Path("/proc/nowhere"))
    assert kept("cards", "1", lambda: "made") == "made"


def test_kept_folder_is_a_private_one_where_the_user_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert kept_folder().parent == tmp_path
    assert kept_folder().stat().st_mode & 0o777 == 0o700


def test_kept_folder_is_a_private_one_where_that_of_the_user_is_read_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache" / "phloem").mkdir(parents=True)
    monkeypatch.setattr("os.access", lambda path, _: "cache" not in Path(path).parts)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert kept_folder().parent == tmp_path


def test_kept_folder_is_a_private_one_where_no_home_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert kept_folder().parent == tmp_path
