"""A few documents to read for every reason, and a few of those that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import DUPLICATE, KEPT, REFUSED_LICENSE
from phloem.catalog.store import Store
from phloem.reports.excerpts import cut, masked_texts, texts_of
from phloem.reports.run import Run

EXAMPLES = 3  # of each reason: enough to see a rule misfire, few enough to be read


@dataclass(frozen=True)
class Sample:
    """One document.

    Attributes:
        id: Its id.
        source: Card id.
        language: BCP-47 tag.
        measured: Column that the rule looked at, or None.
        value: Its value.
        threshold: The bound that it did not meet.
        detail: For a fault, the op and its reason.
        text_bytes: Size of the cleaned text.
        excerpt: The first characters, personal data masked; None where it is not shown.
    """

    id: str
    source: str
    language: str
    measured: str | None
    value: float | None
    threshold: float | None
    detail: str | None
    text_bytes: int | None
    excerpt: str | None


@dataclass(frozen=True)
class Reason:
    """One reason, or ``kept``, with some of its documents.

    Attributes:
        name: The reason.
        documents: How many documents it stands for.
        samples: Chosen by the hash of their ids, as many sources as there are first.
        why_no_text: Why no excerpt is shown; empty where they are.
    """

    name: str
    documents: int
    samples: tuple[Sample, ...]
    why_no_text: str


def samples(
    connection: DuckDBPyConnection, store: Store, run: Run, *, examples: int = EXAMPLES
) -> tuple[Reason, ...]:
    """Examples of each reason but near duplicates, which have a section of their own.

    The kept come first, then the reasons by number of documents.

    The choice depends on ids alone, so that a report made again shows the same documents.
    """
    rows = connection.execute(
        """
        with chosen as (
            select *, coalesce(reason, verdict) as why, md5(id || coalesce(reason, '')) as lot
            from decisions where reason is null or reason != $duplicate
        ), spread as (
            select *, row_number() over (partition by why, source order by lot, part) as turn
            from chosen
        ), ranked as (
            select *, row_number() over (partition by why order by turn, lot, part) as place,
                count(*) over (partition by why) as documents
            from spread
        )
        select why, documents, id, source, coalesce(language, 'und'), measured, value, threshold,
            detail, text_bytes, text_file, row
        from ranked where place <= $examples order by why, place
        """,
        {"duplicate": DUPLICATE, "examples": examples},
    ).fetchall()
    texts = texts_of(store, run)
    places = [(row[10], row[11]) for row in rows if row[0] != REFUSED_LICENSE]
    found = masked_texts(store, texts, places)
    grouped: dict[str, list[Sample]] = {}
    documents: dict[str, int] = {}
    for row in rows:
        text = found.get((row[10], row[11]))
        facts = [*row[2:10], None if text is None else cut(text)]
        grouped.setdefault(row[0], []).append(Sample(*facts))
        documents[row[0]] = row[1]
    made = [
        Reason(why, documents[why], tuple(own), _why_no_text(why, own, masked=bool(texts.spans)))
        for why, own in grouped.items()
    ]
    return tuple(sorted(made, key=lambda own: (own.name != KEPT, -own.documents, own.name)))


def _why_no_text(why: str, own: Sequence[Sample], *, masked: bool) -> str:
    if why == REFUSED_LICENSE:
        return "No text is shown of documents whose licence the policy does not allow."
    if not masked:
        return "No text is shown: the run did not look for personal data, so none can be masked."
    if all(sample.excerpt is None for sample in own):
        return "No text is shown: it is gone, or nobody could look for personal data in it."
    return ""
