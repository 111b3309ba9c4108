"""What each lint rule looks for: functions from a registry to what they find wrong in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import cache

from license_expression import ExpressionError, Licensing, get_spdx_licensing
from pydantic import ValidationError

from phloem.sources.registry import Registry
from phloem.sources.source import Source, card_hash, describe

STALE_DAYS = 730  # two years: terms of web sites are rewritten about as often
SENTENCE = 40  # characters; shorter sentences may well be alike

Found = tuple[str, str, str]  # file, field, message


def near(name: str, known: Collection[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    found = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def shape(registry: Registry) -> Iterator[Found]:
    """Find a card that is not YAML, or has an unknown key, a missing one or a wrong value."""
    for file in registry.files:
        for field, message in file.faults:
            yield str(file.path), field, message


def file_name(registry: Registry) -> Iterator[Found]:
    """Find an id that differs from the file name."""
    for file in registry.files:
        found = file.value.get("id") if isinstance(file.value, dict) else None
        if found is not None and found != file.path.stem:
            yield str(file.path), "id", f"found {found!r}, expected {file.path.stem!r}"


def _shared(
    registry: Registry, field: str, key: Callable[[Source], Sequence[str]], what: str
) -> Iterator[Found]:
    """Cards that share a value which only one may have."""
    holders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, card in registry.cards():
        for value in key(card):
            holders[value].append((file, card.id))
    for held in holders.values():
        for file, _ in held[1:]:
            yield file, field, f"{what} {held[0][1]} ({held[0][0]})"


def id_twice(registry: Registry) -> Iterator[Found]:
    """Find an id that another card has."""
    return _shared(registry, "id", lambda card: [card.id], "is also the id of")


def same_access(registry: Registry) -> Iterator[Found]:
    """Find a card that reads the same as another."""
    return _shared(
        registry, "access", lambda card: [card.access.model_dump_json()], "reads the same as"
    )


def _sentences(card: Source) -> list[str]:
    """The sentences that people wrote about this source alone."""
    text = f"{card.summary}\n{card.limits}"
    found = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n", text)]
    return sorted({part for part in found if len(part) >= SENTENCE})


def repeated_sentence(registry: Registry) -> Iterator[Found]:
    """Find a sentence of summary or limits that another card has too."""
    return _shared(registry, "summary, limits", _sentences, "repeats a sentence of")


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


def license_faults(expression: str, license_refs: Collection[str]) -> list[str]:
    """What is wrong with an SPDX expression: its grammar, or identifiers that nobody knows."""
    try:
        parsed = _licensing().parse(expression)
    except ExpressionError as error:
        return [f"found {expression!r}, which is no SPDX expression: {error}"]
    if parsed is None:
        return ["found nothing, expected an SPDX expression"]
    known = {key for key in _licensing().known_symbols if not key.startswith("LicenseRef-")}
    known |= set(license_refs)
    names = [str(symbol.key) for symbol in _licensing().license_symbols(parsed)]
    return [
        f"{name!r} is neither an SPDX identifier nor in licenses.yaml{near(name, known)}"
        for name in names
        if name not in known
    ]


def licence(registry: Registry) -> Iterator[Found]:
    """Find a licence that is no SPDX expression, or a LicenseRef that licenses.yaml lacks."""
    for file, card in registry.cards():
        for fault in license_faults(card.license.spdx, registry.license_refs):
            yield file, "license.spdx", fault


def evidence(registry: Registry) -> Iterator[Found]:
    """Find an active card without quoted evidence of its licence, its place and its date."""
    for file, card in registry.cards():
        if card.status == "active":
            for field in ("evidence", "place", "checked_on"):
                if not getattr(card.license, field):
                    yield file, f"license.{field}", "missing, and the card is active"


def stale_check(registry: Registry) -> Iterator[Found]:
    """Find a licence check older than two years."""
    for file, card in registry.cards():
        checked = card.license.checked_on
        if card.status == "active" and checked and (registry.today - checked).days > STALE_DAYS:
            yield file, "license.checked_on", f"{checked} is more than two years ago"


def connector(registry: Registry) -> Iterator[Found]:
    """Find a connector that there is not."""
    for file, card in registry.cards():
        name = card.access.connector
        if name not in registry.connectors:
            hint = near(name, registry.connectors)
            yield file, "access.connector", f"no connector is named {name!r}{hint}"


def params(registry: Registry) -> Iterator[Found]:
    """Find parameters that the connector rejects."""
    for file, card in registry.cards():
        model = registry.connectors.get(card.access.connector)
        if model is None:
            continue
        try:
            model.model_validate(card.access.params)
        except ValidationError as error:
            for text in describe(model, error):
                field, _, message = text.partition(": ")
                yield file, f"access.params.{field}", message


def clean_ops(registry: Registry) -> Iterator[Found]:
    """Find an op in `clean` that there is not."""
    for file, card in registry.cards():
        for step in card.clean:
            for name in [step] if isinstance(step, str) else step:
                if name not in registry.ops:
                    yield file, "clean", f"no op is named {name!r}{near(name, registry.ops)}"


def keep_rules(registry: Registry) -> Iterator[Found]:
    """Find a keep rule without name, column or bound."""
    for file, card in registry.cards():
        for number, rule in enumerate(card.keep):
            if not {"name", "column"} <= rule.keys():
                yield file, f"keep.{number}", "a rule needs `name` and `column`"
            elif not {"min", "max", "among", "equals"} & rule.keys():
                yield file, f"keep.{number}", "a rule needs one of min, max, among, equals"


def locked(registry: Registry) -> Iterator[Found]:
    """Find an active card without a lock entry."""
    for file, card in registry.cards():
        if card.status == "active" and card.id not in registry.pins:
            yield file, "status", "active, but no lock entry says what it holds"


def reason(registry: Registry) -> Iterator[Found]:
    """Find a paused or withdrawn card without a reason."""
    for file, card in registry.cards():
        if card.status in {"paused", "withdrawn"} and not card.reason:
            yield file, "reason", f"missing, and the card is {card.status}"


def replaced_by(registry: Registry) -> Iterator[Found]:
    """Find a replaced_by that no card has."""
    ids = {card.id for _, card in registry.cards()}
    for file, card in registry.cards():
        if card.replaced_by and card.replaced_by not in ids:
            hint = near(card.replaced_by, ids)
            yield file, "replaced_by", f"no card has the id {card.replaced_by!r}{hint}"


def approved_card(registry: Registry) -> Iterator[Found]:
    """Find an approval of a card that was changed since."""
    for file, card in registry.cards():
        approval = registry.approvals.get(card.id)
        if approval and approval.card != card_hash(card):
            found, said = card_hash(card)[:12], approval.card[:12]
            yield file, "card", f"its hash is {found}…, the approval is of {said}…"


def approved_source(registry: Registry) -> Iterator[Found]:
    """Find an approval of no card."""
    ids = {card.id for _, card in registry.cards()}
    for source in registry.approvals:
        if source not in ids:
            yield f"approvals/{source}.yaml", "source", f"no card has the id {source!r}"


# RFC 5646, 2.1, as far as it is used for languages: no extended subtags, extensions, private use.
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(-(?P<script>[a-z]{4}))?(-(?P<region>[a-z]{2}|\d{3}))?"
    r"(?P<variants>(-([a-z\d]{5,8}|\d[a-z\d]{3}))*)",
    re.IGNORECASE,
)


def tag_fault(tag: str) -> str | None:
    """What is wrong with a BCP-47 tag: its grammar or its case (RFC 5646, 2.1.1)."""
    match = _TAG.fullmatch(tag)
    if not match:
        return f"found {tag!r}, which is no BCP-47 tag"
    right = match["language"].lower()
    right += f"-{match['script'].title()}" if match["script"] else ""
    right += f"-{match['region'].upper()}" if match["region"] else ""
    right += match["variants"].lower()
    return None if tag == right else f"found {tag!r}, expected {right!r}"


def languages(registry: Registry) -> Iterator[Found]:
    """Find a language that is no BCP-47 tag in its usual case."""
    for file, card in registry.cards():
        for tag in card.languages:
            fault = tag_fault(tag)
            if fault:
                yield file, "languages", fault


def code(registry: Registry) -> Iterator[Found]:
    """Find code that is not zxx, or zxx that is not code."""
    for file, card in registry.cards():
        if (card.kind == "code") != ("zxx" in card.languages):
            yield file, "languages", f"kind is {card.kind}, languages are {list(card.languages)}"


def personal(registry: Registry) -> Iterator[Found]:
    """Find personal data without a note."""
    for file, card in registry.cards():
        if card.personal_data.level == "personal" and not card.personal_data.note:
            yield file, "personal_data.note", "missing, and the level is personal"


def orphan_lock(registry: Registry) -> Iterator[Found]:
    """Find a lock entry of no card."""
    ids = {card.id for _, card in registry.cards()} | {file.path.stem for file in registry.files}
    for source in registry.pins:
        if source not in ids:
            yield "sources.lock", source, "no card has this id"
