from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.scripts import scripts


def _measures(*texts: str | None) -> list[list[object]]:
    batch = pa.record_batch({"text": pa.array(list(texts), pa.string())})
    return [array.to_pylist() for array in scripts(batch).arrays]


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    texts=st.lists(
        st.one_of(
            st.none(),
            st.text(max_size=20),
            st.lists(st.sampled_from("aZ@[`{é漢かカー한ж١ 5\n"), max_size=99).map("".join),
        ),
        max_size=4,
    )
)
def test_scripts_equal_their_reference(texts: list[str | None]) -> None:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    assert scripts.reference is not None
    wanted = [array.to_pylist() for array in scripts.reference(batch)]  # type: ignore[union-attr]
    assert _measures(*texts) == wanted


@pytest.mark.parametrize(
    ("text", "script", "share"),
    [
        ("日本語の文章です", "Hani", 0.625),
        ("Ђорђе Đorđe", "Cyrl", 0.5),
        ("ሰላም world", "Latn", 0.625),
        ("नमस्ते", "Deva", 1.0),
        ("👍🏽 12", None, 0.0),
    ],
)
def test_first_script_has_most_letters(text: str, script: str | None, share: float) -> None:
    firsts, shares, _ = _measures(text)
    assert (firsts, shares) == ([script], [share])


def test_shares_of_all_scripts_are_listed_most_first() -> None:
    _, _, lists = _measures("abc где 漢")
    assert lists == [
        [
            {"script": "Cyrl", "frac": 0.4286},
            {"script": "Latn", "frac": 0.4286},
            {"script": "Hani", "frac": 0.1429},
        ]
    ]
