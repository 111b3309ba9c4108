"""Verdicts: order of reasons, bounds by language, nulls, and the map of failed rules."""

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.rules import Rule, bound_of, sparing
from phloem.pipeline.stages.filter import Terms, judged, licenses_of

TERMS = Terms(card="MIT", forbidden=("unknown",), refs={})
RULES = [
    Rule(name="short", column="words", min={"default": 5, "zh": 2}),
    Rule(name="long", column="words", max=100),
    Rule(name="strange", column="kind", among=("a", "b")),
]


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    given = pa.schema(
        [
            ("id", pa.string()), ("text_hash", pa.string()), ("text_bytes", pa.int64()),
            ("language", pa.string()), ("words", pa.float64()), ("kind", pa.string()),
            ("clean_fault", pa.string()), ("statistics_fault", pa.string()),
        ]
    )  # fmt: skip
    blank = {"id": "i", "text_hash": "h", "text_bytes": 1, "kind": "a"}
    return pa.Table.from_pylist([blank | row for row in rows], given)


def _judge(rows: list[dict[str, Any]], licenses: list[str] | None = None) -> list[dict[str, Any]]:
    given_licenses = licenses or ["MIT"] * len(rows)
    return judged(_table(rows), RULES, given_licenses, TERMS, ["statistics"]).to_pylist()


def test_filter_gives_the_first_failing_rule_and_the_map_of_all() -> None:
    (row,) = _judge([{"words": 3, "language": "en", "kind": "x"}])
    assert (row["verdict"], row["reason"], row["measured"]) == ("dropped", "short", "words")
    assert (row["value"], row["threshold"], row["failed_rules"]) == (3.0, 5.0, 0b101)


def test_filter_uses_the_bound_of_the_language() -> None:
    verdicts = [row["verdict"] for row in _judge(
        [{"words": 3, "language": "zh-Hant"}, {"words": 3, "language": None}]
    )]  # fmt: skip
    assert verdicts == ["kept", "dropped"]


def test_filter_does_not_judge_a_null() -> None:
    (row,) = _judge([{"words": None, "language": "en", "kind": None}])
    assert (row["verdict"], row["failed_rules"]) == ("kept", 0)


def test_filter_puts_a_fault_before_a_licence_before_a_rule() -> None:
    rows = _judge(
        [
            {"words": 1, "language": "en", "statistics_fault": "broken"},
            {"words": 1, "language": "en"},
            {"words": 1, "language": "en"},
        ],
        ["LicenseRef-nobody-knows", "LicenseRef-nobody-knows", "MIT"],
    )
    assert [row["reason"] for row in rows] == ["fault", "license", "short"]
    assert rows[0]["verdict"] == "quarantined"
    assert rows[0]["detail"] == "statistics: broken"
    assert [row["failed_rules"] for row in rows] == [1, 1, 1]


def test_filter_holds_each_document_to_its_own_licence_and_that_of_the_collection() -> None:
    terms = Terms(card="LicenseRef-multiple", collection="CC-BY-NC-4.0", forbidden=(), refs={})
    own = pa.chunked_array([["MIT", None, "CC-BY-NC-4.0"]])
    whole = ["MIT AND CC-BY-NC-4.0", "LicenseRef-multiple AND CC-BY-NC-4.0", "CC-BY-NC-4.0"]
    assert licenses_of(own, terms) == whole
    strict = terms.model_copy(update={"forbidden": ("noncommercial",)})
    rows = [{"words": 9, "language": "en"}]
    (row,) = judged(_table(rows), RULES, whole[:1], strict, []).to_pylist()
    assert (row["verdict"], row["reason"], row["license"]) == ("dropped", "license", whole[0])


def test_filter_of_no_rows_gives_none() -> None:
    assert _judge([]) == []


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 120), st.sampled_from(["en", "zh", "zh-Hant", None])),
        max_size=12,
    )
)
def test_filter_agrees_with_rules_read_one_by_one(
    rows: list[tuple[int | None, str | None]],
) -> None:
    found = _judge([{"words": words, "language": language} for words, language in rows])
    for (words, language), row in zip(rows, found, strict=True):
        low = bound_of(RULES[0].min, language) or 0
        short = words is not None and words < low
        long = words is not None and words > 100
        assert row["failed_rules"] == short + 2 * long
        assert row["verdict"] == ("dropped" if short or long else "kept")


KINDS = st.sampled_from(["a", "b", None])


@given(st.lists(st.tuples(st.floats(0, 10), KINDS), max_size=6), KINDS, KINDS)
def test_filter_spares_what_only_and_unless_name(
    rows: list[tuple[float, str | None]], only: str | None, unless: str | None
) -> None:
    rule = Rule(
        name="long",
        column="words",
        max=5,
        only={"kind": (only,)} if only else None,
        unless={"kind": (unless,)} if unless else None,
    )
    table = _table([{"words": words, "language": "en", "kind": kind} for words, kind in rows])
    found = judged(table, [rule], ["MIT"] * len(rows), TERMS, [])
    told = rule.model_dump(mode="json")
    wanted = [words > 5 and sparing(told, {"kind": kind}) is None for words, kind in rows]
    assert [row["verdict"] == "dropped" for row in found.to_pylist()] == wanted
    assert [row["failed_rules"] == 1 for row in found.to_pylist()] == wanted
