"""Near duplicates: how many, how near, between which sources, and a few pairs to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from phloem.catalog.ledger import DUPLICATE
from phloem.catalog.store import Store
from phloem.reports.differing import Piece, differing
from phloem.reports.excerpts import masked_texts, texts_of
from phloem.reports.run import Run

PAIRS = 4  # half of them the least similar, where a wrong removal would show
BINS = 20  # of similarity, each 0.05 wide
MATRIX = 12  # sources with a row or column of their own
PAIR_CHARACTERS = 20_000  # of each text that are compared


@dataclass(frozen=True)
class Side:
    """One document of a pair: its text is empty where it is not shown."""

    id: str
    source: str
    language: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Pair:
    """A dropped document beside the one that was kept in its place."""

    similarity: float
    dropped: Side
    kept: Side


@dataclass(frozen=True)
class Matrix:
    """Dropped documents by their source and by the source of the one kept.

    Attributes:
        sources: Those with the most duplicates, sorted.
        cells: Row: source of the dropped. Column: source of the kept.
        left_out: Duplicates of pairs in which a source has no row of its own.
    """

    sources: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    left_out: int

    @property
    def lines(self) -> list[tuple[str, tuple[int, ...]]]:
        """Each source with its row of cells."""
        return list(zip(self.sources, self.cells, strict=True))


@dataclass(frozen=True)
class Duplicates:
    """What deduplication removed.

    Attributes:
        documents: Dropped as duplicates.
        identical: Those whose cleaned text is that of the kept document.
        across: Those kept in another source.
        text_bytes: Their cleaned text.
        threshold: The similarity from which a document is dropped; None where only whole texts
            are compared.
        bins: (lower bound, documents), from the threshold to 1.
        found_in: Kept documents that other sources hold too.
        matrix: Between sources.
        pairs: To read.
    """

    documents: int
    identical: int
    across: int
    text_bytes: int
    threshold: float | None
    bins: tuple[tuple[str, int], ...]
    found_in: int
    matrix: Matrix
    pairs: tuple[Pair, ...]


def duplicates(connection: DuckDBPyConnection, store: Store, run: Run) -> Duplicates:
    """What deduplication removed, from the ledger."""
    dedup = run.spec.get("dedup") or {}
    threshold = dedup.get("jaccard")
    row = connection.execute(
        f"""
        select count(*), count(*) filter (dropped.text_hash = kept.text_hash),
            count(*) filter (dropped.source != kept.source),
            coalesce(sum(dropped.text_bytes), 0)
        {_JOINED}
        """,
        [DUPLICATE],
    ).fetchone()
    documents, identical, across, size = row or (0, 0, 0, 0)
    shared = connection.execute("select count(*) from decisions where len(found_in) > 0").fetchone()
    return Duplicates(
        documents=documents,
        identical=identical,
        across=across,
        text_bytes=int(size),
        threshold=threshold,
        bins=_bins(connection, threshold),
        found_in=shared[0] if shared else 0,
        matrix=_matrix(connection),
        pairs=_pairs(connection, store, run),
    )


# A kept id may stand in several parts; the first stands for it.
_JOINED = """
    from decisions as dropped left join (
        select distinct on (id) id, source, language, text_hash, text_file, row
        from decisions order by id, part
    ) as kept on kept.id = dropped.duplicate_of
    where dropped.reason = ?
"""


def _bins(connection: DuckDBPyConnection, threshold: float | None) -> tuple[tuple[str, int], ...]:
    rows = connection.execute(
        # 1e-9 keeps a bound such as 0.7 in the bin that it opens.
        f"""
        select least(floor(similarity * {BINS} + 1e-9), {BINS})::int, count(*)
        from decisions where reason = ? and similarity is not null group by all
        """,  # noqa: S608 - a constant of this module
        [DUPLICATE],
    ).fetchall()
    counts = dict(rows)
    if not counts:
        return ()
    first = min(counts)
    if threshold is not None:
        first = min(first, int(threshold * BINS + 1e-9))
    return tuple((f"{place / BINS:.2f}", counts.get(place, 0)) for place in range(first, BINS + 1))


def _matrix(connection: DuckDBPyConnection) -> Matrix:
    rows: Sequence[tuple[str, str | None, int]] = connection.execute(
        f"select dropped.source, kept.source, count(*) {_JOINED} group by all", [DUPLICATE]
    ).fetchall()
    totals: dict[str, int] = {}
    for mine, other, count in rows:
        totals[mine] = totals.get(mine, 0) + count
        if other is not None and other != mine:
            totals[other] = totals.get(other, 0) + count
    top = sorted(totals, key=lambda name: (-totals[name], name))[:MATRIX]
    sources = tuple(sorted(top))
    cells = {(mine, other): count for mine, other, count in rows}
    inside = tuple(tuple(cells.get((mine, other), 0) for other in sources) for mine in sources)
    shown = sum(sum(line) for line in inside)
    return Matrix(sources, inside, sum(count for *_, count in rows) - shown)


# What a pair is made of.
_PAIR = """
    dropped.similarity, dropped.id, dropped.source, dropped.language, dropped.text_file,
    dropped.row, kept.id, kept.source, kept.language, kept.text_file, kept.row
"""


def pair_of(connection: DuckDBPyConnection, store: Store, run: Run, document: str) -> Pair | None:
    """A dropped document beside the one that was kept; None if it is no duplicate of another text.

    Args:
        connection: With the view `decisions` of the run.
        store: The root.
        run: The run.
        document: Its id.
    """
    rows = connection.execute(
        f"select {_PAIR} {_JOINED} and dropped.id = ? and kept.id is not null"
        " and dropped.text_hash != kept.text_hash limit 1",
        [DUPLICATE, document],
    ).fetchall()
    return next(iter(_read(store, run, rows)), None)


def _pairs(connection: DuckDBPyConnection, store: Store, run: Run) -> tuple[Pair, ...]:
    """The least similar pairs, then others by a hash of the dropped id; none is identical."""
    rows = connection.execute(
        f"""
        with pairs as (
            select {_PAIR},
                row_number() over (order by dropped.similarity, dropped.id) as near,
                row_number() over (order by md5(dropped.id), dropped.id) as lot
            {_JOINED} and kept.id is not null and dropped.text_hash != kept.text_hash
        )
        select * from pairs where near <= {PAIRS // 2}
        union
        select * from (
            select * from pairs where near > {PAIRS // 2} order by lot limit {PAIRS - PAIRS // 2}
        )
        order by 1, 2
        """,  # noqa: S608 - constants of this module
        [DUPLICATE],
    ).fetchall()
    return tuple(_read(store, run, rows))


def _read(store: Store, run: Run, rows: Sequence[Sequence[Any]]) -> Iterator[Pair]:
    """Pairs with their texts, personal data masked."""
    places = [(row[4], row[5]) for row in rows] + [(row[9], row[10]) for row in rows]
    texts = masked_texts(store, texts_of(store, run), places)
    for row in rows:
        left, right = texts.get((row[4], row[5])), texts.get((row[9], row[10]))
        mine: tuple[Piece, ...] = ()
        other: tuple[Piece, ...] = ()
        if left is not None and right is not None:
            mine, other = differing(left[:PAIR_CHARACTERS], right[:PAIR_CHARACTERS])
        dropped = Side(row[1], row[2], row[3] or "und", mine)
        yield Pair(row[0], dropped, Side(row[6], row[7], row[8] or "und", other))
