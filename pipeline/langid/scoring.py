"""How right answers are: precision, recall and F1 by language, with intervals, and confusions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phloem.catalog.tags import NO_LANGUAGE, UNKNOWN, primary
from phloem.pipeline.langid.texts import Text

ENOUGH_BYTES = 20_000
"""Of independent text, UTF-8: with less, a language has no number and no part in the macro F1."""

REPLICATES = 200  # of the bootstrap: enough for the second digit of a 95 % interval
SEED = 20261201
SHOWN = 3  # wrong answers that a row names
WILSON_Z = 1.959964  # the 97.5 % quantile of the normal distribution: 95 % intervals

SCORED, ONE_SOURCE, INSUFFICIENT = "scored", "one source", "insufficient data"
NOT_ONE = "no language"  # `und` and `zxx`: no part in the macro F1


@dataclass(frozen=True)
class Interval:
    """A share, and between what it lies at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """How one language is told.

    Attributes:
        language: Its tag.
        pieces: How many were asked of.
        bytes: Of independent text, UTF-8, that they were drawn from.
        sources: How many cards that text is of.
        standing: `scored`; `one source`, `insufficient data` and `no language` have no part in the
            macro F1.
        precision: Of the pieces called so, the share that is; None if none is called so.
        recall: Of its pieces, the share that is called so; None for insufficient data.
        f1: Their harmonic mean, with a bootstrap interval; None for insufficient data.
        confused: What its other pieces are called, most often first.
    """

    language: str
    pieces: int
    bytes: int
    sources: int
    standing: str
    precision: float | None
    recall: float | None
    f1: Interval | None
    confused: Mapping[str, int]


@dataclass(frozen=True)
class Score:
    """All rows of a table, and the mean F1 of the languages that are scored.

    Attributes:
        rows: By language.
        macro: Mean F1 over the rows that are `scored`; None if there is none.
        languages: How many those are.
        pieces: How many were asked of, of any language.
    """

    rows: tuple[Row, ...]
    macro: Interval | None
    languages: int
    pieces: int


def score(
    pieces: Sequence[Text],
    answers: Sequence[str],
    text_bytes: Mapping[str, int],
    one_source: Iterable[str] = (),
) -> Score:
    """Score what was answered.

    Args:
        pieces: What was asked of; `document` is the document, or the stretch of a long one, that
            it was cut of: the bootstrap draws these, since their pieces are right and wrong
            together.
        answers: The tag that was answered for each, `und` among them.
        text_bytes: Of each language, the independent text that its pieces were drawn from.
        one_source: Languages of which there is one source alone.

    Raises:
        ValueError: there are not as many answers as pieces.
    """
    if len(pieces) != len(answers):
        raise ValueError(f"{len(answers)} answers for {len(pieces)} pieces; give one for each")
    if not pieces:
        return Score((), None, 0, 0)
    alone = set(one_source)
    asked_of = [primary(piece.language) for piece in pieces]
    said = [primary(answer) for answer in answers]
    languages = sorted(set(asked_of))
    sources = defaultdict(set)
    for language, piece in zip(asked_of, pieces, strict=True):
        sources[language].add(piece.source)

    def standing(language: str) -> str:
        if language in {UNKNOWN, NO_LANGUAGE}:
            return NOT_ONE
        if language in alone:
            return ONE_SOURCE
        return SCORED if text_bytes.get(language, 0) >= ENOUGH_BYTES else INSUFFICIENT

    standings = {language: standing(language) for language in languages}
    scored = np.array([standings[language] == SCORED for language in languages], bool)
    counted = confusions(asked_of, said)
    stretches = [
        (language, piece.source, piece.document)
        for language, piece in zip(asked_of, pieces, strict=True)
    ]
    drawn = _bootstrap(stretches, said, languages)
    rows = []
    for place, language in enumerate(languages):
        own = counted[language]
        right, asked = own[language], own.total()
        called = sum(each[language] for each in counted.values())
        is_told = standings[language] != INSUFFICIENT
        rows.append(
            Row(
                language=language,
                pieces=asked,
                bytes=text_bytes.get(language, 0),
                sources=len(sources[language]),
                standing=standings[language],
                precision=right / called if is_told and called else None,
                recall=right / asked if is_told else None,
                f1=_interval(2 * right / (asked + called), drawn[:, place]) if is_told else None,
                confused=dict(_wrong(own, language)) if is_told else {},
            )
        )
    values = [row.f1.value for row in rows if row.f1 and row.standing == SCORED]
    macro = _interval(sum(values) / len(values), drawn[:, scored].mean(axis=1)) if values else None
    return Score(tuple(rows), macro, len(values), len(pieces))


def confusions(languages: Sequence[str], answers: Sequence[str]) -> dict[str, Counter[str]]:
    """How often each answer was given, by what the text is in."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for language, answer in zip(languages, answers, strict=True):
        found[language][answer] += 1
    return dict(found)


def _wrong(own: Counter[str], language: str) -> list[tuple[str, int]]:
    others = [(answer, count) for answer, count in own.items() if answer != language]
    return sorted(others, key=lambda each: (-each[1], each[0]))[:SHOWN]


def _bootstrap(
    stretches: Sequence[tuple[str, str, str]], said: Sequence[str], languages: Sequence[str]
) -> npt.NDArray[np.float64]:
    """F1 of each language over so many drawings of stretches, with replacement, by language.

    Each language is drawn from anew: its recall moves with its own stretches, its precision with
    those of the others too.

    Args:
        stretches: Of each piece, its language, source and document.
        said: What it was called.
        languages: All of them, in order.
    """
    rows = {stretch: row for row, stretch in enumerate(sorted(set(stretches)))}
    place = {language: at for at, language in enumerate(languages)}
    counts = np.zeros((len(rows), len(languages)), np.float64)
    asked = np.zeros(len(rows))
    for stretch, answer in zip(stretches, said, strict=True):
        asked[rows[stretch]] += 1
        if answer in place:
            counts[rows[stretch], place[answer]] += 1
    owners = np.array([place[language] for language, _, _ in rows])
    starts = np.searchsorted(owners, np.arange(len(languages)))
    sizes = np.diff([*starts, len(owners)])
    right = counts[np.arange(len(owners)), owners]
    generator = np.random.default_rng(SEED)
    found = np.empty((REPLICATES, len(languages)))
    for replicate in range(REPLICATES):
        drawn = np.concatenate(
            [
                start + generator.integers(size, size=size)
                for start, size in zip(starts, sizes, strict=True)
            ]
        )
        weight = np.bincount(drawn, minlength=len(owners))
        own = np.add.reduceat(weight * right, starts)
        shown = np.add.reduceat(weight * asked, starts) + weight @ counts
        found[replicate] = np.divide(2 * own, shown, out=np.zeros_like(own), where=shown > 0)
    return found


def _interval(value: float, drawn: npt.NDArray[np.float64]) -> Interval:
    """A value with the middle 95 % of what the bootstrap gave, which never leaves it out."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value, min(float(low), value), max(float(high), value))


def wilson(right: int, asked: int) -> Interval | None:
    """A share with its 95 % interval (Wilson 1927); None if nothing was asked of."""
    if not asked:
        return None
    share, z = right / asked, WILSON_Z
    middle = share + z * z / (2 * asked)
    spread = z * math.sqrt(share * (1 - share) / asked + z * z / (4 * asked * asked))
    whole = 1 + z * z / asked
    low, high = (middle - spread) / whole, (middle + spread) / whole
    return Interval(share, max(0.0, min(low, share)), min(1.0, max(high, share)))
