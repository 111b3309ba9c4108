"""Tokens: how many of each source and language, and how long the documents are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from phloem.catalog.columns import ID
from phloem.catalog.manifest import read_parquet
from phloem.catalog.store import MissingError, Store
from phloem.reports.run import Run, shards_of

COUNTS = "token_counts"  # our own view: id, tokens


@dataclass(frozen=True)
class SourceTokens:
    """One source's tokens, and the cleaned text that they come from."""

    source: str
    documents: int
    tokens: int
    text_bytes: int


@dataclass(frozen=True)
class Tokens:
    """Tokens of a run.

    Attributes:
        made: Whether the run tokenized.
        vocabulary: Entries of the tokenizer as the recipe asks for them; None for a given file.
        sources: Most tokens first.
        bins: (bound, documents): documents of at least so many tokens, and below the next bound.
        longest: Tokens of the longest document.
        median: Tokens of the document in the middle.
    """

    made: bool
    vocabulary: int | None
    sources: tuple[SourceTokens, ...]
    bins: tuple[tuple[str, int], ...]
    longest: int
    median: int

    @property
    def tokens(self) -> int:
        """All of them."""
        return sum(own.tokens for own in self.sources)


def load_token_counts(connection: DuckDBPyConnection, store: Store, run: Run) -> None:
    """Give the connection a table `token_counts` (id, tokens), empty if the run made none."""
    connection.execute(f"create or replace temp table {COUNTS} (id varchar, tokens bigint)")
    for shard in shards_of(store, run, "tokenize"):
        try:
            counts = read_parquet(store, shard.path("index.parquet"), [ID.name, "token_count"])
        except MissingError:
            continue
        connection.register("counts_of_shard", counts)
        connection.execute(f"insert into {COUNTS} select id, token_count from counts_of_shard")  # noqa: S608 - a constant
        connection.unregister("counts_of_shard")


def tokens(connection: DuckDBPyConnection, store: Store, run: Run) -> Tokens:
    """Tokens by source, from the shards' facts and index. `load_token_counts` comes first."""
    shards = shards_of(store, run, "tokenize")
    documents: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for shard in shards:
        documents[shard.facts["source"]] += shard.facts["documents"]
        counted[shard.facts["source"]] += shard.facts["tokens"]
    sizes = dict(
        connection.execute(
            "select source, sum(text_bytes) from decisions where verdict = 'kept' group by source"
        ).fetchall()
    )
    row = connection.execute(
        f"select coalesce(max(tokens), 0), coalesce(median(tokens), 0) from {COUNTS}"  # noqa: S608 - a constant
    ).fetchone()
    longest, median = row or (0, 0)
    train = (run.spec.get("tokenizer") or {}).get("train") or {}
    found = [
        SourceTokens(source, documents[source], counted[source], int(sizes.get(source) or 0))
        for source in counted
    ]
    return Tokens(
        made=bool(shards),
        vocabulary=train.get("vocab_size"),
        sources=tuple(sorted(found, key=lambda own: (-own.tokens, own.source))),
        bins=_bins(connection),
        longest=int(longest),
        median=int(median),
    )


def _bins(connection: DuckDBPyConnection) -> tuple[tuple[str, int], ...]:
    """Documents by length, a bin for each power of two; empty ones between are named too."""
    rows = connection.execute(
        f"select greatest(floor(log2(greatest(tokens, 1))), 0)::int, count(*) from {COUNTS}"  # noqa: S608 - a constant
        " group by all"
    ).fetchall()
    counts = dict(rows)
    if not counts:
        return ()
    return tuple(
        (_power(power), counts.get(power, 0)) for power in range(min(counts), max(counts) + 1)
    )


def _power(power: int) -> str:
    """2^power as a person reads it: 512, 1k, 64k."""
    kilo, mega = 10, 20
    if power >= mega:
        return f"{2 ** (power - mega)}M"
    return f"{2 ** (power - kilo)}k" if power >= kilo else str(2**power)
