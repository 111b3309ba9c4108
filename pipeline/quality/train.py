"""Train a fastText classifier of quality, bit for bit the same from the same texts."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.errors import PhloemError, UseError
from phloem.filters.fasttext_model import read_model
from phloem.filters.quality import ALPHA, PREFIX, draws, lines
from phloem.pipeline.quality.examples import Example

GOOD, BAD = "good", "bad"

LEAST = 20
"""Documents that each side must have to train on: with fewer a score says nothing."""

QUANTIZED = ".ftz"  # how fastText itself names the file of a model that is quantized


class TrainingError(UseError):
    """Documents that no classifier can be trained of."""


@dataclass(frozen=True)
class Settings:
    """How a classifier is trained: words and pairs of words, as DCLM's (arXiv 2406.11794, 4.4).

    Attributes:
        side_bytes: UTF-8 bytes of text of each side, at most; chosen by hash.
        dim: Length of the vectors.
        words: Words of the longest n-gram.
        buckets: Rows of the table that n-grams are hashed into.
        least_count: Times that a word must occur to have a vector of its own.
        epochs: Passes over the documents.
        rate: Learning rate.
        cutoff: Rows of words and n-grams that are kept where the model is quantized.
    """

    side_bytes: int = 100_000_000
    dim: int = 32
    words: int = 2
    buckets: int = 2**20
    least_count: int = 5
    epochs: int = 5
    rate: float = 0.5
    cutoff: int = 200_000


@dataclass(frozen=True)
class Score:
    """How right a classifier is about documents that did not train it.

    Attributes:
        documents: Held out, by side.
        auc: Chance that a good document scores higher than a bad one, 0-1 (area under the ROC
            curve); 0.5 is a guess.
        accuracy: Part of the documents that score on their own side of 0.5, each side half, 0-1.
        pareto_kept: Part of each side that GPT-3's rule keeps, 0-1.
    """

    documents: Mapping[str, int]
    auc: float
    accuracy: float
    pareto_kept: Mapping[str, float]


@dataclass(frozen=True)
class Trained:
    """What was trained, and of what.

    Attributes:
        sha256: Of the model's file.
        documents: That trained it, by side and source.
        on_both_sides: Texts that stood on both sides, and trained nothing.
        score: Of what was held out; None where a side has none.
    """

    sha256: str
    documents: Mapping[str, Mapping[str, int]]
    on_both_sides: int
    score: Score | None


def train(
    good: Iterable[Example],
    bad: Iterable[Example],
    out: Path,
    settings: Settings,
    told: Callable[[str], None],
) -> Trained:
    """Train on what is called good and bad, and write the model; quantized for a name on `.ftz`.

    One thread and one seed: the same texts give the same bytes with one build of fastText. A tenth
    of the documents, by their hash, trains nothing and scores.

    Args:
        good: Documents with the label `good`.
        bad: With the label `bad`.
        out: Where the model is written.
        settings: How.
        told: Called with a line for a person about each step.

    Raises:
        TrainingError: a side has too few documents.
    """
    read = {label: _least(own, settings.side_bytes) for label, own in ((GOOD, good), (BAD, bad))}
    shared = read[GOOD][1] & read[BAD][1]
    sides = {
        label: [each for each in own if each.number not in shared]
        for label, (own, _) in read.items()
    }
    training = {label: [e for e in own if not e.is_held_out] for label, own in sides.items()}
    few = [f"{len(own)} {label}" for label, own in training.items() if len(own) < LEAST]
    if few:
        msg = (
            f"{' and '.join(few)} documents to train on, beside {len(shared)} that stand on both"
            f" sides; each side needs {LEAST}: name more sources"
        )
        raise TrainingError(msg)
    told(" and ".join(f"{len(own)} {label}" for label, own in training.items()) + " documents")
    written = [f"{PREFIX}{label} {line}" for label in sides for line in _lines(training[label])]
    np.random.default_rng(0).shuffle(written)
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        path = Path(folder) / "train.txt"
        path.write_text("".join(f"{line}\n" for line in written), encoding="utf-8", newline="")
        _write(path, out, settings)
    held = {label: [e for e in own if e.is_held_out] for label, own in sides.items()}
    return Trained(
        hashlib.sha256(out.read_bytes()).hexdigest(),
        {label: dict(Counter(e.source for e in own)) for label, own in training.items()},
        len(shared),
        score(out, held) if all(held.values()) else None,
    )


def score(model: Path, held: Mapping[str, Sequence[Example]]) -> Score:
    """How right a model with the labels `good` and `bad` is about documents of both."""
    classifier = read_model(model)
    number = classifier.labels.index(PREFIX + GOOD)
    texts = {label: pa.array([each.text for each in own]) for label, own in held.items()}
    scores = {
        label: classifier.every(classifier.vectors(lines(own))[0])[:, number]
        for label, own in texts.items()
    }
    right = [np.mean(scores[GOOD] >= 0.5), np.mean(scores[BAD] < 0.5)]  # noqa: PLR2004
    kept = {
        label: float(np.mean(draws(texts[label], ALPHA) > 1 - own)) for label, own in scores.items()
    }
    return Score(
        {label: len(own) for label, own in held.items()},
        area(scores[GOOD], scores[BAD]),
        float(np.mean(right)),
        kept,
    )


def area(good: npt.NDArray[np.float64], bad: npt.NDArray[np.float64]) -> float:
    """The area under the ROC curve: pairs that are in order, those of equal scores half."""
    ordered = np.sort(bad)
    below = np.searchsorted(ordered, good, "left")
    up_to = np.searchsorted(ordered, good, "right")
    return float((below + up_to).sum() / 2 / (len(good) * len(bad)))


def _least(documents: Iterable[Example], most: int) -> tuple[list[Example], set[int]]:
    """The documents of least hash, up to so many bytes, and the hashes of all that there are."""
    held: list[Example] = []
    numbers = set()
    waiting = 0
    for each in documents:
        held.append(each)
        numbers.add(each.number)
        waiting += len(each.text.encode())
        if waiting > most:
            held, waiting = _cut(held, most), 0
    return _cut(held, most), numbers


def _cut(documents: Sequence[Example], most: int) -> list[Example]:
    chosen = []
    for each in sorted(documents, key=lambda each: each.number):
        most -= len(each.text.encode())
        if most < 0:
            break
        chosen.append(each)
    return chosen


def _lines(documents: Sequence[Example]) -> list[str]:
    """Each text as a line in which no word is taken for a label."""
    found = lines(pa.array([each.text for each in documents], pa.large_string())).to_pylist()
    return [line.replace(PREFIX, "") for line in found]


def _write(path: Path, out: Path, settings: Settings) -> None:
    try:
        model = fasttext.train_supervised(
            str(path),
            thread=1,
            seed=1,
            verbose=0,
            loss="softmax",
            dim=settings.dim,
            wordNgrams=settings.words,
            bucket=settings.buckets,
            minCount=settings.least_count,
            epoch=settings.epochs,
            lr=settings.rate,
        )
        if out.suffix == QUANTIZED:
            model.quantize(
                str(path), thread=1, verbose=0, qnorm=True, retrain=True, cutoff=settings.cutoff
            )
        model.save_model(str(out))
    except (RuntimeError, ValueError) as error:
        raise PhloemError(f"fastText could not train: {error}") from error
