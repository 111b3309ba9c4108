"""Languages: what the sources declare, what was found, and how the tokenizer treats each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
from duckdb import DuckDBPyConnection

from phloem.catalog.columns import DECLARED_LANGUAGE, LANGUAGE
from phloem.catalog.ledger import KEPT, VERDICT
from phloem.catalog.manifest import Shard, arrow_batches, read_parquet
from phloem.catalog.runs import text_files
from phloem.catalog.store import MissingError, Store
from phloem.catalog.tags import agree
from phloem.reports.run import Run, shards_of
from phloem.reports.tokens import COUNTS

UNKNOWN = "und"  # BCP 47: undetermined
UNDECLARED, UNDECIDED, AGREES, CONTRADICTED = "undeclared", "undecided", "agrees", "contradicted"
CONFUSIONS = 40  # rows of what was declared as one language and found as another


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes:
        tag: BCP-47.
        declared: Documents for which it is declared.
        read: Documents found to be in it.
        kept: Those of them that were kept.
        text_bytes: Cleaned text of the kept.
        tokens: Of the kept; None if the run did not tokenize.
    """

    tag: str
    declared: int
    read: int
    kept: int
    text_bytes: int
    tokens: int | None

    @property
    def tokens_per_byte(self) -> float | None:
        """Fertility: lower is kinder to the language; an end-of-document token is counted too."""
        return self.tokens / self.text_bytes if self.tokens and self.text_bytes else None


@dataclass(frozen=True)
class Languages:
    """Languages of a run.

    Attributes:
        languages: Most kept text first.
        confusions: (declared, found, documents, of them kept), most documents first; the found
            language is none of those declared.
        agreeing: Documents in a language that is declared for them: found, or taken as declared
            where the model cannot judge.
        contradicted: Documents in another language than is declared for them.
        undecided: Documents for which a language is declared, and none could be told.
        undeclared: Documents for which no language is declared.
    """

    languages: tuple[Language, ...]
    confusions: tuple[tuple[str, str, int, int], ...]
    agreeing: int
    contradicted: int
    undecided: int
    undeclared: int


def declaring(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags that declare a language: `und` (RFC 5646, section 4.1) declares none."""
    return tuple(tag for tag in tags if tag != UNKNOWN)


def languages(connection: DuckDBPyConnection, store: Store, run: Run) -> Languages:
    """Languages by documents, bytes and tokens. `load_token_counts` comes first."""
    rows = connection.execute(
        f"""
        select coalesce(language, '{UNKNOWN}') as tag, count(*),
            count(*) filter (verdict = '{KEPT}'),
            coalesce(sum(text_bytes) filter (verdict = '{KEPT}'), 0), sum(tokens)
        from decisions left join (
            select id, sum(tokens) as tokens from {COUNTS} group by id
        ) using (id)
        group by tag
        """  # noqa: S608 - constants of this package
    ).fetchall()
    pairs = _declared(store, run)
    declared: Counter[str] = Counter()
    for (tags, _, _), documents in pairs.items():
        declared.update(dict.fromkeys(tags, documents))
    made = bool(run.datasets.get("tokenize"))
    found = {row[0]: row[1:] for row in rows}
    table = []
    for tag in {*found, *declared}:
        read, kept, size, tokens = found.get(tag, (0, 0, 0, 0))
        own = int(tokens or 0) if made else None
        table.append(Language(tag, declared[tag], read, kept, int(size), own))
    bearing: Counter[str] = Counter()
    for (tags, tag, _), documents in pairs.items():
        bearing[_bearing(tags, tag)] += documents
    return Languages(
        languages=tuple(sorted(table, key=lambda own: (-own.text_bytes, -own.read, own.tag))),
        confusions=_confusions(pairs),
        agreeing=bearing[AGREES],
        contradicted=bearing[CONTRADICTED],
        undecided=bearing[UNDECIDED],
        undeclared=bearing[UNDECLARED],
    )


Pairs = Counter[tuple[tuple[str, ...], str, bool]]


def _declared(store: Store, run: Run) -> Pairs:
    """Documents by (languages declared for them or their source, language found, kept)."""
    pairs: Pairs = Counter()
    cleaned = {shard.facts["text"]: shard for shard in shards_of(store, run, "clean")}
    texts = text_files(shards_of(store, run, "ingest"))
    for shard in shards_of(store, run, "decide"):
        card = run.sources.get(shard.facts["source"], {})
        of_card = declaring(sorted(card.get("languages") or ()))
        clean = cleaned.get(shard.facts["text"])
        if clean is None:  # the manifest of what was cleaned is gone
            continue
        try:
            table = read_parquet(store, shard.path("ledger.parquet"), [LANGUAGE.name, VERDICT.name])
            table = table.append_column("declared", _own(store, clean, texts))
        except MissingError:
            continue
        counted = table.group_by(table.column_names).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            tags = declaring([row["declared"]] if row["declared"] else []) or of_card
            key = (tags, row[LANGUAGE.name] or UNKNOWN, row[VERDICT.name] == KEPT)
            pairs[key] += row["count_all"]
    return pairs


def _own(store: Store, clean: Shard, texts: Mapping[str, str]) -> pa.ChunkedArray:
    """The language that the source gives each document of a text file."""
    name = DECLARED_LANGUAGE.name
    table = read_parquet(store, clean.path("hashes.parquet"), [name])
    if table.column_names:
        return table[name]
    # An earlier version left it with the text alone.
    batches = arrow_batches(store, texts[clean.facts["text"]], [name])
    return pa.chunked_array([batch[name] for batch in batches], DECLARED_LANGUAGE.type)


def _bearing(tags: tuple[str, ...], found: str) -> str:
    """How a found language bears on those declared; tags are compared by language."""
    if not tags:
        return UNDECLARED
    if found == UNKNOWN:
        return UNDECIDED
    return AGREES if any(agree(found, tag) for tag in tags) else CONTRADICTED


def _confusions(pairs: Pairs) -> tuple[tuple[str, str, int, int], ...]:
    counts: Counter[tuple[str, str]] = Counter()
    kept: Counter[tuple[str, str]] = Counter()
    for (tags, found, stays), documents in pairs.items():
        if _bearing(tags, found) == CONTRADICTED:
            key = (", ".join(tags[:4]) + (" …" if len(tags) > 4 else ""), found)  # noqa: PLR2004 - to fit
            counts[key] += documents
            kept[key] += documents if stays else 0
    ordered = sorted(counts, key=lambda key: (-counts[key], key))[:CONFUSIONS]
    return tuple((*key, counts[key], kept[key]) for key in ordered)
