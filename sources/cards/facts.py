"""What lint rules ask of a card beyond its shape: that it says what is known, and what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from phloem.catalog.nearest import nearest
from phloem.catalog.policy import LOCAL
from phloem.sources.cards import rules
from phloem.sources.cards.dossier import Dossier
from phloem.sources.cards.plain_yaml import read_yaml
from phloem.sources.cards.reads import hosts
from phloem.sources.cards.rules import Found
from phloem.sources.cards.source import Source, texts_of
from phloem.sources.connector import Json

ASKED = (
    "category",
    "collection",
    "collection.when",
    "contact",
    "license.restrictions.commercial",
    "license.restrictions.derivatives",
    "license.restrictions.share_alike",
    "limits",
    "period",
    "personal_data.special",
    "region",
    "synthetic",
)
"""Fields that an active card fills in, or names under `unknown`."""

MOST = {("software_docs",): 60, ("interface", "dictionary"): 40}
"""Cards of these kinds in the project's registry: manuals and lists of words are easily had, and
would crowd out what people write to each other."""

SENTENCES = 2  # of a summary: what it is, and why it was chosen
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+")  # each run of letters is tried once


def _value(card: BaseModel, field: str) -> Json:
    """What a card says in a field such as `license.url`; None if it, or what holds it, is empty."""
    value: Json = card
    for part in field.split("."):
        value = getattr(value, part, None)
    return value


def _said(card: Source, field: str) -> bool:
    return _value(card, field) not in (None, "unknown", ())


@rules.error(
    "S022",
    why="a gap reads like an answer",
    fix="fill the field in, or say under `unknown` what was looked at",
)
def open_facts(dossier: Dossier) -> Iterator[Found]:
    """An active card that leaves a fact open."""
    for file, card in dossier.cards():
        if card.status != "active":
            continue
        for field in ASKED:
            if not _said(card, field) and field not in card.unknown:
                yield file, field, "missing, and the card is active"


@rules.error(
    "S023",
    why="a reader cannot tell which of the two holds",
    fix="correct the name, or take one of the two out",
)
def unknown_fields(dossier: Dossier) -> Iterator[Found]:
    """A fact called unknown that is no field, or is given all the same.

    Of a field that is given otherwise, such as `access`, a note may say what of it is not known.
    """
    for file, card in dossier.cards():
        for field in card.unknown:
            if field not in _fields() and not field.startswith("access.params."):
                yield file, "unknown", f"no field is named {field!r}; {nearest(field, _fields())}"
            elif field in ASKED and _said(card, field):
                yield file, "unknown", f"{field} is given"


@cache
def _fields() -> tuple[str, ...]:
    return tuple(sorted(_paths(Source)))


def _paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield above + name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _paths(inner, f"{above}{name}.")


@cache
def watch_list() -> Mapping[str, Mapping[str, str]]:
    """Why a host is watched, by host: under `piracy` and under `paywall`."""
    value, _ = read_yaml(Path(str(files("phloem.sources") / "watchlist.yaml")))
    return value  # type: ignore[no-any-return] # tests hold the file to this shape


def watched(host: str) -> tuple[str, str] | None:
    """The list that a host, or one above it, is on, and why; None if on none."""
    for kind, listed in watch_list().items():
        for name, why in listed.items():
            if host == name or host.endswith(f".{name}"):
                return kind, why
    return None


@rules.error(
    "S024",
    why="copies without a right to, and texts behind a payment, are no sources",
    fix="find the work at its maker's, or withdraw the card",
)
def watched_hosts(dossier: Dossier) -> Iterator[Found]:
    """An active card that reads from a host of watchlist.yaml."""
    for file, card in dossier.cards():
        if card.status != "active":
            continue
        for host in sorted(hosts([card.homepage, *texts_of(card.access.params)])):
            found = watched(host)
            if found:
                yield file, "access", f"{host} is on the {found[0]} watch list: {found[1]}"


@rules.error(
    "S025", why="who says no is heard", fix="pause the card, or show that the provider agreed since"
)
def opted_out(dossier: Dossier) -> Iterator[Found]:
    """An active card whose provider was seen to opt out."""
    for file, card in dossier.cards():
        for seen in card.opt_out:
            if card.status == "active" and seen.verdict == "deny":
                yield file, "opt_out", f"{seen.protocol} said deny on {seen.seen_on}, active"


@rules.error(
    "S026",
    why="a run would rest on hearsay",
    fix="read them, and say evidence: read and in which role; or set status: proposed",
)
def unread(dossier: Dossier) -> Iterator[Found]:
    """An active card whose documents and terms nobody has read."""
    for file, card in dossier.cards():
        if card.status == "active" and (card.evidence != "read" or not card.license.checked_by):
            field = "evidence" if card.evidence != "read" else "license.checked_by"
            yield file, field, "missing, and the card is active"


@rules.error(
    "S027", why="it is a person's, and a card is public for ever", fix="name a role or a page"
)
def mail_addresses(dossier: Dossier) -> Iterator[Found]:
    """A mail address in a card."""
    for file, card in dossier.cards():
        for field in ("contact", "custodian", "nominated_by", "summary", "limits"):
            if _MAIL.search(_value(card, field) or ""):
                yield file, field, "holds a mail address"


@rules.hint(
    "S028",
    why="it cannot say what the texts are and why they were chosen",
    fix="say who made them, which part is taken, and why",
)
def short_summary(dossier: Dossier) -> Iterator[Found]:
    """An active card with a summary of one sentence."""
    for file, card in dossier.cards():
        sentences = [part for part in re.split(r"(?<=[.!?])\s+", card.summary.strip()) if part]
        if card.status == "active" and len(sentences) < SENTENCES:
            yield file, "summary", "one sentence"


@rules.error(
    "S029",
    why="what is easily had crowds out the rest",
    fix="group them by work, or leave the weakest out",
)
def crowded_kinds(dossier: Dossier) -> Iterator[Found]:
    """More cards of a kind than a balanced registry holds."""
    living = [card for _, card in dossier.cards() if card.status in {"active", "proposed"}]
    for kinds, most in MOST.items():
        count = sum(card.kind in kinds for card in living)
        if count > most:
            yield "entries", "kind", f"{count} cards of {' and '.join(kinds)}, at most {most}"


@rules.error("S032", why="no licence and no approval is asked of those", fix="choose another id")
def reserved_id(dossier: Dossier) -> Iterator[Found]:
    """A card with the id of a user's own files."""
    for file, card in dossier.cards():
        if card.id == LOCAL:
            yield file, "id", f"{LOCAL!r} is what files given by --input are called"


@rules.error(
    "S041",
    why="documents from before would be read as if it held for them",
    fix="set status: proposed, or read it by a connector that says the day of each document",
)
def licence_day(dossier: Dossier) -> Iterator[Found]:
    """An active card whose licence holds from a day on, where nothing says that of a document."""
    for file, card in dossier.cards():
        dated = getattr(dossier.connectors.get(card.access.connector), "SAYS_DATES", False)
        if card.status == "active" and card.license.since and not dated:
            said = f"{card.access.connector} says no day of a document"
            yield file, "license.since", f"{card.license.since}, and {said}"


_WISHED = re.compile(r"\bmust (?:first )?be (?:dropped|left out|removed|filtered)\b")


@rules.error(
    "S042",
    why="nobody does it: a run reads the card, and not its prose",
    fix="use license.since, clean, keep, include or exclude; or say that nothing does it",
)
def wishes(dossier: Dossier) -> Iterator[Found]:
    """An active card whose limits say that documents must be dropped."""
    for file, card in dossier.cards():
        found = _WISHED.search(card.limits or "")
        if card.status == "active" and found:
            yield file, "limits", f"{found[0]!r}, and no rule does it"


REPEATED = 0.3  # of what a source holds: more is not what its size promises
_TELLS = {
    "repeats": re.compile(r"duplicat|repeat|same (?:text|line|page)|near cop", re.IGNORECASE),
    "nothing": re.compile(r"\b(?:nothing|none|no document)\b", re.IGNORECASE),
}


@rules.error(
    "S044",
    why="who chose it by its size has other text than they think",
    fix="mend it with exclude, or with clean: [drop_frequent_lines] where the same lines make its"
    " pages alike, and lock it again; or say so in limits",
)
def lost_text(dossier: Dossier) -> Iterator[Found]:
    """An active card of which nothing was kept, or 30 % lost to its own pages, untold in limits.

    What was seen stands in the lock: how much text the rules keep, and how much were near
    duplicates of other documents of the source.
    """
    for file, card in dossier.cards():
        text = dossier.texts.get(card.id)
        if card.status != "active" or text is None:
            continue
        kept, repeated, said = sum(text.bytes.values()), text.repeated or 0, card.limits or ""
        if not kept and not _TELLS["nothing"].search(said):
            yield (
                file,
                "limits",
                "nothing of it was kept when it was locked, untold",
            )
        if repeated > REPEATED * (kept + repeated) and not _TELLS["repeats"].search(said):
            share = f"{repeated / (kept + repeated):.0%} of its text"
            yield file, "limits", f"{share} is near duplicates of its own, untold"
