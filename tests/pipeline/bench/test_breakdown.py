"""Where the seconds of a run go: every stage and op has its row, and the sums are right."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from phloem.pipeline.bench import breakdown
from phloem.pipeline.bench.cost import load_prices
from phloem.pipeline.request import OwnFiles, find_request
from phloem.pipeline.stage import StageError

TEXTS = [
    "Every one has the right to freedom of thought. " * 9,
    "हर व्यक्ति को विचार की स्वतंत्रता का अधिकार है। " * 9,
    "人人有思想、良心和宗教自由的权利。" * 9,
]


def _folder(path: Path, texts: list[str]) -> Path:
    path.mkdir()
    with gzip.open(path / "part-0.jsonl.gz", "wt", encoding="utf-8") as out:
        for number in range(40 if texts else 0):
            text = f"{number} {texts[number % len(texts)]}"
            out.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")
    return path


def test_every_stage_and_op_has_a_row_and_the_last_is_their_sum(tmp_path: Path) -> None:
    told: list[str] = []
    folder = _folder(tmp_path / "sample", TEXTS)
    rows = breakdown.bench_breakdown(folder, load_prices(), told=told.append)
    *found, whole = [row["row"] for row in rows]
    request, _, _ = find_request("quickstart", str(tmp_path), workers=1, own=OwnFiles(str(folder)))
    ops = [f"measure: {op.name}" for op in request.recipe.ops]
    assert [name for name in found if ":" in name] == ops
    assert [name for name in found if ":" not in name] == [line.split(":")[0] for line in told]
    assert {"ingest", "measure", "dedup", "compose", "tokenize"} <= set(found)
    by_name = {row["row"]: row for row in rows}
    assert "CPU s/MB" not in by_name["tokenizer"]  # a sample of one size, whatever comes in
    grown = [row for row in rows[:-1] if ":" not in row["row"] and "CPU s/MB" in row]
    assert rows[-1]["row"] == whole == breakdown.ALL
    assert rows[-1]["CPU s"] == pytest.approx(sum(row["CPU s"] for row in grown), abs=0.1)
    assert all(row["MB written"] >= 0 for row in grown)
    # 3,600 seconds a core hour, 10^6 MB a TB
    for row in grown:
        assert row["core h/TB"] == pytest.approx(row["CPU s/MB"] * 1e6 / 3600, rel=0.05, abs=0.1)
        assert row["money/TB"].endswith(" USD")


def test_a_sample_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no text"):
        breakdown.bench_breakdown(
            _folder(tmp_path / "empty", []), load_prices(), told=lambda _: None
        )
