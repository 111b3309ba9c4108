"""The op `quality`: a classifier's score of a text, and the draw that keeps some of what is low."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest

from phloem.filters.op import Op, OpError, find_op, ops
from phloem.filters.quality import draws
from phloem.filters.versions import model_paths

TEXTS = [
    "The old harbour was quiet,\nand they said nothing of it.",
    "def f(self):\n    return self.value if self.value is not None else default",
    "አንድ መቶ ሰዎች ወደ ወደብ መጡ።\n\n港は静かだった。",
    "__label__good __label__bad 😀 \x00 broken \ufffd",
    "word " * 5000,
]
SHA256 = "ab" * 32


@pytest.fixture(scope="module")
def one() -> Op:
    return ops()["quality"].sampled


def _scored(one: Op, texts: list[str | None]) -> list[list[Any]]:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    return [array.to_pylist() for array in one(batch, model_paths(one)).arrays]


def test_score_is_the_probability_that_the_library_gives_the_label(one: Op) -> None:
    (path,) = model_paths(one).values()
    library = fasttext.load_model(path)
    scores, _ = _scored(one, list(TEXTS))
    for text, score in zip(TEXTS, scores, strict=True):
        labels, chances = library.predict(text.replace("\n", " "), k=2)
        theirs = dict(zip(labels, chances, strict=True))["__label__good"]
        assert score == pytest.approx(theirs, abs=2e-4)


def test_label_of_the_other_side_gives_the_rest(one: Op) -> None:
    other = one.bind({"label": "__label__bad"})
    good, bad = _scored(one, list(TEXTS))[0], _scored(other, list(TEXTS))[0]
    assert [a + b for a, b in zip(good, bad, strict=True)] == pytest.approx([1.0] * 5, abs=2e-4)


def test_text_without_words_has_no_score(one: Op) -> None:
    assert _scored(one, ["", " \n\u3000\t", None]) == [[None] * 3, [None] * 3]


@pytest.mark.parametrize("alpha", [3.0, 9.0])
def test_draws_are_as_often_above_a_number_as_paretos_are(alpha: float) -> None:
    texts = pa.array([f"text {number}" for number in range(20_000)])
    found = draws(texts, alpha)
    for bound in (0.05, 0.2, 0.5):
        assert np.mean(found > bound) == pytest.approx((1 + bound) ** -alpha, abs=0.012)
    assert found.min() >= 0
    assert np.isfinite(found).all()


def test_draw_is_of_the_text_and_of_nothing_else() -> None:
    texts = pa.array(["a", "b", "a", None, "é"])
    found = draws(texts, 9)
    assert found[0] == found[2] != found[1]
    assert draws(texts.slice(4), 9)[0] == found[4]


def test_margin_keeps_what_the_rule_of_gpt3_keeps(one: Op) -> None:
    texts = [f"{text} {number}" for text in TEXTS for number in range(40)]
    scores, margins = _scored(one, list(texts))
    drawn = draws(pa.array(texts), 9)
    kept = [margin > 0 for margin in margins]
    clear = [abs(margin) > 1e-3 for margin in margins]
    rule = [x > 1 - score for x, score in zip(drawn, scores, strict=True)]
    assert [k for k, c in zip(kept, clear, strict=True) if c] == [
        r for r, c in zip(rule, clear, strict=True) if c
    ]


def test_recipe_must_give_a_model_and_a_label() -> None:
    with pytest.raises(OpError, match="op quality lacks model, label; it takes"):
        find_op("quality", {})
    with pytest.raises(OpError, match="op quality lacks label"):
        find_op("quality", {"model": {"path": "a.bin", "sha256": SHA256}})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"label": "hq"}, r"sample-quality.bin: it has no label 'hq'; it has good, bad"),
        ({"alpha": 0}, "alpha is 0; it is a number above 0"),
        ({"alpha": "nine"}, "alpha is 'nine'"),
    ],
)
def test_what_does_not_suit_is_told_before_the_work(
    one: Op, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(OpError, match=said):
        one.bind(params).check_files(model_paths(one))


def test_file_that_is_no_classifier_is_named_as_the_recipe_names_it(
    one: Op, tmp_path: Path
) -> None:
    wrong = tmp_path / "model.bin"
    wrong.write_bytes(b"GGUF and more of it, but no classifier")
    bound = one.bind({"model": {"path": "models/own.bin", "sha256": SHA256}})
    with pytest.raises(OpError, match=r"op quality: model models/own.bin: .*is no model"):
        bound.check_files({SHA256: str(wrong)})


def test_model_of_languages_says_that_it_has_none_of_quality(one: Op) -> None:
    bound = one.bind({"model": {"path": "lid.ftz", "sha256": SHA256}})
    own = Path(__file__).parents[2] / "filters" / "models" / "phloem-lid.ftz"
    with pytest.raises(OpError, match=r"lid.ftz: it has no label 'good'; it has .*, …"):
        bound.check_files({SHA256: str(own)})
