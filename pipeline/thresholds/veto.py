"""A speaker's veto: texts that speakers of a language approved, and rules that drop them.

`filters/languages/TAG.reviews.jsonl` holds a review a line, which comes by pull request. No measure
depends on it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phloem.catalog.columns import LANGUAGE, TEXT
from phloem.catalog.errors import PhloemError
from phloem.catalog.rules import Rule
from phloem.catalog.tags import TagError, canonical
from phloem.filters.op import Op, find_op
from phloem.pipeline.thresholds.score import reasons
from phloem.pipeline.written import told
from phloem.sources.cards.checks import license_faults

SUFFIX = ".reviews.jsonl"

MOST = 0.05
"""Of the texts that speakers of a language approved, the share that rules may drop."""

CHARS = 5000  # of a text: a page or two, which a reviewer reads


class ReviewError(PhloemError, ValueError):
    """Reviews that do not say what they must: the message names every line."""


class Review(BaseModel):
    """What a speaker says of a text.

    Attributes:
        text: In the language of the file.
        verdict: Whether it is sound prose, verse, law, a recipe; or nothing that anybody wrote.
        by: Name or handle of who says so; no address.
        date: When.
        license: SPDX expression under which the text may lie here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=CHARS)
    verdict: Literal["sound", "rubbish"]
    by: str = Field(pattern=r"^[^\s@<>][^@<>\n]{0,59}$")
    date: date
    license: str


@dataclass(frozen=True)
class Veto:
    """A language of which rules drop too much.

    Attributes:
        language: BCP-47 tag.
        approved: Texts that speakers call sound.
        dropped: How many of these the rules drop.
        rules: By the first rule that each fails, most often first.
    """

    language: str
    approved: int
    dropped: int
    rules: Mapping[str, int]


def load_reviews(folder: Path) -> dict[str, list[Review]]:
    """The reviews of a folder, by language. Raises ReviewError with all that is wrong."""
    found: dict[str, list[Review]] = {}
    faults: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        tag = path.name.removesuffix(SUFFIX)
        try:
            canonical(tag)
        except TagError as error:
            faults.append(f"{path.name}: {error}")
        own = found.setdefault(tag, [])
        lines = path.read_bytes().decode("utf-8", "replace").split("\n")
        for number, line in enumerate(lines, start=1):
            if line.strip():
                review, wrong = _review(line)
                faults += [f"{path.name}, line {number}: {each}" for each in wrong]
                own += [review] if review else []
        faults += _repeated(path.name, own)
    faults += _personal(found)
    if faults:
        raise ReviewError("; ".join(faults))
    return found


def _review(line: str) -> tuple[Review | None, list[str]]:
    """A review, or all that is wrong with its line."""
    try:
        review = Review.model_validate(json.loads(line))
    except ValidationError as error:
        return None, told(error, Review.model_fields)
    except (ValueError, RecursionError):
        return None, ["no JSON object"]
    wrong = [f"license: {each}" for each in license_faults(review.license, ())]
    return (None if wrong else review), wrong


def _repeated(name: str, reviews: Sequence[Review]) -> Iterator[str]:
    """A text that somebody reviews twice would count twice."""
    counted = Counter((review.text, review.by) for review in reviews)
    if again := sum(count > 1 for count in counted.values()):
        yield f"{name}: {again} texts are reviewed twice by one person; keep the last review"


def _personal(found: Mapping[str, Sequence[Review]]) -> Iterator[str]:
    """Reviewed texts lie in the project's history: none may hold an address or a number."""
    op = find_op("pii", {})
    for tag, reviews in found.items():
        texts = pa.array([review.text for review in reviews], TEXT.type)
        tags = pa.array([tag] * len(reviews), LANGUAGE.type)
        batch = pa.RecordBatch.from_arrays([texts, tags], [TEXT.name, LANGUAGE.name])
        spans = op(batch).arrays[0].to_pylist() if reviews else []
        kinds = sorted({span["kind"] for own in spans for span in own or ()})
        if kinds:
            yield f"{tag}{SUFFIX}: a text holds personal data ({', '.join(kinds)}); take another"


def vetoes(
    reviews: Mapping[str, Sequence[Review]],
    ops: Sequence[Op],
    rules: Sequence[Rule],
    paths: Mapping[str, str],
) -> list[Veto]:
    """The languages of whose approved texts rules drop more than `MOST`; size is not judged.

    Args:
        reviews: By language.
        ops: A recipe's, in order.
        rules: The recipe's.
        paths: Of the ops' files, by name.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for tag, own in reviews.items():
        texts[tag] += [review.text for review in own if review.verdict == "sound"]
    found = []
    for tag, approved in sorted(texts.items()):
        reason = reasons(ops, rules, paths, approved, [tag] * len(approved))
        dropped = Counter(each for each in reason if each is not None)
        if dropped.total() > MOST * len(approved):
            found.append(Veto(tag, len(approved), dropped.total(), dict(dropped.most_common())))
    return found
