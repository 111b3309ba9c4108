"""Bounds derived from sound text of each language, and how much of other sound text they drop."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest
from phloem.catalog.tags import script
from phloem.filters.language_files import Bounds, Derivation
from phloem.filters.op import Op
from phloem.pipeline.recipe import columns_of
from phloem.pipeline.thresholds.reference import DERIVE, Piece
from phloem.pipeline.thresholds.score import measures

LEAST = 200
"""Texts of a language that bounds are derived from: 1 % of them are two, as few as tell anything. A
language with fewer has the bounds of its script; a script with fewer has none."""

DECIMALS = 4  # of what ops store

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """How a bound follows from values of sound texts.

    Attributes:
        quantile: Share of them that lies within each bound; or None.
        deviations: So many standard deviations from the median; or None. FineWeb-2 derives bounds
            by both ways (arXiv 2506.20920, section 3.3).
    """

    quantile: float | None = None
    deviations: float | None = None

    def __str__(self) -> str:
        """In words, as a derivation says it."""
        if self.quantile is not None:
            return f"the quantiles {1 - self.quantile:.4g} and {self.quantile:.4g}"
        return f"the median and {self.deviations:.4g} standard deviations below and above it"

    def bounds(self, values: Values) -> tuple[float, float]:
        """The least and the largest value that is sound, rounded outward."""
        if self.quantile is not None:
            low, high = np.quantile(values, [1 - self.quantile, self.quantile])
        else:
            off = (self.deviations or 0) * values.std()
            low, high = np.median(values) - off, np.median(values) + off
        unit = 10**DECIMALS
        # A product may be off in its last bits.
        return math.floor(low * unit + 1e-6) / unit, math.ceil(high * unit - 1e-6) / unit


@dataclass(frozen=True)
class Derived:
    """What was derived for a language, or for a script.

    Attributes:
        tag: BCP-47; `und-Cyrl` for a script.
        column: Whose bounds.
        texts: They were derived from.
        low: The least sound value.
        high: The largest.
        scored: Texts that they were not derived from.
        outside: How many of these lie outside of them.
    """

    tag: str
    column: str
    texts: int
    low: float
    high: float
    scored: int
    outside: int


def check_columns(columns: Sequence[str], ops: Sequence[Op]) -> dict[str, Op]:
    """The op that writes each column. Raises UseError with all that cannot be derived."""
    writers = {column.name: op for op in ops for column in op.measures}
    kinds = columns_of(ops)
    faults = []
    for name in columns:
        if name not in writers:
            faults.append(f"no op of the recipe writes {name!r}; {nearest(name, writers)}")
        elif not str(kinds[name]).startswith(("int", "uint", "double", "float")):
            faults.append(f"{name} holds {kinds[name]}, which has no bounds")
    if len(set(columns)) < len(columns):
        faults.append("a column is named twice")
    if faults:
        raise UseError("; ".join(faults))
    return {name: writers[name] for name in columns}


def measured(
    pieces: Sequence[Piece], columns: Sequence[str], ops: Sequence[Op], paths: Mapping[str, str]
) -> dict[str, Values]:
    """The value of each column for each piece; NaN where it has none."""
    texts, tags = [each.text for each in pieces], [each.language for each in pieces]
    parts: dict[str, list[Values]] = {name: [np.zeros(0)] for name in columns}
    for table in measures(ops, columns, paths, texts, tags):
        for name in columns:
            found = table[name].cast("double").fill_null(math.nan)
            parts[name].append(found.to_numpy())
    return {name: np.concatenate(found) for name, found in parts.items()}


def derive(
    pieces: Sequence[Piece], values: Mapping[str, Values], method: Method
) -> Iterator[Derived]:
    """The bounds of each language with `LEAST` texts in the first half, then of each script.

    Of a language no more than `LEAST` texts bear on its script, so that none weighs more there.

    Args:
        pieces: Sound texts in both halves: the second is not derived from, but scored.
        values: Of each column, by piece.
        method: How a bound follows.
    """
    halves: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    scripts: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for place, piece in enumerate(pieces):
        halves[piece.language][piece.half != DERIVE].append(place)
    for language, (first, second) in halves.items():
        family = scripts[f"und-{script(language)}"]
        family[0].extend(first[:LEAST])
        family[1].extend(second[:LEAST])
    for tag, (first, second) in [*sorted(halves.items()), *sorted(scripts.items())]:
        for column, found in values.items():
            own, others = (part[~np.isnan(part)] for part in (found[first], found[second]))
            if len(own) < LEAST:
                continue
            low, high = method.bounds(own)
            outside = int(((others < low) | (others > high)).sum())
            yield Derived(tag, column, len(own), low, high, len(others), outside)


def write_bounds(
    folder: Path,
    found: Sequence[Derived],
    writers: Mapping[str, Op],
    sources: Sequence[str],
    method: Method,
    day: date,
) -> list[Path]:
    """Write a file for each tag, in place of one that is there; their paths.

    Args:
        folder: Where bounds lie.
        found: What was derived.
        writers: The op of each column.
        sources: Ids of the cards whose texts they are derived from.
        method: How.
        day: That is written into them.
    """
    by_tag: dict[str, list[Derived]] = defaultdict(list)
    for each in found:
        by_tag[each.tag].append(each)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for tag, own in sorted(by_tag.items()):
        ops = {writers[each.column].name: writers[each.column].version for each in own}
        value = Bounds(
            derived=Derivation(
                date=day,
                texts=tuple(sources),
                documents=min(each.texts for each in own),
                method=str(method),
                versions=dict(sorted(ops.items())),
            ),
            bounds={each.column: {"min": each.low, "max": each.high} for each in own},
        )
        path = folder / f"{tag}.yaml"
        text = yaml.safe_dump(value.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8", newline="")
        paths.append(path)
    return paths
