from __future__ import annotations

import re
from typing import Any

import pytest

from phloem.catalog.released import load_release
from phloem.reports.attrition import asks, attrition
from phloem.reports.headline import headline

RULES = re.compile(r"keep:\n(  - .*\n)+")


def test_attrition_known_run_counts_first_failures_and_what_is_left(root: Any) -> None:
    found = attrition(root.connection, root.run)
    assert found.read == 15
    assert [(step.name, step.removed, step.left) for step in found.steps] == [
        ("unreadable", 1, 14),
        ("fault", 1, 13),
        ("license", 1, 12),
        ("too_short", 2, 10),
        ("too_symbolic", 0, 10),
        ("unsure", 1, 9),
        ("duplicate", 2, 7),
    ]


def test_attrition_bitmap_tells_would_fail_anyway_and_alone(root: Any) -> None:
    steps = {step.name: step for step in attrition(root.connection, root.run).steps}
    assert (steps["too_symbolic"].fails, steps["too_symbolic"].anyway) == (1, 1)
    assert (steps["too_short"].alone, steps["too_symbolic"].alone) == (1, 0)
    assert steps["license"].anyway is None


def test_attrition_last_bit_of_the_bitmap_is_counted(build: Any, known: Any) -> None:
    rules = [f"{{name: rule-{bit}, column: word_count, min: {bit // 63}}}" for bit in range(64)]
    recipe = RULES.sub("keep: [" + ", ".join(rules) + "]\n", known.RECIPE)
    root = build({"a": [known.Document("1", ""), known.Document("2", known.HARBOUR)]}, asked=recipe)
    last = attrition(root.connection, root.run).steps[-2]
    assert (last.name, last.removed, last.fails, last.alone) == ("rule-63", 1, 1, 1)


def test_attrition_breakdowns_add_up_in_every_row(root: Any) -> None:
    found = attrition(root.connection, root.run)
    for row in (*found.by_source, *found.by_language):
        assert row.read == row.kept + sum(row.removed)
    assert [(row.name, row.read, row.kept) for row in found.by_source] == [
        ("letters", 10, 5),
        ("books", 5, 2),
    ]
    assert "unreadable" in found.source_columns
    assert "unreadable" not in found.language_columns


def test_attrition_rules_of_cards_are_steps_after_the_recipe(build: Any, known: Any) -> None:
    good = "Each ship of the port and each flag that it flew stands in the book."
    root = build(
        {
            "a": [known.Document("1", "One two three four five six."), known.Document("2", good)],
            "b": [
                known.Document("1", f"12 {known.HARBOUR}"),
                known.Document("2", "12 13"),
                known.Document("3", known.HARBOUR),
            ],
        },
        {
            "a": {"keep": [{"name": "one", "column": "word_count", "min": 9}]},
            "b": {"keep": [{"name": "two", "column": "digit_frac", "max": 0}]},
        },
        RULES.sub("keep: [{name: common, column: word_count, min: 5}]\n", known.RECIPE),
    )
    steps = attrition(root.connection, root.run).steps
    found = [(s.name, s.removed, s.fails, s.alone) for s in steps if s.fails is not None]
    assert found == [("common", 1, 1, 0), ("one", 1, 1, 1), ("two", 1, 2, 1)]
    assert steps[-1].left == 2


def test_attrition_reason_that_the_record_lacks_is_a_step_all_the_same(build: Any) -> None:
    root = build(rules=[], source_rules={})
    steps = attrition(root.connection, root.run).steps
    removed = [(step.name, step.removed) for step in steps if step.removed]
    assert removed[-3:] == [("too_short", 2), ("unsure", 1), ("duplicate", 2)]
    assert steps[-1].left == 7


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"column": "words", "min": 50, "max": 100}, "words at least 50 and at most 100"),
        ({"column": "score", "min": {"default": 0.65, "sw": 0.3}}, "score at least 0.65 (sw 0.3)"),
        ({"column": "score", "max": {"th": 2}}, "score at most th 2"),
        ({"column": "language", "among": ["ar", "hi"]}, "language one of ar, hi"),
    ],
)
def test_asks_every_kind_of_bound_is_said_in_words(rule: Any, words: str) -> None:
    assert asks(rule) == words


def test_headline_known_run_has_all_sums(root: Any) -> None:
    found = headline(root.connection, root.store, root.run)
    assert (found.read, found.kept, found.dropped, found.quarantined) == (15, 7, 6, 2)
    assert found.unbalanced == ()
    tokens = load_release(root.store, root.run.release).tokens
    assert (found.tokens, found.why_no_release) == (tokens, "")


def test_headline_lost_document_is_named_as_unbalanced(build: Any) -> None:
    balance = {"books": {"read": 6, "kept": 2, "dropped": 2, "quarantined": 1}}
    root = build(balance=balance)
    found = headline(root.connection, root.store, root.run)
    assert {(own.source, own.read, own.counted) for own in found.unbalanced} == {
        ("books", 6, 5),
        ("letters", None, 10),
    }


def test_headline_failed_run_says_why_there_is_no_release(build: Any) -> None:
    root = build(release=None, status="failed", error="a worker was killed")
    assert "a worker was killed" in headline(root.connection, root.store, root.run).why_no_release


def test_headline_own_files_say_why_there_is_no_release(build: Any) -> None:
    root = build(release=None, recipe={"name": "r", "digest": "", "spec": {"sources": ["local"]}})
    assert "no source card" in headline(root.connection, root.store, root.run).why_no_release
