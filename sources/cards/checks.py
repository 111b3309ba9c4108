"""What each lint rule looks for: functions from a dossier to what they find wrong in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches
from functools import cache

from license_expression import ExpressionError, LicenseExpression, Licensing, get_spdx_licensing
from pydantic import BaseModel, ValidationError

from phloem.catalog.licenses import MULTIPLE, obligations_of_card, ordered
from phloem.catalog.nearest import nearest
from phloem.catalog.policy import load_policy, policies
from phloem.catalog.rules import Rule
from phloem.catalog.tags import TagError, canonical
from phloem.catalog.withheld import masked, strings_in
from phloem.sources.cards import rules
from phloem.sources.cards.approvals import date_fault
from phloem.sources.cards.dossier import Dossier
from phloem.sources.cards.rules import Found
from phloem.sources.cards.source import Source, card_hash, describe, license_refs
from phloem.sources.connector import barred, foreign

STALE_DAYS = 730  # two years: terms of web sites are rewritten about as often
NAMED = 12  # unknown licences of an expression, each beside the nearest of 700
SENTENCE = 40  # characters; shorter sentences may well be alike


@rules.error(
    "S001",
    why="a misspelt key is silently without effect, and of a key twice each reader sees another",
    fix="compare with the table of fields; write plain values, each key once",
)
def shape(dossier: Dossier) -> Iterator[Found]:
    """A card that is not plain YAML, or has a key twice, an unknown or missing one, a wrong value.

    Plain: no merge keys, anchors, aliases or tags, and no number that is not finite.
    """
    for file in dossier.files:
        for field, message in file.faults:
            yield str(file.path), field, message


@rules.error(
    "S002",
    why="nobody finds the card of a source that a report names",
    fix="rename the file, or correct the id of a new card",
)
def file_name(dossier: Dossier) -> Iterator[Found]:
    """An id that differs from the file name."""
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


@rules.error("S003", why="document ids are made from it", fix="choose another id; never reuse one")
def id_twice(dossier: Dossier) -> Iterator[Found]:
    """An id that another card has."""
    return _shared(dossier, "id", lambda card: [card.id], "is also the id of")


@rules.error(
    "S007",
    why="every document would be there twice",
    fix="drop one, or withdraw it with replaced_by",
)
def same_access(dossier: Dossier) -> Iterator[Found]:
    """A card that reads the same as another."""
    return _shared(
        dossier, "access", lambda card: [card.access.model_dump_json()], "reads the same as"
    )


def _sentences(card: Source) -> list[str]:
    """The sentences that people wrote about this source alone."""
    part = card.collection.part if card.collection else ""
    text = f"{card.summary}\n{card.limits or ''}\n{card.risks or ''}\n{part}\n{card.reason or ''}"
    found = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n", text)]
    return sorted({part for part in found if len(part) >= SENTENCE})


@rules.hint(
    "S014",
    why="a sentence that fits two sources says little of either",
    fix="say what is particular to this source",
)
def repeated_sentence(dossier: Dossier) -> Iterator[Found]:
    """A sentence of summary or limits that another card has too."""
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


def license_ids(expression: str) -> list[str]:
    """The SPDX identifiers of an expression; none if it is none."""
    try:
        parsed = _parsed(expression)
    except ExpressionError:
        return []
    return (
        [] if parsed is None else [str(each.key) for each in _licensing().license_symbols(parsed)]
    )


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
    unknown = [name for name in names if name not in known]
    faults = [
        f"{name!r} is neither an SPDX identifier nor in licenses.yaml; {_license_near(name, known)}"
        for name in unknown[:NAMED]
    ]
    left = len(unknown) - NAMED
    return [*faults, f"and {left} more that are neither"] if left > 0 else faults


def _license_near(name: str, known: Collection[str]) -> str:
    """What `nearest` says; of the 700 that there are, where none is near, those of this project."""
    near = get_close_matches(name, sorted(known), n=1)
    return nearest(name, near or [key for key in sorted(known) if key.startswith("LicenseRef-")])


@rules.error(
    "S004",
    why="obligations are computed from it",
    fix="use an SPDX identifier, or describe the LicenseRef in licenses.yaml",
)
def licence(dossier: Dossier) -> Iterator[Found]:
    """A licence that is no SPDX expression, or a LicenseRef that licenses.yaml lacks."""
    for file, card in dossier.cards():
        for field in ("spdx", "collection"):
            expression = getattr(card.license, field)
            for fault in license_faults(expression, dossier.license_refs) if expression else ():
                yield file, f"license.{field}", fault


@rules.error(
    "S005",
    why="a licence that nobody read is a guess",
    fix="read the terms and quote the sentence, or set status: proposed",
)
def evidence(dossier: Dossier) -> Iterator[Found]:
    """An active card without quoted evidence of its licence, its place and its date."""
    for file, card in dossier.cards():
        if card.status == "active":
            for field in ("evidence", "place", "checked_on"):
                if not getattr(card.license, field):
                    yield file, f"license.{field}", "missing, and the card is active"


@rules.hint("S006", why="terms change", fix="read the terms again and update checked_on")
def stale_check(dossier: Dossier) -> Iterator[Found]:
    """A licence check older than two years."""
    for file, card in dossier.cards():
        checked = card.license.checked_on
        if card.status == "active" and checked and (dossier.today - checked).days > STALE_DAYS:
            yield file, "license.checked_on", f"{checked} is more than two years ago"


@rules.error("S008", why="the source cannot be read", fix="name a module of sources/connectors/")
def connector(dossier: Dossier) -> Iterator[Found]:
    """A connector that there is not."""
    for file, card in dossier.cards():
        name = card.access.connector
        if name not in dossier.connectors:
            hint = nearest(name, sorted(dossier.connectors))
            yield file, "access.connector", f"no connector is named {name!r}; {hint}"


@rules.error(
    "S009", why="the source cannot be read", fix="compare with the connector's table of parameters"
)
def params(dossier: Dossier) -> Iterator[Found]:
    """Parameters that the connector rejects."""
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


@rules.error(
    "S010",
    why="a run that uses the source would fail",
    fix="name an op that `phloem ops list` shows",
)
def clean_ops(dossier: Dossier) -> Iterator[Found]:
    """An op in `clean` that there is not."""
    for file, card in dossier.cards():
        for step in card.clean:
            for name in [step] if isinstance(step, str) else step:
                if name not in dossier.ops:
                    hint = nearest(name, sorted(dossier.ops))
                    yield file, "clean", f"no op is named {name!r}; {hint}"


@rules.error(
    "S020",
    why="a run that uses the source would fail",
    fix="write {name, column, min|max|among}: min and max are a number, or numbers by language"
    " with `default`; among is a list of words",
)
def keep_rules(dossier: Dossier) -> Iterator[Found]:
    """A keep rule that no recipe could have."""
    for file, card in dossier.cards():
        for number, given in enumerate(card.keep):
            for field, message in _faults(Rule, given):
                yield file, f"keep.{number}.{field}", message


@rules.error(
    "S011", why="a run could not tell which bytes it read", fix="run `phloem sources lock ID`"
)
def locked(dossier: Dossier) -> Iterator[Found]:
    """An active card without a lock entry, where a package index has its bytes.

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


@rules.error(
    "S033",
    why="what is read would be what nobody agreed to: people approve the card, not the lock",
    fix="lock the source again; if the provider moved it, correct the card",
)
def own_pin(dossier: Dossier) -> Iterator[Found]:
    """A lock entry of packages, versions, hosts or paths that the card does not name."""
    for file, card in dossier.cards():
        pin, found = dossier.pins.get(card.id), dossier.connectors.get(card.access.connector)
        if pin is None or found is None or list(_faults(found.Params, card.access.params)):
            continue
        for message in foreign(found, found.Params.model_validate(card.access.params), pin):
            yield file, "access", message


@rules.error(
    "S036",
    why="strangers propose what the registry reads: it would be read off a maintainer's machine,"
    " or out of their network",
    fix="name what everybody can have: an https address, or what `bundled/` holds; your own files"
    " are read by a card in a workspace (phloem.toml)",
)
def may_open(dossier: Dossier) -> Iterator[Found]:
    """A card of the registry that reads a user's files, or any card that reads by other protocols.

    In a workspace a card may name files of its user's machine and object stores.
    """
    for file, card in dossier.cards():
        found = dossier.connectors.get(card.access.connector)
        if found is None or list(_faults(found.Params, card.access.params)):
            continue
        params = found.Params.model_validate(card.access.params)
        for message in barred(found, params, is_own=card.id in dossier.own):
            yield file, "access.params", message


@rules.error(
    "S012",
    why="the next person cannot tell what would make it so",
    fix="write the reason: of a proposed card, what is missing",
)
def reason(dossier: Dossier) -> Iterator[Found]:
    """A card that is not active and does not say why."""
    for file, card in dossier.cards():
        if card.status != "active" and not card.reason:
            yield file, "reason", f"missing, and the card is {card.status}"


@rules.error("S013", why="a reader is sent nowhere", fix="name an existing card")
def replaced_by(dossier: Dossier) -> Iterator[Found]:
    """A replaced_by that no card has."""
    ids = {card.id for _, card in dossier.cards()}
    for file, card in dossier.cards():
        if card.replaced_by and card.replaced_by not in ids:
            hint = nearest(card.replaced_by, sorted(ids))
            yield file, "replaced_by", f"no card has the id {card.replaced_by!r}; {hint}"


@rules.error(
    "S015", why="nobody agreed to what the card says now", fix="have the card approved again"
)
def approved_card(dossier: Dossier) -> Iterator[Found]:
    """An approval of a card that was changed since."""
    for file, card in dossier.cards():
        approval = dossier.approvals.get(card.id)
        if approval and approval.card != card_hash(card):
            found, said = card_hash(card)[:12], approval.card[:12]
            yield file, "card", f"its hash is {found}…, the approval is of {said}…"


@rules.error(
    "S016",
    why="the approved source was renamed or lost",
    fix="restore the card; ids are never reused",
)
def approved_source(dossier: Dossier) -> Iterator[Found]:
    """An approval of no card."""
    ids = {card.id for _, card in dossier.cards()}
    for source in dossier.approvals:
        if source not in ids:
            yield f"approvals/{source}.yaml", "source", f"no card has the id {source!r}"


@rules.error(
    "S030",
    why="anybody could have written it",
    fix="sign it with `phloem sources approve ID --key KEY`, by a key that allowed_signers lists",
)
def approved_by(dossier: Dossier) -> Iterator[Found]:
    """An approval whose signature does not verify."""
    for source, fault in dossier.unverified.items():
        yield f"approvals/{source}.yaml", "signature", fault


@rules.error("S034", why="nobody agreed on that day", fix="have the card approved again")
def approved_on(dossier: Dossier) -> Iterator[Found]:
    """An approval dated in the future, or before what it approves was read."""
    cards = {card.id: card for _, card in dossier.cards()}
    for source, approval in dossier.approvals.items():
        fault = date_fault(approval, cards.get(source), dossier.today + timedelta(days=1))
        if fault:
            yield f"approvals/{source}.yaml", "date", fault


@rules.error(
    "S035",
    why="a card and what runs keep of it are read by many",
    fix="leave it out; what asks for it is not open to all",
)
def secrets(dossier: Dossier) -> Iterator[Found]:
    """A password, token, key or signature in an address of a card."""
    for file, card in dossier.cards():
        for field, value in card.model_dump(mode="json", exclude_defaults=True).items():
            if any(masked(text) != text for text in strings_in(value)):
                yield file, field, "holds an address with a password or a token in it"


@rules.error(
    "S031",
    why="it counts among the sources and gives no run a document",
    fix="say in license.restrictions what the terms allow, name the column or the member that says"
    " each document's licence, or set status: proposed until they do",
)
def unreadable(dossier: Dossier) -> Iterator[Found]:
    """An active card with a licence that no policy of the project reads.

    Nor does any read `LicenseRef-multiple` where nothing says the licence of a document.
    """
    refs = {name: entry["obligations"] for name, entry in license_refs().items()}
    for file, card in dossier.cards():
        if card.status != "active" or license_faults(card.license.whole, dossier.license_refs):
            continue
        read = card.license.restrictions.model_dump()
        duties = obligations_of_card(card.license.whole, read, refs)
        if all(duties & forbidden for forbidden in _forbidden()):
            refused = ", ".join(ordered(duties & frozenset.union(*_forbidden())))
            yield file, "license", f"{card.license.whole} counts as {refused}: no policy reads it"
        if MULTIPLE in card.license.spdx and not _says_licenses(dossier, card):
            yield file, "license.spdx", f"{MULTIPLE}, and nothing says the licence of a document"


@cache
def _forbidden() -> tuple[frozenset[str], ...]:
    """What each policy of the project forbids."""
    return tuple(frozenset(load_policy(name).forbidden) for name in policies())


def _says_licenses(dossier: Dossier, card: Source) -> bool:
    """Whether what is read of a card may come with a licence: its connector's or of a member."""
    found = dossier.connectors.get(card.access.connector)
    if getattr(found, "SAYS_LICENSES", False) or card.access.params.get("license_column"):
        return True
    members = [*card.access.params.values()]
    named = [each for value in members if isinstance(value, dict) for each in value.values()]
    said = [each.get("license") for each in named if isinstance(each, dict)]
    return any(MULTIPLE not in (each or MULTIPLE) for each in said)


def tag_fault(tag: str) -> str | None:
    """What is wrong with a tag of a language: it is none, or not in its one form."""
    try:
        right = canonical(tag)
    except TagError as error:
        return str(error)
    return None if tag == right else f"found {tag!r}, expected {right!r}"


@rules.error(
    "S017", why="languages are compared as strings", fix="write it like sw, zh-Hans or pt-BR"
)
def languages(dossier: Dossier) -> Iterator[Found]:
    """A language that is no BCP-47 tag in its one form."""
    for file, card in dossier.cards():
        for tag in card.languages:
            fault = tag_fault(tag)
            if fault:
                yield file, "languages", fault


@rules.hint(
    "S018", why="language rules must not judge code", fix="use kind: code with languages: [zxx]"
)
def code(dossier: Dossier) -> Iterator[Found]:
    """Code that is not zxx, or zxx that is not code."""
    for file, card in dossier.cards():
        if (card.kind == "code") != ("zxx" in card.languages):
            yield file, "languages", f"kind is {card.kind}, languages are {list(card.languages)}"


@rules.error(
    "S019", why="a reviewer must know whose data it is", fix="say what kind of data, and where"
)
def personal(dossier: Dossier) -> Iterator[Found]:
    """Personal data without a note."""
    for file, card in dossier.cards():
        if card.personal_data.level == "personal" and not card.personal_data.note:
            yield file, "personal_data.note", "missing, and the level is personal"


@rules.hint("S021", why="it is carried along for ever", fix="delete the entry")
def orphan_lock(dossier: Dossier) -> Iterator[Found]:
    """A lock entry of no card."""
    ids = {card.id for _, card in dossier.cards()} | {file.path.stem for file in dossier.files}
    for source in dossier.pins:
        if source not in ids:
            yield "sources.lock", source, "no card has this id"
