"""Rules beside datatrove's: what ours say, how both are compared, and its program's output."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phloem.filters.op import find_op
from phloem.pipeline.bench.parity import FAMILIES, alike, bench_parity, our_drops, read_drops
from phloem.pipeline.cli.app import app

DATATROVE = os.environ.get("PHLOEM_TEST_DATATROVE")
PROSE = "The river that runs by the old mill is to be crossed with care, as those who have know."


def documents(count: int) -> list[dict[str, str]]:
    texts = [f"Day {n} it is.\n{PROSE}\n" * 5 for n in range(count)]
    return [{"id": str(n), "text": text, "lang": "en"} for n, text in enumerate(texts)]


def test_every_rule_has_a_column_of_its_filters_op() -> None:
    for name, rules in FAMILIES.values():
        columns = {column.name for column in find_op(name, {}).writes}
        assert {rule.column for rule in rules} <= columns


def test_our_rules_are_each_asked_alone() -> None:
    texts = ["### Lorem ipsum", f"{PROSE} " * 5, f"{PROSE} {{x}}.\n" * 5]
    drops, seconds = our_drops([{"id": str(n), "text": each} for n, each in enumerate(texts)], 1)
    assert "Gopher quality: too_short" in drops["0"]
    assert "Gopher quality: too_many_hashes" in drops["0"]
    assert not {name for name in drops["1"] if name.startswith("Gopher quality")}
    assert "Gopher repetition: lines_repeat" in drops["2"]
    assert {"C4 quality: braces", "FineWeb quality: line_chars_repeat"} <= drops["2"]
    assert set(seconds) == {"datatrove_quality", "datatrove_repetition", "datatrove_c4"}


def test_documents_count_as_alike_where_both_drop_or_both_keep() -> None:
    found = {"a": ["x"], "b": ["x"], "c": ["y"], "d": []}
    lines = [{"id": id_, "drops": drops} for id_, drops in found.items()]
    ours = {id_: frozenset(drops) for id_, drops in zip("abcd", ("x", "y", "", "x"), strict=True)}
    theirs = read_drops("\n".join(map(json.dumps, lines)))
    assert alike("row", ["x"], ours, theirs) == {
        "row": "row",
        "documents": 4,
        "ours drop": 2,
        "theirs drop": 2,
        "alike": "50.00%",
    }
    assert alike("row", ["x", "y"], ours, theirs)["alike"] == "50.00%"


def test_the_command_without_datatrove_says_what_it_needs(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "parity", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "--datatrove" in result.output


@pytest.mark.skipif(DATATROVE is None, reason="PHLOEM_TEST_DATATROVE names no Python")
def test_datatrove_decides_as_our_measures(tmp_path: Path) -> None:
    from phloem.pipeline.bench.chain import write_sample

    data = write_sample(documents(30), tmp_path / "data")
    told: list[str] = []
    rows = list(bench_parity(data, datatrove=str(DATATROVE), repeat=1, told=told.append))
    assert [row["alike"] for row in rows] == ["100.00%"] * 34
    assert {"MB/s", "peer MB/s", "ratio"} <= set(rows[0])
