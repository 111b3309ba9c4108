"""Text for models of languages: cut, capped, shared out, and split by source."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.tags import TagError
from phloem.pipeline.langid.corpus import CorpusError, corpus_of, label_of
from phloem.pipeline.langid.texts import Text, byte_size, capped, pieces, shared_out
from phloem.pipeline.registry.registry import AskedError, Registry, load_registry
from phloem.pipeline.workspace import find_workspace

HAUSA = "Kowane mutum an haife shi da 'yanci, kuma darajarsu da hakkokinsu daya ne."
DZONGKHA = "འགྲོ་བ་མི་རིགས་ག་ར་དབང་ཆ་འདྲ་མཏམ་འབད་སྒྱེཝ་ལས་ག་ར་གིས་གཅིག་གིས་གཅིག་ལུ་སྤུན་ཆའི་དམ་ཚིག་བསྟན་དགོས།"
CHINESE = "人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心。" * 3


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(find_workspace())


@given(
    st.lists(st.sampled_from([HAUSA, DZONGKHA, CHINESE, "", "a b"]), max_size=4),
    st.integers(1, 30),
    st.integers(0, 60),
    st.integers(0, 3),
)
def test_pieces_are_the_text_in_order(parts: list[str], least: int, more: int, seed: int) -> None:
    text = "\n".join(parts)
    cut = [piece.text for piece in pieces([Text("ha", "s", "d", text)], least, least + more, seed)]
    line = " ".join(text.split())
    place = 0
    for piece in cut:
        place = line.index(piece, place) + len(piece)
        assert len(piece) <= least + more
    assert len(line) - place <= least


def test_words_are_not_cut_and_a_document_is_cut_alike_wherever_it_stands() -> None:
    hausa = Text("ha", "s", "a", HAUSA * 9)
    cut = list(pieces([hausa], 20, 40))
    assert {word for piece in cut for word in piece.text.split()} <= set(hausa.text.split())
    assert list(pieces([Text("zh", "s", "b", CHINESE), hausa], 20, 40))[-len(cut) :] == cut
    assert list(pieces([hausa], 20, 40, seed=1)) != cut


def test_what_is_drawn_is_spread_over_sources_and_is_there_once() -> None:
    long = [Text("ha", "long", "a", f"{HAUSA} {number}") for number in range(100)]
    short = [Text("ha", "short", "b", HAUSA), Text("ha", "short", "c", HAUSA)]
    chosen = capped([*long, *short], 4_000, 2_000)
    assert byte_size(chosen) <= 2_000
    assert [piece.source for piece in chosen].count("short") == 1
    assert capped([*short, *reversed(long)], 4_000, 2_000) == chosen
    assert capped([*long, *short], 4_000, 2_000, seed=1) != chosen


def test_bytes_are_shared_the_least_first() -> None:
    assert shared_out({"a": 10, "b": 500, "c": 900}, 400, 600) == {"a": 10, "b": 295, "c": 295}
    assert shared_out({"a": 10, "b": 500}, 100, 600) == {"a": 10, "b": 100}
    assert shared_out({}, 1, 1) == {}


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("zh-Hant-TW", "zh"),
        ("cmn", "zh"),
        ("pt_br", "pt"),
        ("ca-valencia", "ca"),
        ("sr-Latn", "sr-Latn"),
        ("ug-Arab", "ug"),
        ("mn-Cyrl", "mn"),
        ("ha-NG", "ha"),
        ("ckb-Latn", "ku"),
        ("no", "nb"),
        ("swh", "sw"),
    ],
)
def test_a_label_is_a_language_in_an_unusual_script(tag: str, label: str) -> None:
    assert label_of(tag) == label


def test_a_label_that_is_no_tag_is_refused() -> None:
    with pytest.raises(TagError, match="'xzulu' is no language tag"):
        label_of("xzulu")


def test_the_list_reads_files_that_a_card_leaves_out(registry: Registry) -> None:
    corpus = corpus_of(registry)
    card = corpus.registry.cards["mediawiki-messages"]
    assert {"ny", "tum", "kok-Latn", "zu"} <= set(card.languages)
    assert card.license == registry.cards["mediawiki-interface"].license
    assert corpus.registry.pins["mediawiki-messages"] == registry.pins["mediawiki-interface"]


def test_a_source_trains_or_scores_in_a_language(registry: Registry) -> None:
    corpus = corpus_of(registry)
    assert corpus.is_scored("udhr", "zu")
    assert not corpus.is_scored("udhr", "ny")
    assert corpus.is_scored("wesnoth-campaigns", "xx")
    assert not corpus.is_scored("evolution-interface", "zu")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cards: [udhr\n", "cannot be read"),
        ("cards: []\n", "cards"),
        ("cards: [udhr]\nmore: 3\n", "more"),
        ("cards: [udhr, udhr]\n", "udhr more than once"),
        ("cards: [udhr]\nscored: {vim-tutor: all}\n", "scores by 'vim-tutor'.*udhr"),
    ],
)
def test_a_list_that_is_wrong_is_refused_in_a_line(
    text: str, said: str, registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "texts.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=said) as found:
        corpus_of(registry, path)
    assert "\n" not in str(found.value)


def test_cards_that_are_not_there_are_refused(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "texts.yaml"
    path.write_text("cards: [udhr, wesnoth-campaign]\n", encoding="utf-8")
    with pytest.raises(AskedError, match="did you mean wesnoth-campaigns"):
        corpus_of(registry, path)
    path.write_text(
        'cards: [udhr]\nmore: [{id: own, like: udhr, files: "{}.txt", languages: [xzulu]}]\n',
        encoding="utf-8",
    )
    with pytest.raises(TagError, match="xzulu"):
        corpus_of(registry, path)
