"""What a recipe's rules drop of sound prose, by language, and of rubbish, by kind."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from phloem.catalog.columns import (
    DECLARED_LANGUAGE,
    DECLARED_LANGUAGES,
    ID,
    LANGUAGE,
    TEXT,
    TEXT_BYTES,
    TEXT_HASH,
)
from phloem.catalog.errors import UseError
from phloem.catalog.rules import Rule
from phloem.filters.op import EXTRACTOR, Op
from phloem.pipeline.stages.filter import Terms, judged
from phloem.pipeline.stages.measure import CLEAN_FAULT, with_written
from phloem.pipeline.thresholds.reference import Piece
from phloem.pipeline.thresholds.rubbish import MAKERS, rubbish

ROWS = 2000  # of a batch

TERMS = Terms(card="CC0-1.0", forbidden=(), refs={})
"""Nobody's licence is in question here."""

SIZES = frozenset({"word_count", "char_count", "text_bytes"})
"""Columns whose rules are left out: pieces are short because they were cut."""

FROM, OF_LANGUAGE = 100, 4
"""Words of the pieces that rubbish is made of; so many of each language."""


@dataclass(frozen=True)
class Dropped:
    """What became of some texts.

    Attributes:
        group: Language, or kind of rubbish.
        words: Of the sound pieces; 0 for rubbish.
        texts: How many there were.
        dropped: How many are dropped.
        rules: By the first rule that each fails, most often first.
    """

    group: str
    words: int
    texts: int
    dropped: int
    rules: Mapping[str, int]


def reasons(
    ops: Sequence[Op],
    rules: Sequence[Rule],
    paths: Mapping[str, str],
    texts: Sequence[str],
    tags: Sequence[str],
) -> list[str | None]:
    """The first rule that each text fails, as a run judges it; None for one that is kept.

    Args:
        ops: A recipe's, in order; one that measures nothing that a rule reads is left out.
        rules: The recipe's; those on a text's size are left out.
        paths: Of the ops' files, by name.
        texts: Any.
        tags: What is declared for each.
    """
    rules = [rule for rule in rules if rule.column not in SIZES]
    read = {column for rule in rules for column in (rule.column, *rule.looks_at)}
    found: list[str | None] = []
    for table in measures(ops, read, paths, texts, tags):
        verdicts = judged(table, rules, [TERMS.card] * len(table), TERMS, ())
        found += verdicts["reason"].to_pylist()
    return found


def measures(
    ops: Sequence[Op],
    columns: Collection[str],
    paths: Mapping[str, str],
    texts: Sequence[str],
    tags: Sequence[str],
) -> Iterator[pa.Table]:
    """What ops measure of texts, some of them at a time: language and the columns asked for.

    Args:
        ops: In order; one that neither measures one of the columns nor changes the text is left
            out.
        columns: Names of what is wanted.
        paths: Of the ops' files, by name.
        texts: Any.
        tags: What is declared for each.
    """
    read = {*columns, LANGUAGE.name}
    needed: list[Op] = []
    for op in reversed(ops):
        writes = {column.name for column in op.writes}
        if op.kind != EXTRACTOR and (TEXT in op.writes or writes & read):
            needed.insert(0, op)
            read |= {column.name for column in op.reads}
    _check_reads(needed)
    for start in range(0, len(texts), ROWS):
        own = slice(start, start + ROWS)
        batch = _batch(texts[own], tags[own])
        for op in needed:
            batch = with_written(batch, op, op(batch, paths).arrays)
        table = pa.table(batch)
        if TEXT_BYTES.name not in table.column_names:
            sizes = pa.array([len(text.encode()) for text in texts[own]], TEXT_BYTES.type)
            table = table.append_column(TEXT_BYTES.field, sizes)
        yield table.append_column(CLEAN_FAULT.field, pa.nulls(len(table), CLEAN_FAULT.type))


def _check_reads(ops: Sequence[Op]) -> None:
    """Raise UseError for ops that read what a piece of text has not, as its address."""
    known, faults = set(_batch([], []).schema.names), []
    for op in ops:
        lacking = [column.name for column in op.reads if column.name not in known]
        if lacking:
            faults.append(f"op {op.name} reads {', '.join(lacking)}, which pieces of text have not")
        known |= {column.name for column in op.writes}
    if faults:
        raise UseError(f"{'; '.join(faults)}: take a recipe without it")


def _batch(texts: Sequence[str], tags: Sequence[str]) -> pa.RecordBatch:
    names = [str(number) for number in range(len(texts))]
    columns = {
        ID: names,
        TEXT_HASH: [b""] * len(texts) if pa.types.is_binary(TEXT_HASH.type) else names,
        TEXT: list(texts),
        DECLARED_LANGUAGE: list(tags),
        DECLARED_LANGUAGES: [[tag] for tag in tags],
    }
    arrays = [pa.array(values, column.type) for column, values in columns.items()]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def of_sound(pieces: Sequence[Piece], found: Sequence[str | None]) -> list[Dropped]:
    """What is dropped of each language, of pieces of each length."""
    rows = defaultdict(list)
    for piece, reason in zip(pieces, found, strict=True):
        rows[piece.language, piece.words].append(reason)
    return [_dropped(tag, words, own) for (tag, words), own in sorted(rows.items())]


def of_rubbish(kinds: Sequence[str], found: Sequence[str | None]) -> list[Dropped]:
    """What is dropped of each kind."""
    rows = defaultdict(list)
    for kind, reason in zip(kinds, found, strict=True):
        rows[kind].append(reason)
    return [_dropped(kind, 0, own) for kind, own in sorted(rows.items())]


def _dropped(group: str, words: int, own: Sequence[str | None]) -> Dropped:
    rules = Counter(reason for reason in own if reason is not None)
    return Dropped(group, words, len(own), rules.total(), dict(rules.most_common()))


def made_rubbish(pieces: Sequence[Piece], seed: int) -> list[tuple[str, str, str]]:
    """Rubbish of every kind out of some pieces of each language: kind, language, text."""
    chosen: dict[str, list[Piece]] = defaultdict(list)
    for piece in sorted(pieces, key=lambda each: hashlib.sha256(each.text.encode()).hexdigest()):
        if piece.words == FROM and len(chosen[piece.language]) < OF_LANGUAGE:
            chosen[piece.language].append(piece)
    return [
        (kind, piece.language, rubbish(kind, piece.text, seed))
        for own in chosen.values()
        for piece in own
        for kind in MAKERS
    ]
