from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.boilerplate import POLICY_PHRASES, boilerplate

PIECES = [
    *POLICY_PHRASES,
    "lorem ipsum",
    "LOREM IPSUM",
    "JavaScript",
    "javascrip",
    "cookies",
    "http://",
    "HTTPS://",
    "ftp://",
    "ftps://",
    "ttp://",
    "://",
    "www.",
    "WWW.",
    "awww.",
    "a.b/c?d=1",
    "é",
    "漢",
    "。",
    "{",
    "]",
    "\n",
    " ",
    "\u3000",
    "\x1c",
    '"',
]
MIXED = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
    st.text(max_size=20),
)


def _measures(text: str | None) -> dict[str, object]:
    batch = pa.record_batch({"text": pa.array([text], pa.string())})
    arrays = boilerplate(batch).arrays
    return {
        column.name: array[0].as_py()
        for column, array in zip(boilerplate.writes, arrays, strict=True)
    }


@settings(deadline=None, max_examples=400, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), MIXED), max_size=4))
def test_boilerplate_equals_its_reference(texts: list[str | None]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert boilerplate.reference is not None
    wanted = boilerplate.reference(batch)
    for column, got, want in zip(
        boilerplate.writes,
        boilerplate(batch).arrays,
        wanted,  # type: ignore[arg-type]
        strict=True,
    ):
        assert got.to_pylist() == want.to_pylist(), column.name


@pytest.mark.parametrize("phrase", POLICY_PHRASES)
def test_each_notice_is_found_in_any_case(phrase: str) -> None:
    text = f"a\n{phrase.upper()} b {phrase}\nof {phrase[1:]}"
    assert _measures(text)["policy_line_count"] == 1


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("http://a.org", 1.0),
        ("https://a.org/?u=http://b.org", 1.0),
        ("见https://a.org。", 0.8667),
        ("(www.a.org)", 0.9091),
        ("<http://a.org>", 0.8571),
        ("http:// a", 0.0),
        ("http://пример.рф", 1.0),
        ("awww.a.org", 0.0),
    ],
)
def test_characters_of_addresses(text: str, share: float) -> None:
    assert _measures(text)["url_char_frac"] == share
