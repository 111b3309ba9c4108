"""How sure a model must be of a near language before it contradicts a card, measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from phloem.catalog.tags import NO_LANGUAGE, UNKNOWN, agree, primary
from phloem.filters.language import NEVER, OVERRIDE
from phloem.pipeline.langid.texts import Text

LOST = 0.01
"""The most of a language's texts that may be lost to one other language under a right card."""

HIGHEST = 0.99  # a bound above it holds for ever: answers are hardly surer where they are right

LEAST = 30  # pieces of a language, for a hundredth of them to be known

Bounds = dict[str, dict[str, float]]


def near_bounds(pieces: Sequence[Text], answers: Iterable[tuple[str, float | None]]) -> Bounds:
    """The bounds of the pairs of languages that lose too much by the usual one (`OVERRIDE`).

    Of the texts of a language that were answered with another, the least probability that only
    `LOST` of all its texts reach, rounded up to hundredths.

    Args:
        pieces: Held-out texts, each in one language.
        answers: Language and probability of each, with none declared.

    Returns:
        Declared language -> answered language -> least probability that contradicts.
    """
    sizes: dict[str, int] = defaultdict(int)
    wrong: dict[tuple[str, str], list[float]] = defaultdict(list)
    for piece, (answer, chance) in zip(pieces, answers, strict=True):
        own = primary(piece.language)
        sizes[own] += 1
        told = answer not in {UNKNOWN, NO_LANGUAGE} and chance is not None
        if told and not agree(own, answer) and float(chance or 0.0) >= OVERRIDE:
            wrong[own, primary(answer)].append(float(chance or 0.0))
    found: Bounds = {}
    for (own, other), chances in sorted(wrong.items()):
        spared = int(LOST * sizes[own])  # texts that may be lost
        if sizes[own] < LEAST or len(chances) <= spared:
            continue
        surest = sorted(chances, reverse=True)[spared]
        bound = math.floor(100 * surest + 1) / 100
        found.setdefault(own, {})[other] = NEVER if bound > HIGHEST else bound
    return found


def written(bounds: Mapping[str, Mapping[str, float]]) -> str:
    """The bounds as `filters/near_languages.yaml` holds them."""
    rows = (
        f"{_key(own)}: {{{', '.join(f'{_key(o)}: {bound}' for o, bound in others.items())}}}"
        for own, others in bounds.items()
    )
    return HEAD + "".join(f"{row}\n" for row in rows)


def _key(tag: str) -> str:
    return f'"{tag}"' if tag in {"no", "on", "y", "n"} else tag  # YAML's words for truth


HEAD = """\
# How sure the models must be of a near language before they contradict what a card declares, where
# that is more than usual: declared language: {answered language: least probability}. Measured on
# held-out text of 300 characters by `phloem langid near`; 2.0: never. A tag that YAML takes for
# something else stands in quotes.
"""
