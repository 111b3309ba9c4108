"""Train a fastText model of languages, bit for bit the same from the same texts."""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa

from phloem.catalog.errors import PhloemError, UseError
from phloem.filters import passages
from phloem.pipeline.langid.texts import Text, byte_size, capped, pieces

PREFIX = "__label__"


class TrainingError(UseError):
    """Texts that no model can be trained of."""


@dataclass(frozen=True)
class Settings:
    """How a model is trained; the defaults are those of the model that comes with the project.

    Attributes:
        language_bytes: UTF-8 bytes of pieces that each language is given. One that has less is cut
            again at other places, up to `rounds` times, so that no label is rare.
        rounds: See there.
        least_bytes: Text that a language must have; one with less gets no label.
        least_chars: Of the shortest piece.
        most_chars: Of the longest.
        dim: Length of the vectors.
        least_ngram: Characters of the shortest n-gram.
        most_ngram: Of the longest.
        buckets: Rows of the table that n-grams are hashed into.
        least_count: Times that a word must occur to have a vector of its own.
        epochs: Passes over the pieces.
        rate: Of learning, at the beginning.
        cutoff: Words and n-grams that are kept when the model is made small, those of the longest
            vectors.
        cut_epochs: Passes over the pieces when those that are kept are trained again.
    """

    language_bytes: int = 150_000
    rounds: int = 10
    least_bytes: int = 2_000
    least_chars: int = 20
    most_chars: int = 400
    dim: int = 16
    least_ngram: int = 2
    most_ngram: int = 5
    buckets: int = 2**19
    least_count: int = 5
    epochs: int = 6
    rate: float = 0.6
    cutoff: int = 100_000
    cut_epochs: int = 2


@dataclass(frozen=True)
class Trained:
    """What was trained, and of what.

    Attributes:
        sha256: Of the model's file.
        held: UTF-8 bytes of text by label and source.
        left_out: Bytes of each language that had too few for a label.
    """

    sha256: str
    held: dict[str, dict[str, int]]
    left_out: dict[str, int]


def train(
    texts: Iterable[Text], out: Path, settings: Settings, told: Callable[[str], None]
) -> Trained:
    """Train on texts whose languages are labels, and write the model, quantized.

    One thread and one seed: the same texts give the same bytes with one build of fastText.

    Args:
        texts: To train on.
        out: Where the model is written.
        settings: How.
        told: Called with a line for a person about each step.

    Raises:
        TrainingError: fewer than two languages have enough text.
    """
    held: dict[str, list[Text]] = defaultdict(list)
    for text in texts:
        held[text.language].append(text)
    sizes = {label: byte_size(own) for label, own in sorted(held.items())}
    few = {label: size for label, size in sizes.items() if size < settings.least_bytes}
    for label in few:
        del held[label]
    if len(held) < 2:  # noqa: PLR2004 - of one language there is nothing to tell
        msg = (
            f"{len(held)} languages have {settings.least_bytes} bytes of text to train on, of"
            f" {len(sizes)} that have any; a model needs two: name more sources"
        )
        raise TrainingError(msg)
    lines = [line for label in sorted(held) for line in _lines(label, held[label], settings)]
    np.random.default_rng(0).shuffle(lines)
    told(f"{len(lines)} pieces in {len(held)} languages")
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        path = Path(folder) / "train.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
        _write(path, out, settings)
    by_source = {label: _by_source(own) for label, own in sorted(held.items())}
    return Trained(hashlib.sha256(out.read_bytes()).hexdigest(), by_source, few)


def _lines(label: str, texts: Sequence[Text], settings: Settings) -> list[str]:
    lines: list[str] = []
    left = settings.language_bytes
    for seed in range(settings.rounds):
        cut = pieces(texts, settings.least_chars, settings.most_chars, seed)
        chosen = capped(cut, settings.language_bytes // 2, left, seed)
        left -= byte_size(chosen)
        shown = passages.words(pa.array([piece.text for piece in chosen], pa.large_string()))
        lines += [f"{PREFIX}{label} {line}" for line in shown.to_pylist() if line]
        if left < settings.language_bytes // 10:
            break
    return lines


def _by_source(texts: Sequence[Text]) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for text in texts:
        sizes[text.source] += byte_size([text])
    return dict(sorted(sizes.items()))


def _write(path: Path, out: Path, settings: Settings) -> None:
    try:
        model = fasttext.train_supervised(
            str(path),
            thread=1,
            seed=1,
            verbose=0,
            loss="softmax",
            dim=settings.dim,
            minn=settings.least_ngram,
            maxn=settings.most_ngram,
            bucket=settings.buckets,
            minCount=settings.least_count,
            epoch=settings.epochs,
            lr=settings.rate,
        )
        model.quantize(
            str(path),
            thread=1,
            verbose=0,
            qnorm=True,
            retrain=True,
            cutoff=settings.cutoff,
            epoch=settings.cut_epochs,
            lr=settings.rate / 2,
        )
        model.save_model(str(out))
    except (RuntimeError, ValueError) as error:
        raise PhloemError(f"fastText could not train: {error}") from error
