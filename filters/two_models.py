"""What two models of languages answer together."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST = 0.001
"""Added to each probability, so that one model alone rules nothing out."""


def combined(
    own: Floats, own_tags: tuple[str, ...], other: Floats, other_tags: tuple[str, ...]
) -> tuple[Floats, tuple[str, ...]]:
    """The probability of each label that either model has.

    Of a label that both have, the geometric mean, in which the first counts twice; of one that a
    single model has, what that model says. The rows then sum to 1: what one model puts on labels
    that the other does not have is weighed against them.

    Args:
        own: Probabilities, rows of texts and columns of labels; NaN in rows that a model knows
            nothing of.
        own_tags: The tags of its columns, each once.
        other: Those of the other model, for the same texts.
        other_tags: The tags of its columns.

    Returns:
        Probabilities and the tags of their columns: the first model's, then the others. NaN where
        both know nothing.
    """
    tags, places, shared = _joined(own_tags, other_tags)
    first, second = (np.zeros((len(own), len(tags))) for _ in range(2))
    first[:, : len(own_tags)] = np.nan_to_num(own)
    second[:, places] = np.nan_to_num(other)
    mean = np.cbrt((first[:, shared] + LEAST) ** 2 * (second[:, shared] + LEAST))
    found = first + second
    found[:, shared] = mean
    found[np.isnan(own).all(axis=1) & np.isnan(other).all(axis=1)] = np.nan
    return found / found.sum(axis=1, keepdims=True), tags


@functools.cache
def _joined(
    own: tuple[str, ...], other: tuple[str, ...]
) -> tuple[tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """All tags, the column of each of the other model's among them, and which both have."""
    tags = tuple(dict.fromkeys([*own, *other]))
    places = np.array([tags.index(tag) for tag in other], np.int64)
    shared = np.isin(np.arange(len(tags)), places) & (np.arange(len(tags)) < len(own))
    return tags, places, shared
