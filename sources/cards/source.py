"""Source cards: what people decided about a source. The model here is the schema."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from phloem.catalog.kept import kept
from phloem.catalog.licenses import UNKNOWN_LICENSE, in_collection
from phloem.catalog.manifest import digest_of
from phloem.catalog.nearest import nearest
from phloem.catalog.policy import LOCAL
from phloem.sources.cards.plain_yaml import read_yaml
from phloem.sources.connector import Json, SourceError, Strict

Kind = Literal[
    "books",
    "code",
    "dialogue",
    "dictionary",
    "educational",
    "encyclopedia",
    "interface",
    "legal",
    "literature",
    "medical",
    "news",
    "parliamentary",
    "questions",
    "reference",
    "religious",
    "scientific",
    "software_docs",
    "speech",
    "subtitles",
    "web",
]
# Sections of the AI Office's template for Article 53(1)(d) of Regulation (EU) 2024/1689.
Category = Literal["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]
Permission = Literal["allowed", "conditional", "forbidden", "unknown"]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


_SHOWN = 60  # characters of a wrong value that a message shows
_Model = TypeVar("_Model", bound=BaseModel)


class CardError(SourceError):
    """Cards that cannot be read: the message lists every fault of every file."""


class Restrictions(Strict):
    """What the terms say of four uses; `conditional`: the licence's conditions must be met."""

    commercial: Permission = Field(default="unknown", description="Commercial use.")
    derivatives: Permission = Field(default="unknown", description="Changed copies.")
    share_alike: Literal["required", "none", "unknown"] = Field(
        default="unknown", description="Whether changed copies must be under the same terms."
    )
    ai_training: Permission = Field(
        default="unknown", description="Training, where the terms speak of it; most do not."
    )


class License(Strict):
    """Under which terms the texts may be used, and how we know."""

    spdx: str = Field(
        description="SPDX licence expression of the texts; a LicenseRef-* must be in"
        " licenses.yaml.",
        examples=["CC-BY-SA-4.0", "GPL-2.0-or-later OR CC-BY-SA-3.0", "LicenseRef-public-domain"],
    )
    collection: str | None = Field(
        default=None,
        description="SPDX licence expression of the collection as such, where it differs from that"
        " of its texts; both hold for each of them.",
    )
    url: str | None = Field(default=None, description="Page that holds the terms.")
    evidence: str | None = Field(
        default=None, description="The sentence of the terms that says so, quoted."
    )
    place: str | None = Field(
        default=None, description="Where the sentence was read: a page, or a file in the source."
    )
    checked_on: dt.date | None = Field(default=None, description="When it was read.")
    checked_by: str | None = Field(
        default=None, description="Role of who read it, such as curator; no person's name."
    )
    attribution: str | None = Field(
        default=None, description="Line that a release must show to meet the licence."
    )
    since: dt.date | None = Field(
        default=None,
        description="Day from which it holds: a document of an earlier day, or of none, is under no"
        " known licence.",
    )
    restrictions: Restrictions = Field(
        default=Restrictions(), description="What the terms allow, as a person reads them."
    )

    @property
    def whole(self) -> str:
        """SPDX expression of what holds for a text without a licence of its own: both."""
        return in_collection(self.spdx, self.collection)


class Collection(Strict):
    """How the texts came together, before this project read them."""

    who: str = Field(description="Who collected or wrote them.")
    how: Literal["written", "translated", "crawled", "digitized", "transcribed", "compiled"] = (
        Field(description="What was done; `compiled`: chosen from other works.")
    )
    when: str | None = Field(default=None, description="Years, or years and months: 2019/2024-06.")
    part: str = Field(description="Which part of it this card takes, and what it leaves out.")


class OptOut(Strict):
    """What the provider was seen to say about mining or training, in one protocol."""

    protocol: Literal["robots", "tdmrep", "ai.txt", "header", "aipref", "terms"] = Field(
        description="robots.txt (RFC 9309), TDMRep, ai.txt, an HTTP header, AIPREF, or the terms."
    )
    verdict: Literal["allow", "deny", "unknown"] = Field(description="What it says.")
    seen_on: dt.date = Field(description="When it was looked at.")
    place: str = Field(description="Where: an address or a file, or a stored copy of it.")
    note: str | None = Field(default=None, description="The rule as it stands there.")


class Access(Strict):
    """How the bytes are had."""

    connector: str = Field(description="Module in sources/connectors/.", examples=["deb"])
    params: dict[str, Json] = Field(default={}, description="The connector's parameters.")


class PersonalData(Strict):
    """What the source tells about living people."""

    level: Literal["none", "incidental", "personal"] = Field(
        description="`incidental`: names of authors and examples; `personal`: about people."
    )
    note: str | None = Field(default=None, description="What kind, and where.")
    special: Literal["none", "incidental", "present", "unknown"] = Field(
        default="unknown",
        description="Special categories (GDPR, Article 9): health, faith, politics and the like.",
    )
    basis: str | None = Field(
        default=None,
        description="Legal basis as a term of the Data Privacy Vocabulary, where one is needed.",
        examples=["eu-gdpr:A6-1-f"],
    )


class Source(Strict):
    """One source, as a person decided it: a file in `sources/entries/`.

    A proposed card needs twelve fields: id, name, summary, homepage, kind, languages, license.spdx,
    access, custodian, personal_data.level, status and reason. The lint rules ask an active one for
    more.

    Example:
        >>> import phloem
        >>> card = phloem.Source.model_validate(
        ...     {
        ...         "id": "letters",
        ...         "name": "Letters of the Lake Society",
        ...         "summary": "What fishers wrote to each other, typed by the society.",
        ...         "homepage": "https://example.org/letters",
        ...         "kind": "dialogue",
        ...         "languages": ["sw", "luo"],
        ...         "license": {"spdx": "CC-BY-4.0"},
        ...         "access": {"connector": "files", "params": {"path": "letters.jsonl"}},
        ...         "custodian": "The Lake Society",
        ...         "personal_data": {"level": "personal"},
        ...         "status": "proposed",
        ...         "reason": "Letters are rare, and those in Luo rarer.",
        ...     }
        ... )
        >>> card.license.spdx, card.languages
        ('CC-BY-4.0', ('sw', 'luo'))
    """

    id: Id = Field(description="Kebab-case, equal to the file name; never used again.")
    name: str = Field(min_length=3, description="As its makers call it.")
    summary: str = Field(
        min_length=10,
        description="What the texts are, who made them, which part is taken and why it was chosen.",
    )
    homepage: str = Field(pattern=r"^https?://\S+$", description="Where a reader finds it.")
    kind: Kind = Field(description="What its texts are.")
    category: Category | None = Field(
        default=None,
        description="Section of the EU template that it belongs to: 2.1 public datasets, 2.2"
        " private, 2.3 crawled, 2.4 of users, 2.5 synthetic, 2.6 other.",
    )
    languages: tuple[str, ...] = Field(
        min_length=1, description="BCP-47 tags of its texts; `zxx` for code."
    )
    scripts: tuple[str, ...] = Field(
        default=(), description="ISO 15924 codes, where the language does not tell: Latn, Cyrl."
    )
    domains: tuple[str, ...] = Field(
        default=(), description="What they are about; for code, its programming languages."
    )
    region: tuple[str, ...] = Field(
        default=(), description="Where they come from: ISO 3166-1 codes, or 001 for the world."
    )
    period: str | None = Field(
        default=None, description="When they were written: 1995/2024, or 19th century."
    )
    modality: Literal["text", "transcribed speech", "recognized print"] = Field(
        default="text", description="What the texts were first."
    )
    synthetic: Literal["no", "partly", "yes", "unknown"] = Field(
        default="unknown", description="Whether machines wrote or translated them."
    )
    collection: Collection | None = Field(
        default=None, description="How the texts came together, and which part is taken."
    )
    license: License
    opt_out: tuple[OptOut, ...] = Field(
        default=(), description="What the provider was seen to say, by protocol."
    )
    access: Access
    custodian: str = Field(description="Who makes it and answers for it.")
    contact: str | None = Field(
        default=None, description="Role or page to write to, such as the maintainers; no person."
    )
    nominated_by: str | None = Field(
        default=None, description="Community that proposed it, such as Masakhane."
    )
    editorial: str | None = Field(
        default=None, description="Who answers for what is said in it, and how it is corrected."
    )
    personal_data: PersonalData
    risks: str | None = Field(
        default=None, description="What harm its texts may do in a model, beyond their limits."
    )
    limits: str | None = Field(
        default=None, min_length=10, description="What a reader of its texts should beware of."
    )
    unknown: dict[str, str] = Field(
        default={},
        description="Field: what was looked at, for each fact that is not known. No guesses.",
    )
    status: Literal["proposed", "active", "paused", "withdrawn"] = Field(
        description="Only active sources are read."
    )
    reason: str | None = Field(
        default=None, description="Why it is not active; of a proposed card, what is missing."
    )
    replaced_by: str | None = Field(default=None, description="Id of the source to use instead.")
    clean: tuple[str | dict[str, dict[str, Json]], ...] = Field(
        default=(), description="Ops that only this source needs: a name or {name: {param: value}}."
    )
    keep: tuple[dict[str, Json], ...] = Field(
        default=(), description="Keep rules that only this source needs."
    )
    evidence: Literal["read", "none"] = Field(
        default="none",
        description="`read`: somebody read its documents and terms; `none`: nobody did.",
    )
    weight: float | None = Field(
        default=None, gt=0, description="Share in a mixture that names none; null: by size."
    )


class Approval(Strict):
    """That somebody accountable agreed to a card, as it was then: `approvals/<source>.yaml`."""

    source: Id = Field(description="Id of the card.")
    card: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the card that was approved.")
    pin: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Hash of the lock entry that was approved; unset: whatever is locked.",
    )
    role: str = Field(
        min_length=3, description="The accountable role, as its key's principal names it."
    )
    date: dt.date = Field(description="When it was approved.")
    basis: str = Field(min_length=10, description="What the decision rests on.")
    signed_by: str | None = Field(
        default=None,
        max_length=100,
        # No blank, quote, comma or wildcard: it stands for one principal and no pattern.
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+@-]*$",
        description="Principal of `allowed_signers` whose key signed it; unsigned, none counts.",
    )
    signature: str | None = Field(
        default=None,
        max_length=16_384,  # one by an RSA key of 16 kbit has 7,000 characters
        pattern=r"^-----BEGIN SSH SIGNATURE-----\n",
        description="What `ssh-keygen -Y sign` made of all the other fields, as a block.",
    )


def sources(folders: Sequence[str | Path] = ()) -> Mapping[str, Source]:
    """Every card by id, sorted: of `entries/` and of these further folders.

    Raises CardError listing every fault of every file: unknown keys with the nearest known one,
    values of a wrong kind, ids that differ from the file name or appear twice.
    """
    found: dict[str, tuple[Source, Path]] = {}
    faults: list[str] = []
    for path, (value, wrong) in read_files(folders):
        card, more = check_card(path, value) if not wrong else (None, [])
        faults += [f"{path}: {fault}" for fault in wrong] + more
        if card is None:
            continue
        if card.id in found:
            faults.append(f"{path}: id: {card.id} is also the id of {found[card.id][1]}")
        found[card.id] = (card, path)
    if faults:
        raise CardError(f"{len(faults)} faults in source cards: " + "; ".join(faults))
    return MappingProxyType({key: found[key][0] for key in sorted(found)})


def card_files(folders: Sequence[str | Path] = ()) -> list[Path]:
    """The card files of `entries/` and of these folders, sorted within each."""
    return [path for folder in (_own(), *folders) for path in _cards_in(folder)]


def own_ids(folders: Sequence[str | Path]) -> frozenset[str]:
    """The ids of the cards that only these folders have: a user's own, and none of the registry."""
    ours = {path.stem for path in _cards_in(_own())}
    return frozenset(path.stem for folder in folders for path in _cards_in(folder)) - ours


def _own() -> Path:
    return Path(str(files("phloem.sources") / "entries"))


def _cards_in(folder: str | Path) -> list[Path]:
    return sorted(Path(folder).glob("*.yaml"))


def read_files(folders: Sequence[str | Path] = ()) -> list[tuple[Path, tuple[Json, list[str]]]]:
    """Every card file and what `read_yaml` gives for it.

    The project's own are some five hundred: what they hold is kept, as parsing them takes longer
    than all else that a command does with them.
    """
    own = _cards_in(_own())
    contents = [[str(path), _hash(path)] for path in own]
    name = f"cards-{digest_of(str(_own()))[:16]}-2"  # other than where less was a fault
    values = kept(name, digest_of(contents), lambda: [read_yaml(path) for path in own])
    found = list(zip(own, values, strict=True))
    return found + [(path, read_yaml(path)) for each in folders for path in _cards_in(each)]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def check_card(path: Path, value: Json) -> tuple[Source | None, list[str]]:
    """The card that a file holds, and all that is wrong with it."""
    card, faults = _check(Source, path, value)
    if card is not None and card.id != path.stem:
        faults.append(f"{path}: id: found {card.id!r}, expected {path.stem!r} as in the file name")
    return card, faults


def _check(model: type[_Model], path: Path, value: Json) -> tuple[_Model | None, list[str]]:
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [f"{path}: {text}" for text in describe(model, error)]


def describe(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Each fault of a validation as `field: found …, expected …`, without long values."""
    texts = []
    for fault in error.errors():
        # The tags that pydantic adds for members of a union are no part of the field's path.
        path = [str(part) for part in fault["loc"] if "[" not in str(part)]
        where = ".".join(path) or "card"
        if fault["type"] == "extra_forbidden":
            known = _keys(model, path[:-1])
            hint = nearest(path[-1], known) if known else "no such key"
            texts.append(f"{where}: unknown key; {hint}")
        elif fault["type"] == "missing":
            texts.append(f"{where}: missing; expected a value")
        else:
            texts.append(f"{where}: found {_short(fault['input'])}, expected: {fault['msg']}")
    return texts


def _keys(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


def texts_of(value: Json) -> Iterator[str]:
    """Every text in plain data, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in (*value, *value.values()):
            yield from texts_of(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from texts_of(each)


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def card_hash(source: Source) -> str:
    """The hash of what a card says, without its status: pausing a source leaves it approved.

    Only what differs from a field's default counts, so a field that cards get later changes none.
    """
    status = {"status", "reason", "replaced_by"}
    return digest_of(source.model_dump(mode="json", exclude=status, exclude_defaults=True))


def approvals(folders: Sequence[str | Path] = ()) -> Mapping[str, Approval]:
    """Every approval by source id, sorted: of `approvals/` and of that in each of these folders.

    Raises CardError listing every fault of every file, and sources that are approved twice.
    """
    found: dict[str, Approval] = {}
    faults: list[str] = []
    for path in approval_files(folders):
        value, wrong = read_yaml(path)
        approval, more = _check(Approval, path, value) if not wrong else (None, [])
        faults += [f"{path}: {fault}" for fault in wrong] + more
        if approval and approval.source != path.stem:
            faults.append(f"{path}: source: found {approval.source!r}, expected {path.stem!r}")
        if approval and approval.source in found:
            faults.append(f"{path}: source: {approval.source} is approved in another file too")
        if approval:
            found[approval.source] = approval
    if faults:
        raise CardError(f"{len(faults)} faults in approvals: " + "; ".join(faults))
    return MappingProxyType({key: found[key] for key in sorted(found)})


def approval_files(folders: Sequence[str | Path]) -> list[Path]:
    """The files of `approvals/` and of that in each of these folders, sorted within each."""
    own = Path(str(files("phloem.sources")))
    places = [Path(folder) / "approvals" for folder in (own, *folders)]
    return [path for place in places for path in sorted(place.glob("*.yaml"))]


@cache
def license_refs() -> Mapping[str, Mapping[str, Json]]:
    """What `licenses.yaml` says of each LicenseRef-*: name, summary, obligations."""
    path = Path(str(files("phloem.sources") / "licenses.yaml"))
    value, _ = read_yaml(path)
    return MappingProxyType(dict(sorted(value.items())))


def local_card(
    path: str | Sequence[str],
    *,
    text_column: str = "text",
    languages: Sequence[str] = ("und",),
    file_format: str | None = None,
) -> Source:
    """The ephemeral card for a user's own files; what it gives cannot be released.

    Args:
        path: Path, glob or URL, or several.
        text_column: Column or key that holds the text.
        languages: BCP-47 tags, if the user knows them.
        file_format: That of the files; None: by the ending of each name.
    """
    params: dict[str, Json] = {
        "path": path if isinstance(path, str) else list(path),
        "text_column": text_column,
    }
    if file_format:
        params["format"] = file_format
    return Source(
        id=LOCAL,
        name="Local files",
        summary="Files given on the command line; nobody wrote a card for them.",
        homepage="https://localhost/",
        kind="web",
        languages=tuple(languages),
        license=License(spdx=UNKNOWN_LICENSE),
        access=Access(connector="files", params=params),
        custodian="unknown",
        personal_data=PersonalData(level="personal", note="Nobody looked: assume the worst."),
        status="active",
        evidence="none",
        limits="Origin, licence and content are unknown.",
    )


def schema_json() -> str:
    """The JSON Schema of a card, as `schema.json` holds it."""
    schema = Source.model_json_schema()
    schema["description"] = schema["description"].partition("\n\nExample:")[0]  # it is Python's
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
