"""What speakers approved: read whole or refused with every line, and rules that drop it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_workspace import ARTICLES
from typer.testing import CliRunner

from phloem.catalog.rules import Rule
from phloem.filters import language_files
from phloem.filters.language_files import FOLDER
from phloem.filters.op import find_op
from phloem.filters.versions import model_paths
from phloem.pipeline.cli.app import app
from phloem.pipeline.thresholds.veto import ReviewError, Veto, load_reviews, vetoes

RULE = Rule(name="noisy", column="noisy_word_frac", max=0.1)


def _line(text: str = "Neno moja tu.", **said: Any) -> str:
    review = {"text": text, "verdict": "sound", "by": "amina", "date": "2026-12-01"}
    return json.dumps({**review, "license": "CC0-1.0", **said}, ensure_ascii=False)


def _write(folder: Path, tag: str, *lines: str) -> Path:
    path = folder / f"{tag}.reviews.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reviews_that_are_there_are_sound() -> None:
    load_reviews(FOLDER)


def test_reviews_are_read_by_language(tmp_path: Path) -> None:
    _write(tmp_path, "sw", _line(), "", _line("x1x2x3", verdict="rubbish"))
    _write(tmp_path, "hi", _line(ARTICLES["hi"]))
    found = load_reviews(tmp_path)
    assert list(found) == ["hi", "sw"]
    assert [review.verdict for review in found["sw"]] == ["sound", "rubbish"]


def test_every_fault_of_every_line_is_told_at_once(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "sw",
        "no json",
        _line(by="amina@correio.pt"),
        _line(verdict="fine", text=""),
        _line(license="nobody's"),
        _line(date="2026-13-01", mark=1),
        _line("x" * 5001),
        _line("Piga simu: amina@correio.pt"),
        _line("Mara mbili."),
        _line("Mara mbili."),
        "[" * 100_000,
    )
    _write(tmp_path, "xx-nowhere", _line())
    with pytest.raises(ReviewError) as caught:
        load_reviews(tmp_path)
    said = str(caught.value)
    for number in (1, 2, 3, 4, 5, 6, 10):
        assert f"sw.reviews.jsonl, line {number}: " in said
    assert "license: " in said
    assert "reviewed twice" in said
    assert "personal data (email)" in said
    assert "xx-nowhere" in said
    assert "pydantic" not in said
    assert "amina@" not in said


def test_rules_may_drop_one_in_twenty_and_no_more(tmp_path: Path) -> None:
    noisy = "a1b c2d e3f g4h"
    sound = [_line(f"Neno la {'abcdefghijklmnopqrst'[n]} ni hili hapa leo.") for n in range(19)]
    _write(tmp_path, "sw", *sound, _line(noisy))
    _write(tmp_path, "ha", *sound[:18], _line(noisy), _line("9z8y7x", verdict="rubbish"))
    language = find_op("language", {})
    ops, paths = [language, find_op("prose", {})], model_paths(language)
    found = vetoes(load_reviews(tmp_path), ops, [RULE], paths)
    assert found == [Veto("ha", 19, 1, {"noisy": 1})]


def test_the_command_fails_for_a_veto_and_passes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_files, "FOLDER", tmp_path)
    command = ["thresholds", "lint", "quickstart", "--root", str(tmp_path / "root")]
    nothing = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert nothing.exit_code == 0
    assert "0 reviewed texts" in nothing.output
    _write(tmp_path, "sw", _line("a1b c2d e3f g4h i5j k6l. " * 9))
    vetoed = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert vetoed.exit_code == 1
    assert "too_many_digits" in vetoed.output
    assert "1 vetoes" in vetoed.output
