"""Text by language and source, and the pieces that it is cut in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.store import Store
from phloem.pipeline.langid.texts import Text, capped, pieces, shared_out, texts
from phloem.pipeline.registry.registry import AskedError, load_registry
from phloem.pipeline.workspace import Workspace

DECLARATION = "Abantu bonke bazalwa bekhululekile belingana ngesithunzi nangamalungelo. " * 20


def _text(text: str, language: str = "zu", source: str = "a", document: str = "d") -> Text:
    return Text(language, source, document, text)


def test_documents_of_one_declared_language_are_read_as_a_run_reads_them(tmp_path: Path) -> None:
    found = list(
        texts(Store(str(tmp_path)), load_registry(Workspace()), Workspace(), ["udhr"], print)
    )
    by_language = {each.language: each for each in found}
    assert len(found) > 100
    assert by_language["zu"].source == "udhr"
    assert "Bonke abantu" in by_language["zu"].text
    assert "ሰው" in by_language["am"].text
    assert "།" in by_language["dz"].text


def test_a_source_that_is_not_there_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(AskedError, match=r"'udrh'.*udhr"):
        list(texts(Store(str(tmp_path)), load_registry(Workspace()), Workspace(), ["udrh"], print))


@given(
    st.text(st.sampled_from("ab ሰው།字\n"), max_size=400),
    st.integers(1, 30),
    st.integers(0, 30),
    st.integers(0, 3),
)
def test_pieces_are_as_long_as_asked_and_lie_in_the_text(
    text: str, least: int, more: int, seed: int
) -> None:
    line = " ".join(text.split())
    found = list(pieces([_text(text)], least, least + more, seed))
    assert all(0 < len(piece.text) <= least + more for piece in found)
    at = 0
    for piece in found:
        at = line.index(piece.text, at) + len(piece.text)
    assert found == list(pieces([_text(text)], least, least + more, seed))


def test_a_piece_ends_at_a_blank_where_there_is_one() -> None:
    words = set(DECLARATION.split())
    found = [piece.text for piece in pieces([_text(DECLARATION)], 50, 60)]
    assert all(word in words for text in found for word in text.split())
    assert [len(piece.text) for piece in pieces([_text("字" * 100)], 40, 40)] == [40, 40]


def test_pieces_of_a_document_do_not_depend_on_what_stands_before_it() -> None:
    first, second = _text(DECLARATION, document="x"), _text(DECLARATION[7:], document="y")
    alone = list(pieces([second], 20, 60))
    assert list(pieces([first, second], 20, 60))[-len(alone) :] == alone


def test_sources_share_evenly_and_the_small_give_all() -> None:
    assert shared_out({"a": 10, "b": 100, "c": 100}, 80, 100) == {"a": 10, "b": 45, "c": 45}
    assert shared_out({"a": 10, "b": 100}, 40, 1000) == {"a": 10, "b": 40}


def test_a_cap_holds_for_sources_and_languages_and_a_piece_counts_once() -> None:
    many = [_text(f"umuntu {n:04}", source=source) for source in "ab" for n in range(100)]
    found = capped(many, 600, 900)
    size = {s: sum(len(each.text) for each in found if each.source == s) for s in "ab"}
    assert size["a"] <= 450
    assert len({each.text for each in found}) == len(found)
    assert found == capped(reversed(many), 600, 900)
