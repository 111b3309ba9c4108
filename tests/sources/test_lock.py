"""The lock file."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from phloem.sources.cards.lock import (
    NAME,
    Entry,
    Text,
    pin_of,
    pins,
    read_lock,
    write_lock,
    write_pin,
)
from phloem.sources.cards.source import sources
from phloem.sources.connector import Pin, PinnedFile, SourceError, find_connector

PIN = Pin("1.0", (PinnedFile("a.deb", "0" * 64, 3), PinnedFile("b.deb", "1" * 64, 4, "s3://b")))


def test_lock_written_entries_come_back_sorted(tmp_path: Path) -> None:
    entry = Entry(PIN, "2026-01-31", {"sw": 0.9})
    write_lock(tmp_path / NAME, {"z": entry, "a": entry})
    assert list(read_lock(tmp_path / NAME)) == ["a", "z"]
    assert read_lock(tmp_path / NAME)["z"] == entry


def test_lock_text_comes_back_and_an_entry_without_was_not_measured(tmp_path: Path) -> None:
    text = Text({"sw": 12_345, "und": 0}, is_whole=False)
    write_lock(tmp_path / NAME, {"a": Entry(PIN, "2026-01-31", text=text)})
    assert read_lock(tmp_path / NAME)["a"].text == text
    write_lock(tmp_path / NAME, {"a": Entry(PIN, "2026-01-31")})
    assert "text" not in json.loads((tmp_path / NAME).read_text("utf-8"))["sources"]["a"]
    assert read_lock(tmp_path / NAME)["a"].text is None


@pytest.mark.parametrize(
    "text",
    [
        {"bytes": {"sw": -1}, "is_whole": True},
        {"bytes": {"sw": 0.5}, "is_whole": True},
        {"bytes": ["sw"], "is_whole": True},
        {"bytes": {"sw": 1}, "is_whole": "yes"},
        {"bytes": {"sw": 1}, "is_whole": True, "repeated": "2"},
        {"bytes": {"sw": 1}, "is_whole": True, "repeated": -2},
        {"bytes": {"sw": 1}},
        [1],
    ],
)
def test_lock_text_that_is_no_sizes_is_refused(tmp_path: Path, text: Any) -> None:
    write_lock(tmp_path / NAME, {"a": Entry(PIN, "2026-01-31")})
    value = json.loads((tmp_path / NAME).read_text("utf-8"))
    value["sources"]["a"]["text"] = text
    (tmp_path / NAME).write_text(json.dumps(value), "utf-8")
    with pytest.raises(SourceError, match=r"a: it(s text is no sizes| has not the keys)"):
        read_lock(tmp_path / NAME)


def test_lock_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_lock(tmp_path / NAME) == {}


def test_lock_that_is_a_device_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to("/dev/zero")
    for path in (tmp_path / NAME, tmp_path):
        with pytest.raises(SourceError, match="is no file"):
            read_lock(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format": 1, "sources": {"a": 1}}',
        '{"format": 9}',
        '{"format": 1, "sources": {}, "x": NaN}',
        '{"format": 1, "sources": {}, "x": 1e999}',
    ],
)
def test_lock_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    with pytest.raises(SourceError):
        read_lock(tmp_path / NAME)


def test_lock_file_with_a_key_twice_is_refused_and_names_it(tmp_path: Path) -> None:
    write_lock(tmp_path / NAME, {"goodpkg": Entry(PIN, "2026-01-31")})
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    entry = text[text.index('"goodpkg"') : text.rindex("}\n}")]
    twice = text.replace('"goodpkg"', f'{entry.rstrip()[:-1].rstrip()}}},\n"goodpkg"', 1)
    (tmp_path / NAME).write_text(twice, encoding="utf-8")
    with pytest.raises(SourceError, match="the key 'goodpkg' stands there twice"):
        read_lock(tmp_path / NAME)


@pytest.mark.parametrize(
    "version", ["1\nerror: none", "1\x1b[2J", "\u202e1", "1\N{ZERO WIDTH SPACE}"]
)
def test_lock_version_that_is_no_line_is_refused(tmp_path: Path, version: str) -> None:
    write_lock(tmp_path / NAME, {"a": Entry(Pin(version, PIN.files), "2026-01-31")})
    with pytest.raises(SourceError, match="a: its version is no line that can be printed"):
        read_lock(tmp_path / NAME)


def test_write_pin_same_files_keep_their_date(tmp_path: Path) -> None:
    (tmp_path / "tales.yaml").write_text("id: tales\n", encoding="utf-8")
    write_pin("tales", PIN, [tmp_path], today=date(2026, 1, 31))
    write_pin("tales", PIN, [tmp_path], today=date(2026, 2, 1))
    assert read_lock(tmp_path / NAME)["tales"].fetched_on == "2026-01-31"
    write_pin("tales", Pin("2.0", PIN.files), [tmp_path], today=date(2026, 2, 2))
    assert read_lock(tmp_path / NAME)["tales"].fetched_on == "2026-02-02"
    assert pin_of("tales", [tmp_path]).version == "2.0"


def test_write_pin_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no card has the id 'tales'"):
        write_pin("tales", PIN, [tmp_path])


def test_pin_of_unlocked_source_says_how_to_lock() -> None:
    with pytest.raises(SourceError, match="phloem sources lock nothing-like-it"):
        pin_of("nothing-like-it")


def test_pins_every_active_card_of_a_package_index_is_locked() -> None:
    near = set()
    for card in sources().values():
        connector = find_connector(card.access.connector)
        if card.status == "active":
            params = connector.Params.model_validate(card.access.params)
            near |= {card.id} if connector.reach(params) != "network" else set()
    assert len(near) > 100
    assert near <= set(pins())
