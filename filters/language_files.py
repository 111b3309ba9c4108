"""What is known about each language: one YAML file a language in `languages/`, one in `bounds/`.

A file's name is its BCP-47 tag. Adding a language is adding a file. `languages/` is written by hand
and is what measures depend on; `bounds/` holds what was derived from reference texts: no measure
depends on it, so that a bound moves without measuring anew. There `und-Cyrl` is the script family:
what holds for a language in Cyrillic letters of which there is too little text to derive from.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phloem.catalog.errors import PhloemError
from phloem.catalog.tags import UNKNOWN, lookup
from phloem.filters.op import ops

FOLDER = Path(__file__).with_name("languages")
BOUNDS = Path(__file__).with_name("bounds")

Side = Literal["min", "max"]


@dataclass(frozen=True)
class Language:
    """A language, as the measures need it.

    Attributes:
        name: In English.
        script: ISO 15924 code of the script that it is mostly written in.
        spaced: Whether spaces separate its words. Measures follow each text's own code points;
            this says what to expect.
        regions: ISO 3166-1 codes where it is spoken most, for national telephone numbers.
        stop_words: Frequent function words; empty where words are not spaced or none are sure.
        sentence_ends: Marks that end a sentence.
    """

    name: str
    script: str
    spaced: bool
    regions: tuple[str, ...] = ()
    stop_words: tuple[str, ...] = ()
    sentence_ends: tuple[str, ...] = (".", "!", "?", "…")


UNLISTED = Language(name="unlisted", script="Zyyy", spaced=True)
"""What holds for a language without a file: no stop words, no regions."""


class LanguageFileError(PhloemError, ValueError):
    """A language file that does not say what it must."""


def _load(path: Path) -> Language:
    known = {field.name for field in fields(Language)}
    value = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    wrong = sorted(set(value) ^ known) if isinstance(value, dict) else ["no mapping"]
    if wrong:
        msg = (
            f"language file {path.name}: {', '.join(wrong)} missing or unknown;"
            f" it holds {sorted(known)}"
        )
        raise LanguageFileError(msg)
    lists = {key: tuple(item) for key, item in value.items() if isinstance(item, list)}
    return Language(**{**value, **lists})


@functools.cache
def languages() -> Mapping[str, Language]:
    """Every language by its tag. Raises LanguageFileError."""
    return MappingProxyType({path.stem: _load(path) for path in sorted(FOLDER.glob("*.yaml"))})


def language_of(tag: str | None) -> Language:
    """The language of a tag: its own file, else that of a coarser tag (`tags.lookup`)."""
    found = (languages().get(each) for each in lookup(tag or UNKNOWN))
    return next((each for each in found if each is not None), UNLISTED)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Derivation(_Strict):
    """Where bounds come from.

    Attributes:
        date: Of the derivation, as it was given.
        texts: Ids of the sources that the texts are from.
        documents: Texts that they were derived from.
        method: How, in a sentence.
        versions: Of the ops that measured them, by name.
    """

    date: date
    texts: tuple[str, ...]
    documents: int = Field(ge=1)
    method: str
    versions: Mapping[str, int]


class Bounds(_Strict):
    """What the measures of sound texts in a language, or in a script's, lie within."""

    derived: Derivation
    bounds: Mapping[str, Mapping[Side, float]]


@functools.cache
def bounds() -> Mapping[str, Bounds]:
    """What was derived, by tag; `und-Cyrl` for the languages in a script. Raises LanguageFileError.

    Not compared with the ops that there are: `derived_bounds` does that for the columns asked for.
    """
    found, faults = {}, []
    for path in sorted(BOUNDS.glob("*.yaml")):
        try:
            value = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
            found[path.stem] = Bounds.model_validate(value)
        except (yaml.YAMLError, ValidationError) as error:
            faults.append(f"bounds file {path.name}: {' '.join(str(error).split())}")
    if faults:
        raise LanguageFileError("; ".join(faults))
    return MappingProxyType(found)


def derived_bounds(column: str, side: Side) -> dict[str, float]:
    """The bounds of a column that were derived, by tag, those of scripts as `und-Cyrl`.

    A language that is in none of these has no bound: a rule holds where it was derived.

    Args:
        column: That an op of this package writes.
        side: Of the bound.

    Raises:
        LanguageFileError: nothing was derived for the column and side, or what was derived is of
            another version of the op that writes it.
    """
    holding = {
        tag: each.bounds[column][side]
        for tag, each in bounds().items()
        if side in each.bounds.get(column, {})
    }
    if not holding:
        msg = f"no {side} of {column!r} was derived for any language; give its values, by language"
        raise LanguageFileError(msg)
    writer = next((op for op in ops().values() if column in {c.name for c in op.writes}), None)
    wanted = (writer.name, writer.version) if writer else (column, 0)
    stale = {
        tag: version
        for tag in holding
        if (version := bounds()[tag].derived.versions.get(wanted[0])) != wanted[1]
    }
    if stale:
        tag, version = next(iter(stale.items()))
        msg = (
            f"bounds of {column} for {len(stale)} languages ({tag} first) were derived with"
            f" {wanted[0]} {version}, which is at version {wanted[1]}; derive them anew"
        )
        raise LanguageFileError(msg)
    return holding
