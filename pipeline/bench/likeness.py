"""How much of a text's shingles edits leave, by script and unit, and what templates share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import yaml

from phloem.catalog.plain import Json
from phloem.filters.minhash import jaccard, shingles
from phloem.pipeline.bench.planted import edited, word_spans

THRESHOLDS = (0.6, 0.7, 0.8, 0.9)
COLUMNS = (
    *("texts", "1 %", "2 %", "5 %", "others", "others, most"),
    *(f"go at {threshold}" for threshold in THRESHOLDS),
)
"""Likeness after so many edits, and to another text; how many of one form go at a threshold."""

UNITS = (3, 5, 8)  # words, or letters of a script without spaces, of a shingle
RATES = (0.01, 0.02, 0.05)  # of these are edited
TEXTS = 60  # of each language, of `LEAST` units or more
LEAST = 200

FORMS = Path(__file__).with_name("templates.yaml")
FILLED = 40  # texts of each form
NGRAM = 5  # of the op `minhash`


def units(records: Sequence[Json], seed: int) -> Iterator[Json]:
    """For each language and unit: how alike a text is to its edited copy, and to other texts.

    Args:
        records: With text and lang.
        seed: Of what is edited.
    """
    random = Random(seed)  # noqa: S311 - no secret
    texts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        own = texts[record["lang"]]
        if len(own) < TEXTS and len(word_spans(record["text"])) >= LEAST:
            own.append(record["text"])
    for language, own in sorted(texts.items()):
        if len(own) < TEXTS:
            continue
        pool = [text[start:end] for text in own for start, end in word_spans(text)]
        copies = {rate: [edited(text, pool, random, rate) for text in own] for rate in RATES}
        for unit in UNITS:
            near = {rate: np.mean(_pairs(own, copies[rate], unit)) for rate in RATES}
            far = [jaccard(one, other) for one, other in pairwise(_sets(own, unit))]
            yield {
                "row": f"{language}, {unit} {'letters' if _is_unspaced(own) else 'words'}",
                "texts": len(own),
                **{f"{rate:.0%}".replace("%", " %"): round(float(near[rate]), 3) for rate in RATES},
                "others": round(float(np.mean(far)), 3),
                "others, most": round(max(far), 3),
            }


def _is_unspaced(texts: Sequence[str]) -> bool:
    """Whether a word is a letter in most of some texts."""
    return float(np.mean([end - start for text in texts for start, end in word_spans(text)])) < 2  # noqa: PLR2004 - letters with their marks


def _sets(texts: Sequence[str], ngram: int) -> list[np.ndarray]:
    offsets, values = shingles(pa.array(texts), ngram=ngram)
    return np.split(values, offsets[1:-1])


def _pairs(left: Sequence[str], right: Sequence[str], ngram: int) -> list[float]:
    both = zip(_sets(left, ngram), _sets(right, ngram), strict=True)
    return [jaccard(one, other) for one, other in both]


def templates(seed: int) -> Iterator[Json]:
    """For each form of text, filled in several ways: how alike these are, and how many would go.

    Args:
        seed: Of what they are filled with.
    """
    random = Random(seed)  # noqa: S311 - no secret
    forms = yaml.load(FORMS.read_bytes(), Loader=yaml.CSafeLoader)
    for name, form in forms.items():
        filled = [
            form["text"].format_map({key: random.choice(of) for key, of in form["fields"].items()})
            for _ in range(FILLED)
        ]
        sets = _sets(filled, NGRAM)
        alike = [jaccard(one, other) for one, other in combinations(sets, 2)]
        row: Json = {"row": name, "texts": FILLED, "others": round(float(np.median(alike)), 3)}
        for threshold in THRESHOLDS:
            kept: list[np.ndarray] = []
            for own in sets:
                if all(jaccard(own, other) < threshold for other in kept):
                    kept.append(own)
            row[f"go at {threshold}"] = f"{1 - len(kept) / FILLED:.0%}"
        yield row
