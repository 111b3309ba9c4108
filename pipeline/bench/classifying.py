"""How fast the kernel of fastText's models is, and how near its answers are to the library's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import TEXT
from phloem.catalog.plain import Json
from phloem.filters import passages
from phloem.filters.fasttext_model import FastText, read_model

ROW = "language model"
LIBRARY = "fasttext predict"


def model_row(
    batches: Sequence[pa.RecordBatch], path: str, repeat: int, *, peers: bool
) -> dict[str, Json]:
    """A model's answers to what the op `language` shows it, of whole texts.

    Args:
        batches: The sample.
        path: The model.
        repeat: Passes, of which the best counts.
        peers: Whether fastText's library is asked of the same lines in the same run.
    """
    kernel = read_model(path)
    lines = [_lines(batch) for batch in batches]
    _answered(kernel, lines[0].slice(0, 1))  # compiles outside the clock
    size = sum(int(pc.sum(pc.binary_length(own)).as_py() or 0) for own in lines) / 1e6
    seconds, own = _best(lambda: [_answered(kernel, each) for each in lines], repeat)
    row = {"row": ROW, "MB": round(size, 1), "MB/s": round(size / seconds, 1)}
    if not peers:
        return row
    import fasttext

    model = fasttext.load_model(path)
    shown = [each.to_pylist() for each in lines]
    peer_seconds, theirs = _best(lambda: [model.predict(each) for each in shown], repeat)
    labels = [found[0] if found else "" for said, _ in theirs for found in said]
    chances = [float(each[0]) if len(each) else 0.0 for _, given in theirs for each in given]
    return {
        **row,
        "peer": LIBRARY,
        "peer MB/s": round(size / peer_seconds, 2),
        "ratio": round(peer_seconds / seconds, 1),
        "agrees": agreement(kernel.labels, own, labels, chances),
    }


def agreement(
    names: Sequence[str],
    own: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: Sequence[str],
    chances: Sequence[float],
) -> str:
    """How many labels are the library's, and how far the probabilities lie apart at most.

    Args:
        names: Of the model's labels.
        own: Numbers of the best labels, -1 for none, and their probabilities, by batch.
        labels: The library's; empty for none.
        chances: Its probabilities.
    """
    ours = [names[label] if label >= 0 else "" for found, _ in own for label in found.tolist()]
    same = sum(mine == theirs for mine, theirs in zip(ours, labels, strict=True))
    apart = np.abs(np.concatenate([given for _, given in own]) - np.array(chances)).max()
    return f"{same:,} of {len(labels):,} labels, scores within {apart:.0e}"


def _lines(batch: pa.RecordBatch) -> pa.Array:
    """Each text as the op shows it to a model, whole; those without a word are left out."""
    found = passages.words(batch[TEXT.name])
    return found.filter(pc.greater(pc.binary_length(found), 0))


def _answered(kernel: FastText, lines: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    vectors, _ = kernel.vectors(lines)
    return kernel.best(vectors)


def _best(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """The least CPU seconds of so many passes, and what the work gave."""
    seconds, found = float("inf"), None
    for _ in range(repeat):
        before = time.process_time()
        found = work()
        seconds = min(seconds, time.process_time() - before)
    return max(seconds, 1e-9), found
