"""Licence algebra against the licences of the candidate sources, and against set arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog.licenses import (
    LICENSES,
    OBLIGATIONS,
    LicenseError,
    clarity,
    in_collection,
    obligations,
    obligations_of_card,
)

NOTICE, BY, SA, SOURCE, ND, NC, UNMODELLED, UNKNOWN = OBLIGATIONS

# Every real SPDX expression among the candidate sources, and of the Debian packages of the bench.
CANDIDATES = (
    """
AGPL-3.0-only|Apache-1.0|Apache-2.0|BSD-3-Clause|BSD-2-Clause|BSL-1.0|CC-BY-2.0|CC-BY-2.5|CC-BY-3.0
CC-BY-3.0-US|CC-BY-4.0|CC-BY-NC-2.0|CC-BY-NC-4.0|CC-BY-NC-ND-1.0|CC-BY-NC-ND-4.0|CC-BY-NC-SA-3.0
CC-BY-NC-SA-4.0|CC-BY-SA-2.0|CC-BY-SA-3.0|CC-BY-SA-4.0|CC0-1.0|EUPL-1.1|GFDL-1.1-no-invariants-or-later
GFDL-1.1-or-later|GFDL-1.2-no-invariants-only|GFDL-1.2-no-invariants-or-later|GFDL-1.2-or-later
GFDL-1.3-no-invariants-only|GFDL-1.3-no-invariants-or-later|GFDL-1.3-only|GFDL-1.3-or-later
GPL-1.0-or-later|GPL-1.0-or-later OR Artistic-1.0-Perl|GPL-2.0-only|GPL-2.0-or-later
GPL-2.0-or-later OR CC-BY-SA-3.0|GPL-2.0-or-later OR LGPL-2.1-or-later OR MPL-1.1|GPL-3.0-only
GPL-3.0-or-later|LGPL-2.1-or-later|LGPL-3.0-only|MIT|MPL-2.0|MS-PL|ODC-By-1.0|ODbL-1.0|PSF-2.0
PostgreSQL|Unicode-DFS-2016|Vim|etalab-2.0|OFL-1.1|LPPL-1.3c|FSFAP|FSFULLR|ISC|Zlib|BSD-4-Clause
Artistic-2.0|Linux-man-pages-copyleft|GPL-3.0+|GPL-2.0+|MIT OR Apache-2.0
Apache-2.0 AND BSD-3-Clause
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("expression", CANDIDATES)
def test_obligations_of_candidate_sources_are_known(expression: str) -> None:
    assert UNKNOWN not in obligations(expression)


@pytest.mark.parametrize(
    ("expression", "duties"),
    [
        ("CC0-1.0", set()),
        ("MIT", {NOTICE}),
        ("cc-by-4.0", {BY}),
        ("CC-BY-SA-4.0", {BY, SA}),
        ("CC-BY-NC-ND-4.0", {BY, NC, ND}),
        ("GPL-2.0+", {NOTICE, SA, SOURCE}),
        ("GFDL-1.3-no-invariants-or-later", {BY, SA}),
        ("GFDL-1.3-invariants-or-later", {BY, SA, ND}),
        ("MIT AND CC-BY-4.0", {NOTICE, BY}),
        ("GPL-2.0-or-later OR CC-BY-SA-3.0", {BY, SA}),
        ("MIT AND (CC-BY-NC-4.0 OR CC-BY-4.0)", {NOTICE, BY}),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", {NOTICE, SA, SOURCE}),
        ("MIT WITH Evil-exception-1.0", {NOTICE, UNKNOWN}),
        ("LicenseRef-nobody-knows OR CC-BY-4.0", {BY}),
        ("LicenseRef-nobody-knows AND CC-BY-4.0", {BY, UNKNOWN}),
        ("CC-BY", {UNKNOWN}),
        ("NOASSERTION", {UNKNOWN}),
        ("all rights reserved", {UNKNOWN}),
        ("MIT AND", {UNKNOWN}),
        ("(" * 5000 + "MIT" + ")" * 5000, {UNKNOWN}),
        ("", {UNKNOWN}),
        (None, {UNKNOWN}),
    ],
)
def test_obligations_of_expression(expression: str | None, duties: set[str]) -> None:
    assert obligations(expression) == duties


def test_obligations_of_a_ref_are_as_somebody_decided() -> None:
    refs = {"LicenseRef-public-domain": [], "LicenseRef-research-use": [NC]}
    assert obligations("LicenseRef-public-domain", refs) == set()
    assert obligations("LicenseRef-Research-Use", refs) == {NC}
    assert obligations("LicenseRef-public-domain AND LicenseRef-x", refs) == {UNKNOWN}


def test_obligations_of_a_ref_decided_wrongly_says_which_there_are() -> None:
    with pytest.raises(LicenseError, match="no obligation named 'share-alike'; there are notice"):
        obligations("MIT", {"LicenseRef-x": ["share-alike"]})


REFS = {
    "LicenseRef-custom-terms": [BY],
    "LicenseRef-multiple": [UNKNOWN],
    "LicenseRef-research-use": [BY, NC],
}
ALLOWED = {"commercial": "allowed", "derivatives": "conditional", "share_alike": "none"}


@pytest.mark.parametrize(
    ("expression", "restrictions", "duties"),
    [
        ("CC-BY-4.0", None, {BY}),
        ("CC-BY-4.0", {"commercial": "unknown", "ai_training": "unknown"}, {BY}),
        ("CC-BY-4.0", {"commercial": "forbidden"}, {BY, NC}),
        ("CC-BY-4.0", {"derivatives": "forbidden", "share_alike": "required"}, {BY, ND, SA}),
        ("CC0-1.0", {"ai_training": "forbidden"}, {UNMODELLED}),
        ("LicenseRef-custom-terms", ALLOWED, {BY}),
        ("LicenseRef-custom-terms", {**ALLOWED, "commercial": "unknown"}, {BY, UNKNOWN}),
        ("licenseref-custom-terms", {"commercial": "allowed"}, {BY, UNKNOWN}),
        ("LicenseRef-custom-terms AND MIT", None, {BY, NOTICE, UNKNOWN}),
        ("LicenseRef-multiple", {"commercial": "unknown"}, set()),
        ("LicenseRef-multiple AND CC-BY-NC-4.0", None, {BY, NC}),
        ("LicenseRef-research-use", {"commercial": "forbidden"}, {BY, NC, UNKNOWN}),
        ("LicenseRef-research-use", {"derivatives": "allowed"}, {BY, NC}),
        (None, ALLOWED, {UNKNOWN}),
    ],
)
def test_obligations_of_card_add_what_a_person_read(
    expression: str | None, restrictions: dict[str, str] | None, duties: set[str]
) -> None:
    assert obligations_of_card(expression, restrictions, REFS) == duties


@pytest.mark.parametrize(
    ("expression", "collection", "whole"),
    [
        ("MIT", None, "MIT"),
        ("CC-BY-SA-4.0 AND LicenseRef-x", "CC-BY-SA-4.0", "CC-BY-SA-4.0 AND LicenseRef-x"),
        ("MIT OR GPL-2.0-only", "CC0-1.0", "(MIT OR GPL-2.0-only) AND CC0-1.0"),
        ("MIT", "CC0-1.0 OR CC-BY-4.0", "MIT AND (CC0-1.0 OR CC-BY-4.0)"),
        ("cc-by-4.0", "CC-BY-4.0", "cc-by-4.0"),
        ("MIT AND", "CC-BY-4.0", "LicenseRef-unknown"),
        ("MIT", "(MIT", "LicenseRef-unknown"),
    ],
)
def test_in_collection_both_licences_hold(
    expression: str, collection: str | None, whole: str
) -> None:
    assert in_collection(expression, collection) == whole


def test_clarity_orders_from_public_domain_to_unknown() -> None:
    order = ["CC0-1.0", "MIT", "CC-BY-4.0", "CC-BY-SA-4.0", "GPL-3.0-only", "CC-BY-ND-4.0"]
    order += ["CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "LicenseRef-benefit-sharing", "LicenseRef-unknown"]
    refs = {"LicenseRef-benefit-sharing": [UNMODELLED]}
    ranks = [clarity(expression, refs) for expression in order]
    assert ranks == sorted(set(ranks))
    assert ranks[0] == 0


IDS = st.sampled_from(["CC0-1.0", "MIT", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "X-none"])


Tree = tuple[str, frozenset[frozenset[str]]]  # an expression, all sets of duties that satisfy it


def _both(pair: tuple[Tree, Tree]) -> Tree:
    (left, ways), (right, others) = pair
    return f"({left} AND {right})", frozenset(a | b for a in ways for b in others)


def _either(pair: tuple[Tree, Tree]) -> Tree:
    (left, ways), (right, others) = pair
    return f"({left} OR {right})", ways | others


TREES = st.recursive(
    IDS.map(lambda id_: (id_, frozenset({LICENSES.get(id_, frozenset({UNKNOWN}))}))),
    lambda trees: st.tuples(trees, trees).map(_both) | st.tuples(trees, trees).map(_either),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(TREES, TREES)
def test_in_collection_is_never_laxer_than_either(own: Tree, other: Tree) -> None:
    whole = in_collection(own[0], other[0])
    assert clarity(whole) >= max(clarity(own[0]), clarity(other[0]))
    assert obligations(whole) == obligations(f"({own[0]}) AND ({other[0]})")


@settings(max_examples=80, deadline=None)
@given(TREES)
def test_obligations_are_the_least_restrictive_of_all_ways(tree: Tree) -> None:
    expression, ways = tree
    got = obligations(expression)
    assert got in ways
    assert not any(way < got for way in ways)
    assert clarity(expression) == min(
        sum(2 ** OBLIGATIONS.index(duty) for duty in way) for way in ways
    )
