"""Bounds out of sound texts: how they follow, for whom, what is written, what is refused."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from phloem.catalog.errors import UseError
from phloem.filters import language_files
from phloem.filters.language_files import derived_bounds
from phloem.filters.op import find_op
from phloem.pipeline.cli.app import app
from phloem.pipeline.thresholds.derive import (
    LEAST,
    Method,
    check_columns,
    derive,
    measured,
    write_bounds,
)
from phloem.pipeline.thresholds.reference import DERIVE, SCORE, Piece

OPS = [find_op(name, {}) for name in ("statistics", "scripts")]
NOW = date(2026, 12, 1)


def _pieces(counts: dict[str, int], half: int = DERIVE) -> list[Piece]:
    return [
        Piece(tag, "tales", 100, half, f"{tag} {n}")
        for tag, own in counts.items()
        for n in range(own)
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_within_the_quantiles_lies_what_is_asked(values: list[float], quantile: float) -> None:
    found = np.array(values)
    low, high = Method(quantile=quantile).bounds(found)
    assert low <= np.quantile(found, 1 - quantile) + 1e-9
    assert high >= np.quantile(found, quantile) - 1e-9
    assert (found >= low - 1e-9).mean() >= quantile - 1 / len(values)
    assert math.isclose(low * 10_000, round(low * 10_000), abs_tol=1e-6)


def test_deviations_are_around_the_median_and_rounded_outward() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.00005])
    low, high = Method(deviations=2).bounds(values)
    off = 2 * values.std()
    assert (low, high) == (math.floor((3 - off) * 1e4) / 1e4, math.ceil((3 + off) * 1e4) / 1e4)
    assert str(Method(deviations=2)) == "the median and 2 standard deviations below and above it"
    assert str(Method(quantile=0.99)) == "the quantiles 0.01 and 0.99"


def test_a_language_needs_so_many_texts_and_else_has_its_script() -> None:
    pieces = [
        *_pieces({"uk": LEAST, "ru": LEAST - 1, "el": LEAST - 1, "th": 3 * LEAST}),
        *_pieces({"uk": 10, "el": 10}, SCORE),
    ]
    values = np.array([float(n) for n, _ in enumerate(pieces)])
    found = {each.tag: each for each in derive(pieces, {"x": values}, Method(quantile=1.0))}
    assert list(found) == ["th", "uk", "und-Cyrl", "und-Thai"]
    assert found["uk"].texts == LEAST
    assert (found["uk"].scored, found["uk"].outside) == (10, 10)
    assert found["und-Cyrl"].texts == 2 * LEAST - 1
    assert found["und-Thai"].texts == LEAST  # no more of a language bear on its script
    assert (found["th"].low, found["th"].high) == (float(3 * LEAST - 2), float(6 * LEAST - 3))


def test_a_piece_without_a_value_counts_for_nothing() -> None:
    pieces = _pieces({"uk": LEAST})
    values = np.array([math.nan, *range(LEAST - 1)], float)
    assert list(derive(pieces, {"x": values}, Method(quantile=1.0))) == []


def test_values_are_those_that_ops_measure() -> None:
    pieces = [Piece("en", "a", 100, DERIVE, text) for text in ("x1y ab", "", "…")]
    found = measured(pieces, ["noisy_word_frac"], [find_op("prose", {})], {})
    assert found["noisy_word_frac"].tolist() == [0.5, 0, 0]


def test_an_op_that_reads_what_pieces_have_not_is_told_before_any_is_measured() -> None:
    with pytest.raises(UseError, match=r"op code reads .*native_id"):
        measured([], ["code_line_count"], [find_op("code", {})], {})


def test_all_columns_that_cannot_be_derived_are_named_together() -> None:
    with pytest.raises(UseError) as caught:
        check_columns(["digit_frc", "script_letters", "digit_frac", "digit_frac"], OPS)
    said = str(caught.value)
    assert "did you mean digit_frac?" in said
    assert "named twice" in said
    assert "script_letters" in said
    assert check_columns(["digit_frac"], OPS)["digit_frac"].name == "statistics"


def test_what_is_written_is_what_rules_read_and_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = _pieces({"uk": LEAST, "ru": LEAST})
    values = {"digit_frac": np.linspace(0.1, 0.2, 2 * LEAST)}
    method = Method(quantile=0.99)
    found = list(derive(pieces, values, method))
    writers = check_columns(["digit_frac"], OPS)
    paths = write_bounds(tmp_path, found, writers, ["tales"], method, NOW)
    assert [path.name for path in paths] == ["ru.yaml", "uk.yaml", "und-Cyrl.yaml"]
    before = [path.read_bytes() for path in paths]
    write_bounds(tmp_path, found, writers, ["tales"], method, NOW)
    assert [path.read_bytes() for path in paths] == before
    assert b"documents: 200" in before[0]
    monkeypatch.setattr(language_files, "BOUNDS", tmp_path)
    monkeypatch.setattr(language_files, "bounds", language_files.bounds.__wrapped__)
    by_tag = {each.tag: each.high for each in found}
    assert derived_bounds("digit_frac", "max") == by_tag


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "either --quantile or --deviations"),
        (["--quantile", "0.9", "--deviations", "2"], "either --quantile or --deviations"),
        (["--quantile", "0.9", "--words", "70"], "50, 100, 300"),
    ],
)
def test_the_command_says_what_it_needs(asked: list[str], said: str) -> None:
    command = ["thresholds", "derive", "--column", "digit_frac", "--date", "2026-12-01", *asked]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert result.exit_code == 2
    assert said in result.output
