from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.story import explain
from phloem.reports.differing import Piece, differing, words
from phloem.reports.duplicates import duplicates, pair_of
from phloem.reports.explain import render_story


def test_duplicates_known_run_counts_and_bins(root: Any) -> None:
    found = duplicates(root.connection, root.store, root.run)
    assert (found.documents, found.identical, found.across, found.found_in) == (2, 1, 2, 1)
    assert dict(found.bins) == {
        "0.70": 0, "0.75": 0, "0.80": 1, "0.85": 0, "0.90": 0, "0.95": 0, "1.00": 1
    }  # fmt: skip


def test_duplicates_matrix_has_dropped_in_rows_and_kept_in_columns(root: Any) -> None:
    matrix = duplicates(root.connection, root.store, root.run).matrix
    assert matrix.sources == ("books", "letters")
    assert matrix.cells == ((0, 0), (2, 0))
    assert matrix.left_out == 0


def test_duplicates_many_sources_say_what_is_left_out(build: Any, known: Any) -> None:
    text, name = known.HARBOUR, "Each ship of the source s{:02} is in its book of ships."
    documents = {
        f"s{n:02}": [known.Document("copy", text), known.Document("own", name.format(n))]
        for n in range(15)
    }
    root = build(documents)
    matrix = duplicates(root.connection, root.store, root.run).matrix
    assert len(matrix.sources) == 12
    assert sum(map(sum, matrix.cells)) + matrix.left_out == 14


def test_duplicates_pair_marks_the_words_that_differ(root: Any) -> None:
    (pair,) = duplicates(root.connection, root.store, root.run).pairs
    assert [p.text for p in pair.dropped.pieces if p.differs] == ["haven", "departed."]
    assert [p.text for p in pair.kept.pieces if p.differs] == ["harbour", "sailed."]
    assert (pair.dropped.source, pair.kept.source) == ("letters", "books")


def test_pair_of_a_dropped_document_is_what_explain_shows(root: Any) -> None:
    (pair,) = duplicates(root.connection, root.store, root.run).pairs
    assert pair_of(root.connection, root.store, root.run, pair.dropped.id) == pair
    assert pair_of(root.connection, root.store, root.run, pair.kept.id) is None
    shown = render_story(explain(root.store, pair.dropped.id), pair=pair)
    assert "dropped     The [haven] master writes" in shown
    assert "kept        The [harbour] master writes" in shown
    assert "[departed.]" in shown
    assert "[sailed.]" in shown


def test_duplicates_pair_has_its_personal_data_masked(build: Any, known: Any) -> None:
    text = f"Ask harbour@portos.pt whose flag flew. {known.HARBOUR}"
    texts = (text, text.replace("flag", "sail", 1))
    root = build({"a": [known.Document(str(n), each) for n, each in enumerate(texts)]})
    (pair,) = duplicates(root.connection, root.store, root.run).pairs
    for side in (pair.dropped, pair.kept):
        shown = "".join(piece.text for piece in side.pieces)
        assert "[email]" in shown
        assert "portos.pt" not in shown


def test_duplicates_none_gives_empty_sections(build: Any, known: Any) -> None:
    root = build({"a": [known.Document("1", known.HARBOUR)]})
    found = duplicates(root.connection, root.store, root.run)
    assert (found.documents, found.bins, found.pairs, found.matrix.sources) == (0, (), (), ())


@given(st.text())
def test_words_any_text_joins_to_itself(text: str) -> None:
    assert "".join(words(text)) == text


def test_words_unspaced_script_falls_apart_with_its_marks() -> None:
    text = "นายท่าเรือเขียนชื่อเรือทุกลำลงในสมุด"
    found = words(text)
    assert "ท่" in found
    assert len(found) < len(text)


def test_differing_long_equal_stretches_are_cut_around_the_difference() -> None:
    same = " ".join(f"w{n}" for n in range(200))
    left, right = differing(f"{same} old {same}", f"{same} new {same}")
    assert Piece("old", differs=True) in left
    assert Piece("new", differs=True) in right
    assert sum(len(piece.text) for piece in left) < 200


@pytest.mark.parametrize(("left", "right"), [("", ""), ("", "a"), ("a", "")])
def test_differing_empty_text_has_no_pieces(left: str, right: str) -> None:
    mine, other = differing(left, right)
    assert "".join(p.text for p in mine) == left
    assert "".join(p.text for p in other) == right
