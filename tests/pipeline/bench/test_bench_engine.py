"""The engine's benchmark: its sample, and that it measures what it says."""

import gzip
import json
from pathlib import Path

import pytest
from tiny_workspace import ARTICLES
from typer.testing import CliRunner

from phloem.pipeline.bench.engine import write_sample
from phloem.pipeline.cli.app import app
from phloem.pipeline.stage import StageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    with gzip.open(folder / "a.jsonl.gz", "wt", encoding="utf-8") as lines:
        for tag, text in ARTICLES.items():
            lines.write(json.dumps({"id": tag, "text": text, "lang": tag}) + "\n")
    return folder


def test_the_sample_has_the_size_asked_for_and_no_near_duplicates(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phloem.pipeline.bench.engine.FILE_BYTES", 200_000)
    write_sample(data, tmp_path / "made", 1)
    files = sorted((tmp_path / "made").glob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    size = sum(len(row["text"].encode()) for row in rows)
    assert 10**6 <= size < 10**6 + 1000
    assert len({row["id"] for row in rows}) == len(rows)
    english = [row["text"] for row in rows if row["lang"] == "en"]
    assert english[0] == ARTICLES["en"]
    assert len(set(english)) == len(english)
    assert all(sorted(text.split()) == sorted(ARTICLES["en"].split()) for text in english)
    thai = [row["text"] for row in rows if row["lang"] == "th"]
    assert len(set(thai)) == len(thai)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"holds no \*\.jsonl\.gz"):
        write_sample(tmp_path, tmp_path / "made", 1)


@pytest.mark.nightly
@pytest.mark.beam
def test_rows_say_what_was_measured(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phloem.pipeline.bench.engine.FILE_BYTES", 200_000)
    result = CliRunner().invoke(
        app, ["bench", "engine", "--data", str(data), "--size", "1", "--json"]
    )
    assert result.exit_code == 0, result.output
    rows = {row["row"]: row for row in json.loads(result.stdout)}
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == list(rows)
    assert rows["measure, Beam in this process"]["says"].endswith("CPU over the plain loop")
    assert rows["measure, 2 workers"]["says"].endswith("times one worker")
    run = rows["whole run of quickstart, 1 MB"]
    assert run["wall s"] > 1
    assert 0.1 < run["peak GB"] < 8
    assert float(run["says"].split()[-2]) > 0
