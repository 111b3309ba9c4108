from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.reports.excerpts import cut, mask, masked_texts, texts_of


def span(text: str, part: str, kind: str = "email") -> dict[str, Any]:
    start = text.encode().index(part.encode())
    return {"start": start, "end": start + len(part.encode()), "kind": kind}


@pytest.mark.parametrize(
    "text",
    [
        "Écrivez à a@b.org !",
        "اكتب إلى a@b.org الآن",
        "เขียนถึง a@b.org นะ",
        "写信给a@b.org。",
        "😀a@b.org",
    ],
)
def test_mask_span_in_any_script_is_replaced_by_its_kind(text: str) -> None:
    assert mask(text, [span(text, "a@b.org")]) == text.replace("a@b.org", "[email]")


def test_mask_overlapping_spans_leave_nothing_of_either() -> None:
    text = "call 10.0.0.12345 now"
    spans = [span(text, "0.12345", "phone"), span(text, "10.0.0.12", "ip")]
    assert mask(text, spans) == "call [ip] now"


def test_mask_span_inside_a_character_gives_text_still() -> None:
    assert "é" not in mask("é", [{"start": 1, "end": 2, "kind": "x"}])


@given(st.text(), st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=5))
def test_mask_any_spans_hide_what_they_cover_and_no_more(
    text: str, spans: list[tuple[int, int]]
) -> None:
    data = text.encode()
    bounds = [len(data[:n].decode(errors="ignore").encode()) for n in range(len(data) + 1)]
    cuts = [
        {"start": bounds[a], "end": bounds[min(a + n, len(data))], "kind": "\0"}
        for a, n in spans
        if a < len(data)
    ]
    hidden = {place for own in cuts for place in range(own["start"], own["end"])}
    outside = bytes(byte for place, byte in enumerate(data) if place not in hidden).decode()
    assert mask(text, cuts).replace("[\0]", "") == outside.replace("[\0]", "")


def test_cut_long_text_ends_with_an_ellipsis() -> None:
    assert cut("字" * 301) == "字" * 300 + " …"
    assert cut("  字 ") == "字"


def test_masked_texts_document_nobody_looked_at_is_withheld(root: Any, known: Any) -> None:
    own = known.DOCUMENTS["books"]
    shard = next(name for name in texts_of(root.store, root.run).clean if name)
    places = [(shard, place) for place in range(len(own))]
    found = masked_texts(root.store, texts_of(root.store, root.run), places)
    by_id = dict(zip([d.id for d in own], found.values(), strict=True))
    assert by_id["fault"] is None
    assert by_id["harbour"] == known.HARBOUR


def test_masked_texts_run_without_pii_op_shows_no_text(build: Any) -> None:
    root = build(without="measure")
    texts = texts_of(root.store, root.run)
    places = [(name, 0) for name in texts.clean]
    assert set(masked_texts(root.store, texts, places).values()) == {None}


def test_masked_texts_erased_shard_shows_no_text(build: Any) -> None:
    root = build()
    texts = texts_of(root.store, root.run)
    for file in texts.clean.values():
        root.store.delete(file.path)
    places = [(name, 0) for name in texts.clean]
    assert set(masked_texts(root.store, texts, places).values()) == {None}
