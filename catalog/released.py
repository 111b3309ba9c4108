"""What a release says of itself, and how it is found again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from types import MappingProxyType

from pydantic import TypeAdapter, ValidationError

from phloem.catalog.advice import command
from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import KEY_DIGITS, Dataset, Shard, canonical, digest_of
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.catalog.policy import Check
from phloem.catalog.store import MissingError, Store

RELEASES = "releases"
RECORD, ATTRIBUTION, SUMS = "release.json", "ATTRIBUTION.md", "SHA256SUMS"

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

_KEY = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}")
_SHA256 = re.compile("[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SAID = 3  # faults that an error tells of a release that cannot be read

# What whoever reads a release takes from the facts of its shards.
_FACTS: Mapping[str, Mapping[str, type]] = MappingProxyType(
    {
        "decide": {
            "source": str,
            "documents": int,
            "kept": int,
            "dropped": int,
            "quarantined": int,
        },
        "compose": {"source": str, "documents": int},
        "tokenizer": {},
        "tokenize": {"source": str, "documents": int, "tokens": int, "vocab_size": int},
    }
)


class ReleaseError(PhloemError):
    """A release that cannot be made or found as asked."""


@dataclass(frozen=True)
class ReleasedSource:
    """One source in a release, with all that its licence asks to be said of it.

    Attributes:
        id: Of the card.
        name: As readers know it.
        license: SPDX expression on the card.
        licenses: SPDX expression -> kept documents under it; documents may have their own.
        attribution: The credit that is asked for.
        homepage: Where the source lies.
        custodian: Who keeps it.
        version: Of the pin.
        card: Hash of the card.
        files: {name, sha256, bytes} that were read.
        documents: Released documents.
        tokens: Released tokens, end-of-document tokens included.
    """

    id: str
    name: str
    license: str
    licenses: Mapping[str, int]
    attribution: str | None
    homepage: str | None
    custodian: str | None
    version: str | None
    card: str
    files: tuple[Mapping[str, Json], ...]
    documents: int
    tokens: int


@dataclass(frozen=True)
class Release:
    """What `release.json` says. It holds no time and no host: the same inputs give the same bytes.

    Attributes:
        name: As it was given.
        date: ISO 8601, as it was given, or None.
        recipe: Name of the recipe.
        recipe_digest: Hash of what the recipe says.
        policy: Name of the policy.
        policy_digest: Hash of what the policy says.
        checks: All that the gate looked at; each passed.
        unasked: What the policy does not ask for, in plain words.
        sources: By id.
        datasets: Stage -> {name, digest} of its manifest.
        tokenizer: sha256 of `tokenizer.json`.
        tokenizer_file: Where it lies under the root.
        end_token: What ends each document, as the vocabulary spells it; empty in releases that
            were made before this was written down.
        end_id: Its number; -1 there.
        mix: Source -> weight; empty: every sequence once.
        left_out: Source of the recipe that was not to be had -> version that it is locked at.
        documents: In all.
        tokens: In all.
        statement: The release in a few plain sentences.
        files: sha256 of ATTRIBUTION.md and SHA256SUMS.
        digest: Hash of all of the above.
    """

    name: str
    date: str | None
    recipe: str
    recipe_digest: str
    policy: str
    policy_digest: str
    checks: tuple[Check, ...]
    unasked: tuple[str, ...]
    sources: tuple[ReleasedSource, ...]
    datasets: Mapping[str, Mapping[str, str]]
    tokenizer: str
    tokenizer_file: str
    mix: Mapping[str, float]
    documents: int
    tokens: int
    statement: tuple[str, ...]
    files: Mapping[str, str]
    left_out: Mapping[str, str | None] = field(default_factory=dict)
    digest: str = ""
    end_token: str = ""
    end_id: int = -1

    def to_json(self) -> dict[str, Json]:
        """As plain JSON, with the digest of the rest; `left_out` only where something was."""
        value = asdict(self)
        del value["digest"]
        if not self.end_token:
            del value["end_token"], value["end_id"]
        if not self.left_out:
            del value["left_out"]
        return {**value, "digest": digest_of(value)}

    @property
    def holds(self) -> bool:
        """Whether it hashes to the digest that it bears."""
        try:
            return bool(self.to_json()["digest"] == self.digest)
        except ValueError:  # a number or a text that JSON has not
            return False


@cache
def _shape() -> TypeAdapter[Release]:
    return TypeAdapter(Release)


def read_release(data: bytes) -> Release:
    """What a `release.json` says. Raises ValueError, of whose text each line is one fault."""
    try:
        return _shape().validate_json(data, strict=True)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError("\n".join(lines)) from None


def is_spelt_so(release: Release, data: bytes) -> bool:
    """Whether these bytes are those that say this and no more, each of it once."""
    try:
        return canonical({**release.to_json(), "digest": release.digest}) == data
    except ValueError:  # a number or a text that JSON has not
        return False


def load_release(store: Store, name: str) -> Release:
    """A release by name. Raises ReleaseError with the nearest name, or with what is wrong."""
    try:
        return read_release(release_bytes(store, name))
    except ValueError as error:
        said = "; ".join(str(error).splitlines()[:_SAID])
        msg = f"{RELEASES}/{name}/{RECORD} cannot be read ({said}); release again"
        raise ReleaseError(msg) from None


def release_bytes(store: Store, name: str) -> bytes:
    """The bytes of a `release.json`. Raises ReleaseError with the nearest name."""
    if NAME.fullmatch(name):
        with suppress(MissingError):
            return store.read_bytes(f"{RELEASES}/{name}/{RECORD}")
    msg = f"no release {name!r} in {store.root}; {nearest(name, release_names(store))}"
    raise ReleaseError(msg)


def release_names(store: Store) -> list[str]:
    """The names of all releases of a root, whether they can be read or not."""
    folders = store.list(RELEASES)
    return [f.rsplit("/", 1)[-1] for f in folders if store.exists(f"{f}/{RECORD}")]


def list_releases(store: Store) -> list[Release]:
    """Every release of a root, by name. Raises ReleaseError if one cannot be read."""
    return [load_release(store, name) for name in release_names(store)]


def released_files(store: Store, name: str) -> dict[str, str]:
    """Name under the root -> sha256 of every file that a release holds."""
    lines = store.read_bytes(f"{RELEASES}/{name}/{SUMS}").decode(errors="replace").splitlines()
    return {line[66:]: line[:64] for line in lines}


def released_dataset(store: Store, release: Release, stage: str) -> Dataset:
    """The dataset of a stage, checked as far as its manifest alone tells.

    Raises ReleaseError if the manifest is gone, or if it or the release was changed.
    """
    listed = release.datasets.get(stage, {})
    try:
        dataset = Dataset.load(store, listed["name"])
    except (MissingError, ValueError, KeyError):
        dataset = None
    if (
        dataset is None
        or dataset.digest != listed["digest"]
        or any(manifest_faults(dataset, stage))
        or not release.holds
    ):
        msg = (
            f"release {release.name} and its manifest of {stage} do not agree;"
            f" see `{command('release', 'verify', release.name, root=store.root)}`"
        )
        raise ReleaseError(msg)
    return dataset


def manifest_faults(dataset: Dataset, stage: str) -> Iterator[str]:
    """What of a manifest no run writes: names that lead elsewhere, and values of another kind."""
    if dataset.stage != stage:
        yield f"it is of the stage {dataset.stage}"
    if stage == "tokenizer" and len(dataset.shards) != 1:
        yield f"it lists {len(dataset.shards)} tokenizers"
    for number, shard in enumerate(dataset.shards):
        for fault in _shard_faults(shard, stage):
            yield f"shard {number}: {fault}"


def _shard_faults(shard: Shard, stage: str) -> Iterator[str]:
    if shard.stage != stage or not _KEY.fullmatch(str(shard.key)):
        yield f"it lies at {shard.folder}"
    names = [str(file.name) for file in shard.files]
    if len(set(names)) < len(names):
        yield "a file is listed twice"
    for file, name in zip(shard.files, names, strict=True):
        counts = (file.bytes, 0 if file.rows is None else file.rows)
        if not _FILE.fullmatch(name) or not _SHA256.fullmatch(str(file.sha256)):
            yield f"file {name} is called or hashed as none is"
        if not all(map(_is_count, counts)):
            yield f"file {name} has {counts[0]} bytes and {counts[1]} rows"
    for name, kind in _FACTS.get(stage, {}).items():
        value: Json = shard.facts.get(name)
        if not (_is_count(value) if kind is int else isinstance(value, kind)):
            yield f"its {name} is {value!r}"


def _is_count(value: Json) -> bool:
    return type(value) is int and 0 <= value < 2**63  # as Arrow counts


def check_ended(release: Release) -> None:
    """Raise ReleaseError for a release that does not say what ends its documents."""
    if not release.end_token:
        msg = (
            f"release {release.name} does not say what ends its documents: an earlier version made"
            " it; run its recipe again"
        )
        raise ReleaseError(msg)
