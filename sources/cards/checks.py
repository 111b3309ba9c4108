"""What each lint rule looks for: functions from a dossier to what they find wrong in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import cache

from license_expression import ExpressionError, LicenseExpression, Licensing, get_spdx_licensing
from pydantic import BaseModel, ValidationError

from phloem.catalog.licenses import UNKNOWN, UNMODELLED, obligations_of_card
from phloem.catalog.nearest import nearest
from phloem.catalog.rules import Rule
from phloem.sources.cards.dossier import Dossier
from phloem.sources.cards.source import Source, card_hash, describe, license_refs

STALE_DAYS = 730  # two years: terms of web sites are rewritten about as often
NEVER = frozenset({UNKNOWN, UNMODELLED})  # forbidden by every policy of the project
SENTENCE = 40  # characters; shorter sentences may well be alike

Found = tuple[str, str, str]  # file, field, message


def shape(dossier: Dossier) -> Iterator[Found]:
    """Find a card that is not YAML, or has an unknown key, a missing one or a wrong value."""
    for file in dossier.files:
        for field, message in file.faults:
            yield str(file.path), field, message


def file_name(dossier: Dossier) -> Iterator[Found]:
    """Find an id that differs from the file name."""
    for file in dossier.files:
        found = file.value.get("id") if isinstance(file.value, dict) else None
        if found is not None and found != file.path.stem:
            yield str(file.path), "id", f"found {found!r}, expected {file.path.stem!r}"


def _shared(
    dossier: Dossier, field: str, key: Callable[[Source], Sequence[str]], what: str
) -> Iterator[Found]:
    """Cards that share a value which only one may have."""
    holders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, card in dossier.cards():
        for value in key(card):
            holders[value].append((file, card.id))
    for held in holders.values():
        for file, _ in held[1:]:
            yield file, field, f"{what} {held[0][1]} ({held[0][0]})"


def id_twice(dossier: Dossier) -> Iterator[Found]:
    """Find an id that another card has."""
    return _shared(dossier, "id", lambda card: [card.id], "is also the id of")


def same_access(dossier: Dossier) -> Iterator[Found]:
    """Find a card that reads the same as another."""
    return _shared(
        dossier, "access", lambda card: [card.access.model_dump_json()], "reads the same as"
    )


def _sentences(card: Source) -> list[str]:
    """The sentences that people wrote about this source alone."""
    part = card.collection.part if card.collection else ""
    text = f"{card.summary}\n{card.limits or ''}\n{card.risks or ''}\n{part}\n{card.reason or ''}"
    found = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n", text)]
    return sorted({part for part in found if len(part) >= SENTENCE})


def repeated_sentence(dossier: Dossier) -> Iterator[Found]:
    """Find a sentence that people wrote about two sources alike."""
    return _shared(dossier, "summary and others", _sentences, "repeats a sentence of")


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


@cache
def _spdx_ids() -> frozenset[str]:
    return frozenset(key for key in _licensing().known_symbols if not key.startswith("LicenseRef-"))


@cache
def _parsed(expression: str) -> LicenseExpression | None:
    """The tree of an expression, once: hundreds of cards share a few. Raises ExpressionError."""
    return _licensing().parse(expression)


def license_faults(expression: str, license_refs: Collection[str]) -> list[str]:
    """What is wrong with an SPDX expression: its grammar, or identifiers that nobody knows."""
    try:
        parsed = _parsed(expression)
    except ExpressionError as error:
        return [f"found {expression!r}, which is no SPDX expression: {error}"]
    if parsed is None:
        return ["found nothing, expected an SPDX expression"]
    known = _spdx_ids() | frozenset(license_refs)
    names = [str(symbol.key) for symbol in _licensing().license_symbols(parsed)]
    return [
        f"{name!r} is neither an SPDX identifier nor in licenses.yaml; {_license_near(name, known)}"
        for name in names
        if name not in known
    ]


def _license_near(name: str, known: Collection[str]) -> str:
    """What `nearest` says; of the 700 that there are, where none is near, those of this project."""
    near = get_close_matches(name, sorted(known), n=1)
    return nearest(name, near or [key for key in sorted(known) if key.startswith("LicenseRef-")])


def licence(dossier: Dossier) -> Iterator[Found]:
    """Find a licence that is no SPDX expression, or a LicenseRef that licenses.yaml lacks."""
    for file, card in dossier.cards():
        for field in ("spdx", "collection"):
            expression = getattr(card.license, field)
            for fault in license_faults(expression, dossier.license_refs) if expression else ():
                yield file, f"license.{field}", fault


def evidence(dossier: Dossier) -> Iterator[Found]:
    """Find an active card without quoted evidence of its licence, its place and its date."""
    for file, card in dossier.cards():
        if card.status == "active":
            for field in ("evidence", "place", "checked_on"):
                if not getattr(card.license, field):
                    yield file, f"license.{field}", "missing, and the card is active"


def stale_check(dossier: Dossier) -> Iterator[Found]:
    """Find a licence check older than two years."""
    for file, card in dossier.cards():
        checked = card.license.checked_on
        if card.status == "active" and checked and (dossier.today - checked).days > STALE_DAYS:
            yield file, "license.checked_on", f"{checked} is more than two years ago"


def connector(dossier: Dossier) -> Iterator[Found]:
    """Find a connector that there is not."""
    for file, card in dossier.cards():
        name = card.access.connector
        if name not in dossier.connectors:
            hint = nearest(name, sorted(dossier.connectors))
            yield file, "access.connector", f"no connector is named {name!r}; {hint}"


def params(dossier: Dossier) -> Iterator[Found]:
    """Find parameters that the connector rejects."""
    for file, card in dossier.cards():
        found = dossier.connectors.get(card.access.connector)
        for field, message in _faults(found.Params, card.access.params) if found else ():
            yield file, f"access.params.{field}", message


def _faults(model: type[BaseModel], value: object) -> Iterator[tuple[str, str]]:
    """(field, message) of all that a model rejects in a value."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        for text in describe(model, error):
            field, _, message = text.partition(": ")
            yield field, message


def clean_ops(dossier: Dossier) -> Iterator[Found]:
    """Find an op in `clean` that there is not."""
    for file, card in dossier.cards():
        for step in card.clean:
            for name in [step] if isinstance(step, str) else step:
                if name not in dossier.ops:
                    hint = nearest(name, sorted(dossier.ops))
                    yield file, "clean", f"no op is named {name!r}; {hint}"


def keep_rules(dossier: Dossier) -> Iterator[Found]:
    """Find a keep rule that no recipe could have."""
    for file, card in dossier.cards():
        for number, rule in enumerate(card.keep):
            for field, message in _faults(Rule, rule):
                yield file, f"keep.{number}.{field}", message


def locked(dossier: Dossier) -> Iterator[Found]:
    """Find an active card without a lock entry, where a package index has its bytes.

    Of what lies on the open network, the first machine that reads it makes the entry.
    """
    for file, card in dossier.cards():
        if card.status == "active" and card.id not in dossier.pins and _near(dossier, card):
            yield file, "status", "active, but no lock entry says what it holds"


def _near(dossier: Dossier, card: Source) -> bool:
    found = dossier.connectors.get(card.access.connector)
    if found is None or list(_faults(found.Params, card.access.params)):
        return False
    return found.reach(found.Params.model_validate(card.access.params)) != "network"


def reason(dossier: Dossier) -> Iterator[Found]:
    """Find a card that is not active and does not say why."""
    for file, card in dossier.cards():
        if card.status != "active" and not card.reason:
            yield file, "reason", f"missing, and the card is {card.status}"


def replaced_by(dossier: Dossier) -> Iterator[Found]:
    """Find a replaced_by that no card has."""
    ids = {card.id for _, card in dossier.cards()}
    for file, card in dossier.cards():
        if card.replaced_by and card.replaced_by not in ids:
            hint = nearest(card.replaced_by, sorted(ids))
            yield file, "replaced_by", f"no card has the id {card.replaced_by!r}; {hint}"


def approved_card(dossier: Dossier) -> Iterator[Found]:
    """Find an approval of a card that was changed since."""
    for file, card in dossier.cards():
        approval = dossier.approvals.get(card.id)
        if approval and approval.card != card_hash(card):
            found, said = card_hash(card)[:12], approval.card[:12]
            yield file, "card", f"its hash is {found}…, the approval is of {said}…"


def approved_source(dossier: Dossier) -> Iterator[Found]:
    """Find an approval of no card."""
    ids = {card.id for _, card in dossier.cards()}
    for source in dossier.approvals:
        if source not in ids:
            yield f"approvals/{source}.yaml", "source", f"no card has the id {source!r}"


def approved_by(dossier: Dossier) -> Iterator[Found]:
    """Find an approval that nobody signed who may."""
    for source, fault in dossier.unverified.items():
        yield f"approvals/{source}.yaml", "signature", fault


def unreadable(dossier: Dossier) -> Iterator[Found]:
    """Find an active card that no policy of the project would read, for what its licence asks."""
    refs = {name: entry["obligations"] for name, entry in license_refs().items()}
    for file, card in dossier.cards():
        if card.status != "active" or license_faults(card.license.spdx, dossier.license_refs):
            continue
        read = card.license.restrictions.model_dump()
        for duty in sorted(obligations_of_card(card.license.spdx, read, refs) & NEVER):
            yield file, "license", f"{card.license.spdx} counts as {duty}: no policy reads it"


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


def languages(dossier: Dossier) -> Iterator[Found]:
    """Find a language that is no BCP-47 tag in its usual case."""
    for file, card in dossier.cards():
        for tag in card.languages:
            fault = tag_fault(tag)
            if fault:
                yield file, "languages", fault


def code(dossier: Dossier) -> Iterator[Found]:
    """Find code that is not zxx, or zxx that is not code."""
    for file, card in dossier.cards():
        if (card.kind == "code") != ("zxx" in card.languages):
            yield file, "languages", f"kind is {card.kind}, languages are {list(card.languages)}"


def personal(dossier: Dossier) -> Iterator[Found]:
    """Find personal data without a note."""
    for file, card in dossier.cards():
        if card.personal_data.level == "personal" and not card.personal_data.note:
            yield file, "personal_data.note", "missing, and the level is personal"


def orphan_lock(dossier: Dossier) -> Iterator[Found]:
    """Find a lock entry of no card."""
    ids = {card.id for _, card in dossier.cards()} | {file.path.stem for file in dossier.files}
    for source in dossier.pins:
        if source not in ids:
            yield "sources.lock", source, "no card has this id"
