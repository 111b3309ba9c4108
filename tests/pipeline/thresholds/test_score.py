"""The recipe `quickstart` keeps sound prose of many languages and genres, and drops rubbish."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.versions import model_paths
from phloem.pipeline.langid.texts import Text
from phloem.pipeline.recipe import load_recipe
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.thresholds.reference import DERIVE, SCORE, cut, pieces
from phloem.pipeline.thresholds.rubbish import MAKERS, rubbish
from phloem.pipeline.thresholds.score import made_rubbish, of_rubbish, of_sound, reasons
from phloem.pipeline.workspace import find_workspace

UDHR = Path(__file__).parents[3] / "sources" / "bundled" / "udhr.jsonl.gz"
TAGS = ("am", "ar", "bn", "el", "en", "fr", "he", "hi", "ka", "ko", "ml", "ru", "sw", "ta", "te")
UNSPACED = ("ja", "km", "th", "zh-Hans")

GENRES = json.loads(Path(__file__).with_name("genres.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def judge() -> Callable[[list[str], list[str]], list[str | None]]:
    """The first rule of `quickstart` that each text fails, but for those on size."""
    workspace = find_workspace()
    recipe = load_recipe("quickstart", workspace, sorted(load_registry(workspace).cards))
    ops = recipe.bound_ops(workspace)
    paths = {name: path for op in ops for name, path in model_paths(op).items()}
    return lambda texts, tags: reasons(ops, recipe.keep, paths, texts, tags)


@pytest.fixture(scope="module")
def declarations() -> list[Text]:
    with gzip.open(UDHR, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    known = {row["language"]: row["text"] for row in rows}
    return [Text(tag, "udhr", f"udhr-{tag}", known[tag]) for tag in (*TAGS, *UNSPACED)]


@given(st.text("aé 1.,\n你ก़ि", max_size=80), st.integers(1, 9))
def test_pieces_are_the_text_in_order_and_have_the_words(text: str, words: int) -> None:
    found = list(cut(text, words))
    place = 0
    for piece in found:
        assert piece == piece.strip()
        place = text.index(piece, place) + len(piece)
    assert sum(map(len, found)) <= len(text)
    assert bool(found) == any(True for _ in cut(text, words))


def test_halves_share_no_block(declarations: list[Text]) -> None:
    cut_ = pieces(declarations, 60)
    assert {piece.half for piece in cut_} == {DERIVE, SCORE}
    halves = [{p.text for p in cut_ if p.half == half and p.words == 50} for half in (0, 1)]
    assert not halves[0] & halves[1]
    assert {piece.language for piece in cut_} == {*TAGS, *UNSPACED}


def test_sound_prose_is_kept_in_every_script(
    declarations: list[Text], judge: Callable[[list[str], list[str]], list[str | None]]
) -> None:
    cut_ = [piece for piece in pieces(declarations, 60) if piece.words == 100]
    found = judge([piece.text for piece in cut_], [piece.language for piece in cut_])
    rows = of_sound(cut_, found)
    assert {row.group for row in rows} == {*TAGS, *UNSPACED}
    dropped, texts = (sum(getattr(row, name) for row in rows) for name in ("dropped", "texts"))
    assert texts > 300
    assert dropped <= 0.02 * texts, {row.group: row.rules for row in rows if row.dropped}


@pytest.mark.parametrize("genre", GENRES)
def test_genres_are_no_rubbish(
    genre: str, judge: Callable[[list[str], list[str]], list[str | None]]
) -> None:
    own = GENRES[genre]
    assert judge([own["text"]], [own["language"]]) == [None]


# What is known to be found too seldom stands in docs/fairness.md.
LEAST = {"shuffled words": 0.2, "mojibake": 0.7, "keyboard mash": 0.75, "scan": 0.85}


def test_rubbish_of_every_kind_goes(
    declarations: list[Text], judge: Callable[[list[str], list[str]], list[str | None]]
) -> None:
    made = made_rubbish(pieces(declarations, 60), seed=5)
    assert {kind for kind, _, _ in made} == set(MAKERS)
    found = judge([text for _, _, text in made], [tag for _, tag, _ in made])
    for row in of_rubbish([kind for kind, _, _ in made], found):
        assert row.dropped >= LEAST.get(row.group, 0.95) * row.texts, row


def test_rubbish_is_the_same_for_the_same_seed(declarations: list[Text]) -> None:
    text = declarations[0].text[:900]
    for kind in MAKERS:
        assert rubbish(kind, text, 1) == rubbish(kind, text, 1)
        assert rubbish(kind, text, 1).strip() != text.strip()
