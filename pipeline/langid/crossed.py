"""Languages that one source alone holds: told by models that did not see the articles asked of."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from phloem.catalog.tags import UNKNOWN, primary
from phloem.filters import passages
from phloem.filters.language_models import answers, load
from phloem.pipeline.langid import tiers
from phloem.pipeline.langid.scoring import ENOUGH_BYTES
from phloem.pipeline.langid.texts import Text
from phloem.pipeline.langid.train import Settings, train

DECLARATION = "udhr"
CHARS = 300


def fold(text: Text, number: int, folds: int) -> Text:
    """One of so many equal runs of a text's lines: of the Declaration, some of its articles."""
    lines = text.text.split("\n")
    first, last = (len(lines) * place // folds for place in (number, number + 1))
    kept = "\n".join(lines[first:last])
    return replace(text, document=f"{text.document} {number}", text=kept)


def without_fold(texts: Iterable[Text], number: int, folds: int) -> Iterator[Text]:
    """Texts, of which the Declaration's lack one fold."""
    for text in texts:
        if text.source != DECLARATION:
            yield text
            continue
        rest = [fold(text, other, folds).text for other in range(folds) if other != number]
        yield replace(text, text="\n".join(rest))


def in_one_source(texts: Iterable[Text], scored: Iterable[Text]) -> frozenset[str]:
    """The languages that the Declaration trains, with too little of any other source to score.

    Args:
        texts: That train, and all others that are known.
        scored: That are held out.
    """
    sizes: dict[str, int] = defaultdict(int)
    declared = set()
    for text in [*texts, *scored]:
        if text.source == DECLARATION:
            declared.add(primary(text.language))
        else:
            sizes[primary(text.language)] += len(text.text.encode("utf-8", "replace"))
    return frozenset(language for language in declared if sizes[language] < ENOUGH_BYTES)


def crossed(
    texts: Sequence[Text], folds: int, settings: Settings, told: Callable[[str], None]
) -> tuple[list[Text], list[str]]:
    """Pieces of the Declaration, and what models that lack their articles call them.

    Args:
        texts: That train.
        folds: Of the Declaration, and so models to train.
        settings: How.
        told: Called with a line for a person about each step.
    """
    asked: list[Text] = []
    said: list[str] = []
    whole = [text for text in texts if text.source == DECLARATION]
    for number in range(folds):
        own = [fold(text, number, folds) for text in whole]
        pieces = tiers.cut(tiers.stretches(own), CHARS)
        with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
            path = Path(folder) / "model.ftz"
            train(without_fold(texts, number, folds), path, settings, told)
            said += _answers(path, [piece.text for piece in pieces])
        asked += pieces
    return asked, said


def _answers(path: Path, texts: Sequence[str]) -> list[str]:
    """What a model alone calls texts."""
    model = load(str(path))
    lines = passages.words(pa.array(texts, pa.large_string()))
    vectors, _ = model.classifier.vectors(lines)
    found = answers(model, vectors, passages.read(lines).scripts).labels.tolist()
    return [model.tags[label] if label >= 0 else UNKNOWN for label in found]
