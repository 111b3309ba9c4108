"""Quality as a classifier sees it: any supervised model of fastText, given by path or address."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from phloem.catalog.columns import TEXT, Column
from phloem.catalog.plain import Json
from phloem.filters.fasttext_model import LOG_ADDED, FastText, ModelError, read_model
from phloem.filters.given import given_name
from phloem.filters.op import OpError, op

QUALITY_SCORE = Column(
    "quality_score",
    pa.float64(),
    "Probability of the label asked for, by the given classifier, 0-1; null for no words.",
)
QUALITY_MARGIN = Column(
    "quality_margin",
    pa.float64(),
    "Pareto draw less (1 - quality_score): from 0 on GPT-3 keeps a document; null for no words.",
)

PREFIX = "__label__"

ALPHA = 9.0
"""Shape of the Pareto distribution that GPT-3 draws from (arXiv 2005.14165, appendix A)."""

_SAMPLE = Path(__file__).with_name("models") / "sample-quality.bin"
_SAMPLE_SHA256 = "a673b5d59f174ddfd34d103750231f56a9b8fffb7bfd34e757756bea3a0e5519"

_DRAWS = 2**53  # the numbers that a double tells apart in (0, 1]


@functools.cache
def _model(path: str) -> FastText:
    return read_model(path)


def _number(found: FastText, label: str) -> int:
    """The column of a label, with or without fastText's prefix. Raises OpError naming those."""
    wanted = label if label.startswith(PREFIX) else f"{PREFIX}{label}"
    if wanted not in found.labels:
        names = [each.removeprefix(PREFIX) for each in found.labels]
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004
        msg = f"it has no label {label.removeprefix(PREFIX)!r}; it has {shown}"
        raise OpError(msg)
    return found.labels.index(wanted)


def _ready(params: Mapping[str, Json], files: Mapping[str, str]) -> None:
    """Raise OpError for a file that is no classifier, or not one that knows the label."""
    given, alpha = params["model"], params["alpha"]
    if not isinstance(alpha, (int, float)) or not alpha > 0:
        raise OpError(f"op quality: alpha is {alpha!r}; it is a number above 0")
    try:
        _number(_model(files[given["sha256"]]), str(params["label"]))
    except (ModelError, OpError) as error:
        msg = f"op quality: model {given_name(given)}: {error}"
        raise OpError(msg) from error


def lines(texts: pa.Array) -> pa.Array:
    """Each text as the one line that fastText reads: a line feed is a space."""
    return pc.replace_substring(texts, "\n", " ")


def draws(texts: pa.Array, alpha: float) -> npt.NDArray[np.float64]:
    """A number of the Pareto distribution (Lomax, numpy's `pareto`) for each text, by its hash.

    The same text draws the same number in every run, batch and order: nobody's seed decides.
    0 for a null.
    """
    hashes = np.array(
        [xxhash.xxh3_64_intdigest((text or "").encode()) for text in texts.to_pylist()], "u8"
    )
    uniform = ((hashes >> np.uint64(11)).astype(np.float64) + 1) / _DRAWS
    return uniform ** (-1 / alpha) - 1


@op(
    reads=[TEXT],
    writes=[QUALITY_SCORE, QUALITY_MARGIN],
    libraries=["xxhash"],
    ready=_ready,
    sample={"model": {"path": str(_SAMPLE), "sha256": _SAMPLE_SHA256}, "label": "good"},
    examples=[
        ("The old harbour was quiet, and they said nothing of it.", (0.7006, -0.0994)),
        ("def f(self):\n    return self.value", (0.5328, -0.4085)),
        (" \n", (None, None)),
        (None, (None, None)),
    ],
)
def quality(
    batch: pa.RecordBatch,
    *,
    files: Mapping[str, str],
    model: Mapping[str, str],
    label: str,
    alpha: float = ALPHA,
) -> list[pa.Array]:
    """Score how like a label's texts each text is, by a classifier of fastText.

    Any supervised model serves: of `phloem quality train`, DCLM's (arXiv 2406.11794, 4.4: keep from
    0.018112 on), NVIDIA's, FineWeb-Edu's distilled ones. It reads the whole text as one line, as
    these were trained. A rule on `quality_score` keeps what is above a bound; one on
    `quality_margin` with `min: 0` keeps as GPT-3 does (arXiv 2005.14165, appendix A: a document
    stays if `np.random.pareto(alpha) > 1 - score`), so that some of what scores low stays; the draw
    is of the text's own hash.

    Args:
        batch: Rows of text.
        files: The model.
        model: `{path: …, sha256: …}` or `{url: …, sha256: …}`.
        label: The label whose probability is asked for, with or without `__label__`.
        alpha: Shape of the Pareto distribution: 9 for GPT-3, 3 for the Pile and MT-NLG.
    """
    classifier = _model(files[model["sha256"]])
    number = _number(classifier, label)
    texts = batch[TEXT.name]
    vectors, _ = classifier.vectors(lines(texts))
    chances = classifier.every(vectors)[:, number] - LOG_ADDED
    has_words = pc.not_equal(pc.utf8_trim_whitespace(texts), "").fill_null(False)
    known = has_words.to_numpy(zero_copy_only=False) & ~np.isnan(chances)
    scores = np.round(np.clip(np.where(known, chances, 0), 0, 1), 4)
    margins = np.round(draws(texts, alpha) - (1 - scores), 4)
    return [pa.array(each, pa.float64(), mask=~known) for each in (scores, margins)]
