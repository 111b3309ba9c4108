from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from phloem.catalog.story import Judged, Story, TokenRange, Twin
from phloem.reports.explain import LABEL, WIDTH, render_story

KEPT = Story(
    id="0f" * 16,
    run_id="20260102T030405-test",
    recipe="test",
    source="letters",
    card={
        "name": "Letters",
        "license": "CC0-1.0",
        "attribution": "The harbour master",
        "homepage": "https://example.org/letters",
        "version": "1.2",
        "languages": ["en", "hi"],
        "card": "cd" * 32,
        "approval": None,
    },
    document={"native_id": "7", "media_type": "text/html", "url": None, "title": "जहाज़ 船"},
    license="CC0-1.0",
    language="hi",
    text_file="ef" * 32,
    row=3,
    ingested="ingest/k/text-00000.arrow",
    text_hash="ab" * 16,
    text_bytes=1234,
    measures={
        "language": "hi",
        "language_score": 0.9876,
        "word_count": 1200,
        "word_ratio": 0.12345,
        "pii_spans": [{"start": 4, "end": 19, "kind": "email"}],
    },
    faults={},
    rules=(
        Judged("too_short", "word_count", 1200, 50.0, 100000.0, None, passed=True),
        Judged("unsure", "language_score", None, 0.5, None, None, passed=True),
        Judged("tongue", "language", "hi", None, None, ("en", "ar"), passed=False),
    ),
    verdict="kept",
    reason=None,
    detail=None,
    duplicate_of=None,
    copies=(Twin("1a" * 16, "books", 0.8125),),
    found_in=("books",),
    composed="compose/k/text.arrow",
    composed_row=2,
    pii={"email": 1},
    replaced=("email",),
    tokens=TokenRange("tokenize/k", 100, 50),
    shards=("clean/0123456789abcdef", "filter/fedcba9876543210"),
    releases=("test-2026",),
    excerpt="Write to <EMAIL> soon.",
)


def lines_of(story: Story, label: str, **options: Any) -> str:
    """What stands beside a label, as one line."""
    found: list[str] = []
    inside = False
    for line in render_story(story, **options).splitlines():
        if line[:LABEL].strip():
            inside = line[:LABEL].strip() == label
        if inside:
            found.append(line[LABEL:])
    return " ".join(found)


def test_render_story_kept_document_is_followed_to_its_tokens() -> None:
    assert lines_of(KEPT, "verdict") == "kept"
    assert lines_of(KEPT, "shard") == "compose/k/text.arrow row 2"
    assert lines_of(KEPT, "tokens") == "50 tokens, 100 to 149 of tokenize/k"
    assert lines_of(KEPT, "releases") == "test-2026"
    assert lines_of(KEPT, "language") == "hi, score 0.9876; declared: en, hi"
    two = {**KEPT.measures, "language_second": "en", "language_mixed_frac": 0.25}
    told = "hi, score 0.9876; declared: en, hi; 0.25 of its passages in others, most in en"
    assert lines_of(replace(KEPT, measures=two), "language") == told
    for card in ({"languages": ["und"]}, {}):
        story = replace(KEPT, card=card, document={"declared_language": "und"})
        assert lines_of(story, "language") == "hi, score 0.9876; declared: nothing"


def test_render_story_names_the_text_file_where_it_lies() -> None:
    assert lines_of(KEPT, "read") == "ingest/k/text-00000.arrow row 3"
    assert lines_of(replace(KEPT, ingested=None), "read") == "a text file that is gone, row 3"


def test_render_story_names_the_shards_of_its_text_file() -> None:
    assert lines_of(KEPT, "shards") == "clean/01234567, filter/fedcba98"
    gone = replace(KEPT, shards=())
    assert lines_of(gone, "shards") == "all are gone"


def test_render_story_every_rule_has_value_and_bounds() -> None:
    told = lines_of(KEPT, "rules")
    assert "pass too_short: word_count 1,200, asked at least 50 and at most 100,000" in told
    assert "-    unsure: language_score not judged, asked at least 0.5" in told
    assert "FAIL tongue: language hi, asked one of en, ar" in told


def test_render_story_fits_a_screen() -> None:
    lines = render_story(KEPT).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= WIDTH


def test_render_story_shows_text_only_when_asked() -> None:
    assert "Write to" not in render_story(KEPT)
    assert lines_of(KEPT, "excerpt", excerpt=True) == "Write to <EMAIL> soon."
    assert lines_of(KEPT, "personal") == "email 1 (replaced)"


@pytest.mark.parametrize("measures", [{}, {"pii_spans": None}])
def test_render_story_text_nobody_searched_is_withheld(measures: Any) -> None:
    story = replace(KEPT, measures=measures, pii={}, excerpt="ana@example.org")
    assert "ana@" not in render_story(story, excerpt=True)
    assert lines_of(story, "personal") == "nobody looked for it"


def test_render_story_duplicate_names_the_one_that_was_kept() -> None:
    story = replace(
        KEPT,
        verdict="dropped",
        reason="duplicate",
        duplicate_of=Twin("2b" * 16, "books", 0.75),
        copies=(),
        found_in=(),
        composed=None,
        tokens=None,
        releases=(),
    )
    assert lines_of(story, "duplicates") == f"dropped for {'2b' * 16} of books, similarity 0.7500"
    assert lines_of(story, "verdict") == "dropped: duplicate"
    assert lines_of(story, "tokens") == "none"


def test_render_story_fault_tells_op_and_reason() -> None:
    story = replace(
        KEPT,
        verdict="quarantined",
        reason="fault",
        detail="pii: too long",
        faults={"pii": "too long"},
    )
    assert lines_of(story, "verdict") == "quarantined: fault (pii: too long)"
    assert "pii could not work on it: too long" in lines_of(story, "measures")


def test_render_story_hostile_title_cannot_steer_a_terminal() -> None:
    document = {**KEPT.document, "title": "a\x1b[2J\u202eb\r\nc\x00", "url": "https://x/\x07"}
    told = render_story(replace(KEPT, document=document))
    assert not {"\x1b", "\x07", "\r", "\x00", "\u202e"} & set(told)
    assert "a␛[2J[U+202E]b" in told


def test_render_story_little_known_document_is_told_all_the_same() -> None:
    story = replace(
        KEPT,
        card={},
        document={},
        license=None,
        language=None,
        measures={},
        rules=(),
        text_hash=None,
        text_bytes=None,
    )
    assert "card the run did not record" in lines_of(story, "source")
    assert lines_of(story, "licence") == "not stated"
    assert lines_of(story, "rules") == "the run has none"
