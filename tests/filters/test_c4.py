"""C4's rules for lines: what the published code keeps is kept, and what is cut is told."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.c4 import c4_lines

SOUND = "The harbour of the old town lies in the north."
COLUMNS = [column.name for column in c4_lines.writes]


def _cleaned(text: str | None, tag: str | None = "en", **params: object) -> dict[str, object]:
    batch = pa.record_batch(
        {"text": pa.array([text], pa.string()), "language": pa.array([tag], pa.string())}
    )
    found = c4_lines.bind(params)(batch).arrays  # type: ignore[arg-type]
    return {name: array[0].as_py() for name, array in zip(COLUMNS, found, strict=True)}


def _published(text: str) -> str | None:
    """The lines that text/c4_utils.py of tensorflow/datasets keeps; None where it drops the page.

    Sentences are left aside: it counts them with NLTK.
    """
    kept = []
    for raw in text.splitlines():
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", raw.strip())
        if any(len(word) > 1000 for word in raw.split()):
            continue
        if not line.endswith((".", "?", "!", '"')) or line.endswith("..."):
            continue
        if len(line.split()) < 5:
            continue
        if "lorem ipsum" in line.lower():
            return None
        if "javascript" in line.lower():
            continue
        if "{" in line:
            return None
        policy = r"terms of use|(privacy|cookie) policy|use(s| of)? cookies"
        if not re.search(policy, line.lower()):
            kept.append(line)
    return "\n".join(kept).strip()


_WORDS = st.sampled_from(
    [
        *("the", "sea", "Javascript", "cookies", "use", "of", "uses", "terms", "Cookie", "policy"),
        *("Lorem", "ipsum", "{", "[1]", "[]", "[edit]", "end.", "end...", 'said "so"', "Why?"),
        *("x" * 1000, "x" * 1001, "\t", "日本。", "no!"),
    ]
)
_LINES = st.lists(_WORDS, max_size=9).map(" ".join)


@given(st.lists(_LINES, max_size=8).map("\n".join))
def test_c4_lines_keeps_what_the_published_code_keeps(text: str) -> None:
    found = _cleaned(text)
    dropped = found["c4_lorem_ipsum_count"] != 0 or found["c4_brace_count"] != 0
    wanted = _published(text)
    assert dropped == (wanted is None)
    if wanted is not None:
        assert found["text"] == wanted


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x85", "\u2028"])
def test_c4_lines_parts_lines_as_python_does(end: str) -> None:
    found = _cleaned(f"{SOUND}{end}Menu{end}{SOUND}")
    assert found["text"] == f"{SOUND}\n{SOUND}"
    assert found["c4_line_frac"] == 0.6667


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        (SOUND, 1),
        (f"{SOUND} {SOUND}", 2),
        ("He asked Mr. Hall, Dr. Wu and J. R. Smith to come in.", 1),
        ("It costs 3.50 in the shop at the corner. 20 were sold!", 2),
        ('"Is it so?" "No, it is not so at all."', 2),
        ("It is e.g. red or blue, i.e. not green.", 1),
    ],
)
def test_c4_lines_counts_sentences(line: str, sentences: int) -> None:
    assert _cleaned(line)["c4_sentence_count"] == sentences


def test_c4_lines_as_fineweb_used_it_asks_for_no_end_mark() -> None:
    found = _cleaned("three words here\ntwo words\nAll of it...", min_words=3, terminal=False)
    assert found["text"] == "three words here\nAll of it..."


@pytest.mark.parametrize("tag", ["hi", "zxx", "und", None])
def test_c4_lines_leaves_other_languages_alone(tag: str | None) -> None:
    text = "यह एक पंक्ति है।\n{ menu"
    found = _cleaned(text, tag)
    assert found.pop("text") == text
    assert set(found.values()) == {None}


@pytest.mark.parametrize("text", ["", "\n\n", "Menu"])
def test_c4_lines_may_leave_nothing(text: str) -> None:
    found = _cleaned(text)
    assert (found["text"], found["c4_line_frac"], found["c4_sentence_count"]) == ("", 0.0, 0)
