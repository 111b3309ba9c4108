"""How often our measures of datatrove's filters decide as it does, rule by rule, and how fast."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from phloem.catalog.columns import TEXT
from phloem.catalog.plain import Json
from phloem.catalog.rules import Rule
from phloem.filters.op import Op, find_op
from phloem.pipeline.bench.chain import (
    broken,
    cpu_of,
    english,
    interpreter,
    last_json,
    version_of,
    write_sample,
)
from phloem.pipeline.bench.ops import records_of

COLUMNS = ("row", "documents", "ours drop", "theirs drop", "alike", "MB/s", "peer MB/s", "ratio")
PEER = "datatrove"
PROGRAM = Path(__file__).parent / "peers" / "datatrove_parity.py"
BATCH_ROWS = 512


def _rule(name: str, column: str, least: float | None = None, most: float | None = None) -> Rule:
    return Rule(name=name, column=f"datatrove_{column}", min=least, max=most)


# Filter -> the op that measures what it compares, and its rules with datatrove 0.10.1's defaults.
FAMILIES: Mapping[str, tuple[str, tuple[Rule, ...]]] = {
    "Gopher quality": (
        "datatrove_quality",
        (
            _rule("too_short", "word_count", least=50),
            _rule("too_long", "word_count", most=100_000),
            _rule("words_too_short", "mean_word_chars", least=3),
            _rule("words_too_long", "mean_word_chars", most=10),
            _rule("too_many_hashes", "hash_word_ratio", most=0.1),
            _rule("too_many_ellipsis_signs", "ellipsis_word_ratio", most=0.1),
            _rule("too_many_bullets", "bullet_line_frac", most=0.9),
            _rule("too_many_ellipses", "ellipsis_line_frac", most=0.3),
            _rule("too_few_letters", "alpha_word_frac", least=0.8),
            _rule("too_few_stop_words", "stop_word_count", least=2),
        ),
    ),
    "Gopher repetition": (
        "datatrove_repetition",
        (
            _rule("paragraphs_repeat", "gopher_dup_paragraph_frac", most=0.3),
            _rule("paragraph_chars_repeat", "gopher_dup_paragraph_char_frac", most=0.2),
            _rule("lines_repeat", "gopher_dup_line_frac", most=0.3),
            _rule("line_chars_repeat", "gopher_dup_line_char_frac", most=0.2),
            _rule("top_2gram", "gopher_top_2gram_char_frac", most=0.2),
            _rule("top_3gram", "gopher_top_3gram_char_frac", most=0.18),
            _rule("top_4gram", "gopher_top_4gram_char_frac", most=0.16),
            _rule("5grams_repeat", "gopher_dup_5gram_char_frac", most=0.15),
            _rule("6grams_repeat", "gopher_dup_6gram_char_frac", most=0.14),
            _rule("7grams_repeat", "gopher_dup_7gram_char_frac", most=0.13),
            _rule("8grams_repeat", "gopher_dup_8gram_char_frac", most=0.12),
            _rule("9grams_repeat", "gopher_dup_9gram_char_frac", most=0.11),
            _rule("10grams_repeat", "gopher_dup_10gram_char_frac", most=0.1),
        ),
    ),
    "FineWeb quality": (
        "datatrove_quality",
        (
            _rule("too_few_line_ends", "terminal_line_frac", least=0.12),
            _rule("too_many_short_lines", "short_line_frac", most=0.67),
            _rule("line_chars_repeat", "dup_line_char_frac", most=0.01),
            _rule("too_many_newlines", "newline_word_ratio", most=0.3),
        ),
    ),
    "C4 quality": (
        "datatrove_c4",
        (
            _rule("lorem_ipsum", "c4_lorem_ipsum_count", most=0),
            _rule("braces", "c4_brace_count", most=0),
            _rule("too_few_sentences", "c4_sentence_count", least=5),
        ),
    ),
}

Drops = Mapping[str, frozenset[str]]
"""Document -> the rules that drop it, each by itself, as `filter: rule`."""


def bench_parity(
    data: Path, *, datatrove: str, repeat: int, told: Callable[[str], None]
) -> Iterator[dict[str, Json]]:
    """A row for each filter with both speeds, then one for each of its rules.

    Args:
        data: Folder of jsonl.gz files with id, text and lang; its English documents are taken.
        datatrove: A Python that has it.
        repeat: Passes of ours, of which the best counts.
        told: Told of every measurement as it is made.

    Raises:
        StageError: the Python has no datatrove, there are too few documents, or it failed.
    """
    python = interpreter(PEER, datatrove)
    version = version_of(PEER, python)
    records = english(records_of(data), data)
    size = sum(len(record["text"].encode()) for record in records) / 1e6
    ours, seconds = our_drops(records, repeat)
    told(f"ours: {', '.join(f'{name} {each:.1f} CPU s' for name, each in seconds.items())}")
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as name:
        sample = write_sample(records, Path(name) / "sample")
        command = [python, str(PROGRAM), str(sample), name]
        _, said = cpu_of(PEER, command, Path(name), {})
        theirs = read_drops((Path(name) / "verdicts.jsonl").read_text(encoding="utf-8"))
        peer_seconds = last_json(PEER, said)
    for family, (op, rules) in FAMILIES.items():
        names = [f"{family}: {rule.name}" for rule in rules]
        yield {
            **alike(f"{family}, {PEER} {version}", names, ours, theirs),
            "MB/s": round(size / seconds[op], 1),
            "peer MB/s": round(size / peer_seconds[family], 2),
            "ratio": round(peer_seconds[family] / seconds[op], 1),
        }
        for one in names:
            yield alike(one, [one], ours, theirs)


def our_drops(records: Sequence[Json], repeat: int) -> tuple[Drops, dict[str, float]]:
    """Which rules drop each document by our measures, and each op's least CPU seconds."""
    drops: dict[str, set[str]] = {record["id"]: set() for record in records}
    best: dict[str, float] = {}
    for family, (name, rules) in FAMILIES.items():
        op = find_op(name, {})
        if name not in best:
            _measured(op, records[:1])  # compiles outside the clock
            best[name] = min(_seconds(op, records) for _ in range(repeat))
        values = _measured(op, records)
        for place, record in enumerate(records):
            row = {column: each[place] for column, each in values.items()}
            drops[record["id"]] |= {
                f"{family}: {rule.name}" for rule in rules if broken([rule], row) is not None
            }
    return {id_: frozenset(names) for id_, names in drops.items()}, best


def _batches(records: Sequence[Json]) -> list[pa.RecordBatch]:
    texts = [record["text"] for record in records]
    return [
        pa.RecordBatch.from_arrays(
            [pa.array(texts[start : start + BATCH_ROWS], TEXT.type)], names=[TEXT.name]
        )
        for start in range(0, len(texts), BATCH_ROWS)
    ]


def _measured(op: Op, records: Sequence[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {column.name: [] for column in op.writes}
    for batch in _batches(records):
        for column, array in zip(op.writes, op(batch).arrays, strict=True):
            found[column.name] += array.to_pylist()
    return found


def _seconds(op: Op, records: Sequence[Json]) -> float:
    batches = _batches(records)
    before = time.process_time()
    for batch in batches:
        op(batch)
    return time.process_time() - before


def read_drops(text: str) -> Drops:
    """A peer's verdicts, from lines of JSON."""
    rows = map(json.loads, text.splitlines())
    return {row["id"]: frozenset(row["drops"]) for row in rows}


def alike(row: str, names: Sequence[str], ours: Drops, theirs: Drops) -> dict[str, Json]:
    """How often both drop or both keep a document by any of some rules."""
    wanted = frozenset(names)
    mine = {id_ for id_, drops in ours.items() if drops & wanted}
    others = {id_ for id_, drops in theirs.items() if drops & wanted}
    return {
        "row": row,
        "documents": len(ours),
        "ours drop": len(mine),
        "theirs drop": len(others),
        "alike": f"{1 - len(mine ^ others) / len(ours):.2%}",
    }
