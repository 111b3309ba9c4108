"""Keep rules: what a document's measures must be for it to be kept, with bounds by language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from phloem.catalog.tags import NO_LANGUAGE, UNKNOWN, TagError, canonical, lookup, script

DEFAULT = "default"

_OF_NO_SCRIPT = frozenset({UNKNOWN, NO_LANGUAGE, "mul"})


def _by_language(bounds: Mapping[str, float]) -> Mapping[str, float]:
    """The bounds with each language by the one form of its tag."""
    found: dict[str, float] = {}
    for tag, bound in bounds.items():
        try:
            own = tag if tag == DEFAULT else canonical(tag)
        except TagError as error:
            raise PydanticCustomError("tag", "{said}", {"said": str(error)}) from None
        if own in found:
            said = "{tag} is given twice, under two tags of one language"
            raise PydanticCustomError("tag_twice", said, {"tag": own})
        found[own] = bound
    return found


Bound = float | Annotated[Mapping[str, float], AfterValidator(_by_language)]


class Rule(BaseModel):
    """A document is kept only if its value of a column lies within bounds.

    A bound is a number, or numbers by language, by script (`und-Cyrl`: for languages in Cyrillic
    letters that have none of their own), with `default` for the others; a language with none of
    these has no bound. A null value is not judged. Bounds are inclusive.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    column: str
    min: Bound | None = None
    max: Bound | None = None
    among: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min is None and self.max is None and self.among is None:
            said = "one of min, max, among: without, it would keep everything"
            raise PydanticCustomError("no_bound", said)
        return self


def bound_of(bound: Bound | None, language: str | None) -> float | None:
    """The bound that holds for a language: its tag's, a coarser one's, its script's, the default.

    So what holds for `zh` holds for `zh-Hant` and for `yue`, which ISO 639-3 counts under it
    (`lookup`), and what holds for `und-Cyrl` for Abkhaz, if it has no bound of its own.
    """
    if bound is None or isinstance(bound, (int, float)):
        return bound
    found = next((tag for tag in _tags(language) if tag in bound), DEFAULT)
    return bound.get(found)


def _tags(language: str | None) -> tuple[str, ...]:
    """Where a bound is looked for; what is of no language is of no script's languages either."""
    if not language:
        return ()
    if language in _OF_NO_SCRIPT:
        return lookup(language)
    return (*lookup(language), f"{UNKNOWN}-{script(language)}")
