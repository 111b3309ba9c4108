from __future__ import annotations

from typing import Any

from phloem.reports.samples import samples


def test_samples_known_run_has_every_reason_but_duplicates(root: Any) -> None:
    found = samples(root.connection, root.store, root.run)
    assert [(reason.name, reason.documents) for reason in found] == [
        ("kept", 7),
        ("too_short", 2),
        ("fault", 1),
        ("license", 1),
        ("unsure", 1),
    ]


def test_samples_value_and_threshold_come_with_the_excerpt(root: Any) -> None:
    reasons = {r.name: r for r in samples(root.connection, root.store, root.run)}
    (unsure,) = reasons["unsure"].samples
    assert (unsure.measured, unsure.value, unsure.threshold) == ("language_score", 0.5787, 0.6)
    assert unsure.excerpt == "lorem ipsum 混ぜ 😀 [email] kaputt banana"


def test_samples_licence_not_allowed_shows_no_text(root: Any) -> None:
    reasons = {r.name: r for r in samples(root.connection, root.store, root.run)}
    assert [sample.excerpt for sample in reasons["license"].samples] == [None]
    assert "licence" in reasons["license"].why_no_text


def test_samples_fault_without_pii_shows_no_text_and_its_detail(root: Any) -> None:
    reasons = {r.name: r for r in samples(root.connection, root.store, root.run)}
    (fault,) = reasons["fault"].samples
    assert (fault.excerpt, fault.detail) == (None, "frail_rewrite: too long")


def test_samples_choice_spreads_over_sources_and_is_the_same_again(root: Any) -> None:
    first = samples(root.connection, root.store, root.run)
    kept = first[0].samples
    assert len(kept) == 3
    assert {sample.source for sample in kept} == {"books", "letters"}
    assert samples(root.connection, root.store, root.run) == first
