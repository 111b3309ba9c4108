"""What trains a model of languages and what scores it: `texts.yaml`, or a file of the same form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest
from phloem.catalog.store import Store
from phloem.catalog.tags import NO_LANGUAGE, UNKNOWN, canonical, primary
from phloem.pipeline.langid.texts import Text, texts
from phloem.pipeline.registry.registry import Registry, card_of
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards.source import Source, describe
from phloem.sources.connector import Json, Pin, Strict

TEXTS = Path(__file__).with_name("texts.yaml")

_SCRIPT = 4  # letters of a script's subtag


class CorpusError(UseError):
    """A list of texts that cannot be read, or that names what is not there."""


class _More(Strict):
    """Files of packages that no card takes, read as a card's are."""

    id: str
    like: str
    files: str
    languages: Sequence[str] = ()
    named: Mapping[str, str] = {}
    packages: Mapping[str, Json] | None = None
    pin: Mapping[str, Json] | None = None


class _File(Strict):
    cards: Sequence[str] = Field(min_length=1)
    more: Sequence[_More] = ()
    scored: Mapping[str, Sequence[str] | Literal["all"]] = {}


@dataclass(frozen=True)
class Corpus:
    """Sources to train on and to score by; none does both in one language.

    Attributes:
        registry: With a card for each of them.
        sources: Their ids.
        scored: The labels in which a source scores and does not train; None: in all.
    """

    registry: Registry
    sources: tuple[str, ...]
    scored: Mapping[str, frozenset[str] | None]

    def is_scored(self, source: str, label: str) -> bool:
        """Whether a source's text in a language is held out."""
        labels = self.scored.get(source, frozenset())
        return labels is None or label in labels


def label_of(tag: str) -> str:
    """What a model calls the language of a tag: no region or variant, a script if not the usual.

    `zh` for `zh-Hant-TW`, whose scripts need no model, `pt` for `pt-BR`, `sr-Latn` for itself.

    Raises:
        TagError: it is no tag.
    """
    first, *rest = canonical(tag).split("-")
    language = primary(first)
    scripts = [each for each in rest if len(each) == _SCRIPT and each.isalpha()]
    if not scripts or language == "zh":
        return language
    found = canonical(f"{language}-{scripts[0]}")
    return _USUAL.get(found, found)


# Scripts that cards name though a language is mostly written in them.
_USUAL = {
    "az-Latn": "az",
    "bs-Latn": "bs",
    "ckb-Latn": "ku",
    "mn-Cyrl": "mn",
    "tk-Latn": "tk",
    "ug-Arab": "ug",
    "uz-Latn": "uz",
}


def corpus_of(registry: Registry, path: Path = TEXTS) -> Corpus:
    """The sources that a list names, each with a card.

    Raises:
        CorpusError: it cannot be read, or names a source twice or one that is not there.
        TagError: a language of it is no tag.
    """
    try:
        read = _File.model_validate(yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise CorpusError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise CorpusError(f"{path}: {'; '.join(describe(_File, error))}") from None
    own = {more.id: more for more in read.more}
    sources = (*read.cards, *own)
    twice = sorted({each for each in sources if sources.count(each) > 1})
    if twice or len(own) < len(read.more):
        raise CorpusError(f"{path} names {', '.join(twice) or 'one of its own'} more than once")
    for each in read.scored:
        if each not in sources:
            raise CorpusError(f"{path} scores by {each!r}; {nearest(each, sources)}")
    cards = {more.id: _card_of(registry, more) for more in read.more}
    pins = {
        more.id: Pin.from_json(more.pin) if more.pin else registry.pins[more.like]
        for more in read.more
    }
    for each in read.cards:
        card_of(registry, each)
    scored = {
        source: None if tags == "all" else frozenset(map(label_of, tags))
        for source, tags in read.scored.items()
    }
    whole = replace(registry, cards={**registry.cards, **cards}, pins={**registry.pins, **pins})
    return Corpus(whole, sources, scored)


def _card_of(registry: Registry, more: _More) -> Source:
    like = card_of(registry, more.like)
    files = {more.files.format(name): tag for tag, name in more.named.items()}
    files |= {more.files.format(tag): tag for tag in more.languages}
    params: dict[str, Json] = {
        **{key: value for key, value in like.access.params.items() if key != "exclude"},
        **({"packages": dict(more.packages)} if more.packages else {}),
        "include": sorted(files),
        "languages": {file: canonical(tag) for file, tag in sorted(files.items())},
    }
    access = like.access.model_copy(update={"params": params})
    languages = tuple(sorted(set(map(canonical, files.values()))))
    return like.model_copy(update={"id": more.id, "languages": languages, "access": access})


def labelled(
    store: Store,
    corpus: Corpus,
    workspace: Workspace,
    told: Callable[[str], None],
    *,
    scored: bool,
    sources: Sequence[str] | None = None,
) -> Iterator[Text]:
    """The texts that train, or those that score, each with a model's label as its language.

    Args:
        store: The root.
        corpus: What is read.
        workspace: Whose ops a card may name.
        told: Called with a line for a person when something is fetched.
        scored: Whether those that score are asked for.
        sources: Only these of them.
    """
    asked = corpus.sources if sources is None else sources
    some = [each for each in asked if each in corpus.scored or not scored]
    some = [each for each in some if scored or corpus.scored.get(each, ()) is not None]
    for text in texts(store, corpus.registry, workspace, some, told):
        label = label_of(text.language)
        known = label not in {UNKNOWN, NO_LANGUAGE}
        if known and corpus.is_scored(text.source, label) == scored:
            yield replace(text, language=label)
