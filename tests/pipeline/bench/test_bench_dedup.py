"""What is planted, how alike documents are, and the rows that come of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workspace import ARTICLES

from phloem.filters.minhash import words_of
from phloem.pipeline.bench import dedup, likeness
from phloem.pipeline.bench.chain import write_sample
from phloem.pipeline.bench.planted import Likeness, edited, expected, plant, word_spans

# A peer that takes out every copy that its id shows, and the first document.
PEER = """
import gzip, json, sys
from pathlib import Path
lines = gzip.open(Path(sys.argv[1]) / "sample.jsonl.gz", "rt", encoding="utf-8")
gone = [n for n, line in enumerate(lines) if n == 0 or "#" in json.loads(line)["id"]]
Path(sys.argv[2], "removed.json").write_text(json.dumps(gone))
"""
TEXTS = [ARTICLES[language] for language in sorted(ARTICLES)]


@given(st.one_of(st.text(max_size=60), st.sampled_from(TEXTS)))
def test_spans_are_the_words_of_signatures(text: str) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words_of(text)


def test_edits_change_a_few_words_and_nothing_between_them() -> None:
    from random import Random

    for text in TEXTS:
        copy = edited(text, ["word"], Random(3), 0.04)  # noqa: S311 - no secret
        assert copy == edited(text, ["word"], Random(3), 0.04)  # noqa: S311
        words = len(words_of(text))
        assert copy != text
        assert abs(len(words_of(copy)) - words) <= max(1, round(words * 0.05)) + 1


def test_planted_pairs_are_there_by_language_and_as_many_as_asked() -> None:
    documents = [
        {"id": f"{language}{n}", "text": f"{n} {text}", "lang": language}
        for language, text in ARTICLES.items()
        for n in range(3)
    ]
    together, pairs = plant(documents, 1, {"th": 7})
    known = {document["id"] for document in together}
    assert len(together) == len(documents) + len(pairs) == len(known)
    assert {pair.document for pair in pairs} | {pair.copy for pair in pairs} <= known
    assert sum(pair.language == "th" for pair in pairs) in {0, 7}
    assert (together, pairs) == plant(documents, 1, {"th": 7})
    assert together != plant(documents, 2, {"th": 7})[0]


@given(st.lists(st.text("ab \n", max_size=40), min_size=1, max_size=8))
def test_likeness_is_that_of_sets_of_shingles(texts: list[str]) -> None:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = words_of(text)
        size = min(5, len(words))
        return (
            {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}
            if words
            else set()
        )

    sets = [shingles(text) for text in texts]
    like = Likeness(texts)
    for row, own in enumerate(sets):
        wanted = [
            len(own & other) / len(own | other) if place != row and own | other else 0.0
            for place, other in enumerate(sets)
        ]
        assert like.of(row) == pytest.approx(wanted)


def test_the_chance_of_a_band_is_that_of_the_curve() -> None:
    assert expected(np.array([0.75, 1.0, 0.0]), 14, 8) == pytest.approx([0.7725, 1, 0], abs=1e-3)


def test_bench_gives_each_tool_and_each_language_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "pytest_dedup.py").write_text(PEER, encoding="utf-8")
    monkeypatch.setattr(dedup, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(dedup, "added", lambda *_: [])
    records = [
        {"id": str(n), "text": f"{text} {n}. {text[n : n + 700]}", "lang": language}
        for n in range(6)
        for language, text in ARTICLES.items()
    ]
    data = write_sample(records, tmp_path / "data")
    told: list[str] = []
    peers = {"pytest": sys.executable}
    ours, theirs, *others = dedup.bench_dedup(data, peers=peers, seeds=[5], told=told.append)
    assert [row["row"] for row in others if " x " in row["row"]] == [
        f"seed 5: {bands} x {rows}" for bands, rows in dedup.SETTINGS
    ]
    languages = [row for row in others if row["row"].removeprefix("seed 5: ") in ARTICLES]
    assert ours["pairs"] == theirs["pairs"] == sum(row["pairs"] for row in languages)
    assert theirs["recall"] == 1
    assert ours["precision"] == 1
    assert ours["recall .8"] is None or ours["recall .8"] > 0.9
    assert ours["CPU s"] > 0
    assert "copies planted" in told[0]


def test_shorter_shingles_bear_more_edits_and_forms_are_alike_by_how_much_is_filled_in() -> None:
    texts = [{"text": f"{n} {text}" * 12, "lang": "th"} for n in range(70) for text in TEXTS[:1]]
    short, middle, long = likeness.units(texts, 1)
    assert 1 > short["2 %"] > middle["2 %"] > long["2 %"] > long["5 %"] > 0
    assert short["row"] == "th, 3 words"
    rows = {row["row"]: row for row in likeness.templates(1)}
    assert rows["form"]["others"] < rows["recipe"]["others"] < rows["legal notice"]["others"]
    assert rows["form"]["go at 0.6"] == "0%"
    assert rows == {row["row"]: row for row in likeness.templates(1)}
