"""Policies: what a source must show before it is read, and a run before anything is released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from phloem.catalog.columns import PII_KINDS
from phloem.catalog.errors import PhloemError
from phloem.catalog.ledger import Balance
from phloem.catalog.licenses import (
    NO_REFS,
    OBLIGATIONS,
    UNMODELLED,
    Refs,
    obligations,
    obligations_of_card,
)
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json

POLICIES = Path(__file__).parent / "policies"
ACTIVE = "active"
HANDED = ("composed", "documents")  # facts of a run: documents of each source, by stage
LOCAL = "local"  # id of the card that is made up for a user's own files


class PolicyError(PhloemError):
    """A policy that is not there or cannot be read: the message lists every fault."""


class Policy(BaseModel):
    """What is asked for, as a YAML file in `policies/` says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="The file's name.")
    summary: str = Field(description="What it is for, in a sentence or two.")
    approval: bool = Field(description="Each source is approved by a person, as its card stands.")
    approved_pin: bool = Field(
        default=False,
        description="The approval is of the lock entry as well: another version is approved anew.",
    )
    evidence: Literal["none", "read"] = Field(
        description="`read`: a person has read the evidence of each source's licence."
    )
    forbidden: tuple[str, ...] = Field(
        description="Obligations that no licence of a kept text may have."
    )
    max_quarantine_share: float = Field(
        ge=0, le=1, description="Largest share of a source's documents in quarantine."
    )
    max_loss_share: float = Field(
        ge=0, le=1, description="Largest share of a source's documents that are not kept."
    )
    alarm_from_documents: int = Field(
        default=100, ge=1, description="Sources with fewer documents are not judged by shares."
    )
    allow_cut_sources: bool = Field(
        default=False, description="A source may be released though its rest could not be read."
    )
    pii_scrubbed: bool = Field(description="Personal data that is found is replaced.")
    min_documents: int = Field(default=1, ge=0, description="Fewest documents of a release.")
    releasable: bool = Field(default=True, description="Whether a release may be made at all.")

    @field_validator("forbidden")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [duty for duty in value if duty not in OBLIGATIONS]
        if wrong:
            msg = f"no obligation named {wrong[0]!r}; {nearest(wrong[0], OBLIGATIONS)}"
            raise ValueError(msg)
        return value


@dataclass(frozen=True)
class Check:
    """One thing that the gate looked at."""

    name: str
    passed: bool
    detail: str


def policies(folders: Sequence[Path | str] = ()) -> dict[str, Path]:
    """Every policy's file by name: the project's own, and those of these folders, which win."""
    places = [POLICIES, *(Path(folder) for folder in folders)]
    return {path.stem: path for place in places for path in sorted(place.glob("*.yaml"))}


def load_policy(asked: str, folders: Sequence[Path | str] = ()) -> Policy:
    """A policy by name or path. Raises PolicyError with the nearest name, or with every fault."""
    known = policies(folders)
    path = known.get(asked, Path(asked))
    if not path.is_file():
        msg = f"no policy named {asked!r}; {nearest(asked, list(known))}"
        raise PolicyError(msg)
    try:
        policy = Policy.model_validate(yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        msg = f"{path.name} is not YAML: {error}"
        raise PolicyError(msg) from None
    except ValidationError as error:
        msg = f"{path.name}: " + "; ".join(_told(fault) for fault in error.errors())
        raise PolicyError(msg) from None
    if policy.name != path.stem:
        msg = f"{path.name}: name is {policy.name!r}; make it the file's name"
        raise PolicyError(msg)
    return policy


def _told(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; {nearest(where, list(Policy.model_fields))}"
    return f"{where}: {fault['msg']}"


def admits(policy: Policy, source: Mapping[str, Json], license_refs: Refs = NO_REFS) -> list[str]:
    """Why a source may not be read under a policy; empty if it may.

    Args:
        policy: What is asked for.
        source: As in a run record's `sources`: status, evidence, license, restrictions, card,
            approval.
        license_refs: Obligations of each LicenseRef that somebody decided.
    """
    reasons = []
    if source.get("status") != ACTIVE:
        reasons.append(f"its status is {source.get('status')!r}, not active")
    if policy.evidence == "read" and source.get("evidence") != "read":
        reasons.append("nobody has read the evidence of its licence")
    duties = obligations_of_card(source.get("license"), source.get("restrictions"), license_refs)
    refused = sorted(duties & set(policy.forbidden))
    if refused:
        unsaid = "; nothing here can hold a run to what it asks" if UNMODELLED in refused else ""
        reasons.append(f"its licence {source.get('license')} has {', '.join(refused)}{unsaid}")
    missing = approval_fault(source) if policy.approval else None
    if policy.approved_pin and not missing:
        missing = pin_fault(source)
    return [*reasons, missing] if missing else reasons


def approval_fault(source: Mapping[str, Json]) -> str | None:
    """Why a source of a run record counts as not approved; None if it is approved as it stands."""
    approval = source.get("approval")
    if not approval:
        return "nobody has approved it"
    if approval.get("card") != source.get("card"):
        return "its card has changed since it was approved; ask for a new approval"
    if not approval.get("verified"):
        return f"its approval does not count: {approval.get('fault') or 'nobody verified it'}"
    return None


def pin_fault(source: Mapping[str, Json]) -> str | None:
    """Why the lock entry of an approved source counts as not approved; None if it is."""
    approved = source["approval"].get("pin")
    if not approved:
        return "its approval is of no lock entry; lock it, and ask for a new approval"
    if approved != source.get("pin"):
        return "its lock entry has changed since it was approved; ask for a new approval"
    return None


def gate(policy: Policy, run: Mapping[str, Json]) -> tuple[Check, ...]:
    """Every check that a run must pass before anything of it is released.

    Args:
        policy: What is asked for.
        run: {balance: {source: {read, kept, dropped, quarantined}}, sources: {id: facts},
            licenses: {SPDX expression: kept documents}, license_refs, scrub: {kind: placeholder},
            cut: {source: streams whose rest could not be read}, composed_by_source and
            documents_by_source: {source: documents}, pii_measured: whether the op that finds
            personal data ran, tokenizer: sha256 or None, documents: how many would be released}.
    """
    balance = {id_: Balance(**counts) for id_, counts in sorted(run["balance"].items())}
    return tuple(_checks(policy, run, balance))


def _checks(
    policy: Policy, run: Mapping[str, Json], balance: Mapping[str, Balance]
) -> Iterator[Check]:
    yield _listed("releasable", [] if policy.releasable else ["the policy makes no releases"])
    lost = [id_ for id_, counts in balance.items() if not counts.holds]
    yield _listed("balance", lost, "in = kept + dropped + quarantined for every source")
    alarms = loss_alarm(policy, balance, run["cut"])
    yield _listed("loss", alarms, f"every source kept more than {1 - policy.max_loss_share:.0%}")
    yield _handed(run, balance)
    yield _licenses(policy, run)
    refused = [
        f"{id_}: {reason}"
        for id_, source in sorted(run["sources"].items())
        for reason in admits(policy, source, run.get("license_refs", NO_REFS))
    ]
    yield _listed("sources", refused, "the policy admits every source")
    yield _pii(policy, run)
    pinned = [] if run.get("tokenizer") else ["no tokenizer with a sha256"]
    yield _listed("tokenizer", pinned, f"sha256 {str(run.get('tokenizer'))[:12]}")
    enough = run["documents"] >= policy.min_documents
    asked = f"{run['documents']} documents; at least {policy.min_documents} are asked for"
    yield Check("documents", enough, asked)
    ephemeral = [f"{LOCAL} has no card; write one"] if LOCAL in run["sources"] else []
    yield _listed("cards", ephemeral, "every source has a card")


def _listed(name: str, wrong: Sequence[str], fine: str = "yes") -> Check:
    return Check(name, not wrong, "; ".join(wrong) or fine)


def loss_alarm(policy: Policy, balance: Mapping[str, Balance], cut: Mapping[str, int]) -> list[str]:
    """What of a run's sources is so far off that something must be wrong; empty if nothing.

    Small sources are not judged by shares, but one that gave nothing, or was cut short, is.

    Args:
        policy: The shares that it bears.
        balance: Of each source.
        cut: Streams of each source of which an unknown rest could not be read.
    """
    return [
        f"{source}: {reason}"
        for source, counts in sorted(balance.items())
        for reason in _losses(policy, counts, cut.get(source, 0))
    ]


def _losses(policy: Policy, counts: Balance, cut: int) -> Iterator[str]:
    if cut and not policy.allow_cut_sources:
        yield f"the rest of {cut} streams could not be read"
    if not counts.read:
        yield "nothing was read"
    elif not counts.kept:
        yield f"none of {counts.read} was kept"
    elif counts.read >= policy.alarm_from_documents:
        gone = counts.dropped + counts.quarantined
        if gone > policy.max_loss_share * counts.read:
            yield f"{gone} of {counts.read} were not kept"
        if counts.quarantined > policy.max_quarantine_share * counts.read:
            yield f"{counts.quarantined} of {counts.read} are in quarantine"


def _handed(run: Mapping[str, Json], balance: Mapping[str, Balance]) -> Check:
    """Every kept document is composed and tokenized, and no other."""
    wrong = []
    for id_, counts in balance.items():
        composed, tokenized = (run[f"{stage}_by_source"].get(id_, 0) for stage in HANDED)
        if not counts.kept == composed == tokenized:
            wrong.append(f"{id_}: {counts.kept} kept, {composed} composed, {tokenized} tokenized")
    return _listed("hand-off", wrong, "all that was kept was composed and tokenized")


def _licenses(policy: Policy, run: Mapping[str, Json]) -> Check:
    refs = run.get("license_refs", NO_REFS)
    wrong = []
    for expression, documents in sorted(run["licenses"].items()):
        duties = sorted(obligations(expression, refs) & set(policy.forbidden))
        if duties and documents:
            wrong.append(f"{expression} of {documents} documents has {', '.join(duties)}")
    return _listed("licences", wrong, f"none has {' or '.join(policy.forbidden) or 'a limit'}")


def _pii(policy: Policy, run: Mapping[str, Json]) -> Check:
    if not policy.pii_scrubbed:
        return Check("personal data", passed=True, detail="not asked for")
    wrong = []
    if not run.get("pii_measured"):
        wrong.append("no op looked for personal data")
    left = [kind for kind in PII_KINDS if kind not in run.get("scrub", {})]
    if left:
        wrong.append(f"the recipe leaves {', '.join(left)} as found")
    return _listed("personal data", wrong, f"replaced: {', '.join(sorted(run.get('scrub', {})))}")


def unasked(policy: Policy) -> tuple[str, ...]:
    """What a policy does not ask for, in plain words: a release under it says so."""
    words = {
        "unknown": "a licence that nobody knows",
        "unmodelled": "a licence that asks for what nothing here can check",
        "noncommercial": "licences that forbid commercial use",
        "no_derivatives": "licences that forbid adaptations",
    }
    points = [
        (not policy.approval, "No person has approved the sources for this use."),
        (policy.evidence == "none", "Nobody needs to have read the evidence for the licences."),
        (not policy.pii_scrubbed, "Personal data need not have been replaced."),
        (policy.max_loss_share == 1, "A source may have lost nearly all without an alarm."),
        (policy.allow_cut_sources, "A source may lack a rest that could not be read."),
    ]
    sentences = [sentence for applies, sentence in points if applies]
    return (
        *sentences,
        *(
            f"Texts may be under {said}."
            for duty, said in words.items()
            if duty not in policy.forbidden
        ),
    )
