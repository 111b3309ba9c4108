"""What the measures know about each language: one YAML file a language in `languages/`.

A file's name is its BCP-47 tag. Adding a language is adding a file.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType

import yaml

from phloem.catalog.errors import PhloemError
from phloem.catalog.tags import UNKNOWN, lookup

FOLDER = Path(__file__).with_name("languages")


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
