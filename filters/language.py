"""Language identification, and how a declared language and a model's answer are weighed."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from phloem.catalog.columns import (
    DECLARED_LANGUAGES,
    LANGUAGE,
    LANGUAGE_MIXED,
    LANGUAGE_SCORE,
    LANGUAGE_SECOND,
    TEXT,
    Column,
)
from phloem.catalog.plain import Json
from phloem.catalog.tags import (
    NO_LANGUAGE,
    UNKNOWN,
    TagError,
    agree,
    canonical,
    language_of_script,
    primary,
)
from phloem.filters import passages
from phloem.filters.fasttext_model import Floats, ModelError
from phloem.filters.given import given_name
from phloem.filters.kernels.utf8 import Integers
from phloem.filters.language_models import (
    LID,
    OWN,
    Answers,
    Model,
    answers,
    is_known,
    load,
    possible,
    together,
)
from phloem.filters.op import OpError, op
from phloem.filters.passages import Passages

LANGUAGE_DETECTED = Column(
    "language_detected", pa.string(), "BCP-47 tag of the model's best label; null for no words."
)
LANGUAGE_BASIS = Column(
    "language_basis",
    pa.string(),
    "What decided on `language`: model, declared, script (of one language), signs (of code), none.",
)
MODEL, DECLARED, SCRIPT, SIGNS, NONE = "model", "declared", "script", "signs", "none"

OVERRIDE, STRONG = 0.5, 0.8
"""The least probabilities at which a model contradicts a declaration: of languages that it knows;
of one that it does not. Of 149 texts under wrong cards of languages that lid.176 does not know it
names all with more than 0.8; of the right ones, cousins alone (`NEAR`)."""

SURE = 0.6
"""The least probability at which a passage counts as another language's. Of passages of English
manuals one in twenty is called otherwise with as much, names and quotations among them."""

NEVER = 2.0  # more than any probability

NEAR_FILE = Path(__file__).with_name("near_languages.yaml")
"""The least probability at which a declaration is contradicted by a near language, where that is
more than usual: the models give texts of the first so often for the second that a weaker answer
says nothing. `phloem langid near` measures it."""

CODE = 0.05
"""Least fraction of code and markup in what is declared `zxx`: of 1,600 files in C, Python, Perl
and JavaScript 98 % hold more, of the Declaration of Human Rights in 117 languages none 0.01."""

MOSTLY_CODE = 0.6
"""Least fraction of it in what nobody declared, to be called `zxx`: pages of a manual hold less."""

MOSTLY_FIGURES = 0.5  # least fraction of numbers and of what is no words in no language at all


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
    strong: float = STRONG,
) -> Verdict:
    """Decide on a text's language.

    Args:
        ranked: Probability and tag of the model's answers, best first; empty for no words.
        declared: BCP-47 tags that the source declares.
        known: Languages that the model knows.
        override: The least probability at which the model contradicts what it knows.
        strong: The least at which it contradicts a declaration of what it does not know.
    """
    detected = ranked[0][1] if ranked else None
    unknown = [tag for tag in declared if not is_known(tag, known)]
    one = declared[0] if len(declared) == 1 else unknown[0] if len(unknown) == 1 else None
    if not ranked:
        alone = len(declared) == 1
        return Verdict(declared[0] if alone else UNKNOWN, None, None, DECLARED if alone else NONE)
    score, best = ranked[0]
    same = [tag for tag in declared if agree(tag, best)]
    if same and score >= override:
        return Verdict(same[0], score, detected, MODEL)
    least = _bound(declared, best, strong if unknown else override)
    if not declared or (not same and score >= least):
        return Verdict(best, score, detected, MODEL)
    # From here on the model is unsure, and its doubt is held against no text of a declared source.
    if one:
        return Verdict(one, None, detected, DECLARED)
    chances = [max((c for c, tag in ranked if agree(tag, own)), default=0.0) for own in declared]
    if unknown or not max(chances):
        return Verdict(UNKNOWN, None, detected, NONE)
    return Verdict(declared[int(np.argmax(chances))], None, detected, MODEL)


def _bound(declared: Sequence[str], answered: str, usual: float) -> float:
    """The least probability at which an answer contradicts what is declared."""
    of_near = (near().get(primary(tag), {}).get(primary(answered), 0.0) for tag in declared)
    return max([usual, *of_near])


@functools.cache
def near() -> Mapping[str, Mapping[str, float]]:
    """The bounds of `NEAR_FILE`: declared -> answered -> probability."""
    found: Mapping[str, Mapping[str, float]] = yaml.load(
        NEAR_FILE.read_bytes(), Loader=yaml.CSafeLoader
    )
    return found


def weigh_code(
    ranked: Sequence[tuple[float, str]],
    others: Sequence[str],
    code: float,
    signs: float,
    figures: float,
) -> Verdict | None:
    """Decide on a text that is declared to be in no language (`zxx`); None: let others decide.

    It is so if it holds code, or if it holds neither words for which the model has a strong answer
    nor mostly numbers: `zxx` is no door for prose, tables and what is encoded.

    Args:
        ranked: As `weigh` has them.
        others: The languages that are declared beside it.
        code: The fraction of it that is code or markup, 0-1.
        signs: The fraction of it that is signs between words, as in `name = value`, 0-1.
        figures: The fraction of it that is numbers or no words, 0-1.
    """
    detected = ranked[0][1] if ranked else None
    if code < CODE and figures >= MOSTLY_FIGURES:
        return Verdict(UNKNOWN, None, detected, NONE)
    if code + signs >= CODE or not ranked:
        return Verdict(NO_LANGUAGE, None, detected, DECLARED)
    if others:
        return None
    if ranked[0][0] >= STRONG:
        return Verdict(ranked[0][1], ranked[0][0], detected, MODEL)
    return Verdict(NO_LANGUAGE, None, detected, DECLARED)


def _tags(declared: Sequence[str] | None) -> tuple[str, ...]:
    """The tags in their one form, each once, without those that leave the language open.

    What is no tag stands as it is, since no model knows it.
    """
    found = []
    for tag in declared or ():
        try:
            found.append(canonical(tag))
        except TagError:
            found.append(tag)
    found = [NO_LANGUAGE if primary(tag) == NO_LANGUAGE else tag for tag in found]
    return tuple(dict.fromkeys(tag for tag in found if primary(tag) != UNKNOWN))


@dataclass(frozen=True)
class _Seen:
    """What the model says of a batch of texts.

    Attributes:
        read: The passages.
        whole: The mean vector of each text's passages.
        texts: The answer for each text.
        parts: The answer for each passage.
    """

    read: Passages
    whole: Floats
    texts: Answers
    parts: Answers


def _see(model: Model, texts: pa.Array, places: int, chars: int) -> _Seen:
    read = passages.read(texts, places, chars)
    vectors, counts = model.classifier.vectors(read.lines)
    whole = _means(vectors, counts, read.first)
    of_texts = answers(model, whole, read.text_scripts)
    sizes = np.diff(read.first)
    owner = np.repeat(np.arange(len(texts)), sizes)
    parts = Answers(of_texts.labels[owner], of_texts.chances[owner])
    several = np.flatnonzero(sizes[owner] > 1)
    own = answers(
        model.quick,
        np.ascontiguousarray(vectors[several, : model.width]),
        [read.scripts[number] for number in several],
    )
    parts.labels[several], parts.chances[several] = own.labels, own.chances
    return _Seen(read, whole, of_texts, parts)


def _means(vectors: Floats, counts: Integers, first: Integers) -> Floats:
    """The mean vector of each text's passages; NaN where a model knows nothing of any."""
    rows = np.flatnonzero(np.diff(first))
    out = np.full((len(first) - 1, vectors.shape[1]), np.nan, np.float32)
    if len(rows):
        weights = np.broadcast_to(counts.reshape(len(counts), -1), vectors.shape)
        sums = np.add.reduceat(np.nan_to_num(vectors).astype(np.float64) * weights, first[rows])
        sizes = np.add.reduceat(weights, first[rows])
        with np.errstate(invalid="ignore"):
            out[rows] = sums / sizes
    return out


def _ranked(
    model: Model, seen: _Seen, declared: Sequence[Sequence[str]], override: float
) -> list[list[tuple[float, str]]]:
    """The model's answers for each text, best first; none for a text without a word.

    All of them where a weak one contradicts what is declared, else the best alone.
    """
    found: list[list[tuple[float, str]]] = []
    weak = []
    for row, label in enumerate(seen.texts.labels.tolist()):
        if label < 0:
            found.append([])
            continue
        chance, tag = _rounded(seen.texts.chances[row]), model.tags[label]
        found.append([(chance, tag)])
        tags = declared[row]
        is_weak = len(tags) > 1 and chance < _bound(tags, tag, override)
        if is_weak and not any(agree(tag, each) for each in tags):
            weak.append(row)
    scripts = seen.read.text_scripts
    for row, own in zip(weak, model.classifier.every(seen.whole[weak]), strict=True):
        can = model.can(scripts[row])
        order = [label for label in np.argsort(-own, kind="stable").tolist() if can[label]]
        found[row] = [(_rounded(own[label]), model.tags[label]) for label in order]
    return found


def _rounded(chance: float) -> float:
    return min(round(float(chance), 4), 1.0)  # fastText's sums pass 1 by what it adds


def _verdict(
    ranked: Sequence[tuple[float, str]],
    declared: Sequence[str],
    model: Model,
    override: float,
    read: tuple[str, float, float, float],
) -> Verdict:
    script, code, signs, figures = read
    known = model.known
    if NO_LANGUAGE in declared:
        others = [tag for tag in declared if tag != NO_LANGUAGE]
        found = weigh_code(ranked, others, code, signs, figures)
        return found or weigh(ranked, others, known, override)
    if not declared and code >= MOSTLY_CODE:
        return Verdict(NO_LANGUAGE, None, ranked[0][1] if ranked else None, SIGNS)
    if not declared and not ranked and not possible(script, model.tags).any():
        named = language_of_script(script)
        if named:
            return Verdict(named, None, None, SCRIPT)
    return weigh(ranked, declared, known, override)


def _mixed(model: Model, seen: _Seen, row: int, language: str) -> tuple[str | None, float]:
    """The second language of a text, and the fraction of it that is in others than the first."""
    first, end = seen.read.first[row], seen.read.first[row + 1]
    if end - first < 2:  # noqa: PLR2004 - of one passage there is no second
        return None, 0.0
    others: Counter[str] = Counter()
    for number in range(first, end):
        label, chance = seen.parts.labels[number], seen.parts.chances[number]
        if label >= 0 and chance >= SURE and not agree(model.tags[label], language):
            others[model.tags[label]] += 1
    if not others:
        return None, 0.0
    second = min(others, key=lambda tag: (-others[tag], tag))
    return second, round(others.total() / int(end - first), 4)


def _ready(params: Mapping[str, Json], files: Mapping[str, str]) -> None:
    """Raise OpError for a given model that names no languages, or languages that there are not."""
    given, among = params["model"], params["among"]
    if given is None and not among:
        return
    try:
        loaded = load(files[given["sha256"]]) if given else together(files[LID.name])
    except (ModelError, TagError) as error:
        msg = f"op language: {given_name(given)} is no model of languages: {error}"
        raise OpError(msg) from error
    try:
        wanted = [canonical(tag) for tag in among]
    except TagError as error:
        raise OpError(f"op language: among: {error}") from error
    unknown = [tag for tag in wanted if not is_known(tag, loaded.known)]
    if unknown:
        raise OpError(f"op language: among names {', '.join(unknown)}, which no model here knows")


@op(
    reads=[TEXT, DECLARED_LANGUAGES],
    writes=[
        LANGUAGE,
        LANGUAGE_SCORE,
        LANGUAGE_DETECTED,
        LANGUAGE_BASIS,
        LANGUAGE_SECOND,
        LANGUAGE_MIXED,
    ],
    version=5,
    libraries=["langcodes"],
    ready=_ready,
    files=[LID],
    data=["kernels/categories.txt", "kernels/scripts.txt", "near_languages.yaml", OWN],
    examples=[
        (("12 345", []), ("und", None, None, "none", None, 0.0)),
        (("12 345", ["swh"]), ("sw", None, None, "declared", None, 0.0)),
        (("print('the end')", ["zxx"]), ("zxx", None, None, "declared", None, 0.0)),
        (("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", []), ("chr", None, None, "script", None, 0.0)),
        ((None, ["fr"]), (None, None, None, None, None, None)),
    ],
)
def language(
    batch: pa.RecordBatch,
    *,
    files: Mapping[str, str],
    places: int = passages.PLACES,
    chars: int = passages.CHARS,
    override: float = OVERRIDE,
    model: Mapping[str, str] | None = None,
    among: Sequence[str] = (),
) -> list[pa.Array]:
    """Identify the language with two fastText models, and heed what is declared.

    One is lid.176 (Joulin et al. 2017), one is the project's own (`phloem langid train`), which
    tells languages that lid.176 does not know and counts more where both know one. They read
    passages from several places of a text, in lower case, without code, markup, addresses and
    numbers (`passages`). The best label's tag is compared with the declared ones by language: for
    `zh-Hant` declared and `zh` found, `zh-Hant`. A label that the text's script is not written for
    is never given; a script that neither has a label for tells its language, if it is that of one.

    The declaration holds unless the model contradicts it: from `override` on where the model knows
    the languages that are declared, from 0.8 on where it does not, later still for languages that
    it takes for each other. Of several declared languages the model's answer, else the only one
    that it does not know, else the one that it finds most probable. `zxx` holds for code, not for
    prose, tables and what is encoded; what nobody declared is `zxx` if most of it is code.

    `language_score` is the probability of `language` where the model decided on it alone, or from
    `override` on. What a declaration decided has no score, so that no rule on the score drops it.

    Args:
        batch: Rows of text.
        files: The model.
        places: Passages of a text that the model reads.
        chars: Characters of each passage.
        override: The least probability, 0-1, at which the model contradicts what is declared.
        model: A supervised model of fastText to ask alone, `{path: …, sha256: …}` or `{url: …,
            sha256: …}`, whose labels are tags of languages: GlotLID's and OpenLID's are.
        among: BCP-47 tags of the only languages that the model may answer, where it is known which
            there are; scores are then probabilities among these. None: all.
    """
    if places < 1 or chars < 1:
        raise OpError(f"op language: places is {places}, chars {chars}; each is at least 1")
    used = load(files[model["sha256"]]) if model else together(files[LID.name])
    if among:
        used = replace(used, among=tuple(map(canonical, among)))
    declared = [_tags(tags) for tags in batch[DECLARED_LANGUAGES.name].to_pylist()]
    texts = batch[TEXT.name]
    seen = _see(used, texts, places, chars)
    ranked = _ranked(used, seen, declared, override)
    fractions = (seen.read.code_frac, seen.read.sign_frac, seen.read.figure_frac)
    read = zip(seen.read.text_scripts, *(each.tolist() for each in fractions), strict=True)
    verdicts: list[Verdict | None] = []
    mixed: list[tuple[str | None, float | None]] = []
    rows = zip(ranked, declared, read, texts.is_valid().to_pylist(), strict=True)
    for row, (own, tags, of_row, is_text) in enumerate(rows):
        one = _verdict(own, tags, used, override, of_row) if is_text else None
        verdicts.append(one)
        mixed.append(_mixed(used, seen, row, one.language) if one else (None, None))
    columns: tuple[tuple[Column, Sequence[object]], ...] = (
        (LANGUAGE, [one and one.language for one in verdicts]),
        (LANGUAGE_SCORE, [one and one.score for one in verdicts]),
        (LANGUAGE_DETECTED, [one and one.detected for one in verdicts]),
        (LANGUAGE_BASIS, [one and one.basis for one in verdicts]),
        (LANGUAGE_SECOND, [second for second, _ in mixed]),
        (LANGUAGE_MIXED, [fraction for _, fraction in mixed]),
    )
    return [pa.array(values, column.type) for column, values in columns]
