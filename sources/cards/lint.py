"""What a card must hold to, beyond its shape: numbered rules, each with its reason and its mend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from phloem.sources.cards import checks, facts
from phloem.sources.cards.approvals import signature_faults, signers_of
from phloem.sources.cards.checks import Found
from phloem.sources.cards.dossier import Dossier, read_cards
from phloem.sources.cards.lock import pins
from phloem.sources.cards.source import approvals, license_refs
from phloem.sources.connector import find_connector

Kind = Literal["error", "hint"]
Check = Callable[[Dossier], Iterator[Found]]


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one card."""

    rule: str
    kind: Kind
    file: str
    field: str
    message: str
    fix: str


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
    approved = approvals(folders)
    return findings(
        Dossier(
            files=read_cards(folders),
            ops=op_names,
            connectors={name: find_connector(name) for name in connector_names},
            pins=pins(folders),
            approvals=approved,
            license_refs=license_refs(),
            today=today or datetime.now(UTC).date(),
            unverified=signature_faults(approved, signers_of(folders)),
        )
    )


def findings(dossier: Dossier) -> list[Finding]:
    """Every finding of every rule, by file and then by rule."""
    found = [
        Finding(rule.number, rule.kind, file, field, message, rule.fix)
        for rule in RULES
        for file, field, message in rule.check(dossier)
    ]
    return sorted(found, key=lambda f: (f.file, f.rule, f.field, f.message))


def catalogue() -> list[tuple[str, str, str, str, str]]:
    """(number, kind, what, why, fix) of each rule, for the docs."""
    return [(rule.number, rule.kind, rule.what, rule.why, rule.fix) for rule in RULES]


RULES = (
    Rule(
        "S001",
        "error",
        "a card that is not YAML, or has an unknown key, a missing one or a wrong value",
        "a misspelt key is silently without effect",
        "compare with the table of fields",
        checks.shape,
    ),
    Rule(
        "S002",
        "error",
        "an id that differs from the file name",
        "nobody finds the card of a source that a report names",
        "rename the file, or correct the id of a new card",
        checks.file_name,
    ),
    Rule(
        "S003",
        "error",
        "an id that another card has",
        "document ids are made from it",
        "choose another id; never reuse one",
        checks.id_twice,
    ),
    Rule(
        "S004",
        "error",
        "a licence that is no SPDX expression, or a LicenseRef that licenses.yaml lacks",
        "obligations are computed from it",
        "use an SPDX identifier, or describe the LicenseRef in licenses.yaml",
        checks.licence,
    ),
    Rule(
        "S005",
        "error",
        "an active card without quoted evidence of its licence, its place and its date",
        "a licence that nobody read is a guess",
        "read the terms and quote the sentence, or set status: proposed",
        checks.evidence,
    ),
    Rule(
        "S006",
        "hint",
        "a licence check older than two years",
        "terms change",
        "read the terms again and update checked_on",
        checks.stale_check,
    ),
    Rule(
        "S007",
        "error",
        "a card that reads the same as another",
        "every document would be there twice",
        "drop one, or withdraw it with replaced_by",
        checks.same_access,
    ),
    Rule(
        "S008",
        "error",
        "a connector that there is not",
        "the source cannot be read",
        "name a module of sources/connectors/",
        checks.connector,
    ),
    Rule(
        "S009",
        "error",
        "parameters that the connector rejects",
        "the source cannot be read",
        "compare with the connector's table of parameters",
        checks.params,
    ),
    Rule(
        "S010",
        "error",
        "an op in `clean` that there is not",
        "a run that uses the source would fail",
        "name an op that `phloem ops list` shows",
        checks.clean_ops,
    ),
    Rule(
        "S011",
        "error",
        "an active card without a lock entry, where a package index has its bytes",
        "a run could not tell which bytes it read",
        "run `phloem sources lock ID`",
        checks.locked,
    ),
    Rule(
        "S012",
        "error",
        "a card that is not active and does not say why",
        "the next person cannot tell what would make it so",
        "write the reason: of a proposed card, what is missing",
        checks.reason,
    ),
    Rule(
        "S013",
        "error",
        "a replaced_by that no card has",
        "a reader is sent nowhere",
        "name an existing card",
        checks.replaced_by,
    ),
    Rule(
        "S014",
        "hint",
        "a sentence of summary or limits that another card has too",
        "a sentence that fits two sources says little of either",
        "say what is particular to this source",
        checks.repeated_sentence,
    ),
    Rule(
        "S015",
        "error",
        "an approval of a card that was changed since",
        "nobody agreed to what the card says now",
        "have the card approved again",
        checks.approved_card,
    ),
    Rule(
        "S016",
        "error",
        "an approval of no card",
        "the approved source was renamed or lost",
        "restore the card; ids are never reused",
        checks.approved_source,
    ),
    Rule(
        "S017",
        "error",
        "a language that is no BCP-47 tag in its usual case",
        "languages are compared as strings",
        "write it like sw, zh-Hans or pt-BR",
        checks.languages,
    ),
    Rule(
        "S018",
        "hint",
        "code that is not zxx, or zxx that is not code",
        "language rules must not judge code",
        "use kind: code with languages: [zxx]",
        checks.code,
    ),
    Rule(
        "S019",
        "error",
        "personal data without a note",
        "a reviewer must know whose data it is",
        "say what kind of data, and where",
        checks.personal,
    ),
    Rule(
        "S020",
        "error",
        "a keep rule that no recipe could have",
        "a run that uses the source would fail",
        "write {name, column, min|max|among}: min and max are a number, or numbers by language"
        " with `default`; among is a list of words",
        checks.keep_rules,
    ),
    Rule(
        "S021",
        "hint",
        "a lock entry of no card",
        "it is carried along for ever",
        "delete the entry",
        checks.orphan_lock,
    ),
    Rule(
        "S022",
        "error",
        "an active card that leaves a fact open",
        "a gap reads like an answer",
        "fill the field in, or say under `unknown` what was looked at",
        facts.open_facts,
    ),
    Rule(
        "S023",
        "error",
        "a fact called unknown that is no field, or is given all the same",
        "a reader cannot tell which of the two holds",
        "correct the name, or take one of the two out",
        facts.unknown_fields,
    ),
    Rule(
        "S024",
        "error",
        "an active card that reads from a host of watchlist.yaml",
        "copies without a right to, and texts behind a payment, are no sources",
        "find the work at its maker's, or withdraw the card",
        facts.watched_hosts,
    ),
    Rule(
        "S025",
        "error",
        "an active card whose provider was seen to opt out",
        "who says no is heard",
        "pause the card, or show that the provider agreed since",
        facts.opted_out,
    ),
    Rule(
        "S026",
        "error",
        "an active card whose documents and terms nobody has read",
        "a run would rest on hearsay",
        "read them, and say evidence: read and in which role; or set status: proposed",
        facts.unread,
    ),
    Rule(
        "S027",
        "error",
        "a mail address in a card",
        "it is a person's, and a card is public for ever",
        "name a role or a page",
        facts.mail_addresses,
    ),
    Rule(
        "S028",
        "hint",
        "an active card with a summary of one sentence",
        "it cannot say what the texts are and why they were chosen",
        "say who made them, which part is taken, and why",
        facts.short_summary,
    ),
    Rule(
        "S029",
        "error",
        "more cards of a kind than a balanced registry holds",
        "what is easily had crowds out the rest",
        "group them by work, or leave the weakest out",
        facts.crowded_kinds,
    ),
    Rule(
        "S030",
        "error",
        "an approval whose signature does not verify",
        "anybody could have written it",
        "sign it with `phloem sources approve ID --key KEY`, by a key that allowed_signers lists",
        checks.approved_by,
    ),
    Rule(
        "S031",
        "hint",
        "an active card with a licence that no policy of the project reads",
        "it counts among the sources and gives no run a document",
        "say in license.restrictions what the terms allow, or set status: proposed until they do",
        checks.unreadable,
    ),
    Rule(
        "S032",
        "error",
        "a card with the id of a user's own files",
        "no licence and no approval is asked of those",
        "choose another id",
        facts.reserved_id,
    ),
)
