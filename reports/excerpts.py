"""Excerpts of documents that a page may show, personal data masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from phloem.catalog.columns import PII_SPANS, TEXT
from phloem.catalog.manifest import Ref, Shard, arrow_batches, open_parquet, read_parquet
from phloem.catalog.plain import Json
from phloem.catalog.store import MissingError, Store
from phloem.reports.run import Run, shards_of

EXCERPT_CHARACTERS = 300


def mask(text: str, spans: Sequence[Mapping[str, Json]]) -> str:
    """The text with each span replaced by its kind in brackets.

    Args:
        text: Cleaned text.
        spans: start and end in UTF-8 bytes, and kind; in any order. Overlapping ones are joined.
    """
    data = text.encode()
    pieces, place = [], 0
    for span in sorted(spans, key=lambda span: (span["start"], span["end"])):
        if span["end"] <= place:
            continue
        pieces.append(data[place : max(place, span["start"])].decode(errors="replace"))
        if span["start"] >= place:
            pieces.append(f"[{span['kind']}]")
        place = span["end"]
    pieces.append(data[place:].decode(errors="replace"))
    return "".join(pieces)


def cut(text: str, *, characters: int = EXCERPT_CHARACTERS) -> str:
    """The beginning of a text, with an ellipsis where something was left out."""
    text = text.strip()
    return text if len(text) <= characters else text[:characters].rstrip() + " …"


@dataclass(frozen=True)
class Texts:
    """Where the cleaned texts and their personal data lie.

    Attributes:
        clean: sha256 of an ingest text file -> its cleaned text.
        spans: sha256 of an ingest text file -> the file that holds its `pii_spans`.
    """

    clean: Mapping[str, Ref]
    spans: Mapping[str, Ref]


def texts_of(store: Store, run: Run) -> Texts:
    """The cleaned texts of a run and their personal data, by ingest text file."""
    return run.once("texts", lambda: _texts(store, run))


def _texts(store: Store, run: Run) -> Texts:
    clean = {
        shard.facts["text"]: _as_it_lies(shard, "text.arrow")
        for shard in shards_of(store, run, "clean")
    }
    spans: dict[str, Ref] = {}
    holds: dict[str, bool] = {}
    for shard in shards_of(store, run, "measure"):
        op = shard.facts["op"]
        file = _as_it_lies(shard, f"{op}.parquet")
        if op not in holds:
            holds[op] = has_column(store, file, PII_SPANS.name)
        if holds[op]:
            spans[shard.facts["text"]] = file
    return Texts(clean, spans)


def _as_it_lies(shard: Shard, name: str) -> Ref:
    """A file that is shown: whoever goes on with it verifies it, a page does not."""
    return replace(shard.ref(name), sha256="")


def has_column(store: Store, file: Ref, column: str) -> bool:
    """Whether a Parquet file has a column; false where the file is gone."""
    try:
        return column in open_parquet(store, file).schema_arrow.names
    except MissingError:
        return False


def masked_texts(
    store: Store, texts: Texts, places: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], str | None]:
    """The whole cleaned text at each place, personal data masked.

    None stands where nobody looked for personal data (no op did, or it failed on the document),
    or where the text is gone: such a text is not shown.

    Args:
        store: The root.
        texts: Where the texts lie.
        places: (sha256 of the ingest text file, row).
    """
    found: dict[tuple[str, int], str | None] = dict.fromkeys(places)
    for file in sorted({file for file, _ in places}):
        if file not in texts.clean or file not in texts.spans:
            continue
        rows = sorted({row for own, row in places if own == file})
        try:
            values = take(store, texts.clean[file], rows)
            table = read_parquet(store, texts.spans[file], [PII_SPANS.name]).take(rows)
        except MissingError:
            continue
        spans = table[PII_SPANS.name].to_pylist()
        for row, text, own in zip(rows, values, spans, strict=True):
            found[file, row] = None if text is None or own is None else mask(text, own)
    return found


def take(store: Store, file: Ref, rows: Sequence[int]) -> list[str | None]:
    """Texts at some rows, ascending, of an Arrow file: only their batches are touched."""
    found: list[str | None] = []
    start = 0
    for batch in arrow_batches(store, file, [TEXT.name]):
        own = [row - start for row in rows if start <= row < start + batch.num_rows]
        found += batch[TEXT.name].take(pa.array(own, pa.int64())).to_pylist()
        start += batch.num_rows
    return found
