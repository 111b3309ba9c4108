"""Each hostile file costs no more than its bounds, and takes no sound record along."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import FILES, FINE, MARKUP, file_of

from phloem.pipeline import guard
from phloem.pipeline.extraction import Asked, Extracted, extract
from phloem.sources.connector import Pin, PinnedFile
from phloem.sources.connectors import files
from phloem.sources.limits import Limits

LIMITS = Limits()
REASONS = {
    "steps in steps": "cannot be parsed as XML",
    "brackets of messages": "cannot be parsed as JSON",
    "zip that claims": "unpacks to more than",
    "zip of one member a thousand times": "",
    "tar header of 2^62 bytes": "tar member of 4611686018427387904 bytes",
    "packed tar header of 2^62 bytes": "tar member of 4611686018427387904 bytes",
    "gzip of zeros": "unpacks to more than",
    "deep JSON line": "JSON",
    "deep JSON": "JSON",
    "quote that stays open": "quote never closed",
    "row of many cells": "fields where the header has",
    "Parquet that says a text again": "file unpacks to more than",
    "Arrow that says a text again": "file unpacks to more than",
    "header of many columns": "fields where the header has",
    "Arrow of nulls": "reading needed more than",
    **dict.fromkeys(
        (
            "templates in templates",
            "links in links",
            "tables of wikitext",
            "notes that stay open",
            "noinclude in noinclude",
        ),
        "too much markup that does not close",
    ),
    "sections in sections": "cannot be parsed as XML",
    "messages that overlap": "a catalogue whose messages overlap",
    "entities of entities": "",
}
"""Why a record of each is in quarantine; all of those that are not here is read."""


ENDED = {"Arrow of nulls"}
"""What only the end of its process holds: two milliard rows of a few bytes."""


@pytest.fixture(scope="module", autouse=True)
def _retired() -> Iterator[None]:
    yield
    guard.retire()


def _extracted(path: Path, **params: str) -> list[Extracted]:
    given = {"path": str(path), **params}
    pin = Pin("1", (PinnedFile(path.name, "0" * 64, path.stat().st_size),))
    found = {path.name: str(path)}
    splits = files.splits(files.Params.model_validate(given), pin, found)
    asked = [Asked("s", "files", given, split, found, LIMITS) for split in splits]
    assert len(asked) <= 3
    return [each for split in asked for each in extract(split)]


def _check(kind: str, found: list[Extracted]) -> None:
    rows = sum(each.rows.num_rows for each in found if each.rows)
    faults = [fault for each in found for fault in each.faults]
    assert sum(each.read for each in found) == rows + sum(fault.records for fault in faults) > 0
    reasons = [fault.reason for fault in faults]
    for reason in reasons if kind not in ENDED else []:
        assert "took more than" not in reason
        assert "memory_bytes" not in reason
        assert "ended its process" not in reason
    assert any(REASONS[kind] in reason for reason in reasons) if kind in REASONS else not faults


@pytest.mark.parametrize("kind", FILES)
def test_file_is_read_or_quarantined_within_its_bounds(kind: str, tmp_path: Path) -> None:
    name, content = file_of(kind)
    (tmp_path / name).write_bytes(content)
    found = _extracted(tmp_path / name)
    _check(kind, found)
    if content[:2] == b"PK" and b"c.html" in content:
        texts = [text for each in found if each.rows for text in each.rows["text"].to_pylist()]
        assert texts[0] == texts[-1] == FINE


@pytest.mark.parametrize("kind", MARKUP)
def test_markup_is_read_or_quarantined_within_its_bounds(kind: str, tmp_path: Path) -> None:
    media_type, make = MARKUP[kind]
    path = tmp_path / "a.txt"
    path.write_bytes(make().encode("latin-1"))
    _check(kind, _extracted(path, media_type=media_type, documents="file"))


def test_sound_lines_between_hostile_ones_are_kept(tmp_path: Path) -> None:
    hostile = [
        "[" * 500_000,
        '{"text": ' * 100_000,
        '{"text": "' + "\\ud800" * 50_000 + '"}',
        "{" * 99,
    ]
    sound = [json.dumps({"text": f"{FINE} {number}"}) for number in range(len(hostile))]
    lines = [line for pair in zip(sound, hostile, strict=True) for line in pair]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = _extracted(tmp_path / "a.jsonl")
    texts = [text for each in found if each.rows for text in each.rows["text"].to_pylist()]
    assert [text for text in texts if text.startswith(FINE)] == [
        f"{FINE} {number}" for number in range(len(hostile))
    ]
    assert sum(each.read for each in found) == len(lines)
