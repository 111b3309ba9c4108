"""Training a classifier of quality out of files of one's own and out of cards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from phloem.catalog.store import Store
from phloem.filters.fasttext_model import read_model
from phloem.filters.quality import lines
from phloem.pipeline.quality.card import card
from phloem.pipeline.quality.examples import Example, examples
from phloem.pipeline.quality.train import (
    BAD,
    GOOD,
    Score,
    Settings,
    Trained,
    TrainingError,
    area,
    train,
)
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.workspace import find_workspace

SMALL = Settings(dim=4, buckets=1000, least_count=1)
PROSE = (
    "The harbour lay still under the morning fog, and nobody spoke of the ship number {0}.",
    "Bandari ilikuwa kimya asubuhi, na hakuna aliyesema juu ya meli ya {0}.",
    "ਸਵੇਰ ਦੀ ਧੁੰਦ ਵਿੱਚ ਬੰਦਰਗਾਹ ਸ਼ਾਂਤ ਸੀ {0}।",
)
SPAM = "buy cheap watches {0} click here free shipping {0} __label__good best price 😀"


def _made(pattern: str | tuple[str, ...], count: int, source: str = "own") -> list[Example]:
    patterns = (pattern,) if isinstance(pattern, str) else pattern
    texts = [patterns[n % len(patterns)].format(n) for n in range(count)]
    return [Example(source, text, _hash_of(text)) for text in texts]


def _hash_of(text: str) -> int:
    return int(xxhash.xxh3_64_intdigest(text.encode()))


def _trained(folder: Path, name: str = "own.bin", count: int = 400) -> tuple[Path, Trained]:
    out = folder / name
    return out, train(_made(PROSE, count), _made(SPAM, count), out, SMALL, lambda _: None)


def test_classifier_tells_what_it_was_taught(tmp_path: Path) -> None:
    out, trained = _trained(tmp_path)
    assert read_model(out).labels in {
        ("__label__good", "__label__bad"),
        ("__label__bad", "__label__good"),
    }
    assert trained.score is not None
    assert trained.score.auc > 0.99
    assert trained.score.documents[GOOD] + trained.score.documents[BAD] == 800 - sum(
        trained.documents[side]["own"] for side in (GOOD, BAD)
    )
    assert trained.score.pareto_kept[GOOD] > 0.8
    assert trained.score.pareto_kept[BAD] < 0.2


@pytest.mark.parametrize("name", ["own.bin", "own.ftz"])
def test_same_documents_give_the_same_bytes_in_any_order(tmp_path: Path, name: str) -> None:
    first, one = _trained(tmp_path, name)
    second = tmp_path / f"again-{name}"
    other = train(_made(PROSE, 400)[::-1], _made(SPAM, 400), second, SMALL, lambda _: None)
    assert first.read_bytes() == second.read_bytes()
    assert one.sha256 == other.sha256


def test_text_of_both_sides_trains_nothing(tmp_path: Path) -> None:
    both = _made("both sides have {0}", 50)
    good, bad = [*_made(PROSE, 100), *both], [*both, *_made(SPAM, 100)]
    trained = train(good, bad, tmp_path / "own.bin", SMALL, lambda _: None)
    assert trained.on_both_sides == 50
    assert trained.documents[GOOD]["own"] + trained.score.documents[GOOD] == 100  # type: ignore[union-attr]


def test_side_is_cut_to_its_bytes_by_hash(tmp_path: Path) -> None:
    settings = Settings(side_bytes=20_000, dim=4, buckets=1000, least_count=1)
    many = _made(PROSE, 2000)
    out = tmp_path / "own.bin"
    trained = train(many, _made(SPAM, 200), out, settings, lambda _: None)
    least = sorted(many, key=lambda each: each.number)
    size = kept = 0
    while size + len(least[kept].text.encode()) <= 20_000:
        size += len(least[kept].text.encode())
        kept += 1
    assert trained.documents[GOOD]["own"] + trained.score.documents[GOOD] == kept  # type: ignore[union-attr]
    again = tmp_path / "again.bin"
    train(many[::-1], _made(SPAM, 200), again, settings, lambda _: None)
    assert out.read_bytes() == again.read_bytes()


def test_too_few_documents_are_told_for_both_sides(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"\d+ good and \d+ bad documents to train on.*needs 20"
    ):
        train(_made(PROSE, 9), _made(SPAM, 12), tmp_path / "own.bin", SMALL, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_area_counts_pairs_in_order() -> None:
    good, bad = np.array([0.9, 0.5, 0.4]), np.array([0.1, 0.5])
    pairs = [1.0 if g > b else 0.5 if g == b else 0.0 for g in good for b in bad]
    assert area(good, bad) == pytest.approx(sum(pairs) / len(pairs))


def test_card_says_what_it_learned_from_and_that_nothing_was_held_out() -> None:
    registry = load_registry(find_workspace())
    documents = {GOOD: {"prose": 556}, BAD: {"web/*.jsonl": 90}}
    score = Score({GOOD: 60, BAD: 10}, 0.987, 0.95, {GOOD: 0.9, BAD: 0.01})
    told = card("q.ftz", Trained("ab" * 32, documents, 3, score), SMALL, registry, "phloem …")
    assert "| good | `prose` | LicenseRef-public-domain | 556 |" in told
    assert "| bad | `web/*.jsonl` | own files | 90 |" in told
    assert "60 good and 10 bad; area under the ROC curve 0.9870" in told
    assert "on both sides, which trained nothing: 3" in told
    unknown = card("q.ftz", Trained("ab" * 32, documents, 0, None), SMALL, registry, "phloem …")
    assert "nobody knows how right it is" in unknown


def test_examples_are_read_from_cards_and_own_files_each_text_once(tmp_path: Path) -> None:
    path = tmp_path / "web.jsonl"
    rows = [{"body": "one page"}, {"body": "two pages"}, {"body": "one page"}, {"body": " "}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    workspace = find_workspace()
    registry, store = load_registry(workspace), Store(str(tmp_path / "root"))
    named = [str(path), "udhr"]
    found = list(examples(store, registry, workspace, named, "body", lambda _: None))
    own = [each for each in found if each.source == str(path)]
    assert [each.text for each in own] == ["one page", "two pages"]
    assert sum(each.source == "udhr" for each in found) > 100
    assert own[0].number == _hash_of("one page")


def test_label_within_a_text_teaches_nothing(tmp_path: Path) -> None:
    out, _ = _trained(tmp_path)
    classifier = read_model(out)
    vectors, _ = classifier.vectors(lines(pa.array(["buy cheap watches"])))
    best, _ = classifier.best(vectors)
    assert classifier.labels[best[0]] == "__label__bad"
