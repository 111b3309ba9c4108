"""What a card must hold to, beyond its shape: numbered rules, each with its reason and its mend."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from license_expression import ExpressionError, Licensing, get_spdx_licensing
from pydantic import BaseModel, ValidationError

from phloem.sources.connector import Pin, find_connector
from phloem.sources.lock import pins
from phloem.sources.source import (
    Approval,
    Source,
    approvals,
    card_files,
    card_hash,
    describe,
    license_refs,
    read_yaml,
)

Json = Any
Kind = Literal["error", "hint"]

STALE_DAYS = 730  # two years: terms of web sites are rewritten about as often
SENTENCE = 40  # characters; shorter sentences may well be alike


@dataclass(frozen=True)
class CardFile:
    """A card file as it was read.

    Attributes:
        path: Where it lies.
        value: Its plain data; None if it is not YAML.
        card: The card; None if its shape is wrong.
        faults: What is wrong with its shape, as (field, message).
    """

    path: Path
    value: Json
    card: Source | None
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Registry:
    """All that the rules look at.

    Attributes:
        files: Every card file.
        ops: Names of the ops that there are.
        connectors: Parameter model of each connector, by its name.
        pins: What the lock files hold.
        approvals: By source id.
        license_refs: The LicenseRef-* that `licenses.yaml` knows.
        today: For the age of licence checks.
    """

    files: Sequence[CardFile]
    ops: Collection[str]
    connectors: Mapping[str, type[BaseModel]]
    pins: Mapping[str, Pin]
    approvals: Mapping[str, Approval]
    license_refs: Collection[str]
    today: date

    def cards(self) -> Iterator[tuple[str, Source]]:
        """(file, card) of each card whose shape is right."""
        return ((str(file.path), file.card) for file in self.files if file.card)


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one card."""

    rule: str
    kind: Kind
    file: str
    field: str
    message: str
    fix: str


Found = tuple[str, str, str]  # file, field, message
Check = Callable[[Registry], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """A rule: its number is never given to another.

    Attributes:
        number: S and three digits.
        kind: `error` stops a merge, `hint` does not.
        what: What it rejects.
        why: What goes wrong otherwise.
        fix: What to do.
        check: Finds what it rejects.
    """

    number: str
    kind: Kind
    what: str
    why: str
    fix: str
    check: Check


def read_cards(folders: Sequence[str | Path] = ()) -> list[CardFile]:
    """Every card file of `entries/` and of these folders, right or wrong."""
    return [read_card(path) for path in card_files(folders)]


def read_card(path: Path) -> CardFile:
    """A card file, with every fault of its shape."""
    value, wrong = read_yaml(path)
    if wrong:
        return CardFile(path, None, None, (("card", wrong[0].partition(": ")[2] or wrong[0]),))
    try:
        return CardFile(path, value, Source.model_validate(value), ())
    except ValidationError as error:
        faults = [text.partition(": ")[::2] for text in describe(Source, error)]
        return CardFile(path, value, None, tuple((where, text) for where, text in faults))


def lint(
    folders: Sequence[str | Path] = (),
    *,
    op_names: Collection[str],
    connector_names: Collection[str],
    today: date | None = None,
) -> list[Finding]:
    """Everything wrong with the cards of `entries/` and of these folders, by file and rule.

    Args:
        folders: Further card folders.
        op_names: The ops that there are.
        connector_names: The connectors that there are.
        today: For the age of licence checks; the day in UTC if not given.

    Raises SourceError if a lock file or an approval cannot be read.
    """
    return findings(
        Registry(
            files=read_cards(folders),
            ops=op_names,
            connectors={name: find_connector(name).Params for name in connector_names},
            pins=pins(folders),
            approvals=approvals(),
            license_refs=license_refs(),
            today=today or datetime.now(UTC).date(),
        )
    )


def findings(registry: Registry) -> list[Finding]:
    """Every finding of every rule, by file and then by rule."""
    found = [
        Finding(rule.number, rule.kind, file, field, message, rule.fix)
        for rule in RULES
        for file, field, message in rule.check(registry)
    ]
    return sorted(found, key=lambda f: (f.file, f.rule, f.field, f.message))


def catalogue() -> list[tuple[str, str, str, str, str]]:
    """(number, kind, what, why, fix) of each rule, for the docs."""
    return [(rule.number, rule.kind, rule.what, rule.why, rule.fix) for rule in RULES]


def near(name: str, known: Collection[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    found = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _shape(registry: Registry) -> Iterator[Found]:
    for file in registry.files:
        for field, message in file.faults:
            yield str(file.path), field, message


def _file_name(registry: Registry) -> Iterator[Found]:
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


def _id_twice(registry: Registry) -> Iterator[Found]:
    return _shared(registry, "id", lambda card: [card.id], "is also the id of")


def _same_access(registry: Registry) -> Iterator[Found]:
    return _shared(
        registry, "access", lambda card: [card.access.model_dump_json()], "reads the same as"
    )


def _sentences(card: Source) -> list[str]:
    """The sentences that people wrote about this source alone."""
    text = f"{card.summary}\n{card.limits}"
    found = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n", text)]
    return sorted({part for part in found if len(part) >= SENTENCE})


def _repeated_sentence(registry: Registry) -> Iterator[Found]:
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


def _licence(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        for fault in license_faults(card.license.spdx, registry.license_refs):
            yield file, "license.spdx", fault


def _evidence(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        if card.status == "active":
            for field in ("evidence", "place", "checked_on"):
                if not getattr(card.license, field):
                    yield file, f"license.{field}", "missing, and the card is active"


def _stale_check(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        checked = card.license.checked_on
        if card.status == "active" and checked and (registry.today - checked).days > STALE_DAYS:
            yield file, "license.checked_on", f"{checked} is more than two years ago"


def _connector(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        name = card.access.connector
        if name not in registry.connectors:
            hint = near(name, registry.connectors)
            yield file, "access.connector", f"no connector is named {name!r}{hint}"


def _params(registry: Registry) -> Iterator[Found]:
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


def _clean_ops(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        for step in card.clean:
            for name in [step] if isinstance(step, str) else step:
                if name not in registry.ops:
                    yield file, "clean", f"no op is named {name!r}{near(name, registry.ops)}"


def _keep_rules(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        for number, rule in enumerate(card.keep):
            if not {"name", "column"} <= rule.keys():
                yield file, f"keep.{number}", "a rule needs `name` and `column`"
            elif not {"min", "max", "among", "equals"} & rule.keys():
                yield file, f"keep.{number}", "a rule needs one of min, max, among, equals"


def _locked(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        if card.status == "active" and card.id not in registry.pins:
            yield file, "status", "active, but no lock entry says what it holds"


def _reason(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        if card.status in {"paused", "withdrawn"} and not card.reason:
            yield file, "reason", f"missing, and the card is {card.status}"


def _replaced_by(registry: Registry) -> Iterator[Found]:
    ids = {card.id for _, card in registry.cards()}
    for file, card in registry.cards():
        if card.replaced_by and card.replaced_by not in ids:
            hint = near(card.replaced_by, ids)
            yield file, "replaced_by", f"no card has the id {card.replaced_by!r}{hint}"


def _approved_card(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        approval = registry.approvals.get(card.id)
        if approval and approval.card != card_hash(card):
            found, said = card_hash(card)[:12], approval.card[:12]
            yield file, "card", f"its hash is {found}…, the approval is of {said}…"


def _approved_source(registry: Registry) -> Iterator[Found]:
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


def _languages(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        for tag in card.languages:
            fault = tag_fault(tag)
            if fault:
                yield file, "languages", fault


def _code(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        if (card.kind == "code") != ("zxx" in card.languages):
            yield file, "languages", f"kind is {card.kind}, languages are {list(card.languages)}"


def _personal(registry: Registry) -> Iterator[Found]:
    for file, card in registry.cards():
        if card.personal_data.level == "personal" and not card.personal_data.note:
            yield file, "personal_data.note", "missing, and the level is personal"


def _orphan_lock(registry: Registry) -> Iterator[Found]:
    ids = {card.id for _, card in registry.cards()} | {file.path.stem for file in registry.files}
    for source in registry.pins:
        if source not in ids:
            yield "sources.lock", source, "no card has this id"


RULES = (
    Rule(
        "S001",
        "error",
        "a card that is not YAML, or has an unknown key, a missing one or a wrong value",
        "a misspelt key is silently without effect",
        "compare with the table of fields",
        _shape,
    ),
    Rule(
        "S002",
        "error",
        "an id that differs from the file name",
        "nobody finds the card of a source that a report names",
        "rename the file, or correct the id of a new card",
        _file_name,
    ),
    Rule(
        "S003",
        "error",
        "an id that another card has",
        "document ids are made from it",
        "choose another id; never reuse one",
        _id_twice,
    ),
    Rule(
        "S004",
        "error",
        "a licence that is no SPDX expression, or a LicenseRef that licenses.yaml lacks",
        "obligations are computed from it",
        "use an SPDX identifier, or describe the LicenseRef in licenses.yaml",
        _licence,
    ),
    Rule(
        "S005",
        "error",
        "an active card without quoted evidence of its licence, its place and its date",
        "a licence that nobody read is a guess",
        "read the terms and quote the sentence, or set status: proposed",
        _evidence,
    ),
    Rule(
        "S006",
        "hint",
        "a licence check older than two years",
        "terms change",
        "read the terms again and update checked_on",
        _stale_check,
    ),
    Rule(
        "S007",
        "error",
        "a card that reads the same as another",
        "every document would be there twice",
        "drop one, or withdraw it with replaced_by",
        _same_access,
    ),
    Rule(
        "S008",
        "error",
        "a connector that there is not",
        "the source cannot be read",
        "name a module of sources/connectors/",
        _connector,
    ),
    Rule(
        "S009",
        "error",
        "parameters that the connector rejects",
        "the source cannot be read",
        "compare with the connector's table of parameters",
        _params,
    ),
    Rule(
        "S010",
        "error",
        "an op in `clean` that there is not",
        "a run that uses the source would fail",
        "name an op that `phloem ops list` shows",
        _clean_ops,
    ),
    Rule(
        "S011",
        "error",
        "an active card without a lock entry",
        "a run could not tell which bytes it read",
        "run `phloem sources lock ID`",
        _locked,
    ),
    Rule(
        "S012",
        "error",
        "a paused or withdrawn card without a reason",
        "the next person cannot tell whether to bring it back",
        "write the reason",
        _reason,
    ),
    Rule(
        "S013",
        "error",
        "a replaced_by that no card has",
        "a reader is sent nowhere",
        "name an existing card",
        _replaced_by,
    ),
    Rule(
        "S014",
        "hint",
        "a sentence of summary or limits that another card has too",
        "a sentence that fits two sources says little of either",
        "say what is particular to this source",
        _repeated_sentence,
    ),
    Rule(
        "S015",
        "error",
        "an approval of a card that was changed since",
        "nobody agreed to what the card says now",
        "have the card approved again",
        _approved_card,
    ),
    Rule(
        "S016",
        "error",
        "an approval of no card",
        "the approved source was renamed or lost",
        "restore the card; ids are never reused",
        _approved_source,
    ),
    Rule(
        "S017",
        "error",
        "a language that is no BCP-47 tag in its usual case",
        "languages are compared as strings",
        "write it like sw, zh-Hans or pt-BR",
        _languages,
    ),
    Rule(
        "S018",
        "hint",
        "code that is not zxx, or zxx that is not code",
        "language rules must not judge code",
        "use kind: code with languages: [zxx]",
        _code,
    ),
    Rule(
        "S019",
        "error",
        "personal data without a note",
        "a reviewer must know whose data it is",
        "say what kind of data, and where",
        _personal,
    ),
    Rule(
        "S020",
        "error",
        "a keep rule without name, column or bound",
        "a run that uses the source would fail",
        "write {name, column, min|max|among|equals}",
        _keep_rules,
    ),
    Rule(
        "S021",
        "hint",
        "a lock entry of no card",
        "it is carried along for ever",
        "delete the entry",
        _orphan_lock,
    ),
)
