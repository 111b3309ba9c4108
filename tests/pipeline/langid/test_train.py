"""Training: the same bytes from the same texts, in several scripts, or a refusal."""

from collections import Counter
from pathlib import Path

import pytest

from phloem.filters.language_models import load
from phloem.pipeline.langid.card import card, confusions
from phloem.pipeline.langid.corpus import Corpus
from phloem.pipeline.langid.texts import Text
from phloem.pipeline.langid.train import Settings, Trained, TrainingError, train
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.workspace import find_workspace

SMALL = Settings(
    language_bytes=3_000, least_bytes=100, buckets=2_000, least_count=1, cutoff=600, epochs=20
)
WORDS = {
    "ny": "anthu onse amabadwa mwa ufulu ndiponso ofanana mu ulemu ndi maufulu awo iwo ndi",
    "tum": "wanthu wose wakubabika wanangwa na mtunthu umoza mu ulemu na wanangwa wawo na",
    "ti": "ብመንፅር ክብርን መሰልን ኩሎም ሰባት እንትውለዱ ነፃን ማዕርን እዮም ምስትውዓልን ሕልናን",
    "dz": "འགྲོ་བ་མི་རིགས་ག་ར་ དབང་ཆ་འདྲ་མཏམ་ འབད་སྒྱེཝ་ལས་ ག་ར་གིས་ གཅིག་གིས་ གཅིག་ལུ་ སྤུན་ཆའི་ དམ་ཚིག་ བསྟན་དགོས།",
    "sr-Latn": "sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima ona su",
}


def _texts(source: str, step: int) -> list[Text]:
    """Some 1,500 characters a language: its words, in another order for each step."""
    found = []
    for language, line in WORDS.items():
        words = line.split()
        order = [words[(place * step) % len(words)] for place in range(240)]
        found.append(Text(language, source, f"{source}-{language}", " ".join(order)))
    return found


def test_the_same_texts_give_the_same_bytes_and_a_model_that_tells_them(tmp_path: Path) -> None:
    one, other = tmp_path / "a.ftz", tmp_path / "b.ftz"
    lines: list[str] = []
    trained = train(_texts("s", 5), one, SMALL, lines.append)
    assert train(iter(_texts("s", 5)), other, SMALL, lines.append) == trained
    assert one.read_bytes() == other.read_bytes()
    assert set(load(str(one)).tags) == set(WORDS)
    taken_for = confusions(one, _texts("held", 7))
    assert {"ny", "tum", "ti", "dz", "sr"} == set(taken_for)
    assert all(set(counts) == {language} for language, counts in taken_for.items())


def test_a_language_with_little_text_has_no_label_and_is_named(tmp_path: Path) -> None:
    few = Text("ki", "s", "d", "andũ othe")
    trained = train([*_texts("s", 5), few], tmp_path / "m.ftz", SMALL, lambda _: None)
    assert trained.left_out == {"ki": 10}
    assert "ki" not in trained.held


@pytest.mark.parametrize("texts", [[], _texts("s", 5)[:1]])
def test_one_language_is_refused(texts: list[Text], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a model needs two: name more sources"):
        train(texts, tmp_path / "m.ftz", SMALL, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_the_card_names_sources_licences_and_confusions() -> None:
    corpus = Corpus(load_registry(find_workspace()), ("udhr", "gnome-interface"), {})
    held = {"ny": {"gnome-interface": 1_900, "udhr": 10_000}, "sr-Latn": {"udhr": 9_000}}
    trained = Trained("ab" * 32, held, {"ki": 780})
    told = card("m.ftz", trained, SMALL, corpus, {"ny": Counter(ny=39, tum=11)}, "do it")
    assert "| ny | 12 | gnome-interface 2, udhr 10 | 39 of 50; tum 11 |" in told
    assert "| sr-Latn | 9 | udhr 9 |  |" in told
    assert "- no label for want of text (bytes): ki 780" in told
    assert (
        "| `gnome-interface` | GPL-2.0-only, GPL-2.0-or-later, GPL-3.0-or-later | 1 | 2 |" in told
    )
    assert "50 pieces" in told
    assert "ab" * 32 in told
