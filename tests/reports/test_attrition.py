from __future__ import annotations

from typing import Any

import pytest

from phloem.reports.attrition import asks, attrition
from phloem.reports.headline import headline


def test_attrition_known_run_counts_first_failures_and_what_is_left(root: Any) -> None:
    found = attrition(root.connection, root.run)
    assert found.read == 16
    assert [(step.name, step.removed, step.left) for step in found.steps] == [
        ("unreadable", 2, 14),
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
    rules = [{"name": f"rule-{bit}", "column": "word_count", "min": 1} for bit in range(64)]
    document = known.Document("a", "1", "x", reason="rule-63", failed=(63,))
    root = build([document], (), rules=rules)
    last = attrition(root.connection, root.run).steps[-2]
    assert (last.name, last.removed, last.fails, last.alone) == ("rule-63", 1, 1, 1)


def test_attrition_breakdowns_add_up_in_every_row(root: Any) -> None:
    found = attrition(root.connection, root.run)
    for row in (*found.by_source, *found.by_language):
        assert row.read == row.kept + sum(row.removed)
    assert [(row.name, row.read, row.kept) for row in found.by_source] == [
        ("letters", 11, 5),
        ("books", 5, 2),
    ]
    assert "unreadable" in found.source_columns
    assert "unreadable" not in found.language_columns


def test_attrition_rules_of_cards_are_steps_after_the_recipe(build: Any, known: Any) -> None:
    common = {"name": "common", "column": "word_count", "min": 5}
    one = {"name": "one", "column": "word_count", "max": 9}
    two = {"name": "two", "column": "score", "max": 1}
    root = build(
        [
            known.Document("a", "1", "x", reason="one", failed=(1,)),
            known.Document("b", "1", "x", reason="two", failed=(1,)),
            known.Document("b", "2", "x", reason="common", failed=(0, 1)),
        ],
        (),
        rules=[common],
        source_rules={"a": [common, one], "b": [common, two]},
    )
    steps = attrition(root.connection, root.run).steps
    found = [(s.name, s.removed, s.fails, s.alone) for s in steps if s.fails is not None]
    assert found == [("common", 1, 1, 0), ("one", 1, 1, 1), ("two", 1, 2, 1)]
    assert steps[-1].left == 0


def test_attrition_reason_that_the_record_lacks_is_a_step_all_the_same(
    build: Any, known: Any
) -> None:
    root = build([known.Document("a", "1", "x", reason="card_rule", failed=(9,))], ())
    steps = attrition(root.connection, root.run).steps
    assert [step.name for step in steps if step.removed] == ["card_rule"]
    assert steps[-1].left == 0


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
    assert (found.read, found.kept, found.dropped, found.quarantined) == (16, 7, 6, 3)
    assert found.unbalanced == ()
    assert (found.tokens, found.token_documents, found.why_no_release) == (377, 7, "")


def test_headline_lost_document_is_named_as_unbalanced(build: Any) -> None:
    balance = {"books": {"read": 6, "kept": 2, "dropped": 2, "quarantined": 1}}
    root = build(balance=balance)
    found = headline(root.connection, root.store, root.run)
    assert {(own.source, own.read, own.counted) for own in found.unbalanced} == {
        ("books", 6, 5),
        ("letters", None, 11),
    }


def test_headline_failed_run_says_why_there_is_no_release(build: Any) -> None:
    root = build(release=None, status="failed", error="a worker was killed")
    assert "a worker was killed" in headline(root.connection, root.store, root.run).why_no_release


def test_headline_own_files_say_why_there_is_no_release(build: Any) -> None:
    root = build(release=None, recipe={"name": "r", "digest": "", "spec": {"sources": ["local"]}})
    assert "no source card" in headline(root.connection, root.store, root.run).why_no_release
