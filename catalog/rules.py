"""Keep rules: what a document's measures must be for it to be kept, with bounds by language."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
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


Bound = float | Annotated[Mapping[str, float], Field(min_length=1), AfterValidator(_by_language)]

_Words = Annotated[tuple[str, ...], Field(min_length=1)]

Values = Annotated[Mapping[str, _Words], Field(min_length=1)]
"""Values of columns, by the column's name."""


class Rule(BaseModel):
    """A document is kept only if its value of a column lies within bounds.

    A bound is a number, or numbers by language, by script (`und-Cyrl`: for the languages in
    Cyrillic letters that have none of their own), with `default` for the others; a language with
    none of these has no bound. A null value is not judged. Bounds are inclusive.

    `only` and `unless` name columns and values of theirs: a document is judged only if it has one
    of the first, and none of the second. So a bound on lines spares files of data.

    `source` says where the bounds come from, for all or by language as they are: for people, so
    that it is in no dump and no key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[^\s\x00-\x1f\x7f]+$")
    column: str
    min: Bound | None = None
    max: Bound | None = None
    among: _Words | None = None
    only: Values | None = None
    unless: Values | None = None
    source: str | Mapping[str, str] | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min is None and self.max is None and self.among is None:
            said = "one of min, max, among: without, it would keep everything"
            raise PydanticCustomError("no_bound", said)
        tags = {tag for each in (self.min, self.max) for tag in _tags_of(each)}
        crossed = [tag for tag in sorted(tags) if _is_crossed(self.min, self.max, tag)]
        if crossed:
            said = "min is above max for {tags}: it would keep nothing"
            raise PydanticCustomError("crossed", said, {"tags": ", ".join(crossed)})
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without what spares nothing: so the keys of rules of before there was it stay."""
        value: dict[str, object] = dump(self)
        unsaid = {"only", "unless"} - {n for n in ("only", "unless") if getattr(self, n)}
        return {name: field for name, field in value.items() if name not in unsaid}

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The columns that say whether it judges a document."""
        return tuple(sorted({*(self.only or ()), *(self.unless or ())}))


def sparing(rule: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """Why a rule does not judge a document with these values, in words; None if it does.

    Args:
        rule: As `Rule` is dumped.
        values: Column -> the document's value; one that is missing is null.
    """
    for column, given in sorted((rule.get("only") or {}).items()):
        if values.get(column) not in given:
            return f"{column} is {values.get(column) or 'not known'}"
    for column, given in sorted((rule.get("unless") or {}).items()):
        if values.get(column) in given:
            return f"{column} is {values[column]}"
    return None


def bound_of(bound: Bound | None, language: str | None) -> float | None:
    """The bound that holds for a language: its tag's, a coarser one's, its script's, the default.

    So what holds for `zh` holds for `zh-Hant` and for `yue`, which ISO 639-3 counts under it
    (`lookup`), and what holds for `und-Cyrl` for Abkhaz, if it has no bound of its own.
    """
    if bound is None or isinstance(bound, (int, float)):
        return bound
    found = next((tag for tag in _tags(language) if tag in bound), DEFAULT)
    return bound.get(found)


def _tags_of(bound: Bound | None) -> Collection[str]:
    return bound if isinstance(bound, Mapping) else () if bound is None else (DEFAULT,)


def _is_crossed(least: Bound | None, most: Bound | None, tag: str) -> bool:
    language = None if tag == DEFAULT else tag
    low, high = bound_of(least, language), bound_of(most, language)
    return low is not None and high is not None and low > high


def source_of(source: str | Mapping[str, str] | None, language: str | None) -> str | None:
    """Where the bound that holds for a language comes from, found as `bound_of` finds the bound."""
    if source is None or isinstance(source, str):
        return source
    tags = sorted(source)
    place = bound_of({tag: float(number) for number, tag in enumerate(tags)}, language)
    return None if place is None else source[tags[int(place)]]


def _tags(language: str | None) -> tuple[str, ...]:
    """Where a bound is looked for; what is of no language is of no script's languages either."""
    if not language:
        return ()
    if language in _OF_NO_SCRIPT:
        return lookup(language)
    return (*lookup(language), f"{UNKNOWN}-{script(language)}")
